//! What a cluster says beside Git and metrics: the state of workloads, and what bounds them. Read only; a source that is not there is told.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::argocd::{Application, ApplicationSet, Project};
use super::lead::{Lead, Stage};
use super::{Resource, WorkloadId};

/// All that a cluster says. Empty where none is read.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// What it says of each workload that was asked for and is there.
    pub workloads: BTreeMap<WorkloadId, Live>,
    /// The quotas of their namespaces.
    pub quotas: Vec<Quota>,
    /// The limit ranges of their namespaces, as far as they bound containers.
    pub ranges: Vec<LimitRange>,
    /// The nodes; `None` where they are not known.
    pub nodes: Option<Nodes>,
    /// What Argo CD deploys.
    pub argocd: ArgoCd,
    /// Its scaling policies, as it answers them.
    pub policies: Vec<serde_json::Value>,
    /// What could not be read, and why.
    pub unseen: Vec<Unseen>,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unseen {
    /// What, as a Role names it.
    pub what: String,
    /// Why not, with the remedy.
    pub why: String,
    /// What goes without it.
    pub without: String,
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; without it, {}", self.what, self.why, self.without)
    }
}

/// What a cluster says of one workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// `spec.replicas`
    pub replicas: Option<u32>,
    /// Pods that are Ready.
    pub ready: Option<u32>,
    /// Pods that find no node.
    pub pending: u32,
    /// What the scheduler says of one of them.
    pub unschedulable: Option<String>,
    /// Its autoscaler, as the cluster has it.
    pub autoscaler: Option<Autoscaler>,
    /// The PodDisruptionBudget that wants most of its pods.
    pub disruption: Option<Disruption>,
    /// VerticalPodAutoscalers that change its requests.
    pub vpas: Vec<Vpa>,
    /// What the cluster warns of, the latest first.
    pub warnings: Vec<String>,
    /// The starts of its pods, the oldest first.
    pub starts: Vec<Start>,
}

/// An HPA or a ScaledObject as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Autoscaler {
    /// `HorizontalPodAutoscaler` or `ScaledObject`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The floor.
    pub min: Option<u32>,
    /// The ceiling.
    pub max: Option<u32>,
    /// What an HPA asks for now.
    pub desired: Option<u32>,
    /// The annotation of KEDA that pauses it.
    pub paused_by: Option<String>,
}

/// What a PodDisruptionBudget wants available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disruption {
    /// Its name.
    pub name: String,
    /// Pods that must stay available.
    pub least: u32,
    /// Pods that may be evicted now.
    pub allowed: Option<u32>,
}

/// A VerticalPodAutoscaler that is not `Off`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Vpa {
    /// Its name.
    pub name: String,
    /// `updatePolicy.updateMode`
    pub mode: String,
}

/// How one pod came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    /// Created.
    pub created: DateTime<Utc>,
    /// Bound to a node.
    pub scheduled: DateTime<Utc>,
    /// Its last container started, images pulled and init containers done.
    pub started: DateTime<Utc>,
    /// Ready for the first time.
    pub ready: DateTime<Utc>,
}

/// A ResourceQuota.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What is left of each resource that it bounds: cores, bytes or numbers of objects, by its name there.
    pub left: BTreeMap<String, f64>,
}

/// A LimitRange's bounds of what one container may request.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitRange {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The least and the most of each resource, in cores or bytes.
    pub bounds: BTreeMap<Resource, (Option<f64>, Option<f64>)>,
}

/// The nodes that take pods.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nodes {
    /// How many.
    pub count: u32,
    /// The most that one of them has to give, in cores and bytes.
    pub largest: (f64, f64),
}

/// What Argo CD deploys.
#[derive(Clone, Debug, Default)]
pub struct ArgoCd {
    /// Its Applications.
    pub applications: Vec<Application>,
    /// Its AppProjects.
    pub projects: Vec<Project>,
    /// Its ApplicationSets.
    pub sets: Vec<ApplicationSet>,
    /// With which options it renders kustomizations: `kustomize.buildOptions` of its settings; absent where they are not known.
    pub build_options: Option<String>,
}

impl Live {
    /// How its pods come up.
    pub fn lead(&self) -> Lead {
        let stage = |took: fn(&Start) -> TimeDelta| {
            let seconds: Vec<f64> = self.starts.iter().map(|start| took(start).num_milliseconds() as f64 / 1000.0).collect();
            Stage::of(&seconds)
        };
        Lead {
            schedule: stage(|start| start.scheduled - start.created),
            start: stage(|start| start.started - start.scheduled),
            ready: stage(|start| start.ready - start.started),
            ..Lead::default()
        }
    }
}

impl Quota {
    /// How many more pods fit that request so much and are limited to so much, in cores and bytes, and which resource bounds them.
    pub fn room(&self, requests: (f64, f64), limits: (f64, f64)) -> Option<(u32, &str)> {
        let room = self.left.iter().filter_map(|(resource, left)| {
            let each = match resource.as_str() {
                "pods" | "count/pods" => 1.0,
                "cpu" | "requests.cpu" => requests.0,
                "memory" | "requests.memory" => requests.1,
                "limits.cpu" => limits.0,
                "limits.memory" => limits.1,
                _ => return None,
            };
            (each > 0.0).then(|| ((left / each + 1e-9).floor().clamp(0.0, f64::from(u32::MAX)) as u32, resource.as_str()))
        });
        room.min()
    }
}
