//! Git itself: it makes the repositories, plays the other writers, and has the last word on what we wrote.

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{DateTime, Utc};
use tempfile::TempDir;

/// Runs git in a folder, apart from any configuration of the machine, and returns what it printed.
pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    let output = git_command(folder).args(args).output().expect("git must be installed");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned()
}

pub(crate) fn git_command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Someone Else").env(format!("GIT_{who}_EMAIL"), "else@example.com");
        command.env(format!("GIT_{who}_DATE"), "2026-01-01T00:00:00Z");
    }
    command
}

/// A bare repository `config.git` in a folder that a server can serve, with a few commits on `main`.
pub(crate) struct Upstream {
    root: TempDir,
}

impl Upstream {
    /// Three commits; the last tree holds a bit of everything that Git can hold.
    pub(crate) fn new() -> Self {
        let upstream = Self::empty();
        let work = upstream.work();
        for (commit, file) in ["README.md", "base/deployment.yaml", "overlays/prod/kustomization.yaml"].into_iter().enumerate() {
            std::fs::create_dir_all(work.join(file).parent().unwrap()).unwrap();
            std::fs::write(work.join(file), format!("file: {commit}\n")).unwrap();
            if commit == 2 {
                add_oddities(&work);
            }
            git(&work, &["add", "-A"]);
            if commit == 2 {
                git(&work, &["update-index", "--add", "--cacheinfo", "160000,1234567890123456789012345678901234567890,vendored"]);
            }
            git(&work, &["commit", "-qm", &format!("Commit {commit}")]);
        }
        git(&work, &["push", "-q", "origin", "HEAD:main", "HEAD:staging"]);
        std::fs::remove_dir_all(work).unwrap();
        upstream
    }

    /// Without a commit.
    pub(crate) fn empty() -> Self {
        let upstream = Self { root: tempfile::tempdir().unwrap() };
        git(upstream.root.path(), &["init", "-q", "--bare", "-b", "main", "config.git"]);
        upstream
    }

    /// The folder to serve.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The bare repository.
    pub(crate) fn bare(&self) -> PathBuf {
        self.root.path().join("config.git")
    }

    /// A fresh clone with a work tree.
    pub(crate) fn work(&self) -> PathBuf {
        let work = tempfile::tempdir_in(self.root()).unwrap().keep();
        git(&work, &["clone", "-q", "../config.git", "."]);
        work
    }

    /// Someone else's commit on `main`, which adds the file `name`.
    pub(crate) fn commit_by_someone_else(&self, name: &str) -> String {
        commit_by_someone_else(&self.bare(), name)
    }

    /// The tip of `main`.
    pub(crate) fn tip(&self) -> String {
        git(&self.bare(), &["rev-parse", "main"])
    }

    /// The subjects on `main`, newest first.
    pub(crate) fn log(&self) -> Vec<String> {
        git(&self.bare(), &["log", "--format=%s", "main"]).lines().map(str::to_owned).collect()
    }

    /// Installs a hook.
    pub(crate) fn hook(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.bare().join("hooks").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Removes a hook.
    pub(crate) fn unhook(&self, name: &str) {
        let _ = std::fs::remove_file(self.bare().join("hooks").join(name));
    }

    /// Git's own verdict on every object and reference.
    pub(crate) fn check(&self) {
        let output = git_command(&self.bare()).args(["fsck", "--full", "--strict"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("error"), "{said}");
    }
}

/// As [`Upstream::commit_by_someone_else`], on a bare repository by its path.
pub(crate) fn commit_by_someone_else(bare: &Path, name: &str) -> String {
    let blob = git(bare, &["hash-object", "-w", "HEAD"]);
    commit_blob(bare, "main", name, &blob, &format!("Add {name}"))
}

/// Someone else's commit of one file on a branch, which begins at `main` if there is none.
pub(crate) fn commit_on(bare: &Path, branch: &str, name: &str, text: &str) -> String {
    commit_blob(bare, branch, name, &blob_of(bare, text), &format!("Edit {name}"))
}

fn blob_of(bare: &Path, text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    git(bare, &["hash-object", "-w", "--no-filters", file.path().to_str().unwrap()])
}

/// As [`commit_on`], at an instant.
pub(crate) fn commit_at(bare: &Path, branch: &str, name: &str, text: &str, at: DateTime<Utc>) -> String {
    commit_blob_at(bare, branch, name, &blob_of(bare, text), &format!("Edit {name}"), Some(at))
}

fn commit_blob(bare: &Path, branch: &str, name: &str, blob: &str, message: &str) -> String {
    commit_blob_at(bare, branch, name, blob, message, None)
}

fn commit_blob_at(bare: &Path, branch: &str, name: &str, blob: &str, message: &str, at: Option<DateTime<Utc>>) -> String {
    let reference = format!("refs/heads/{branch}");
    let exists = git_command(bare).args(["show-ref", "--verify", "--quiet", &reference]).status().unwrap().success();
    let parent = git(bare, &["rev-parse", if exists { &reference } else { "main" }]);
    let index = tempfile::tempdir().unwrap();
    let with_index = |args: &[&str]| {
        let output = git_command(bare).env("GIT_INDEX_FILE", index.path().join("index")).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end_matches('\n').to_owned()
    };
    with_index(&["read-tree", &parent]);
    with_index(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{name}")]);
    let tree = with_index(&["write-tree"]);
    let mut command = git_command(bare);
    if let Some(at) = at {
        command.env("GIT_COMMITTER_DATE", at.to_rfc3339());
    }
    let made = command.args(["commit-tree", &tree, "-p", &parent, "-m", message]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let commit = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    // The branch is as it was, or is not there as it was not.
    git(bare, &["update-ref", &reference, &commit, if exists { &parent } else { "" }]);
    commit
}

/// Modes, links, odd names, a large file and one that is not text.
fn add_oddities(work: &Path) {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let script = work.join("base/run.yaml");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/etc/passwd", work.join("base/link.yaml")).unwrap();
    symlink("../..", work.join("base/up")).unwrap();
    std::fs::create_dir_all(work.join("Überlagerung mit Leerzeichen/数")).unwrap();
    std::fs::write(work.join("Überlagerung mit Leerzeichen/数/größe 1.yaml"), "ä: 1\r\n").unwrap();
    std::fs::write(work.join("base/big.yaml"), vec![b'#'; 4 << 20]).unwrap();
    std::fs::write(work.join("base/blob.bin"), [0, 159, 146, 150]).unwrap();
}
