//! Pushing into a repository of this machine, by hand: libgit2's own local transport would overwrite a branch that has moved.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use git2::{ErrorClass, ErrorCode, Oid, Repository, RepositoryOpenFlags};

use super::transport::{Move, Sent};
use super::{Address, CommitId, GitError};

/// How often a branch that another writer has locked is tried, and how long apart.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Hooks that may refuse a push. Nothing is run here, so their presence refuses it.
const REFUSING_HOOKS: [&str; 4] = ["pre-receive", "update", "reference-transaction", "proc-receive"];

/// Copies a commit's new objects into the repository at `path`, then moves the branch to it under Git's own lock.
pub(super) fn push(cache: &Repository, remote: &Address, path: &Path, wanted: &Move) -> Result<Sent, git2::Error> {
    let there = Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, &[] as &[&Path])?;
    let name = wanted.reference();
    if let Some(why) = refusal(&there, &name)? {
        return Ok(Sent::Rejected { why, hook: true });
    }
    match wanted.to.map_or(Ok(()), |to| copy_objects(cache, &there, to, wanted.from)) {
        Err(e) if matches!(e.class(), ErrorClass::Os | ErrorClass::Filesystem) => {
            return Ok(Sent::Rejected { why: format!("{} cannot be written: {}", path.display(), e.message()), hook: true });
        }
        copied => copied?,
    }
    let turn = match Turn::take(&there) {
        Ok(turn) => turn,
        Err(e) => return Ok(Sent::Rejected { why: format!("{} cannot be written: {e}", path.display()), hook: true }),
    };
    turn.mark(&name)?;
    let sent = move_branch(&there, remote, path, &name, wanted);
    turn.mark("")?;
    Ok(sent)
}

fn move_branch(there: &Repository, remote: &Address, path: &Path, name: &str, wanted: &Move) -> Sent {
    for _ in 0..LOCK_TRIES {
        let moved = match wanted.to {
            Some(to) => there.reference_matching(name, to.0, true, wanted.old(), "push: prescale").map(drop),
            None => delete(there, name, wanted.old()),
        };
        match moved {
            Ok(()) => return Sent::Accepted,
            Err(e) if e.code() == ErrorCode::Modified || e.code() == ErrorCode::NotFound => return Sent::Moved,
            Err(e) if e.code() == ErrorCode::Locked => thread::sleep(LOCK_PAUSE),
            Err(e) => return Sent::Rejected { why: format!("{} cannot be written: {}", path.display(), e.message()), hook: true },
        }
    }
    let why = format!("`{name}` is locked: if no other writer is at work, remove {name}.lock in the repository");
    Sent::Unknown(GitError::Server { remote: remote.to_string(), why })
}

/// Deletes a branch that is at `old`. Between the look and Git's lock it may move: libgit2 then compares with what was seen here.
fn delete(there: &Repository, name: &str, old: Oid) -> Result<(), git2::Error> {
    let mut reference = there.find_reference(name)?;
    if reference.target() != Some(old) {
        return Err(git2::Error::new(ErrorCode::Modified, ErrorClass::Reference, "the branch has moved"));
    }
    reference.delete()
}

/// One push at a time from all runs of ours. Git's own locks outlive a killed process; this one does not, and what is
/// written in its file tells the next run which of Git's locks was ours.
struct Turn(File);

/// Removes the lock of Git's that a killed push of ours left in the repository at `path`, so that nobody has to wait for our next one.
pub(super) fn tidy(path: &Path) -> io::Result<()> {
    let Ok(there) = Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, &[] as &[&Path]) else { return Ok(()) };
    match fs::metadata(there.commondir().join(TURN)) {
        Ok(found) if found.len() > 0 => Turn::take(&there)?.mark("").map_err(io::Error::other),
        _ => Ok(()),
    }
}

/// The file that says whose turn it is.
const TURN: &str = "prescale-push";

impl Turn {
    fn take(there: &Repository) -> io::Result<Self> {
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(there.commondir().join(TURN))?;
        file.lock()?;
        let mut left = String::new();
        file.read_to_string(&mut left)?;
        if git2::Reference::is_valid_name(&left) {
            let lock = there.commondir().join(format!("{left}.lock"));
            // It may have been taken anew by someone who will let go of it.
            let stale = (0..LOCK_TRIES).all(|_| {
                thread::sleep(LOCK_PAUSE);
                lock.exists()
            });
            if stale {
                fs::remove_file(&lock)?;
            }
        }
        Ok(Self(file))
    }

    /// Notes the branch that is about to be locked, or nothing.
    fn mark(&self, name: &str) -> Result<(), git2::Error> {
        let mut file = &self.0;
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(name.as_bytes()));
        written.map_err(|e| os_error(&e))
    }
}

fn os_error(error: &io::Error) -> git2::Error {
    git2::Error::new(ErrorCode::GenericError, ErrorClass::Os, error.to_string())
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

/// Writes one pack with what `commit` has, and neither `base` nor any branch of the other repository.
fn copy_objects(from: &Repository, to: &Repository, commit: CommitId, base: Option<CommitId>) -> Result<(), git2::Error> {
    let mut walk = from.revwalk()?;
    walk.push(commit.0)?;
    for known in to.references()?.filter_map(|reference| reference.ok()?.target()).chain(base.map(|base| base.0)) {
        // Nothing is known of what has not been fetched: then more is copied than is needed.
        if from.find_commit(known).is_ok() {
            walk.hide(known)?;
        }
    }
    let mut packer = from.packbuilder()?;
    packer.insert_walk(&mut walk)?;
    let mut pack = git2::Buf::new();
    packer.write_buf(&mut pack)?;
    let odb = to.odb()?;
    let mut writer = odb.packwriter()?;
    writer.write_all(&pack).map_err(|e| os_error(&e))?;
    writer.commit()?;
    Ok(())
}
