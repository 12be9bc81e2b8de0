//! The settings of an HPA: what they are now, whether they may be chosen, and what the study chose.

use crate::model::policy::AutoscalerPolicy;
use crate::model::snapshot::Driven;
use crate::model::{
    Direction, Field, HoldReason, HpaSetting, Metric, Millicores, NoStudy, ObjectRef, Observed, Percent, Reason, Resource, Scaler, Signal,
    Stabilization, Value,
};

use super::replicas::{reactive, requested, utilization};
use super::{Decision, Hpa};

/// The scale-down stabilization that Kubernetes has by default, in seconds.
const DEFAULT_STABILIZATION: u32 = 300;

/// How far above its target usage must be for an HPA to add a replica: its tolerance.
const REACHED: f64 = 1.1;

/// An HPA whose settings may be chosen.
#[derive(Clone, Debug)]
pub struct Tunable {
    /// The object.
    object: ObjectRef,
    /// The one metric that it scales on.
    metric: Metric,
    /// How it is set now.
    pub present: HpaSetting,
    /// What a replica requests, as a multiple of what it carries.
    requested: f64,
    /// What a replica can use at most, as a multiple of what it carries.
    most: f64,
    /// What the policy allows.
    bounds: AutoscalerPolicy,
}

impl Tunable {
    /// Whether the policy allows it, and the limits of a pod's containers let usage rise so far above the target that the HPA adds a replica.
    pub fn is_possible(&self, setting: &HpaSetting) -> bool {
        self.bounds.allows(setting.percent, setting.stabilization) && setting.target * REACHED <= self.most * (1.0 + 1e-9)
    }

    /// The settings that aim at a share of what a replica carries, in whole percent of its requests.
    pub fn setting(&self, target: f64, stabilization: u32) -> HpaSetting {
        let percent = (target / self.requested * 100.0 + 1e-6).clamp(1.0, 1e4) as u32;
        HpaSetting { percent, target: f64::from(percent) / 100.0 * self.requested, stabilization }
    }
}

/// The HPA above the floor and how it is set, where it is known what it does: it scales on the signal's own resource.
pub fn hpa_of(workload: &Observed, signal: &Signal, capacity: f64) -> Option<(HpaSetting, Hpa)> {
    let hpa = reactive(workload, signal, capacity)?;
    let percent = (utilization(workload, resource_of(signal)?)? * 100.0).round() as u32;
    Some((HpaSetting { percent, target: hpa.target, stabilization: stabilization(workload) }, hpa))
}

/// An HPA with other settings.
pub fn set_so(hpa: Hpa, setting: &HpaSetting) -> Hpa {
    Hpa { target: setting.target, stabilize: minutes(setting.stabilization), ..hpa }
}

/// Minutes of a stabilization window, at least one.
pub(super) fn minutes(stabilization: u32) -> usize {
    stabilization.div_ceil(60).max(1) as usize
}

/// The scale-down stabilization of the workload's HPA, in seconds.
pub(super) fn stabilization(workload: &Observed) -> u32 {
    match workload.rendered.value(&Field::Stabilization(Direction::ScaleDown)) {
        Some(Value::Stabilization(seconds)) => u32::from(*seconds),
        _ => DEFAULT_STABILIZATION,
    }
}

/// What a pod can use of a resource, in cores or bytes: its containers' limits, boundless where one has none. Of memory no more than what the
/// first container that reaches its limit leaves room for, where each uses as it requests.
fn limit(workload: &Observed, resource: Resource) -> f64 {
    let containers = &workload.rendered.containers;
    match resource {
        Resource::Cpu => containers.iter().map(|container| container.cpu_limit.map_or(f64::INFINITY, Millicores::cores)).sum(),
        Resource::Memory => {
            let requested = requested(workload, resource).unwrap_or(0.0);
            let shares = containers.iter().filter_map(|container| {
                let (limit, request) = (container.memory_limit?.0 as f64, container.memory_request?.0 as f64);
                Some(limit / request)
            });
            shares.fold(f64::INFINITY, f64::min) * requested
        }
    }
}

/// The resource that a signal is of.
pub(super) fn resource_of(signal: &Signal) -> Option<Resource> {
    match signal {
        Signal::Cpu => Some(Resource::Cpu),
        Signal::Memory => Some(Resource::Memory),
        Signal::Requests | Signal::Queue(_) | Signal::Promql(_) => None,
    }
}

/// The workload's HPA, where its settings may be chosen; `None` where there is none, or the policy does not ask.
///
/// # Errors
/// What stands in the way, and what to do about it.
pub fn tunable(workload: &Observed) -> Result<Option<Tunable>, HoldReason> {
    let spec = &workload.policy.spec;
    let Scaler::Hpa(hpa) = &workload.rendered.scaler else { return Ok(None) };
    if !spec.autoscaler.tune {
        return Ok(None);
    }
    let not_tuned = |detail: String| HoldReason::NotTuned { detail: format!("{detail}; or set `spec.autoscaler.tune: false`") };
    let [Driven { signal, capacity, .. }] = &workload.signals[..] else {
        return Err(not_tuned("several signals drive it: its HPA is tuned only where it scales on the one that does".to_owned()));
    };
    let names: Vec<&str> = hpa.metrics.iter().map(|metric| metric.name.as_str()).collect();
    let metric = Metric { resource: resource_of(signal).unwrap_or(Resource::Cpu), container: None };
    let whole_pod = !workload
        .rendered
        .fields
        .iter()
        .any(|(field, _)| matches!(field, Field::TargetUtilization(other) | Field::TargetValue(other) if other.container.is_some()));
    if resource_of(signal).is_none() || names != [signal.name()] || hpa.metrics[0].utilization.is_none() || !whole_pod {
        let scales_on = if names.is_empty() { "nothing".to_owned() } else { format!("`{}`", names.join("`, `")) };
        return Err(not_tuned(format!(
            "its HPA scales on {scales_on} and the signal is `{}`: it is tuned only where it scales on the utilization of the signal, `cpu` \
             or `memory`, of whole pods alone",
            signal.name()
        )));
    }
    let Some(capacity) = *capacity else {
        let resource = metric.resource;
        return Err(not_tuned(format!(
            "what one replica carries follows from its HPA's {resource} target: give `spec.capacityPerReplica` in the policy to have the \
             target chosen"
        )));
    };
    let (Some(requested), Some((present, _))) = (requested(workload, metric.resource), hpa_of(workload, signal, capacity)) else {
        let resource = metric.resource;
        return Err(not_tuned(format!("its HPA aims at a share of {resource} requests, and not every container requests any: set them")));
    };
    let most = limit(workload, metric.resource) / capacity;
    Ok(Some(Tunable {
        object: hpa.object.clone(),
        metric,
        present,
        requested: requested / capacity,
        most,
        bounds: spec.autoscaler.clone(),
    }))
}

/// Decides the settings of the workload's HPA, as its study chose them.
pub(super) fn decide(workload: &Observed) -> Vec<Decision> {
    if !workload.is_measured() {
        return Vec::new();
    }
    let hold = |field: Field, why| vec![Decision::Hold { field: Some(field), wanted: None, why }];
    let tunable = match tunable(workload) {
        Ok(Some(tunable)) => tunable,
        Ok(None) => return Vec::new(),
        Err(why) => return hold(Field::Stabilization(Direction::ScaleDown), why),
    };
    let (object, present) = (&tunable.object, tunable.present);
    let target = Field::TargetUtilization(tunable.metric.clone());
    let study = match &workload.signals[0].study {
        Ok(study) => study,
        Err(NoStudy::NotDecided) => return Vec::new(), // the floor says why
        Err(why) => return hold(target, HoldReason::Unstudied { why: why.clone() }),
    };
    // The limits and the policy may have changed since.
    let better = study.hpa.filter(|tuning| !tuning.to.is_like(&present) && tunable.is_possible(&tuning.to));
    let Some(tuning) = better else { return hold(target, HoldReason::Unchanged) };
    let reason = Reason::Tuned { replayed: study.replayed, before: tuning.before, after: tuning.after };
    let mut decisions = Vec::new();
    let mut change = |field: Field, from: Option<Value>, to: Option<Value>| {
        if let Some(to) = to.filter(|to| from.as_ref() != Some(to)) {
            decisions.push(Decision::Change { object: object.clone(), field, from, to, reasons: vec![reason.clone()] });
        }
    };
    let percent = |percent: u32| Percent::try_from(percent).ok().map(Value::Percent);
    change(target, percent(present.percent), percent(tuning.to.percent));
    if tuning.to.stabilization != present.stabilization {
        let field = Field::Stabilization(Direction::ScaleDown);
        let from = workload.rendered.value(&field).cloned();
        change(field, from, Stabilization::try_from(tuning.to.stabilization).ok().map(Value::Stabilization));
    }
    decisions
}
