//! The plan: what will change and what is held back, each with typed reasons.
//!
//! It is complete before anything is written, and printing it needs nothing else.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Borrowed, Cause, Field, NoStudy, ObjectRef, Place, Quantity, Refusal, RepoPath, Resource, Signal, Study, Value, Window, WorkloadId,
};

/// Which way a change travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Route {
    /// Reported, never written.
    #[default]
    Observe,
    /// A commit to the tracked branch.
    Commit,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Observe => "observe",
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

/// Why a value is what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Reason {
    /// The forecast of the window's peak needs this many replicas.
    PeakDemand {
        /// What drives it.
        signal: Signal,
        /// The model that forecast it.
        model: String,
        /// The quantile of the window maximum that pays at the price of shortfall.
        quantile: f64,
        /// That quantile, in the signal's unit.
        demand: f64,
        /// What one replica carries, in the same unit.
        capacity: f64,
    },
    /// The HPA above the floor adds replicas by itself, so that the floor covers only what it would be late for.
    UnderHpa {
        /// The demand a replica that it aims at, in the signal's unit.
        target: f64,
        /// What it scales on.
        signal: Signal,
    },
    /// It has too little history of its own, so that a sibling's stands for it.
    Borrowed(Borrowed),
    /// A replay chose the model and the price.
    Studied {
        /// When it was made.
        at: DateTime<Utc>,
        /// The price of shortfall at which decisions did best.
        price: f64,
        /// What the floor at that price is multiplied by, where no price met the objective.
        stretch: f64,
        /// What the model saved of the simplest one's cost, as a share.
        gain: f64,
        /// The simplest model.
        simplest: String,
    },
    /// An objective has no price yet, so that the default one counts.
    ObjectiveUnstudied {
        /// The share of minutes that may be short.
        objective: f64,
        /// The price until then.
        price: f64,
        /// Why there is no study.
        why: NoStudy,
    },
    /// A replay cost less under these settings of the autoscaler.
    Tuned {
        /// How long a time was replayed, in seconds.
        #[serde(with = "seconds")]
        replayed: TimeDelta,
        /// The cost under the settings before, in replicas on average, minutes short included.
        before: f64,
        /// The cost under these.
        after: f64,
    },
    /// Spare replicas: so many square roots of those that are busy.
    Spare {
        /// How many they add.
        added: u32,
        /// How many square roots.
        spare: f64,
    },
    /// What another signal asks for; the largest need wins.
    OtherSignal {
        /// Which.
        signal: Signal,
        /// The replicas that it asks for.
        needed: u32,
    },
    /// Bounded by the policy's or the autoscaler's least.
    AtLeast {
        /// The bound.
        bound: u32,
    },
    /// Bounded by the policy's or the autoscaler's most, though the forecast asks for more.
    AtMost {
        /// The bound.
        bound: u32,
        /// What the forecast asks for.
        wanted: u32,
    },
    /// Moved only a step of the way.
    Stepped {
        /// What the forecast asks for.
        wanted: u32,
        /// The largest step allowed now, in replicas.
        step: u32,
    },
    /// Lowered only to the most that any decision over the stabilization wanted.
    Deferred {
        /// What the forecast asks for.
        wanted: u32,
        /// The stabilization, in seconds.
        #[serde(with = "seconds")]
        over: TimeDelta,
    },
    /// The ceiling must leave the reactive autoscaler room above the floor.
    RoomAboveFloor {
        /// The floor.
        floor: u32,
    },
    /// A request never exceeds its limit.
    AtLimit {
        /// The limit.
        limit: Quantity,
        /// What usage asks for.
        wanted: Quantity,
    },
    /// A percentile of what the container used, with headroom.
    Usage {
        /// The percentile, 0–100.
        percentile: f64,
        /// Its value, rounded up.
        used: Quantity,
        /// The headroom on top, as a share.
        headroom: f64,
        /// How much history stands behind it, in seconds.
        #[serde(with = "seconds")]
        history: TimeDelta,
    },
}

/// Why something is left alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HoldReason {
    /// It already holds the planned value.
    Unchanged,
    /// The change is smaller than the policy cares for.
    TooSmall {
        /// The relative change.
        change: f64,
        /// The least that is worth a change.
        least: f64,
    },
    /// A switch stops all writing.
    Paused {
        /// Which: the configuration's `paused`, or an annotation.
        by: String,
    },
    /// Scaled down less than the cool-down ago.
    CoolingDown {
        /// When it may move again.
        until: DateTime<Utc>,
    },
    /// A decision over the stabilization wanted no less than there is.
    Deferred {
        /// The stabilization, in seconds.
        #[serde(with = "seconds")]
        over: TimeDelta,
        /// When the last such decision no longer counts.
        until: DateTime<Utc>,
    },
    /// The policy's changes a day are spent.
    ChangesSpent {
        /// The policy's limit.
        most: u32,
        /// When the next such change is possible.
        until: DateTime<Utc>,
    },
    /// There is no history for the signal.
    NoData {
        /// The signal that was looked for.
        signal: Signal,
        /// What the source said.
        detail: String,
    },
    /// One of several signals says nothing: the others may raise the floor, but it does not fall.
    SignalMissing {
        /// Which.
        signal: Signal,
        /// Why.
        why: Box<HoldReason>,
    },
    /// Too little history for a forecast.
    ShortHistory {
        /// How much there is, in seconds.
        #[serde(with = "seconds")]
        have: TimeDelta,
        /// How much is needed, in seconds.
        #[serde(with = "seconds")]
        need: TimeDelta,
    },
    /// The last sample is too old: it is never scaled on silence.
    StaleData {
        /// The last sample.
        last: DateTime<Utc>,
        /// The oldest that would do, in seconds before now.
        #[serde(with = "seconds")]
        limit: TimeDelta,
    },
    /// A source failed for this workload.
    SourceFailed {
        /// The error, with its remedy.
        detail: String,
    },
    /// Nothing says what one replica carries.
    CapacityUnknown {
        /// What to set.
        detail: String,
    },
    /// The policy contradicts itself or the workload.
    PolicyInvalid {
        /// All that is wrong.
        detail: String,
    },
    /// Two policies name the same workload.
    PolicyOverlap {
        /// Where they stand.
        places: Vec<Place>,
    },
    /// The policy names a workload that the overlay does not render.
    WorkloadAbsent,
    /// An HPA scales on this container resource's utilization, so that a new request would move its scale point.
    HpaOwnsResource {
        /// Which resource.
        resource: Resource,
    },
    /// The workload's capacity per replica follows from this request, so that a new request would move the floor.
    CapacityFollows {
        /// Which resource.
        resource: Resource,
    },
    /// The settings of its HPA are not chosen by replay.
    NotTuned {
        /// Why, and what to set.
        detail: String,
    },
    /// Nothing was replayed yet that would tell.
    Unstudied {
        /// Why.
        why: NoStudy,
    },
    /// Containers restarted lately: it is not scaled in before they settle.
    Restarting {
        /// How many restarts within the last hour.
        restarts: u32,
    },
    /// Demand was cut short within the last hour, so that nobody knows what it is: the floor does not fall.
    Censored {
        /// By what.
        cause: Cause,
        /// When an hour will have passed.
        until: DateTime<Utc>,
    },
    /// Several autoscalers target the workload.
    SeveralScalers {
        /// Which.
        scalers: Vec<ObjectRef>,
    },
    /// The workload may scale to zero, and the policy does not ask for a floor above it.
    ScalesToZero,
    /// It cannot be edited safely.
    Refused(Refusal),
}

impl HoldReason {
    /// Whether something is wrong, as opposed to nothing being to do: what `--strict` looks at.
    pub fn is_error(&self) -> bool {
        !matches!(
            self,
            Self::Unchanged
                | Self::TooSmall { .. }
                | Self::Paused { .. }
                | Self::CoolingDown { .. }
                | Self::Deferred { .. }
                | Self::ChangesSpent { .. }
                | Self::Restarting { .. }
                | Self::Censored { .. }
                | Self::ScalesToZero
                | Self::HpaOwnsResource { .. }
                | Self::CapacityFollows { .. }
                | Self::NotTuned { .. }
                | Self::Unstudied { .. }
        )
    }

    /// The stable name, for metrics and scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::TooSmall { .. } => "too-small",
            Self::Paused { .. } => "paused",
            Self::CoolingDown { .. } => "cooling-down",
            Self::Deferred { .. } => "deferred",
            Self::ChangesSpent { .. } => "changes-spent",
            Self::NoData { .. } => "no-data",
            Self::SignalMissing { .. } => "signal-missing",
            Self::ShortHistory { .. } => "short-history",
            Self::StaleData { .. } => "stale-data",
            Self::SourceFailed { .. } => "source-failed",
            Self::CapacityUnknown { .. } => "capacity-unknown",
            Self::PolicyInvalid { .. } => "policy-invalid",
            Self::PolicyOverlap { .. } => "policy-overlap",
            Self::WorkloadAbsent => "workload-absent",
            Self::HpaOwnsResource { .. } => "hpa-owns-resource",
            Self::CapacityFollows { .. } => "capacity-follows",
            Self::NotTuned { .. } => "not-tuned",
            Self::Unstudied { .. } => "unstudied",
            Self::Restarting { .. } => "restarting",
            Self::Censored { .. } => "censored",
            Self::SeveralScalers { .. } => "several-scalers",
            Self::ScalesToZero => "scales-to-zero",
            Self::Refused(refusal) => refusal.code.as_str(),
        }
    }
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

/// Spans as whole seconds.
pub(super) mod seconds {
    use chrono::TimeDelta;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::model) fn serialize<S: Serializer>(delta: &TimeDelta, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(delta.num_seconds())
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeDelta, D::Error> {
        i64::deserialize(deserializer).map(TimeDelta::seconds)
    }
}
