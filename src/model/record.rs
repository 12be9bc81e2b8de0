//! What was predicted and decided, kept so that the next run can score it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Field, Reason, Value, WorkloadId};

/// One line of the state's records: a workload at a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When the run decided.
    pub at: DateTime<Utc>,
    /// The workload.
    pub workload: WorkloadId,
    /// The model that forecast it; absent when it was held before that.
    pub model: Option<String>,
    /// The window's demand at the decision's quantile, in the signal's unit.
    pub peak: Option<f64>,
    /// The point forecast's floor, before guards.
    pub floor: Option<u32>,
    /// What was changed.
    pub changed: Vec<RecordedChange>,
    /// The codes of what was held.
    pub held: Vec<String>,
    /// The commit that carries the changes; absent when none was written.
    pub commit: Option<String>,
}

/// A change as it was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedChange {
    /// The field.
    pub field: Field,
    /// The value before; absent where nothing set it.
    pub from: Option<Value>,
    /// The value written.
    pub to: Value,
    /// Why.
    pub reasons: Vec<Reason>,
}
