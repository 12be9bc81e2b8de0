//! Prescale's own cron triggers among all triggers of a ScaledObject.

use std::rc::Rc;

use serde_json::{Value as Json, json};

use super::node::{Data, Node};
use crate::model::{CronWindow, Schedule, schedule::OWN_TRIGGER};

const TRIGGERS: [&str; 2] = ["spec", "triggers"];

/// All triggers of a ScaledObject.
pub(super) fn triggers(object: &Node) -> &[Rc<Node>] {
    object.at(&TRIGGERS).map_or(&[], |list| list.items())
}

/// Whether Prescale owns a trigger.
pub(super) fn is_own(trigger: &Node) -> bool {
    trigger.text_at(&["name"]).starts_with(OWN_TRIGGER)
}

/// Prescale's triggers, gathered in a list that stands nowhere itself.
pub(super) fn own(object: &Node) -> Rc<Node> {
    Node::new(Data::List(triggers(object).iter().filter(|trigger| is_own(trigger)).cloned().collect()))
}

/// Puts triggers in the place of Prescale's own ones, after those of people.
pub(super) fn put(object: &mut Rc<Node>, own: &Node) {
    let others = triggers(object).iter().filter(|trigger| !is_own(trigger)).chain(own.items()).cloned().collect();
    object.put(&TRIGGERS, Some(Node::new(Data::List(others))));
}

/// What gathered triggers say; `None` when one of them is none that Prescale would write.
pub(super) fn read(own: &Node) -> Option<Schedule> {
    let windows: Vec<CronWindow> = own.items().iter().map(|trigger| window(trigger)).collect::<Option<_>>()?;
    windows.try_into().ok()
}

/// What one trigger says.
pub(super) fn window(trigger: &Node) -> Option<CronWindow> {
    let text = |key: &str| trigger.at(&["metadata", key]).and_then(|node| node.shown());
    let known = trigger.entries().len() == 3 && trigger.get("metadata")?.entries().len() == 4;
    (known && trigger.text_at(&["type"]) == "cron").then_some(())?;
    Some(CronWindow {
        name: trigger.text_at(&["name"]).to_owned().try_into().ok()?,
        timezone: text("timezone")?,
        start: text("start")?.parse().ok()?,
        end: text("end")?.parse().ok()?,
        desired_replicas: text("desiredReplicas")?.parse().ok()?,
    })
}

/// A trigger as KEDA takes it.
pub(super) fn trigger(window: &CronWindow) -> Json {
    json!({ "type": "cron", "name": window.name.to_string(), "metadata": metadata(window).into_iter().collect::<serde_json::Map<_, _>>() })
}

/// The metadata of a trigger; KEDA takes text alone.
pub(super) fn metadata(window: &CronWindow) -> [(String, Json); 4] {
    [
        ("timezone", window.timezone.clone()),
        ("start", window.start.to_string()),
        ("end", window.end.to_string()),
        ("desiredReplicas", window.desired_replicas.to_string()),
    ]
    .map(|(key, text)| (key.to_owned(), text.into()))
}
