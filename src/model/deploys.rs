//! How Argo CD deploys an overlay, and what it says of it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Field;
use super::argocd::{Application, Frozen, Health, Phase, Seen, Status, Sync, Tracking};

/// What becomes of an Application later than this after a sync is not for the sync.
const LONGEST: TimeDelta = TimeDelta::hours(1);

/// An Application that deploys an overlay.
#[derive(Clone, Debug)]
pub struct Deploys {
    /// The Application.
    pub application: Arc<Application>,
    /// Whether it follows the branch that is written.
    pub tracking: Tracking,
    /// The sync window of its project that keeps it from syncing.
    pub frozen: Option<Frozen>,
    /// The commits that its last sync brought, the newest first; empty where they do not follow what was deployed before, or are not at hand.
    pub brought: Vec<String>,
    /// How long after its commit each sync of late ended, in seconds, the oldest first.
    pub syncs: Vec<f64>,
}

/// How long it took an Application to become Healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settled {
    /// The commit that it had deployed; of several sources the commits, joined by `+`.
    pub commit: String,
    /// From the end of the sync on.
    pub seconds: u32,
}

/// Why a change would not arrive, or not now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum NotNow {
    /// It deploys a tag, a commit or a range of versions.
    Pinned {
        /// Its `targetRevision`.
        revision: String,
    },
    /// It deploys another branch.
    OtherBranch {
        /// Its `targetRevision`.
        revision: String,
    },
    /// The tracked branch is what its source hydrator writes.
    Hydrated {
        /// The folder that the hydrator writes.
        path: String,
    },
    /// A sync window is closed.
    Frozen(Frozen),
    /// It is being synced.
    Syncing,
    /// It is not well.
    Degraded,
    /// It is not yet well.
    Progressing,
    /// Its last sync failed, and it is still not as Git has it.
    Failed {
        /// What Argo CD says of it, shortened.
        message: String,
    },
    /// It does not bring this field to the cluster: `ignoreDifferences`, with `RespectIgnoreDifferences=true`.
    Ignored,
    /// It may set more itself, after the overlay, than Git tells of.
    Overrides,
    /// It differs from Git in other objects than those that Prescale writes.
    OutOfSync {
        /// Some of them, as `Kind/name`.
        objects: Vec<String>,
    },
}

impl Deploys {
    /// How people call it.
    pub fn name(&self) -> String {
        let Application { namespace, name, .. } = &*self.application;
        let name = if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") };
        self.application.owner.as_ref().map_or(name.clone(), |set| format!("{name} (of ApplicationSet {set})"))
    }

    /// What keeps a change of this field from arriving now, with the tracked branch at `base`. `is_ours` tells which objects of the overlay, by
    /// kind and name, Prescale writes.
    pub fn not_now(&self, field: &Field, is_ours: impl Fn(&str, &str) -> bool, base: &str) -> Option<NotNow> {
        match &self.tracking {
            Tracking::Pinned { revision } => return Some(NotNow::Pinned { revision: revision.clone() }),
            Tracking::OtherBranch { revision } => return Some(NotNow::OtherBranch { revision: revision.clone() }),
            Tracking::Hydrated { path } => return Some(NotNow::Hydrated { path: path.clone() }),
            Tracking::Tracked => {}
        }
        if let Some(frozen) = &self.frozen {
            return Some(NotNow::Frozen(frozen.clone()));
        }
        if *field == Field::Replicas && self.application.ignores_replicas {
            return Some(NotNow::Ignored);
        }
        if self.is_live() && self.application.sources.iter().any(|source| source.overrides) {
            return Some(NotNow::Overrides);
        }
        let status = self.application.status.as_ref()?;
        match (status.phase, status.health) {
            (Some(Phase::Failed | Phase::Error), _) if status.sync == Sync::OutOfSync => {
                Some(NotNow::Failed { message: status.message.chars().take(200).collect() })
            }
            (Some(Phase::Running | Phase::Terminating), _) => Some(NotNow::Syncing),
            (_, Health::Degraded) => Some(NotNow::Degraded),
            (_, Health::Progressing) => Some(NotNow::Progressing),
            _ => Self::out_of_sync(status, is_ours, base),
        }
    }

    /// What differs besides what Prescale writes; nothing as long as Argo CD has not compared the newest commit.
    fn out_of_sync(status: &Status, is_ours: impl Fn(&str, &str) -> bool, base: &str) -> Option<NotNow> {
        let compared = match &status.hydration {
            Some(hydration) => hydration.dry == base,
            None => status.revisions.iter().any(|revision| revision == base),
        };
        if status.sync != Sync::OutOfSync || !compared {
            return None;
        }
        let others = status.out_of_sync.iter().filter(|(kind, name)| !is_ours(kind, name));
        let objects: Vec<String> = others.take(3).map(|(kind, name)| format!("{kind}/{name}")).collect();
        // Where it does not say which objects differ, all that is known is that something does.
        (!objects.is_empty() || status.out_of_sync.is_empty()).then_some(NotNow::OutOfSync { objects })
    }

    /// Whether a commit changes nothing before someone syncs it.
    pub fn is_manual(&self) -> bool {
        self.tracking == Tracking::Tracked && !self.application.auto_sync
    }

    /// Since when it has been unwell, where it became so within an hour after it deployed these commits.
    pub fn degraded_by(&self) -> Option<(DateTime<Utc>, &[String])> {
        let status = self.application.status.as_ref().filter(|status| !self.brought.is_empty() && status.health == Health::Degraded)?;
        let last = status.history.last()?;
        let since = status.health_since.filter(|since| (last.deployed..last.deployed + LONGEST).contains(since))?;
        Some((since, &self.brought))
    }

    /// How long after its last sync it became Healthy; `None` where it was well all the time, or is not, or became so an hour later, for which
    /// something else was the reason.
    pub fn settled(&self) -> Option<Settled> {
        let status = self.application.status.as_ref().filter(|status| status.health == Health::Healthy)?;
        let last = status.history.last()?;
        let took = status.health_since? - last.deployed;
        let seconds = u32::try_from(took.num_seconds()).ok()?;
        (took < LONGEST).then(|| Settled { commit: last.revisions.join("+"), seconds })
    }

    /// Whether the cluster itself told of it.
    pub fn is_live(&self) -> bool {
        self.application.seen == Seen::Cluster
    }
}
