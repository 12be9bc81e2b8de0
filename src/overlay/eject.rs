//! Leaving: what Prescale's Components set becomes patches of the overlays themselves.

use super::argo::Overrides;
use super::build::{Additions, COMPONENT, build};
use super::component;
use super::edit::{Editor, NewFiles, Scope};
use super::files::{Files, Found, refusal};
use super::graph::Graph;
use super::kustomization::Kustomization;
use super::node::Node;
use super::readers::{self, Roots};
use super::yaml::{self, NewNode, Operation, Scalar, Step, Target};
use crate::model::edit::{NewFile, OverlayEdit};
use crate::model::{Entry, FileMode, Refusal, RefusalCode, RepoPath, Tree};

/// Turns the Component of every overlay in scope into patches that people own, so that the overlay renders as before. Gives the edit of each,
/// or why there can be none.
pub fn eject(tree: &Tree, scope: &Scope) -> Vec<(RepoPath, Result<OverlayEdit, Refusal>)> {
    let files = Files::new(tree);
    let graph = Graph::new(&files);
    let (overrides, roots) = (Overrides::default(), Roots::default());
    // One that was changed since is found as well, and refused: it would be a pity to call it none.
    let has_component = |path: &RepoPath| {
        let folder = path.parent();
        let is_ours = folder.file_name() == COMPONENT
            && Kustomization::load(&files, &folder).is_ok_and(|component| component.file == *path && component.is_component());
        is_ours.then(|| folder.parent())
    };
    let overlays = tree.iter().filter_map(|(path, _)| has_component(path));
    let overlays = overlays.filter(|overlay| scope.has(overlay));
    let one = |overlay: RepoPath| {
        let editor =
            Editor { files: &files, graph: &graph, overrides: &overrides, roots: &roots, scope, overlay: &overlay, held: Vec::new() };
        let edit = editor.eject();
        (overlay, edit)
    };
    overlays.map(one).collect()
}

impl Editor<'_> {
    fn eject(&self) -> Result<OverlayEdit, Refusal> {
        let folder = self.overlay.join(COMPONENT).unwrap_or_default();
        self.check_component(&folder)?;
        let before = build(self.files, self.overlay, &Additions::default())?;
        if let Some(broken) = before.broken.first() {
            return Err(broken.clone());
        }
        let mut new = NewFiles::new();
        let mut entries = Vec::new();
        for entry in Kustomization::load(self.files, &folder)?.list("patches") {
            let name = entry.text_at(&["path"]);
            let (from, to) = (folder.join(name), self.free(name));
            let (Some(bytes), Some((name, to))) = (from.and_then(|from| self.files.bytes(&from)), to) else { continue };
            self.writable(&to, None)?;
            let own = bytes.strip_prefix(component::HEADER.as_bytes()).unwrap_or(bytes);
            let own = own.strip_prefix(b"\r\n").or(own.strip_prefix(b"\n")).unwrap_or(own);
            new.insert(to, Some(NewFile { mode: FileMode::Plain, bytes: own.to_vec() }));
            entries.push(copy(entry, &name));
        }
        for (path, _) in self.files.tree().under(&folder) {
            self.writable(path, None)?;
            new.insert(path.clone(), None);
        }
        let (path, file) = self.patched(&folder, entries)?;
        new.insert(path, Some(file));

        let over = new.iter().map(|(path, file)| (path.clone(), file.as_ref().map(|file| file.bytes.clone().into()))).collect();
        let files = self.files.with(over);
        let by_hand = |why: String| {
            let detail = format!(
                "with its values as patches of the overlay, which come after the overlay's own, {why}; take the Component apart by hand"
            );
            Refusal::at(RefusalCode::OracleFailed, &folder, None, detail)
        };
        let after = build(&files, self.overlay, &Additions::default()).map_err(|refusal| by_hand(refusal.detail))?;
        let differs = before.objects.iter().zip(&after.objects).find(|(old, new)| old.tree != new.tree).map(|(old, _)| old);
        if let Some(old) = differs {
            return Err(by_hand(format!("{} {} would not be what it is: the overlay sets some of them itself", old.id.kind, old.id.name)));
        }
        if before.objects.len() != after.objects.len() {
            return Err(by_hand("it would render other objects".to_owned()));
        }
        let reaches = readers::check((self.files, &files), self.graph, self.overlay, &[], &new.keys().collect::<Vec<_>>())?;
        Ok(self.edit_of(new, after.roots, reaches))
    }

    /// A name in the overlay that nothing has yet.
    fn free(&self, name: &str) -> Option<(String, RepoPath)> {
        let stem = name.strip_suffix(".yaml").unwrap_or(name);
        let names = std::iter::once(name.to_owned()).chain((1..).map(|n| format!("{stem}-{n}.yaml")));
        let mut free =
            names.map_while(|name| Some((self.overlay.join(&name)?, name))).filter(|(path, _)| self.files.find(path) == Found::Nothing);
        free.next().map(|(path, name)| (name, path))
    }

    /// The overlay's kustomization without the Component, and with its patches.
    fn patched(&self, folder: &RepoPath, entries: Vec<NewNode>) -> Result<(RepoPath, NewFile), Refusal> {
        let Some((path, leave)) = self.join(folder, true)? else {
            let detail = format!("`{}` does not name the Component in `{folder}`: delete the folder where nothing else does", self.overlay);
            return Err(Refusal::at(RefusalCode::Unsupported, folder, None, detail));
        };
        self.writable(&path, None)?;
        let kustomization = Kustomization::load(self.files, self.overlay)?;
        let at = |steps| Target { document: 0, path: steps, inner: None };
        let patches = match kustomization.spelling("patches") {
            Some(key) => {
                let append = |value| Operation::Append { at: at(vec![Step::Key(key.to_owned())]), value };
                entries.into_iter().map(append).collect()
            }
            None => vec![Operation::Insert { at: at(Vec::new()), key: "patches".to_owned(), value: NewNode::Sequence(entries) }],
        };
        let operations: Vec<Operation> = std::iter::once(leave).chain(patches).collect();
        let Some(Entry::File { mode, bytes }) = self.files.tree().get(&path) else {
            return Err(Refusal::at(RefusalCode::NotAFile, &path, None, format!("`{path}` is no file that can be edited")));
        };
        let edited = yaml::edit(bytes, &operations).map_err(|error| refusal(&path, error))?;
        Ok((path, NewFile { mode: *mode, bytes: edited.bytes }))
    }
}

/// A patch's entry with another path.
fn copy(entry: &Node, path: &str) -> NewNode {
    let moved = |key: &str, value: &Node| if key == "path" { NewNode::Scalar(Scalar::Text(path.to_owned())) } else { plain(value) };
    NewNode::Mapping(entry.entries().iter().map(|(key, value)| (key.to_string(), moved(key, value))).collect())
}

/// A node of texts and mappings, to be written elsewhere.
fn plain(node: &Node) -> NewNode {
    match node.entries() {
        [] => NewNode::Scalar(Scalar::Text(node.shown().unwrap_or_default())),
        entries => NewNode::Mapping(entries.iter().map(|(key, value)| (key.to_string(), plain(value))).collect()),
    }
}
