//! The bare repository that holds what was fetched. It is disposable: whatever is wrong with it, it is made anew.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryInitOptions, RepositoryOpenFlags};
use sha2::{Digest, Sha256};

use super::{GitError, Settings};

/// Each fetch adds a pack; past this many, starting over is cheaper than reading them all.
const MOST_PACKS: usize = 64;

/// All that the repository's configuration says. Whoever may write to the state must not be able to say more: where an address leads, or who is asked
/// for credentials.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";

/// A folder that this process alone uses for as long as the value lives. A process that dies lets go of it.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    _lock: File,
}

impl Cache {
    /// Takes the part of `root` that belongs to this repository, branch and depth, and clears away what a killed run left.
    pub(super) fn open(root: &Path, settings: &Settings) -> Result<Self, GitError> {
        let key = Sha256::digest(format!("{}\n{}\n{}", settings.url, settings.branch, settings.reach()));
        let folder = root.join(&format!("{key:x}")[..16]);
        let unusable = |e: io::Error| GitError::Cache { path: folder.clone(), why: e.to_string() };
        fs::create_dir_all(&folder).map_err(unusable)?;
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(GitError::CacheBusy { path: folder }),
            Err(TryLockError::Error(e)) => return Err(unusable(e)),
        }
        let cache = Self { folder, _lock: lock };
        if !cache.sweep().unwrap_or(false) || cache.repository().is_err() {
            cache.clear()?;
        }
        Ok(cache)
    }

    /// The bare repository. It has no remotes, so that nothing of an address or a credential is ever written into it.
    pub(super) fn repository(&self) -> Result<Repository, GitError> {
        // `open_bare` would not look at where a shallow history ends.
        let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::BARE;
        Repository::open_ext(self.bare(), flags, &[] as &[&Path])
            .map_err(|e| GitError::CacheDamaged { path: self.folder.clone(), why: e.message().to_owned() })
    }

    /// Starts over.
    pub(super) fn clear(&self) -> Result<(), GitError> {
        let bare = self.bare();
        match fs::remove_dir_all(&bare) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(GitError::Cache { path: bare, why: e.to_string() }),
            _ => {}
        }
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false);
        match Repository::init_opts(&bare, &options) {
            Ok(_) => Ok(()),
            Err(e) => Err(GitError::Cache { path: bare, why: e.message().to_owned() }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    fn bare(&self) -> PathBuf {
        self.folder.join("repository.git")
    }

    /// Removes what a killed run left: lock files, and packs that were not finished. False: there is nothing worth keeping.
    fn sweep(&self) -> io::Result<bool> {
        let bare = self.bare();
        if !bare.join("HEAD").is_file() {
            return Ok(false);
        }
        remove_locks(&bare)?;
        remove_locks(&bare.join("refs"))?;
        for other in ["commondir", "config.worktree", "objects/info/alternates"] {
            match fs::remove_file(bare.join(other)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        fs::write(bare.join("config"), CONFIG)?;
        let packs = bare.join("objects/pack");
        let names: BTreeSet<PathBuf> = fs::read_dir(&packs)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        for path in &names {
            let whole = ["pack", "idx"].iter().all(|extension| names.contains(&path.with_extension(extension)));
            if !whole || !["pack", "idx"].iter().any(|extension| path.extension() == Some(OsStr::new(extension))) {
                fs::remove_file(path)?;
            }
        }
        Ok(names.len() <= 2 * MOST_PACKS)
    }
}

/// Removes the lock files in a folder, and for `refs` in the folders below.
fn remove_locks(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
        if entry?.is_dir() {
            if path.components().any(|part| part.as_os_str() == "refs") {
                remove_locks(&path)?;
            }
        } else if path.extension() == Some(OsStr::new("lock")) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Address;
    use super::*;

    fn settings() -> Settings {
        Settings::new(Address::parse("https://host/r.git").unwrap())
    }

    #[test]
    fn one_run_at_a_time_and_the_next_one_finds_it_clean() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(root.path(), &settings()).unwrap();
        assert!(matches!(Cache::open(root.path(), &settings()), Err(GitError::CacheBusy { .. })));
        let bare = cache.bare();
        let kept = cache.repository().unwrap().blob(b"kept").unwrap();
        let left = ["HEAD.lock", "shallow.lock", "refs/heads/main.lock", "objects/pack/pack_git2_1a2b", "objects/pack/pack-1.idx"];
        for left in left {
            fs::write(bare.join(left), "x").unwrap();
        }
        drop(cache);
        let cache = Cache::open(root.path(), &settings()).unwrap();
        assert_eq!(left.map(|left| bare.join(left).exists()), [false; 5]);
        assert!(cache.repository().unwrap().find_blob(kept).is_ok());
    }

    #[test]
    fn a_ruin_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        for ruin in ["HEAD", "config", "objects", "refs"] {
            let cache = Cache::open(root.path(), &settings()).unwrap();
            let path = cache.bare().join(ruin);
            drop(cache);
            if path.is_dir() {
                fs::remove_dir_all(&path).unwrap();
            } else {
                fs::write(&path, "[ruin\0").unwrap();
            }
            Cache::open(root.path(), &settings()).unwrap().repository().unwrap().blob(b"x").unwrap();
        }
    }

    #[test]
    fn what_the_cache_says_of_addresses_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let bare = Cache::open(root.path(), &settings()).unwrap().bare();
        let config = fs::read_to_string(bare.join("config")).unwrap();
        let theirs = format!("{config}[url \"http://elsewhere/\"]\n\tinsteadOf = https://host/\n[http]\n\tproxy = http://elsewhere\n");
        let other = root.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("config"), &theirs).unwrap();
        for (file, text) in [("config", theirs.as_str()), ("config.worktree", &theirs), ("commondir", other.to_str().unwrap())] {
            fs::write(bare.join(file), text).unwrap();
        }
        let cache = Cache::open(root.path(), &settings()).unwrap();
        let repository = cache.repository().unwrap();
        assert_eq!(repository.remote_anonymous("https://host/r.git").unwrap().url().unwrap(), "https://host/r.git");
        assert!(repository.config().unwrap().get_string("http.proxy").is_err());
        assert_eq!(fs::read_to_string(bare.join("config")).unwrap(), CONFIG);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::open(&file.join("cache"), &settings()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot write the Git cache {}", file.display())), "{error}");
        assert!(error.contains("Not a directory") && error.ends_with("may be written"), "{error}");
    }
}
