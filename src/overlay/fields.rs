//! Where each [`Field`] stands in its object, and how its value is read and written.

use std::rc::Rc;

use serde_json::Value as Json;

use super::node::{Data, Node, Step};
use crate::model::{Field, ObjectRef, Resource, Value};

/// The kinds of objects that hold fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A workload: replicas and a pod template.
    Workload,
    /// A HorizontalPodAutoscaler.
    Hpa,
    /// A KEDA ScaledObject.
    ScaledObject,
}

impl Shape {
    pub(super) fn of(api_version: &str, kind: &str) -> Option<Self> {
        match (ObjectRef::group_of(api_version), kind) {
            ("apps", "Deployment" | "StatefulSet") | ("extensions", "Deployment") | ("argoproj.io", "Rollout") => Some(Self::Workload),
            ("autoscaling", "HorizontalPodAutoscaler") => Some(Self::Hpa),
            ("keda.sh", "ScaledObject") => Some(Self::ScaledObject),
            _ => None,
        }
    }
}

/// A part of the path to a field: a key, or the item of a list that has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Key(&'static str),
    Named(String),
}

const CONTAINERS: [Part; 4] = [Part::Key("spec"), Part::Key("template"), Part::Key("spec"), Part::Key("containers")];

/// The path of a field, with containers by name.
pub(super) fn parts(field: &Field) -> Vec<Part> {
    let spec = |key| vec![Part::Key("spec"), Part::Key(key)];
    let container = |name: &String, of, resource: &Resource| {
        let mut parts = CONTAINERS.to_vec();
        parts.extend([Part::Named(name.clone()), Part::Key("resources"), Part::Key(of), Part::Key(resource.as_str())]);
        parts
    };
    match field {
        Field::Replicas => spec("replicas"),
        Field::MinReplicas => spec("minReplicas"),
        Field::MaxReplicas => spec("maxReplicas"),
        Field::MinReplicaCount => spec("minReplicaCount"),
        Field::MaxReplicaCount => spec("maxReplicaCount"),
        Field::Request { container: name, resource } => container(name, "requests", resource),
        Field::Limit { container: name, resource } => container(name, "limits", resource),
    }
}

/// The path of a field in an object as far as it stands there, and how many parts that is.
pub(super) fn steps(field: &Field, object: &Rc<Node>) -> (Vec<Step>, usize) {
    let (mut steps, mut node) = (Vec::new(), Some(object));
    let parts = parts(field);
    for part in &parts {
        let step = match part {
            Part::Key(key) => Step::key(key),
            Part::Named(name) => {
                let Some(index) = node.and_then(|list| list.items().iter().position(|item| item.text_at(&["name"]) == name)) else {
                    return (steps.clone(), steps.len());
                };
                Step::Index(index)
            }
        };
        let next = node.and_then(|node| node.child(&step));
        if next.is_none() {
            return (steps.clone(), steps.len());
        }
        node = next;
        steps.push(step);
    }
    (steps.clone(), parts.len())
}

/// The keys of a field's path from a part on; `None` when the item of a list is among them.
pub(super) fn keys(field: &Field, from: usize) -> Option<Vec<&'static str>> {
    let key = |part: &Part| match part {
        Part::Key(key) => Some(*key),
        Part::Named(_) => None,
    };
    parts(field)[from..].iter().map(key).collect()
}

/// Puts a node at a field, with the maps on the way; nothing happens when a list on the way has no such item.
pub(super) fn put(tree: &mut Rc<Node>, field: &Field, value: &Rc<Node>) {
    let (steps, present) = steps(field, tree);
    let present = present.min(parts(field).len() - 1);
    if let Some(keys) = keys(field, present) {
        put_below(tree, &steps[..present], &keys, value);
    }
}

fn put_below(node: &mut Rc<Node>, steps: &[Step], keys: &[&str], value: &Rc<Node>) {
    let Some((first, rest)) = steps.split_first() else {
        node.put(keys, Some(value.clone()));
        return;
    };
    let child = match (&mut Rc::make_mut(node).data, first) {
        (Data::Map(entries), Step::Key(key)) => entries.iter_mut().find(|(name, _)| name == key).map(|(_, child)| child),
        (Data::List(items), Step::Index(index)) => items.get_mut(*index),
        _ => None,
    };
    if let Some(child) = child {
        put_below(child, rest, keys, value);
    }
}

/// What stands at a field; a null counts as nothing.
pub(super) fn find<'a>(field: &Field, object: &'a Rc<Node>) -> Option<&'a Rc<Node>> {
    let mut node = object;
    for part in parts(field) {
        node = match part {
            Part::Key(key) => node.get(key)?,
            Part::Named(name) => node.items().iter().find(|item| item.text_at(&["name"]) == name)?,
        };
    }
    (!node.is_null()).then_some(node)
}

/// Every field that an object may hold, set or not.
pub(super) fn all(shape: Shape, object: &Node) -> Vec<Field> {
    match shape {
        Shape::Hpa => vec![Field::MinReplicas, Field::MaxReplicas],
        Shape::ScaledObject => vec![Field::MinReplicaCount, Field::MaxReplicaCount],
        Shape::Workload => {
            let mut fields = vec![Field::Replicas];
            for container in containers(object) {
                let name = container.text_at(&["name"]);
                for resource in [Resource::Cpu, Resource::Memory] {
                    fields.push(Field::Request { container: name.to_owned(), resource });
                    fields.push(Field::Limit { container: name.to_owned(), resource });
                }
            }
            fields
        }
    }
}

/// The containers of a workload's pod template.
pub(super) fn containers(object: &Node) -> &[Rc<Node>] {
    object.at(&["spec", "template", "spec", "containers"]).map_or(&[], |list| list.items())
}

/// The value that a node holds for a field; `None` when it is no such value.
pub(super) fn read(field: &Field, node: &Node) -> Option<Value> {
    match field {
        Field::Replicas | Field::MinReplicas | Field::MaxReplicas | Field::MinReplicaCount | Field::MaxReplicaCount => {
            node.as_u32().map(Value::Count)
        }
        Field::Request { resource, .. } | Field::Limit { resource, .. } => {
            let text = node.shown()?;
            match resource {
                Resource::Cpu => text.parse().ok().map(Value::Cpu),
                Resource::Memory => text.parse().ok().map(Value::Memory),
            }
        }
    }
}

/// Whether a field can hold a value of this type.
pub(super) fn fits(field: &Field, value: Value) -> bool {
    match field {
        Field::Replicas | Field::MinReplicas | Field::MaxReplicas | Field::MinReplicaCount | Field::MaxReplicaCount => {
            matches!(value, Value::Count(_))
        }
        Field::Request { resource: Resource::Cpu, .. } | Field::Limit { resource: Resource::Cpu, .. } => matches!(value, Value::Cpu(_)),
        Field::Request { resource: Resource::Memory, .. } | Field::Limit { resource: Resource::Memory, .. } => {
            matches!(value, Value::Memory(_))
        }
    }
}

/// A value as YAML holds it. A quantity in digits alone is a number where the old one was, and text elsewhere.
pub(super) fn write(value: Value, old: Option<&Node>) -> Json {
    if let Value::Count(count) = value {
        return count.into();
    }
    let text = value.to_string();
    match (old.map(|node| &node.data), text.parse::<u64>()) {
        (Some(Data::Number(_)), Ok(number)) => number.into(),
        _ => text.into(),
    }
}
