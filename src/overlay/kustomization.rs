//! One kustomization file: its keys as Kustomize knows them, each entry with its place.

use std::rc::Rc;

use super::files::{Files, Found};
use super::node::{Data, Node};
use crate::model::{Place, Refusal, RefusalCode, RepoPath};

/// The names under which Kustomize looks for the file.
pub(super) const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The keys of a kustomization; any other makes Kustomize fail.
const KEYS: [&str; 31] = [
    "apiVersion",
    "kind",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
];
const MORE_KEYS: [&str; 3] = ["transformers", "validators", "buildMetadata"];

/// A kustomization file.
#[derive(Clone, Debug)]
pub(super) struct Kustomization {
    pub(super) folder: RepoPath,
    pub(super) file: RepoPath,
    top: Rc<Node>,
}

/// The kustomization file of a folder, if it has one that can be seen.
pub(super) fn file_of(files: &Files<'_>, folder: &RepoPath) -> Option<RepoPath> {
    NAMES.iter().filter_map(|name| folder.join(name)).find(|path| !matches!(files.find(path), Found::Nothing | Found::Folder))
}

impl Kustomization {
    /// Reads the kustomization of a folder.
    pub(super) fn load(files: &Files<'_>, folder: &RepoPath) -> Result<Self, Refusal> {
        let mut found =
            NAMES.iter().filter_map(|name| folder.join(name)).filter(|path| !matches!(files.find(path), Found::Nothing | Found::Folder));
        let Some(file) = found.next() else {
            return Err(match files.find(folder) {
                Found::Symlink | Found::Submodule => not_a_file(files, folder),
                _ => Refusal::at(RefusalCode::NoKustomization, folder, None, format!("`{folder}` holds no kustomization.yaml")),
            });
        };
        if matches!(files.find(&file), Found::Symlink | Found::Submodule) {
            return Err(not_a_file(files, &file));
        }
        if let Some(second) = found.next() {
            let detail = format!("`{folder}` holds two kustomizations, and Kustomize takes neither: remove one");
            return Err(Refusal::at(RefusalCode::DoesNotRender, &second, None, detail));
        }
        let documents = files.documents(&file)?;
        let empty = || Refusal::at(RefusalCode::DoesNotRender, &file, None, "the kustomization is empty, which Kustomize refuses");
        let top = documents.first().cloned().ok_or_else(empty)?;
        let Data::Map(entries) = &top.data else { return Err(empty()) };
        if !entries.iter().any(|(key, value)| !matches!(&**key, "apiVersion" | "kind") && !value.is_null()) {
            return Err(empty());
        }
        for (key, value) in entries {
            if !KEYS.iter().chain(&MORE_KEYS).any(|known| known.eq_ignore_ascii_case(key)) {
                let line = value.origin.as_ref().map(super::node::Origin::line);
                let detail = format!("Kustomize knows no key `{key}`, and refuses the file");
                return Err(Refusal::at(RefusalCode::DoesNotRender, &file, line, detail));
            }
        }
        Ok(Self { folder: folder.clone(), file, top })
    }

    pub(super) fn is_component(&self) -> bool {
        self.text("kind") == "Component"
    }

    /// Whether it adds files and folders together and changes nothing in them.
    pub(super) fn only_lists(&self) -> bool {
        let lists =
            ["apiVersion", "kind", "metadata", "resources", "bases", "crds", "openapi", "sortOptions", "validators", "buildMetadata"];
        self.top.entries().iter().all(|(key, value)| value.is_null() || lists.iter().any(|known| known.eq_ignore_ascii_case(key)))
    }

    /// Keys are matched as Go's JSON does: without regard to case.
    pub(super) fn get(&self, key: &str) -> Option<&Rc<Node>> {
        self.top.entries().iter().find_map(|(name, value)| name.eq_ignore_ascii_case(key).then_some(value))
    }

    /// The key as it is spelt in the file.
    pub(super) fn spelling(&self, key: &str) -> Option<&str> {
        self.top.entries().iter().find_map(|(name, _)| name.eq_ignore_ascii_case(key).then_some(&**name))
    }

    pub(super) fn text(&self, key: &str) -> String {
        self.get(key).and_then(|node| node.shown()).unwrap_or_default()
    }

    pub(super) fn list(&self, key: &str) -> &[Rc<Node>] {
        self.get(key).map_or(&[], |node| node.items())
    }

    /// The resources and the deprecated `bases:`, in the order in which Kustomize takes them.
    pub(super) fn resources(&self) -> impl Iterator<Item = &Rc<Node>> {
        self.list("resources").iter().chain(self.list("bases"))
    }

    /// A refusal at a node of this file, or at the file.
    pub(super) fn refuse(&self, code: RefusalCode, node: &Node, detail: impl Into<String>) -> Refusal {
        let place = node.place().unwrap_or_else(|| Place { path: self.file.clone(), line: None });
        Refusal { code, place: Some(place), detail: detail.into() }
    }
}

/// A link or a submodule where a file or a folder was expected.
pub(super) fn not_a_file(files: &Files<'_>, path: &RepoPath) -> Refusal {
    let detail = if files.find(path) == Found::Submodule {
        format!("`{path}` is in a submodule: what it holds is in another repository, which Prescale does not enter")
    } else {
        format!("`{path}` is a symbolic link, or behind one, which Prescale does not follow: name the file or folder itself")
    };
    Refusal::at(RefusalCode::NotAFile, path, None, detail)
}
