//! What can go wrong, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use git2::{ErrorClass, ErrorCode};

use super::{Address, CommitId};
use crate::model::RepoPath;

/// Why a repository could not be read or written. No variant ever holds a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// The host has no address, refuses connections or breaks them.
    #[error("cannot reach {remote}: {why}; check the host name and the port in the address, the network and the proxy")]
    Unreachable {
        /// The repository.
        remote: String,
        /// What the network said.
        why: String,
    },
    /// The server said nothing for too long. What it did with a push is only known by fetching again.
    #[error("{remote} was silent for {} while we wanted to {doing}: check the server, or raise `timeout`", humantime::format_duration(*.after))]
    Silent {
        /// The repository.
        remote: String,
        /// `fetch` or `push`.
        doing: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server's certificate is not trusted.
    #[error("the certificate of {remote} is not trusted: {why}; set `caFile` to the certificates that issued it")]
    Certificate {
        /// The repository.
        remote: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server's host key is not trusted.
    #[error("the host key of {host} is not trusted: it showed {fingerprint}, and {file} {problem}", file = file.display())]
    HostKey {
        /// The host as `known_hosts` writes it.
        host: String,
        /// The kind of key and its SHA-256 fingerprint.
        fingerprint: String,
        /// The file that was consulted.
        file: PathBuf,
        /// What the file says, and what to do.
        problem: String,
    },
    /// The server does not know us.
    #[error("{remote} did not accept who we are: {why}")]
    Authentication {
        /// The repository.
        remote: String,
        /// What was tried, and what to do.
        why: String,
    },
    /// The server knows us and does not let us.
    #[error("{remote} does not let us do this: {why}; give this user or token access to the repository")]
    Forbidden {
        /// The repository.
        remote: String,
        /// What the server said.
        why: String,
    },
    /// There is no such repository.
    #[error("there is no repository at {remote}: {why}; check the address, and that this user may see it")]
    NoRepository {
        /// The repository.
        remote: String,
        /// What the server said.
        why: String,
    },
    /// The repository has no commits.
    #[error("{remote} is empty: push a first commit to `{branch}`")]
    Empty {
        /// The repository.
        remote: String,
        /// The branch that was looked for.
        branch: String,
    },
    /// The repository has other branches only.
    #[error("{remote} has no branch `{branch}`; it has {}", listed(.branches))]
    NoBranch {
        /// The repository.
        remote: String,
        /// The branch that was looked for.
        branch: String,
        /// Those that exist, in order.
        branches: Vec<String>,
    },
    /// The server answered something else.
    #[error("{remote} answered unexpectedly: {why}; try again, and look into the server's log")]
    Server {
        /// The repository.
        remote: String,
        /// What was answered.
        why: String,
    },
    /// A setting, or a file of credentials or trust, cannot be used.
    #[error("{why}")]
    Settings {
        /// Which one, why, and what to do.
        why: String,
    },
    /// The cache folder cannot be written.
    #[error("cannot write the Git cache {path}: {why}; check that the disk has room and the folder may be written", path = path.display())]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The cache folder is used by another run.
    #[error("the Git cache {path} is in use by another run: wait for it, or give each run a folder of its own", path = path.display())]
    CacheBusy {
        /// The folder.
        path: PathBuf,
    },
    /// The cache folder was damaged, and has been emptied.
    #[error("the Git cache {path} was damaged and has been emptied ({why}): run again", path = path.display())]
    CacheDamaged {
        /// The folder.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// A branch that is not ours was to be moved by force or deleted.
    #[error("`{branch}` is not a branch of ours: only those under `{prefix}` (`branchPrefix`) are moved by force or deleted")]
    NotOurs {
        /// The branch.
        branch: String,
        /// Where ours are.
        prefix: String,
    },
    /// A commit is not in the cache.
    #[error("commit {commit} is not in the Git cache: fetch again")]
    NoCommit {
        /// The commit.
        commit: CommitId,
    },
    /// A path of the repository cannot be read or written safely.
    #[error("{path} in the repository cannot be used: {why}")]
    Path {
        /// The path.
        path: RepoPath,
        /// Why not.
        why: String,
    },
    /// The author cannot be written into a commit.
    #[error("the commit's author `{author}` cannot be used ({why}): give a name and an e-mail address without `<`, `>` or line breaks")]
    Author {
        /// The author.
        author: String,
        /// Why not.
        why: String,
    },
    /// Files could not be written out for a render.
    #[error("cannot write {path}: {source}; check that the disk has room", path = path.display())]
    Export {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn listed(branches: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = branches.iter().take(SHOWN).map(|b| format!("`{b}`")).collect::<Vec<_>>().join(", ");
    match branches.len() {
        0 => "none".to_owned(),
        count if count > SHOWN => format!("{shown} and {} more", count - SHOWN),
        _ => shown,
    }
}

impl GitError {
    /// What an error of a fetch or push means.
    pub(super) fn network(remote: &Address, cache: &std::path::Path, error: &git2::Error) -> Self {
        let (remote, why) = (remote.to_string(), error.message().to_owned());
        // libgit2 has no finer codes; the words only choose the advice that is given.
        let said = |words: &[&str]| words.iter().any(|word| why.to_ascii_lowercase().contains(word));
        match error.class() {
            ErrorClass::Odb | ErrorClass::Zlib | ErrorClass::Indexer | ErrorClass::Object | ErrorClass::Tree | ErrorClass::Reference => {
                Self::CacheDamaged { path: cache.to_owned(), why }
            }
            _ if error.code() == ErrorCode::Certificate || error.class() == ErrorClass::Ssl => Self::Certificate { remote, why },
            _ if error.code() == ErrorCode::Auth || said(&["replays", "authenticat"]) => Self::Authentication { remote, why },
            ErrorClass::Config => Self::Settings { why: format!("Git's own configuration cannot be read: {why}; correct the file") },
            _ if error.code() == ErrorCode::Owner => Self::NoRepository { remote, why: format!("{why}, so it is not opened") },
            _ if said(&["resolve address", "failed to connect", "socket", "eof", "ssl error", "timed out"]) => {
                Self::Unreachable { remote, why }
            }
            _ if said(&[
                "status code: 404",
                "not found",
                "not a git repository",
                "appear to be a git",
                "find repository",
                "resolve path",
            ]) =>
            {
                Self::NoRepository { remote, why }
            }
            ErrorClass::Os | ErrorClass::Filesystem => Self::Cache { path: cache.to_owned(), why },
            _ if said(&["status code: 401", "status code: 403", "denied", "not permitted", "not allowed", "read only", "read-only"]) => {
                Self::Forbidden { remote, why }
            }
            _ => Self::Server { remote, why },
        }
    }
}
