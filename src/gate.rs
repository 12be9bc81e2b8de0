//! The gate: Rego policies say for each change whether it may go as its policy asks, goes by pull request instead, or is held. Pure.
//!
//! Every package under `prescale.gate` may have two sets of messages, `hold` and `pull_request`; the strictest of all that is said counts. They
//! only ever tighten: what a workload's policy has travel by pull request is never committed. Rego is interpreted by [`regorus`], without
//! builtins that reach for the network, the clock or the environment, and under its execution timer, with those bounded that make much of little.
//! Still a policy that means to can use up time and memory: it is code of whoever may change the configuration. What cannot be evaluated holds
//! everything.

mod builtins;
mod input;
mod policy;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};
use serde_json::Value as Json;

pub use self::policy::Policy;
pub use self::settings::Settings;

use crate::model::plan::stranded;
use crate::model::{Change, Field, Held, HoldReason, Plan, Prices, Reason, Route, Snapshot, on_all_cores};

/// The policies that come with Prescale, by file.
const SHIPPED: [(&str, &str); 7] = [
    ("blast_radius.rego", include_str!("../policies/gate/blast_radius.rego")),
    ("disruption.rego", include_str!("../policies/gate/disruption.rego")),
    ("error_budget.rego", include_str!("../policies/gate/error_budget.rego")),
    ("freeze.rego", include_str!("../policies/gate/freeze.rego")),
    ("new_workload.rego", include_str!("../policies/gate/new_workload.rego")),
    ("production_requests.rego", include_str!("../policies/gate/production_requests.rego")),
    ("scale_in.rego", include_str!("../policies/gate/scale_in.rego")),
];
/// Where all policies live.
const ROOT: &str = "data.prescale.gate";
/// So many expressions pass between two looks at the timer.
const CHECK_EVERY: u32 = 64;
/// So many changes are judged by one engine.
const CHUNK: usize = 128;

/// Compiled policies.
#[derive(Clone, Debug)]
pub struct Gate {
    engine: Engine,
    settings: Settings,
}

/// Policies that cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GateError(String);

impl GateError {
    /// From what failed, on what, and what to do.
    pub fn new(message: String) -> Self {
        Self(message)
    }
}

/// The policies that come with Prescale.
pub fn shipped() -> Vec<Policy> {
    SHIPPED.iter().map(|(name, text)| Policy { path: format!("policies/gate/{name}"), text: (*text).to_owned() }).collect()
}

/// The shipped policies and a user's; one of the same package takes the place of the shipped one, but for its tests.
pub fn beside_shipped(own: Vec<Policy>) -> Vec<Policy> {
    let taken: BTreeSet<String> = own.iter().filter(|own| !own.is_test()).filter_map(Policy::package).collect();
    let is_taken = |shipped: &Policy| shipped.package().is_some_and(|package| taken.contains(&package));
    let mut all: Vec<Policy> = shipped().into_iter().filter(|shipped| !is_taken(shipped)).collect();
    all.extend(own);
    all
}

/// What a policy says of a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// The route that is left.
    pub ruling: Ruling,
    /// The package below `prescale.gate` that says so.
    pub policy: String,
    /// Why.
    pub message: String,
}

/// What a policy can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ruling {
    /// Not now.
    Hold,
    /// Not without people.
    PullRequest,
}

impl Gate {
    /// Compiles policies, and tries them on nothing. `settings` are what they find as `data.prescale.settings`; `limit` is how long one change may take.
    pub fn new(policies: &[Policy], settings: Settings, limit: Duration) -> Result<Self, GateError> {
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(true);
        let check_interval = NonZeroU32::new(CHECK_EVERY).unwrap_or(NonZeroU32::MIN);
        engine.set_execution_timer_config(ExecutionTimerConfig { limit, check_interval });
        builtins::bound(&mut engine).map_err(|error| GateError(format!("the engine of the gate: {}", first_lines(&error))))?;
        for policy in policies {
            add(policy, &mut engine)?;
        }
        let data = serde_json::json!({"prescale": {"settings": settings.json()}}).to_string();
        engine.add_data_json(&data).map_err(|error| GateError(format!("`gate.settings` cannot be used: {}", first_lines(&error))))?;
        // Most of what can go wrong goes wrong without any input as well.
        judge(&mut engine.clone(), &serde_json::json!({}))?;
        Ok(Self { engine, settings })
    }

    /// What the policies say of one change, the strictest first.
    pub fn judge(&self, input: &Json) -> Result<Vec<Said>, GateError> {
        judge(&mut self.engine.clone(), input)
    }

    /// Evaluates one rule, say a test: whether it is true.
    pub fn holds(&self, rule: &str) -> Result<bool, GateError> {
        let value = self.engine.clone().eval_rule(rule.to_owned());
        value.map(|value| value == Value::Bool(true)).map_err(|error| GateError(first_lines(&error)))
    }

    /// The packages that were read, as `data.…`.
    pub fn packages(&self) -> Result<Vec<String>, GateError> {
        self.engine.get_packages().map_err(|error| GateError(first_lines(&error)))
    }
}

/// Has the engine read a policy, if it is one that will be asked.
fn add(policy: &Policy, engine: &mut Engine) -> Result<(), GateError> {
    if policy.text.contains("rand.intn") {
        return Err(policy.wrong("uses `rand.intn`: the same inputs must give the same answer"));
    }
    let package = policy.read_by(engine)?;
    if policy.is_test() {
        return Ok(());
    }
    // One that would never be asked would not hold.
    if package.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('.')).is_none_or(|name| name.contains(['.', '['])) {
        let package = package.trim_start_matches("data.");
        return Err(policy.wrong(&format!("is in `{package}`: only packages right below `prescale.gate` are asked")));
    }
    let says = |rule| engine.has_declared_rule_rooted_at(&policy.path, rule).map_err(|error| policy.wrong(&first_lines(&error)));
    if says("hold")? || says("pull_request")? { Ok(()) } else { Err(policy.wrong("says neither `hold` nor `pull_request`")) }
}

fn judge(engine: &mut Engine, input: &Json) -> Result<Vec<Said>, GateError> {
    let failed = |error: anyhow::Error| GateError(format!("the gate's policies failed: {}", first_lines(&error)));
    engine.set_input_json(&input.to_string()).map_err(failed)?;
    let found = engine.eval_query(ROOT.to_owned(), false).map_err(failed)?;
    let Some(Value::Object(packages)) = found.result.first().and_then(|result| result.expressions.first()).map(|found| &found.value) else {
        return Ok(Vec::new()); // no policy at all
    };
    let mut said = Vec::new();
    for (package, rules) in packages.iter() {
        let policy = package.as_string().map_err(failed)?.to_string();
        for (rule, ruling) in [("hold", Ruling::Hold), ("pull_request", Ruling::PullRequest)] {
            match &rules[rule] {
                Value::Undefined => {}
                Value::Set(messages) => {
                    for message in messages.iter() {
                        let message = message.as_string().map_err(failed)?.to_string();
                        said.push(Said { ruling, policy: policy.clone(), message });
                    }
                }
                _ => {
                    return Err(GateError(format!(
                        "`{ROOT}.{policy}.{rule}` is no set of messages: write `{rule} contains \"…\" if {{ … }}`"
                    )));
                }
            }
        }
    }
    said.sort();
    Ok(said)
}

/// Routes each change of a plan that may be written. Where the policies cannot be evaluated, all of them are held.
pub fn route(plan: &mut Plan, gate: Result<&Gate, &GateError>, snapshot: &Snapshot, prices: Option<&Prices>) -> Result<(), GateError> {
    let outcome = gate.map_err(Clone::clone).and_then(|gate| said_of(plan, gate, snapshot, prices));
    let judged = match outcome {
        Ok(judged) => judged,
        Err(error) => {
            let written = plan.changes.extract_if(.., |change| change.route != Route::Observe).collect::<Vec<_>>();
            plan.held.extend(written.into_iter().map(|change| held(change, HoldReason::GateFailed { detail: error.to_string() })));
            return Err(error);
        }
    };
    let mut gone = Vec::new();
    let mut stay = Vec::new();
    for (mut change, said) in std::mem::take(&mut plan.changes).into_iter().zip(judged) {
        match said.first().cloned() {
            // What stands proposed, and of which nothing newer is known, is neither proposed anew nor withdrawn.
            Some(Said { ruling: Ruling::Hold, .. }) if change.reasons.iter().any(|reason| matches!(reason, Reason::Kept { .. })) => {
                stay.push(change);
            }
            Some(Said { ruling: Ruling::Hold, policy, message }) => gone.push((change, HoldReason::Gated { policy, message })),
            Some(Said { ruling: Ruling::PullRequest, policy, message }) => {
                change.reasons.push(Reason::Gated { policy, message });
                change.route = change.route.min(Route::PullRequest);
                stay.push(change);
            }
            None => stay.push(change),
        }
    }
    leave_none_alone(&mut stay, &mut gone);
    together(&mut stay);
    plan.changes = stay;
    plan.held.extend(gone.into_iter().map(|(change, why)| held(change, why)));
    Ok(())
}

fn said_of(plan: &Plan, gate: &Gate, snapshot: &Snapshot, prices: Option<&Prices>) -> Result<Vec<Vec<Said>>, GateError> {
    let inputs = input::of(plan, snapshot, prices, &gate.settings);
    let chunks: Vec<_> = plan.changes.chunks(CHUNK).collect();
    let judged = on_all_cores(&chunks, |changes| {
        let mut engine = gate.engine.clone();
        changes
            .iter()
            .map(|change| if change.route == Route::Observe { Ok(Vec::new()) } else { judge(&mut engine, &inputs.change(change)) })
            .collect()
    });
    let judged: Result<Vec<Vec<Vec<Said>>>, GateError> = judged.into_iter().collect();
    Ok(judged?.into_iter().flatten().collect())
}

/// Holds, for the same reason, what is not to go alone: a floor above a ceiling that is held, and a ceiling whose floor is.
fn leave_none_alone(stay: &mut Vec<Change>, gone: &mut Vec<(Change, HoldReason)>) {
    let bounds: Vec<(Change, HoldReason)> = gone.iter().filter(|(change, _)| is_bound(&change.field)).cloned().collect();
    let held_ones: Vec<Change> = bounds.iter().map(|(change, _)| change.clone()).collect();
    let is_without_floor = |change: &Change| is_ceiling(&change.field) && held_ones.iter().any(|floor| is_of_one(floor, change));
    let mut alone = stranded(stay, &held_ones);
    alone.extend(stay.extract_if(.., |change| is_without_floor(change)));
    for change in alone {
        if let Some((_, why)) = bounds.iter().find(|(other, _)| is_of_one(other, &change)) {
            gone.push((change, why.clone()));
        }
    }
}

/// A floor and the ceiling that rises with it go the same way, the slower one's.
fn together(changes: &mut [Change]) {
    let of = |change: &Change| (change.overlay.clone(), change.object.clone());
    let ceilings = changes.iter().filter(|change| is_ceiling(&change.field));
    let mut slowest: BTreeMap<_, Route> = ceilings.map(|ceiling| (of(ceiling), ceiling.route)).collect();
    for change in changes.iter().filter(|change| is_bound(&change.field)) {
        slowest.entry(of(change)).and_modify(|route| *route = change.route.min(*route));
    }
    for change in changes.iter_mut().filter(|change| is_bound(&change.field)) {
        change.route = slowest.get(&of(change)).copied().unwrap_or(change.route);
    }
}

/// Whether two changes are of one object in one overlay.
fn is_of_one(one: &Change, other: &Change) -> bool {
    (&one.overlay, &one.object) == (&other.overlay, &other.object)
}

fn is_ceiling(field: &Field) -> bool {
    matches!(field, Field::MaxReplicas | Field::MaxReplicaCount)
}

/// Whether it bounds what an autoscaler may do.
fn is_bound(field: &Field) -> bool {
    is_ceiling(field) || matches!(field, Field::MinReplicas | Field::MinReplicaCount)
}

fn held(change: Change, why: HoldReason) -> Held {
    Held { workload: change.workload, overlay: change.overlay, field: Some(change.field), wanted: Some(change.to), why }
}

/// The engine's errors quote the source over many lines.
fn first_lines(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "|").take(6).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ObjectRef, RepoPath, Value, Window, WorkloadId, WorkloadKind};
    use chrono::{DateTime, TimeDelta};

    fn change(field: Field, from: u32, to: u32) -> Change {
        Change {
            workload: WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name: "web".into() },
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
            reasons: vec![],
            route: Route::Commit,
        }
    }

    /// What one rule makes of changes: those that stay, by field and route, and how many are held with its message.
    fn routed(rule: &str, changes: Vec<Change>) -> (Vec<(String, Route)>, usize) {
        let policy = Policy { path: "mine.rego".into(), text: format!("package prescale.gate.mine\n\nimport rego.v1\n\n{rule}\n") };
        let gate = Gate::new(&[policy], Settings::over(&Json::Null).unwrap(), Duration::from_secs(10)).unwrap();
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let window = Window::of_decision(at, TimeDelta::minutes(6), TimeDelta::minutes(10));
        let mut plan = Plan { at, window, outlooks: vec![], changes, held: vec![] };
        route(&mut plan, Ok(&gate), &Snapshot::default(), None).unwrap();
        let is_told = |held: &&Held| matches!(&held.why, HoldReason::Gated { message, .. } if message == "no");
        let stay = plan.changes.iter().map(|change| (change.field.to_string(), change.route)).collect();
        (stay, plan.held.iter().filter(is_told).count())
    }

    #[test]
    fn a_floor_and_its_ceiling_share_their_fate() {
        let both = || vec![change(Field::MinReplicas, 5, 12), change(Field::MaxReplicas, 8, 18)];
        let hold = |field: &str| format!("hold contains \"no\" if input.change.field == \"{field}\"");
        assert_eq!(routed(&hold("minReplicas"), both()), (vec![], 2), "no ceiling rises for a floor that does not");
        assert_eq!(routed(&hold("maxReplicas"), both()), (vec![], 2), "no floor rises above its ceiling");
        let below = vec![change(Field::MinReplicas, 5, 8), change(Field::MaxReplicas, 8, 18)];
        assert_eq!(routed(&hold("maxReplicas"), below), (vec![("minReplicas".to_owned(), Route::Commit)], 1));
        // Neither comes nor goes for another field of the object, nor for another object.
        let mut other = change(Field::MaxReplicas, 8, 18);
        other.object.name = "api".into();
        assert_eq!(routed(&hold("minReplicas"), vec![change(Field::MinReplicas, 5, 12), other]).1, 1);
        let review = "pull_request contains \"no\" if input.change.field == \"maxReplicas\"";
        let by_pull = |field: &str| (field.to_owned(), Route::PullRequest);
        assert_eq!(routed(review, both()), (vec![by_pull("minReplicas"), by_pull("maxReplicas")], 0));
    }

    #[test]
    fn a_test_does_not_displace_what_it_tests() {
        let own = |path: &str| Policy { path: path.into(), text: "package prescale.gate.freeze # of mine\n".into() };
        let paths = |own: Policy| beside_shipped(vec![own]).into_iter().map(|policy| policy.path).collect::<Vec<_>>();
        let freeze = "policies/gate/freeze.rego".to_owned();
        assert!(paths(own("freeze_test.rego")).contains(&freeze));
        let replaced = paths(own("freeze.rego"));
        assert!(!replaced.contains(&freeze) && replaced.len() == SHIPPED.len());
        let text = "package prescale.gate.scale_in # beside it\n\nimport rego.v1\n\nstep(to) := {\"kind\": \"floor\", \"direction\": \"fall\", \
                    \"from\": 20, \"to\": to}\n\ntest_a_step if count(pull_request) == 1 with input as {\"change\": step(16)}\n";
        let own = Policy { path: "scale_in_test.rego".into(), text: text.into() };
        let gate = Gate::new(&beside_shipped(vec![own]), Settings::over(&Json::Null).unwrap(), Duration::from_secs(10)).unwrap();
        assert_eq!(gate.holds("data.prescale.gate.scale_in.test_a_step"), Ok(true));
    }
}
