//! What is wrong with a policy, in words that name the field and the remedy.

use std::time::Duration;

use super::{API_VERSION, AutoscalerPolicy, Driver, ReplicasPolicy, RequestsPolicy, ScalingPolicy, Signal, Spec};
use crate::model::{Freeze, Rates, Share};

/// What was found so far.
struct Problems(Vec<String>);

impl Problems {
    fn must(&mut self, holds: bool, problem: impl Into<String>) {
        if !holds {
            self.0.push(problem.into());
        }
    }
}

impl ScalingPolicy {
    /// All that is wrong with what it says, in words that name the field and the remedy. Empty when it can be followed.
    pub fn problems(&self) -> Vec<String> {
        let spec = &self.spec;
        let mut problems = Problems(Vec::new());
        problems.must(self.api_version == API_VERSION, format!("apiVersion is `{}`: write `{API_VERSION}`", self.api_version));
        problems.must(!spec.target.name.is_empty(), "spec.target.name is empty: name the workload as the overlay renders it");
        signals(spec, &mut problems);
        money(spec, &mut problems);
        replicas(&spec.replicas, &mut problems);
        autoscaler(&spec.autoscaler, &mut problems);
        durations(spec, &mut problems);
        times(spec, &mut problems);
        requests(&spec.requests, &mut problems);
        problems.0
    }
}

fn signals(spec: &Spec, problems: &mut Problems) {
    let drivers = spec.drivers();
    problems.must(!drivers.is_empty(), "spec.signals is empty: name a signal, or remove it");
    problems.must(
        spec.signals.is_none() || spec.signal.is_none() && spec.capacity_per_replica.is_none(),
        "spec.signals stands beside spec.signal or spec.capacityPerReplica: keep one form, and give each signal's capacityPerReplica in its own \
         entry",
    );
    for (i, Driver { signal, capacity_per_replica }) in drivers.iter().enumerate() {
        let at = spec.signals.as_ref().map_or("spec".to_owned(), |_| format!("spec.signals[{i}]"));
        let capacity = capacity_per_replica.unwrap_or(1.0);
        problems.must(capacity.is_finite() && capacity > 0.0, format!("{at}.capacityPerReplica is {capacity}: it must be above zero"));
        if let Some(expression) = signal.expression() {
            problems.must(!expression.trim().is_empty(), format!("{at}.signal.{} is empty: give an expression", signal.name()));
        }
        problems.must(
            !matches!(signal, Signal::Queue(_)) || capacity_per_replica.is_some(),
            format!("{at}.capacityPerReplica is missing: say how many items may wait for each replica"),
        );
        problems.must(drivers[..i].iter().all(|other| other.signal != *signal), format!("{at} names `{signal}` again: keep one of them"));
    }
}

fn money(spec: &Spec, problems: &mut Problems) {
    if let Some(price) = spec.shortfall_price {
        problems.must(
            price.is_finite() && price >= 1.0,
            format!("spec.shortfallPrice is {price}: it must be at least 1, since a minute short never costs less than a replica-minute"),
        );
        problems.must(spec.objective.is_none(), "spec.shortfallPrice and spec.objective are both given: keep one of them");
    }
    if let Some(expression) = &spec.error_budget {
        problems.must(!expression.trim().is_empty(), "spec.errorBudget is empty: give an expression, or remove it");
    }
    if let Some(Share(share)) = spec.objective {
        problems.must(
            share > 0.0 && share < 1.0,
            format!("spec.objective is {share}: it is the share of minutes that may be short, for instance `0.5%` or 0.005"),
        );
    }
    if let Some(Rates { core_hour, gib_hour }) = spec.prices {
        for (field, price) in [("coreHour", core_hour), ("gibHour", gib_hour)] {
            problems.must(price.is_finite() && price >= 0.0, format!("spec.prices.{field} is {price}: it must be at least 0"));
        }
    }
}

fn replicas(replicas: &ReplicasPolicy, problems: &mut Problems) {
    let ReplicasPolicy { min, step_up, step_down, spare, .. } = replicas;
    if let Some(max) = replicas.max {
        problems.must(*min <= max, format!("spec.replicas.min ({min}) is above spec.replicas.max ({max}): swap or correct them"));
        problems.must(max > 0, "spec.replicas.max is 0: remove it, or give at least 1");
    }
    problems.must(*step_up > 0.0, format!("spec.replicas.stepUp is {step_up}: it must be above zero"));
    problems
        .must(*step_down > 0.0 && *step_down <= 1.0, format!("spec.replicas.stepDown is {step_down}: it must be above 0 and at most 1"));
    problems.must((0.0..=4.0).contains(spare), format!("spec.replicas.spare is {spare}: it must lie between 0 and 4"));
    problems.must(
        replicas.changes_per_day != Some(0),
        "spec.replicas.changesPerDay is 0: remove it, or give at least 1; `delivery: observe` writes nothing",
    );
}

fn autoscaler(autoscaler: &AutoscalerPolicy, problems: &mut Problems) {
    if let (Some(least), Some(most)) = (autoscaler.min_target, autoscaler.max_target) {
        let problem = format!("spec.autoscaler.minTarget ({least}) is above spec.autoscaler.maxTarget ({most}): swap or correct them");
        problems.must(least <= most, problem);
    }
    if let (Some(least), Some(most)) = (autoscaler.min_stabilization, autoscaler.max_stabilization) {
        let problem = "spec.autoscaler.minStabilization is longer than spec.autoscaler.maxStabilization: swap or correct them";
        problems.must(least <= most, problem);
    }
}

fn durations(spec: &Spec, problems: &mut Problems) {
    for (field, duration, days) in [
        ("leadTime", spec.lead_time.unwrap_or_default(), 1),
        ("staleAfter", spec.stale_after, 7),
        ("replicas.coolDown", spec.replicas.cool_down, 7),
        ("replicas.stabilization", spec.replicas.stabilization, 1),
        ("requests.leastHistory", spec.requests.least_history, 400),
    ] {
        let longest = Duration::from_secs(days * 86_400);
        problems.must(duration <= longest, format!("spec.{field} is {}: it must be at most {days}d", humantime::format_duration(duration)));
    }
}

fn times(spec: &Spec, problems: &mut Problems) {
    for (i, Freeze { from, to, .. }) in spec.freezes.iter().enumerate() {
        problems.must(from < to, format!("spec.freezes[{i}] ends at {to}, before it begins at {from}: swap or correct them"));
    }
    for (rhythm, windows) in [("floors", &spec.windows.floors), ("templates", &spec.windows.templates)] {
        for (i, window) in windows.iter().enumerate() {
            let problem = format!("spec.windows.{rhythm}[{i}].days is empty: name a day, or leave it out for all");
            problems.must(!window.days.is_empty(), problem);
        }
    }
}

fn requests(requests: &RequestsPolicy, problems: &mut Problems) {
    let RequestsPolicy { headroom, least_change, .. } = requests;
    for (field, percentile) in [("cpuPercentile", requests.cpu_percentile), ("memoryPercentile", requests.memory_percentile)] {
        let problem = format!("spec.requests.{field} is {percentile}: it must lie between 50 and 100");
        problems.must((50.0..=100.0).contains(&percentile), problem);
    }
    problems.must(
        (0.0..=2.0).contains(headroom),
        format!("spec.requests.headroom is {headroom}: it is a share between 0 and 2 (0.15 for 15 %)"),
    );
    problems
        .must((0.0..=1.0).contains(least_change), format!("spec.requests.leastChange is {least_change}: it is a share between 0 and 1"));
}
