//! The objects of Kubernetes, as far as they are read. Everything may be absent: an object without a controller has an empty status.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Object<Spec, Status = Nothing> {
    pub(super) metadata: Metadata,
    pub(super) spec: Option<Spec>,
    pub(super) status: Option<Status>,
}

/// What is not read.
#[derive(Default, Deserialize)]
pub(super) struct Nothing {}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) creation_timestamp: Option<DateTime<Utc>>,
    pub(super) owner_references: Vec<Reference>,
}

/// What owns or is scaled.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub(super) kind: String,
    pub(super) name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WorkloadSpec {
    pub(super) replicas: Option<u32>,
    pub(super) template: Template,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Template {
    pub(super) metadata: TemplateMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct TemplateMetadata {
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WorkloadStatus {
    pub(super) ready_replicas: Option<u32>,
    pub(super) observed_generation: Option<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HpaSpec {
    pub(super) scale_target_ref: Reference,
    pub(super) min_replicas: Option<u32>,
    pub(super) max_replicas: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct HpaStatus {
    pub(super) desired_replicas: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ScaledSpec {
    pub(super) scale_target_ref: Reference,
    pub(super) min_replica_count: Option<u32>,
    pub(super) max_replica_count: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VpaSpec {
    pub(super) target_ref: Reference,
    pub(super) update_policy: Option<UpdatePolicy>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UpdatePolicy {
    pub(super) update_mode: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct BudgetSpec {
    pub(super) selector: Option<Selector>,
    #[serde(rename = "minAvailable")]
    pub(super) min_available: Option<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Selector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Expression>,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BudgetStatus {
    pub(super) disruptions_allowed: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct QuotaSpec {
    pub(super) scopes: Vec<String>,
    #[serde(rename = "scopeSelector")]
    pub(super) scope_selector: Option<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct QuotaStatus {
    pub(super) hard: BTreeMap<String, String>,
    pub(super) used: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RangeSpec {
    pub(super) limits: Vec<RangeItem>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RangeItem {
    #[serde(rename = "type")]
    pub(super) of: String,
    pub(super) min: BTreeMap<String, String>,
    pub(super) max: BTreeMap<String, String>,
    #[serde(rename = "default")]
    pub(super) default_limit: BTreeMap<String, String>,
    pub(super) default_request: BTreeMap<String, String>,
    pub(super) max_limit_request_ratio: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    pub(super) unschedulable: bool,
    taints: Vec<Taint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Taint {
    effect: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus {
    pub(super) allocatable: BTreeMap<String, String>,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) of: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) last_transition_time: Option<DateTime<Utc>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: String,
    pub(super) conditions: Vec<Condition>,
    pub(super) container_statuses: Vec<ContainerStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerStatus {
    pub(super) restart_count: u32,
    pub(super) state: ContainerState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) running: Option<Running>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Running {
    pub(super) started_at: Option<DateTime<Utc>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Event {
    pub(super) metadata: Metadata,
    pub(super) involved_object: Reference,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) last_timestamp: Option<DateTime<Utc>>,
    #[serde(rename = "eventTime")]
    pub(super) time: Option<DateTime<Utc>>,
}

impl NodeSpec {
    /// Whether it keeps pods away that do not tolerate what it says.
    pub(super) fn is_tainted(&self) -> bool {
        self.taints.iter().any(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"))
    }
}

impl Selector {
    /// Whether it selects pods with these labels. An empty one of a `policy/v1` budget selects all.
    pub(super) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let holds = |expression: &Expression| {
            let value = labels.get(&expression.key);
            let is_among = value.is_some_and(|value| expression.values.contains(value));
            match expression.operator.as_str() {
                "In" => is_among,
                "NotIn" => !is_among,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        };
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value)) && self.match_expressions.iter().all(holds)
    }
}

/// The condition of a type.
pub(super) fn condition<'a>(conditions: &'a [Condition], of: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.of == of)
}
