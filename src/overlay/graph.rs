//! Which kustomization reads which file: what belongs to one overlay alone, and who is reached by an edit.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Files, Found};
use super::kustomization::{self, Kustomization};
use crate::model::{Entry, Refusal, RefusalCode, RepoPath};

/// The reading edges of a whole commit.
#[derive(Debug, Default)]
pub(super) struct Graph {
    components: BTreeSet<RepoPath>,
    /// Folders whose kustomizations only list others: what they render is what those render.
    lists: BTreeSet<RepoPath>,
    /// File or folder -> the folders whose kustomizations name it.
    readers: BTreeMap<RepoPath, BTreeSet<RepoPath>>,
    /// File or folder -> a link that leads a kustomization there.
    linked: BTreeMap<RepoPath, RepoPath>,
}

impl Graph {
    pub(super) fn new(files: &Files<'_>) -> Self {
        let mut graph = Self::default();
        let folders: BTreeSet<RepoPath> = files
            .tree()
            .iter()
            .filter(|(path, _)| kustomization::NAMES.contains(&path.file_name()))
            .map(|(path, _)| path.parent())
            .collect();
        for folder in folders {
            graph.add(files, &folder);
        }
        graph.follow_links(files);
        graph
    }

    /// Notes where the links lead that a kustomization names, or something behind them. One that is a link itself is not read, so that
    /// every link beside it counts.
    fn follow_links(&mut self, files: &Files<'_>) {
        for (link, entry) in files.tree().iter() {
            let Entry::Symlink { target } = entry else { continue };
            let Some(real) = link.parent().join(target) else { continue };
            let beside = |name: &str| link.parent().join(name).is_some_and(|file| files.find(&file) == Found::Symlink);
            if kustomization::NAMES.into_iter().any(beside) {
                self.linked.insert(real.clone(), link.clone());
            }
            let behind =
                self.readers.range(link.clone()..).map(|(path, _)| path).take_while(|path| path.as_str().starts_with(link.as_str()));
            let behind = behind.filter(|path| path.is_under(link)).filter_map(|path| real.join(&path.relative_to(link)));
            self.linked.extend(behind.map(|real| (real, link.clone())).collect::<Vec<_>>());
        }
    }

    fn add(&mut self, files: &Files<'_>, folder: &RepoPath) {
        for name in kustomization::NAMES {
            if let Some(file) = folder.join(name).filter(|file| files.find(file) != Found::Nothing) {
                self.readers.entry(file).or_default().insert(folder.clone());
            }
        }
        let Ok(kustomization) = Kustomization::load(files, folder) else { return };
        if kustomization.is_component() {
            self.components.insert(folder.clone());
        }
        if kustomization.only_lists() {
            self.lists.insert(folder.clone());
        }
        let mut named: Vec<String> = Vec::new();
        for key in [
            "resources",
            "bases",
            "components",
            "patchesStrategicMerge",
            "configurations",
            "crds",
            "transformers",
            "generators",
            "validators",
        ] {
            named.extend(kustomization.list(key).iter().filter_map(|entry| entry.as_text()).map(str::to_owned));
        }
        for key in ["patches", "patchesJson6902", "replacements"] {
            named.extend(kustomization.list(key).iter().map(|entry| entry.text_at(&["path"]).to_owned()));
        }
        for key in ["configMapGenerator", "secretGenerator"] {
            for list in kustomization.list(key).iter().flat_map(|entry| ["files", "envs"].map(|list| entry.get(list)).into_iter().flatten())
            {
                let paths = list.items().iter().filter_map(|item| item.as_text());
                named.extend(paths.map(|path| path.rsplit_once('=').map_or(path, |(_, path)| path).to_owned()));
            }
        }
        for name in named.iter().filter(|name| !name.is_empty() && !name.contains('\n')) {
            if let Some(path) = folder.join(name) {
                self.readers.entry(path).or_default().insert(folder.clone());
            }
        }
    }

    /// Every folder whose render reads `path` (a file, or a folder's kustomization), Components left out.
    pub(super) fn reached(&self, path: &RepoPath) -> BTreeSet<RepoPath> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&RepoPath> = self.readers.get(path).into_iter().flatten().collect();
        while let Some(folder) = open.pop() {
            if found.insert(folder.clone()) {
                open.extend(self.readers.get(folder).into_iter().flatten());
            }
        }
        found.retain(|folder| !self.components.contains(folder));
        found
    }

    /// Refuses a file or folder that a kustomization reads through a link: what would change there cannot be seen.
    pub(super) fn not_linked(&self, path: &RepoPath) -> Result<(), Refusal> {
        let mut above = path.clone();
        while above != RepoPath::root() {
            if let Some(link) = self.linked.get(&above) {
                let detail = format!(
                    "`{link}` is a symbolic link to `{above}`, so that another overlay may change with it; links are not followed: name the \
                     file or folder itself there"
                );
                return Err(Refusal::at(RefusalCode::NotAFile, link, None, detail));
            }
            above = above.parent();
        }
        Ok(())
    }

    /// Whether an overlay makes something of its own of what it builds on.
    pub(super) fn is_variant(&self, overlay: &RepoPath) -> bool {
        !self.lists.contains(overlay)
    }

    /// The overlays that someone deploys, as far as Git tells: nothing but lists of folders builds on them, and they are none themselves.
    pub(super) fn leaves(&self, overlays: &[RepoPath]) -> Vec<RepoPath> {
        let all: BTreeSet<&RepoPath> = overlays.iter().collect();
        let builders: BTreeSet<&RepoPath> =
            self.readers.iter().filter(|(path, _)| all.contains(path)).flat_map(|(_, readers)| readers).collect();
        let is_leaf = |folder: &RepoPath| {
            let is_list = |folder: &RepoPath| self.lists.contains(folder) && builders.contains(folder);
            self.reached(folder).iter().all(is_list) && !is_list(folder)
        };
        overlays.iter().filter(|folder| is_leaf(folder)).cloned().collect()
    }

    /// Whether the kustomization of a folder names a file or folder.
    pub(super) fn names(&self, folder: &RepoPath, path: &RepoPath) -> bool {
        self.readers.get(path).is_some_and(|readers| readers.contains(folder))
    }

    /// Whether one of two overlays builds on the other.
    pub(super) fn stacked(&self, one: &RepoPath, other: &RepoPath) -> bool {
        self.reached(one).contains(other) || self.reached(other).contains(one)
    }

    /// Whether only `overlay`, and what builds on it, reads this file.
    pub(super) fn belongs_to(&self, file: &RepoPath, overlay: &RepoPath) -> bool {
        let (readers, above) = (self.reached(file), self.reached(overlay));
        // A file that nobody is seen to read is reached in a way that is not followed.
        readers.contains(overlay) && readers.iter().all(|reader| reader == overlay || above.contains(reader))
    }
}
