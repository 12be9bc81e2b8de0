//! The plan: what will change and what is held back, each with typed reasons.
//!
//! It is complete before anything is written, and printing it needs nothing else.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Borrowed, Bytes, Field, HoldReason, Lead, Millicores, NoStudy, ObjectRef, Place, Rates, Reason, RepoPath, Settled, Signal, Study,
    Value, Window, WorkloadId,
};

/// Which way a change travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Route {
    /// Reported, never written.
    #[default]
    Observe,
    /// A pull request, which people merge.
    PullRequest,
    /// A commit to the tracked branch.
    Commit,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Observe => "observe",
            Self::PullRequest => "pullRequest",
            Self::Commit => "commit",
        })
    }
}

/// One field of one workload to write.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Whose need it answers.
    pub workload: WorkloadId,
    /// The object that holds the field: the workload itself, or its autoscaler.
    pub object: ObjectRef,
    /// The overlay that renders it.
    pub overlay: RepoPath,
    /// The field.
    pub field: Field,
    /// The value as rendered now; absent where nothing sets it.
    pub from: Option<Value>,
    /// The value to write.
    pub to: Value,
    /// Why, the most important first.
    pub reasons: Vec<Reason>,
    /// Which way it travels.
    pub route: Route,
}

impl Change {
    /// Whether it raises capacity: its value grows, or for the target of an autoscaler shrinks.
    pub fn rises(&self) -> bool {
        // Where nothing sets a count, it is one.
        let from = self.from.as_ref().map_or(Some(1.0).filter(|_| self.field == Field::Replicas), Value::number);
        let moved = from.zip(self.to.number());
        let is_target = matches!(self.field, Field::TargetUtilization(_) | Field::TargetValue(_));
        moved.is_some_and(|(from, to)| if is_target { from > to } else { from < to })
    }

    /// How likely demand exceeds the floor within the window, before and after. Absent for what is no floor.
    pub fn risk(&self) -> Option<(f64, f64)> {
        self.reasons.iter().find_map(|reason| match reason {
            Reason::Risk { before, after } => Some((*before, *after)),
            _ => None,
        })
    }
}

/// Takes the floors out of `changes` that cannot stand without one of those that are `gone`: above a ceiling that was to rise with them.
pub fn stranded(changes: &mut Vec<Change>, gone: &[Change]) -> Vec<Change> {
    let is_above = |floor: &Change, ceiling: &Change| match (&ceiling.field, &floor.field, &ceiling.from, &floor.to) {
        (Field::MaxReplicas, Field::MinReplicas, Some(Value::Count(most)), Value::Count(least))
        | (Field::MaxReplicaCount, Field::MinReplicaCount, Some(Value::Count(most)), Value::Count(least)) => {
            (&floor.overlay, &floor.object) == (&ceiling.overlay, &ceiling.object) && least > most
        }
        _ => false,
    };
    changes.extract_if(.., |change| gone.iter().any(|gone| is_above(change, gone))).collect()
}

/// One field, or a whole workload, that is left alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Which workload.
    pub workload: WorkloadId,
    /// The overlay that renders it.
    pub overlay: RepoPath,
    /// Which field; absent when it is all of them.
    pub field: Option<Field>,
    /// The value that would have been written.
    pub wanted: Option<Value>,
    /// Why not.
    pub why: HoldReason,
}

impl Held {
    /// Whether it is this change that is held.
    pub fn is_of(&self, change: &Change) -> bool {
        (&self.workload, &self.overlay, self.field.as_ref()) == (&change.workload, &change.overlay, Some(&change.field))
    }
}

/// How past forecasts of a workload did, as far as their windows were measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hindsight {
    /// How many there were.
    pub windows: u32,
    /// In how many of them demand stayed at or under what was planned for.
    pub covered: u32,
}

/// What is known of one workload's demand: what the plan shows beside its changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outlook {
    /// Which workload.
    pub workload: WorkloadId,
    /// The overlay that renders it.
    pub overlay: RepoPath,
    /// What drives it.
    pub signal: Signal,
    /// The model whose forecast was used.
    pub model: String,
    /// The quantile of the window maximum that pays.
    pub quantile: f64,
    /// The point forecast of the window maximum.
    pub expected: f64,
    /// The quantile of it: the demand to be ready for.
    pub peak: f64,
    /// What the window maximum stays at or under in 19 of 20 windows, as past forecasts did: how sure the forecast is, whatever a shortfall costs.
    pub high: f64,
    /// What one replica carries.
    pub capacity: f64,
    /// What one replica requests, all its containers together.
    pub requests: (Millicores, Bytes),
    /// What its policy says that they cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<Rates>,
    /// The floor in Git now.
    pub now: u32,
    /// The floor that the window needs, before guards.
    pub floor: u32,
    /// The share of the last week in which demand was cut short: it was at least what was measured, and is not learned.
    pub censored: f64,
    /// Hourly maxima of the last day, the oldest first; `None` where nothing was measured.
    pub history: Vec<Option<f64>>,
    /// Hourly expected maxima of the day ahead.
    pub ahead: Vec<f64>,
    /// Whose history it was forecast from, where its own is too short.
    pub sibling: Option<Borrowed>,
    /// What a replay says is best for it.
    pub study: Option<Study>,
    /// Why nothing does.
    pub unstudied: Option<NoStudy>,
    /// How its forecasts of the last days did; absent where none is known, or several signals drive it.
    pub hindsight: Option<Hindsight>,
    /// What was measured of the way from a commit to Ready pods.
    pub lead: Lead,
    /// How long after its last sync its Application became Healthy, where Argo CD tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// What will change and what is held back.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// When it was made.
    pub at: DateTime<Utc>,
    /// What the decisions cover, for a workload with the default lead time.
    pub window: Window,
    /// What was forecast, by workload.
    pub outlooks: Vec<Outlook>,
    /// What will change.
    pub changes: Vec<Change>,
    /// What is left alone.
    pub held: Vec<Held>,
}

/// How a site sets a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SiteKind {
    /// An entry of the overlay's `replicas:` transformer.
    ReplicasTransformer,
    /// A strategic-merge patch, in a file or inline.
    StrategicMerge,
    /// A JSON6902 patch, in a file or inline.
    Json6902,
    /// A manifest that belongs to this overlay alone.
    Manifest,
    /// The Component that Prescale owns.
    Component,
    /// Something that Prescale does not edit: a replacement, a transformer of its own, Argo CD.
    Foreign,
}

/// The place that owns a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Site {
    /// File and line.
    pub place: Place,
    /// How it sets the value.
    pub kind: SiteKind,
}

/// What the render before and after says of an overlay's changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "proof", rename_all = "camelCase")]
pub enum Proof {
    /// The renders differ in the planned fields and nowhere else, and so do those of every other overlay that reads a touched file and
    /// renders at all.
    Rendered {
        /// SHA-256 of the render before.
        before: String,
        /// SHA-256 of the render after.
        after: String,
        /// Which program rendered.
        by: String,
        /// The other overlays that render the same objects, and moved by the same fields.
        along: Vec<RepoPath>,
        /// Other overlays that read a touched file and render neither before nor after, so that nothing is known of them.
        unrendered: Vec<RepoPath>,
    },
    /// It could not be rendered.
    NotRendered {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rendered { .. } => f.pad("proven by render"),
            Self::NotRendered { why } => f.pad(&format!("not rendered: {why}")),
        }
    }
}
