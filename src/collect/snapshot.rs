//! Git and metrics joined: one [`Observed`] a policy.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::clients::cluster::Cluster as Client;
use crate::model::argocd::Tracking;
use crate::model::cluster::{Live, Unseen};
use crate::model::lead::{Lead, Stage};
use crate::model::policy::{Driver, delta};
use crate::model::snapshot::{Driven, Effort};
use crate::model::{Deploys, HoldReason, NoStudy, Observed, Record, RepoPath, Settled, Shard, Signal, Snapshot, Tree, WorkloadId};

use super::argocd::{self, Tracked};
use super::cluster::Reader;
use super::{Governed, History, Settings, Source, Wanted, histories, policies};

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
    let of_argocd = reader.as_mut().map(|reader| std::mem::take(&mut reader.cluster.argocd)).unwrap_or_default();
    let of_argocd = argocd::beside(of_argocd, tree, tracked);
    let deploys = argocd::deploys(&of_argocd, tracked, now);
    let overlays: BTreeSet<&RepoPath> = governed.iter().map(|governed| &governed.overlay).collect();
    let through = argocd::through(&deploys, &overlays, tree);
    let deploying =
        |governed: &Governed| deploys.get(&governed.overlay).or_else(|| through.get(&governed.overlay)).cloned().unwrap_or_default();
    let living: Vec<WorkloadId> = governed.iter().map(|governed| lives(governed, &deploying(governed))).collect();
    let ids: BTreeSet<WorkloadId> = living.iter().cloned().collect();
    if let Some(reader) = &mut reader {
        reader.workloads(&ids).await;
    }
    let mut cluster = reader.map(|reader| reader.cluster).unwrap_or_default();
    cluster.argocd = of_argocd;
    // Two overlays may render one workload.
    let mut wanted: BTreeMap<&WorkloadId, Wanted> = BTreeMap::new();
    for (governed, id) in governed.iter().zip(&living) {
        let none = || Wanted { id: id.clone(), signals: BTreeSet::new(), learns: false, error_budgets: BTreeSet::new() };
        let wanted = wanted.entry(id).or_insert_with(none);
        wanted.error_budgets.extend(governed.policy.spec.error_budget.clone());
        for driver in governed.policy.spec.drivers() {
            wanted.learns |= is_learned(&driver);
            wanted.signals.extend(is_learned(&driver).then_some(Signal::Cpu));
            wanted.signals.insert(driver.signal);
        }
    }
    let wanted: Vec<Wanted> = wanted.into_values().collect();
    let histories = histories(source, &wanted, now, delta(settings.history), delta(settings.step)).await;
    let settled = settled(&past);
    let workloads = governed
        .into_iter()
        .zip(living)
        .map(|(governed, id)| {
            let history = histories.get(&id).cloned().unwrap_or_default();
            let driven = |Driver { signal, capacity_per_replica }| {
                let nothing =
                    || Err(HoldReason::NoData { signal: signal.clone(), detail: "the source answered nothing for it".to_owned() });
                let demand = history.demand.get(&signal).cloned().unwrap_or_else(nothing);
                Driven { signal, capacity: capacity_per_replica, demand, study: Err(NoStudy::NotYet) }
            };
            let signals = governed.policy.spec.drivers().into_iter().map(driven).collect();
            let cpu = history.demand.get(&Signal::Cpu).and_then(|cpu| cpu.as_ref().ok()).cloned();
            let History { usage, startup, restarts, ready, latency, version, error_budgets, troubles, censored, .. } = history;
            let effort = Effort { cpu, ready, latency, version };
            let is_learned = governed.policy.spec.drivers().iter().any(is_learned);
            let deploys = deploying(&governed);
            let tracked = deploys.iter().find(|deploys| deploys.tracking == Tracking::Tracked);
            let before = settled.get(&(&governed.overlay, &governed.rendered.id)).map_or(&[][..], |settled| settled);
            let now = tracked.and_then(Deploys::settled).filter(|now| before.last().is_none_or(|last| last.commit != now.commit));
            let healthy: Vec<f64> = before.iter().copied().chain(now.as_ref()).map(|settled| f64::from(settled.seconds)).collect();
            // What Argo CD deploys elsewhere is not what this cluster has by that name.
            let is_here = tracked.is_none_or(|deploys| deploys.application.destination.is_here());
            let live = cluster.workloads.get(&id).filter(|_| is_here).cloned();
            let lead = live.as_ref().map(Live::lead).unwrap_or_default();
            let error_budget = governed.policy.spec.error_budget.as_ref().and_then(|expression| error_budgets.get(expression).copied());
            Observed {
                lead: Lead { sync: tracked.and_then(|deploys| Stage::of(&deploys.syncs)), healthy: Stage::of(&healthy), ..lead },
                live,
                deploys,
                overlay: governed.overlay,
                rendered: governed.rendered,
                namespace: id.namespace,
                policy: governed.policy,
                origins: governed.origins,
                signals,
                error_budget,
                censored,
                effort: if is_learned { effort } else { Effort::default() },
                usage,
                startup,
                restarts,
                troubles,
            }
        })
        .collect();
    let mut notices = unseen(&cluster.unseen);
    notices.extend(argocd::notices(&cluster.argocd, tree, tracked, &deploys));
    Ok(Snapshot { now, workloads, shard, elsewhere, amiss, past, base: tracked.base.to_owned(), cluster, notices })
}

/// The workload where it runs: an overlay may leave its namespace to whoever applies it.
fn lives(governed: &Governed, deploys: &[Deploys]) -> WorkloadId {
    let mut id = governed.rendered.id.clone();
    if id.namespace.is_empty() {
        let of_policy = governed.policy.metadata.namespace.clone();
        let tracked = || deploys.iter().find(|deploys| deploys.tracking == Tracking::Tracked);
        let of_argocd = || tracked().or(deploys.first()).map(|deploys| deploys.application.destination.namespace.clone());
        id.namespace = of_policy.or_else(of_argocd).unwrap_or_default();
    }
    id
}

/// How long the Application of each workload took to become Healthy after each sync, as the first run saw that came after it: one that was unwell
/// and became well again later tells nothing of the sync.
fn settled(past: &[Record]) -> BTreeMap<(&RepoPath, &WorkloadId), Vec<&Settled>> {
    let mut all: BTreeMap<_, Vec<&Settled>> = BTreeMap::new();
    for record in past {
        let (Some(overlay), Some(now)) = (&record.overlay, &record.settled) else { continue };
        let settled = all.entry((overlay, &record.workload)).or_default();
        if settled.last().is_none_or(|last| last.commit != now.commit) {
            settled.push(now);
        }
    }
    all
}

/// Whether what a replica carries of it is learned.
fn is_learned(driver: &Driver) -> bool {
    driver.capacity_per_replica.is_none() && !matches!(driver.signal, Signal::Cpu | Signal::Memory)
}

/// What could not be read, in words: a cluster that does not answer is told once.
fn unseen(all: &[Unseen]) -> Vec<String> {
    let told = all.chunk_by(|one, next| one.why == next.why).map(|alike| {
        let [first, _, ..] = alike else { return alike[0].to_string() };
        let mut without: Vec<&str> = alike.iter().map(|one| one.without.as_str()).collect();
        without.dedup();
        let stop = if first.why.ends_with(['?', '.']) { "" } else { "." };
        format!("{}{stop} Without it: {}", first.why, without.join("; "))
    });
    told.collect()
}
