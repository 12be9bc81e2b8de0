//! The pipeline on one screen. `plan` and `run` differ in one thing: `plan` never writes.

mod declined;
mod eject;
mod explain;
mod studies;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use anyhow::anyhow;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::runtime::Handle;

use crate::clients::cluster::Cluster;
use crate::clients::git::{self, CommitId, Repository};
use crate::clients::github::{Github, GithubError, Pull, State};
use crate::clients::kustomize::Kustomize;
use crate::clients::store::Store;
use crate::collect::{Source, Tracked};
use crate::config::{Config, ConfigError};
use crate::deliver::pull::{self, Desk};
use crate::deliver::undone::{self, Undone};
use crate::deliver::{Did, Owners, PLACES, Published, proposed};
use crate::gate::{Gate, GateError};
use crate::model::plan::stranded;
use crate::model::{
    Change, Group, Held, HoldReason, Learned, Plan, Proven, Record, RefusalCode, RepoPath, Rhythm, Route, Study, Tree, Written,
};
use crate::{collect, decide, deliver, forecast, gate, overlay, prove};

use declined::Declined;
pub use eject::{Ejected, eject};
pub use explain::{Explained, Explanation, explain};

/// The outside world that a run reads and, at its end, writes.
pub struct World {
    config: Config,
    repository: Repository,
    forge: Option<Github>,
    source: Source,
    cluster: Option<Cluster>,
    kustomize: Option<Kustomize>,
    store: Store,
    gate: Result<Gate, GateError>,
}

/// A plan with its edits and proofs: all that can be printed before anything is written.
pub struct Planned {
    /// What was decided.
    pub plan: Plan,
    /// The edits, by route and rhythm.
    pub groups: Vec<Group>,
    /// The studies that were made for it.
    pub studies: Vec<Study>,
    /// How many workloads are other shards'.
    pub elsewhere: usize,
    /// What could not be seen, and what is odd about what deploys the overlays.
    pub notices: Vec<String>,
    /// Why the gate's policies could not be evaluated: everything is held then.
    gate_failed: Option<GateError>,
    /// The commit that it was made on.
    base: CommitId,
    /// What reached the tracked branch, as GitHub and Git have it.
    written: Vec<Written>,
    /// What people declined by deleting a branch.
    declined: Declined,
    /// The pull requests of each rhythm's branch, or why they are not known.
    pulls: anyhow::Result<BTreeMap<Rhythm, Vec<Pull>>>,
}

/// Reads everything, decides, edits in memory and proves. Writes nothing.
pub async fn plan(world: &World, now: DateTime<Utc>) -> anyhow::Result<Planned> {
    learning(world, now, |_| ()).await
}

/// As [`plan`]; what was learned anew on the way goes to `keep`.
async fn learning(world: &World, now: DateTime<Utc>, keep: impl Fn(&Learned) + Sync) -> anyhow::Result<Planned> {
    let base = blocking(|| world.repository.fetch())?;
    let tree = blocking(|| world.repository.tree(base))?;
    let past = world.store.records(now, TimeDelta::days(8)).await?;

    let (sources, hash) = ((&world.source, world.cluster.as_ref()), base.to_string());
    let url = world.config.repository()?.url.to_string();
    let committed = |commit: &str| {
        let commit = world.repository.commit_of(commit.parse().ok()?).ok()?;
        Some((commit.at, commit.parents.first().map(ToString::to_string)))
    };
    let build_options = &world.config.render.build_options;
    let tracked = Tracked { repository: &url, branch: world.repository.branch(), base: &hash, build_options, committed: &committed };
    let mut snapshot =
        collect::snapshot(sources, &world.config.metrics, (&tree, tracked), (&world.config.overlays.0, world.config.shard), past, now)
            .await?;
    tracing::info!(%base, workloads = snapshot.workloads.len(), amiss = snapshot.amiss.len(), "read Git and metrics");
    let patience = world.config.patience();
    let pulls = world.pulls(now - patience.span).await;
    let studies = studies::attach(world, &mut snapshot).await?;
    let runtime = Handle::current();
    let mut plan = blocking(|| {
        let recall = |name: &str| runtime.block_on(world.store.learned(name));
        let outlook = forecast::all(&snapshot, world.config.forecast(), recall, keep);
        decide::plan(&snapshot, outlook, &world.config.decide())
    });

    for rhythm in [Rhythm::Floor, Rhythm::Template] {
        // A branch whose pull request was closed stands for nothing.
        let open =
            |pulls: &BTreeMap<_, Vec<Pull>>| pulls.get(&rhythm).is_some_and(|pulls| pulls.iter().any(|pull| pull.state == State::Open));
        let is_closed = world.forge.is_some() && pulls.as_ref().is_ok_and(|pulls| !open(pulls));
        let Some(standing) = proposed::standing(rhythm, &world.repository)?.filter(|_| !is_closed) else { continue };
        proposed::rest(&mut plan, &standing, patience.band, |plan, change| snapshot.most(plan, change));
        let kept = proposed::kept(&plan, &standing, |change| {
            // What is taken back goes by pull request whatever the route.
            let is_inverse = standing.changes.iter().any(|one| one.is_inverse() && one.is_of(change));
            // What its policy has by commit the gate may have sent here.
            is_inverse || snapshot.of(change).is_none_or(|workload| workload.policy.route(rhythm) != Route::Observe)
        });
        plan.changes.extend(overlay::still_as_planned(kept.into_iter(), &tree).0);
    }
    let committed = |commit: &str| proposed::committed(&world.repository, commit);
    let declined = pulls.iter().flatten().flat_map(|(rhythm, pulls)| proposed::vetoes(pulls, *rhythm, committed));
    let mut vetoes: Vec<_> = declined.collect();
    let declined = Declined::look(world, &tree, now).await?;
    vetoes.extend_from_slice(&declined.vetoes);
    let all: Vec<Pull> = pulls.iter().flatten().flat_map(|(_, pulls)| pulls.clone()).collect();
    let tracked: Vec<Pull> = all.into_iter().filter(|pull| pull.base.name == world.repository.branch()).collect();
    let still = |at: CommitId, changes: Vec<Change>| Ok(overlay::still_as_planned(changes.into_iter(), &world.repository.tree(at)?).0);
    let kept = world.store.written().await?;
    let unwell = snapshot.workloads.iter().any(|workload| workload.deploys.iter().any(|deploys| deploys.degraded_by().is_some()));
    let undone = Undone::look((&plan, unwell), &kept, &tracked, &world.config.commit.email, patience, &world.repository, still)?;
    vetoes.extend(undone.vetoes);
    vetoes.extend(decide::take_back(
        &mut plan,
        &snapshot,
        &world.config.decide(),
        Written::last(kept.iter().chain(&undone.written)).into_values(),
    ));
    decide::hold(&mut plan, &vetoes, patience);
    let gated = gate::route(&mut plan, world.gate.as_ref(), &snapshot, world.config.pull_request.prices.as_ref());
    tracing::info!(changes = plan.changes.len(), held = plan.held.len(), "decided");

    let committed = snapshot.workloads.iter().filter(|workload| workload.policy.route(Rhythm::Floor) == Route::Commit);
    let committed: BTreeSet<RepoPath> = committed.map(|workload| workload.overlay.clone()).collect();
    let committed: Vec<RepoPath> = committed.into_iter().collect();
    let mut groups = Vec::new();
    for (route, rhythm) in Group::KINDS {
        let changes: Vec<Change> = plan.changes.iter().filter(|c| (c.route, c.field.rhythm()) == (route, rhythm)).cloned().collect();
        // What Prescale wrote and no longer applies is mended by its most frequent commits.
        let mend = if (route, rhythm) == (Route::Commit, Rhythm::Floor) && !world.config.paused { &committed[..] } else { &[] };
        let proven = world.edit(&changes, mend, &tree, base).await?;
        plan.held.extend(proven.held.iter().cloned());
        groups.push(Group { route, rhythm, proven });
    }
    Ok(Planned {
        plan,
        groups,
        studies,
        elsewhere: snapshot.elsewhere,
        notices: snapshot.notices,
        gate_failed: gated.err(),
        base,
        declined,
        written: undone.written,
        pulls,
    })
}

/// What a run came to. A failure after the plan does not hide what was written before it.
pub struct Ran {
    /// What was planned.
    pub planned: Planned,
    /// What reached Git.
    pub published: Vec<Published>,
    /// What then failed: a push, or the records.
    pub failure: Option<anyhow::Error>,
}

/// As [`plan`]; then commits and pushes each group that travels by commit, brings the pull requests up to date, and records what was decided.
pub async fn run(world: &World, now: DateTime<Utc>) -> anyhow::Result<Ran> {
    let runtime = Handle::current();
    let unkept = OnceLock::new();
    let keep = |learned: &Learned| {
        if let Err(error) = runtime.block_on(world.store.keep_learned(learned)) {
            let _ = unkept.set(error); // the first one is told
        }
    };
    // Two CronJobs are safe together, and each alone looks well. Where their runs overlap, only the next ones see it.
    let every = world.config.decide().every;
    let runs = [world.store.runs(now, every * 3 / 2).await?, vec![now]].concat();
    if let Some(close) = runs.windows(2).find(|pair| pair[1] - pair[0] < every / 2) {
        let (seconds, at) = ((close[1] - close[0]).num_seconds(), close[1].to_rfc3339());
        tracing::warn!(
            "two runs on this state decided {seconds} s apart, at {at}: was one by hand, or a try again, or is there a second CronJob?"
        );
    }
    let planned = learning(world, now, keep).await?;
    if let Some(error) = unkept.get() {
        tracing::warn!(error = format!("{error:#}"), "what was learned is not kept: the next run will take longer");
    }
    let mut published = Vec::new();
    let delivered = match planned.declined.keep(world, now, world.config.patience()).await {
        Ok(()) => deliver_all(world, &planned, &mut published).await,
        Err(error) => Err(error),
    };
    let written = published.iter().filter_map(|done: &Published| Some((done, done.commit?.to_string())));
    let written = written.flat_map(|(done, commit)| done.group.proven.changes().map(move |(sited, _)| (sited, commit.clone())));
    let recorded = world.store.put(now, &Record::of_run(&planned.plan, written)).await;
    let mut values = planned.written.clone();
    values
        .extend(published.iter().filter(|done| done.group.route == Route::Commit).flat_map(|done| undone::published(done, &planned.plan)));
    let kept = world.store.keep_written(&values).await.and(world.store.keep(&planned.studies, now).await);
    world.store.forget_learned(now).await;
    Ok(Ran { failure: delivered.and(recorded).and(kept).err(), planned, published })
}

/// Delivers one group after the other, each on what the one before left.
async fn deliver_all(world: &World, planned: &Planned, published: &mut Vec<Published>) -> anyhow::Result<()> {
    if let Some(error) = &planned.gate_failed {
        // What stands proposed stays as well: nobody says that it is unwanted.
        return Err(anyhow!("nothing is written, since {error}"));
    }
    let mut base = planned.base;
    // What fails for one group is no reason to leave the others.
    let mut outcome = Ok(());
    for group in planned.groups.iter().filter(|group| group.route == Route::Commit) {
        match commit(world, planned, group, base).await {
            Ok(done) => {
                base = done.commit.unwrap_or(done.base);
                published.push(done);
            }
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    if world.config.paused {
        return outcome; // what stands stays as it is
    }
    let owners = blocking(|| world.owners(base))?;
    let mut by_pull: Vec<&Group> = planned.groups.iter().filter(|group| group.route == Route::PullRequest).collect();
    // What matters most comes first: GitHub's rate limits may leave the rest to the next run.
    by_pull.sort_by(|a, b| b.risk_removed().total_cmp(&a.risk_removed()));
    for group in by_pull {
        match propose(world, planned, group, base, &owners).await {
            Ok(done) => published.push(done),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    outcome
}

/// Commits a group to the tracked branch.
async fn commit(world: &World, planned: &Planned, group: &Group, base: CommitId) -> anyhow::Result<Published> {
    let group = world.on(group, planned, base).await?;
    let rebuild = async |group: &Group, base| world.rebuild(group, base).await;
    deliver::publish(group, base, &planned.plan, &world.config.commit, &world.repository, rebuild).await
}

/// Brings a group's pull request up to date, or its branch and report.
async fn propose(world: &World, planned: &Planned, group: &Group, base: CommitId, owners: &Owners) -> anyhow::Result<Published> {
    let desk = Desk {
        plan: &planned.plan,
        settings: &world.config.commit,
        look: &world.config.pull_request,
        repository: &world.repository,
        forge: world.forge.as_ref(),
        store: &world.store,
        patience: world.config.patience(),
        owners,
        overlays: &world.config.overlays.0,
    };
    let group = world.on(group, planned, base).await?;
    let pulls = match &planned.pulls {
        Ok(pulls) => Ok(pulls.get(&group.rhythm).map_or(&[][..], Vec::as_slice)),
        Err(error) => Err(again(error)),
    };
    let mut done = pull::propose(group, base, pulls, desk, async |group, base| world.rebuild(group, base).await).await?;
    if let Some(standing) = done.standing.as_mut().filter(|standing| !matches!(standing.did, Did::Stayed(_))) {
        let place = world.store.put_report(&standing.branch, standing.report.as_deref()).await?;
        standing.url = standing.url.take().or(place);
    }
    Ok(done)
}

/// How Git is reached: with the forge's own token where nothing else is given for the same host.
pub(crate) async fn lent(settings: &git::Settings, forge: Option<&Github>) -> Result<git::Settings, GithubError> {
    let mut settings = settings.clone();
    if let Some(forge) = forge
        && forge.host().is_some_and(|host| settings.takes_token_of(&host))
    {
        settings.password = Some(forge.token().await?);
    }
    Ok(settings)
}

impl World {
    /// Connects to what the configuration names.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let settings = config.repository()?;
        let source = Source::open(&config.metrics).map_err(|error| ConfigError(error.to_string()))?;
        let store = config.store()?;
        let forge = match config.github()? {
            Some((settings, slug)) => Some(Github::open(settings, slug, store.whole()).map_err(|error| ConfigError(error.to_string()))?),
            None => None,
        };
        let settings = lent(settings, forge.as_ref()).await?;
        let repository = blocking(|| Repository::open(&settings, &config.cache()))?;
        let kustomize = Kustomize::find(&config.render).await.map_err(|error| ConfigError(error.to_string()))?;
        let cluster = Cluster::connect(&config.cluster).await.map_err(|error| ConfigError(error.to_string()))?;
        let gate = config.gate();
        Ok(Self { config, repository, forge, source, cluster, kustomize, store, gate })
    }

    /// The config repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// What GitHub holds for our branches that moved since, and more; nothing without it.
    async fn pulls(&self, since: DateTime<Utc>) -> anyhow::Result<BTreeMap<Rhythm, Vec<Pull>>> {
        let mut all = BTreeMap::new();
        if let Some(forge) = &self.forge {
            for rhythm in [Rhythm::Floor, Rhythm::Template] {
                let branch = pull::branch(&self.repository, rhythm);
                all.insert(rhythm, forge.pulls(&branch, Some(since)).await?);
            }
        }
        Ok(all)
    }

    /// Who reviews which file.
    fn owners(&self, at: CommitId) -> anyhow::Result<Owners> {
        for path in PLACES.iter().filter_map(|path| RepoPath::parse(path)) {
            if let Some((_, bytes)) = self.repository.file(at, &path)? {
                return Ok(Owners::parse(&String::from_utf8_lossy(&bytes)));
            }
        }
        Ok(Owners::default())
    }

    /// A planned group as it is on another commit.
    async fn on(&self, group: &Group, planned: &Planned, base: CommitId) -> anyhow::Result<Group> {
        let mut group = group.clone();
        if base != planned.base {
            group.proven = self.rebuild(&group, base).await?;
        }
        Ok(group)
    }

    /// The group's changes, edited and proven anew on another commit. A value that someone else set meanwhile is theirs.
    async fn rebuild(&self, group: &Group, base: CommitId) -> anyhow::Result<Proven> {
        let tree = blocking(|| self.repository.tree(base))?;
        let changes: Vec<Change> = group.proven.changes().map(|(sited, _)| sited.change.clone()).collect();
        let (still, mut held) = overlay::still_as_planned(changes.iter().cloned(), &tree);
        let gone: Vec<Change> = changes.into_iter().filter(|change| !still.contains(change)).collect();
        let (still, stranded) = leave_stranded(still, &gone, &held);
        held.extend(stranded);
        let mend = group.proven.overlays.iter().filter(|overlay| overlay.edit.mend.is_some()).map(|overlay| overlay.edit.overlay.clone());
        let mut proven = self.edit(&still, &mend.collect::<Vec<_>>(), &tree, base).await?;
        proven.held.append(&mut held);
        Ok(proven)
    }

    /// Edits a commit's tree in memory and proves the edits, and leaves the floors that cannot stand without what was refused.
    async fn edit(&self, changes: &[Change], mend: &[RepoPath], tree: &Tree, base: CommitId) -> anyhow::Result<Proven> {
        let proven = self.edit_each(changes, mend, tree, base).await?;
        let is_gone = |change: &Change| proven.held.iter().any(|held| held.is_of(change));
        let (gone, done): (Vec<Change>, Vec<Change>) = changes.iter().cloned().partition(is_gone);
        let (stand, stranded) = leave_stranded(done, &gone, &proven.held);
        if stranded.is_empty() {
            return Ok(proven);
        }
        let mut held = proven.held;
        held.extend(stranded);
        let again = self.edit_each(&stand, mend, tree, base).await?;
        held.extend(again.held);
        Ok(Proven { overlays: again.overlays, held })
    }

    /// Edits a commit's tree in memory and proves the edits. Where an overlay's proof fails, its changes are tried one by one, so that one
    /// that deviates does not hold the others.
    async fn edit_each(&self, changes: &[Change], mend: &[RepoPath], tree: &Tree, base: CommitId) -> anyhow::Result<Proven> {
        let mut proven = self.edit_at_once(changes, mend, tree, base).await?;
        let failed = |held: &&Held| matches!(&held.why, HoldReason::Refused(refusal) if refusal.code == RefusalCode::ProofFailed);
        let suspects: Vec<Change> =
            changes.iter().filter(|change| proven.held.iter().filter(failed).any(|held| held.is_of(change))).cloned().collect();
        let mut good = Vec::new();
        for change in suspects.iter().filter(|change| suspects.iter().filter(|other| other.overlay == change.overlay).count() > 1) {
            let alone = self.edit_at_once(std::slice::from_ref(change), &[], tree, base).await?;
            proven.held.retain(|held| !held.is_of(change));
            if alone.held.is_empty() {
                good.push(change.clone());
            }
            proven.held.extend(alone.held);
        }
        if !good.is_empty() {
            let last = self.edit_at_once(&good, &[], tree, base).await?;
            proven.overlays.extend(last.overlays);
            proven.overlays.sort_by(|a, b| a.edit.overlay.cmp(&b.edit.overlay));
            proven.held.extend(last.held);
        }
        Ok(proven)
    }

    async fn edit_at_once(&self, changes: &[Change], mend: &[RepoPath], tree: &Tree, base: CommitId) -> anyhow::Result<Proven> {
        let scope = overlay::Scope { allowed: self.config.overlays.0.clone() };
        let mut edited = overlay::edit(changes, tree, &scope);
        let rest: Vec<RepoPath> =
            mend.iter().filter(|overlay| edited.overlays.iter().all(|edit| edit.overlay != **overlay)).cloned().collect();
        for mended in overlay::mend(&rest, tree, &scope) {
            match mended {
                Ok(edit) => edited.overlays.push(edit),
                Err(refusal) => tracing::warn!(%refusal, "Prescale's component does not apply, and cannot be written anew"),
            }
        }
        edited.overlays.sort_by(|a, b| a.overlay.cmp(&b.overlay));
        prove::render(edited, &self.repository, base, self.kustomize.as_ref()).await
    }
}

/// The changes without the floors that cannot stand without what is gone; those are held for the same reason.
fn leave_stranded(mut changes: Vec<Change>, gone: &[Change], held: &[Held]) -> (Vec<Change>, Vec<Held>) {
    let floors = stranded(&mut changes, gone);
    let why = |floor: &Change| {
        let of = gone.iter().filter(|gone| gone.object == floor.object && gone.overlay == floor.overlay);
        of.filter_map(|gone| held.iter().find(|held| held.is_of(gone))).map(|held| held.why.clone()).next()
    };
    let left = |floor: Change| {
        let why = why(&floor)?;
        Some(Held { workload: floor.workload, overlay: floor.overlay, field: Some(floor.field), wanted: Some(floor.to), why })
    };
    let floors = floors.into_iter().filter_map(left).collect();
    (changes, floors)
}

/// An error that has been told to more than one.
fn again(error: &anyhow::Error) -> anyhow::Error {
    error.downcast_ref::<GithubError>().map_or_else(|| anyhow!("{error:#}"), |error| error.clone().into())
}

/// libgit2 blocks: other tasks move off this thread meanwhile.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}
