//! The floor: from the forecast of the window's peak to a replica count, through the guards.

use chrono::{DateTime, Utc};

use crate::model::plan::Outlook;
use crate::model::{Field, Forecast, HoldReason, Millicores, ObjectRef, Observed, Reason, Resource, Scaler, Signal, Snapshot, Value};

use super::{Decision, Need, need, object_of};

/// The replica count that Kubernetes assumes where nothing sets one.
const DEFAULT_REPLICAS: u32 = 1;
/// What KEDA assumes for `maxReplicaCount`, and what bounds a workload that nothing else bounds.
const DEFAULT_MOST: u32 = 100;
/// The share of its request that a replica may use where no HPA says.
const DEFAULT_UTILIZATION: f64 = 0.7;

/// The field that holds a workload's floor.
struct Floor {
    object: ObjectRef,
    field: Field,
    now: Option<u32>,
    /// What the field means where it is absent.
    implied: u32,
    /// The autoscaler's own ceiling, and the field that holds it.
    ceiling: Option<(u32, Field)>,
}

/// Decides the floor, and the ceiling where it is in the way; enters what was forecast into `outlooks`.
pub(super) fn decide(
    workload: &Observed,
    forecast: &Result<Forecast, HoldReason>,
    rests_until: Option<DateTime<Utc>>,
    snapshot: &Snapshot,
    outlooks: &mut Vec<Outlook>,
) -> Vec<Decision> {
    let floor = match floor_of(workload) {
        Ok(floor) => floor,
        Err(why) => return vec![Decision::hold(why)],
    };
    let sized = forecast.as_ref().map_err(Clone::clone).and_then(|forecast| Ok((forecast, capacity(workload)?)));
    let (forecast, capacity) = match sized {
        Ok(sized) => sized,
        Err(why) => return vec![Decision::Hold { field: Some(floor.field), wanted: None, why }],
    };

    let spec = &workload.policy.spec;
    let Need { quantile, demand, replicas: needed } = need(forecast, spec.shortfall_price, capacity);
    let now = floor.now.unwrap_or(floor.implied);
    outlooks.push(Outlook {
        workload: workload.rendered.id.clone(),
        overlay: workload.overlay.clone(),
        signal: spec.signal.clone(),
        model: forecast.model.to_owned(),
        quantile,
        expected: forecast.point,
        peak: demand,
        capacity,
        now,
        floor: needed,
        history: last_day(workload, snapshot),
        ahead: forecast.ahead.clone(),
    });

    if now == 0 && !spec.replicas.raise_from_zero {
        return vec![Decision::Hold { field: Some(floor.field), wanted: Some(Value::Count(needed)), why: HoldReason::ScalesToZero }];
    }
    let mut reasons =
        vec![Reason::PeakDemand { signal: spec.signal.clone(), model: forecast.model.to_owned(), quantile, demand, capacity }];
    let (to, guards) = guarded(needed, now, workload, &floor);
    reasons.extend(guards);
    let field = floor.field.clone();
    let hold = |why| vec![Decision::Hold { field: Some(field.clone()), wanted: Some(Value::Count(to)), why }];
    if to == now {
        return hold(HoldReason::Unchanged);
    }
    if to < now
        && let Some(until) = rests_until.filter(|until| snapshot.now < *until)
    {
        return hold(HoldReason::CoolingDown { until });
    }
    if to < now
        && let Some(restarts) = recent_restarts(workload, snapshot.now)
    {
        return hold(HoldReason::Restarting { restarts });
    }
    let mut decisions = vec![Decision::Change {
        object: floor.object.clone(),
        field: floor.field,
        from: floor.now.map(Value::Count),
        to: Value::Count(to),
        reasons,
    }];
    if let Some((most, field)) = floor.ceiling.filter(|(most, _)| to > *most) {
        decisions.push(Decision::Change {
            object: floor.object,
            field,
            from: Some(Value::Count(most)),
            to: Value::Count(room_above(to).min(spec.replicas.max.unwrap_or(u32::MAX)).max(to)),
            reasons: vec![Reason::RoomAboveFloor { floor: to }],
        });
    }
    decisions
}

/// Who owns the count: one writer a field.
fn floor_of(workload: &Observed) -> Result<Floor, HoldReason> {
    match &workload.rendered.scaler {
        Scaler::None => Ok(Floor {
            object: object_of(workload),
            field: Field::Replicas,
            now: workload.rendered.replicas,
            implied: DEFAULT_REPLICAS,
            ceiling: None,
        }),
        Scaler::Hpa(hpa) => Ok(Floor {
            object: hpa.object.clone(),
            field: Field::MinReplicas,
            now: hpa.min,
            implied: DEFAULT_REPLICAS,
            ceiling: hpa.max.map(|max| (max, Field::MaxReplicas)),
        }),
        Scaler::Keda(scaled) if scaled.paused => {
            Err(HoldReason::Paused { by: format!("a KEDA annotation on the ScaledObject `{}`", scaled.object.name) })
        }
        Scaler::Keda(scaled) => Ok(Floor {
            object: scaled.object.clone(),
            field: Field::MinReplicaCount,
            now: scaled.min,
            implied: 0,
            ceiling: Some((scaled.max.unwrap_or(DEFAULT_MOST), Field::MaxReplicaCount)),
        }),
        Scaler::Several(scalers) => Err(HoldReason::SeveralScalers { scalers: scalers.clone() }),
    }
}

/// What one replica carries, in the signal's unit: given, or for a pod's own resources what it requests times the utilization aimed at.
fn capacity(workload: &Observed) -> Result<f64, HoldReason> {
    let spec = &workload.policy.spec;
    if let Some(capacity) = spec.capacity_per_replica {
        return Ok(capacity);
    }
    let containers = &workload.rendered.containers;
    let (resource, requested) = match &spec.signal {
        Signal::Cpu => (Resource::Cpu, containers.iter().map(|c| c.cpu_request.map(Millicores::cores)).sum::<Option<f64>>()),
        Signal::Memory => (Resource::Memory, containers.iter().map(|c| c.memory_request.map(|b| b.0 as f64)).sum()),
        signal => {
            let detail =
                format!("the signal `{}` needs `spec.capacityPerReplica` in the policy: what one replica can carry", signal.name());
            return Err(HoldReason::CapacityUnknown { detail });
        }
    };
    let utilization = match &workload.rendered.scaler {
        Scaler::Hpa(hpa) => hpa.metrics.iter().find(|m| m.name == resource.as_str()).and_then(|m| m.utilization),
        _ => None,
    };
    let share = utilization.map_or(DEFAULT_UTILIZATION, |percent| f64::from(percent) / 100.0);
    requested.map(|requested| requested * share).filter(|capacity| *capacity > 0.0).ok_or_else(|| HoldReason::CapacityUnknown {
        detail: format!("not every container requests {resource}: set its requests, or `spec.capacityPerReplica` in the policy"),
    })
}

/// A ceiling with room for the reactive autoscaler above a floor: half as many again.
fn room_above(floor: u32) -> u32 {
    floor.saturating_add(floor.div_ceil(2))
}

/// The guards, in order: bounds, then the step, then bounds again, which always hold.
fn guarded(wanted: u32, now: u32, workload: &Observed, floor: &Floor) -> (u32, Vec<Reason>) {
    let policy = &workload.policy.spec.replicas;
    let most = policy.max.unwrap_or_else(|| floor.ceiling.as_ref().map_or(DEFAULT_MOST, |(most, _)| *most));
    let least = policy.min.min(most);
    let mut reasons = Vec::new();

    let bounded = wanted.clamp(least, most);
    let step = if bounded > now { share_of(now, policy.step_up) } else { share_of(now, policy.step_down) };
    let stepped = bounded.clamp(now.saturating_sub(step), now.saturating_add(step));
    let to = stepped.clamp(least, most);

    if to == most && wanted > most {
        reasons.push(Reason::AtMost { bound: most, wanted });
    } else if to == least && wanted < least {
        reasons.push(Reason::AtLeast { bound: least });
    }
    if to == stepped && stepped != bounded {
        reasons.push(Reason::Stepped { wanted, step });
    }
    (to, reasons)
}

/// Container restarts within the last hour; `None` where there was none, or none was measured.
fn recent_restarts(workload: &Observed, now: DateTime<Utc>) -> Option<u32> {
    let restarts = workload.restarts.as_ref()?.known_at(now.timestamp());
    let first = now.timestamp() - 3600;
    let recent: f64 =
        (0..restarts.len()).filter(|i| restarts.start() + restarts.step() * *i as i64 >= first).filter_map(|i| restarts.get(i)).sum();
    (recent >= 0.5).then(|| recent.round() as u32)
}

/// A share of a count, at least one.
fn share_of(count: u32, share: f64) -> u32 {
    (f64::from(count) * share).floor().clamp(1.0, f64::from(u32::MAX)) as u32
}

/// Hourly maxima of the last 24 hours.
fn last_day(workload: &Observed, snapshot: &Snapshot) -> Vec<Option<f64>> {
    let Ok(demand) = &workload.demand else { return Vec::new() };
    let now = snapshot.now.timestamp();
    let at = |i: usize| demand.start() + demand.step() * i as i64;
    (0..24)
        .map(|hour| {
            let (from, to) = (now - (24 - hour) * 3600, now - (23 - hour) * 3600);
            (0..demand.len()).filter(|i| (from..to).contains(&at(*i))).filter_map(|i| demand.get(i)).reduce(f64::max)
        })
        .collect()
}
