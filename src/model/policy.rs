//! The contract with the config repository: what a `ScalingPolicy` may say, and what it means where it says nothing.

use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Aim, Bytes, Calendar, Freeze, Millicores, Rates, Route, Share, Windows, WorkloadKind};

mod problems;
mod schema;

pub use schema::{crd, json_schema};

/// The `apiVersion` of a [`ScalingPolicy`].
pub const API_VERSION: &str = "prescale.dev/v1alpha1";

/// How one workload is to be scaled. Everything but `spec.target` has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingPolicy {
    /// [`API_VERSION`]
    pub api_version: String,
    /// `ScalingPolicy`
    pub kind: String,
    /// The policy's own name and, for its target, the namespace.
    pub metadata: Metadata,
    /// What it says.
    pub spec: Spec,
}

/// The metadata that is read; labels and annotations may stand beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The policy's name.
    pub name: String,
    /// The namespace of the target. Default: that of the one workload of this kind and name that the overlay renders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::duplicated_attributes, reason = "each column has its type")]
#[kube(
    group = "prescale.dev",
    version = "v1alpha1",
    kind = "ScalingPolicy",
    root = "Resource",
    namespaced,
    shortname = "scp",
    category = "prescale",
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.target.kind"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target.name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct Spec {
    /// The workload, as rendered.
    pub target: Target,
    /// What drives it: `cpu`, `memory`, `requests`, `{queue: <expression>}` or `{promql: <expression>}`. Default: `cpu`.
    #[serde(default, with = "serde_yaml::with::singleton_map", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::signal")]
    pub signal: Option<Signal>,
    /// Demand that one replica can carry, in the signal's unit. Default for `cpu` and `memory`: the pod's request times the HPA's target
    /// utilization, or times 0.7 without one. Of other signals but `queue` it is learned from CPU and latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_per_replica: Option<f64>,
    /// What drives it, where that is several signals, instead of the two fields above: the largest need wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signals: Option<Vec<Driver>>,
    /// What a minute short of capacity costs a workload of 14 replicas, in replica-minutes; in proportion for others. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortfall_price: Option<f64>,
    /// Instead of a price: the share of minutes that may be short. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Share>,
    /// What its capacity costs, instead of the configuration's prices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Rates>,
    /// A PromQL expression for the share of its error budget that is left, 0–1 and below zero where it is overspent. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_budget: Option<String>,
    /// From a decision to Ready pods. Default: what was measured or, until that is known, the configuration's `decision.leadTime`.
    #[serde(default, with = "duration_option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub lead_time: Option<Duration>,
    /// How old the last sample may be. Default: 15m.
    #[serde(default = "default_stale_after", with = "duration")]
    #[schemars(with = "String")]
    pub stale_after: Duration,
    /// The clock that demand follows, and its holidays. Default: UTC, none.
    #[serde(default)]
    pub calendar: Calendar,
    /// When changes may be written, by the calendar's clock. Default: at any time.
    #[serde(default)]
    pub windows: Windows,
    /// When nothing is written, by the calendar's clock. Default: never.
    #[serde(default)]
    pub freezes: Vec<Freeze>,
    /// Bounds and steps of the floor.
    #[serde(default)]
    pub replicas: ReplicasPolicy,
    /// Settings of the autoscaler.
    #[serde(default)]
    pub autoscaler: AutoscalerPolicy,
    /// Requests of the containers.
    #[serde(default)]
    pub requests: RequestsPolicy,
    /// Which way changes travel. Default: `observe` for both rhythms.
    #[serde(default)]
    pub delivery: Delivery,
}

/// The workload that a policy names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// `Deployment`, `StatefulSet` or `Rollout`. Default: `Deployment`.
    #[serde(default = "default_kind")]
    pub kind: WorkloadKind,
    /// Its name, as rendered.
    pub name: String,
}

/// A signal that drives a workload, and what a replica carries of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Driver {
    /// The signal.
    #[serde(with = "serde_yaml::with::singleton_map")]
    #[schemars(schema_with = "schema::signal")]
    pub signal: Signal,
    /// As `spec.capacityPerReplica`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_per_replica: Option<f64>,
}

/// What drives a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Signal {
    /// CPU that the workload's pods use together, in cores.
    #[default]
    Cpu,
    /// Working set of the workload's pods together, in bytes.
    Memory,
    /// Requests a second that the workload's pods answer together.
    Requests,
    /// Items that wait in a queue: the first series of a PromQL expression.
    Queue(String),
    /// The first series of a PromQL expression, in whatever unit it has.
    Promql(String),
}

impl Signal {
    /// The name by which a signal is known in files and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Requests => "requests",
            Self::Queue(_) => "queue",
            Self::Promql(_) => "promql",
        }
    }

    /// The unit, as printed behind a number.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Cpu => "cores",
            Self::Memory => "bytes",
            Self::Requests => "req/s",
            Self::Queue(_) => "items",
            Self::Promql(_) => "",
        }
    }

    /// The PromQL expression that the policy gives for it.
    pub fn expression(&self) -> Option<&str> {
        match self {
            Self::Queue(expression) | Self::Promql(expression) => Some(expression),
            Self::Cpu | Self::Memory | Self::Requests => None,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.expression().unwrap_or(self.name()))
    }
}

/// Bounds and steps of the floor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ReplicasPolicy {
    /// Never fewer. Default: 1.
    pub min: u32,
    /// Never more. Default: the autoscaler's own maximum, or 100 without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// The largest share of the present floor that one decision adds; at least one replica. Default: 1.0 (it may double).
    pub step_up: f64,
    /// The largest share of the present floor that one decision takes away; at least one replica. Default: 0.2.
    pub step_down: f64,
    /// How long after its last change a floor may fall again. Default: 30m.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub cool_down: Duration,
    /// Spare replicas, in square roots of those that the peak keeps busy: with few replicas chance matters more. Default: 0.
    pub spare: f64,
    /// A floor falls only to the most that any decision over this long wanted; with `changesPerDay` over at least each one's share
    /// of the day. Default: 30m.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub stabilization: Duration,
    /// The most changes of the floor in any 24 hours; falls take none but the first half of them. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes_per_day: Option<u32>,
    /// Whether a floor of zero (an HPA or ScaledObject that may scale to zero) is raised. Default: false.
    pub raise_from_zero: bool,
}

/// Settings of the autoscaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AutoscalerPolicy {
    /// Whether an HPA's target utilization and scale-down stabilization are chosen by replay. Default: true.
    pub tune: bool,
    /// No target utilization below is chosen, in percent of the requests. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_target: Option<u32>,
    /// No target utilization above is chosen, in percent of the requests. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_target: Option<u32>,
    /// No shorter scale-down stabilization is chosen. Default: none.
    #[serde(with = "duration_option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub min_stabilization: Option<Duration>,
    /// No longer scale-down stabilization is chosen. Default: none.
    #[serde(with = "duration_option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub max_stabilization: Option<Duration>,
}

impl AutoscalerPolicy {
    /// Whether a target, in percent of the requests, and a scale-down stabilization, in seconds, may be chosen.
    pub fn allows(&self, percent: u32, stabilization: u32) -> bool {
        let stabilization = Duration::from_secs(stabilization.into());
        self.min_target.is_none_or(|least| percent >= least)
            && self.max_target.is_none_or(|most| percent <= most)
            && self.min_stabilization.is_none_or(|least| stabilization >= least)
            && self.max_stabilization.is_none_or(|most| stabilization <= most)
    }
}

/// Requests of the containers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequestsPolicy {
    /// Whether they are sized at all. Default: true.
    pub enabled: bool,
    /// CPU: which percentile of the busiest pod's usage. Default: 95.
    pub cpu_percentile: f64,
    /// Memory: which percentile of the largest pod's working set. Default: 100 (its maximum).
    pub memory_percentile: f64,
    /// Headroom on top, as a share. Default: 0.15.
    pub headroom: f64,
    /// The least relative change worth a restart of every pod. Default: 0.1.
    pub least_change: f64,
    /// How much history must stand behind it. Default: 3d.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub least_history: Duration,
    /// CPU requests never fall below. Default: 10m.
    pub min_cpu: Millicores,
    /// Memory requests never fall below. Default: 32Mi.
    pub min_memory: Bytes,
}

/// Which way changes travel, by rhythm. In YAML one route for both, or one for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "DeliveryForm", rename_all = "camelCase")]
pub struct Delivery {
    /// Floors.
    pub floors: Route,
    /// Requests: changes of the pod template.
    pub templates: Route,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`observe`, `commit`, or a mapping with `floors` and `templates`, each one of the two")]
enum DeliveryForm {
    Both(Route),
    Each(EachDelivery),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct EachDelivery {
    floors: Route,
    templates: Route,
}

impl From<DeliveryForm> for Delivery {
    fn from(form: DeliveryForm) -> Self {
        match form {
            DeliveryForm::Both(route) => Self { floors: route, templates: route },
            DeliveryForm::Each(each) => Self { floors: each.floors, templates: each.templates },
        }
    }
}

impl Default for ReplicasPolicy {
    fn default() -> Self {
        Self {
            min: 1,
            max: None,
            step_up: 1.0,
            step_down: 0.2,
            cool_down: Duration::from_secs(30 * 60),
            spare: 0.0,
            stabilization: Duration::from_secs(30 * 60),
            changes_per_day: None,
            raise_from_zero: false,
        }
    }
}

impl Default for AutoscalerPolicy {
    fn default() -> Self {
        Self { tune: true, min_target: None, max_target: None, min_stabilization: None, max_stabilization: None }
    }
}

impl Default for RequestsPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            cpu_percentile: 95.0,
            memory_percentile: 100.0,
            headroom: 0.15,
            least_change: 0.1,
            least_history: Duration::from_secs(3 * 86_400),
            min_cpu: Millicores(10),
            min_memory: Bytes(32 * Bytes::MEBIBYTE),
        }
    }
}

/// The price of shortfall where a policy says nothing, and where an objective has no price yet.
pub const DEFAULT_PRICE: f64 = 100.0;

fn default_stale_after() -> Duration {
    Duration::from_secs(15 * 60)
}

fn default_kind() -> WorkloadKind {
    WorkloadKind::Deployment
}

impl Spec {
    /// The signals that drive the workload, however they are written; at least one in a policy without problems.
    pub fn drivers(&self) -> Vec<Driver> {
        let only = || Driver { signal: self.signal.clone().unwrap_or_default(), capacity_per_replica: self.capacity_per_replica };
        self.signals.clone().unwrap_or_else(|| vec![only()])
    }
}

impl ScalingPolicy {
    /// The route of a change of this rhythm.
    pub fn route(&self, rhythm: super::Rhythm) -> Route {
        match rhythm {
            super::Rhythm::Floor => self.spec.delivery.floors,
            super::Rhythm::Template => self.spec.delivery.templates,
        }
    }
}

impl Spec {
    /// What decisions aim at.
    pub fn aim(&self) -> Aim {
        match self.objective {
            Some(Share(share)) => Aim::Objective(share),
            None => Aim::Price(self.shortfall_price.unwrap_or(DEFAULT_PRICE)),
        }
    }
}

/// A `std` duration as a `chrono` one; beyond what that can hold, its greatest.
pub fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// Durations as people write them: `90s`, `10m`, `6h`, `28d`.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes `10m`.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*duration))
    }

    /// Reads `10m`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map_err(|e| D::Error::custom(format!("`{text}` is not a duration ({e}): write for instance `90s`, `10m`, `6h` or `28d`")))
    }
}

mod duration_option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::duration::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Given(#[serde(with = "super::duration")] Duration);
        Ok(Option::<Given>::deserialize(deserializer)?.map(|Given(duration)| duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(spec: &str) -> Result<ScalingPolicy, serde_yaml::Error> {
        serde_yaml::from_str(&format!(
            "apiVersion: {API_VERSION}\nkind: ScalingPolicy\nmetadata: {{name: web, labels: {{a: b}}}}\nspec: {spec}\n"
        ))
    }

    #[test]
    fn everything_but_the_target_has_a_default() {
        let policy = policy("{target: {name: web}}").unwrap();
        assert_eq!(policy.spec.target.kind, WorkloadKind::Deployment);
        assert_eq!(policy.spec.drivers(), [Driver { signal: Signal::Cpu, capacity_per_replica: None }]);
        assert_eq!(policy.spec.delivery, Delivery { floors: Route::Observe, templates: Route::Observe });
        assert!(policy.problems().is_empty());
    }

    #[test]
    fn every_field_is_read() {
        let text = "{target: {kind: Rollout, name: web}, signal: {promql: 'sum(q)'}, capacityPerReplica: 5, shortfallPrice: 30, autoscaler: {tune: false, minTarget: 50, maxTarget: 90, minStabilization: 5m, maxStabilization: 30m}, leadTime: 3m, staleAfter: 5m, errorBudget: 'min(left)', \
            prices: {coreHour: 0.03, gibHour: 0.004}, \
            calendar: {timeZone: Europe/Berlin, holidays: [2026-12-25]}, \
            replicas: {min: 2, max: 9, stepUp: 0.5, stepDown: 0.1, coolDown: 1h, spare: 0.5, stabilization: 2h, changesPerDay: 6, raiseFromZero: true}, \
            requests: {enabled: false, cpuPercentile: 90, memoryPercentile: 99, headroom: 0.2, leastChange: 0.05, leastHistory: 1d, minCpu: 50m, minMemory: 64Mi}, \
            delivery: {floors: commit}}";
        let policy = policy(text).unwrap();
        assert_eq!(policy.spec.drivers(), [Driver { signal: Signal::Promql("sum(q)".into()), capacity_per_replica: Some(5.0) }]);
        assert_eq!(policy.spec.lead_time, Some(Duration::from_secs(180)));
        assert_eq!(policy.spec.delivery, Delivery { floors: Route::Commit, templates: Route::Observe });
        let again: ScalingPolicy = serde_yaml::from_str(&serde_yaml::to_string(&policy).unwrap()).unwrap();
        assert_eq!(again, policy);
    }

    #[test]
    fn signals_are_one_or_several() {
        let several =
            policy("{target: {name: web}, signals: [{signal: requests, capacityPerReplica: 50}, {signal: {promql: q}}, {signal: cpu}]}");
        let several = several.unwrap();
        assert!(several.problems().is_empty());
        let signals: Vec<String> = several.spec.drivers().iter().map(|driver| driver.signal.to_string()).collect();
        assert_eq!(signals, ["requests", "q", "cpu"]);
        let again: ScalingPolicy = serde_yaml::from_str(&serde_yaml::to_string(&several).unwrap()).unwrap();
        assert_eq!(again, several);
        for (spec, problem) in [
            ("signals: []", "spec.signals is empty"),
            ("signal: cpu, signals: [{signal: memory}]", "keep one form"),
            ("capacityPerReplica: 5, signals: [{signal: memory}]", "keep one form"),
            ("signals: [{signal: cpu}, {signal: cpu, capacityPerReplica: 2}]", "spec.signals[1] names `cpu` again"),
            ("signals: [{signal: cpu}, {signal: requests, capacityPerReplica: 0}]", "spec.signals[1].capacityPerReplica is 0"),
            ("signals: [{signal: {promql: ' '}}]", "spec.signals[0].signal.promql is empty"),
            ("signal: {queue: ''}, capacityPerReplica: 5", "spec.signal.queue is empty"),
            ("signal: {queue: up}", "spec.capacityPerReplica is missing"),
            ("signals: [{signal: cpu}, {signal: {queue: up}}]", "spec.signals[1].capacityPerReplica is missing"),
            ("autoscaler: {minTarget: 90, maxTarget: 80}", "minTarget (90) is above spec.autoscaler.maxTarget (80)"),
            ("autoscaler: {minStabilization: 10m, maxStabilization: 5m}", "minStabilization is longer than"),
            ("prices: {coreHour: -1, gibHour: 0}", "spec.prices.coreHour is -1"),
            ("errorBudget: ' '", "spec.errorBudget is empty"),
            ("signal: {promql: ''}", "spec.signal.promql is empty"),
        ] {
            let problems = policy(&format!("{{target: {{name: web}}, {spec}}}")).unwrap().problems();
            assert!(problems.len() == 1 && problems[0].contains(problem), "{spec}: {problems:?}");
        }
    }

    #[test]
    fn problems_are_told_all_at_once() {
        let policy = policy(
            "{target: {name: web}, capacityPerReplica: -1, replicas: {min: 5, max: 2, spare: -1, stabilization: 2d, changesPerDay: 0}, requests: {cpuPercentile: 0.95}}",
        )
        .unwrap();
        let problems = policy.problems().join("\n");
        for word in
            ["capacityPerReplica", "replicas.min (5)", "spare is -1", "stabilization is 2days", "changesPerDay is 0", "cpuPercentile"]
        {
            assert!(problems.contains(word), "{problems}");
        }
    }

    #[test]
    fn a_price_or_an_objective() {
        let spec = |text: &str| policy(&format!("{{target: {{name: web}}, {text}}}")).unwrap();
        assert_eq!(spec("delivery: commit").spec.aim(), Aim::Price(100.0));
        assert_eq!(spec("shortfallPrice: 30").spec.aim(), Aim::Price(30.0));
        assert_eq!((spec("objective: 0.5%").spec.aim(), spec("objective: 0.005").problems()), (Aim::Objective(0.005), vec![]));
        let problems = |text: &str| spec(text).problems().join("\n");
        assert!(problems("objective: 0.5%, shortfallPrice: 30").contains("keep one of them"));
        assert!(problems("objective: 5").contains("`0.5%`") && problems("shortfallPrice: 0.5").contains("at least 1"));
    }

    #[test]
    fn unknown_fields_are_errors() {
        let error = policy("{target: {name: web}, replica: {min: 5}}").unwrap_err().to_string();
        assert!(error.contains("replica") && error.contains("replicas"), "{error}");
    }
}
