//! Which kustomization reads which file: what belongs to one overlay alone, and who is reached by an edit.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Files, Found};
use super::kustomization::{self, Kustomization};
use crate::model::RepoPath;

/// The reading edges of a whole commit.
#[derive(Debug, Default)]
pub(super) struct Graph {
    components: BTreeSet<RepoPath>,
    /// File or folder -> the folders whose kustomizations name it.
    readers: BTreeMap<RepoPath, BTreeSet<RepoPath>>,
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
        graph
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

    /// Whether only `overlay`, and what builds on it, reads this file.
    pub(super) fn belongs_to(&self, file: &RepoPath, overlay: &RepoPath) -> bool {
        let (readers, above) = (self.reached(file), self.reached(overlay));
        // A file that nobody is seen to read is reached in a way that is not followed.
        readers.contains(overlay) && readers.iter().all(|reader| reader == overlay || above.contains(reader))
    }
}
