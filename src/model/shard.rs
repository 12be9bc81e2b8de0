//! One of several Prescales on one repository, and the workloads that are its own.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::WorkloadId;

/// Which of how many. By default there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Shard {
    /// Which one, from 0. Default: 0.
    pub index: u32,
    /// How many there are. Default: 1.
    pub count: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl Shard {
    /// Whether there is no other.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }

    /// Whether a workload is its own: by a hash of kind and name, so that siblings in other overlays and namespaces, whose history a new
    /// workload borrows, stay together.
    pub fn holds(self, workload: &WorkloadId) -> bool {
        let digest = Sha256::digest(format!("{}/{}", workload.kind, workload.name));
        let hash = digest.iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
        hash % u64::from(self.count) == u64::from(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-of-{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WorkloadKind;

    #[test]
    fn each_workload_is_in_one_shard_and_siblings_are_in_the_same() {
        let id = |namespace: &str, name: u32| WorkloadId {
            namespace: namespace.into(),
            kind: WorkloadKind::Deployment,
            name: format!("w{name}"),
        };
        for count in [1, 2, 4, 7] {
            let shards = (0..count).map(|index| Shard { index, count });
            let owner = |id: &WorkloadId| shards.clone().filter(|shard| shard.holds(id)).collect::<Vec<_>>();
            let mut sizes = vec![0_u32; count as usize];
            for name in 0..1000 {
                let [owner_of_prod] = owner(&id("prod", name))[..] else { panic!("not in one shard") };
                assert_eq!(owner(&id("staging", name)), [owner_of_prod]);
                sizes[owner_of_prod.index as usize] += 1;
            }
            assert!(sizes.iter().all(|size| f64::from(*size) > 0.75 * 1000.0 / f64::from(count)), "{sizes:?}");
        }
    }
}
