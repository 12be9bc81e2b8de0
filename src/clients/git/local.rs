//! Pushing into a repository of this machine, by hand: libgit2's own local transport would overwrite a branch that has moved.

use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use git2::{ErrorClass, ErrorCode, Repository, RepositoryOpenFlags};

use super::transport::Sent;
use super::{Address, CommitId, GitError};

/// How often a branch that another writer has locked is tried, and how long apart.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Hooks that may refuse a push. Nothing is run here, so their presence refuses it.
const REFUSING_HOOKS: [&str; 4] = ["pre-receive", "update", "reference-transaction", "proc-receive"];

/// Copies the commit's new objects into the repository at `path`, then moves the branch from `base` to it under Git's own lock.
pub(super) fn push(
    cache: &Repository,
    remote: &Address,
    path: &Path,
    branch: &str,
    commit: CommitId,
    base: CommitId,
) -> Result<Sent, git2::Error> {
    let there = Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, &[] as &[&Path])?;
    let name = format!("refs/heads/{branch}");
    if let Some(why) = refusal(&there, &name)? {
        return Ok(Sent::Rejected { why, hook: true });
    }
    match copy_objects(cache, &there, commit, base) {
        Err(e) if matches!(e.class(), ErrorClass::Os | ErrorClass::Filesystem) => {
            return Ok(Sent::Rejected { why: format!("{} cannot be written: {}", path.display(), e.message()), hook: true });
        }
        copied => copied?,
    }
    for _ in 0..LOCK_TRIES {
        match there.reference_matching(&name, commit.0, true, base.0, "push: prescale") {
            Ok(_) => return Ok(Sent::Accepted),
            Err(e) if e.code() == ErrorCode::Modified || e.code() == ErrorCode::NotFound => return Ok(Sent::Moved),
            Err(e) if e.code() == ErrorCode::Locked => thread::sleep(LOCK_PAUSE),
            Err(e) => return Ok(Sent::Rejected { why: format!("{} cannot be written: {}", path.display(), e.message()), hook: true }),
        }
    }
    let why = format!("`{name}` is locked: if no other writer is at work, remove {name}.lock in the repository");
    Ok(Sent::Unknown(GitError::Server { remote: remote.to_string(), why }))
}

fn refusal(there: &Repository, name: &str) -> Result<Option<String>, git2::Error> {
    if !there.is_bare() && there.find_reference("HEAD")?.symbolic_target().ok().flatten() == Some(name) {
        return Ok(Some("the branch is checked out there: push to a bare repository".to_owned()));
    }
    let hooks = match there.config()?.get_path("core.hooksPath") {
        Ok(path) => there.path().join(path),
        Err(_) => there.commondir().join("hooks"),
    };
    Ok(REFUSING_HOOKS
        .iter()
        .find(|hook| is_executable(&hooks.join(hook)))
        .map(|hook| format!("it has a `{hook}` hook, which a push to a path cannot run: push over ssh or https")))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file())
}

/// Writes one pack with what `commit` has and `base` has not.
fn copy_objects(from: &Repository, to: &Repository, commit: CommitId, base: CommitId) -> Result<(), git2::Error> {
    use std::io::Write;
    let mut walk = from.revwalk()?;
    walk.push(commit.0)?;
    walk.hide(base.0)?;
    let mut packer = from.packbuilder()?;
    packer.insert_walk(&mut walk)?;
    let mut pack = git2::Buf::new();
    packer.write_buf(&mut pack)?;
    let odb = to.odb()?;
    let mut writer = odb.packwriter()?;
    writer.write_all(&pack).map_err(|e| git2::Error::new(ErrorCode::GenericError, ErrorClass::Os, e.to_string()))?;
    writer.commit()?;
    Ok(())
}
