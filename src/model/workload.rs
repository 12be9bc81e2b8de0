//! What is scaled, and the objects around it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The kinds that Prescale scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `argoproj.io/v1alpha1` Rollout.
    Rollout,
}

impl WorkloadKind {
    /// The kind as Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::Rollout => "Rollout",
        }
    }

    /// The `apiVersion` that Prescale writes in a patch for this kind.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet => "apps/v1",
            Self::Rollout => "argoproj.io/v1alpha1",
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for WorkloadKind {
    type Err = ();

    fn from_str(kind: &str) -> Result<Self, ()> {
        match kind {
            "Deployment" => Ok(Self::Deployment),
            "StatefulSet" => Ok(Self::StatefulSet),
            "Rollout" => Ok(Self::Rollout),
            _ => Err(()),
        }
    }
}

/// A workload as rendered: after name prefixes and namespaces are applied.
///
/// Printed as `namespace/Kind/name`; the namespace is empty where the render leaves it open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkloadId {
    /// The namespace, or the empty string where the render names none.
    pub namespace: String,
    /// The kind.
    pub kind: WorkloadKind,
    /// The name.
    pub name: String,
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = if self.namespace.is_empty() { "-" } else { &self.namespace };
        f.pad(&format!("{namespace}/{}/{}", self.kind, self.name))
    }
}

/// Any rendered object: the identity under which two renders are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The API group without the version; empty for the core group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace, or the empty string where the render names none.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectRef {
    /// The group of an `apiVersion`: `apps` of `apps/v1`, nothing of `v1`.
    pub fn group_of(api_version: &str) -> &str {
        api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = if self.namespace.is_empty() { "-" } else { &self.namespace };
        f.pad(&format!("{namespace}/{}/{}", self.kind, self.name))
    }
}
