//! What people decided against is held.

use crate::model::plan::stranded;
use crate::model::{Change, Held, HoldReason, Patience, Plan, Veto};

/// Holds the changes of a plan that a veto is about, and the floors that cannot stand without them.
pub fn hold(plan: &mut Plan, vetoes: &[Veto], patience: Patience) {
    let at = plan.at;
    // The one that lasts longest.
    let veto = |change: &Change| vetoes.iter().filter(|veto| veto.holds(change, at, patience)).max_by_key(|veto| veto.at);
    let gone: Vec<Change> = plan.changes.extract_if(.., |change| veto(change).is_some()).collect();
    let floors = stranded(&mut plan.changes, &gone);
    let of = |change: &Change| gone.iter().find(|ceiling| (&ceiling.overlay, &ceiling.object) == (&change.overlay, &change.object));
    for change in gone.iter().chain(&floors) {
        let Some(veto) = veto(change).or_else(|| of(change).and_then(veto)) else { continue };
        plan.held.push(Held {
            workload: change.workload.clone(),
            overlay: change.overlay.clone(),
            field: Some(change.field.clone()),
            wanted: Some(change.to.clone()),
            why: HoldReason::Vetoed { by: veto.by.clone(), band: patience.band, until: veto.at + patience.span },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, ObjectRef, Reason, RepoPath, Route, Signal, Value, Vetoed, VetoedBy, Window, WorkloadId, WorkloadKind};
    use chrono::{DateTime, TimeDelta};

    const PATIENCE: Patience = Patience { band: 0.2, span: TimeDelta::days(7) };

    fn change(field: Field, from: u32, to: u32, reason: Reason) -> Change {
        let id = WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name: "web".into() };
        Change {
            workload: id,
            object: ObjectRef {
                group: "autoscaling".into(),
                kind: "HorizontalPodAutoscaler".into(),
                namespace: "shop".into(),
                name: "web".into(),
            },
            overlay: RepoPath::root(),
            field,
            from: Some(Value::Count(from)),
            to: Value::Count(to),
            reasons: vec![reason],
            route: Route::Commit,
        }
    }

    fn peak(demand: f64, signal: Signal) -> Reason {
        Reason::PeakDemand { signal, model: "forest".into(), quantile: 0.99, demand, capacity: 10.0 }
    }

    fn held_of(changes: Vec<Change>, declined: &Change) -> (usize, usize) {
        let at = DateTime::UNIX_EPOCH;
        let window = Window::of_decision(at, TimeDelta::minutes(6), TimeDelta::minutes(10));
        let mut plan = Plan { at, window, outlooks: vec![], changes, held: vec![] };
        let (overlay, object, field) = (declined.overlay.clone(), declined.object.clone(), declined.field.clone());
        let what = Vetoed::Field { overlay, object, field, basis: Box::new(declined.basis()) };
        hold(&mut plan, &[Veto { what, by: VetoedBy::Deleted, at }], PATIENCE);
        assert!(plan.held.iter().all(|held| matches!(held.why, HoldReason::Vetoed { .. })), "{:?}", plan.held);
        (plan.changes.len(), plan.held.len())
    }

    #[test]
    fn a_floor_does_not_rise_above_a_ceiling_that_stays() {
        let ceiling = |from| change(Field::MaxReplicas, from, 18, Reason::RoomAboveFloor { floor: 12 });
        let floor = change(Field::MinReplicas, 8, 12, peak(120.0, Signal::Requests));
        assert_eq!(held_of(vec![floor.clone(), ceiling(10)], &ceiling(10)), (0, 2));
        assert_eq!(held_of(vec![floor.clone(), ceiling(12)], &ceiling(12)), (1, 1), "a floor at the ceiling stands");
        assert_eq!(held_of(vec![floor.clone(), ceiling(10)], &floor), (1, 1), "a ceiling stands without its floor");
    }

    #[test]
    fn another_signal_is_compared_by_what_it_asks_for() {
        let by = |demand, signal, to| change(Field::MinReplicas, 3, to, peak(demand, signal));
        let declined = by(0.5, Signal::Cpu, 5);
        for (now, holds) in [
            (by(0.6, Signal::Cpu, 9), true),
            (by(0.61, Signal::Cpu, 5), false),
            (by(231.0, Signal::Requests, 5), true),
            (by(231.0, Signal::Requests, 6), true),
            (by(231.0, Signal::Requests, 7), false),
        ] {
            assert_eq!(held_of(vec![now.clone()], &declined).0 == 0, holds, "{now:?}");
        }
        // No demand at all is no measure.
        let declined = by(0.0, Signal::Cpu, 2);
        assert_eq!(held_of(vec![by(0.01, Signal::Cpu, 2)], &declined), (0, 1));
    }
}
