//! Patches: strategic merge and JSON, in files and inline, by name and by target; and the transformers written as objects.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::build::{Builder, Result};
use super::fields::Shape;
use super::files::{Documents, Found};
use super::json_patch;
use super::kustomization::Kustomization;
use super::merge::merge;
use super::node::{Data, Node};
use super::object::{By, Id, Object};
use super::reference::POD_ANNOTATIONS;
use super::salvage;
use super::select::Selector;
use super::transform;
use crate::model::{Refusal, RefusalCode};

impl Builder<'_> {
    /// One entry of `patchesStrategicMerge:`, a path or the patch itself.
    pub(super) fn merge_patches(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut Vec<Object>) -> Result<()> {
        let inline = self.files.embedded(entry).ok().filter(|documents| documents.iter().any(|document| !document.entries().is_empty()));
        let patches = match inline {
            Some(documents) => documents,
            None => match self.patch_file(kustomization, entry, objects)? {
                Some(documents) => documents,
                None => return Ok(()),
            },
        };
        let mut patches = patches.iter().filter(|document| !document.is_null());
        patches.try_for_each(|patch| self.merge_patch(kustomization, entry, patch, None, objects))
    }

    /// The documents of a patch file; what it would set is unknown when it cannot be read.
    fn patch_file(&mut self, kustomization: &Kustomization, path: &Rc<Node>, objects: &mut [Object]) -> Result<Option<Documents>> {
        let file = self.local(kustomization, path)?;
        if file.is_none() {
            self.veil(objects);
        }
        file.map(|file| self.files.documents(&file)).transpose()
    }

    /// One entry of `patches:` or `patchesJson6902:`.
    pub(super) fn patch(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut Vec<Object>) -> Result<()> {
        let given = |key: &str| entry.get(key).filter(|node| !node.is_null() && node.as_text() != Some(""));
        let documents = match (given("patch"), given("path")) {
            (Some(text), None) => Some(self.files.embedded(text)?),
            (None, Some(path)) => self.patch_file(kustomization, path, objects)?,
            _ => return Err(kustomization.refuse(RefusalCode::DoesNotRender, entry, "a patch needs one of `patch` and `path`")),
        };
        let Some(documents) = documents else { return Ok(()) };
        let target = entry.get("target").filter(|node| !node.is_null()).map(|target| Selector::new(target)).transpose();
        let target = target.map_err(|why| kustomization.refuse(RefusalCode::DoesNotRender, entry, why))?;
        if let Some(patch) = documents.first().filter(|document| json_patch::is_patch(document)) {
            let ours = self.is_own_patch(kustomization, patch);
            self.build.broken.extend(apply_json(kustomization, entry, patch, target.as_ref(), objects, ours)?);
            return Ok(());
        }
        let mut patches = documents.iter().filter(|document| !document.is_null());
        patches.try_for_each(|patch| self.merge_patch(kustomization, entry, patch, target.as_ref(), objects))
    }

    fn merge_patch(
        &mut self,
        kustomization: &Kustomization,
        entry: &Rc<Node>,
        patch: &Rc<Node>,
        target: Option<&Selector>,
        objects: &mut Vec<Object>,
    ) -> Result<()> {
        let id = Id::of(patch);
        if !matches!(patch.data, Data::Map(_)) || id.kind.is_empty() || id.name.is_empty() {
            let detail = "the patch is neither a JSON patch nor an object with `kind` and `metadata.name`";
            return Err(kustomization.refuse(RefusalCode::DoesNotRender, patch, detail));
        }
        let hit = |object: &Object| match target {
            Some(target) => target.matches(object),
            None => object.any_id(|theirs| theirs.is(&id)),
        };
        let hits: Vec<usize> = (0..objects.len()).filter(|index| hit(&objects[*index])).collect();
        if target.is_none() && hits.len() != 1 {
            if hits.is_empty() && self.may_miss() {
                return Ok(());
            }
            let what = if hits.is_empty() { "no object" } else { "several objects" };
            let detail = format!("the patch for {} {} matches {what}", id.kind, id.name);
            return Err(kustomization.refuse(RefusalCode::NoTarget, patch, detail));
        }
        let allowed = |option: &str| entry.at(&["options", option]).is_some_and(|node| node.data == Data::Bool(true));
        let (rename, rekind) = (allowed("allowNameChange"), allowed("allowKindChange"));
        let mut deleted = BTreeSet::new();
        for index in hits {
            let object = &mut objects[index];
            let merged = merge(&object.tree, patch, self.lists(&object.id)).map_err(|field| {
                let detail = format!("at `{field}` the patch for {} {} holds another type than the object", id.kind, id.name);
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
            let mut keep = |keys: &[&str]| tree.put(keys, object.tree.at(keys).cloned());
            keep(&["metadata", "namespace"]);
            if !rekind {
                keep(&["kind"]);
                keep(&["apiVersion"]);
            }
            if !rename {
                keep(&["metadata", "name"]);
            }
            object.replace(tree, &By::Merge, patch.place().as_ref());
        }
        let mut index = 0;
        objects.retain(|_| {
            index += 1;
            !deleted.contains(&(index - 1))
        });
        Ok(())
    }

    /// One entry of `transformers:`: a path, or the transformer itself.
    pub(super) fn plugin(&mut self, kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut Vec<Object>) -> Result<()> {
        let inline = self.files.embedded(entry).ok().filter(|documents| documents.iter().any(|document| !document.entries().is_empty()));
        let documents = match inline {
            Some(documents) => Some(documents),
            None => match self.local(kustomization, entry)? {
                Some(path) if self.files.find(&path) == Found::File => Some(self.files.documents(&path)?),
                _ => None,
            },
        };
        let Some(documents) = documents else {
            let detail = "`transformers:` may set any field after every patch";
            self.build.unread.push(kustomization.refuse(RefusalCode::Generated, entry, detail));
            self.veil(objects);
            return Ok(());
        };
        documents.iter().filter(|document| !document.is_null()).try_for_each(|document| self.transformer(kustomization, document, objects))
    }

    /// A transformer written as an object; one that is not known may do anything.
    fn transformer(&mut self, kustomization: &Kustomization, document: &Rc<Node>, objects: &mut Vec<Object>) -> Result<()> {
        let paths = |key: &str| document.get(key).map_or(&[][..], |list| list.items());
        let sets = |path: &str| paths("fieldSpecs").iter().any(|spec| spec.text_at(&["path"]) == path);
        let builtin = document.text_at(&["apiVersion"]) == "builtin";
        match document.text_at(&["kind"]) {
            "PatchTransformer" if builtin => self.patch(kustomization, document, objects),
            "PatchStrategicMergeTransformer" if builtin && document.get("patches").is_none() => {
                paths("paths").iter().try_for_each(|path| self.merge_patches(kustomization, path, objects))
            }
            "ReplicaCountTransformer" if builtin => match document.get("replica") {
                Some(replica) => self.replicas(kustomization, replica, objects),
                None => Ok(()),
            },
            "ReplacementTransformer" if builtin => {
                paths("replacements").iter().try_for_each(|entry| self.replacement(kustomization, entry, objects))
            }
            "NamespaceTransformer" if builtin => {
                let unset_only = document.get("unsetOnly").is_some_and(|flag| flag.data == Data::Bool(true));
                transform::namespace(document.text_at(&["metadata", "namespace"]), unset_only, objects);
                Ok(())
            }
            "PrefixTransformer" | "SuffixTransformer" if builtin && sets("metadata/name") => {
                transform::prefix(document.text_at(&["prefix"]), document.text_at(&["suffix"]), objects);
                Ok(())
            }
            "LabelTransformer" if builtin => {
                if let Some(labels) = document.get("labels").filter(|_| sets("metadata/labels")) {
                    transform::put_all(labels, "labels", objects);
                }
                Ok(())
            }
            "AnnotationsTransformer" if builtin && sets(POD_ANNOTATIONS) => {
                let by = By::Fixed(kustomization.refuse(
                    RefusalCode::Generated,
                    document,
                    "a transformer sets this annotation after every patch",
                ));
                let spec = |spec: &&Rc<Node>| spec.text_at(&["path"]) == POD_ANNOTATIONS;
                let kinds: Vec<&str> = paths("fieldSpecs").iter().filter(spec).map(|spec| spec.text_at(&["kind"])).collect();
                if let Some(annotations) = document.get("annotations") {
                    let hit = |object: &&mut Object| {
                        object.shape == Some(Shape::Workload) && kinds.iter().any(|kind| kind.is_empty() || *kind == object.id.kind)
                    };
                    objects.iter_mut().filter(hit).for_each(|object| transform::annotate_pods(annotations, object, &by));
                }
                Ok(())
            }
            "AnnotationsTransformer" | "ImageTagTransformer" | "HashTransformer" if builtin => Ok(()),
            kind => {
                let detail = format!("the transformer {kind} may set any field after every patch");
                self.build.unread.push(kustomization.refuse(RefusalCode::Generated, document, detail));
                self.veil(objects);
                Ok(())
            }
        }
    }
}

/// Applies a JSON patch. One of Prescale's own that does not apply is salvaged, and why it does not is told.
fn apply_json(
    kustomization: &Kustomization,
    entry: &Rc<Node>,
    patch: &Rc<Node>,
    target: Option<&Selector>,
    objects: &mut [Object],
    ours: bool,
) -> Result<Option<Refusal>> {
    let mut broken = None;
    let Some(target) = target else {
        return Err(kustomization.refuse(RefusalCode::DoesNotRender, entry, "a JSON patch needs a `target`"));
    };
    for object in objects.iter_mut().filter(|object| target.matches(object)) {
        object.remember();
        // Kustomize keeps notes in annotations at this time, so that there always are some.
        let mut tree = object.tree.clone();
        let annotated = tree.at(&["metadata", "annotations"]).is_some_and(|node| !node.is_null());
        if !annotated {
            tree.put(&["metadata", "annotations"], Some(Node::new(Data::Map(Vec::new()))));
        }
        let mut tree = match json_patch::apply(&tree, patch) {
            Ok(tree) => tree,
            // What a generator reads from files is not seen.
            Err(_) if object.shape.is_none() && object.tree.origin.is_none() => continue,
            Err((operation, why)) => {
                let detail = format!("the JSON patch does not apply to {} {}: {why}", object.id.kind, object.id.name);
                let refusal = Refusal { code: RefusalCode::DoesNotRender, place: operation.place().or_else(|| entry.place()), detail };
                if !ours {
                    return Err(refusal);
                }
                broken = Some(refusal);
                salvage::apply(&tree, patch)
            }
        };
        if !annotated && tree.at(&["metadata", "annotations"]).is_some_and(|node| node.entries().is_empty()) {
            tree.put(&["metadata", "annotations"], None);
        }
        object.replace(tree, &By::Json, patch.place().as_ref());
    }
    Ok(broken)
}
