//! Where a policy stands, and so where each of its fields comes from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Place;

/// Where a policy stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// In a file of the repository.
    Git(Place),
    /// In the cluster.
    Cluster {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Git(place) => place.fmt(f),
            Self::Cluster { namespace, name } => write!(f, "ScalingPolicy {namespace}/{name} in the cluster"),
        }
    }
}

/// Which policy says each field of a workload's: its own, or one that stands for all workloads of a folder or namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// Notes who says a field of the spec, such as `replicas.max`.
    pub fn note(&mut self, field: String, origin: &Origin) {
        self.0.insert(field, origin.clone());
    }

    /// Forgets a field and what is below it.
    pub fn forget(&mut self, field: &str) {
        self.0.retain(|known, _| known != field && !known.strip_prefix(field).is_some_and(|rest| rest.starts_with('.')));
    }

    /// Who says a field; `None` where nobody does, and its default counts.
    pub fn of(&self, field: &str) -> Option<&Origin> {
        self.0.get(field)
    }
}
