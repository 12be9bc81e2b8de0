//! Reading commits and what came before them.

use chrono::{DateTime, Utc};
use git2::{ErrorCode, Oid, Repository, Signature};

use super::objects::Fault;
use super::{CommitId, GitError, Identity};

/// What a commit says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// What it is made from, the branch that it was made on first. They need not have been fetched.
    pub parents: Vec<CommitId>,
    /// Who wrote the change.
    pub author: Identity,
    /// Who made the commit.
    pub committer: Identity,
    /// When the commit was made.
    pub at: DateTime<Utc>,
    /// Its message.
    pub message: String,
}

pub(super) fn find(repo: &Repository, id: CommitId) -> Result<git2::Commit<'_>, Fault> {
    repo.find_commit(id.0).map_err(|e| match e.code() {
        ErrorCode::NotFound => GitError::NoCommit { commit: id }.into(),
        _ => e.into(),
    })
}

pub(super) fn read(repo: &Repository, id: CommitId) -> Result<Commit, Fault> {
    let commit = find(repo, id)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let identity = |who: &Signature<'_>| Identity { name: text(who.name_bytes()), email: text(who.email_bytes()) };
    let (author, committer) = (commit.author(), commit.committer());
    Ok(Commit {
        id,
        parents: parents(&commit)?,
        author: identity(&author),
        committer: identity(&committer),
        at: DateTime::from_timestamp(committer.when().seconds(), 0).unwrap_or_default(),
        message: text(commit.message_bytes()),
    })
}

/// How many commits in a row must be older before nothing newer is looked for: what is pushed without a merge may have been made long before, and
/// clocks differ. Git's own walks by date have such a slop, of 5.
const SLOP: usize = 16;

/// What a walk along first parents came to.
pub(super) struct Walk {
    /// The commits down to the last one that was made since then, newest first.
    pub(super) since: Vec<Commit>,
    /// How many were looked at.
    pub(super) seen: u32,
    /// Whether all that had to be looked at was at hand.
    pub(super) whole: bool,
}

/// The commits since a time among a commit's first parents (itself included), as far as they are at hand.
pub(super) fn history(repo: &Repository, tip: CommitId, since: DateTime<Utc>) -> Result<Walk, Fault> {
    let (mut walk, mut older) = (Walk { since: Vec::new(), seen: 0, whole: true }, Vec::new());
    let mut next = Some(tip);
    while let Some(id) = next.filter(|_| older.len() <= SLOP) {
        let commit = match read(repo, id) {
            Err(Fault::Asked(GitError::NoCommit { .. })) => return Ok(Walk { whole: false, ..walk }),
            commit => commit?,
        };
        next = commit.parents.first().copied();
        walk.seen += 1;
        let is_old = commit.at < since;
        older.push(commit);
        if !is_old {
            walk.since.append(&mut older);
        }
    }
    Ok(walk)
}

/// The parents as they are written; libgit2 leaves out those before the end of a shallow history.
fn parents(commit: &git2::Commit<'_>) -> Result<Vec<CommitId>, git2::Error> {
    let header = String::from_utf8_lossy(commit.raw_header_bytes());
    header.lines().filter_map(|line| line.strip_prefix("parent ")).map(|id| Oid::from_str(id).map(CommitId)).collect()
}
