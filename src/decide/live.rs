//! What the cluster and Argo CD have against a change.

mod room;

use crate::model::argocd::Tracking;
use crate::model::cluster::{Bounds, Claim, LimitRange, Live, Quota, exceeds};
use crate::model::{
    Bytes, Change, Container, Deploys, HoldReason, Limit, Millicores, NotNow, Observed, Quantity, Reason, Resource, Scaler, Snapshot,
    windows,
};

pub(super) use room::share_room;

/// Why a change that is decided is not written now: no Application brings it to the cluster, or its time has not come.
pub(super) fn hold(workload: &Observed, change: &Change, snapshot: &Snapshot) -> Option<HoldReason> {
    let spec = &workload.policy.spec;
    let times = (&spec.windows, &spec.freezes[..], spec.calendar.time_zone);
    let closed = || windows::closed(times, (change.field.rhythm(), change.rises()), snapshot.now);
    argocd(workload, change, snapshot).or_else(closed)
}

/// What Argo CD has against it. Where several Applications deploy the overlay, those count that follow the branch.
fn argocd(workload: &Observed, change: &Change, snapshot: &Snapshot) -> Option<HoldReason> {
    let is_ours = |kind: &str, name: &str| {
        snapshot.workloads.iter().filter(|other| other.overlay == workload.overlay).any(|other| other.rendered.is_of(kind, name))
    };
    let why = |deploys: &Deploys| {
        let why = deploys.not_now(&change.field, is_ours, &snapshot.base)?;
        Some((matches!(why, NotNow::Pinned { .. } | NotNow::OtherBranch { .. }), deploys.name(), why))
    };
    let found: Vec<_> = workload.deploys.iter().map(why).collect();
    let (elsewhere, here): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.as_ref().is_some_and(|(elsewhere, ..)| *elsewhere));
    let first = if here.is_empty() { elsewhere } else { here }.into_iter().flatten().next();
    first.map(|(_, application, why)| HoldReason::ArgoCd { application, why })
}

/// What is told beside a change: that it waits for someone.
pub(super) fn remarks(workload: &Observed) -> Option<Reason> {
    let manual = workload.deploys.iter().find(|deploys| deploys.is_manual())?;
    Some(Reason::ManualSync { application: manual.name() })
}

/// What has its floor in hand in the cluster, without a word in Git: someone who paused its autoscaler, or an autoscaler of which the overlay
/// knows nothing.
pub(super) fn in_hand(workload: &Observed) -> Option<HoldReason> {
    let scaler = workload.live.as_ref()?.autoscaler.as_ref()?;
    let Some(annotation) = scaler.paused_by.as_ref() else {
        let elsewhere = HoldReason::ScaledElsewhere { kind: scaler.kind.to_owned(), name: scaler.name.clone() };
        return (workload.rendered.scaler == Scaler::None).then_some(elsewhere);
    };
    Some(HoldReason::Paused { by: format!("the annotation `{annotation}` of {} `{}` in the cluster", scaler.kind, scaler.name) })
}

/// Whether it runs in the cluster that is read, as far as Argo CD knows.
fn is_here(workload: &Observed) -> bool {
    let tracked = workload.deploys.iter().find(|deploys| deploys.tracking == Tracking::Tracked);
    tracked.is_none_or(|deploys| deploys.application.destination.is_here())
}

/// The most that the quotas of its namespace let a floor of `now` rise to, and which one that is: if it were alone. [`share_room`] looks at all.
pub(super) fn quota(workload: &Observed, snapshot: &Snapshot, now: u32) -> Option<(u32, Limit)> {
    let running = running(workload.live.as_ref()?, now);
    let (room, limit) = room(&snapshot.cluster.quotas, &workload.namespace, &claim(workload, snapshot))?;
    Some((running.saturating_add(room).max(now), limit))
}

/// The pods that there are, or soon are; as many as Git says where the cluster does not tell.
fn running(live: &Live, git: u32) -> u32 {
    live.replicas.unwrap_or(git).max(live.ready.unwrap_or(0))
}

/// How many times a claim fits into what the quotas of a namespace leave, and which one bounds that.
fn room(quotas: &[Quota], namespace: &str, claim: &Claim) -> Option<(u32, Limit)> {
    let quotas = quotas.iter().filter(|quota| quota.namespace == namespace);
    let rooms = quotas.filter_map(|quota| {
        let (room, resource) = quota.room(claim)?;
        Some((room, Limit::Quota { name: quota.name.clone(), resource: resource.to_owned() }))
    });
    rooms.min_by_key(|(room, _)| *room)
}

/// What a pod of a workload takes of its namespace.
fn claim(workload: &Observed, snapshot: &Snapshot) -> Claim {
    let mut claim = Claim { pods: 1.0, ..Claim::default() };
    for container in &workload.rendered.containers {
        let (cpu, memory) =
            (admitted(workload, snapshot, container, Resource::Cpu), admitted(workload, snapshot, container, Resource::Memory));
        claim.requests.0 += cpu.0.unwrap_or(0.0);
        claim.requests.1 += memory.0.unwrap_or(0.0);
        claim.limits.0 += cpu.1.unwrap_or(0.0);
        claim.limits.1 += memory.1.unwrap_or(0.0);
    }
    claim
}

/// What a container requests of a resource and what it is limited to, as the API server lets it in: a request that is not given is the limit, and
/// limit ranges fill in the rest.
fn admitted(workload: &Observed, snapshot: &Snapshot, container: &Container, resource: Resource) -> (Option<f64>, Option<f64>) {
    let cores = |cpu: Option<Millicores>| cpu.map(Millicores::cores);
    let bytes = |memory: Option<Bytes>| memory.map(|Bytes(bytes)| bytes as f64);
    let (request, limit) = match resource {
        Resource::Cpu => (cores(container.cpu_request), cores(container.cpu_limit)),
        Resource::Memory => (bytes(container.memory_request), bytes(container.memory_limit)),
    };
    let filled = |of: fn(&Bounds) -> Option<f64>| ranges(workload, snapshot).find_map(|range| of(range.container.get(&resource)?));
    (request.or(limit).or_else(|| filled(|bounds| bounds.request)), limit.or_else(|| filled(|bounds| bounds.limit)))
}

/// The limit ranges of its namespace.
fn ranges<'a>(workload: &'a Observed, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a LimitRange> {
    snapshot.cluster.ranges.iter().filter(|range| range.namespace == workload.namespace)
}

/// Why a container of a pod cannot request so much, or must not be told what to. Of the pod's other requests those count that are planned.
pub(super) fn request(
    workload: &Observed,
    snapshot: &Snapshot,
    (pod, container): (&[Container], &Container),
    resource: Resource,
    to: Quantity,
) -> Option<HoldReason> {
    if let Some(vpa) = workload.live.as_ref().and_then(|live| live.vpas.first()) {
        return Some(HoldReason::VpaOwns { vpa: vpa.clone() });
    }
    if !is_here(workload) {
        return None;
    }
    let amount = amount(to);
    let quantity = |amount| match resource {
        Resource::Cpu => Quantity::Cpu(Millicores::from_cores(amount)),
        Resource::Memory => Quantity::Memory(Bytes(amount as u64)),
    };
    let sum = |of: Resource| -> f64 {
        let is_it = |one: &Container| one.name == container.name && of == resource;
        let each = |one: &Container| if is_it(one) { amount } else { admitted(workload, snapshot, one, of).0.unwrap_or(0.0) };
        pod.iter().map(each).sum()
    };
    let (_, limit) = admitted(workload, snapshot, container, resource);
    let refused = ranges(workload, snapshot).find_map(|range| {
        let alone = range.container.get(&resource).and_then(|bounds| bounds.broken(amount, limit));
        let together = range.pod.get(&resource).copied().filter(|most| exceeds(sum(resource), *most));
        Some(HoldReason::LimitRange { name: range.name.clone(), bound: quantity(alone.or(together)?) })
    });
    refused.or_else(|| {
        let other = if resource == Resource::Cpu { Resource::Memory } else { Resource::Cpu };
        let largest = snapshot.cluster.nodes.as_ref()?.most(resource, sum(other))?;
        exceeds(sum(resource), largest).then(|| HoldReason::NoNode { largest: quantity(largest) })
    })
}

/// In cores or bytes.
fn amount(quantity: Quantity) -> f64 {
    match quantity {
        Quantity::Cpu(cpu) => cpu.cores(),
        Quantity::Memory(Bytes(bytes)) => bytes as f64,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::{TimeDelta, Utc};

    use super::room::floor;
    use super::*;
    use crate::model::cluster::Nodes;
    use crate::model::origin::Origins;
    use crate::model::policy::API_VERSION;
    use crate::model::snapshot::Effort;
    use crate::model::{
        Censored, Field, Hpa, Lead, ObjectRef, Plan, RenderedWorkload, RepoPath, Route, ScalingPolicy, Value, Window, WorkloadId,
        WorkloadKind,
    };

    const GIB: f64 = 1_073_741_824.0;

    /// A StatefulSet in `shop` whose pods request half a core and 1 GiB, and of which so many run.
    fn workload(name: &str, replicas: u32) -> Observed {
        let id = WorkloadId { namespace: "shop".into(), kind: WorkloadKind::StatefulSet, name: name.into() };
        let policy =
            format!("apiVersion: {API_VERSION}\nkind: ScalingPolicy\nmetadata: {{name: {name}}}\nspec: {{target: {{name: {name}}}}}\n");
        let policy: ScalingPolicy = serde_yaml::from_str(&policy).unwrap();
        let container = Container {
            name: "app".into(),
            cpu_request: Some(Millicores(500)),
            memory_request: Some(Bytes(1 << 30)),
            ..Container::default()
        };
        Observed {
            overlay: RepoPath::parse("overlays/prod").unwrap(),
            rendered: RenderedWorkload {
                id,
                replicas: Some(replicas),
                containers: vec![container],
                scaler: Scaler::None,
                annotations: BTreeMap::new(),
                fields: vec![],
            },
            namespace: "shop".into(),
            policy,
            origins: Origins::default(),
            signals: vec![],
            effort: Effort::default(),
            usage: BTreeMap::new(),
            error_budget: None,
            censored: Censored::default(),
            restarts: None,
            troubles: vec![],
            startup: None,
            lead: Lead::default(),
            live: Some(Live { replicas: Some(replicas), ..Live::default() }),
            deploys: vec![],
        }
    }

    fn snapshot(workloads: Vec<Observed>, left: &[(&str, f64)]) -> Snapshot {
        let left = left.iter().map(|(resource, left)| ((*resource).to_owned(), *left)).collect();
        let mut snapshot = Snapshot { workloads, ..Snapshot::default() };
        snapshot.cluster.quotas = vec![Quota { namespace: "shop".into(), name: "quota".into(), left }];
        snapshot
    }

    fn change(workload: &Observed, field: Field, from: Value, to: Value) -> Change {
        let id = workload.rendered.id.clone();
        let object = ObjectRef { group: "apps".into(), kind: id.kind.to_string(), namespace: id.namespace.clone(), name: id.name.clone() };
        let reasons = vec![Reason::Risk { before: 0.5, after: 0.1 }];
        Change { workload: id, object, overlay: workload.overlay.clone(), field, from: Some(from), to, reasons, route: Route::Commit }
    }

    fn rise(workload: &Observed, to: u32) -> Change {
        change(workload, Field::Replicas, Value::Count(floor(&workload.rendered)), Value::Count(to))
    }

    fn cpu(workload: &Observed, to: u64) -> Change {
        let field = Field::Request { container: "app".into(), resource: Resource::Cpu };
        change(workload, field, Value::Cpu(Millicores(500)), Value::Cpu(Millicores(to)))
    }

    fn plan(changes: Vec<Change>) -> Plan {
        let at = chrono::DateTime::<Utc>::from_timestamp(0, 0).unwrap();
        let window = Window::of_decision(at, TimeDelta::minutes(6), TimeDelta::minutes(10));
        Plan { at, window, outlooks: vec![], changes, held: vec![] }
    }

    /// What is planned once the room is shared, and the names of the workloads that are held.
    fn shared(changes: Vec<Change>, snapshot: &Snapshot) -> (Vec<(String, Value)>, Vec<String>) {
        let mut plan = plan(changes);
        share_room(&mut plan, snapshot);
        assert!(plan.held.iter().all(|held| matches!(&held.why, HoldReason::NoRoom { by: Limit::Quota { name, .. } } if name == "quota")));
        let changes = plan.changes.into_iter().map(|change| (change.workload.name, change.to));
        (changes.collect(), plan.held.into_iter().map(|held| held.workload.name).collect())
    }

    fn counts(counts: &[(&str, u32)]) -> Vec<(String, Value)> {
        counts.iter().map(|(name, count)| ((*name).to_owned(), Value::Count(*count))).collect()
    }

    #[test]
    fn two_floors_do_not_take_the_same_room() {
        let (backend, frontend) = (workload("backend", 4), workload("frontend", 3));
        let changes = || vec![rise(&frontend, 5), rise(&backend, 5)];
        let all = |left: f64| shared(changes(), &snapshot(vec![backend.clone(), frontend.clone()], &[("pods", left)]));
        assert_eq!(all(3.0), (counts(&[("frontend", 5), ("backend", 5)]), vec![]), "in the order of the plan");
        assert_eq!(all(2.0), (counts(&[("frontend", 4), ("backend", 5)]), vec![]));
        assert_eq!(all(1.0), (counts(&[("backend", 5)]), vec!["frontend".to_owned()]));
        assert_eq!(all(0.0).1.len(), 2);

        let mut plan = plan(changes());
        share_room(&mut plan, &snapshot(vec![backend.clone(), frontend.clone()], &[("pods", 2.0)]));
        let by = Limit::Quota { name: "quota".into(), resource: "pods".into() };
        assert_eq!(plan.changes[0].reasons, [Reason::AtMost { bound: 4, by, wanted: 5 }], "how sure a lower floor is nobody knows");
        assert_eq!(plan.changes[1].reasons.len(), 1);

        // What is only observed takes none from what is written, and other namespaces none at all.
        let mut observed = rise(&backend, 5);
        observed.route = Route::Observe;
        let here = snapshot(vec![backend.clone(), frontend.clone()], &[("pods", 2.0)]);
        assert_eq!(shared(vec![observed, rise(&frontend, 5)], &here), (counts(&[("frontend", 5)]), vec!["backend".to_owned()]));
        let elsewhere = Observed { namespace: "test".into(), ..workload("frontend", 3) };
        let both = snapshot(vec![backend.clone(), elsewhere.clone()], &[("pods", 1.0)]);
        assert_eq!(shared(vec![rise(&backend, 5), rise(&elsewhere, 9)], &both).1, Vec::<String>::new());
    }

    #[test]
    fn what_git_has_already_comes_first() {
        let (mut backend, frontend) = (workload("backend", 5), workload("frontend", 3));
        backend.live = Some(Live { replicas: Some(4), ..Live::default() });
        let here = snapshot(vec![backend.clone(), frontend.clone()], &[("pods", 2.0)]);
        assert_eq!(shared(vec![rise(&frontend, 5)], &here), (counts(&[("frontend", 4)]), vec![]));
        // Its own rise goes on from there.
        assert_eq!(shared(vec![rise(&backend, 6)], &here).0, counts(&[("backend", 6)]));
    }

    #[test]
    fn a_ceiling_rises_no_further_than_its_floor_needs() {
        let mut backend = workload("backend", 4);
        let object = rise(&backend, 9).object;
        backend.rendered.scaler = Scaler::Hpa(Hpa { object, min: Some(4), max: Some(6), metrics: vec![] });
        let planned = |left: f64| {
            let mut floor = rise(&backend, 12);
            floor.field = Field::MinReplicas;
            let mut ceiling = change(&backend, Field::MaxReplicas, Value::Count(6), Value::Count(18));
            ceiling.reasons = vec![Reason::RoomAboveFloor { floor: 12 }];
            shared(vec![floor, ceiling], &snapshot(vec![backend.clone()], &[("pods", left)])).0
        };
        assert_eq!(planned(8.0), counts(&[("backend", 12), ("backend", 18)]));
        assert_eq!(planned(4.0), counts(&[("backend", 8), ("backend", 12)]));
        assert_eq!(planned(2.0), counts(&[("backend", 6)]));
        assert_eq!(planned(0.0), vec![]);
    }

    #[test]
    fn a_request_rises_where_all_of_its_pods_fit_and_one_more() {
        let (backend, frontend) = (workload("backend", 3), workload("frontend", 3));
        let workloads = || vec![backend.clone(), frontend.clone()];
        // A tenth of a core more, four times.
        let one = |left: &[(&str, f64)]| shared(vec![cpu(&backend, 600)], &snapshot(workloads(), left)).1.len();
        assert_eq!((one(&[("requests.cpu", 0.4)]), one(&[("cpu", 0.39)]), one(&[("requests.cpu", 0.39)])), (0, 1, 1));
        assert_eq!(one(&[("limits.cpu", 0.0), ("requests.memory", 0.0), ("pods", 0.0)]), 0, "none of these is taken");
        let both = shared(vec![cpu(&frontend, 600), cpu(&backend, 600)], &snapshot(workloads(), &[("requests.cpu", 0.7)]));
        assert_eq!((both.0.len(), both.1), (1, vec!["frontend".to_owned()]));
        // A floor comes first, and its pods are as large.
        let left = [("requests.cpu", 1.0)];
        assert_eq!(shared(vec![cpu(&backend, 600), rise(&backend, 4)], &snapshot(workloads(), &left)).1.len(), 0);
        assert_eq!(shared(vec![cpu(&backend, 601), rise(&backend, 4)], &snapshot(workloads(), &left)).1.len(), 1);
        assert_eq!(shared(vec![cpu(&backend, 400)], &snapshot(workloads(), &[("requests.cpu", 0.0)])).1.len(), 0, "it falls");
    }

    #[test]
    fn what_limit_ranges_fill_in_counts() {
        let mut backend = workload("backend", 2);
        backend.rendered.containers[0].cpu_request = None;
        let mut here = snapshot(vec![backend.clone()], &[("requests.cpu", 1.0)]);
        assert_eq!(quota(&backend, &here, 2), None, "nothing is requested");
        let bounds = Bounds { request: Some(0.4), limit: Some(0.8), ..Bounds::default() };
        here.cluster.ranges =
            vec![LimitRange { namespace: "shop".into(), container: BTreeMap::from([(Resource::Cpu, bounds)]), ..LimitRange::default() }];
        assert_eq!(quota(&backend, &here, 2).map(|(most, _)| most), Some(4));
        backend.rendered.containers[0].cpu_limit = Some(Millicores(1000));
        assert_eq!(quota(&backend, &here, 2).map(|(most, _)| most), Some(3), "the limit is the request");
    }

    /// Why the first container of a pod may not request so much CPU.
    fn refused(pod: &Observed, snapshot: &Snapshot, to: u64) -> Option<HoldReason> {
        let containers = &pod.rendered.containers;
        request(pod, snapshot, (containers, &containers[0]), Resource::Cpu, Quantity::Cpu(Millicores(to)))
    }

    #[test]
    fn a_request_above_what_is_filled_in_as_its_limit_is_refused() {
        let mut backend = workload("backend", 2);
        let mut here = snapshot(vec![backend.clone()], &[]);
        let range = |container: Option<Bounds>, pod: Option<f64>| LimitRange {
            namespace: "shop".into(),
            name: "limits".into(),
            container: container.map(|bounds| (Resource::Cpu, bounds)).into_iter().collect(),
            pod: pod.map(|most| (Resource::Cpu, most)).into_iter().collect(),
        };
        let bound = |bound| Some(HoldReason::LimitRange { name: "limits".into(), bound: Quantity::Cpu(Millicores(bound)) });
        here.cluster.ranges = vec![range(Some(Bounds { limit: Some(0.6), ..Bounds::default() }), None)];
        assert_eq!((refused(&backend, &here, 600), refused(&backend, &here, 601)), (None, bound(600)));
        backend.rendered.containers[0].cpu_limit = Some(Millicores(900));
        assert_eq!(refused(&backend, &here, 601), None, "it has a limit of its own");
        here.cluster.ranges = vec![range(Some(Bounds { ratio: Some(3.0), ..Bounds::default() }), None)];
        assert_eq!((refused(&backend, &here, 300), refused(&backend, &here, 299)), (None, bound(300)));
        let sidecar = Container { name: "sidecar".into(), cpu_request: Some(Millicores(200)), ..Container::default() };
        backend.rendered.containers.push(sidecar);
        here.cluster.ranges = vec![range(None, Some(0.8))];
        assert_eq!((refused(&backend, &here, 600), refused(&backend, &here, 601)), (None, bound(800)));
        here.cluster.ranges[0].namespace = "test".into();
        assert_eq!(refused(&backend, &here, 601), None);
    }

    #[test]
    fn a_node_must_hold_a_pod_in_both() {
        let mut backend = workload("backend", 2);
        backend.rendered.containers[0].memory_request = Some(Bytes(8 << 30));
        let mut here = snapshot(vec![backend.clone()], &[]);
        assert_eq!(refused(&backend, &here, 9000), None, "nothing is known of nodes");
        here.cluster.nodes = Some(Nodes::of([(8.0, 4.0 * GIB), (2.0, 64.0 * GIB)]));
        assert_eq!(refused(&backend, &here, 2000), None);
        assert_eq!(refused(&backend, &here, 2001), Some(HoldReason::NoNode { largest: Quantity::Cpu(Millicores(2000)) }));
        here.cluster.nodes = Some(Nodes::of([]));
        assert_eq!(refused(&backend, &here, 2001), None);
    }
}
