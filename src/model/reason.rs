//! Why a value is what it is, and why something is left alone: all words that people read are made from these.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::cluster::Vpa;
use super::origin::Origin;
use super::seconds;
use super::{Borrowed, Cause, Input, LearnedCapacity, NoStudy, NotNow, ObjectRef, Quantity, Refusal, Resource, Signal, VetoedBy};

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
    /// Nothing newer is known of it: it is as its pull request proposed it before.
    Kept {
        /// What it was made from then, see [`Change::input`](super::Change::input).
        input: Option<Input>,
    },
    /// Its pull request proposes a little more, and is left as it is.
    Rests {
        /// What would be enough.
        wanted: u32,
    },
    /// A policy of the gate has it go by pull request.
    Gated {
        /// Which.
        policy: String,
        /// Why.
        message: String,
    },
    /// What one replica carries was learned.
    CapacityLearned(LearnedCapacity),
    /// An Application became Degraded by the change: it is taken back.
    TakenBack {
        /// The Application.
        application: String,
        /// The commit that brought it.
        commit: String,
        /// Since when it is Degraded.
        since: DateTime<Utc>,
    },
    /// Argo CD does not sync it by itself: nothing changes before someone does.
    ManualSync {
        /// The Application.
        application: String,
    },
    /// How likely demand exceeds the floor within the window.
    Risk {
        /// With the floor as it is, 0–1.
        before: f64,
        /// With the one that is written.
        after: f64,
    },
    /// What another signal asks for; the largest need wins.
    OtherSignal {
        /// Which.
        signal: Signal,
        /// The replicas that it asks for.
        needed: u32,
    },
    /// Bounded from below.
    AtLeast {
        /// The bound.
        bound: u32,
        /// Who sets it.
        by: Limit,
    },
    /// Bounded from above, though the forecast asks for more.
    AtMost {
        /// The bound.
        bound: u32,
        /// Who sets it.
        by: Limit,
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

/// Who sets a bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Limit {
    /// A field of the policy.
    Policy {
        /// The field, such as `replicas.max`.
        field: String,
        /// Where it stands; absent for its default.
        origin: Option<Origin>,
    },
    /// The autoscaler's own ceiling.
    Autoscaler {
        /// The object.
        object: ObjectRef,
    },
    /// What bounds a workload that nothing else bounds.
    Nothing,
    /// A ResourceQuota of its namespace.
    Quota {
        /// Its name.
        name: String,
        /// What would run out.
        resource: String,
    },
}

/// Why something is left alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HoldReason {
    /// It already holds the planned value.
    Unchanged,
    /// It is at a bound, though the forecast asks for something beyond it.
    Bounded {
        /// What the forecast asks for.
        wanted: u32,
        /// The bound.
        bound: u32,
        /// Who sets it.
        by: Limit,
    },
    /// The change is smaller than the policy cares for.
    TooSmall {
        /// The relative change.
        change: f64,
        /// The least that is worth a change.
        least: f64,
    },
    /// Someone decided against it.
    Vetoed {
        /// How.
        by: VetoedBy,
        /// The share by which what it is made from must move before that.
        band: f64,
        /// When the veto ends in any case.
        until: DateTime<Utc>,
    },
    /// A policy of the gate holds it.
    Gated {
        /// Which.
        policy: String,
        /// Why.
        message: String,
    },
    /// The gate's policies cannot be evaluated: nothing is written.
    GateFailed {
        /// The error, with its remedy.
        detail: String,
    },
    /// A switch stops all writing.
    Paused {
        /// Which: the configuration's `paused`, or an annotation.
        by: String,
    },
    /// A freeze of its policy.
    Frozen {
        /// What its policy says of it.
        why: String,
        /// The first instant at which it may be written; absent where that is more than a year away.
        until: Option<DateTime<Utc>>,
    },
    /// None of its policy's windows is open.
    OutsideWindow {
        /// The first instant at which it may be written; absent where that is more than a year away.
        until: Option<DateTime<Utc>>,
    },
    /// Argo CD would not bring it to the cluster, or not now.
    #[serde(rename = "argocd")]
    ArgoCd {
        /// The Application.
        application: String,
        /// Why.
        why: NotNow,
    },
    /// A VerticalPodAutoscaler writes its requests.
    VpaOwns {
        /// Which.
        vpa: Vpa,
    },
    /// A LimitRange of its namespace refuses the request.
    LimitRange {
        /// Its name.
        name: String,
        /// The bound that it sets, in cores or bytes.
        bound: Quantity,
    },
    /// There is no room for more.
    NoRoom {
        /// Who bounds it.
        by: Limit,
    },
    /// No node has so much to give.
    NoNode {
        /// The most that one has.
        largest: Quantity,
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
        places: Vec<Origin>,
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
    /// An autoscaler in the cluster, of which the overlay knows nothing, owns the replicas.
    ScaledElsewhere {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
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
                | Self::Bounded { .. }
                | Self::TooSmall { .. }
                | Self::Vetoed { .. }
                | Self::Gated { .. }
                | Self::Paused { .. }
                | Self::Frozen { .. }
                | Self::OutsideWindow { .. }
                | Self::ArgoCd { .. }
                | Self::VpaOwns { .. }
                | Self::LimitRange { .. }
                | Self::NoRoom { .. }
                | Self::NoNode { .. }
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

    /// Whether it says nothing of what is wanted, only that it is not known or not written now: what stands proposed stays.
    pub fn is_for_now(&self) -> bool {
        self.is_error() || matches!(self, Self::Frozen { .. } | Self::OutsideWindow { .. } | Self::ArgoCd { .. })
    }

    /// The stable name, for metrics and scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Bounded { .. } => "bounded",
            Self::TooSmall { .. } => "too-small",
            Self::Vetoed { .. } => "vetoed",
            Self::Gated { .. } => "gated",
            Self::GateFailed { .. } => "gate-failed",
            Self::Paused { .. } => "paused",
            Self::Frozen { .. } => "frozen",
            Self::OutsideWindow { .. } => "outside-window",
            Self::ArgoCd { .. } => "argocd",
            Self::VpaOwns { .. } => "vpa-owns",
            Self::LimitRange { .. } => "limit-range",
            Self::NoRoom { .. } => "no-room",
            Self::NoNode { .. } => "no-node",
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
            Self::ScaledElsewhere { .. } => "scaled-elsewhere",
            Self::ScalesToZero => "scales-to-zero",
            Self::Refused(refusal) => refusal.code.as_str(),
        }
    }
}
