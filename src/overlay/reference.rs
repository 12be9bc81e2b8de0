//! Names by which objects speak of others: they follow renames.

use std::rc::Rc;

use super::node::{Data, Node};
use super::object::{Id, Object};

/// Where the annotations of pods stand in a workload, as field specs say it.
pub(super) const POD_ANNOTATIONS: &str = "spec/template/metadata/annotations";

/// What `configurations:` adds to Kustomize's own rules, as far as fields depend on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    references: Vec<Reference>,
    /// Kinds, beyond the built-in ones, whose count `replicas:` sets, and where it stands.
    pub(super) counted: Vec<(String, Vec<String>)>,
    /// Kinds, beyond the built-in ones, whose pod templates `commonAnnotations:` reaches.
    pub(super) annotated: Vec<String>,
}

/// A field by which a kind names objects of another kind.
#[derive(Clone, Debug)]
struct Reference {
    target: Kind,
    holder: Kind,
    path: Vec<String>,
}

/// A kind, with or without its group.
#[derive(Clone, Debug)]
struct Kind {
    group: String,
    kind: String,
}

impl Kind {
    fn of(node: &Node) -> Self {
        Self { group: node.text_at(&["group"]).to_owned(), kind: node.text_at(&["kind"]).to_owned() }
    }

    fn takes(&self, id: &Id) -> bool {
        (self.kind.is_empty() || self.kind == id.kind) && (self.group.is_empty() || self.group == id.group())
    }
}

impl Rules {
    /// Kustomize's own rule that matters here: an HPA's target.
    pub(super) fn builtin() -> Self {
        let reference = |target: &str| Reference {
            target: Kind { group: String::new(), kind: target.to_owned() },
            holder: Kind { group: String::new(), kind: "HorizontalPodAutoscaler".to_owned() },
            path: ["spec", "scaleTargetRef", "name"].map(str::to_owned).to_vec(),
        };
        Self {
            references: ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"].map(reference).to_vec(),
            counted: Vec::new(),
            annotated: Vec::new(),
        }
    }

    /// Adds the rules of one configuration file.
    pub(super) fn extend(&mut self, document: &Node) {
        let path = |spec: &Node| spec.text_at(&["path"]).split('/').map(|part| part.trim_end_matches("[]").to_owned()).collect::<Vec<_>>();
        for entry in document.get("nameReference").map_or(&[][..], |list| list.items()) {
            for spec in entry.get("fieldSpecs").map_or(&[][..], |list| list.items()) {
                self.references.push(Reference { target: Kind::of(entry), holder: Kind::of(spec), path: path(spec) });
            }
        }
        for spec in document.get("replicas").map_or(&[][..], |list| list.items()) {
            self.counted.push((spec.text_at(&["kind"]).to_owned(), path(spec)));
        }
        for spec in document.get("commonAnnotations").map_or(&[][..], |list| list.items()) {
            if spec.text_at(&["path"]) == POD_ANNOTATIONS {
                self.annotated.push(spec.text_at(&["kind"]).to_owned());
            }
        }
    }

    /// Lets the names in references follow the renames of what they name.
    pub(super) fn fix(&self, objects: &mut [Object]) {
        for reference in &self.references {
            let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
            for holder in 0..objects.len() {
                let me = &objects[holder];
                if me.shape.is_none() || !reference.holder.takes(me.original()) {
                    continue;
                }
                let Some(old) = me.tree.at(&path).cloned() else { continue };
                // A path may end at the name, or at a map that holds it.
                let in_map = matches!(old.data, Data::Map(_));
                let name = if in_map { old.get("name").and_then(|node| node.shown()) } else { old.shown() };
                let Some(name) = name else { continue };
                if let Some(new) = referral(objects, holder, &reference.target, &name).filter(|new| *new != name) {
                    let mut path = path.clone();
                    path.extend(in_map.then_some("name"));
                    objects[holder].tree.put(&path, Some(Node::text(&new)));
                }
            }
        }
    }
}

/// The present name of the one object that `holder` means by an old name.
fn referral(objects: &[Object], holder: usize, kind: &Kind, old: &str) -> Option<String> {
    let me = &objects[holder];
    let means = |object: &&Object| {
        object.previous.iter().any(|id| id.name == old)
            && object.previous.iter().any(|id| kind.takes(id))
            && object.id.effective_namespace() == me.id.effective_namespace()
    };
    let mut found: Vec<&Object> = objects.iter().filter(means).collect();
    if found.len() > 1 {
        found.retain(|object| same_ends(object, me, true));
    }
    if found.len() > 1 {
        found.retain(|object| same_ends(object, me, false));
    }
    let first = found.first()?.id.name.clone();
    found.iter().all(|object| object.id.name == first).then_some(first)
}

/// Whether one object's prefixes and suffixes end as the other's do.
fn same_ends(a: &Object, b: &Object, empty_fits: bool) -> bool {
    let same = |a: &[String], b: &[String]| {
        let shorter = a.len().min(b.len());
        (empty_fits && shorter == 0) || ((shorter > 0 || a.len() == b.len()) && a[a.len() - shorter..] == b[b.len() - shorter..])
    };
    same(&a.prefixes, &b.prefixes) && same(&a.suffixes, &b.suffixes)
}

/// The kinds, beyond Kustomize's own, of which a schema under `openapi:` says how lists merge.
pub(super) fn schema_kinds(schema: &Rc<Node>) -> Vec<(String, String)> {
    let definitions = schema.get("definitions").map_or(&[][..], |node| node.entries());
    let kinds = definitions
        .iter()
        .flat_map(|(_, definition)| definition.get("x-kubernetes-group-version-kind").map_or(&[][..], |list| list.items()));
    kinds
        .map(|kind| {
            let (group, version) = (kind.text_at(&["group"]), kind.text_at(&["version"]));
            let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
            (api_version, kind.text_at(&["kind"]).to_owned())
        })
        .collect()
}
