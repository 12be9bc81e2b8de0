//! What was predicted and decided, kept so that the next run can score it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use std::collections::{BTreeMap, BTreeSet};

use super::{Field, ObjectRef, Plan, Proposed, Reason, RepoPath, Settled, Site, Sited, Value, WorkloadId};

/// One line of the state's records: a workload of an overlay at a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When the run decided.
    pub at: DateTime<Utc>,
    /// The overlay that renders it; absent in records of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<RepoPath>,
    /// The workload.
    pub workload: WorkloadId,
    /// The model that forecast it; absent when it was held before that.
    pub model: Option<String>,
    /// The window's demand at the decision's quantile, in the signal's unit.
    pub peak: Option<f64>,
    /// The floor that the window needs, before guards.
    pub floor: Option<u32>,
    /// What was changed.
    pub changed: Vec<RecordedChange>,
    /// The codes of what was held.
    pub held: Vec<String>,
    /// The commit that carries the changes; absent when none was written.
    pub commit: Option<String>,
    /// How long after its last sync its Application became Healthy, where Argo CD tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// A change as it was recorded: all that is needed to make it again, or to take it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Line")]
pub struct RecordedChange {
    /// The overlay that it was made in.
    pub overlay: RepoPath,
    /// The object that holds the field.
    pub object: ObjectRef,
    /// The field.
    pub field: Field,
    /// The value before; absent where nothing set it.
    pub from: Option<Value>,
    /// The value written.
    pub to: Value,
    /// Where it was written.
    pub site: Site,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// A [`RecordedChange`] whose values still need their type, which the field knows.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    overlay: RepoPath,
    object: ObjectRef,
    field: Field,
    from: Option<serde_json::Value>,
    to: serde_json::Value,
    site: Site,
    reasons: Vec<Reason>,
}

impl TryFrom<Line> for RecordedChange {
    type Error = serde_json::Error;

    fn try_from(line: Line) -> Result<Self, serde_json::Error> {
        let value_type = line.field.value_type();
        Ok(Self {
            overlay: line.overlay,
            object: line.object,
            from: line.from.map(|from| value_type.read(from)).transpose()?,
            to: value_type.read(line.to)?,
            field: line.field,
            site: line.site,
            reasons: line.reasons,
        })
    }
}

/// The last value that reached a field of the tracked branch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Written {
    /// When.
    pub at: DateTime<Utc>,
    /// The commit on the tracked branch that brought it.
    pub commit: String,
    /// What was written.
    pub what: Proposed,
}

impl Written {
    /// The last one of each field. Of one commit, what is told later counts: a text may be about a newer demand than the commit it speaks of.
    pub fn last<'a>(all: impl Iterator<Item = &'a Self>) -> BTreeMap<(&'a RepoPath, &'a ObjectRef, &'a Field), &'a Self> {
        let mut last: BTreeMap<_, &Self> = BTreeMap::new();
        for one in all {
            let known = last.entry(one.key()).or_insert(one);
            if known.at <= one.at || known.commit == one.commit {
                *known = one;
            }
        }
        last
    }

    /// The field.
    pub fn key(&self) -> (&RepoPath, &ObjectRef, &Field) {
        (&self.what.change.overlay, &self.what.change.object, &self.what.change.field)
    }
}

impl RecordedChange {
    /// A change with its place.
    pub fn of(Sited { change, site }: &Sited) -> Self {
        Self {
            overlay: change.overlay.clone(),
            object: change.object.clone(),
            field: change.field.clone(),
            from: change.from.clone(),
            to: change.to.clone(),
            site: site.clone(),
            reasons: change.reasons.clone(),
        }
    }
}

impl Record {
    /// One record a workload of each overlay of the plan, in the order of overlays; `written` are the changes that reached Git, by commit.
    pub fn of_run<'a>(plan: &Plan, written: impl IntoIterator<Item = (&'a Sited, String)>) -> Vec<Self> {
        let mut records: BTreeMap<(&RepoPath, &WorkloadId), Self> = BTreeMap::new();
        let blank = |(overlay, workload): (&RepoPath, &WorkloadId)| Self {
            at: plan.at,
            overlay: Some(overlay.clone()),
            workload: workload.clone(),
            model: None,
            peak: None,
            floor: None,
            changed: Vec::new(),
            held: Vec::new(),
            commit: None,
            settled: None,
        };
        for outlook in &plan.outlooks {
            let key = (&outlook.overlay, &outlook.workload);
            let record = records.entry(key).or_insert_with(|| blank(key));
            record.settled.clone_from(&outlook.settled);
            // Of several signals the largest need wins.
            if record.floor.is_none_or(|floor| floor < outlook.floor) {
                (record.model, record.peak, record.floor) = (Some(outlook.model.clone()), Some(outlook.peak), Some(outlook.floor));
            }
        }
        for held in &plan.held {
            let key = (&held.overlay, &held.workload);
            records.entry(key).or_insert_with(|| blank(key)).held.push(held.why.code().to_owned());
        }
        for (sited, commit) in written {
            let change = &sited.change;
            let key = (&change.overlay, &change.workload);
            let record = records.entry(key).or_insert_with(|| blank(key));
            record.commit = Some(commit);
            record.changed.push(RecordedChange::of(sited));
        }
        records.into_values().collect()
    }

    /// The overlays that it speaks of: its own, or in a record of an older version those that it changed.
    pub fn overlays(&self) -> BTreeSet<&RepoPath> {
        match &self.overlay {
            Some(overlay) => BTreeSet::from([overlay]),
            None => self.changed.iter().map(|change| &change.overlay).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Direction, Metric, Resource, ValueType};

    #[test]
    fn a_record_is_of_one_overlay() {
        let workload = WorkloadId { namespace: "shop".into(), kind: crate::model::WorkloadKind::Deployment, name: "web".into() };
        let held = |overlay: &str| crate::model::Held {
            workload: workload.clone(),
            overlay: RepoPath::parse(overlay).unwrap(),
            field: None,
            wanted: None,
            why: crate::model::HoldReason::Unchanged,
        };
        let at = "2026-11-16T07:00:00Z".parse().unwrap();
        let window = crate::model::Window::of_decision(at, chrono::TimeDelta::minutes(6), chrono::TimeDelta::minutes(10));
        let plan = Plan { at, window, outlooks: vec![], changes: vec![], held: vec![held("b"), held("a"), held("b")] };
        let records = Record::of_run(&plan, []);
        let told: Vec<_> = records.iter().map(|record| (record.overlay.as_ref().unwrap().to_string(), record.held.len())).collect();
        assert_eq!(told, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let text = serde_json::to_string(&records[0]).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), records[0]);
        let old: Record = serde_json::from_str(&text.replace(r#""overlay":"a","#, "")).unwrap();
        assert_eq!((&old.overlay, old.overlays().len()), (&None, 0), "what an older version wrote still parses");
    }

    #[test]
    fn a_change_comes_back_as_it_was() {
        let value = |value_type: ValueType, json| value_type.read(json).unwrap();
        let field = |json| serde_json::from_value::<Field>(json).unwrap();
        let metric = Metric { resource: Resource::Memory, container: Some("app".to_owned()) };
        assert_eq!(
            field(serde_json::json!({"targetValue": {"resource": "memory", "container": "app"}})),
            Field::TargetValue(metric.clone())
        );
        let window = serde_json::json!([
            {"name": "prescale-1", "timezone": "Etc/UTC", "start": "0 8 25 11 *", "end": "0 9 25 11 *", "desiredReplicas": 4}
        ]);
        for (field, to) in [
            (Field::Replicas, value(ValueType::Count, 3.into())),
            (Field::TargetUtilization(metric.clone()), value(ValueType::Percent, 70.into())),
            // Text that another type would read as its own.
            (Field::TargetValue(metric), value(ValueType::Memory, "1000".into())),
            (Field::Stabilization(Direction::ScaleUp), value(ValueType::Stabilization, 0.into())),
            (Field::PodAnnotation { key: "a/b".to_owned() }, value(ValueType::Text, "100m".into())),
            (Field::Schedule, value(ValueType::Schedule, window)),
        ] {
            assert_eq!(field.value_type(), to.value_type());
            let place = crate::model::Place { path: RepoPath::parse("a/b.yaml").unwrap(), line: Some(3) };
            let change = RecordedChange {
                overlay: RepoPath::parse("a").unwrap(),
                object: ObjectRef { group: "g".to_owned(), kind: "K".to_owned(), namespace: String::new(), name: "n".to_owned() },
                field,
                from: Some(to.clone()),
                to,
                site: Site { place, kind: crate::model::SiteKind::Component },
                reasons: Vec::new(),
            };
            let text = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<RecordedChange>(&text).unwrap(), change);
        }
        for (value_type, json) in [(ValueType::Percent, 0), (ValueType::Stabilization, 3601)] {
            assert!(value_type.read(json.into()).unwrap_err().to_string().contains("out of range"));
        }
    }
}
