//! The gate: Rego policies say for each change whether it may go as its policy asks, goes by pull request instead, or is held. Pure.
//!
//! Every package under `prescale.gate` may have two sets of messages, `hold` and `pull_request`; the strictest of all that is said counts. They
//! only ever tighten: what a workload's policy has travel by pull request is never committed. Rego is interpreted by [`regorus`], without
//! builtins that reach for the network, the clock or the environment, and under its execution timer. What cannot be evaluated holds everything.

mod input;
mod settings;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};
use serde_json::Value as Json;

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

/// A file of Rego.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What messages call it.
    pub path: String,
    /// Its text.
    pub text: String,
}

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

/// The shipped policies and a user's; one of the same package takes the place of the shipped one.
pub fn beside_shipped(own: Vec<Policy>) -> Vec<Policy> {
    let is_replaced = |shipped: &Policy| own.iter().any(|own| own.package() == shipped.package());
    let mut all: Vec<Policy> = shipped().into_iter().filter(|shipped| !is_replaced(shipped)).collect();
    all.extend(own);
    all
}

impl Policy {
    /// The package that it says it is of.
    pub fn package(&self) -> Option<&str> {
        self.text.lines().find_map(|line| Some(line.strip_prefix("package ")?.trim()))
    }

    /// Whether it holds tests, which no run asks.
    fn is_test(&self) -> bool {
        self.path.ends_with("_test.rego")
    }
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
        for policy in policies {
            let Policy { path, text } = policy;
            let wrong = |why: String| GateError(format!("the gate's policy `{path}` {why}"));
            if text.contains("rand.intn") {
                return Err(wrong("uses `rand.intn`: the same inputs must give the same answer".to_owned()));
            }
            let package =
                engine.add_policy(path.clone(), text.clone()).map_err(|error| wrong(format!("is no Rego: {}", first_lines(&error))))?;
            if policy.is_test() {
                continue;
            }
            // One that would never be asked would not hold.
            if package.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('.')).is_none_or(|name| name.contains(['.', '['])) {
                return Err(wrong(format!(
                    "is in `{}`: only packages right below `prescale.gate` are asked",
                    package.trim_start_matches("data.")
                )));
            }
            let says = |rule| engine.has_declared_rule_rooted_at(path, rule).map_err(|error| wrong(first_lines(&error)));
            if !says("hold")? && !says("pull_request")? {
                return Err(wrong("says neither `hold` nor `pull_request`".to_owned()));
            }
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
            Some(Said { ruling: Ruling::Hold, policy, message }) => gone.push((change, HoldReason::Gated { policy, message })),
            Some(Said { ruling: Ruling::PullRequest, policy, message }) => {
                change.reasons.push(Reason::Gated { policy, message });
                change.route = change.route.min(Route::PullRequest);
                stay.push(change);
            }
            None => stay.push(change),
        }
    }
    let held_ones: Vec<Change> = gone.iter().map(|(change, _)| change.clone()).collect();
    for floor in stranded(&mut stay, &held_ones) {
        let ceiling = gone.iter().find(|(ceiling, _)| (&ceiling.overlay, &ceiling.object) == (&floor.overlay, &floor.object));
        if let Some(why) = ceiling.map(|(_, why)| why.clone()) {
            gone.push((floor, why));
        }
    }
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

/// A floor and the ceiling that rises with it go the same way, the slower one's.
fn together(changes: &mut [Change]) {
    let of = |change: &Change| (change.overlay.clone(), change.object.clone());
    let is_ceiling = |change: &&Change| matches!(change.field, Field::MaxReplicas | Field::MaxReplicaCount);
    let mut slowest: BTreeMap<_, Route> = changes.iter().filter(is_ceiling).map(|ceiling| (of(ceiling), ceiling.route)).collect();
    let is_bound =
        |change: &Change| matches!(change.field, Field::MinReplicas | Field::MinReplicaCount | Field::MaxReplicas | Field::MaxReplicaCount);
    for change in changes.iter().filter(|change| is_bound(change)) {
        slowest.entry(of(change)).and_modify(|route| *route = change.route.min(*route));
    }
    for change in changes.iter_mut().filter(|change| is_bound(change)) {
        change.route = slowest.get(&of(change)).copied().unwrap_or(change.route);
    }
}

fn held(change: Change, why: HoldReason) -> Held {
    Held { workload: change.workload, overlay: change.overlay, field: Some(change.field), wanted: Some(change.to), why }
}

/// The engine's errors quote the source over many lines.
fn first_lines(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "|").take(6).collect::<Vec<_>>().join(" ")
}
