//! Git and metrics joined: one [`Observed`] a policy.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::model::policy::delta;
use crate::model::{HoldReason, NoStudy, Observed, Record, RepoPath, Snapshot, Tree};

use super::{Settings, Source, Wanted, histories, policies};

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
    let wanted: Vec<Wanted> = governed.iter().map(|g| Wanted { id: g.rendered.id.clone(), signal: g.policy.spec.signal.clone() }).collect();
    let histories = histories(source, &wanted, now, delta(settings.history), delta(settings.step)).await;
    let workloads = governed
        .into_iter()
        .map(|governed| {
            let history = histories.get(&governed.rendered.id).cloned();
            let nothing = || HoldReason::NoData {
                signal: governed.policy.spec.signal.clone(),
                detail: "the source answered nothing for it".to_owned(),
            };
            let (demand, usage, startup, restarts, troubles) = match history {
                Some(history) => (history.demand, history.usage, history.startup, history.restarts, history.troubles),
                None => (Err(nothing()), BTreeMap::new(), None, None, Vec::new()),
            };
            Observed {
                overlay: governed.overlay,
                rendered: governed.rendered,
                policy: governed.policy,
                policy_place: governed.place,
                demand,
                usage,
                startup,
                restarts,
                troubles,
                study: Err(NoStudy::NotYet),
            }
        })
        .collect();
    Ok(Snapshot { now, workloads, amiss, past })
}
