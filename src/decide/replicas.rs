//! The floor: from the forecast of the window's peak to a replica count, through the guards.

use chrono::TimeDelta;

use crate::model::argocd::Tracking;
use crate::model::plan::Outlook;
use crate::model::policy::DEFAULT_PRICE;
use crate::model::snapshot::Driven;
use crate::model::{
    Aim, Bytes, Demand, Deploys, Field, Forecast, Foreseen, HoldReason, LearnedCapacity, Limit, Millicores, ObjectRef, Observed, Reason,
    Resource, Scaler, Signal, Snapshot, Value,
};

use super::guards::{self, Deferral, Past};
use super::learned::learn;
use super::tuning::{hpa_of, minutes, resource_of, stabilization};
use super::{Carrier, Curve, Decision, Hpa, Need, Sizes, live, object_of, replicas_for, staffed, worth};

/// The replica count that Kubernetes assumes where nothing sets one.
const DEFAULT_REPLICAS: u32 = 1;
/// What KEDA assumes for `maxReplicaCount`, and what bounds a workload that nothing else bounds.
const DEFAULT_MOST: u32 = 100;
/// The share of its request that a replica may use where no HPA says.
const DEFAULT_UTILIZATION: f64 = 0.7;
/// Minutes over which a workload's mean size is taken: two weeks.
const SIZED_MINUTES: usize = 14 * 1440;

/// Over how long the share of demand that was cut short is told.
const CENSORED_OVER: TimeDelta = TimeDelta::days(7);

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

/// What one signal asks for, and the HPA that adds replicas for it by itself.
struct Asked<'a> {
    outlook: Outlook,
    forecast: &'a Forecast,
    reactive: Option<Hpa>,
    /// Where its price comes from.
    priced: Option<Reason>,
    /// Where what one replica carries comes from, where no policy says.
    learned: Option<LearnedCapacity>,
    /// Replicas that are spare by policy.
    spare: u32,
}

/// Decides the floor, and the ceiling where it is in the way; tells what was forecast. Of several signals the largest need
/// wins; where one is missing, the others may raise the floor, but it does not fall.
pub(super) fn decide(
    workload: &Observed,
    foreseen: &[Result<Foreseen, HoldReason>],
    past: &Past,
    snapshot: &Snapshot,
) -> (Vec<Outlook>, Vec<Decision>) {
    let floor = match live::in_hand(workload).map_or_else(|| floor_of(workload), Err) {
        Ok(floor) => floor,
        Err(why) => return (Vec::new(), vec![Decision::hold(why)]),
    };
    let (mut asked, mut missing) = (Vec::new(), Vec::new());
    for (driven, foreseen) in workload.signals.iter().zip(foreseen) {
        match ask(workload, driven, foreseen, &floor, past, snapshot) {
            Ok(need) => asked.push(need),
            Err(why) if workload.signals.len() == 1 => missing.push(why),
            Err(why) => missing.push(HoldReason::SignalMissing { signal: driven.signal.clone(), why: Box::new(why) }),
        }
    }
    let mut decisions = settle(workload, floor, &asked, &missing, past, snapshot);
    let is_told = |why: &HoldReason| decisions.iter().any(|told| matches!(told, Decision::Hold { why: told, .. } if told == why));
    missing.retain(|why| !is_told(why));
    decisions.extend(missing.into_iter().map(Decision::hold));
    (asked.into_iter().map(|asked| asked.outlook).collect(), decisions)
}

/// The need of one signal.
fn ask<'a>(
    workload: &Observed,
    driven: &Driven,
    foreseen: &'a Result<Foreseen, HoldReason>,
    floor: &Floor,
    past: &Past,
    snapshot: &Snapshot,
) -> Result<Asked<'a>, HoldReason> {
    let Foreseen { window, demand: history, forecast, borrowed } = foreseen.as_ref().map_err(Clone::clone)?;
    let capacity = capacity(workload, driven)?;
    let spec = &workload.policy.spec;
    let reactive = reactive(workload, &driven.signal, capacity);
    let alone = reactive.map(|hpa| hpa.ready(history.raw(), capacity, None));
    let length = window.length().num_minutes().max(1) as usize;
    let curve = Curve::of(forecast, history, length, Carrier { unit: capacity, alone: alone.as_deref() });
    let (price, stretch, priced) = price(workload, driven, capacity);
    let floor_that_pays = stretched(curve.cheapest(worth(price, size(history, capacity))), stretch);
    let Need { quantile, demand, replicas } = Need::of(forecast, floor_that_pays, capacity);
    let learned = if driven.capacity.is_none() && resource_of(&driven.signal).is_none() { learn(workload, driven).ok() } else { None };
    let needed = replicas.max(staffed(demand, capacity, spec.replicas.spare));
    let outlook = Outlook {
        workload: workload.rendered.id.clone(),
        overlay: workload.overlay.clone(),
        signal: driven.signal.clone(),
        model: forecast.model.to_owned(),
        quantile,
        expected: forecast.point(),
        peak: demand,
        high: forecast.high(),
        capacity,
        requests: requests(workload),
        prices: spec.prices,
        now: floor.now.unwrap_or(floor.implied),
        floor: needed,
        censored: workload.censored.share(snapshot.now, CENSORED_OVER.min(TimeDelta::minutes(history.len() as i64))),
        history: last_day(driven, snapshot),
        ahead: forecast.ahead.clone(),
        sibling: borrowed.clone(),
        study: driven.study.as_ref().ok().cloned(),
        unstudied: driven.study.as_ref().err().cloned(),
        lead: workload.lead,
        settled: workload.deploys.iter().find(|deploys| deploys.tracking == Tracking::Tracked).and_then(Deploys::settled),
        hindsight: past.hindsight(history, *window, snapshot.now).filter(|_| workload.signals.len() == 1 && borrowed.is_none()),
    };
    Ok(Asked { outlook, forecast, reactive, priced, learned, spare: needed - replicas })
}

/// From what the signals ask for to one floor, through the guards.
fn settle(workload: &Observed, floor: Floor, asked: &[Asked], missing: &[HoldReason], past: &Past, snapshot: &Snapshot) -> Vec<Decision> {
    let spec = &workload.policy.spec;
    let field = floor.field.clone();
    let hold_at = |to, why| vec![Decision::Hold { field: Some(field.clone()), wanted: Some(Value::Count(to)), why }];
    let hold_missing = |wanted: Option<u32>| {
        let hold = |why: &HoldReason| Decision::Hold { field: Some(field.clone()), wanted: wanted.map(Value::Count), why: why.clone() };
        missing.iter().map(hold).collect()
    };
    // Of equals it is the one that the policy names first.
    let Some(Asked { outlook, forecast, reactive, priced, learned, spare }) = asked.iter().rev().max_by_key(|asked| asked.outlook.floor)
    else {
        return hold_missing(None);
    };
    let Outlook { signal, now, floor: needed, capacity, .. } = outlook;
    let (now, needed) = (*now, *needed);
    if now == 0 && !spec.replicas.raise_from_zero {
        return hold_at(needed, HoldReason::ScalesToZero);
    }
    let mut reasons = vec![Reason::PeakDemand {
        signal: signal.clone(),
        model: outlook.model.clone(),
        quantile: outlook.quantile,
        demand: outlook.peak,
        capacity: *capacity,
    }];
    reasons.extend(learned.clone().map(Reason::CapacityLearned));
    reasons.extend(outlook.sibling.clone().map(Reason::Borrowed));
    reasons.extend(priced.clone());
    reasons.extend(reactive.map(|hpa| Reason::UnderHpa { target: hpa.target * capacity, signal: signal.clone() }));
    reasons.extend((*spare > 0).then_some(Reason::Spare { added: *spare, spare: spec.replicas.spare }));
    let others = asked.iter().map(|asked| &asked.outlook).filter(|other| other.signal != *signal);
    reasons.extend(others.map(|other| Reason::OtherSignal { signal: other.signal.clone(), needed: other.floor }));
    let deferral = past.deferral(&spec.replicas, now, needed, snapshot.now);
    reasons.extend(deferral.map(|deferral| Reason::Deferred { wanted: needed, over: deferral.over }));
    let (to, guards) = guarded(deferral.map_or(needed, |deferral| deferral.least), now, workload, &floor);
    reasons.extend(guards);
    let quota = live::quota(workload, snapshot, now).filter(|(most, _)| to > *most);
    let to = quota.as_ref().map_or(to, |(most, _)| *most);
    if let Some((bound, by)) = quota {
        if to == now {
            return hold_at(needed, HoldReason::NoRoom { by });
        }
        reasons.push(Reason::AtMost { bound, wanted: needed, by });
    }
    if to == now {
        let (at_once, bounds) = guarded(needed, now, workload, &floor);
        return match deferral {
            Some(Deferral { over, until, .. }) if at_once < now => hold_at(at_once, HoldReason::Deferred { over, until }),
            _ => match bounds.into_iter().find_map(|bound| bounded(bound, needed)) {
                Some(why) => hold_at(needed, why),
                None => hold_at(to, HoldReason::Unchanged),
            },
        };
    }
    if to < now && !missing.is_empty() {
        return hold_missing(Some(to));
    }
    if let Some(why) = guards::hold(workload, past, now, to, snapshot.now) {
        return hold_at(to, why);
    }
    let risk = |replicas| 1.0 - Need::of(forecast, replicas, *capacity).quantile;
    reasons.push(Reason::Risk { before: risk(now), after: risk(to) });
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

/// What one replica requests.
fn requests(workload: &Observed) -> (Millicores, Bytes) {
    let containers = &workload.rendered.containers;
    let cpu = containers.iter().filter_map(|container| container.cpu_request).map(|cpu| cpu.0).sum();
    (Millicores(cpu), Bytes(containers.iter().filter_map(|container| container.memory_request).map(|memory| memory.0).sum()))
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

/// The price of shortfall, what the floor at it is multiplied by, and where both come from.
fn price(workload: &Observed, driven: &Driven, capacity: f64) -> (f64, f64, Option<Reason>) {
    match (&driven.study, workload.policy.spec.aim()) {
        (Ok(study), _) => {
            let (price, stretch) = study.course(hpa_of(workload, &driven.signal, capacity).map(|(setting, _)| setting).as_ref());
            let simplest = study.models.first().map(|tried| tried.model.clone()).unwrap_or_default();
            (price, stretch, Some(Reason::Studied { at: study.at, price, stretch, gain: study.gain, simplest }))
        }
        (Err(_), Aim::Price(price)) => (price, 1.0, None),
        (Err(why), Aim::Objective(objective)) => {
            (DEFAULT_PRICE, 1.0, Some(Reason::ObjectiveUnstudied { objective, price: DEFAULT_PRICE, why: why.clone() }))
        }
    }
}

/// A floor times a factor.
fn stretched(floor: u32, stretch: f64) -> u32 {
    (f64::from(floor) * stretch - 1e-9).ceil() as u32
}

/// The mean size of a workload over the last two weeks: what a scaler that knows the future would have had.
fn size(history: &Demand, capacity: f64) -> f64 {
    let mut sizes = Sizes::default();
    history.held()[history.len().saturating_sub(SIZED_MINUTES)..].iter().for_each(|demand| sizes.push(replicas_for(*demand, capacity)));
    sizes.mean(SIZED_MINUTES)
}

/// The HPA above the floor, where it is known what it would do alone: it scales on the signal's own resource.
pub(super) fn reactive(workload: &Observed, signal: &Signal, capacity: f64) -> Option<Hpa> {
    let Scaler::Hpa(hpa) = &workload.rendered.scaler else { return None };
    let resource = resource_of(signal)?;
    let share = utilization(workload, resource)?;
    let target = requested(workload, resource)? * share / capacity;
    let startup = workload.startup.map_or(Hpa::default().startup, |startup| startup.num_minutes().clamp(1, 60) as usize);
    let most = hpa.max.unwrap_or(DEFAULT_MOST);
    let stabilize = minutes(stabilization(workload));
    (target > 0.0).then(|| Hpa { target, stabilize, startup, most, ..Hpa::default() })
}

/// The share of a resource's request that the workload's HPA aims at.
pub(super) fn utilization(workload: &Observed, resource: Resource) -> Option<f64> {
    let Scaler::Hpa(hpa) = &workload.rendered.scaler else { return None };
    let percent = hpa.metrics.iter().find(|metric| metric.name == resource.as_str())?.utilization?;
    Some(f64::from(percent) / 100.0)
}

/// What a pod requests of a resource, in cores or bytes; `None` where a container does not say.
pub(super) fn requested(workload: &Observed, resource: Resource) -> Option<f64> {
    let requests = workload.rendered.containers.iter().map(|container| match resource {
        Resource::Cpu => container.cpu_request.map(Millicores::cores),
        Resource::Memory => container.memory_request.map(|bytes| bytes.0 as f64),
    });
    requests.sum()
}

/// What one replica carries, in the signal's unit: given, for a pod's own resources what it requests times the utilization aimed at, or learned
/// from the CPU that it costs.
///
/// # Errors
/// Why that is not known, and what to set.
pub fn capacity(workload: &Observed, driven: &Driven) -> Result<f64, HoldReason> {
    if let Some(capacity) = driven.capacity {
        return Ok(capacity);
    }
    let Some(resource) = resource_of(&driven.signal) else {
        return learn(workload, driven).map(|learned| learned.capacity).map_err(|why| {
            let signal = &driven.signal;
            let detail = format!(
                "what one replica carries of `{signal}` cannot be learned, since {why}: give `capacityPerReplica` beside it in the policy"
            );
            HoldReason::CapacityUnknown { detail }
        });
    };
    let share = utilization(workload, resource).unwrap_or(DEFAULT_UTILIZATION);
    let capacity = requested(workload, resource).map(|requested| requested * share).filter(|capacity| *capacity > 0.0);
    capacity.ok_or_else(|| HoldReason::CapacityUnknown {
        detail: format!("not every container requests {resource}: set its requests, or `capacityPerReplica` in the policy"),
    })
}

/// The share of its CPU request that a replica may use.
pub(super) fn target_share(workload: &Observed) -> f64 {
    utilization(workload, Resource::Cpu).unwrap_or(DEFAULT_UTILIZATION)
}

/// A ceiling with room for the reactive autoscaler above a floor: half as many again.
pub(super) fn room_above(floor: u32) -> u32 {
    floor.saturating_add(floor.div_ceil(2))
}

/// The guards, in order: bounds, then the step, then bounds again, which always hold.
fn guarded(wanted: u32, now: u32, workload: &Observed, floor: &Floor) -> (u32, Vec<Reason>) {
    let policy = &workload.policy.spec.replicas;
    let (most, by) = match (policy.max, &floor.ceiling) {
        (Some(most), _) => (most, said(workload, "replicas.max")),
        (None, Some((most, _))) => (*most, Limit::Autoscaler { object: floor.object.clone() }),
        (None, None) => (DEFAULT_MOST, Limit::Nothing),
    };
    let least = policy.min.min(most);
    let mut reasons = Vec::new();

    let bounded = wanted.clamp(least, most);
    let step = if bounded > now { share_of(now, policy.step_up) } else { share_of(now, policy.step_down) };
    let stepped = bounded.clamp(now.saturating_sub(step), now.saturating_add(step));
    let to = stepped.clamp(least, most);

    if to == most && wanted > most {
        reasons.push(Reason::AtMost { bound: most, wanted, by });
    } else if to == least && wanted < least {
        reasons.push(Reason::AtLeast { bound: least, by: said(workload, "replicas.min") });
    }
    if to == stepped && stepped != bounded {
        reasons.push(Reason::Stepped { wanted, step });
    }
    (to, reasons)
}

/// Why a floor stays where it is, though the forecast asks for another.
fn bounded(bound: Reason, wanted: u32) -> Option<HoldReason> {
    match bound {
        Reason::AtMost { bound, by, .. } | Reason::AtLeast { bound, by } => Some(HoldReason::Bounded { wanted, bound, by }),
        _ => None,
    }
}

/// A bound that a field of the policy sets.
fn said(workload: &Observed, field: &str) -> Limit {
    Limit::Policy { field: field.to_owned(), origin: workload.origins.of(field).cloned() }
}

/// A share of a count, at least one.
fn share_of(count: u32, share: f64) -> u32 {
    (f64::from(count) * share).floor().clamp(1.0, f64::from(u32::MAX)) as u32
}

/// Hourly maxima of the last 24 hours.
fn last_day(driven: &Driven, snapshot: &Snapshot) -> Vec<Option<f64>> {
    let Ok(demand) = &driven.demand else { return Vec::new() };
    let now = snapshot.now.timestamp();
    // The first point at or after an instant.
    let point = |at: i64| (at - demand.start() + demand.step() - 1).div_euclid(demand.step()).clamp(0, demand.len() as i64) as usize;
    let hours = (0..24).map(|hour| now - (24 - hour) * 3600);
    hours.map(|from| (point(from)..point(from + 3600)).filter_map(|i| demand.get(i)).reduce(f64::max)).collect()
}
