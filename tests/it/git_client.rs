//! The Git client against Git itself: over http, over ssh and in a folder.

mod branches;
mod cache;
mod content;
mod refusals;
mod trust;
mod writers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use prescale::clients::git::{Address, CommitId, Edits, GitError, Identity, Pushed, Repository, Settings};
use prescale::clients::secret::Secret;
use prescale::model::{Entry, FileMode, RepoPath};
use tempfile::TempDir;

use crate::support::git::{Upstream, commit_by_someone_else, git, git_command};
use crate::support::git_http::{Fault, GitHttp, PASSWORD, USER};
use crate::support::git_ssh::{GitSsh, keygen};

/// A way to reach a repository, and what keeps it alive.
#[derive(Debug)]
enum Via {
    Http(GitHttp),
    Ssh(GitSsh),
    File,
}

impl Via {
    fn all(upstream: &Upstream) -> [Self; 3] {
        [Self::Http(GitHttp::start(upstream.root())), Self::Ssh(GitSsh::start()), Self::File]
    }

    fn settings(&self, upstream: &Upstream) -> Settings {
        let mut settings = match self {
            Self::Http(server) => http_settings(server),
            Self::Ssh(server) => ssh_settings(server, upstream),
            Self::File => Settings::new(Address::parse(&format!("file://{}", upstream.bare().display())).unwrap()),
        };
        settings.timeout = Duration::from_secs(20);
        settings
    }
}

fn http_settings(server: &GitHttp) -> Settings {
    let mut settings = Settings::new(Address::parse(&server.url()).unwrap());
    settings.username = Some(USER.to_owned());
    settings.password = Some(Secret::new(PASSWORD));
    settings.proxy = Some(Secret::new(""));
    settings
}

fn ssh_settings(server: &GitSsh, upstream: &Upstream) -> Settings {
    let mut settings = Settings::new(Address::parse(&server.url(&upstream.bare())).unwrap());
    settings.ssh_key_file = Some(server.path("user_key"));
    settings.known_hosts_file = Some(server.path("known_hosts"));
    settings
}

/// A repository with a cache of its own.
fn open(settings: &Settings) -> (Repository, TempDir) {
    let cache = tempfile::tempdir().unwrap();
    (Repository::open(settings, cache.path()).unwrap(), cache)
}

fn path(text: &str) -> RepoPath {
    RepoPath::parse(text).unwrap()
}

fn writes(files: &[(&str, &str)]) -> Edits {
    files.iter().map(|(name, text)| (path(name), (FileMode::Plain, Some(text.as_bytes().to_vec())))).collect()
}

fn author() -> Identity {
    Identity { name: "Prescale".to_owned(), email: "prescale@example.com".to_owned() }
}

fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn commit(repository: &Repository, base: CommitId, edits: &Edits, message: &str) -> Option<CommitId> {
    repository.commit(base, edits, message, &author(), noon()).unwrap()
}

/// Fetches, commits one file named after the message, and pushes, again and again until it is on the branch.
fn land(repository: &Repository, name: &str) -> u32 {
    let mut base = repository.fetch().unwrap();
    for tries in 1..=200 {
        let ours = commit(repository, base, &writes(&[(&format!("{name}.yaml"), name)]), &format!("Add {name}")).unwrap();
        match repository.push(ours, base).unwrap() {
            Pushed::Done => return tries,
            Pushed::Lost { now } => base = now.unwrap(),
            Pushed::Refused { why } => panic!("{why}"),
        }
    }
    panic!("{name} never landed");
}

#[test]
fn a_commit_makes_the_round_trip() {
    let upstream = Upstream::new();
    for via in Via::all(&upstream) {
        let settings = via.settings(&upstream);
        let (repository, cache) = open(&settings);
        let base = repository.fetch().unwrap();
        assert_eq!(base.to_string(), upstream.tip());
        assert_eq!(commit(&repository, base, &writes(&[("README.md", "file: 0\n")]), "Nothing"), None);

        let name = settings.url.as_str()[..4].trim_end_matches(':').to_owned();
        let file = format!("overlays/prod/mit Leerzeichen/größe-{name}.yaml");
        let ours =
            commit(&repository, base, &writes(&[(&file, "a: 1\r\n"), ("new/b.yaml", &name)]), "Raise the floor\n\nWhy: noon\n").unwrap();
        assert_eq!(repository.push(ours, base).unwrap(), Pushed::Done);
        assert_eq!(upstream.tip(), ours.to_string());
        assert_eq!(repository.fetch().unwrap(), ours);

        upstream.check();
        let upstream_git = upstream.bare();
        assert_eq!(git(&upstream_git, &["show", &format!("main:{file}")]), "a: 1\r");
        let told = git(&upstream_git, &["log", "-1", "--format=%an|%ae|%cn|%at|%B", "main"]);
        assert_eq!(told, "Prescale|prescale@example.com|Prescale|1772366400|Raise the floor\n\nWhy: noon");
        assert_eq!(git(&upstream_git, &["rev-parse", "main^"]), base.to_string());
        let changed = git(&upstream_git, &["-c", "core.quotePath=false", "diff", "--name-only", "main^", "main"]);
        assert_eq!(changed, format!("new/b.yaml\n{file}"));
        let diff = repository.diff(base, ours).unwrap();
        assert!(diff.contains("+++ b/new/b.yaml\n") && diff.contains("\n+a: 1\r\n"), "{diff}");
        assert!(!diff.contains("README"));

        // A cache that was used before is used again, and a new one comes to the same commit.
        drop(repository);
        let again = Repository::open(&settings, cache.path()).unwrap();
        assert_eq!(again.fetch().unwrap(), ours);
        let (other, _cache) = open(&settings);
        let tip = other.fetch().unwrap();
        let next = writes(&[("new/c.yaml", "c")]);
        assert_eq!(commit(&other, tip, &next, "C"), commit(&again, ours, &next, "C"));
    }
}

#[test]
fn two_writers_lose_nothing() {
    let upstream = Upstream::new();
    let tries = AtomicU32::new(0);
    for via in Via::all(&upstream) {
        let settings = via.settings(&upstream);
        let name = settings.url.as_str()[..4].trim_end_matches(':').to_owned();
        let before = upstream.log().len();
        std::thread::scope(|scope| {
            for writer in ["a", "b"] {
                let (settings, name, tries) = (&settings, &name, &tries);
                scope.spawn(move || {
                    let (repository, _cache) = open(settings);
                    for round in 0..10 {
                        tries.fetch_add(land(&repository, &format!("{name}-{writer}-{round}")), Ordering::Relaxed);
                    }
                });
            }
        });
        let log = upstream.log();
        assert_eq!(log.len(), before + 20, "{log:?}");
        assert_eq!(log.iter().collect::<BTreeSet<_>>().len(), log.len(), "{log:?}");
        upstream.check();
    }
}

#[test]
fn a_race_after_the_negotiation_is_lost_and_loses_nothing() {
    let upstream = Upstream::new();
    // The hook runs once everything has been sent and compared; then someone else is quicker.
    let race = "[ -e raced ] && exit 0; touch raced
        unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
        export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
        theirs=$(echo Theirs | git commit-tree main^{tree} -p main) && git update-ref refs/heads/main $theirs";
    for via in Via::all(&upstream) {
        let settings = via.settings(&upstream);
        let (repository, _cache) = open(&settings);
        let base = repository.fetch().unwrap();
        let ours = commit(&repository, base, &writes(&[("ours.yaml", &settings.url.to_string())]), "Ours").unwrap();
        let theirs: Option<CommitId> = if matches!(via, Via::File) {
            Some(upstream.commit_by_someone_else("theirs.yaml").parse().unwrap())
        } else {
            let _ = std::fs::remove_file(upstream.bare().join("raced"));
            upstream.hook("pre-receive", race);
            None
        };
        let Pushed::Lost { now: Some(now) } = repository.push(ours, base).unwrap() else { panic!("{via:?} won") };
        upstream.unhook("pre-receive");
        assert_eq!(now.to_string(), upstream.tip());
        assert!(theirs.is_none_or(|theirs| theirs == now));
        assert_eq!(git(&upstream.bare(), &["rev-parse", "main^"]), base.to_string(), "theirs is on the base, and ours is not there");
        let rebuilt = commit(&repository, now, &writes(&[("ours.yaml", &settings.url.to_string())]), "Ours").unwrap();
        assert_eq!(repository.push(rebuilt, now).unwrap(), Pushed::Done);
        assert_eq!(git(&upstream.bare(), &["rev-parse", "main^"]), now.to_string());
    }
    upstream.check();
}

#[test]
fn the_branch_is_read_back_whatever_the_server_said() {
    let upstream = Upstream::new();
    let server = GitHttp::start(upstream.root());
    let (repository, _cache) = open(&http_settings(&server));
    let mut base = repository.fetch().unwrap();
    let post = "/config.git/git-receive-pack";

    // It did its work, and the connection broke before it could say so.
    server.fault(post, Fault::DropAfter);
    let ours = commit(&repository, base, &writes(&[("a.yaml", "1")]), "A").unwrap();
    assert_eq!(repository.push(ours, base).unwrap(), Pushed::Done);
    base = ours;

    // The same, and someone else went on from there before we looked.
    server.fault(post, Fault::DropAfter);
    let upstream_git = upstream.bare();
    let after_us = move || (0..40).for_each(|n| drop(commit_by_someone_else(&upstream_git, &format!("theirs-{n}.yaml"))));
    server.fault_after(post, "service=git-upload-pack", Fault::First(Box::new(after_us)));
    let ours = commit(&repository, base, &writes(&[("a.yaml", "2")]), "A again").unwrap();
    assert_eq!(repository.push(ours, base).unwrap(), Pushed::Done);
    base = repository.fetch().unwrap();
    assert_eq!(base.to_string(), upstream.tip());

    // It broke before anything was done.
    server.fault(post, Fault::DropBefore);
    let ours = commit(&repository, base, &writes(&[("a.yaml", "3")]), "A once more").unwrap();
    let error = repository.push(ours, base).unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error}");
    assert_eq!(upstream.tip(), base.to_string());
    assert_eq!(repository.push(ours, base).unwrap(), Pushed::Done);

    // The branch is gone.
    git(&upstream.bare(), &["update-ref", "-d", "refs/heads/main"]);
    let next = commit(&repository, ours, &writes(&[("a.yaml", "4")]), "A no more").unwrap();
    assert_eq!(repository.push(next, ours).unwrap(), Pushed::Lost { now: None });
}
