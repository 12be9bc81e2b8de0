//! Reading and writing trees in the object database. Nothing is ever checked out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use git2::build::TreeUpdateBuilder;
use git2::{DiffFormat, ErrorClass, ErrorCode, FileMode as GitMode, MergeOptions, ObjectType, Oid, Repository, Signature, Time};

use super::{CommitId, GitError, Identity, commits};
use crate::model::{Entry, FileMode, RepoPath, Tree};

/// A larger file is not read.
const MOST_BYTES: usize = 4 << 20;

/// What an edit does to a file: the bytes it holds from now on, or `None` to remove it.
pub type Edits = BTreeMap<RepoPath, (FileMode, Option<Vec<u8>>)>;

/// Either the cache is at fault, or what was asked for.
pub(super) enum Fault {
    Cache(git2::Error),
    Asked(GitError),
}

impl From<git2::Error> for Fault {
    fn from(error: git2::Error) -> Self {
        Self::Cache(error)
    }
}

impl From<GitError> for Fault {
    fn from(error: GitError) -> Self {
        Self::Asked(error)
    }
}

/// The files of a commit: YAML, JSON and kustomizations under four mebibytes are read.
pub(super) fn tree(repo: &Repository, at: CommitId) -> Result<Tree, Fault> {
    let odb = repo.odb()?;
    let mut tree = Tree::default();
    each_entry(
        repo,
        at,
        |_| true,
        |path, mode, id| {
            let entry = match mode {
                GitMode::Link => Entry::Symlink { target: String::from_utf8_lossy(odb.read(id)?.data()).into() },
                GitMode::Commit => Entry::Submodule,
                mode if is_read(&path) && odb.read_header(id)?.0 < MOST_BYTES => {
                    let mode = if mode == GitMode::BlobExecutable { FileMode::Executable } else { FileMode::Plain };
                    Entry::File { mode, bytes: odb.read(id)?.data().into() }
                }
                _ => Entry::Unread,
            };
            tree.insert(path, entry);
            Ok(())
        },
    )?;
    Ok(tree)
}

fn is_read(path: &RepoPath) -> bool {
    let name = path.file_name();
    name == "Kustomization" || Path::new(name).extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}

/// Writes the regular files under these folders. Symbolic links and submodules are left out, so that nothing leads out of `into`.
pub(super) fn export(repo: &Repository, at: CommitId, folders: &BTreeSet<RepoPath>, into: &Path) -> Result<(), Fault> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Fault::Asked(GitError::Export { path, source })
    };
    fs::create_dir_all(into).map_err(failed(into))?;
    let odb = repo.odb()?;
    // A large repository is not walked for a few of its folders.
    let leads_there = |path: &RepoPath| folders.iter().any(|folder| path.is_under(folder) || folder.is_under(path));
    each_entry(repo, at, leads_there, |path, mode, id| {
        if matches!(mode, GitMode::Link | GitMode::Commit) || !folders.iter().any(|folder| path.is_under(folder)) {
            return Ok(());
        }
        let folder = into.join(path.parent().as_str());
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let file = folder.join(path.file_name());
        fs::write(&file, odb.read(id)?.data()).map_err(failed(&file))
    })
}

/// Visits what is not a folder, in the folders that are to be entered. Names that are not UTF-8 are passed over: no kustomization can use them.
fn each_entry(
    repo: &Repository,
    at: CommitId,
    enter: impl Fn(&RepoPath) -> bool,
    mut visit: impl FnMut(RepoPath, GitMode, Oid) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut folders = vec![(RepoPath::root(), commits::find(repo, at)?.tree()?)];
    while let Some((folder, tree)) = folders.pop() {
        for entry in &tree {
            let Ok(name) = entry.name() else { continue };
            // `..` and the like would lead somewhere else.
            let path = folder
                .join(name)
                .filter(|path| path.file_name() == name && path.parent() == folder)
                .ok_or_else(|| dishonest(&folder, name))?;
            if entry.kind() == Some(ObjectType::Tree) {
                if enter(&path) {
                    folders.push((path, repo.find_tree(entry.id())?));
                }
            } else {
                visit(path, mode_of(entry.filemode()), entry.id())?;
            }
        }
    }
    Ok(())
}

fn dishonest(folder: &RepoPath, name: &str) -> GitError {
    GitError::Path { path: folder.clone(), why: format!("it holds an entry named `{name}`, which no honest client writes") }
}

fn mode_of(bits: i32) -> GitMode {
    match bits & 0o170_000 {
        0o120_000 => GitMode::Link,
        0o160_000 => GitMode::Commit,
        _ if bits & 0o100 != 0 => GitMode::BlobExecutable,
        _ => GitMode::Blob,
    }
}

/// Reads every folder of a commit and looks for every file, so that a cache with holes is found before it is relied upon.
pub(super) fn check(repo: &Repository, at: CommitId) -> Result<(), Fault> {
    let odb = repo.odb()?;
    each_entry(
        repo,
        at,
        |_| true,
        |_, mode, id| {
            if mode != GitMode::Commit {
                odb.read_header(id)?;
            }
            Ok(())
        },
    )
}

/// A commit on top of `base`; `None` where its tree would equal the base's.
pub(super) fn commit(
    repo: &Repository,
    base: CommitId,
    edits: &Edits,
    message: &str,
    author: &Identity,
    at: DateTime<Utc>,
) -> Result<Option<CommitId>, Fault> {
    let parent = commits::find(repo, base)?;
    let before = parent.tree()?;
    let mut builder = TreeUpdateBuilder::new();
    for (path, (mode, bytes)) in edits {
        let exists = editable(&before, path)?;
        match bytes {
            Some(bytes) => {
                let mode = if *mode == FileMode::Executable { GitMode::BlobExecutable } else { GitMode::Blob };
                builder.upsert(path.as_str(), repo.blob(bytes)?, mode);
            }
            None if exists => {
                builder.remove(path.as_str());
            }
            None => {}
        }
    }
    let tree = builder.create_updated(repo, &before).map_err(|e| match e.class() {
        ErrorClass::Tree | ErrorClass::Invalid => {
            GitError::Path { path: RepoPath::root(), why: format!("the edits make no tree: {}", e.message()) }.into()
        }
        _ => Fault::from(e),
    })?;
    if tree == before.id() {
        return Ok(None);
    }
    let author = Signature::new(&author.name, &author.email, &Time::new(at.timestamp(), 0))
        .map_err(|e| GitError::Author { author: author.to_string(), why: e.message().to_owned() })?;
    if message.contains('\0') {
        return Err(GitError::Settings { why: "a commit message cannot hold a NUL byte: take it out".to_owned() }.into());
    }
    Ok(Some(CommitId(repo.commit(None, &author, &author, message, &repo.find_tree(tree)?, &[&parent])?)))
}

/// Whether a regular file is there; refuses what would turn a link, a submodule, a folder or a parent file into something else.
fn editable(tree: &git2::Tree<'_>, path: &RepoPath) -> Result<bool, GitError> {
    let refused = |path: &RepoPath, why: &str| Err(GitError::Path { path: path.clone(), why: why.to_owned() });
    if path.parts().any(|part| part.eq_ignore_ascii_case(".git")) || *path == RepoPath::root() {
        return refused(path, "it is not the path of a file");
    }
    let mut so_far = RepoPath::root();
    for part in path.parts() {
        so_far = so_far.join(part).unwrap_or_default();
        let Ok(entry) = tree.get_path(Path::new(so_far.as_str())) else {
            return Ok(false);
        };
        let is_folder = entry.kind() == Some(ObjectType::Tree);
        match mode_of(entry.filemode()) {
            GitMode::Link => return refused(&so_far, "it is a symbolic link, which is never written through"),
            GitMode::Commit => return refused(&so_far, "it is a submodule, which is never written into"),
            _ if so_far == *path && is_folder => return refused(&so_far, "it is a folder"),
            _ if so_far != *path && !is_folder => return refused(&so_far, "it is a file, not a folder"),
            _ => {}
        }
    }
    Ok(true)
}

/// A regular file; `None` where there is none.
pub(super) fn file(repo: &Repository, at: CommitId, path: &RepoPath) -> Result<Option<(FileMode, Vec<u8>)>, Fault> {
    let tree = commits::find(repo, at)?.tree()?;
    if *path == RepoPath::root() {
        return Ok(None);
    }
    let entry = match tree.get_path(Path::new(path.as_str())) {
        Ok(entry) => entry,
        // A folder that cannot be read is of another class.
        Err(e) if e.code() == ErrorCode::NotFound && e.class() == ErrorClass::Tree => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let mode = match mode_of(entry.filemode()) {
        _ if entry.kind() != Some(ObjectType::Blob) => return Ok(None),
        GitMode::Link => return Ok(None),
        GitMode::BlobExecutable => FileMode::Executable,
        _ => FileMode::Plain,
    };
    Ok(Some((mode, repo.find_blob(entry.id())?.content().to_vec())))
}

/// Whether merging `theirs`, a commit on `ancestor`, into `ours` gives just the files of `wanted`, without a conflict.
pub(super) fn merges_to(
    repo: &Repository,
    (ancestor, theirs): (CommitId, CommitId),
    ours: CommitId,
    wanted: CommitId,
) -> Result<bool, Fault> {
    let tree = |id| commits::find(repo, id)?.tree().map_err(Fault::from);
    let (ancestor, ours, theirs, wanted) = (tree(ancestor)?, tree(ours)?, tree(theirs)?, tree(wanted)?);
    let mut options = MergeOptions::new();
    options.find_renames(false);
    // What is refused here, say a name that no honest client writes, merges to nothing.
    let merged = repo.merge_trees(&ancestor, &ours, &theirs, Some(&options));
    Ok(merged.is_ok_and(|mut merged| !merged.has_conflicts() && merged.write_tree_to(repo).is_ok_and(|tree| tree == wanted.id())))
}

/// A unified diff, for people.
pub(super) fn diff(repo: &Repository, from: CommitId, to: CommitId) -> Result<String, Fault> {
    let (from, to) = (commits::find(repo, from)?.tree()?, commits::find(repo, to)?.tree()?);
    let mut text = Vec::new();
    repo.diff_tree_to_tree(Some(&from), Some(&to), None)?.print(DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), '+' | '-' | ' ') {
            text.push(line.origin() as u8);
        }
        text.extend_from_slice(line.content());
        true
    })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
