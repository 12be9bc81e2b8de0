//! What Argo CD deploys, from manifests in Git: Applications, AppProjects and ApplicationSets that are written out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize as _;
use serde_json::Value as Json;

use crate::model::argocd::{Application, ApplicationSet, Project, Seen, SyncWindow, Tracking, frozen, same_repository};
use crate::model::cluster::ArgoCd;
use crate::model::lead::{ENOUGH, Stage};
use crate::model::{Deploys, Place, RepoPath, Tree};
use crate::overlay;

/// When a commit was made, and on which one.
pub type Made = (DateTime<Utc>, Option<String>);

/// A sync that brought more commits than so many is not looked into.
const MOST_BROUGHT: usize = 8;
/// A sync that ended later after its commit, in seconds, was kept up by something else.
const LONGEST_SYNC: f64 = 3600.0;

/// What is tracked: an address, a branch, and the commit at its tip.
#[derive(Clone, Copy)]
pub struct Tracked<'a> {
    /// The repository, by whichever protocol.
    pub repository: &'a str,
    /// The branch.
    pub branch: &'a str,
    /// Its tip.
    pub base: &'a str,
    /// With which options its overlays are rendered.
    pub build_options: &'a [String],
    /// When a commit was made, and on which one; where it is at hand.
    pub committed: &'a (dyn Fn(&str) -> Option<Made> + Sync),
}

/// Lays what a commit says of Argo CD's objects under what the cluster says: a live one knows its own state. What its ApplicationSets would make is
/// told by them, unless the cluster tells what they made.
pub(super) fn beside(mut live: ArgoCd, tree: &Tree, tracked: Tracked<'_>) -> ArgoCd {
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<BTreeSet<String>>();
    let applications = names(live.applications.iter().map(|one| &one.name).collect());
    let projects = names(live.projects.iter().map(|one| &one.name).collect());
    let sets = names(live.sets.iter().map(|one| &one.name).collect());
    for (path, _) in tree.iter() {
        let Some(text) = tree.bytes(path).and_then(|bytes| std::str::from_utf8(bytes).ok()) else { continue };
        if !text.contains("argoproj.io/") || !["Application", "AppProject"].iter().any(|kind| text.contains(kind)) {
            continue;
        }
        for document in serde_yaml::Deserializer::from_str(text) {
            // A chart's template is no YAML; whatever is behind it cannot be told.
            let Ok(document) = Json::deserialize(document) else { break };
            let seen = || Seen::Git(Place { path: path.clone(), line: None });
            if let Some(one) = Application::read(&document, seen()) {
                if !applications.contains(&one.name) {
                    live.applications.push(one);
                }
            } else if let Some(one) = Project::read(&document) {
                if !projects.contains(&one.name) {
                    live.projects.push(one);
                }
            } else if let Some(one) = ApplicationSet::read(&document, seen())
                && !sets.contains(&one.name)
            {
                live.sets.push(one);
            }
        }
    }
    let folders: BTreeSet<RepoPath> = tree
        .iter()
        .flat_map(|(path, _)| std::iter::successors(Some(path.parent()), |folder| (*folder != RepoPath::root()).then(|| folder.parent())))
        .collect();
    let from_git = live.sets.iter().filter(|set| matches!(set.seen, Seen::Git(_)));
    let made: Vec<Application> = from_git
        .filter_map(|set| set.applications(tracked.repository, tracked.branch, &folders))
        .flatten()
        .filter(|one| live.applications.iter().all(|known| known.name != one.name))
        .collect();
    live.applications.extend(made);
    live
}

/// The Applications that deploy each folder of the tracked repository.
pub(super) fn deploys(argocd: &ArgoCd, tracked: Tracked<'_>, now: DateTime<Utc>) -> BTreeMap<RepoPath, Vec<Deploys>> {
    let mut all: BTreeMap<RepoPath, Vec<Deploys>> = BTreeMap::new();
    for application in &argocd.applications {
        let named = || argocd.projects.iter().filter(|project| project.name == application.project);
        let project = named().find(|project| project.namespace == application.namespace).or_else(|| named().next());
        let frozen = project.and_then(|project| frozen(project, application, now));
        let (brought, syncs) = (brought(application, tracked), syncs(application, tracked));
        let application = Arc::new(application.clone());
        let mut note = |folder: RepoPath, tracking| {
            let deploys = Deploys {
                application: application.clone(),
                tracking,
                frozen: frozen.clone(),
                brought: brought.clone(),
                syncs: syncs.clone(),
            };
            all.entry(folder).or_default().push(deploys);
        };
        let mut folders: Vec<RepoPath> = application.sources.iter().filter_map(|source| folder(source.path.as_deref())).collect();
        folders.sort();
        folders.dedup();
        for folder in folders {
            if let Some(tracking) = application.deploys(tracked.repository, tracked.branch, &folder) {
                note(folder, tracking);
            }
        }
        let hydrated = application.hydrated.as_ref();
        if let Some(hydrated) = hydrated.filter(|to| to.branch == tracked.branch && same_repository(&to.repo, tracked.repository))
            && let Some(written) = folder(Some(&hydrated.path))
        {
            note(written, Tracking::Hydrated { path: hydrated.path.clone() });
        }
    }
    all
}

/// The Applications that deploy each of these overlays by a folder of theirs that builds on it.
pub(super) fn through(
    deploys: &BTreeMap<RepoPath, Vec<Deploys>>,
    overlays: &BTreeSet<&RepoPath>,
    tree: &Tree,
) -> BTreeMap<RepoPath, Vec<Deploys>> {
    let mut all: BTreeMap<RepoPath, Vec<Deploys>> = BTreeMap::new();
    for (folder, deploys) in deploys.iter().filter(|(folder, _)| !overlays.contains(folder) && tree.is_folder(folder)) {
        for read in overlay::reads(tree, folder).iter().filter(|read| overlays.contains(read)) {
            all.entry(read.clone()).or_default().extend(deploys.iter().cloned());
        }
    }
    all
}

/// What people should know: Applications that deploy nothing, several that deploy one overlay, and sync windows that are never evaluated.
pub(super) fn notices(argocd: &ArgoCd, tree: &Tree, tracked: Tracked<'_>, deploys: &BTreeMap<RepoPath, Vec<Deploys>>) -> Vec<String> {
    let mut notices = Vec::new();
    for (folder, all) in deploys {
        for one in all.iter().filter(|one| one.tracking == Tracking::Tracked && !tree.is_folder(folder)) {
            notices.push(format!(
                "Argo CD's Application {} deploys `{folder}`, which the branch `{}` does not have: correct its path",
                one.name(),
                tracked.branch
            ));
        }
        let names: Vec<String> = all.iter().map(Deploys::name).collect();
        if names.len() > 1 && tree.is_folder(folder) {
            notices.push(format!(
                "{} Applications deploy `{folder}` ({}): a change reaches all of them, and waits for each",
                names.len(),
                names.join(", ")
            ));
        }
    }
    for set in argocd.sets.iter().filter(|set| set.sources.iter().any(|source| same_repository(&source.repo, tracked.repository))) {
        let made = argocd.applications.iter().filter(|application| application.owner.as_ref() == Some(&set.name)).count();
        if made == 0 && !argocd.applications.iter().any(|application| application.seen == Seen::Cluster) {
            notices.push(format!(
                "ApplicationSet {} makes Applications of this repository ({}), and Git alone does not tell which: their state holds nothing",
                set.name,
                set.generators.join(", ")
            ));
        }
    }
    if let Some(theirs) = argocd.build_options.as_ref().filter(|_| !deploys.is_empty()) {
        let (theirs, ours) = (words(theirs), words(&tracked.build_options.join(" ")));
        if theirs != ours {
            notices.push(format!(
                "Argo CD renders with {}, and the proof with {}: set `render.buildOptions` to the same, where the repository is trusted with it",
                told(&theirs),
                told(&ours)
            ));
        }
    }
    let synced = deploys.values().flatten().filter(|one| one.tracking == Tracking::Tracked && one.is_live());
    let unknown = synced.filter(|one| Stage::of(&one.syncs).is_none() && is_unknown(&one.application, tracked)).map(Deploys::name);
    if let Some(first) = unknown.collect::<BTreeSet<_>>().first() {
        notices.push(format!(
            "how long Argo CD takes from a commit to its sync is not measured for {first}: commits that it deployed are not at hand; raise \
             `repository.depth`"
        ));
    }
    for project in &argocd.projects {
        let errors = project.windows.iter().filter_map(SyncWindow::error);
        notices.extend(errors.map(|error| format!("AppProject {}: {error}", project.name)));
    }
    notices
}

/// Options as Kustomize takes them: a value may stand behind `=` or by itself, and their order does not matter.
fn words(options: &str) -> BTreeSet<String> {
    let mut options: Vec<String> = options.split(' ').filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect();
    for i in (1..options.len()).rev() {
        if !options[i].starts_with('-') && !options[i - 1].contains('=') {
            let value = options.remove(i);
            options[i - 1].push('=');
            options[i - 1].push_str(&value);
        }
    }
    options.into_iter().collect()
}

fn told(options: &BTreeSet<String>) -> String {
    if options.is_empty() {
        "no options".to_owned()
    } else {
        format!("`{}`", options.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
    }
}

/// The commits from what was deployed before to what was deployed last, the newest first; none where it is not known how they follow, or where they
/// are more than one looks at.
fn brought(application: &Application, tracked: Tracked<'_>) -> Vec<String> {
    let history = application.status.as_ref().map_or(&[][..], |status| &status.history);
    let Some([last]) = history.last().map(|deployed| &deployed.revisions[..]) else { return Vec::new() };
    // One that was synced again is still the same.
    let before = history.iter().rev().find(|deployed| deployed.revisions != [last.as_str()]);
    let Some([before]) = before.map(|deployed| &deployed.revisions[..]) else { return Vec::new() };
    let parent = |commit: &String| (tracked.committed)(commit).and_then(|(_, parent)| parent);
    let way: Vec<String> =
        std::iter::successors(Some(last.clone()), parent).take(MOST_BROUGHT + 1).take_while(|commit| commit != before).collect();
    let arrives = way.last().and_then(parent).as_ref() == Some(before);
    if arrives && way.len() <= MOST_BROUGHT { way } else { Vec::new() }
}

/// Whether commits that it deployed by itself are not at hand.
fn is_unknown(application: &Application, tracked: Tracked<'_>) -> bool {
    let history = application.status.iter().flat_map(|status| &status.history).filter(|deployed| deployed.automated);
    let missing = history.filter(|deployed| matches!(&deployed.revisions[..], [one] if (tracked.committed)(one).is_none()));
    missing.count() >= ENOUGH
}

/// How long after its commit each sync of late ended, in seconds, the oldest first: those that Argo CD began by itself, of one source, and of a
/// commit that is at hand. What took three times as long as most was kept up by something else, such as a sync window.
fn syncs(application: &Application, tracked: Tracked<'_>) -> Vec<f64> {
    let history = application.status.iter().flat_map(|status| &status.history).filter(|deployed| deployed.automated);
    let took = history.filter_map(|deployed| {
        let [commit] = &deployed.revisions[..] else { return None };
        let seconds = (deployed.deployed - (tracked.committed)(commit)?.0).num_seconds();
        (seconds >= 0).then_some(seconds as f64)
    });
    let mut took: Vec<f64> = took.collect();
    let mut sorted = took.clone();
    sorted.sort_by(f64::total_cmp);
    let usual = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    took.retain(|seconds| *seconds <= (3.0 * usual).min(LONGEST_SYNC));
    took
}

/// The folder that a source's path means.
fn folder(path: Option<&str>) -> Option<RepoPath> {
    RepoPath::root().join(path.unwrap_or("").trim_end_matches('/'))
}
