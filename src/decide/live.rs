//! What the cluster and Argo CD have against a change.

use crate::model::{
    Bytes, Change, Container, Deploys, HoldReason, Limit, Millicores, NotNow, Observed, Quantity, Reason, Resource, Scaler, Snapshot,
    windows,
};

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

/// The most that the quotas of its namespace let a floor of `now` rise to, and which one that is.
pub(super) fn quota(workload: &Observed, snapshot: &Snapshot, now: u32) -> Option<(u32, Limit)> {
    let live = workload.live.as_ref()?;
    let sum = |of: &dyn Fn(&Container) -> Option<f64>| workload.rendered.containers.iter().filter_map(of).sum::<f64>();
    let cores = |cpu: Option<Millicores>| cpu.map(Millicores::cores);
    let bytes = |memory: Option<Bytes>| memory.map(|Bytes(bytes)| bytes as f64);
    let requests = (sum(&|container| cores(container.cpu_request)), sum(&|container| bytes(container.memory_request)));
    let limits = (sum(&|container| cores(container.cpu_limit)), sum(&|container| bytes(container.memory_limit)));
    let running = live.replicas.unwrap_or(now).max(live.ready.unwrap_or(0));
    let quotas = snapshot.cluster.quotas.iter().filter(|quota| quota.namespace == workload.rendered.id.namespace);
    let bounds = quotas.filter_map(|quota| {
        let (room, resource) = quota.room(requests, limits)?;
        let limit = Limit::Quota { name: quota.name.clone(), resource: resource.to_owned() };
        Some((running.saturating_add(room).max(now), limit))
    });
    bounds.min_by_key(|(most, _)| *most)
}

/// Why a container cannot request so much, or must not be told what to.
pub(super) fn request(
    workload: &Observed,
    snapshot: &Snapshot,
    container: &Container,
    resource: Resource,
    to: Quantity,
) -> Option<HoldReason> {
    if let Some(vpa) = workload.live.as_ref().and_then(|live| live.vpas.first()) {
        return Some(HoldReason::VpaOwns { vpa: vpa.clone() });
    }
    let amount = match to {
        Quantity::Cpu(cpu) => cpu.cores(),
        Quantity::Memory(Bytes(bytes)) => bytes as f64,
    };
    let quantity = |amount| match resource {
        Resource::Cpu => Quantity::Cpu(Millicores::from_cores(amount)),
        Resource::Memory => Quantity::Memory(Bytes(amount as u64)),
    };
    for range in snapshot.cluster.ranges.iter().filter(|range| range.namespace == workload.rendered.id.namespace) {
        let Some((least, most)) = range.bounds.get(&resource) else { continue };
        let refused = least.filter(|least| amount < *least).or(most.filter(|most| amount > *most));
        if let Some(bound) = refused {
            return Some(HoldReason::LimitRange { name: range.name.clone(), bound: quantity(bound) });
        }
    }
    let nodes = snapshot.cluster.nodes.filter(|nodes| nodes.count > 0)?;
    let largest = if resource == Resource::Cpu { nodes.largest.0 } else { nodes.largest.1 };
    let of = |container: &Container| match resource {
        Resource::Cpu => container.cpu_request.map_or(0.0, Millicores::cores),
        Resource::Memory => container.memory_request.map_or(0.0, |Bytes(bytes)| bytes as f64),
    };
    let pod: f64 = workload.rendered.containers.iter().filter(|other| other.name != container.name).map(of).sum();
    (pod + amount > largest).then(|| HoldReason::NoNode { largest: quantity(largest) })
}
