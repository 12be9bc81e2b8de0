//! A branch of a Git repository: read it, build a commit on it, and push that commit only where nobody else was quicker.
//!
//! There is no checkout: trees are read from and written to the object database of a bare repository, which is a cache and
//! may be deleted at any time. Its configuration names no remote, so that no address and no credential is written to disk.
//! All of it blocks; callers on an async runtime wrap it in `spawn_blocking`.

mod address;
mod cache;
mod error;
mod local;
mod objects;
mod settings;
mod transport;
mod trust;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use self::address::Transport;
pub use self::address::{Address, AddressError};
use self::cache::Cache;
pub use self::error::GitError;
pub use self::objects::Edits;
use self::objects::Fault;
pub use self::settings::{Identity, Settings};
use self::transport::{Ended, Pulse, Sent};
use crate::model::{RepoPath, Tree};

/// How often a push that the server rejected without a rule, say because another writer held its lock, is sent.
const TRIES: u32 = 5;

/// The id of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(git2::Oid);

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl FromStr for CommitId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match git2::Oid::from_str(text) {
            Ok(id) if text.len() == 40 => Ok(Self(id)),
            _ => Err(format!("`{text}` is not the id of a commit: it has 40 hexadecimal digits")),
        }
    }
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a push may be lost or refused"]
pub enum Pushed {
    /// The branch holds our commit.
    Done,
    /// Someone else moved the branch first. Our commit is not on it: rebuild it on `now`, which has been fetched.
    Lost {
        /// Where the branch is; `None` when it was deleted.
        now: Option<CommitId>,
    },
    /// The server's rules or permissions say no. Trying again will not help.
    Refused {
        /// What the server said.
        why: String,
    },
}

/// A branch of a repository, with a cache that this process alone uses.
#[derive(Debug)]
pub struct Repository {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    cache: Cache,
}

impl Repository {
    /// Takes a part of the cache folder for this repository; several repositories may share the folder. Nothing is fetched yet.
    pub fn open(settings: &Settings, cache: &Path) -> Result<Self, GitError> {
        let cache = Cache::open(cache, settings)?;
        Ok(Self { inner: Arc::new(Inner { settings: settings.clone(), cache }) })
    }

    /// Fetches the branch and returns its tip.
    pub fn fetch(&self) -> Result<CommitId, GitError> {
        self.fetch_depth(self.inner.settings.depth)
    }

    /// The files of a commit. YAML, JSON and kustomizations under four mebibytes are read; links and submodules are marked.
    pub fn tree(&self, at: CommitId) -> Result<Tree, GitError> {
        self.inner.read(|repo| objects::tree(repo, at))
    }

    /// Writes all regular files under these folders of a commit into `into`, for a render. Symbolic links are left out.
    pub fn export(&self, at: CommitId, folders: &BTreeSet<RepoPath>, into: &Path) -> Result<(), GitError> {
        self.inner.read(|repo| objects::export(repo, at, folders, into))
    }

    /// Builds a commit on `base`; `None` where the edits change nothing. Same arguments, same id. The branch does not move yet.
    pub fn commit(
        &self,
        base: CommitId,
        edits: &Edits,
        message: &str,
        author: &Identity,
        at: DateTime<Utc>,
    ) -> Result<Option<CommitId>, GitError> {
        self.inner.read(|repo| objects::commit(repo, base, edits, message, author, at))
    }

    /// A commit's message.
    pub fn message(&self, of: CommitId) -> Result<String, GitError> {
        self.inner.read(|repo| objects::message(repo, of))
    }

    /// What messages call the repository: its address.
    pub fn label(&self) -> &str {
        self.inner.settings.url.as_str()
    }

    /// What changed between two commits, as a unified diff for people.
    pub fn diff(&self, from: CommitId, to: CommitId) -> Result<String, GitError> {
        self.inner.read(|repo| objects::diff(repo, from, to))
    }

    /// Moves the branch from `base` to `commit`, a commit on top of it. Whether that worked is judged by reading the branch back.
    pub fn push(&self, commit: CommitId, base: CommitId) -> Result<Pushed, GitError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let sent = self.converse("push", move |inner, pulse| inner.send(commit, base, pulse))?;
            tracing::debug!(%commit, %base, ?sent, "pushed");
            let now = match self.fetch() {
                Ok(now) => Some(now),
                Err(GitError::NoBranch { .. } | GitError::Empty { .. }) => None,
                Err(error) => return Err(error),
            };
            match (now, sent) {
                (Some(now), _) if now == commit => return Ok(Pushed::Done),
                (Some(now), Sent::Accepted | Sent::Unknown(_)) if now != base && self.holds(commit, base)? => return Ok(Pushed::Done),
                (Some(now), Sent::Rejected { why, hook }) if now == base => {
                    if hook || tries == TRIES {
                        return Ok(Pushed::Refused { why });
                    }
                    std::thread::sleep(std::time::Duration::from_millis(50) * tries);
                }
                (Some(now), Sent::Unknown(error)) if now == base => return Err(error),
                (Some(now), Sent::Accepted) if now == base => {
                    let why = "it accepted a push, and the branch is where it was".to_owned();
                    return Err(GitError::Server { remote: self.inner.settings.url.to_string(), why });
                }
                (now, _) => return Ok(Pushed::Lost { now }),
            }
        }
    }

    /// Whether the branch's history holds `commit`, fetching as much of it as is needed to reach it or `base`.
    fn holds(&self, commit: CommitId, base: CommitId) -> Result<bool, GitError> {
        let deeper: &[u32] = if self.inner.settings.depth == 0 { &[0] } else { &[32, 1024, i32::MAX.unsigned_abs()] };
        for depth in deeper {
            let tip = self.fetch_depth(*depth)?;
            let within = |ancestor: CommitId| self.inner.read(|repo| Ok(tip == ancestor || repo.graph_descendant_of(tip.0, ancestor.0)?));
            if within(commit)? {
                return Ok(true);
            }
            if within(base)? {
                break;
            }
        }
        Ok(false)
    }

    fn fetch_depth(&self, depth: u32) -> Result<CommitId, GitError> {
        let attempt = || self.converse("fetch", move |inner, pulse| inner.receive(depth, pulse))?;
        match attempt() {
            // It has been emptied: the second attempt starts from nothing, and so does not fail for the same reason.
            Err(GitError::CacheDamaged { why, .. }) => {
                tracing::warn!(%why, "the Git cache was damaged: fetching anew");
                attempt().map_err(|error| match error {
                    GitError::CacheDamaged { why, .. } => GitError::Server { remote: self.inner.settings.url.to_string(), why },
                    error => error,
                })
            }
            outcome => outcome,
        }
    }

    fn converse<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Inner, &Pulse) -> T + Send + 'static,
    ) -> Result<T, GitError> {
        let (inner, after) = (Arc::clone(&self.inner), self.inner.settings.timeout);
        transport::bounded(after, move |pulse| job(&inner, pulse)).map_err(|ended| {
            let remote = self.inner.settings.url.to_string();
            match ended {
                Ended::Silent => GitError::Silent { remote, doing, after },
                Ended::Broken => GitError::Server { remote, why: "its answer could not be read".to_owned() },
            }
        })
    }
}

impl Inner {
    fn receive(&self, depth: u32, pulse: &Pulse) -> Result<CommitId, GitError> {
        let tip = self.cache.repository().and_then(|repo| transport::fetch(&self.settings, &repo, self.cache.path(), depth, pulse));
        match tip {
            Ok(tip) => self.read(|repo| objects::check(repo, tip)).map(|()| tip),
            Err(error @ GitError::CacheDamaged { .. }) => self.cache.clear().and(Err(error)),
            Err(error) => Err(error),
        }
    }

    fn send(&self, commit: CommitId, base: CommitId, pulse: &Pulse) -> Sent {
        let repo = match self.cache.repository() {
            Ok(repo) => repo,
            Err(error) => return Sent::Unknown(error),
        };
        let sent = match self.settings.url.transport() {
            Transport::Local(path) => local::push(&repo, &self.settings.url, path, &self.settings.branch, commit, base)
                .unwrap_or_else(|e| Sent::Unknown(GitError::network(&self.settings.url, self.cache.path(), &e))),
            _ => transport::push(&self.settings, &repo, self.cache.path(), commit, base, pulse),
        };
        match sent {
            Sent::Unknown(error @ GitError::CacheDamaged { .. }) => Sent::Unknown(self.cache.clear().err().unwrap_or(error)),
            sent => sent,
        }
    }

    /// Works on the cache; where the cache is at fault, empties it, so that the next fetch is sound.
    fn read<T>(&self, job: impl FnOnce(&git2::Repository) -> Result<T, Fault>) -> Result<T, GitError> {
        let fault = match self.cache.repository().map_err(Fault::Asked).and_then(|repo| job(&repo)) {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        let path = self.cache.path().to_owned();
        let error = match fault {
            Fault::Cache(e) if e.class() == git2::ErrorClass::Os => GitError::Cache { path, why: e.message().to_owned() },
            Fault::Cache(e) => GitError::CacheDamaged { path, why: e.message().to_owned() },
            Fault::Asked(error) => error,
        };
        if matches!(error, GitError::CacheDamaged { .. }) {
            self.cache.clear()?;
        }
        Err(error)
    }
}
