//! Where each [`Field`] stands in its object, and how its value is read and written.

use std::rc::Rc;

use serde_json::Value as Json;

use super::node::{Data, Node, Step};
use super::schedule;
use crate::model::{Direction, Field, Mark, Metric, ObjectRef, Part, Resource, Value, ValueType};

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

/// The path of a field in this object; empty where objects of its version have no such field.
pub(super) fn parts(field: &Field, object: &Node) -> Vec<Part> {
    field.parts(object.text_at(&["apiVersion"])).unwrap_or_default()
}

/// Whether an item of a list is the one that is meant.
pub(super) fn bears(item: &Node, marks: &[Mark]) -> bool {
    marks.iter().all(|mark| item.text_at(mark.at) == mark.is)
}

fn step(part: &Part, node: &Node) -> Option<Step> {
    Some(match part {
        Part::Key(key) => Step::key(key),
        Part::Item(marks) => Step::Index(node.items().iter().position(|item| bears(item, marks))?),
    })
}

/// A path in an object as far as it stands there.
pub(super) fn steps(parts: &[Part], object: &Rc<Node>) -> Vec<Step> {
    let (mut steps, mut node) = (Vec::new(), object);
    for part in parts {
        let Some(step) = step(part, node) else { break };
        let Some(next) = node.child(&step) else { break };
        node = next;
        steps.push(step);
    }
    steps
}

/// A second item of a list to which a path leads as well as to the first.
pub(super) fn second<'a>(parts: &[Part], object: &'a Rc<Node>) -> Option<&'a Rc<Node>> {
    let mut node = object;
    for part in parts {
        if let Part::Item(marks) = part
            && let Some(second) = node.items().iter().filter(|item| bears(item, marks)).nth(1)
        {
            return Some(second);
        }
        node = node.child(&step(part, node)?)?;
    }
    None
}

/// The keys of a path; `None` when the item of a list is among them.
pub(super) fn keys(parts: &[Part]) -> Option<Vec<&str>> {
    let keys = parts.iter().map(|part| match part {
        Part::Key(key) => Some(&**key),
        Part::Item(_) => None,
    });
    keys.collect()
}

/// Puts a node at a field, with the maps on the way; nothing happens when a list on the way has no such item.
pub(super) fn put(tree: &mut Rc<Node>, field: &Field, value: &Rc<Node>) {
    if *field == Field::Schedule {
        return schedule::put(tree, value);
    }
    let parts = parts(field, tree);
    let mut steps = steps(&parts, tree);
    steps.truncate(parts.len().saturating_sub(1));
    if let Some(keys) = keys(&parts[steps.len()..]).filter(|keys| !keys.is_empty()) {
        put_below(tree, &steps, &keys, value);
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
pub(super) fn find(field: &Field, object: &Rc<Node>) -> Option<Rc<Node>> {
    if *field == Field::Schedule {
        return Some(schedule::own(object));
    }
    let parts = parts(field, object);
    let node = parts.iter().try_fold(object, |node, part| node.child(&step(part, node)?))?;
    (!parts.is_empty() && !node.is_null()).then(|| node.clone())
}

/// Whether what [`find`] gave at two times was written by the same hand.
pub(super) fn is_same(one: &Rc<Node>, other: &Rc<Node>) -> bool {
    // A schedule is gathered anew each time; its items are not.
    let gathered = |node: &Node| node.origin.is_none() && matches!(node.data, Data::List(_));
    let (a, b) = (one.items(), other.items());
    Rc::ptr_eq(one, other) || (gathered(one) && gathered(other) && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Rc::ptr_eq(a, b)))
}

/// Every field that an object has a place for, set or not; of metrics and annotations, those that are there.
pub(super) fn all(shape: Shape, object: &Node) -> Vec<Field> {
    match shape {
        Shape::Hpa => hpa(object),
        Shape::ScaledObject => {
            let mut fields = vec![Field::MinReplicaCount, Field::MaxReplicaCount];
            fields.extend(Direction::ALL.map(Field::AdvancedStabilization));
            fields.push(Field::Schedule);
            fields
        }
        Shape::Workload => {
            let mut fields = vec![Field::Replicas];
            for container in containers(object) {
                let name = container.text_at(&["name"]);
                for resource in [Resource::Cpu, Resource::Memory] {
                    fields.push(Field::Request { container: name.to_owned(), resource });
                    fields.push(Field::Limit { container: name.to_owned(), resource });
                }
            }
            let annotations = object.at(&["spec", "template", "metadata", "annotations"]).map_or(&[][..], |map| map.entries());
            fields.extend(annotations.iter().map(|(key, _)| Field::PodAnnotation { key: key.to_string() }));
            fields
        }
    }
}

fn hpa(object: &Node) -> Vec<Field> {
    let mut fields = vec![Field::MinReplicas, Field::MaxReplicas];
    let api_version = object.text_at(&["apiVersion"]);
    if api_version == "autoscaling/v1" {
        fields.push(Field::TargetUtilization(Metric { resource: Resource::Cpu, container: None }));
        return fields;
    }
    for item in object.at(&["spec", "metrics"]).map_or(&[][..], |list| list.items()) {
        let (body, in_container) = match item.text_at(&["type"]) {
            "Resource" => (item.get("resource"), false),
            "ContainerResource" => (item.get("containerResource"), true),
            _ => continue,
        };
        let Some(body) = body else { continue };
        let resource = match body.text_at(&["name"]) {
            "cpu" => Resource::Cpu,
            "memory" => Resource::Memory,
            _ => continue,
        };
        let metric = Metric { resource, container: in_container.then(|| body.text_at(&["container"]).to_owned()) };
        let has = |keys: &[&str]| body.at(keys).is_some_and(|node| !node.is_null());
        let kinds = [
            (Field::TargetUtilization(metric.clone()), ["averageUtilization", "targetAverageUtilization"]),
            (Field::TargetValue(metric), ["averageValue", "targetAverageValue"]),
        ];
        for (field, [key, old_key]) in kinds {
            let there = if api_version == "autoscaling/v2beta1" { has(&[old_key]) } else { has(&["target", key]) };
            if there && !fields.contains(&field) {
                fields.push(field);
            }
        }
    }
    if Field::Stabilization(Direction::ScaleDown).parts(api_version).is_some() {
        fields.extend(Direction::ALL.map(Field::Stabilization));
    }
    fields
}

/// Whether an object has a place for a field.
pub(super) fn has(shape: Shape, object: &Node, field: &Field) -> bool {
    match field {
        Field::PodAnnotation { key } => shape == Shape::Workload && !key.is_empty(),
        _ => all(shape, object).contains(field),
    }
}

/// The containers of a workload's pod template.
pub(super) fn containers(object: &Node) -> &[Rc<Node>] {
    object.at(&["spec", "template", "spec", "containers"]).map_or(&[], |list| list.items())
}

/// The value that a node holds for a field; `None` when it is no such value.
pub(super) fn read(field: &Field, node: &Node) -> Option<Value> {
    match field.value_type() {
        ValueType::Count => node.as_u32().map(Value::Count),
        ValueType::Percent => node.as_u32()?.try_into().ok().map(Value::Percent),
        ValueType::Stabilization => node.as_u32()?.try_into().ok().map(Value::Stabilization),
        ValueType::Cpu => node.shown()?.parse().ok().map(Value::Cpu),
        ValueType::Memory => node.shown()?.parse().ok().map(Value::Memory),
        ValueType::Text => node.as_text().map(|text| Value::Text(text.to_owned())),
        ValueType::Schedule => schedule::read(node).map(Value::Schedule),
    }
}

/// A value as YAML holds it. A quantity in digits alone is a number where the old one was, and text elsewhere.
pub(super) fn write(value: &Value, old: Option<&Node>) -> Json {
    let text = match value {
        Value::Count(number) => return (*number).into(),
        Value::Percent(percent) => return u32::from(*percent).into(),
        Value::Stabilization(seconds) => return u32::from(*seconds).into(),
        Value::Text(text) => return text.as_str().into(),
        Value::Schedule(schedule) => return schedule.windows().iter().map(schedule::trigger).collect(),
        Value::Cpu(_) | Value::Memory(_) => value.to_string(),
    };
    match (old.map(|node| &node.data), text.parse::<u64>()) {
        (Some(Data::Number(_)), Ok(number)) => number.into(),
        _ => text.into(),
    }
}
