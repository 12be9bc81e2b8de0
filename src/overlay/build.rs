//! An in-memory Kustomize: accumulates resources, runs components, then this level's transformers, in Kustomize's order.
//!
//! It follows what decides the fields that Prescale writes, and says in [`Build::unread`] what it does not follow.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::files::{Files, Found};
use super::json_patch;
use super::kustomization::{Kustomization, not_a_file};
use super::merge::{Lists, merge};
use super::node::{Data, Node};
use super::object::{By, Id, Object};
use super::select::Selector;
use super::transform;
use crate::model::{Place, Refusal, RefusalCode, RepoPath};

type Result<T> = std::result::Result<T, Refusal>;

/// What a render of one folder came to.
#[derive(Debug, Default)]
pub(super) struct Build {
    pub(super) objects: Vec<Object>,
    /// What could not be followed.
    pub(super) unread: Vec<Refusal>,
    /// The folders whose kustomizations were read.
    pub(super) roots: BTreeSet<RepoPath>,
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
    let mut builder = Builder { files, overlay, additions, serial: 0, stack: Vec::new(), references: Vec::new(), build: Build::default() };
    let mut objects = Vec::new();
    builder.level(overlay, &mut objects, false)?;
    transform::fix_references(&mut objects, &builder.references);
    objects.retain(|object| !transform::is_local_config(object));
    builder.build.objects = objects;
    Ok(builder.build)
}

struct Builder<'a> {
    files: &'a Files<'a>,
    overlay: &'a RepoPath,
    additions: &'a Additions,
    serial: usize,
    /// The folders on the way down, to find cycles.
    stack: Vec<RepoPath>,
    references: Vec<transform::Reference>,
    build: Build,
}

impl Builder<'_> {
    /// One kustomization: what it accumulates goes into `objects`; a Component also transforms what is already there.
    fn level(&mut self, folder: &RepoPath, objects: &mut Vec<Object>, component: bool) -> Result<()> {
        let kustomization = Kustomization::load(self.files, folder)?;
        if kustomization.is_component() != component {
            let detail = if component {
                "only a kustomization of kind Component may stand under `components:`"
            } else {
                "a Component stands under `resources:`"
            };
            return Err(Refusal::at(RefusalCode::DoesNotRender, &kustomization.file, None, detail));
        }
        if self.stack.contains(folder) {
            return Err(Refusal::at(RefusalCode::DoesNotRender, &kustomization.file, None, "the kustomization includes itself"));
        }
        self.stack.push(folder.clone());
        self.build.roots.insert(folder.clone());
        let own = self.stack.len() == 1;
        for entry in kustomization.resources() {
            self.resource(&kustomization, entry, objects)?;
        }
        self.references.extend(transform::configured_references(self.files, &kustomization, &mut self.build.unread));
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

    fn resource(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut Vec<Object>) -> Result<()> {
        let Some(text) = entry.as_text() else {
            return Err(kustomization.refuse(RefusalCode::DoesNotRender, entry, "an entry of `resources:` is not text"));
        };
        let Some(path) = self.local(kustomization, entry, text)? else { return Ok(()) };
        match self.files.find(&path) {
            Found::File => {
                let documents = match self.files.documents(&path) {
                    Ok(documents) => documents,
                    Err(refusal) => {
                        self.build.unread.push(refusal);
                        return Ok(());
                    }
                };
                for document in documents.iter() {
                    self.manifest(document, objects)?;
                }
                Ok(())
            }
            Found::Folder => {
                let mut inner = Vec::new();
                self.level(&path, &mut inner, false)?;
                for object in inner {
                    self.append(object, objects, entry)?;
                }
                Ok(())
            }
            _ => unreachable!("`local` lets files and folders through"),
        }
    }

    /// Adds the objects of a document; lists are unfolded.
    fn manifest(&mut self, document: &Rc<Node>, objects: &mut Vec<Object>) -> Result<()> {
        if document.is_null() || document.entries().is_empty() {
            return Ok(());
        }
        let kind = document.text_at(&["kind"]);
        if let Some(items) = document.get("items").filter(|_| kind.ends_with("List")) {
            for item in items.items() {
                self.manifest(item, objects)?;
            }
            return Ok(());
        }
        if kind.is_empty() || Id::of(document).name.is_empty() {
            let place = document.place();
            return Err(Refusal {
                code: RefusalCode::DoesNotRender,
                place,
                detail: "a resource without `kind` or `metadata.name`".to_owned(),
            });
        }
        self.serial += 1;
        let object = Object::new(self.serial, document.clone(), &By::Manifest);
        self.append(object, objects, document)
    }

    fn append(&mut self, object: Object, objects: &mut Vec<Object>, at: &Node) -> Result<()> {
        if objects.iter().any(|other| other.id.is(&object.id)) {
            let detail = format!("{} {} is there twice, which Kustomize refuses", object.id.kind, object.id.name);
            return Err(Refusal { code: RefusalCode::DoesNotRender, place: at.place(), detail });
        }
        objects.push(object);
        Ok(())
    }

    fn component(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut Vec<Object>) -> Result<()> {
        let Some(text) = entry.as_text() else {
            return Err(kustomization.refuse(RefusalCode::DoesNotRender, entry, "an entry of `components:` is not text"));
        };
        let Some(path) = self.local(kustomization, entry, text)? else { return Ok(()) };
        if self.stack.len() == 1 && Some(&path) == self.overlay.join(COMPONENT).as_ref() {
            self.build.at_component = snapshot(objects);
        }
        match self.files.find(&path) {
            Found::Folder => self.level(&path, objects, true),
            _ => Err(kustomization.refuse(RefusalCode::DoesNotRender, entry, format!("the component `{text}` is no folder"))),
        }
    }

    /// The path of a file or folder that a kustomization names; `None`, with a note, when it cannot be read.
    fn local(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, text: &str) -> Result<Option<RepoPath>> {
        let path = kustomization.folder.join(text);
        if let Some(path) = &path {
            match self.files.find(path) {
                Found::File | Found::Folder => return Ok(Some(path.clone())),
                Found::Symlink | Found::Submodule => {
                    self.build.unread.push(Refusal { place: entry.place(), ..not_a_file(path) });
                    return Ok(None);
                }
                Found::Unread => {
                    let detail = format!("`{path}` was not read: it is not YAML by its name, or too large");
                    self.build.unread.push(kustomization.refuse(RefusalCode::Unsupported, entry, detail));
                    return Ok(None);
                }
                Found::Nothing => {}
            }
        }
        if is_remote(text) {
            let detail = format!("`{text}` is fetched from elsewhere, so that what it holds cannot be seen");
            self.build.unread.push(kustomization.refuse(RefusalCode::RemoteBase, entry, detail));
            return Ok(None);
        }
        Err(match path {
            None => kustomization.refuse(RefusalCode::OutsideScope, entry, format!("`{text}` lies outside the repository")),
            Some(path) => kustomization.refuse(RefusalCode::DoesNotRender, entry, format!("`{path}` does not exist")),
        })
    }

    fn generators(&mut self, kustomization: &Kustomization, objects: &mut Vec<Object>) {
        for (key, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
            for entry in kustomization.list(key) {
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

    fn transformers(&mut self, kustomization: &Kustomization, objects: &mut Vec<Object>, own: bool) -> Result<()> {
        for entry in kustomization.list("patchesStrategicMerge") {
            let text = entry.as_text().unwrap_or_default();
            let patches = match self.files.embedded(entry) {
                Ok(documents) if documents.iter().any(|document| !document.entries().is_empty()) => documents,
                _ => {
                    let Some(path) = self.local(kustomization, entry, text)? else { continue };
                    self.files.documents(&path)?
                }
            };
            for patch in patches.iter() {
                self.merge_patch(kustomization, entry, patch, None, objects)?;
            }
        }
        let additions: &[Rc<Node>] = if own { &self.additions.patches } else { &[] };
        for entry in kustomization.list("patches").iter().chain(additions) {
            self.patch(kustomization, entry, objects)?;
        }
        transform::namespace(kustomization, objects);
        transform::prefix(kustomization, objects);
        transform::labels(kustomization, objects);
        transform::annotations(kustomization, objects);
        for entry in kustomization.list("patchesJson6902") {
            self.patch(kustomization, entry, objects)?;
        }
        // `kustomize edit set replicas`, which Argo CD runs, replaces the entry of that name.
        let additions: &[Rc<Node>] = if own { &self.additions.replicas } else { &[] };
        let replaced = |entry: &Rc<Node>| additions.iter().any(|addition| addition.text_at(&["name"]) == entry.text_at(&["name"]));
        for entry in kustomization.list("replicas").iter().filter(|entry| !replaced(entry)).chain(additions) {
            let hit = transform::replicas(entry, objects, &self.references);
            if !hit && !self.may_miss() {
                let detail = format!(
                    "`replicas:` names `{}`, which is no Deployment, StatefulSet, ReplicaSet or ReplicationController here",
                    entry.text_at(&["name"])
                );
                return Err(kustomization.refuse(RefusalCode::DoesNotRender, entry, detail));
            }
        }
        transform::replacements(self.files, kustomization, objects, &mut self.build.unread)?;
        for entry in kustomization.list("transformers") {
            let detail = "`transformers:` may set any field after every patch";
            let refusal = kustomization.refuse(RefusalCode::Generated, entry, detail);
            for object in &mut *objects {
                object.veil(&refusal);
            }
            self.build.unread.push(refusal);
        }
        Ok(())
    }

    /// Whether objects may be missing here that Kustomize would have.
    fn may_miss(&self) -> bool {
        !self.build.unread.is_empty()
    }

    /// One entry of `patches:`.
    fn patch(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut Vec<Object>) -> Result<()> {
        let (inline, path) = (entry.get("patch").filter(|node| !node.is_null()), entry.text_at(&["path"]));
        let documents = match inline {
            Some(patch) => self.files.embedded(patch)?,
            None => {
                let node = entry.get("path").unwrap_or(entry).clone();
                let Some(file) = self.local(kustomization, &node, path)? else { return Ok(()) };
                self.files.documents(&file)?
            }
        };
        let target = entry.get("target").filter(|node| !node.is_null());
        let selector = target
            .map(|target| Selector::new(target))
            .transpose()
            .map_err(|why| kustomization.refuse(RefusalCode::DoesNotRender, entry, why))?;
        if documents.first().is_some_and(|document| json_patch::is_patch(document)) {
            let Some(selector) = selector else {
                return Err(kustomization.refuse(RefusalCode::DoesNotRender, entry, "a JSON patch needs a `target`"));
            };
            for object in objects.iter_mut().filter(|object| selector.matches(object)) {
                let tree = json_patch::apply(&object.tree, &documents[0]).map_err(|(operation, why)| {
                    let place = operation.place().or_else(|| entry.place());
                    let detail = format!("the JSON patch does not apply to {} {}: {why}", object.id.kind, object.id.name);
                    Refusal { code: RefusalCode::DoesNotRender, place, detail }
                })?;
                object.remember();
                object.replace(tree, &By::Json, entry.place().as_ref());
            }
            return Ok(());
        }
        for patch in documents.iter().filter(|document| !document.is_null()) {
            self.merge_patch(kustomization, entry, patch, selector.as_ref(), objects)?;
        }
        Ok(())
    }

    fn merge_patch(
        &mut self,
        kustomization: &Kustomization,
        entry: &Rc<Node>,
        patch: &Rc<Node>,
        selector: Option<&Selector>,
        objects: &mut Vec<Object>,
    ) -> Result<()> {
        if !matches!(patch.data, Data::Map(_)) || patch.text_at(&["kind"]).is_empty() || Id::of(patch).name.is_empty() {
            let detail = "the patch is neither a JSON patch nor an object with `kind` and `metadata.name`";
            return Err(kustomization.refuse(RefusalCode::DoesNotRender, if patch.place().is_some() { patch } else { entry }, detail));
        }
        let id = Id::of(patch);
        let hits: Vec<usize> = match selector {
            Some(selector) => (0..objects.len()).filter(|index| selector.matches(&objects[*index])).collect(),
            None => (0..objects.len()).filter(|index| objects[*index].any_id(|theirs| theirs.is(&id))).collect(),
        };
        if selector.is_none() && hits.len() != 1 {
            if hits.is_empty() && self.may_miss() {
                return Ok(());
            }
            let what = if hits.is_empty() { "no object" } else { "several objects" };
            let detail = format!("the patch for {} {} matches {what}", id.kind, id.name);
            return Err(kustomization.refuse(RefusalCode::NoTarget, patch, detail));
        }
        let allowed = |option: &str| entry.at(&["options", option]).is_some_and(|node| node.data == Data::Bool(true));
        let (rename, rekind) = (allowed("allowNameChange"), allowed("allowKindChange"));
        let place: Option<Place> = patch.place();
        let mut deleted = BTreeSet::new();
        for index in hits {
            let object = &mut objects[index];
            let lists = Lists::of(&object.id.api_version, &object.id.kind);
            let merged = merge(&object.tree, patch, lists).map_err(|field| {
                let detail = format!("the patch for {} {} holds another type than the object at `{field}`", id.kind, id.name);
                kustomization.refuse(RefusalCode::DoesNotRender, patch, detail)
            })?;
            let Some(mut tree) = merged else {
                deleted.insert(index);
                continue;
            };
            if rename || rekind {
                object.remember();
            }
            // Identity and type stay those of the object.
            let keep = |tree: &mut Rc<Node>, keys: &[&str]| tree.put(keys, object.tree.at(keys).cloned());
            keep(&mut tree, &["apiVersion"]);
            keep(&mut tree, &["metadata", "namespace"]);
            if !rekind {
                keep(&mut tree, &["kind"]);
            }
            if !rename {
                keep(&mut tree, &["metadata", "name"]);
            }
            object.replace(tree, &By::Merge, place.as_ref());
        }
        let mut index = 0;
        objects.retain(|_| {
            index += 1;
            !deleted.contains(&(index - 1))
        });
        Ok(())
    }
}

fn snapshot(objects: &[Object]) -> BTreeMap<usize, Rc<Node>> {
    objects.iter().map(|object| (object.serial, object.tree.clone())).collect()
}

/// Whether an entry of `resources:` that is no path here names something to fetch.
fn is_remote(text: &str) -> bool {
    text.contains("://") || text.contains("git@") || text.contains("?ref=") || text.ends_with(".git") || {
        let host = text.split('/').next().unwrap_or_default();
        text.contains('/') && !host.starts_with('.') && host.contains('.')
    }
}
