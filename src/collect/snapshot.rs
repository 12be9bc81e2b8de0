//! Git and metrics joined: one [`Observed`] a policy.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::clients::cluster::Cluster as Client;
use crate::model::argocd::Tracking;
use crate::model::cluster::Live;
use crate::model::lead::{Lead, Stage};
use crate::model::policy::{Driver, delta};
use crate::model::snapshot::Driven;
use crate::model::{HoldReason, NoStudy, Observed, Record, RepoPath, Shard, Signal, Snapshot, Tree, WorkloadId};

use super::argocd::{self, Tracked};
use super::cluster::Reader;
use super::{History, Settings, Source, Wanted, histories, policies};

/// Reads the policies and overlays of a commit, and the history of every workload that they name and that is in the shard.
pub async fn snapshot(
    (source, cluster): (&Source, Option<&Client>),
    settings: &Settings,
    (tree, tracked): (&Tree, Tracked<'_>),
    (folders, shard): (&[RepoPath], Shard),
    past: Vec<Record>,
    now: DateTime<Utc>,
) -> anyhow::Result<Snapshot> {
    if let Some(absent) = folders.iter().find(|folder| !tree.is_folder(folder)) {
        anyhow::bail!(
            "the repository has no folder `{absent}` on the tracked branch: correct `overlays` in the configuration, or `repository.branch`"
        );
    }
    let mut reader = cluster.map(Reader::new);
    if let Some(reader) = &mut reader {
        reader.overview().await;
    }
    let of_cluster = reader.as_ref().map_or(&[][..], |reader| &reader.cluster.policies);
    let (mut governed, mut amiss) = policies::governed(tree, folders, of_cluster);
    let all = governed.len();
    governed.retain(|governed| shard.holds(&governed.rendered.id));
    amiss.retain(|held| shard.holds(&held.workload));
    let elsewhere = all - governed.len();
    let ids: BTreeSet<WorkloadId> = governed.iter().map(|governed| governed.rendered.id.clone()).collect();
    if let Some(reader) = &mut reader {
        reader.workloads(&ids).await;
    }
    let mut cluster = reader.map(|reader| reader.cluster).unwrap_or_default();
    cluster.argocd = argocd::beside(cluster.argocd, tree);
    let deploys = argocd::deploys(&cluster.argocd, tracked, now);
    // Two overlays may render one workload.
    let mut signals: BTreeMap<&WorkloadId, BTreeSet<Signal>> = BTreeMap::new();
    for governed in &governed {
        let wanted = signals.entry(&governed.rendered.id).or_default();
        for driver in governed.policy.spec.drivers() {
            wanted.extend(is_learned(&driver).then_some(Signal::Cpu));
            wanted.insert(driver.signal);
        }
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
            let is_learned = governed.policy.spec.drivers().iter().any(is_learned);
            let cpu = history.demand.get(&Signal::Cpu).filter(|_| is_learned).and_then(|cpu| cpu.as_ref().ok()).cloned();
            let pods = history.ready.as_ref().and_then(|ready| {
                let measured = ready.values().iter().filter(|pods| pods.is_finite());
                let (sum, count) = measured.fold((0.0, 0.0), |(sum, count), pods| (sum + pods, count + 1.0));
                (count > 0.0).then(|| sum / count)
            });
            let signals = governed.policy.spec.drivers().into_iter().map(driven).collect();
            let History { usage, startup, restarts, troubles, censored, .. } = history;
            let live = cluster.workloads.get(&governed.rendered.id).cloned();
            let deploys = deploys.get(&governed.overlay).cloned().unwrap_or_default();
            let syncs = deploys.iter().find(|deploys| deploys.tracking == Tracking::Tracked).map_or(&[][..], |deploys| &deploys.syncs);
            Observed {
                lead: Lead { sync: Stage::of(syncs), ..live.as_ref().map(Live::lead).unwrap_or_default() },
                live,
                deploys,
                overlay: governed.overlay,
                rendered: governed.rendered,
                policy: governed.policy,
                origins: governed.origins,
                signals,
                censored,
                cpu,
                pods,
                usage,
                startup,
                restarts,
                troubles,
            }
        })
        .collect();
    let mut notices: Vec<String> = cluster.unseen.iter().map(ToString::to_string).collect();
    notices.extend(argocd::notices(&cluster.argocd, tree, tracked, &deploys));
    Ok(Snapshot { now, workloads, shard, elsewhere, amiss, past, base: tracked.base.to_owned(), cluster, notices })
}

/// Whether what a replica carries of it is learned from CPU.
fn is_learned(driver: &Driver) -> bool {
    driver.capacity_per_replica.is_none() && !matches!(driver.signal, Signal::Cpu | Signal::Memory)
}
