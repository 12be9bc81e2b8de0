//! Whether a plan still holds on another commit: people win.

use std::collections::BTreeMap;

use super::survey::survey;
use crate::model::{Change, Held, HoldReason, Refusal, RefusalCode, Tree, Value};

/// Parts changes whose field still holds what it held when they were planned from those that someone else was quicker to change.
pub fn still_as_planned(changes: impl Iterator<Item = Change>, tree: &Tree) -> (Vec<Change>, Vec<Held>) {
    let mut surveys = BTreeMap::new();
    let (mut still, mut held) = (Vec::new(), Vec::new());
    for change in changes {
        let rendered = surveys.entry(change.overlay.clone()).or_insert_with(|| survey(tree, &change.overlay));
        let now = match rendered {
            Ok(rendered) => rendered
                .workloads
                .iter()
                .find(|workload| workload.id == change.workload)
                .map(|workload| workload.value(&change.field).cloned()),
            Err(_) => None,
        };
        if now.as_ref() == Some(&change.from) {
            still.push(change);
            continue;
        }
        let words = |value: Option<&Value>| value.map_or("unset".to_owned(), ToString::to_string);
        let is = now.as_ref().map_or("gone".to_owned(), |now| words(now.as_ref()));
        let detail = format!(
            "{} was {} when the plan was made, and is {is} now: what someone else set stays",
            change.field,
            words(change.from.as_ref())
        );
        held.push(Held {
            workload: change.workload,
            why: HoldReason::Refused(Refusal::at(RefusalCode::ChangedMeanwhile, &change.overlay, None, detail)),
            overlay: change.overlay,
            field: Some(change.field),
            wanted: Some(change.to),
        });
    }
    (still, held)
}
