//! The pipeline on one screen. `plan` and `run` differ in one thing: `plan` never writes.

mod explain;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};

use crate::clients::git::{CommitId, Repository};
use crate::clients::kustomize::Kustomize;
use crate::clients::store::Store;
use crate::collect::Source;
use crate::config::Config;
use crate::deliver::Published;
use crate::model::{Change, Group, Plan, Proven, Record, Route, Tree};
use crate::{collect, decide, deliver, forecast, overlay, prove};

pub use explain::{Explained, Explanation, explain};

/// The outside world that a run reads and, at its end, writes.
pub struct World {
    config: Config,
    repository: Repository,
    source: Source,
    kustomize: Option<Kustomize>,
    store: Store,
}

/// A plan with its edits and proofs: all that can be printed before anything is written.
pub struct Planned {
    /// What was decided.
    pub plan: Plan,
    /// The edits, by route and rhythm.
    pub groups: Vec<Group>,
    /// The commit that it was made on.
    base: CommitId,
}

/// Reads everything, decides, edits in memory and proves. Writes nothing.
pub async fn plan(world: &World, now: DateTime<Utc>) -> anyhow::Result<Planned> {
    let base = blocking(|| world.repository.fetch())?;
    let tree = blocking(|| world.repository.tree(base))?;
    let past = world.store.records(now, TimeDelta::days(2)).await?;

    let snapshot = collect::snapshot(&world.source, &world.config.metrics, &tree, &world.config.overlays.0, past, now).await?;
    tracing::info!(%base, workloads = snapshot.workloads.len(), amiss = snapshot.amiss.len(), "read Git and metrics");
    let outlook = forecast::all(&snapshot, &world.config.forecast());
    let mut plan = decide::plan(&snapshot, &outlook, &world.config.decide());

    tracing::info!(changes = plan.changes.len(), held = plan.held.len(), "decided");

    let mut groups = Vec::new();
    for (route, rhythm) in Group::KINDS {
        let changes: Vec<Change> = plan.changes.iter().filter(|c| (c.route, c.field.rhythm()) == (route, rhythm)).cloned().collect();
        let proven = world.edit(&changes, &tree, base).await?;
        plan.held.extend(proven.held.iter().cloned());
        groups.push(Group { route, rhythm, proven });
    }
    Ok(Planned { plan, groups, base })
}

/// As [`plan`]; then commits and pushes each group that travels by commit, and records what was decided.
pub async fn run(world: &World, now: DateTime<Utc>) -> anyhow::Result<(Planned, Vec<Published>)> {
    let planned = plan(world, now).await?;
    let mut base = planned.base;
    let mut published = Vec::new();
    for group in planned.groups.iter().filter(|group| group.route == Route::Commit) {
        let rebuild = async |group: &Group, base| world.rebuild(group, base).await;
        let mut group = group.clone();
        if base != planned.base {
            group.proven = world.rebuild(&group, base).await?;
        }
        let done = deliver::publish(group, base, &planned.plan, &world.config.commit, &world.repository, rebuild).await?;
        base = done.commit.unwrap_or(done.base);
        published.push(done);
    }
    let written = published.iter().filter_map(|done| Some((done, done.commit?.to_string())));
    let written = written.flat_map(|(done, commit)| done.group.proven.changes().map(move |(sited, _)| (sited, commit.clone())));
    world.store.put(now, &Record::of_run(&planned.plan, written)).await?;
    Ok((planned, published))
}

impl World {
    /// Connects to what the configuration names.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let settings = config.repository()?;
        let source = Source::open(&config.metrics)?;
        let store = Store::open(&config.state.path)?;
        let repository = blocking(|| Repository::open(settings, &config.cache()))?;
        let kustomize = Kustomize::find(&config.render).await.context("cannot render")?;
        Ok(Self { config, repository, source, kustomize, store })
    }

    /// The config repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The group's changes, edited and proven anew on another commit. A value that someone else set meanwhile is theirs.
    async fn rebuild(&self, group: &Group, base: CommitId) -> anyhow::Result<Proven> {
        let tree = blocking(|| self.repository.tree(base))?;
        let changes = group.proven.changes().map(|(sited, _)| sited.change.clone());
        let (still, mut held) = overlay::still_as_planned(changes, &tree);
        let mut proven = self.edit(&still, &tree, base).await?;
        proven.held.append(&mut held);
        Ok(proven)
    }

    /// Edits a commit's tree in memory and proves the edits.
    async fn edit(&self, changes: &[Change], tree: &Tree, base: CommitId) -> anyhow::Result<Proven> {
        let scope = overlay::Scope { allowed: self.config.overlays.0.clone() };
        prove::render(overlay::edit(changes, tree, &scope), &self.repository, base, self.kustomize.as_ref()).await
    }
}

/// libgit2 blocks: other tasks move off this thread meanwhile.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
