//! What an overlay says of its workloads, as Kustomize would render them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Bytes, Field, Millicores, ObjectRef, Refusal, RepoPath, Value, WorkloadId};

/// The workloads of one overlay, and what in it could not be read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rendered {
    /// The folder of the overlay.
    pub overlay: RepoPath,
    /// The workloads, in the order of their ids.
    pub workloads: Vec<RenderedWorkload>,
    /// Parts of the overlay that could not be read; a workload may be missing, or its values may be others, because of them.
    pub unread: Vec<Refusal>,
}

/// One workload and what scales it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RenderedWorkload {
    /// Its identity.
    pub id: WorkloadId,
    /// `spec.replicas`; absent when nothing sets it.
    pub replicas: Option<u32>,
    /// The containers of the pod template, in its order; init containers are left out.
    pub containers: Vec<Container>,
    /// What scales it.
    pub scaler: Scaler,
    /// The workload's own annotations.
    pub annotations: BTreeMap<String, String>,
    /// Each field of it and of its autoscaler, where it has one, with what it holds.
    pub fields: Vec<(Field, Value)>,
}

impl RenderedWorkload {
    /// Whether an object, by kind and name, is it or its autoscaler.
    pub fn is_of(&self, kind: &str, name: &str) -> bool {
        let is = |object: &ObjectRef| (object.kind.as_str(), object.name.as_str()) == (kind, name);
        (self.id.kind.as_str(), self.id.name.as_str()) == (kind, name)
            || match &self.scaler {
                Scaler::Hpa(hpa) => is(&hpa.object),
                Scaler::Keda(scaled) => is(&scaled.object),
                Scaler::None | Scaler::Several(_) => false,
            }
    }

    /// What a field of it or of its autoscaler holds; `None` where nothing sets it, or nothing that could be read.
    pub fn value(&self, field: &Field) -> Option<&Value> {
        self.fields.iter().find(|(other, _)| other == field).map(|(_, value)| value)
    }
}

/// A container's requests and limits. A quantity that does not parse is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// `resources.requests.cpu`
    pub cpu_request: Option<Millicores>,
    /// `resources.requests.memory`
    pub memory_request: Option<Bytes>,
    /// `resources.limits.cpu`
    pub cpu_limit: Option<Millicores>,
    /// `resources.limits.memory`
    pub memory_limit: Option<Bytes>,
}

/// Who owns the replica count: one writer a field.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Scaler {
    /// Nothing: the floor is `spec.replicas`.
    None,
    /// A HorizontalPodAutoscaler: the floor is its `minReplicas`.
    Hpa(Hpa),
    /// A KEDA ScaledObject: the floor is its `minReplicaCount`.
    Keda(ScaledObject),
    /// More than one autoscaler targets the workload; nothing is written.
    Several(Vec<ObjectRef>),
}

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hpa {
    /// The object.
    pub object: ObjectRef,
    /// `spec.minReplicas`; Kubernetes takes 1 where it is absent.
    pub min: Option<u32>,
    /// `spec.maxReplicas`, which Kubernetes demands; absent when it is not a number.
    pub max: Option<u32>,
    /// What it scales on.
    pub metrics: Vec<HpaMetric>,
}

/// A metric of an HPA, as far as sizing needs it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HpaMetric {
    /// `type`, or for a resource its name: `cpu`, `memory`, `Pods`, `External` …
    pub name: String,
    /// `averageUtilization` in percent, where that is how the target is given.
    pub utilization: Option<u32>,
}

/// A KEDA ScaledObject.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScaledObject {
    /// The object.
    pub object: ObjectRef,
    /// `spec.minReplicaCount`; KEDA takes 0 where it is absent.
    pub min: Option<u32>,
    /// `spec.maxReplicaCount`; KEDA takes 100 where it is absent.
    pub max: Option<u32>,
    /// Paused by one of KEDA's annotations.
    pub paused: bool,
}
