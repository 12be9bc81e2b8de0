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
    let has_component = |path: &RepoPath| {
        let folder = path.parent();
        let is_ours = path.file_name() == "kustomization.yaml"
            && folder.file_name() == COMPONENT
            && files.bytes(path).is_some_and(|bytes| bytes.starts_with(component::HEADER.as_bytes()));
        is_ours.then(|| folder.parent())
    };
    let overlays = tree.iter().filter_map(|(path, _)| has_component(path));
    let overlays = overlays.filter(|overlay| scope.allowed.iter().any(|folder| overlay.is_under(folder)));
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
            let (from, to) = (folder.join(entry.text_at(&["path"])), self.overlay.join(entry.text_at(&["path"])));
            let (Some(bytes), Some(to)) = (from.and_then(|from| self.files.bytes(&from)), to) else { continue };
            if self.files.find(&to) != Found::Nothing {
                let detail = format!("`{to}` is there already, where a patch of the Component is to go: move it, or join the two by hand");
                return Err(Refusal::at(RefusalCode::Unsupported, &to, None, detail));
            }
            self.writable(&to, None)?;
            let own = bytes.strip_prefix(component::HEADER.as_bytes()).and_then(|rest| rest.strip_prefix(b"\n")).unwrap_or(bytes);
            new.insert(to, Some(NewFile { mode: FileMode::Plain, bytes: own.to_vec() }));
            entries.push(copy(entry));
        }
        for (path, _) in self.files.tree().under(&folder) {
            self.writable(path, None)?;
            new.insert(path.clone(), None);
        }
        let (path, file) = self.patched(&folder, entries)?;
        new.insert(path, Some(file));

        let over = new.iter().map(|(path, file)| (path.clone(), file.as_ref().map(|file| file.bytes.clone().into()))).collect();
        let files = self.files.with(over);
        let after = build(&files, self.overlay, &Additions::default())?;
        if let Some((old, _)) = before.objects.iter().zip(&after.objects).find(|(old, new)| old.tree != new.tree) {
            let detail = format!(
                "as patches of the overlay, the values of {} {} would not be what they are: the overlay sets some of them itself; take the \
                 Component apart by hand",
                old.id.kind, old.id.name
            );
            return Err(Refusal::at(RefusalCode::OracleFailed, &folder, None, detail));
        }
        let reaches = readers::check((self.files, &files), self.graph, self.overlay, &[], &new.keys().collect::<Vec<_>>())?;
        Ok(self.edit_of(new, after.roots, reaches))
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

/// A node of texts and mappings, to be written elsewhere.
fn copy(node: &Node) -> NewNode {
    match node.entries() {
        [] => NewNode::Scalar(Scalar::Text(node.shown().unwrap_or_default())),
        entries => NewNode::Mapping(entries.iter().map(|(key, value)| (key.to_string(), copy(value))).collect()),
    }
}
