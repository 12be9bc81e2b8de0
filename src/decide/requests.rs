//! Requests of the containers, from percentiles of what they used.

use chrono::TimeDelta;

use crate::model::policy::delta;
use crate::model::{
    Bytes, Container, Field, HoldReason, Millicores, Observed, Quantity, Reason, Resource, Scaler, Series, Signal, Snapshot, Value,
};

use super::{Decision, live, object_of};

/// Decides the CPU and memory request of each container whose usage is known.
pub(super) fn decide(workload: &Observed, snapshot: &Snapshot) -> Vec<Decision> {
    let policy = &workload.policy.spec.requests;
    if !policy.enabled {
        return Vec::new();
    }
    let mut decisions = Vec::new();
    // What falls may yet be held: of the containers beside one, only what rises counts.
    let mut pod = workload.rendered.containers.clone();
    for container in &workload.rendered.containers {
        let Some(usage) = workload.usage.get(&container.name) else {
            if workload.troubles.is_empty() && workload.is_measured() {
                let field = Field::Request { container: container.name.clone(), resource: Resource::Cpu };
                let why = HoldReason::NoData { signal: Signal::Cpu, detail: format!("no usage of container `{}`", container.name) };
                decisions.push(Decision::Hold { field: Some(field), wanted: None, why });
            }
            continue;
        };
        for (resource, series) in [(Resource::Cpu, &usage.cpu), (Resource::Memory, &usage.memory)] {
            if let Some(series) = series {
                let decision = one(workload, (&pod, container), resource, series, snapshot);
                enter(&decision, &mut pod);
                decisions.push(decision);
            }
        }
    }
    decisions
}

/// Enters a request that rises into what the containers of a pod request.
fn enter(decision: &Decision, pod: &mut [Container]) {
    let Decision::Change { field: Field::Request { container, .. }, to, .. } = decision else { return };
    let Some(container) = pod.iter_mut().find(|one| one.name == *container) else { return };
    match to {
        Value::Cpu(cpu) => container.cpu_request = container.cpu_request.max(Some(*cpu)),
        Value::Memory(memory) => container.memory_request = container.memory_request.max(Some(*memory)),
        _ => {}
    }
}

fn one(
    workload: &Observed,
    (pod, container): (&[Container], &Container),
    resource: Resource,
    series: &Series,
    snapshot: &Snapshot,
) -> Decision {
    let (policy, now) = (&workload.policy.spec.requests, snapshot.now);
    let field = Field::Request { container: container.name.clone(), resource };
    let known = series.known_at(now.timestamp());
    let hold = |wanted: Option<Quantity>, why| Decision::Hold { field: Some(field.clone()), wanted: wanted.map(Value::from), why };

    let (have, need) = (known.measured_span(), delta(policy.least_history));
    if have < need {
        return hold(None, HoldReason::ShortHistory { have, need });
    }
    let limit = delta(workload.policy.spec.stale_after);
    if let Some(last) = known.last_measured().filter(|last| now - *last > limit) {
        return hold(None, HoldReason::StaleData { last, limit });
    }
    let share = match resource {
        Resource::Cpu => policy.cpu_percentile,
        Resource::Memory => policy.memory_percentile,
    };
    let Some(used) = percentile(&known, share) else { return hold(None, HoldReason::ShortHistory { have: TimeDelta::zero(), need }) };
    let shown = match resource {
        Resource::Cpu => Quantity::Cpu(Millicores::from_cores(used)),
        Resource::Memory => Quantity::Memory(Bytes::from_bytes_rounded(used)),
    };
    let mut reasons = vec![Reason::Usage { percentile: share, used: shown, headroom: policy.headroom, history: have }];

    let sized = used * (1.0 + policy.headroom);
    let (from, to) = match resource {
        Resource::Cpu => {
            let wanted = Millicores::from_cores(sized).max(policy.min_cpu);
            let to = container.cpu_limit.map_or(wanted, |limit| wanted.min(limit));
            if to < wanted {
                reasons.push(Reason::AtLimit { limit: Quantity::Cpu(to), wanted: Quantity::Cpu(wanted) });
            }
            (container.cpu_request.map(Quantity::Cpu), Quantity::Cpu(to))
        }
        Resource::Memory => {
            let wanted = Bytes::from_bytes_rounded(sized).max(policy.min_memory);
            let to = container.memory_limit.map_or(wanted, |limit| wanted.min(limit));
            if to < wanted {
                reasons.push(Reason::AtLimit { limit: Quantity::Memory(to), wanted: Quantity::Memory(wanted) });
            }
            (container.memory_request.map(Quantity::Memory), Quantity::Memory(to))
        }
    };
    if from == Some(to) {
        return hold(Some(to), HoldReason::Unchanged);
    }
    if let Some(change) = from.and_then(|from| relative(from, to)).filter(|change| change.abs() < policy.least_change) {
        return hold(Some(to), HoldReason::TooSmall { change, least: policy.least_change });
    }
    if scales_on(workload, resource) {
        return hold(Some(to), HoldReason::HpaOwnsResource { resource });
    }
    if capacity_follows(workload, resource) {
        return hold(Some(to), HoldReason::CapacityFollows { resource });
    }
    if let Some(why) = live::request(workload, snapshot, (pod, container), resource, to) {
        return hold(Some(to), why);
    }
    Decision::Change { object: object_of(workload), field, from: from.map(Value::from), to: to.into(), reasons }
}

/// The least value that at least `share` percent of the measured points do not exceed; `None` without any.
fn percentile(series: &Series, share: f64) -> Option<f64> {
    let mut values: Vec<f64> = series.values().iter().copied().filter(|v| !v.is_nan()).collect();
    let rank = ((values.len() as f64 * share / 100.0).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    (rank < values.len()).then(|| *values.select_nth_unstable_by(rank, f64::total_cmp).1)
}

fn relative(from: Quantity, to: Quantity) -> Option<f64> {
    let number = |quantity| match quantity {
        Quantity::Cpu(Millicores(n)) | Quantity::Memory(Bytes(n)) => n as f64,
    };
    (number(from) > 0.0).then(|| number(to) / number(from) - 1.0)
}

/// Whether the floor would move with this request: its capacity is derived from it, and the policy leaves the floor any room.
fn capacity_follows(workload: &Observed, resource: Resource) -> bool {
    let spec = &workload.policy.spec;
    // Where it is learned, it follows from the CPU request.
    let derived = workload
        .signals
        .iter()
        .any(|driven| driven.capacity.is_none() && (resource == Resource::Memory) == (driven.signal == Signal::Memory));
    derived && spec.replicas.max.is_none_or(|max| max > spec.replicas.min)
}

/// Whether an HPA scales on this resource's utilization: then its scale point would move with the request.
fn scales_on(workload: &Observed, resource: Resource) -> bool {
    match &workload.rendered.scaler {
        Scaler::Hpa(hpa) => hpa.metrics.iter().any(|metric| metric.name == resource.as_str() && metric.utilization.is_some()),
        _ => false,
    }
}
