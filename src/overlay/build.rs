//! An in-memory Kustomize: accumulates resources, runs components, then this level's transformers, in Kustomize's order.
//!
//! It follows what decides the fields that Prescale writes, and says in [`Build::unread`] what it does not follow.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::files::{Files, Found};
use super::kustomization::{Kustomization, not_a_file};
use super::merge::Lists;
use super::node::{Data, Node};
use super::object::{By, Id, Object};
use super::reference::{self, Rules};
use super::{component, replacement, transform};
use crate::model::{Place, Refusal, RefusalCode, RepoPath};

pub(super) type Result<T> = std::result::Result<T, Refusal>;

/// What a render of one folder came to.
#[derive(Debug, Default)]
pub(super) struct Build {
    pub(super) objects: Vec<Object>,
    /// What could not be followed.
    pub(super) unread: Vec<Refusal>,
    /// The folders that were read from.
    pub(super) roots: BTreeSet<RepoPath>,
    /// Why patches of the overlay's own Component do not apply; what they meant was carried out all the same.
    pub(super) broken: Vec<Refusal>,
    /// The objects, by number, as they are when the overlay's own components have run, Prescale's excepted.
    pub(super) at_component: BTreeMap<usize, Rc<Node>>,
}

/// What Argo CD adds to a kustomization before it renders.
#[derive(Debug, Default)]
pub(super) struct Additions {
    pub(super) replicas: Vec<Rc<Node>>,
    pub(super) patches: Vec<Rc<Node>>,
    pub(super) components: Vec<Rc<Node>>,
}

impl Additions {
    pub(super) fn is_empty(&self) -> bool {
        self.replicas.is_empty() && self.patches.is_empty() && self.components.is_empty()
    }
}

/// The folder of the Component that Prescale owns, under an overlay.
pub(super) const COMPONENT: &str = "prescale";

/// Renders a folder.
pub(super) fn build(files: &Files<'_>, overlay: &RepoPath, additions: &Additions) -> Result<Build> {
    let mut builder =
        Builder { files, overlay, additions, serial: 0, stack: Vec::new(), rules: Rules::builtin(), schema: None, build: Build::default() };
    let mut objects = Vec::new();
    builder.level(overlay, &mut objects, false)?;
    builder.rules.fix(&mut objects);
    objects.retain(|object| !transform::is_local_config(object));
    builder.build.objects = objects;
    Ok(builder.build)
}

/// A render on its way.
pub(super) struct Builder<'a> {
    pub(super) files: &'a Files<'a>,
    overlay: &'a RepoPath,
    additions: &'a Additions,
    serial: usize,
    /// The folders on the way down, to find cycles.
    stack: Vec<RepoPath>,
    pub(super) rules: Rules,
    /// The kinds of the schema under `openapi:`; it takes the place of the built-in one.
    schema: Option<BTreeSet<(String, String)>>,
    pub(super) build: Build,
}

impl Builder<'_> {
    /// One kustomization: what it accumulates goes into `objects`; a Component also transforms what is already there.
    fn level(&mut self, folder: &RepoPath, objects: &mut Vec<Object>, component: bool) -> Result<()> {
        let kustomization = Kustomization::load(self.files, folder)?;
        if kustomization.is_component() != component {
            let detail = if component {
                "only a kustomization of kind Component may stand under `components:`"
            } else {
                "a Component cannot be rendered by itself, or stand under `resources:`"
            };
            return Err(Refusal::at(RefusalCode::DoesNotRender, &kustomization.file, None, detail));
        }
        if self.stack.contains(folder) {
            return Err(Refusal::at(RefusalCode::DoesNotRender, &kustomization.file, None, "the kustomization includes itself"));
        }
        self.stack.push(folder.clone());
        self.build.roots.insert(folder.clone());
        let own = self.stack.len() == 1;
        self.openapi(&kustomization)?;
        for entry in kustomization.resources() {
            self.resource(&kustomization, entry, objects)?;
        }
        for entry in kustomization.list("configurations") {
            if let Some(path) = self.local(&kustomization, entry)? {
                self.files.documents(&path)?.iter().for_each(|document| self.rules.extend(document));
            }
        }
        self.generators(&kustomization, objects);
        for entry in kustomization.list("components") {
            self.component(&kustomization, entry, objects)?;
        }
        if own {
            if self.build.at_component.is_empty() {
                self.build.at_component = snapshot(objects);
            }
            for entry in &self.additions.components {
                self.component(&kustomization, entry, objects)?;
            }
        }
        self.transformers(&kustomization, objects, own)?;
        self.stack.pop();
        Ok(())
    }

    /// `openapi:`; the first schema that is met counts.
    fn openapi(&mut self, kustomization: &Kustomization) -> Result<()> {
        let Some(entry) = kustomization.get("openapi").and_then(|openapi| openapi.get("path")).filter(|_| self.schema.is_none()) else {
            return Ok(());
        };
        if let Some(path) = self.local(kustomization, entry)?
            && let Some(schema) = self.files.documents(&path)?.first()
        {
            self.schema = Some(reference::schema_kinds(schema).into_iter().collect());
        }
        Ok(())
    }

    /// How the lists of an object merge.
    pub(super) fn lists(&self, id: &Id) -> Lists {
        match &self.schema {
            None => Lists::of(&id.api_version, &id.kind),
            Some(kinds) if kinds.contains(&(id.api_version.clone(), id.kind.clone())) => Lists::Keyed,
            Some(_) => Lists::Replaced,
        }
    }

    fn resource(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut Vec<Object>) -> Result<()> {
        let Some(path) = self.local(kustomization, entry)? else { return Ok(()) };
        if self.files.find(&path) == Found::Folder {
            let mut inner = Vec::new();
            self.level(&path, &mut inner, false)?;
            return inner.into_iter().try_for_each(|object| append(object, objects, entry));
        }
        let documents = self.files.documents(&path)?;
        documents.iter().try_for_each(|document| self.manifest(document, objects))
    }

    /// Adds the objects of a document; lists are unfolded.
    fn manifest(&mut self, document: &Rc<Node>, objects: &mut Vec<Object>) -> Result<()> {
        if document.is_null() || matches!(&document.data, Data::Map(entries) if entries.is_empty()) {
            return Ok(());
        }
        let kind = document.text_at(&["kind"]);
        if let Some(items) = document.get("items").filter(|_| kind.ends_with("List")) {
            return items.items().iter().try_for_each(|item| self.manifest(item, objects));
        }
        if kind.is_empty() || (Id::of(document).name.is_empty() && !kind.ends_with("List")) {
            let place = document.place();
            return Err(Refusal {
                code: RefusalCode::DoesNotRender,
                place,
                detail: "a resource without `kind` or `metadata.name`".to_owned(),
            });
        }
        self.serial += 1;
        append(Object::new(self.serial, document.clone(), &By::Manifest), objects, document)
    }

    fn component(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut Vec<Object>) -> Result<()> {
        let Some(path) = self.local(kustomization, entry)? else {
            self.veil(objects);
            return Ok(());
        };
        if self.stack.len() == 1 && Some(&path) == self.overlay.join(COMPONENT).as_ref() {
            self.build.at_component = snapshot(objects);
        }
        match self.files.find(&path) {
            Found::Folder => self.level(&path, objects, true),
            _ => Err(kustomization.refuse(RefusalCode::DoesNotRender, entry, format!("the component `{path}` is no folder"))),
        }
    }

    /// The file or folder that an entry of a kustomization names; `None`, with a note, when it cannot be read.
    pub(super) fn local(&mut self, kustomization: &Kustomization, entry: &Rc<Node>) -> Result<Option<RepoPath>> {
        let text = entry.as_text().ok_or_else(|| kustomization.refuse(RefusalCode::DoesNotRender, entry, "a path is no text"))?;
        let path = kustomization.folder.join(text);
        let found = path.as_ref().map_or(Found::Nothing, |path| self.files.find(path));
        let refusal = match (found, path) {
            (Found::Folder, Some(path)) => return Ok(Some(path)),
            (Found::File, Some(path)) => {
                // A file outside of its kustomization's folder is read where it stands.
                if !path.is_under(&kustomization.folder) {
                    self.build.roots.insert(path.parent());
                }
                return Ok(Some(path));
            }
            (Found::Symlink | Found::Submodule, Some(path)) => Refusal { place: entry.place(), ..not_a_file(self.files, &path) },
            (Found::Unread, Some(path)) => {
                let detail = format!("`{path}` was not read: it is not YAML by its name, or too large");
                kustomization.refuse(RefusalCode::Unsupported, entry, detail)
            }
            _ if is_remote(text) => {
                let detail = format!("`{text}` is fetched from elsewhere, so that what it holds cannot be seen");
                kustomization.refuse(RefusalCode::RemoteBase, entry, detail)
            }
            (_, None) => {
                return Err(kustomization.refuse(RefusalCode::OutsideScope, entry, format!("`{text}` lies outside the repository")));
            }
            (_, Some(path)) => return Err(kustomization.refuse(RefusalCode::DoesNotRender, entry, format!("`{path}` does not exist"))),
        };
        self.build.unread.push(refusal);
        Ok(None)
    }

    /// Says of all objects that what was noted last may have set their fields.
    pub(super) fn veil(&self, objects: &mut [Object]) {
        if let Some(refusal) = self.build.unread.last() {
            for object in objects {
                object.veil(refusal);
            }
        }
    }

    fn generators(&mut self, kustomization: &Kustomization, objects: &mut Vec<Object>) {
        for (key, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
            for entry in kustomization.list(key) {
                self.generator_files(kustomization, entry);
                let tree = transform::generated(kind, entry);
                let id = Id::of(&tree);
                // `behavior: merge` and `replace` name a map that is there already.
                if !objects.iter().any(|other| other.any_id(|theirs| theirs.is(&id))) {
                    self.serial += 1;
                    objects.push(Object::new(self.serial, tree, &By::Manifest));
                }
            }
        }
        for key in ["generators", "helmCharts", "helmChartInflationGenerator"] {
            for entry in kustomization.list(key) {
                let detail = format!("`{key}:` makes objects that cannot be seen before it runs");
                self.build.unread.push(kustomization.refuse(RefusalCode::Generated, entry, detail));
            }
        }
    }

    /// Notes the files of a generated map that are not here: without them nothing renders.
    fn generator_files(&mut self, kustomization: &Kustomization, entry: &Node) {
        let sources = ["files", "envs"].into_iter().filter_map(|key| entry.get(key)).flat_map(|list| list.items()).chain(entry.get("env"));
        for source in sources {
            let text = source.as_text().unwrap_or_default();
            let text = text.split_once('=').map_or(text, |(_, path)| path);
            let path = kustomization.folder.join(text);
            let found = path.as_ref().map_or(Found::Nothing, |path| self.files.find(path));
            // A file outside of its kustomization's folder is read where it stands.
            self.build
                .roots
                .extend(path.filter(|path| found != Found::Nothing && !path.is_under(&kustomization.folder)).map(|path| path.parent()));
            if found == Found::Nothing {
                let code = if is_remote(text) { RefusalCode::RemoteBase } else { RefusalCode::DoesNotRender };
                let refusal = kustomization.refuse(code, source, format!("`{text}`, which a generator reads, is not in the repository"));
                self.build.unread.push(refusal);
            }
        }
    }

    /// The transformers of one level, in Kustomize's order.
    fn transformers(&mut self, kustomization: &Kustomization, objects: &mut Vec<Object>, own: bool) -> Result<()> {
        let (more_patches, more_replicas): (&[_], &[_]) =
            if own { (&self.additions.patches, &self.additions.replicas) } else { (&[], &[]) };
        for entry in kustomization.list("patchesStrategicMerge") {
            self.merge_patches(kustomization, entry, objects)?;
        }
        for entry in kustomization.list("patches").iter().chain(more_patches) {
            self.patch(kustomization, entry, objects)?;
        }
        transform::namespace(&kustomization.text("namespace"), false, objects);
        transform::prefix(&kustomization.text("namePrefix"), &kustomization.text("nameSuffix"), objects);
        transform::labels(kustomization, objects);
        transform::annotations(kustomization, objects, &self.rules);
        for entry in kustomization.list("patchesJson6902") {
            self.patch(kustomization, entry, objects)?;
        }
        // `kustomize edit set replicas`, which Argo CD runs, replaces the entry of that name.
        let replaced = |entry: &Rc<Node>| more_replicas.iter().any(|addition| addition.text_at(&["name"]) == entry.text_at(&["name"]));
        for entry in kustomization.list("replicas").iter().filter(|entry| !replaced(entry)).chain(more_replicas) {
            self.replicas(kustomization, entry, objects)?;
        }
        for entry in kustomization.list("replacements") {
            self.replacement(kustomization, entry, objects)?;
        }
        for entry in kustomization.list("transformers") {
            self.plugin(kustomization, entry, objects)?;
        }
        Ok(())
    }

    pub(super) fn replicas(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut [Object]) -> Result<()> {
        if transform::replicas(entry, objects, &self.rules) || self.may_miss() {
            return Ok(());
        }
        let name = entry.get("name").and_then(|node| node.shown()).unwrap_or_default();
        let detail = format!("`replicas:` names `{name}`, which is no Deployment, StatefulSet, ReplicaSet or ReplicationController here");
        Err(kustomization.refuse(RefusalCode::NoTarget, entry, detail))
    }

    pub(super) fn replacement(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut [Object]) -> Result<()> {
        let Some(path) = entry.get("path") else { return self.replace(kustomization, entry, objects) };
        let Some(file) = self.local(kustomization, path)? else {
            self.veil(objects);
            return Ok(());
        };
        for document in self.files.documents(&file)?.iter() {
            let entries = if document.items().is_empty() { std::slice::from_ref(document) } else { document.items() };
            for entry in entries.iter().filter(|entry| !entry.is_null()) {
                self.replace(kustomization, entry, objects)?;
            }
        }
        Ok(())
    }

    fn replace(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut [Object]) -> Result<()> {
        if replacement::apply(kustomization, entry, objects)?.is_some() {
            return Ok(());
        }
        let refusal = |code| kustomization.refuse(code, entry, "the source of a replacement cannot be seen");
        if !self.may_miss() {
            return Err(refusal(RefusalCode::DoesNotRender));
        }
        self.build.unread.push(refusal(RefusalCode::Replaced));
        self.veil(objects);
        Ok(())
    }

    /// Whether Prescale wrote this patch of the overlay's own Component.
    pub(super) fn is_own_patch(&self, kustomization: &Kustomization, patch: &Node) -> bool {
        let own = self.stack.len() == 2 && Some(&kustomization.folder) == self.overlay.join(COMPONENT).as_ref();
        let ours = |place: Place| self.files.bytes(&place.path).is_some_and(|bytes| bytes.starts_with(component::HEADER.as_bytes()));
        own && patch.place().is_some_and(ours)
    }

    /// Whether objects may be missing here that Kustomize would have.
    pub(super) fn may_miss(&self) -> bool {
        !self.build.unread.is_empty()
    }
}

fn append(object: Object, objects: &mut Vec<Object>, at: &Node) -> Result<()> {
    if objects.iter().any(|other| other.id.is(&object.id)) {
        let detail = format!("{} {} is there twice, which Kustomize refuses", object.id.kind, object.id.name);
        return Err(Refusal { code: RefusalCode::DoesNotRender, place: at.place(), detail });
    }
    objects.push(object);
    Ok(())
}

fn snapshot(objects: &[Object]) -> BTreeMap<usize, Rc<Node>> {
    objects.iter().map(|object| (object.serial, object.tree.clone())).collect()
}

/// Whether an entry that is no path here names something to fetch.
fn is_remote(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or_default();
    let domain = text.contains('/') && !host.starts_with('.') && host.contains('.');
    domain || ["://", "git@", "?ref=", ".git"].iter().any(|mark| text.contains(mark))
}
