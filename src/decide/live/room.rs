//! Room in a namespace, given out once.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::argocd::Tracking;
use crate::model::cluster::{Claim, Quota};
use crate::model::{
    Change, Deploys, Field, Held, HoldReason, Limit, Observed, Plan, Quantity, Reason, RenderedWorkload, RepoPath, Resource, Route, Scaler,
    Snapshot, Value, WorkloadId,
};

use super::super::replicas::room_above;
use super::{admitted, amount, claim, in_hand, room, running};

/// Gives the room that quotas leave to one change after the other: what raises floors first, by overlay and workload, then what raises requests;
/// and before all of them to what Git has already and the cluster has not. What has no room left is lowered or held. What is only observed comes last.
pub(in crate::decide) fn share_room(plan: &mut Plan, snapshot: &Snapshot) {
    if snapshot.cluster.quotas.is_empty() {
        return;
    }
    let mut shared = Shared::of(snapshot);
    let mut order: Vec<usize> = (0..plan.changes.len()).collect();
    order.sort_by_key(|place| {
        let change = &plan.changes[*place];
        (change.route == Route::Observe, !is_floor(&change.field), &change.overlay, &change.workload, &change.field)
    });
    let bound: Vec<(usize, u32, Limit)> = order
        .into_iter()
        .filter_map(|place| {
            let (most, by) = shared.give(&plan.changes[place])?;
            Some((place, most, by))
        })
        .collect();
    let mut gone = BTreeSet::new();
    for (place, most, by) in bound {
        gone.extend(cut(plan, place, most, by, snapshot));
    }
    let mut place = 0;
    plan.changes.retain(|_| {
        place += 1;
        !gone.contains(&(place - 1))
    });
}

/// What quotas leave, while it is given out.
struct Shared<'a> {
    snapshot: &'a Snapshot,
    /// The workloads that the cluster has.
    workloads: BTreeMap<(&'a RepoPath, &'a WorkloadId), &'a Observed>,
    quotas: Vec<Quota>,
    /// For how many pods of each there is room already.
    pods: BTreeMap<WorkloadId, u32>,
}

impl<'a> Shared<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let quotas = snapshot.cluster.quotas.clone();
        let mut shared = Self { snapshot, workloads: BTreeMap::new(), quotas, pods: BTreeMap::new() };
        for workload in &snapshot.workloads {
            let Some(live) = &workload.live else { continue };
            shared.workloads.insert((&workload.overlay, &workload.rendered.id), workload);
            let git = floor(&workload.rendered);
            shared.pods.entry(id_of(workload)).or_insert_with(|| running(live, git));
            if arrives(workload) {
                shared.take(workload, git);
            }
        }
        shared
    }

    /// Gives a change what it takes, as far as there is room; where that is not far enough, the most that there is room for (what there was, where
    /// it is none) and what bounds it.
    fn give(&mut self, change: &Change) -> Option<(u32, Limit)> {
        let workload = *self.workloads.get(&(&change.overlay, &change.workload))?;
        match (&change.field, &change.to) {
            (field, Value::Count(to)) if is_floor(field) => self.raise(workload, count(change.from.as_ref(), field), *to),
            (Field::Request { container, .. }, Value::Cpu(cpu)) => self.enlarge(workload, container, Quantity::Cpu(*cpu)),
            (Field::Request { container, .. }, Value::Memory(memory)) => self.enlarge(workload, container, Quantity::Memory(*memory)),
            _ => None,
        }
    }

    /// A floor that is `now` and shall be `to`.
    fn raise(&mut self, workload: &Observed, now: u32, to: u32) -> Option<(u32, Limit)> {
        let have = *self.pods.get(&id_of(workload))?;
        let bound = room(&self.quotas, &workload.namespace, &claim(workload, self.snapshot));
        let bound = bound.map(|(room, by)| (have.saturating_add(room).max(now), by)).filter(|(most, _)| to > *most);
        let reached = bound.as_ref().map_or(to, |(most, _)| *most);
        if reached > now {
            self.take(workload, reached);
        }
        bound
    }

    /// A container that shall request so much: each of the pods takes as much more, and one while they are replaced.
    fn enlarge(&mut self, workload: &Observed, container: &str, to: Quantity) -> Option<(u32, Limit)> {
        let container = workload.rendered.containers.iter().find(|one| one.name == container)?;
        let resource = if matches!(to, Quantity::Cpu(_)) { Resource::Cpu } else { Resource::Memory };
        let more = (amount(to) - admitted(workload, self.snapshot, container, resource).0.unwrap_or(0.0)).max(0.0);
        let requests = if resource == Resource::Cpu { (more, 0.0) } else { (0.0, more) };
        let pods = f64::from(*self.pods.get(&id_of(workload))?) + 1.0;
        let claim = Claim { requests, ..Claim::default() }.times(pods);
        let bound = room(&self.quotas, &workload.namespace, &claim).filter(|(room, _)| *room == 0);
        if bound.is_none() {
            self.spend(&workload.namespace, &claim);
        }
        bound
    }

    /// Takes the room for so many pods of a workload, but for those that have it.
    fn take(&mut self, workload: &Observed, pods: u32) {
        let have = self.pods.entry(id_of(workload)).or_default();
        let more = pods.saturating_sub(*have);
        *have = pods.max(*have);
        self.spend(&workload.namespace, &claim(workload, self.snapshot).times(f64::from(more)));
    }

    fn spend(&mut self, namespace: &str, claim: &Claim) {
        self.quotas.iter_mut().filter(|quota| quota.namespace == namespace).for_each(|quota| quota.give(claim));
    }
}

/// The workload where it runs.
fn id_of(workload: &Observed) -> WorkloadId {
    WorkloadId { namespace: workload.namespace.clone(), ..workload.rendered.id.clone() }
}

/// The floor that Git has.
pub(super) fn floor(rendered: &RenderedWorkload) -> u32 {
    match &rendered.scaler {
        Scaler::None => rendered.replicas.unwrap_or(1),
        Scaler::Hpa(hpa) => hpa.min.unwrap_or(1),
        Scaler::Keda(scaled) => scaled.min.unwrap_or(0),
        Scaler::Several(_) => 0,
    }
}

/// Whether what Git has of its floor comes to the cluster.
fn arrives(workload: &Observed) -> bool {
    let deploys = |one: &Deploys| one.tracking == Tracking::Tracked && !one.application.ignores_replicas;
    in_hand(workload).is_none() && workload.deploys.iter().all(deploys)
}

fn is_floor(field: &Field) -> bool {
    matches!(field, Field::Replicas | Field::MinReplicas | Field::MinReplicaCount)
}

/// What a floor is: where nothing sets it, one, or with KEDA none.
fn count(from: Option<&Value>, field: &Field) -> u32 {
    match from {
        Some(Value::Count(count)) => *count,
        _ => u32::from(*field != Field::MinReplicaCount),
    }
}

/// Lowers a planned floor to the most that there is room for, or holds it or a request for which there is none. Returns the places of the changes that
/// go with that.
fn cut(plan: &mut Plan, place: usize, most: u32, by: Limit, snapshot: &Snapshot) -> Vec<usize> {
    let change = &plan.changes[place];
    let is_floor = is_floor(&change.field);
    let is_held = !is_floor || most <= count(change.from.as_ref(), &change.field);
    let of = plan.outlooks.iter().filter(|outlook| (&outlook.overlay, &outlook.workload) == (&change.overlay, &change.workload));
    let wanted = of.map(|outlook| outlook.floor).chain([count(Some(&change.to), &change.field)]).max().unwrap_or(most);
    let mut gone = Vec::new();
    if is_floor {
        gone.extend(lower_ceiling(plan, place, if is_held { 0 } else { most }, snapshot));
    }
    let change = &mut plan.changes[place];
    if is_held {
        let (workload, overlay, field) = (change.workload.clone(), change.overlay.clone(), Some(change.field.clone()));
        let wanted = Some(if is_floor { Value::Count(wanted) } else { change.to.clone() });
        plan.held.push(Held { workload, overlay, field, wanted, why: HoldReason::NoRoom { by } });
        gone.push(place);
    } else {
        change.to = Value::Count(most);
        // How likely demand exceeds this one is not known.
        change.reasons.retain(|reason| !matches!(reason, Reason::Risk { .. } | Reason::AtMost { by: Limit::Quota { .. }, .. }));
        change.reasons.push(Reason::AtMost { bound: most, wanted, by });
    }
    gone
}

/// Has the ceiling that would rise with a floor rise with a lower one, where it is still in the way. Returns its place where it is not.
fn lower_ceiling(plan: &mut Plan, floor: usize, to: u32, snapshot: &Snapshot) -> Option<usize> {
    let change = &plan.changes[floor];
    let is_above = |other: &Change| {
        matches!(other.field, Field::MaxReplicas | Field::MaxReplicaCount)
            && (&other.overlay, &other.object) == (&change.overlay, &change.object)
    };
    let place = plan.changes.iter().position(is_above)?;
    let most = snapshot.of(change).and_then(|workload| workload.policy.spec.replicas.max).unwrap_or(u32::MAX);
    let ceiling = &mut plan.changes[place];
    if to <= count(ceiling.from.as_ref(), &ceiling.field) {
        return Some(place);
    }
    ceiling.to = Value::Count(room_above(to).min(most).max(to));
    ceiling.reasons = vec![Reason::RoomAboveFloor { floor: to }];
    None
}
