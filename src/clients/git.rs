//! A branch of a Git repository: read it, build a commit on it, and push that commit only where nobody else was quicker.
//! Beside it, branches of our own under a prefix, which are made, moved and deleted under the same condition.
//!
//! There is no checkout: trees are read from and written to the object database of a bare repository, which is a cache and
//! may be deleted at any time. Its configuration names no remote, so that no address and no credential is written to disk.
//! All of it blocks; callers on an async runtime wrap it in `spawn_blocking`.

mod address;
mod cache;
mod commits;
mod error;
mod local;
mod objects;
mod settings;
mod transport;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use self::address::Transport;
pub use self::address::{Address, AddressError};
use self::cache::Cache;
pub use self::commits::Commit;
pub use self::error::GitError;
pub use self::objects::Edits;
use self::objects::Fault;
pub use self::settings::{Identity, Settings};
use self::transport::{Ended, Move, Pulse, Sent};
use crate::model::{FileMode, RepoPath, Tree};

/// How often a push that the server rejected without a rule, say because another writer held its lock, is sent.
const TRIES: u32 = 5;

/// Commits that are fetched at least where a look back needs more than are at hand.
const FIRST_LOOK_BACK: u32 = 32;

/// How often a fetch that failed for what may be chance is made.
const FETCH_TRIES: u32 = 3;

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
    /// The branch holds our commit, or is gone where it was to be deleted.
    Done,
    /// Someone else moved the branch. Our commit is not on it: rebuild it on `now`, which has been fetched.
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

/// A branch of a repository and those of our own beside it, with a cache that this process alone uses.
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
        settings.check()?;
        let cache = Cache::open(cache, settings)?;
        Ok(Self { inner: Arc::new(Inner { settings: settings.clone(), cache }) })
    }

    /// Fetches the branch and ours, forgets those of ours that are gone, and returns the branch's tip. Where nothing is new, the server
    /// is asked for no more than its list of branches.
    pub fn fetch(&self) -> Result<CommitId, GitError> {
        self.fetch_deeper(None)
    }

    /// Our branches, those under `branchPrefix`, by their full names, as they were last fetched.
    pub fn branches(&self) -> Result<BTreeMap<String, CommitId>, GitError> {
        self.inner.read(|repo| Ok(transport::ours(repo)?))
    }

    /// The branch's commits down to the last one that was made since a time, newest first and without what merges brought in, as the branch was
    /// last fetched. Where they are not at hand, the branch is fetched again, four times as deep each time; it may have moved on by then.
    pub fn history(&self, since: DateTime<Utc>) -> Result<Vec<Commit>, GitError> {
        let tip = || self.inner.read(|repo| Ok(transport::tracked(repo)));
        let mut depth = self.inner.settings.reach();
        loop {
            let tip = tip()?.map_or_else(|| self.fetch(), Ok)?;
            let walk = self.inner.read(|repo| commits::history(repo, tip, since))?;
            // Where there are fewer than were asked for, the server's own history is shallow.
            if walk.whole || depth == 0 || walk.seen < depth {
                return Ok(walk.since);
            }
            depth = walk.seen.saturating_mul(4).max(FIRST_LOOK_BACK);
            self.fetch_deeper(Some(depth))?;
        }
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

    /// What a commit says of itself.
    pub fn commit_of(&self, id: CommitId) -> Result<Commit, GitError> {
        self.inner.read(|repo| commits::read(repo, id))
    }

    /// A file of a commit, whatever its name and size; `None` where there is none, or a link, a submodule or a folder.
    pub fn file(&self, at: CommitId, path: &RepoPath) -> Result<Option<(FileMode, Vec<u8>)>, GitError> {
        self.inner.read(|repo| objects::file(repo, at, path))
    }

    /// Whether merging a commit that was made on `parent` into `base` gives just the files of `wanted`, without a conflict.
    pub fn merges_to(&self, commit: CommitId, parent: CommitId, base: CommitId, wanted: CommitId) -> Result<bool, GitError> {
        self.inner.read(|repo| objects::merges_to(repo, (parent, commit), base, wanted))
    }

    /// The branch that is read and written.
    pub fn branch(&self) -> &str {
        &self.inner.settings.branch
    }

    /// What the names of our own branches begin with.
    pub fn prefix(&self) -> &str {
        &self.inner.settings.branch_prefix
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
        self.swap(&Move { branch: self.inner.settings.branch.clone(), from: Some(base), to: Some(commit), forced: false })
    }

    /// Moves one of our branches from exactly `from` (`None`: there must be none) to `to` (`None`: deletes it), forward or not. Whether
    /// that worked is judged by reading the branch back: where someone else went on from ours at once, it is [`Pushed::Lost`] as well.
    pub fn move_branch(&self, name: &str, from: Option<CommitId>, to: Option<CommitId>) -> Result<Pushed, GitError> {
        let settings = &self.inner.settings;
        if !settings.is_ours(name) {
            return Err(GitError::NotOurs { branch: name.to_owned(), prefix: settings.branch_prefix.clone() });
        }
        self.swap(&Move { branch: name.to_owned(), from, to, forced: true })
    }

    fn swap(&self, wanted: &Move) -> Result<Pushed, GitError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let job = wanted.clone();
            let sent = self.converse("push", move |inner, pulse| inner.send(&job, pulse))?;
            tracing::debug!(?wanted, ?sent, "pushed");
            let now = self.read_back(&wanted.branch)?;
            let unmoved = now == wanted.from;
            match sent {
                _ if now == wanted.to => return Ok(Pushed::Done),
                Sent::Accepted | Sent::Unknown(_) if !unmoved && self.went_on(wanted, now)? => return Ok(Pushed::Done),
                Sent::Rejected { why, hook } if unmoved => {
                    if hook || tries == TRIES {
                        return Ok(Pushed::Refused { why });
                    }
                    std::thread::sleep(std::time::Duration::from_millis(50) * tries);
                }
                Sent::Unknown(error) if unmoved => return Err(error),
                Sent::Accepted if unmoved => {
                    let why = "it accepted a push, and the branch is where it was".to_owned();
                    return Err(GitError::Server { remote: self.inner.settings.url.to_string(), why });
                }
                _ => return Ok(Pushed::Lost { now }),
            }
        }
    }

    /// Where a branch is now.
    fn read_back(&self, branch: &str) -> Result<Option<CommitId>, GitError> {
        let tip = match self.fetch() {
            Ok(tip) => Some(tip),
            Err(GitError::NoBranch { .. } | GitError::Empty { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(if branch == self.inner.settings.branch { tip } else { self.branches()?.remove(branch) })
    }

    /// Whether the tracked branch's history holds the commit that it was to be moved to, fetching as much of it as is needed to reach
    /// that or where it was. A branch that is moved by force may hold it for another reason.
    fn went_on(&self, wanted: &Move, now: Option<CommitId>) -> Result<bool, GitError> {
        let (Some(_), Some(base), Some(commit), false) = (now, wanted.from, wanted.to, wanted.forced) else { return Ok(false) };
        let deeper: &[u32] = if self.inner.settings.reach() == 0 { &[0] } else { &[32, 1024, i32::MAX.unsigned_abs()] };
        for depth in deeper {
            let tip = self.fetch_deeper(Some(*depth))?;
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

    fn fetch_deeper(&self, deeper: Option<u32>) -> Result<CommitId, GitError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.converse("fetch", move |inner, pulse| inner.receive(deeper, pulse))? {
                // It has been emptied: the next attempt starts from nothing, and so does not fail for the same reason.
                Err(GitError::CacheDamaged { why, .. }) if tries < FETCH_TRIES => {
                    tracing::warn!(%why, "the Git cache was damaged: fetching anew");
                }
                // Over http, what was moved by force after the list of branches was told is not given any more.
                Err(GitError::Server { why, .. }) if tries < FETCH_TRIES => tracing::debug!(%why, "fetching again"),
                Err(GitError::CacheDamaged { why, .. }) => {
                    return Err(GitError::Server { remote: self.inner.settings.url.to_string(), why });
                }
                outcome => return outcome,
            }
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
    fn receive(&self, deeper: Option<u32>, pulse: &Pulse) -> Result<CommitId, GitError> {
        let tip = self.cache.repository().and_then(|repo| transport::fetch(&self.settings, &repo, self.cache.path(), deeper, pulse));
        match tip {
            Ok(tip) => self.read(|repo| objects::check(repo, tip)).map(|()| tip),
            Err(error @ GitError::CacheDamaged { .. }) => self.cache.clear().and(Err(error)),
            Err(error) => Err(error),
        }
    }

    fn send(&self, wanted: &Move, pulse: &Pulse) -> Sent {
        let repo = match self.cache.repository() {
            Ok(repo) => repo,
            Err(error) => return Sent::Unknown(error),
        };
        let sent = match self.settings.url.transport() {
            Transport::Local(path) => local::push(&repo, &self.settings.url, path, wanted)
                .unwrap_or_else(|e| Sent::Unknown(GitError::network(&self.settings.url, self.cache.path(), &e))),
            _ => transport::push(&self.settings, &repo, self.cache.path(), wanted, pulse),
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
