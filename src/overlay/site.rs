//! Where a change goes: the statement of the overlay that wins, or Prescale's Component.

use std::rc::Rc;

use serde_json::Value as Json;

use super::build::{Build, COMPONENT};
use super::edit::{Scope, target};
use super::fields;
use super::graph::Graph;
use super::node::Node;
use super::object::{By, Object, Setter};
use super::schedule;
use super::yaml::{NewNode, Operation, Scalar, Target};
use crate::model::{Change, CronWindow, Field, Part, Refusal, RefusalCode, RepoPath, Schedule, Value};

/// Where a change goes.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    /// Operations on files of the overlay.
    Splice(Vec<(RepoPath, Operation)>),
    /// A value of Prescale's Component.
    Component,
}

impl Decision {
    /// Whether it adds statements and alters none.
    pub(super) fn only_adds(&self) -> bool {
        let adds = |operation: &Operation| matches!(operation, Operation::Insert { .. } | Operation::Append { .. });
        matches!(self, Self::Splice(splices) if splices.iter().all(|(_, operation)| adds(operation)))
    }
}

/// What is known of the overlay.
pub(super) struct Known<'a> {
    pub(super) graph: &'a Graph,
    pub(super) overlay: &'a RepoPath,
    pub(super) before: &'a Build,
    pub(super) scope: &'a Scope,
}

impl Known<'_> {
    /// Decides where a change of one field of `object` goes.
    pub(super) fn decide(&self, object: &Object, change: &Change) -> Result<Decision, Refusal> {
        let field = &change.field;
        let refuse = |code, place, detail: String| Err(Refusal { code, place, detail });
        let (kind, name, api_version) = (&object.id.kind, &object.id.name, &object.id.api_version);
        let shape = object.shape.filter(|shape| fields::has(*shape, &object.tree, field));
        if shape.is_none() {
            let version = matches!(field, Field::Stabilization(_)) && kind == "HorizontalPodAutoscaler";
            if version && field.parts(api_version).is_none() {
                let detail = format!("`{api_version}` has no `behavior`: move {kind} {name} to `autoscaling/v2`");
                return refuse(RefusalCode::Unsupported, object.tree.place(), detail);
            }
            return refuse(RefusalCode::NoTarget, object.tree.place(), format!("{kind} {name} holds no field `{field}`"));
        }
        if let Some(second) = fields::second(&fields::parts(field, &object.tree), &object.tree) {
            let detail = format!("`{field}` may mean two items of a list in {kind} {name}: remove one of them");
            return refuse(RefusalCode::Ambiguous, second.place(), detail);
        }
        if field.value_type() != change.to.value_type() {
            return refuse(RefusalCode::Unsupported, None, format!("`{}` is no value for `{field}`", change.to));
        }
        let setters = object.setters.get(field).map_or(&[][..], Vec::as_slice);
        if let Some(setter) = setters.iter().find(|setter| setter.by == By::CommonAnnotations) {
            // Kustomize puts one and the same node on the object and on its pod template: a later patch of one changes both.
            let detail =
                "`commonAnnotations:` sets the annotation on objects and their pods at once: give it to the pods by a patch instead";
            return refuse(RefusalCode::Shared, setter.place(), detail.to_owned());
        }
        match (setters.last(), &change.to) {
            (Some(Setter { by: By::Fixed(refusal), .. }), _) => Err(refusal.clone()),
            (None, _) if let Some(refusal) = &object.veiled => Err(refusal.clone()),
            (_, Value::Schedule(wanted)) => self.schedule(object, wanted),
            (Some(setter @ Setter { node: Some(node), .. }), _) => match self.own_file(node) {
                Some(file) => self.in_place(object, file, node, setter, change),
                None => self.component(object, field),
            },
            (Some(Setter { node: None, .. }) | None, _) => self.insertion(object, change).map_or_else(|| self.component(object, field), Ok),
        }
    }

    /// The file of a node, where it belongs to the overlay alone, may be edited as the overlay may, and is not written as a whole by Prescale.
    fn own_file<'n>(&self, node: &'n Node) -> Option<&'n RepoPath> {
        let file = node.origin.as_ref()?.file();
        let ours = self.overlay.join(COMPONENT).is_some_and(|folder| file.is_under(&folder));
        // Where the overlay itself may not be edited, the refusal names the line that would be.
        let within = self.scope.has(file) || !self.scope.has(self.overlay);
        (!ours && within && self.graph.belongs_to(file, self.overlay)).then_some(file)
    }

    /// The Component, where the field is there when components run.
    fn component(&self, object: &Object, field: &Field) -> Result<Decision, Refusal> {
        let reachable = self.before.at_component.get(&object.serial).is_some_and(|tree| {
            let parts = fields::parts(field, tree);
            let missing = &parts[fields::steps(&parts, tree).len()..];
            missing.iter().all(|part| matches!(part, Part::Key(_))) && fields::second(&parts, tree).is_none()
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
        let to = scalar(&fields::write(&change.to, Some(node)));
        Ok(Decision::Splice(vec![(file.clone(), Operation::Set { at, to })]))
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
        let parts = fields::parts(&change.field, &object.tree);
        let steps = fields::steps(&parts, &object.tree);
        let parent = object.tree.resolve(&steps)?;
        let file = self.own_file(parent)?;
        let keys = fields::keys(&parts[steps.len()..])?;
        let (first, rest) = keys.split_first()?;
        let value = new_node(&fields::write(&change.to, None));
        let value = rest.iter().rev().fold(value, |inner, key| NewNode::Mapping(vec![((*key).to_owned(), inner)]));
        let operation = Operation::Insert { at: target(parent)?, key: (*first).to_owned(), value };
        Some(Decision::Splice(vec![(file.clone(), operation)]))
    }

    /// Edits the list of triggers where the overlay itself wrote that; people's triggers stay as they are.
    fn schedule(&self, object: &Object, wanted: &Schedule) -> Result<Decision, Refusal> {
        let own = schedule::own(&object.tree);
        let ours = self.overlay.join(COMPONENT);
        let in_component =
            |item: &Rc<Node>| item.origin.as_ref().zip(ours.as_ref()).is_some_and(|(origin, folder)| origin.file().is_under(folder));
        let list = object.tree.at(&["spec", "triggers"]).filter(|list| self.own_file(list).is_some());
        let Some(list) = list.filter(|_| !own.items().iter().any(in_component)) else {
            return self.component(object, &Field::Schedule);
        };
        let shared = |other: &&Object| {
            other.serial != object.serial && other.tree.at(&["spec", "triggers"]).is_some_and(|theirs| Rc::ptr_eq(theirs, list))
        };
        if let Some(other) = self.before.objects.iter().find(shared) {
            let detail = format!("the list of triggers is also that of {} {}", other.id.kind, other.id.name);
            return Err(Refusal { code: RefusalCode::Shared, place: list.place(), detail });
        }
        let mut splices = Vec::new();
        let mut splice = |node: &Node, operation: &dyn Fn(Target) -> Operation| {
            let place = self.own_file(node).cloned().zip(target(node));
            let (file, at) = place.ok_or_else(|| Refusal {
                code: RefusalCode::Shared,
                place: node.place(),
                detail: "the trigger stands in a file that other overlays read too".to_owned(),
            })?;
            splices.push((file, operation(at)));
            Ok::<(), Refusal>(())
        };
        for item in own.items() {
            let Some(now) = schedule::window(item) else {
                let detail = format!("`{}` is no trigger that Prescale would write: rename it", item.text_at(&["name"]));
                return Err(Refusal { code: RefusalCode::Unsupported, place: item.place(), detail });
            };
            let Some(window) = wanted.windows().iter().find(|window| window.name == now.name) else {
                splice(item, &|at| Operation::Remove { at })?;
                continue;
            };
            for (key, value) in schedule::metadata(window) {
                let Some(node) = item.at(&["metadata", &key]).filter(|node| node.shown().as_deref() != value.as_str()) else { continue };
                splice(node, &|at| Operation::Set { at, to: scalar(&value) })?;
            }
        }
        let is_new = |window: &&CronWindow| !own.items().iter().any(|item| window.name.as_str() == item.text_at(&["name"]));
        for window in wanted.windows().iter().filter(is_new) {
            let value = new_node(&schedule::trigger(window));
            splice(list, &|at| Operation::Append { at, value: value.clone() })?;
        }
        Ok(Decision::Splice(splices))
    }
}

fn new_node(value: &Json) -> NewNode {
    match value {
        Json::Array(items) => NewNode::Sequence(items.iter().map(new_node).collect()),
        Json::Object(entries) => NewNode::Mapping(entries.iter().map(|(key, value)| (key.clone(), new_node(value))).collect()),
        value => NewNode::Scalar(scalar(value)),
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
