//! All that is known when a run decides: demand, Git, past records, and what is missing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::cluster::{Cluster, Live};
use super::origin::Origins;
use super::{
    Censored, Change, Deploys, Field, HoldReason, Lead, NoStudy, Plan, Record, RenderedWorkload, RepoPath, Scaler, ScalingPolicy, Series,
    Shard, Signal, Study, Value, WorkloadId,
};

/// One workload that a policy names, with all that was learned of it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The overlay that renders it.
    pub overlay: RepoPath,
    /// What the overlay says of it.
    pub rendered: RenderedWorkload,
    /// The namespace that it runs in: that of the overlay or, where it sets none, of its policy or of the Application that deploys it.
    pub namespace: String,
    /// The policy that governs it.
    pub policy: ScalingPolicy,
    /// Who says each field of the policy.
    pub origins: Origins,
    /// What drives it, in the order of its policy; never empty.
    pub signals: Vec<Driven>,
    /// What its demand cost it, where what one replica carries is to be learned.
    pub effort: Effort,
    /// What each container used, by name: of its busiest pod, in cores and in bytes.
    pub usage: BTreeMap<String, Usage>,
    /// The share of its error budget that is left, where its policy tells how to ask and there is an answer.
    pub error_budget: Option<f64>,
    /// When its demand was cut short.
    pub censored: Censored,
    /// Container restarts in each step, where they were measured.
    pub restarts: Option<Series>,
    /// What besides the demand could not be asked for, and why.
    pub troubles: Vec<HoldReason>,
    /// Measured time from a pod's creation to Ready, where it was measured.
    pub startup: Option<TimeDelta>,
    /// What was measured of the way from a commit to Ready pods.
    pub lead: Lead,
    /// What the cluster says of it; absent where that is not known.
    pub live: Option<Live>,
    /// The Applications of Argo CD that deploy it.
    pub deploys: Vec<Deploys>,
}

/// A signal that drives a workload.
#[derive(Clone, Debug)]
pub struct Driven {
    /// The signal.
    pub signal: Signal,
    /// What one replica carries of it, where the policy says.
    pub capacity: Option<f64>,
    /// Its demand, or why there is none.
    pub demand: Result<Series, HoldReason>,
    /// What a replay says is best for it, or why that is not known.
    pub study: Result<Study, NoStudy>,
}

impl Observed {
    /// Whether any of its signals was measured.
    pub fn is_measured(&self) -> bool {
        self.signals.iter().any(|driven| driven.demand.is_ok())
    }
}

/// What its demand cost a workload.
#[derive(Clone, Debug, Default)]
pub struct Effort {
    /// CPU that its pods used together, in cores.
    pub cpu: Option<Series>,
    /// Pods that were Ready.
    pub ready: Option<Series>,
    /// The 95th percentile of its latency, in the unit of its histogram.
    pub latency: Option<Series>,
    /// What its pods run.
    pub version: Option<Version>,
}

/// The images that a workload's pods run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The images, each once.
    pub images: BTreeSet<String>,
    /// Since when none but they ran, in epoch seconds; `None` where that is as long as is known.
    pub since: Option<i64>,
}

/// What a container used.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// CPU of the busiest pod, in cores.
    pub cpu: Option<Series>,
    /// Memory working set of the largest pod, in bytes.
    pub memory: Option<Series>,
}

/// All that is known at `now`.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken.
    pub now: DateTime<Utc>,
    /// The workloads that policies name and overlays render, of this shard.
    pub workloads: Vec<Observed>,
    /// Which shard it is.
    pub shard: Shard,
    /// How many workloads are the other shards'.
    pub elsewhere: usize,
    /// Policies and workloads that cannot be decided on, and why.
    pub amiss: Vec<Amiss>,
    /// What earlier runs recorded, the oldest first.
    pub past: Vec<Record>,
    /// The tip of the tracked branch.
    pub base: String,
    /// What the cluster says of namespaces and nodes.
    pub cluster: Cluster,
    /// What could not be seen, and what is odd about what deploys the overlays: for people.
    pub notices: Vec<String>,
}

/// A policy that leads to no decision.
#[derive(Clone, Debug)]
pub struct Amiss {
    /// The workload that it names.
    pub workload: WorkloadId,
    /// The overlay beside which it stands.
    pub overlay: RepoPath,
    /// Why.
    pub why: HoldReason,
}

impl Snapshot {
    /// The workload that a change is about.
    pub fn of(&self, change: &Change) -> Option<&Observed> {
        self.workloads.iter().find(|workload| (&workload.overlay, &workload.rendered.id) == (&change.overlay, &change.workload))
    }

    /// The most that a count may be by its policy, and by its autoscaler's ceiling as it is or, where the plan raises that, will be.
    pub fn most(&self, plan: &Plan, change: &Change) -> u32 {
        let Some(workload) = self.of(change) else { return u32::MAX };
        let is_ceiling = |other: &&Change| {
            (&other.overlay, &other.object) == (&change.overlay, &change.object)
                && matches!(other.field, Field::MaxReplicas | Field::MaxReplicaCount)
        };
        let planned =
            plan.changes.iter().find(is_ceiling).and_then(|ceiling| if let Value::Count(to) = ceiling.to { Some(to) } else { None });
        let rendered = match &workload.rendered.scaler {
            Scaler::Hpa(hpa) => hpa.max,
            Scaler::Keda(scaled) => scaled.max,
            Scaler::None | Scaler::Several(_) => None,
        };
        let ceiling = planned.or(rendered).filter(|_| !is_ceiling(&change)).unwrap_or(u32::MAX);
        ceiling.min(workload.policy.spec.replicas.max.unwrap_or(u32::MAX))
    }
}
