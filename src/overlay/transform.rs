//! The transformers that a kustomization configures beside its patches.

use std::rc::Rc;

use super::files::Files;
use super::kustomization::Kustomization;
use super::node::{Data, Node};
use super::object::{By, Object, is_cluster_scoped};
use crate::model::{Refusal, RefusalCode};

/// The kinds that `replicas:` reaches.
const COUNTED: [&str; 4] = ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"];

/// A field by which a kind names objects of another kind; renames follow it.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// The kind that is named.
    target: String,
    /// The kind that holds the name.
    holder: String,
    path: Vec<String>,
}

/// `namespace:`
pub(super) fn namespace(kustomization: &Kustomization, objects: &mut [Object]) {
    let namespace = kustomization.text("namespace");
    if namespace.is_empty() {
        return;
    }
    for object in objects.iter_mut().filter(|object| !is_cluster_scoped(&object.id.kind)) {
        object.remember();
        object.tree.put(&["metadata", "namespace"], Some(Node::text(&namespace)));
        object.id.namespace.clone_from(&namespace);
    }
}

/// `namePrefix:`, then `nameSuffix:`.
pub(super) fn prefix(kustomization: &Kustomization, objects: &mut [Object]) {
    let (prefix, suffix) = (kustomization.text("namePrefix"), kustomization.text("nameSuffix"));
    for object in objects {
        if matches!(object.original().kind.as_str(), "CustomResourceDefinition" | "APIService" | "Namespace") {
            continue;
        }
        for (before, after) in [(prefix.as_str(), ""), ("", suffix.as_str())] {
            if before.is_empty() && after.is_empty() {
                continue;
            }
            object.remember();
            object.prefixes.extend((!before.is_empty()).then(|| before.to_owned()));
            object.suffixes.extend((!after.is_empty()).then(|| after.to_owned()));
            object.id.name = format!("{before}{}{after}", object.id.name);
            object.tree.put(&["metadata", "name"], Some(Node::text(&object.id.name)));
        }
    }
}

/// `labels:` and `commonLabels:`, as far as selectors of patches see them.
pub(super) fn labels(kustomization: &Kustomization, objects: &mut [Object]) {
    let pairs = kustomization.list("labels").iter().filter_map(|entry| entry.get("pairs"));
    for labels in pairs.chain(kustomization.get("commonLabels")) {
        for object in &mut *objects {
            for (key, value) in labels.entries() {
                object.tree.put(&["metadata", "labels", key], Some(value.clone()));
            }
        }
    }
}

/// `commonAnnotations:`, on the objects themselves.
pub(super) fn annotations(kustomization: &Kustomization, objects: &mut [Object]) {
    let Some(annotations) = kustomization.get("commonAnnotations") else { return };
    for object in objects {
        for (key, value) in annotations.entries() {
            object.tree.put(&["metadata", "annotations", key], Some(value.clone()));
        }
    }
}

/// One entry of `replicas:`; whether it hits anything.
pub(super) fn replicas(entry: &Rc<Node>, objects: &mut [Object], _references: &[Reference]) -> bool {
    let name = entry.get("name").and_then(|node| node.shown()).unwrap_or_default();
    let hits: Vec<usize> = (0..objects.len())
        .filter(|index| {
            let object = &objects[*index];
            object.any_id(|id| id.name == name && COUNTED.contains(&id.kind.as_str()))
        })
        .collect();
    let kinds: Vec<String> = hits.iter().map(|index| objects[*index].id.kind.clone()).collect();
    let count = entry.get("count").cloned().unwrap_or_else(|| Node::new(Data::Number(0.into())));
    for index in &hits {
        let object = &mut objects[*index];
        let mut tree = object.tree.clone();
        tree.put(&["spec", "replicas"], Some(count.clone()));
        object.replace(tree, &By::Replicas(kinds.clone()), entry.place().as_ref());
    }
    !hits.is_empty()
}

/// `replacements:` that may set a field.
pub(super) fn replacements(
    _files: &Files<'_>,
    kustomization: &Kustomization,
    objects: &mut [Object],
    _unread: &mut Vec<Refusal>,
) -> Result<(), Refusal> {
    for entry in kustomization.list("replacements") {
        let refusal = kustomization.refuse(RefusalCode::Replaced, entry, "`replacements:` sets fields after every patch");
        for object in &mut *objects {
            object.veil(&refusal);
        }
    }
    Ok(())
}

/// The object that a generator of maps makes, as far as patches see it.
pub(super) fn generated(kind: &str, entry: &Rc<Node>) -> Rc<Node> {
    let mut tree = Node::new(Data::Map(Vec::new()));
    tree.put(&["apiVersion"], Some(Node::text("v1")));
    tree.put(&["kind"], Some(Node::text(kind)));
    for key in ["name", "namespace"] {
        if let Some(value) = entry.get(key) {
            tree.put(&["metadata", key], Some(value.clone()));
        }
    }
    tree
}

/// The references that `configurations:` adds.
pub(super) fn configured_references(_files: &Files<'_>, _kustomization: &Kustomization, _unread: &mut [Refusal]) -> Vec<Reference> {
    Vec::new()
}

/// Lets the names in references follow the renames of what they name.
pub(super) fn fix_references(objects: &mut [Object], configured: &[Reference]) {
    let builtin = COUNTED.map(|target| Reference {
        target: target.to_owned(),
        holder: "HorizontalPodAutoscaler".to_owned(),
        path: ["spec", "scaleTargetRef", "name"].map(str::to_owned).to_vec(),
    });
    for reference in builtin.iter().chain(configured) {
        let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
        for holder in 0..objects.len() {
            if objects[holder].original().kind != reference.holder {
                continue;
            }
            let Some(old) = objects[holder].tree.at(&path).and_then(|node| node.shown()) else { continue };
            if let Some(new) = referral(objects, holder, &reference.target, &old).filter(|new| *new != old) {
                objects[holder].tree.put(&path, Some(Node::text(&new)));
            }
        }
    }
}

/// The present name of the one object that `holder` means by an old name.
fn referral(objects: &[Object], holder: usize, kind: &str, old: &str) -> Option<String> {
    let me = &objects[holder];
    let candidates = |object: &&Object| {
        object.previous.iter().any(|id| id.name == old)
            && object.previous.iter().any(|id| id.kind == kind)
            && object.id.effective_namespace() == me.id.effective_namespace()
    };
    let mut found: Vec<&Object> = objects.iter().filter(candidates).collect();
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
        (empty_fits && (a.is_empty() || b.is_empty())) || {
            let shorter = a.len().min(b.len());
            (shorter > 0 || a.len() == b.len()) && a[a.len() - shorter..] == b[b.len() - shorter..]
        }
    };
    same(&a.prefixes, &b.prefixes) && same(&a.suffixes, &b.suffixes)
}

/// Objects that Kustomize leaves out of its output.
pub(super) fn is_local_config(object: &Object) -> bool {
    object
        .tree
        .at(&["metadata", "annotations", "config.kubernetes.io/local-config"])
        .is_some_and(|node| node.shown().as_deref() != Some("false"))
}
