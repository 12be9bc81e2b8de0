//! Many writers on one branch, people among them: nothing is lost, and nothing is done twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use chrono::TimeDelta;
use prescale::clients::git::{CommitId, GitError, Repository, Settings};
use prescale::deliver;
use prescale::model::edit::Group;
use prescale::model::{Change, Field, ObjectRef, Plan, Proven, Reason, RepoPath, Rhythm, Route, Value, Window, WorkloadId, WorkloadKind};
use prescale::{overlay, prove};

use super::Via;
use crate::support::git::{Upstream, git, git_command};
use crate::support::git_http::GitHttp;
use crate::support::git_ssh::GitSsh;
use crate::support::is_full;
use crate::support::small::start;

/// Writers of ours, people, and the updates that each makes.
fn size() -> (usize, usize, u32) {
    if is_full() { (30, 2, 50) } else { (7, 1, 10) }
}

#[test]
fn over_http_nothing_is_lost() {
    let upstream = workloads();
    let via = Via::Http(GitHttp::start(upstream.root()));
    race("http", &upstream, &via.settings(&upstream));
}

#[test]
fn over_ssh_nothing_is_lost() {
    let upstream = workloads();
    let via = Via::Ssh(GitSsh::start());
    race("ssh", &upstream, &via.settings(&upstream));
}

/// A workload of its own for each writer.
fn workloads() -> Upstream {
    let upstream = Upstream::empty();
    let work = upstream.work();
    for writer in 0..size().0 {
        let folder = work.join(format!("overlays/w{writer}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("kustomization.yaml"), "resources: [web.yaml]\n").unwrap();
        std::fs::write(
            folder.join("web.yaml"),
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  replicas: 1\n",
        )
        .unwrap();
    }
    git(&work, &["add", "-A"]);
    git(&work, &["commit", "-qm", "Workloads"]);
    git(&work, &["push", "-q", "origin", "HEAD:main"]);
    upstream
}

fn race(over: &str, upstream: &Upstream, settings: &Settings) {
    let (writers, people, updates) = size();
    let tries = AtomicU32::new(0);
    thread::scope(|scope| {
        for writer in 0..writers {
            let tries = &tries;
            scope.spawn(move || tries.fetch_add(update_all(writer, updates, settings), Ordering::Relaxed));
        }
        for person in 0..people {
            scope.spawn(move || commit_all(&upstream.bare(), person, updates));
        }
    });
    upstream.check();
    // Every update is there once, and so is every commit of a person.
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    upstream.log().into_iter().for_each(|subject| *seen.entry(subject).or_default() += 1);
    for writer in 0..writers {
        let file = git(&upstream.bare(), &["show", &format!("main:overlays/w{writer}/web.yaml")]);
        assert!(file.ends_with(&format!("replicas: {}", updates + 1)), "{over}, writer {writer}: {file}");
    }
    for person in 0..people {
        let file = git(&upstream.bare(), &["show", &format!("main:people/{person}.txt")]);
        assert_eq!(file.lines().count() as u32, updates, "{over}, person {person}");
    }
    for update in 1..=updates {
        let subject = format!("Set web replicas from {update} to {}", update + 1);
        assert_eq!(seen.remove(&subject), Some(writers as u32), "{over}: {subject}");
        for person in 0..people {
            assert_eq!(seen.remove(&format!("Person {person}, {update}")), Some(1), "{over}");
        }
    }
    assert_eq!(seen, BTreeMap::from([("Workloads".to_owned(), 1)]), "{over}");
    let each = f64::from(tries.into_inner()) / (writers as f64 * f64::from(updates));
    eprintln!("{over}: {writers} writers and {people} people, {updates} updates each: {each:.1} tries an update");
}

/// One of ours: sets its workload to one replica more, again and again; how often it tried to push.
fn update_all(writer: usize, updates: u32, settings: &Settings) -> u32 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let mut tries = 0;
    for update in 1..=updates {
        let at = start() + TimeDelta::minutes(i64::from(update));
        let window = Window::of_decision(at, TimeDelta::minutes(6), TimeDelta::minutes(10));
        let plan = Plan { at, window, outlooks: vec![], changes: vec![], held: vec![] };
        // A run that lost too often leaves it to the next one, which opens its cache anew.
        let published = (0..100).find_map(|_| {
            let repository = opened(settings, cache.path());
            let rebuild = async |group: &Group, base: CommitId| {
                let changes = group.proven.changes().map(|(sited, _)| sited.change.clone()).collect::<Vec<_>>();
                edited(&changes, &repository, base).await
            };
            runtime.block_on(async {
                let base = tokio::task::block_in_place(|| repository.fetch()).unwrap();
                let proven = edited(&[change(writer, update)], &repository, base).await.unwrap();
                let group = Group { route: Route::Commit, rhythm: Rhythm::Floor, proven };
                let outcome = deliver::publish(group, base, &plan, &deliver::Settings::default(), &repository, &rebuild).await;
                tries += outcome.as_ref().map_or(8, |published| published.tries);
                outcome.ok()
            })
        });
        assert!(published.expect("a hundred runs are enough").commit.is_some(), "writer {writer}, update {update}");
    }
    tries
}

/// Opens the cache that the last run closed. A child that another thread has just forked holds its lock until it has become another program.
fn opened(settings: &Settings, cache: &Path) -> Repository {
    loop {
        match Repository::open(settings, cache) {
            Err(GitError::CacheBusy { .. }) => thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

fn change(writer: usize, update: u32) -> Change {
    let id = WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name: "web".into() };
    Change {
        object: ObjectRef { group: "apps".into(), kind: "Deployment".into(), namespace: "shop".into(), name: "web".into() },
        workload: id,
        overlay: RepoPath::parse(&format!("overlays/w{writer}")).unwrap(),
        field: Field::Replicas,
        from: Some(Value::Count(update)),
        to: Value::Count(update + 1),
        reasons: vec![Reason::Kept { input: None }],
        route: Route::Commit,
    }
}

async fn edited(changes: &[Change], repository: &Repository, base: CommitId) -> anyhow::Result<Proven> {
    let tree = tokio::task::block_in_place(|| repository.tree(base))?;
    let (still, held) = overlay::still_as_planned(changes.iter().cloned(), &tree);
    assert!(held.is_empty(), "{held:?}");
    let scope = overlay::Scope { allowed: vec![RepoPath::root()] };
    prove::render(overlay::edit(&still, &tree, &scope), repository, base, None).await
}

/// A person: adds a line to a file of theirs, again and again, until it is on the branch.
fn commit_all(bare: &Path, person: usize, updates: u32) {
    let work = tempfile::tempdir().unwrap();
    git(work.path(), &["clone", "-q", bare.to_str().unwrap(), "."]);
    std::fs::create_dir(work.path().join("people")).unwrap();
    for update in 1..=updates {
        let file = work.path().join(format!("people/{person}.txt"));
        let before = std::fs::read_to_string(&file).unwrap_or_default();
        std::fs::write(&file, format!("{before}{update}\n")).unwrap();
        git(work.path(), &["add", "-A"]);
        git(work.path(), &["commit", "-qm", &format!("Person {person}, {update}")]);
        while !git_command(work.path()).args(["push", "-q", "origin", "HEAD:main"]).output().unwrap().status.success() {
            git(work.path(), &["pull", "-q", "--rebase", "origin", "main"]);
        }
    }
}
