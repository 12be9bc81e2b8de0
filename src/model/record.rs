//! What was predicted and decided, kept so that the next run can score it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;

use super::{Field, Plan, Reason, Sited, Value, WorkloadId};

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

impl Record {
    /// One record a workload of the plan, in the order of workloads; `written` are the changes that reached Git, by commit.
    pub fn of_run<'a>(plan: &Plan, written: impl IntoIterator<Item = (&'a Sited, String)>) -> Vec<Self> {
        let mut records: BTreeMap<WorkloadId, Self> = BTreeMap::new();
        let blank = |workload: &WorkloadId| Self {
            at: plan.at,
            workload: workload.clone(),
            model: None,
            peak: None,
            floor: None,
            changed: Vec::new(),
            held: Vec::new(),
            commit: None,
        };
        for outlook in &plan.outlooks {
            let record = records.entry(outlook.workload.clone()).or_insert_with(|| blank(&outlook.workload));
            (record.model, record.peak, record.floor) = (Some(outlook.model.clone()), Some(outlook.peak), Some(outlook.floor));
        }
        for held in &plan.held {
            records.entry(held.workload.clone()).or_insert_with(|| blank(&held.workload)).held.push(held.why.code().to_owned());
        }
        for (Sited { change, .. }, commit) in written {
            let record = records.entry(change.workload.clone()).or_insert_with(|| blank(&change.workload));
            record.commit = Some(commit);
            record.changed.push(RecordedChange {
                field: change.field.clone(),
                from: change.from,
                to: change.to,
                reasons: change.reasons.clone(),
            });
        }
        records.into_values().collect()
    }
}
