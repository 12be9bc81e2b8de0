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
    /// The limit ranges of their namespaces.
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

/// What a PodDisruptionBudget wants available: a number of pods, or a share of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Disruption {
    /// Its name.
    pub name: String,
    /// Pods that must stay available; nought where it gives a share.
    pub least: u32,
    /// The share of its pods that must stay available, 0–1; absent where it gives a number.
    pub min_available_share: Option<f64>,
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

/// What pods take of their namespace: how many they are, and what they request and are limited to, in cores and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Claim {
    /// How many.
    pub pods: f64,
    /// What they request.
    pub requests: (f64, f64),
    /// What they are limited to.
    pub limits: (f64, f64),
}

/// A LimitRange: what the API server refuses in its namespace, and what it fills in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitRange {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it says of one container.
    pub container: BTreeMap<Resource, Bounds>,
    /// The most that the containers of a pod may request together, in cores or bytes.
    pub pod: BTreeMap<Resource, f64>,
}

/// What a LimitRange says of a container's resource, in cores or bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// The least that may be requested.
    pub least: Option<f64>,
    /// The most.
    pub most: Option<f64>,
    /// What is requested where neither a request nor a limit is given.
    pub request: Option<f64>,
    /// The limit where none is given.
    pub limit: Option<f64>,
    /// How many times its request a limit may be.
    pub ratio: Option<f64>,
}

/// The nodes that take pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nodes {
    /// How many.
    pub count: u32,
    /// What the largest have to give, in cores and bytes: each of them more of one than any other that has as much of the other.
    pub largest: Vec<(f64, f64)>,
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

impl Disruption {
    /// How many of so many replicas must stay available. Of a share a part of a pod counts as a whole one.
    pub fn wants(&self, replicas: u32) -> u32 {
        let share = (self.min_available_share.unwrap_or(0.0) * f64::from(replicas) - 1e-9).ceil().max(0.0);
        self.least.max(share as u32)
    }

    /// What this and another budget of the same pods want together, by the name of the one that wants more of so many replicas.
    #[must_use]
    pub fn with(self, other: Self, replicas: u32) -> Self {
        let (least, share) = (self.least.max(other.least), [self.min_available_share, other.min_available_share]);
        let more = if other.wants(replicas) > self.wants(replicas) { other } else { self };
        Self { least, min_available_share: share.into_iter().flatten().reduce(f64::max), ..more }
    }
}

impl Claim {
    /// The same so many times.
    #[must_use]
    pub fn times(self, count: f64) -> Self {
        let both = |(cpu, memory): (f64, f64)| (cpu * count, memory * count);
        Self { pods: self.pods * count, requests: both(self.requests), limits: both(self.limits) }
    }

    /// What it takes of a resource, by its name in quotas; `None` for what pods take none of.
    fn of(&self, resource: &str) -> Option<f64> {
        Some(match resource {
            "pods" | "count/pods" => self.pods,
            "cpu" | "requests.cpu" => self.requests.0,
            "memory" | "requests.memory" => self.requests.1,
            "limits.cpu" => self.limits.0,
            "limits.memory" => self.limits.1,
            _ => return None,
        })
    }
}

impl Quota {
    /// How many times a claim fits into what is left, and which resource bounds that; `None` where none does.
    pub fn room(&self, claim: &Claim) -> Option<(u32, &str)> {
        let room = self.left.iter().filter_map(|(resource, left)| {
            let each = claim.of(resource).filter(|each| *each > 0.0)?;
            Some(((left / each + 1e-9).floor().clamp(0.0, f64::from(u32::MAX)) as u32, resource.as_str()))
        });
        room.min()
    }

    /// Takes a claim from what is left.
    pub fn give(&mut self, claim: &Claim) {
        for (resource, left) in &mut self.left {
            *left = (*left - claim.of(resource).unwrap_or(0.0)).max(0.0);
        }
    }
}

impl Bounds {
    /// The bound that a request breaks, beside a limit that is given or filled in.
    pub fn broken(&self, request: f64, limit: Option<f64>) -> Option<f64> {
        let least = self.least.filter(|least| exceeds(*least, request));
        let most = self.most.filter(|most| exceeds(request, *most));
        let limited = limit.filter(|limit| self.limit.is_some() && exceeds(request, *limit));
        let even = limit.zip(self.ratio).filter(|(_, ratio)| *ratio > 0.0).map(|(limit, ratio)| limit / ratio);
        least.or(most).or(limited).or(even.filter(|least| exceeds(*least, request)))
    }
}

impl Nodes {
    /// Nodes that have so much to give, in cores and bytes.
    pub fn of(sizes: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let fits = |(cpu, memory): (f64, f64), size: (f64, f64)| cpu <= size.0 && memory <= size.1;
        let mut nodes = Self::default();
        for size in sizes {
            nodes.count += 1;
            if !nodes.largest.iter().any(|known| fits(size, *known)) {
                nodes.largest.retain(|known| !fits(*known, size));
                nodes.largest.push(size);
            }
        }
        nodes
    }

    /// The most of a resource that one of them has beside so much of the other; where none has that much, the most at all. `None` without nodes.
    pub fn most(&self, resource: Resource, beside: f64) -> Option<f64> {
        let sizes = || {
            self.largest.iter().map(move |&(cpu, memory)| match resource {
                Resource::Cpu => (cpu, memory),
                Resource::Memory => (memory, cpu),
            })
        };
        let enough = sizes().filter(|(_, other)| !exceeds(beside, *other)).map(|(most, _)| most).reduce(f64::max);
        enough.or_else(|| sizes().map(|(most, _)| most).reduce(f64::max))
    }
}

/// Whether an amount is more than another, by more than sums of amounts are exact.
pub fn exceeds(amount: f64, other: f64) -> bool {
    amount > other * (1.0 + 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: f64 = 1_073_741_824.0;

    #[test]
    fn a_quota_is_given_out_once() {
        let left = [("pods", 3.0), ("requests.cpu", 1.0), ("count/secrets", 0.0)];
        let left = left.into_iter().map(|(resource, left)| (resource.to_owned(), left)).collect();
        let mut quota = Quota { namespace: "shop".into(), name: "quota".into(), left };
        let pod = Claim { pods: 1.0, requests: (0.1, GIB), limits: (9.0, 0.0) };
        assert_eq!(quota.room(&pod), Some((3, "pods")));
        quota.give(&pod.times(2.0));
        assert_eq!((quota.room(&pod), quota.left["requests.cpu"]), (Some((1, "pods")), 0.8));
        let more = Claim { requests: (0.8, 0.0), ..Claim::default() };
        assert_eq!(quota.room(&more), Some((1, "requests.cpu")));
        quota.give(&more);
        assert_eq!(quota.room(&more), Some((0, "requests.cpu")));
        assert_eq!(quota.room(&Claim { limits: (1.0, 1.0), ..Claim::default() }), None, "nothing bounds these");
    }

    #[test]
    fn a_limit_range_refuses_what_it_would_fill_up_or_what_is_uneven() {
        let bounds = Bounds { least: Some(0.1), most: Some(2.0), limit: Some(0.5), request: None, ratio: Some(4.0) };
        // (request, limit) -> the bound that it breaks
        for (request, limit, broken) in [
            (0.3, Some(0.5), None),
            (0.05, None, Some(0.1)),
            (2.5, Some(3.0), Some(2.0)),
            (0.6, Some(0.5), Some(0.5)),
            (0.125, Some(0.5), None),
            (0.12, Some(0.5), Some(0.125)),
            (0.1 + 0.2, Some(0.3), None),
        ] {
            assert_eq!(bounds.broken(request, limit), broken, "{request} {limit:?}");
        }
    }

    #[test]
    fn a_pod_fits_one_node_in_both() {
        let nodes = Nodes::of([(8.0, 4.0 * GIB), (2.0, 64.0 * GIB), (2.0, 4.0 * GIB), (1.0, 64.0 * GIB)]);
        assert_eq!((nodes.count, nodes.largest.len()), (4, 2));
        assert_eq!(nodes.most(Resource::Cpu, 4.0 * GIB), Some(8.0));
        assert_eq!(nodes.most(Resource::Cpu, 5.0 * GIB), Some(2.0));
        assert_eq!(nodes.most(Resource::Cpu, 65.0 * GIB), Some(8.0), "it fits nowhere, whatever its CPU");
        assert_eq!(nodes.most(Resource::Memory, 3.0), Some(4.0 * GIB));
        assert_eq!(Nodes::of([]).most(Resource::Memory, 0.0), None);
    }

    #[test]
    fn a_share_of_the_replicas_grows_with_them() {
        let budget = |name: &str, least, share| Disruption { name: name.into(), least, min_available_share: share, allowed: None };
        let half = budget("half", 0, Some(0.5));
        assert_eq!([0, 1, 4, 5].map(|replicas| half.wants(replicas)), [0, 1, 2, 3]);
        assert_eq!(budget("all", 0, Some(1.0)).wants(7), 7);
        let both = budget("three", 3, None).with(half.clone(), 10);
        assert_eq!(both, budget("half", 3, Some(0.5)));
        assert_eq!(half.with(budget("three", 3, None), 4).name, "three");
    }
}
