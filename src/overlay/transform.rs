//! The transformers that a kustomization configures beside its patches.

use std::rc::Rc;

use super::kustomization::Kustomization;
use super::node::{Data, Node};
use super::object::{By, Object, is_cluster_scoped};
use super::reference::Rules;

/// The kinds that `replicas:` reaches.
const COUNTED: [&str; 4] = ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"];

/// `namespace:`, which also renames Namespaces.
pub(super) fn namespace(namespace: &str, unset_only: bool, objects: &mut [Object]) {
    if namespace.is_empty() {
        return;
    }
    for object in objects {
        let is_namespace = object.id.kind == "Namespace" && object.id.api_version == "v1";
        if (is_cluster_scoped(&object.id.kind) && !is_namespace) || (unset_only && !object.id.namespace.is_empty()) {
            continue;
        }
        object.remember();
        let (key, id) = if is_namespace { ("name", &mut object.id.name) } else { ("namespace", &mut object.id.namespace) };
        namespace.clone_into(id);
        object.tree.put(&["metadata", key], Some(Node::text(namespace)));
    }
}

/// `namePrefix:`, then `nameSuffix:`.
pub(super) fn prefix(prefix: &str, suffix: &str, objects: &mut [Object]) {
    for object in objects {
        if matches!(object.original().kind.as_str(), "CustomResourceDefinition" | "APIService" | "Namespace") {
            continue;
        }
        for (before, after) in [(prefix, ""), ("", suffix)] {
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
        put_all(labels, "labels", objects);
    }
}

/// `commonAnnotations:`, on the objects themselves and on the pod templates that Kustomize knows.
pub(super) fn annotations(kustomization: &Kustomization, objects: &mut [Object], rules: &Rules) {
    if let Some(annotations) = kustomization.get("commonAnnotations") {
        put_all(annotations, "annotations", objects);
        let known = |kind: &str| matches!(kind, "Deployment" | "StatefulSet") || rules.annotated.iter().any(|other| other == kind);
        for object in objects.iter_mut().filter(|object| known(&object.id.kind)) {
            annotate_pods(annotations, object, &By::CommonAnnotations);
        }
    }
}

/// Puts annotations on a workload's pod template.
pub(super) fn annotate_pods(annotations: &Node, object: &mut Object, by: &By) {
    let mut tree = object.tree.clone();
    for (name, value) in annotations.entries() {
        tree.put(&["spec", "template", "metadata", "annotations", name], Some(value.clone()));
    }
    object.replace(tree, by, annotations.place().as_ref());
}

/// Puts all pairs under a key of every object's metadata.
pub(super) fn put_all(pairs: &Node, key: &str, objects: &mut [Object]) {
    for object in objects {
        for (name, value) in pairs.entries() {
            object.tree.put(&["metadata", key, name], Some(value.clone()));
        }
    }
}

/// One entry of `replicas:`; whether it hits anything.
pub(super) fn replicas(entry: &Rc<Node>, objects: &mut [Object], rules: &Rules) -> bool {
    let name = entry.get("name").and_then(|node| node.shown()).unwrap_or_default();
    let builtin = COUNTED.map(|kind| (kind.to_owned(), vec!["spec".to_owned(), "replicas".to_owned()]));
    let specs: Vec<_> = builtin.iter().chain(&rules.counted).collect();
    let hits: Vec<(usize, &Vec<String>)> = specs
        .iter()
        .flat_map(|(kind, path)| {
            let fits = |object: &Object| object.any_id(|id| id.name == name && id.kind == *kind);
            objects.iter().enumerate().filter(move |(_, object)| fits(object)).map(move |(index, _)| (index, path))
        })
        .collect();
    let kinds: Vec<String> = hits.iter().map(|(index, _)| objects[*index].id.kind.clone()).collect();
    let count = entry.get("count").cloned().unwrap_or_else(|| Node::new(Data::Number(0.into())));
    for (index, path) in &hits {
        let object = &mut objects[*index];
        let mut tree = object.tree.clone();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        tree.put(&path, Some(count.clone()));
        object.replace(tree, &By::Replicas(kinds.clone()), entry.place().as_ref());
    }
    !hits.is_empty()
}

/// The object that a generator of maps makes, as far as it can be seen: literals, but not files.
pub(super) fn generated(kind: &str, entry: &Rc<Node>) -> Rc<Node> {
    let mut tree = Node::new(Data::Map(Vec::new()));
    tree.put(&["apiVersion"], Some(Node::text("v1")));
    tree.put(&["kind"], Some(Node::text(kind)));
    for key in ["name", "namespace"] {
        if let Some(value) = entry.get(key) {
            tree.put(&["metadata", key], Some(value.clone()));
        }
    }
    if kind == "ConfigMap" {
        for literal in entry.get("literals").map_or(&[][..], |list| list.items()) {
            if let Some((key, value)) = literal.as_text().and_then(|text| text.split_once('=')) {
                let value = value.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\''])).unwrap_or(value);
                tree.put(&["data", key], Some(Node::text(value)));
            }
        }
    }
    tree
}

/// Objects that Kustomize leaves out of its output.
pub(super) fn is_local_config(object: &Object) -> bool {
    object
        .tree
        .at(&["metadata", "annotations", "config.kubernetes.io/local-config"])
        .is_some_and(|node| node.shown().as_deref() != Some("false"))
}
