//! Where a change goes: the place in the overlay that wins, or Prescale's Component.

use std::rc::Rc;

use serde_json::Value as Json;

use super::build::{Build, COMPONENT};
use super::edit::target;
use super::fields::{self, Part};
use super::files::Files;
use super::graph::Graph;
use super::node::Node;
use super::object::{By, Object, Setter};
use super::owners;
use super::yaml::{NewNode, Operation, Scalar};
use crate::model::{Change, Field, Refusal, RefusalCode, RepoPath, Site, SiteKind};

/// Where a change goes.
#[derive(Clone, Debug)]
pub(super) enum Sited {
    /// One operation on a file of the overlay.
    Splice { file: RepoPath, operation: Operation, site: Site },
    /// A value of Prescale's Component.
    Component,
}

/// Decides where a change of one field goes.
pub(super) fn decide(
    files: &Files<'_>,
    graph: &Graph,
    overlay: &RepoPath,
    before: &Build,
    object: &Object,
    change: &Change,
) -> Result<Sited, Refusal> {
    let field = &change.field;
    let applies = object.shape.is_some_and(|shape| fields::all(shape, &object.tree).contains(field));
    if !applies {
        let place = object.tree.place();
        let detail = format!("{} {} holds no field `{field}`", object.id.kind, object.id.name);
        return Err(Refusal { code: RefusalCode::NoTarget, place, detail });
    }
    if !fields::fits(field, change.to) {
        return Err(Refusal::new(RefusalCode::Unsupported, format!("`{}` is no value for `{field}`", change.to)));
    }
    let setters = object.setters.get(field).map_or(&[][..], Vec::as_slice);
    let component = || {
        if before.at_component.contains_key(&object.serial) {
            Ok(Sited::Component)
        } else {
            let detail = format!("{} {} comes into being after the overlay's components have run", object.id.kind, object.id.name);
            Err(Refusal { code: RefusalCode::WouldNotWin, place: object.tree.place(), detail })
        }
    };
    match setters.last() {
        Some(Setter { by: By::Fixed(refusal), .. }) => Err(refusal.clone()),
        Some(setter @ Setter { node: Some(node), .. }) => {
            let own = node.origin.as_ref().map(|origin| origin.file()).filter(|file| graph.belongs_to(file, overlay));
            let folder = overlay.join(COMPONENT).unwrap_or_default();
            match own {
                Some(file) if file.is_under(&folder) => component(),
                Some(file) => in_place(files, before, overlay, object, file, node, setter, change),
                None => component(),
            }
        }
        _ => match insertion(graph, overlay, object, change) {
            Some(sited) => Ok(sited),
            None => component(),
        },
    }
}

/// Replaces the value where the overlay sets it.
#[allow(clippy::too_many_arguments)]
fn in_place(
    files: &Files<'_>,
    before: &Build,
    overlay: &RepoPath,
    object: &Object,
    file: &RepoPath,
    node: &Rc<Node>,
    setter: &Setter,
    change: &Change,
) -> Result<Sited, Refusal> {
    let refuse = |code, detail: String| Refusal { code, place: setter.place(), detail };
    if let By::Replicas(kinds) = &setter.by
        && kinds.len() > 1
    {
        return Err(refuse(RefusalCode::SharedName, format!("the entry sets the replicas of several kinds at once: {}", kinds.join(", "))));
    }
    if let Some((other, field)) = shared(before, object, &change.field, node) {
        let detail = format!("the line also sets `{field}` of {} {}, and runs after the Component", other.id.kind, other.id.name);
        return Err(refuse(RefusalCode::WouldNotWin, detail));
    }
    if fields::read(&change.field, node).is_none() {
        let text = node.shown().unwrap_or_default();
        let code = if text.contains("{{") { RefusalCode::Templated } else { RefusalCode::Unsupported };
        return Err(refuse(code, format!("`{text}` is no plain value of `{}`", change.field)));
    }
    let (Some(at), Some(site)) = (target(node), owners::site(setter, overlay)) else {
        return Err(refuse(RefusalCode::Unsupported, "the value has no place in a file".to_owned()));
    };
    let _ = files;
    let to = scalar(&fields::write(change.to, Some(node)));
    Ok(Sited::Splice { file: file.clone(), operation: Operation::Set { at, to }, site })
}

/// Another field that the same line sets.
fn shared<'a>(before: &'a Build, object: &Object, field: &Field, node: &Rc<Node>) -> Option<(&'a Object, &'a Field)> {
    before.objects.iter().find_map(|other| {
        let field = other.setters.iter().find_map(|(theirs, setters)| {
            let same = setters.last()?.node.as_ref().is_some_and(|node_of| Rc::ptr_eq(node_of, node));
            (same && (other.serial, theirs) != (object.serial, field)).then_some(theirs)
        });
        Some((other, field?))
    })
}

/// Adds the value to the object's manifest, where that belongs to the overlay and nothing sets the field.
fn insertion(graph: &Graph, overlay: &RepoPath, object: &Object, change: &Change) -> Option<Sited> {
    if object.setters.contains_key(&change.field) {
        return None;
    }
    let manifest = &object.manifest;
    let origin = manifest.origin.as_ref().filter(|origin| graph.belongs_to(origin.file(), overlay))?;
    let (steps, present) = fields::steps(&change.field, manifest);
    let parts = fields::parts(&change.field);
    let parent = if present == 0 { manifest } else { manifest.resolve(&steps[..present])? };
    let keys = parts[present..]
        .iter()
        .map(|part| match part {
            Part::Key(key) => Some(*key),
            Part::Named(_) => None,
        })
        .collect::<Option<Vec<_>>>()?;
    let (first, rest) = keys.split_first()?;
    let value = rest
        .iter()
        .rev()
        .fold(NewNode::Scalar(scalar(&fields::write(change.to, None))), |inner, key| NewNode::Mapping(vec![((*key).to_owned(), inner)]));
    let place = parent.place()?;
    Some(Sited::Splice {
        file: origin.file().clone(),
        operation: Operation::Insert { at: target(parent)?, key: (*first).to_owned(), value },
        site: Site { place, kind: SiteKind::Manifest },
    })
}

fn scalar(value: &Json) -> Scalar {
    match value {
        Json::Number(number) => number.as_i64().map_or_else(|| Scalar::Text(number.to_string()), Scalar::Int),
        Json::Bool(flag) => Scalar::Bool(*flag),
        Json::String(text) => Scalar::Text(text.clone()),
        other => Scalar::Text(other.to_string()),
    }
}
