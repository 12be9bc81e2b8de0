//! From what is known and forecast to a [`Plan`]. Pure and total: trouble with one workload is a [`Held`], never an error.

mod budget;
mod degraded;
mod guards;
mod hpa;
mod learned;
mod live;
mod need;
mod replicas;
mod requests;
mod tuning;
mod vetoes;

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::model::plan::Outlook;
use crate::model::{
    BATCH, Change, Field, Foreseen, Held, HoldReason, ObjectRef, Observed, Plan, Reason, RepoPath, Snapshot, Value, Window, WorkloadId,
    on_all_cores,
};
use guards::Past;

pub use budget::Budget;
pub use degraded::take_back;
pub use hpa::{Hpa, Running};
pub use need::{Carrier, Curve, Need, Sizes, replicas_for, staffed, worth};
pub use replicas::capacity;
pub use tuning::{Tunable, hpa_of, set_so, tunable};
pub use vetoes::hold;

/// The annotation on a workload that stops all writing for it, when `"true"`.
pub const PAUSED_ANNOTATION: &str = "prescale.dev/paused";

/// What decisions need beyond the snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The kill switch: everything is held.
    pub paused: bool,
    /// Time between two decisions.
    pub every: TimeDelta,
    /// From a decision to Ready pods, where a policy does not say.
    pub lead: TimeDelta,
}

/// What will change and what is held back, from a forecast for each signal of each workload of the snapshot in their order. They are taken a
/// batch of workloads after the other, and not kept.
pub fn plan(snapshot: &Snapshot, outlook: impl IntoIterator<Item = Vec<Result<Foreseen, HoldReason>>>, settings: &Settings) -> Plan {
    let mut plan = Plan {
        at: snapshot.now,
        window: Window::of_decision(snapshot.now, settings.lead, settings.every),
        outlooks: Vec::new(),
        changes: Vec::new(),
        held: Vec::new(),
    };
    for amiss in &snapshot.amiss {
        plan.held.push(Held {
            workload: amiss.workload.clone(),
            overlay: amiss.overlay.clone(),
            field: None,
            wanted: None,
            why: amiss.why.clone(),
        });
    }
    let past = Past::of(&snapshot.past);
    let mut outlook = outlook.into_iter();
    for workloads in snapshot.workloads.chunks(BATCH) {
        let foreseen: Vec<_> = workloads.iter().zip(outlook.by_ref()).collect();
        let decided = on_all_cores(&foreseen, |(workload, foreseen)| one(workload, foreseen, &past, snapshot));
        for (workload, (outlooks, decisions)) in workloads.iter().zip(decided) {
            plan.outlooks.extend(outlooks);
            let paused = paused_by(workload, settings);
            for decision in decisions {
                decision.enter(workload, paused.as_deref(), snapshot, &mut plan);
            }
        }
    }
    live::share_room(&mut plan, snapshot);
    plan
}

/// What is decided on one workload, and what its signals' forecasts came to.
fn one(
    workload: &Observed,
    foreseen: &[Result<Foreseen, HoldReason>],
    past: &BTreeMap<(&RepoPath, &WorkloadId), Past>,
    snapshot: &Snapshot,
) -> (Vec<Outlook>, Vec<Decision>) {
    let past = past.get(&(&workload.overlay, &workload.rendered.id));
    let (outlooks, mut decisions) = replicas::decide(workload, foreseen, past.unwrap_or(&Past::default()), snapshot);
    decisions.extend(tuning::decide(workload));
    decisions.extend(requests::decide(workload, snapshot));
    // What failed besides the demand; where that failed as well, one cause is told once.
    if workload.is_measured() {
        let mut troubles = workload.troubles.clone();
        troubles.dedup();
        decisions.extend(troubles.into_iter().map(Decision::hold));
    }
    (outlooks, decisions)
}

/// Which switch stops writing for a workload, if any does.
fn paused_by(workload: &Observed, settings: &Settings) -> Option<String> {
    let annotated = workload.rendered.annotations.get(PAUSED_ANNOTATION).is_some_and(|value| value == "true");
    if settings.paused {
        Some("`paused: true` in the configuration".to_owned())
    } else if annotated {
        Some(format!("the workload's annotation `{PAUSED_ANNOTATION}: \"true\"`"))
    } else {
        None
    }
}

/// One field's fate, before switches and routes are looked at.
#[derive(Debug)]
enum Decision {
    Change { object: ObjectRef, field: Field, from: Option<Value>, to: Value, reasons: Vec<Reason> },
    Hold { field: Option<Field>, wanted: Option<Value>, why: HoldReason },
}

impl Decision {
    fn hold(why: HoldReason) -> Self {
        Self::Hold { field: None, wanted: None, why }
    }

    fn enter(self, workload: &Observed, paused: Option<&str>, snapshot: &Snapshot, plan: &mut Plan) {
        let (id, overlay) = (workload.rendered.id.clone(), workload.overlay.clone());
        match (self, paused) {
            (Self::Change { field, to, .. }, Some(by)) => {
                let why = HoldReason::Paused { by: by.to_owned() };
                plan.held.push(Held { workload: id, overlay, field: Some(field), wanted: Some(to), why });
            }
            (Self::Change { object, field, from, to, reasons }, None) => {
                let route = workload.policy.route(field.rhythm());
                let mut change = Change { workload: id, object, overlay, field, from, to, reasons, route };
                match live::hold(workload, &change, snapshot) {
                    None => {
                        change.reasons.extend(live::remarks(workload));
                        plan.changes.push(change);
                    }
                    Some(why) => plan.held.push(Held {
                        workload: change.workload,
                        overlay: change.overlay,
                        field: Some(change.field),
                        wanted: Some(change.to),
                        why,
                    }),
                }
            }
            (Self::Hold { field, wanted, why }, _) => plan.held.push(Held { workload: id, overlay, field, wanted, why }),
        }
    }
}

/// The workload as an object.
fn object_of(workload: &Observed) -> ObjectRef {
    let id = &workload.rendered.id;
    ObjectRef {
        group: ObjectRef::group_of(id.kind.api_version()).to_owned(),
        kind: id.kind.to_string(),
        namespace: id.namespace.clone(),
        name: id.name.clone(),
    }
}

#[cfg(test)]
mod tests;
