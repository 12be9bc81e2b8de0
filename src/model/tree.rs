//! A commit's files, read once: what the overlay editor works on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A path inside a repository: `/`-separated, relative, without `.`, `..`, empty parts or a trailing slash.
///
/// The empty path is the repository's root. A path that leaves the root cannot be built.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(String);

impl RepoPath {
    /// The repository's root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Normalises `path`; `None` when it is absolute or leaves the root.
    pub fn parse(path: &str) -> Option<Self> {
        if path.starts_with('/') {
            return None;
        }
        Self::root().join(path)
    }

    /// Resolves `relative` (which may hold `.` and `..`) against this folder; `None` when it leaves the root or is absolute.
    pub fn join(&self, relative: &str) -> Option<Self> {
        if relative.starts_with('/') || relative.contains('\0') {
            return None;
        }
        let mut parts: Vec<&str> = self.parts().collect();
        for part in relative.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        Some(Self(parts.join("/")))
    }

    /// The folder that holds this path; the root's parent is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(self.0.rsplit_once('/').map_or(String::new(), |(parent, _)| parent.to_owned()))
    }

    /// The last part of the path.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// Whether `self` is `folder` or lies under it.
    pub fn is_under(&self, folder: &RepoPath) -> bool {
        folder.0.is_empty() || self.0 == folder.0 || self.0.strip_prefix(&folder.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// This path as seen from `folder`, with `..` where needed: what a kustomization there would write.
    pub fn relative_to(&self, folder: &RepoPath) -> String {
        let (mine, theirs): (Vec<_>, Vec<_>) = (self.parts().collect(), folder.parts().collect());
        let shared = mine.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
        let up = std::iter::repeat_n("..", theirs.len() - shared);
        let path: Vec<&str> = up.chain(mine[shared..].iter().copied()).collect();
        if path.is_empty() { ".".to_owned() } else { path.join("/") }
    }

    /// The parts from the root down.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.0.is_empty() { "." } else { &self.0 })
    }
}

impl TryFrom<String> for RepoPath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        Self::parse(&path).ok_or_else(|| format!("`{path}` is not a path inside the repository"))
    }
}

impl From<RepoPath> for String {
    fn from(path: RepoPath) -> Self {
        path.0
    }
}

/// The mode of a regular file in Git.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileMode {
    /// `100644`
    #[default]
    Plain,
    /// `100755`
    Executable,
}

/// What a path holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A regular file that was read.
    File {
        /// Its mode, which an edit keeps.
        mode: FileMode,
        /// Its bytes.
        bytes: Arc<[u8]>,
    },
    /// A regular file that was not read: not YAML or JSON by its name, or over four mebibytes.
    Unread,
    /// A symbolic link: never followed, but it is known where it leads.
    Symlink {
        /// What it says, relative to its own folder.
        target: Arc<str>,
    },
    /// A submodule: never entered.
    Submodule,
}

/// The files of one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<RepoPath, Entry>,
}

impl Tree {
    /// What `path` holds; `None` for a folder or nothing.
    pub fn get(&self, path: &RepoPath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The bytes of a file that was read.
    pub fn bytes(&self, path: &RepoPath) -> Option<&Arc<[u8]>> {
        match self.entries.get(path) {
            Some(Entry::File { bytes, .. }) => Some(bytes),
            _ => None,
        }
    }

    /// Adds or replaces what a path holds.
    pub fn insert(&mut self, path: RepoPath, entry: Entry) {
        self.entries.insert(path, entry);
    }

    /// Whether any entry lies under this folder.
    pub fn is_folder(&self, folder: &RepoPath) -> bool {
        self.under(folder).next().is_some_and(|(path, _)| path != folder)
    }

    /// The entries under a folder, in the order of their paths.
    pub fn under<'a>(&'a self, folder: &'a RepoPath) -> impl Iterator<Item = (&'a RepoPath, &'a Entry)> {
        // `a-b` sorts between `a` and `a/…`, so neighbours that only share a prefix are skipped, not a reason to stop.
        self.entries
            .range(folder.clone()..)
            .take_while(move |(path, _)| path.as_str().starts_with(folder.as_str()))
            .filter(move |(path, _)| path.is_under(folder))
    }

    /// All entries in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&RepoPath, &Entry)> {
        self.entries.iter()
    }
}

impl FromIterator<(RepoPath, Entry)> for Tree {
    fn from_iter<I: IntoIterator<Item = (RepoPath, Entry)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_never_leave_the_root() {
        assert_eq!(RepoPath::parse("a/./b//c/../d").unwrap().as_str(), "a/b/d");
        assert_eq!(RepoPath::parse("../a"), None);
        assert_eq!(RepoPath::parse("/etc/passwd"), None);
        let prod = RepoPath::parse("overlays/prod").unwrap();
        assert_eq!(prod.join("../../base").unwrap().as_str(), "base");
        assert_eq!(prod.join("../../../base"), None);
        assert_eq!(RepoPath::parse("base").unwrap().relative_to(&prod), "../../base");
        assert_eq!(prod.relative_to(&prod), ".");
    }

    #[test]
    fn a_folder_is_not_its_prefix() {
        let tree: Tree = ["a/x", "a-b/y", "ab"].map(|p| (RepoPath::parse(p).unwrap(), Entry::Unread)).into_iter().collect();
        let under: Vec<_> = tree.under(&RepoPath::parse("a").unwrap()).map(|(p, _)| p.as_str().to_owned()).collect();
        assert_eq!(under, ["a/x"]);
        assert!(tree.is_folder(&RepoPath::root()));
        assert!(!tree.is_folder(&RepoPath::parse("ab").unwrap()));
    }
}
