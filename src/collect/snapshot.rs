//! Git and metrics joined: one [`Observed`] a policy.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::model::policy::{Driver, delta};
use crate::model::snapshot::Driven;
use crate::model::{HoldReason, NoStudy, Observed, Record, RepoPath, Signal, Snapshot, Tree, WorkloadId};

use super::{History, Settings, Source, Wanted, histories, policies};

/// Reads the policies and overlays of a commit, and the history of every workload that they name.
pub async fn snapshot(
    source: &Source,
    settings: &Settings,
    tree: &Tree,
    folders: &[RepoPath],
    past: Vec<Record>,
    now: DateTime<Utc>,
) -> anyhow::Result<Snapshot> {
    if let Some(absent) = folders.iter().find(|folder| !tree.is_folder(folder)) {
        anyhow::bail!(
            "the repository has no folder `{absent}` on the tracked branch: correct `overlays` in the configuration, or `repository.branch`"
        );
    }
    let (governed, amiss) = policies::governed(tree, folders);
    // Two overlays may render one workload.
    let mut signals: BTreeMap<&WorkloadId, BTreeSet<Signal>> = BTreeMap::new();
    for governed in &governed {
        signals.entry(&governed.rendered.id).or_default().extend(governed.policy.spec.drivers().into_iter().map(|driver| driver.signal));
    }
    let wanted: Vec<Wanted> = signals.into_iter().map(|(id, signals)| Wanted { id: id.clone(), signals }).collect();
    let histories = histories(source, &wanted, now, delta(settings.history), delta(settings.step)).await;
    let workloads = governed
        .into_iter()
        .map(|governed| {
            let history = histories.get(&governed.rendered.id).cloned().unwrap_or_default();
            let driven = |Driver { signal, capacity_per_replica }| {
                let nothing =
                    || Err(HoldReason::NoData { signal: signal.clone(), detail: "the source answered nothing for it".to_owned() });
                let demand = history.demand.get(&signal).cloned().unwrap_or_else(nothing);
                Driven { signal, capacity: capacity_per_replica, demand, study: Err(NoStudy::NotYet) }
            };
            let signals = governed.policy.spec.drivers().into_iter().map(driven).collect();
            let History { usage, startup, restarts, troubles, censored, .. } = history;
            Observed {
                overlay: governed.overlay,
                rendered: governed.rendered,
                policy: governed.policy,
                policy_place: governed.place,
                signals,
                censored,
                usage,
                startup,
                restarts,
                troubles,
            }
        })
        .collect();
    Ok(Snapshot { now, workloads, amiss, past })
}
