//! Where a change goes: the statement of the overlay that wins, or Prescale's Component.

use std::rc::Rc;

use serde_json::Value as Json;

use super::build::{Build, COMPONENT};
use super::edit::target;
use super::fields::{self, Part};
use super::graph::Graph;
use super::node::Node;
use super::object::{By, Object, Setter};
use super::yaml::{NewNode, Operation, Scalar};
use crate::model::{Change, Field, Refusal, RefusalCode, RepoPath};

/// Where a change goes.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    /// One operation on a file of the overlay.
    Splice { file: RepoPath, operation: Operation },
    /// A value of Prescale's Component.
    Component,
}

/// What is known of the overlay.
pub(super) struct Known<'a> {
    pub(super) graph: &'a Graph,
    pub(super) overlay: &'a RepoPath,
    pub(super) before: &'a Build,
}

impl Known<'_> {
    /// Decides where a change of one field of `object` goes.
    pub(super) fn decide(&self, object: &Object, change: &Change) -> Result<Decision, Refusal> {
        let field = &change.field;
        if !object.shape.is_some_and(|shape| fields::all(shape, &object.tree).contains(field)) {
            let detail = format!("{} {} holds no field `{field}`", object.id.kind, object.id.name);
            return Err(Refusal { code: RefusalCode::NoTarget, place: object.tree.place(), detail });
        }
        if !fields::fits(field, change.to) {
            return Err(Refusal::new(RefusalCode::Unsupported, format!("`{}` is no value for `{field}`", change.to)));
        }
        match object.setters.get(field).and_then(|setters| setters.last()) {
            Some(Setter { by: By::Fixed(refusal), .. }) => Err(refusal.clone()),
            Some(setter @ Setter { node: Some(node), .. }) => match self.own_file(node) {
                Some(file) => self.in_place(object, file, node, setter, change),
                None => self.component(object, field),
            },
            Some(Setter { node: None, .. }) | None => self.insertion(object, change).map_or_else(|| self.component(object, field), Ok),
        }
    }

    /// The file of a node, where it belongs to the overlay alone and is not written as a whole by Prescale.
    fn own_file<'n>(&self, node: &'n Node) -> Option<&'n RepoPath> {
        let file = node.origin.as_ref()?.file();
        let ours = self.overlay.join(COMPONENT).is_some_and(|folder| file.is_under(&folder));
        (!ours && self.graph.belongs_to(file, self.overlay)).then_some(file)
    }

    /// The Component, where the field is there when components run.
    fn component(&self, object: &Object, field: &Field) -> Result<Decision, Refusal> {
        let reachable = self.before.at_component.get(&object.serial).is_some_and(|tree| {
            let (_, present) = fields::steps(field, tree);
            fields::parts(field)[present..].iter().all(|part| matches!(part, Part::Key(_)))
        });
        if reachable {
            return Ok(Decision::Component);
        }
        let detail = format!("`{field}` of {} {} comes into being after the overlay's components have run", object.id.kind, object.id.name);
        Err(Refusal { code: RefusalCode::WouldNotWin, place: object.tree.place(), detail })
    }

    /// Replaces the value where the overlay sets it.
    fn in_place(&self, object: &Object, file: &RepoPath, node: &Rc<Node>, setter: &Setter, change: &Change) -> Result<Decision, Refusal> {
        let refuse = |code, detail: String| Refusal { code, place: setter.place(), detail };
        if let By::Replicas(kinds) = &setter.by
            && kinds.len() > 1
        {
            return Err(refuse(
                RefusalCode::SharedName,
                format!("the entry sets the replicas of several kinds at once: {}", kinds.join(", ")),
            ));
        }
        if let Some((other, field)) = self.also_set(object, &change.field, node) {
            return Err(refuse(RefusalCode::Shared, format!("the line also sets `{field}` of {} {}", other.id.kind, other.id.name)));
        }
        if fields::read(&change.field, node).is_none() {
            let text = node.shown().unwrap_or_default();
            let code = match text {
                _ if text.contains("{{") => RefusalCode::Templated,
                _ if text.contains("$(") => RefusalCode::Replaced,
                _ => RefusalCode::Unsupported,
            };
            return Err(refuse(code, format!("`{text}` is no plain value of `{}`", change.field)));
        }
        let at = target(node).ok_or_else(|| refuse(RefusalCode::Unsupported, "the value has no place in a file".to_owned()))?;
        let to = scalar(&fields::write(change.to, Some(node)));
        Ok(Decision::Splice { file: file.clone(), operation: Operation::Set { at, to } })
    }

    /// Another field whose value the same line sets.
    fn also_set(&self, object: &Object, field: &Field, node: &Rc<Node>) -> Option<(&Object, &Field)> {
        self.before.objects.iter().find_map(|other| {
            let same =
                |setters: &[Setter]| setters.last().and_then(|setter| setter.node.as_ref()).is_some_and(|theirs| Rc::ptr_eq(theirs, node));
            let (theirs, _) =
                other.setters.iter().find(|(theirs, setters)| same(setters) && (other.serial, *theirs) != (object.serial, field))?;
            Some((other, theirs))
        })
    }

    /// Adds the value to the map that encloses it, where the overlay itself wrote that.
    fn insertion(&self, object: &Object, change: &Change) -> Option<Decision> {
        let (steps, present) = fields::steps(&change.field, &object.tree);
        let parent = object.tree.resolve(&steps[..present])?;
        let file = self.own_file(parent)?;
        let keys: Vec<&str> = fields::keys(&change.field, present)?;
        let (first, rest) = keys.split_first()?;
        let value = NewNode::Scalar(scalar(&fields::write(change.to, None)));
        let value = rest.iter().rev().fold(value, |inner, key| NewNode::Mapping(vec![((*key).to_owned(), inner)]));
        let operation = Operation::Insert { at: target(parent)?, key: (*first).to_owned(), value };
        Some(Decision::Splice { file: file.clone(), operation })
    }
}

fn scalar(value: &Json) -> Scalar {
    match value {
        Json::Number(number) => number.as_i64().map_or_else(|| Scalar::Text(number.to_string()), Scalar::Int),
        Json::Bool(flag) => Scalar::Bool(*flag),
        Json::String(text) => Scalar::Text(text.clone()),
        other => Scalar::Text(other.to_string()),
    }
}
