//! What Argo CD puts on top of an overlay: `kustomize` in a source of an Application or ApplicationSet, and `.argocd-source-*.yaml`.

use std::rc::Rc;

use super::build::{Additions, build};
use super::files::{Files, Found};
use super::node::Node;
use super::object::{Object, Setter};
use crate::model::{Field, Place, Refusal, RefusalCode, RepoPath};

/// The overrides of a whole commit.
#[derive(Debug, Default)]
pub(super) struct Overrides(Vec<Override>);

/// One source that says more than a folder.
#[derive(Debug)]
struct Override {
    folders: Folders,
    place: Place,
    what: What,
}

/// The folders that a source's path may mean.
#[derive(Debug)]
enum Folders {
    One(RepoPath),
    /// Those that start and end like this: what stands before the first `{{` and after the last `}}`.
    Between(String, String),
}

/// What Argo CD does to them.
#[derive(Debug)]
enum What {
    Adds(Additions),
    /// It sets these annotations of objects and pod templates.
    Annotates(Vec<String>),
    /// It cannot be read.
    Unknown,
}

impl Folders {
    fn of(path: &str) -> Option<Self> {
        match (path.find("{{"), path.rfind("}}")) {
            (Some(start), Some(end)) if start < end => Some(Self::Between(path[..start].to_owned(), path[end + 2..].to_owned())),
            _ => RepoPath::parse(path).map(Self::One),
        }
    }

    fn has(&self, folder: &RepoPath) -> bool {
        match self {
            Self::One(path) => path == folder,
            Self::Between(start, end) => {
                let folder = folder.as_str();
                folder.len() >= start.len() + end.len() && folder.starts_with(start) && folder.ends_with(end)
            }
        }
    }
}

impl Overrides {
    pub(super) fn new(files: &Files<'_>) -> Self {
        let mut overrides = Self::default();
        for (path, _) in files.tree().iter() {
            if files.find(path) != Found::File {
                continue;
            }
            let Some(text) = files.bytes(path).and_then(|bytes| std::str::from_utf8(bytes).ok()) else { continue };
            let is_source = path.file_name().starts_with(".argocd-source");
            if !is_source && !["Application", "argoproj.io", "kustomize"].iter().all(|word| text.contains(word)) {
                continue;
            }
            match files.documents(path) {
                Ok(documents) if is_source => {
                    documents.iter().for_each(|document| overrides.source(Some(Folders::One(path.parent())), document));
                }
                Ok(documents) => documents.iter().for_each(|document| overrides.application(document)),
                Err(_) if is_source => overrides.unknown(Some(Folders::One(path.parent())), Place { path: path.clone(), line: None }),
                Err(_) => overrides.unreadable(path, text),
            }
        }
        overrides
    }

    fn application(&mut self, document: &Rc<Node>) {
        let spec = match document.text_at(&["kind"]) {
            "Application" => document.get("spec"),
            "ApplicationSet" => document.at(&["spec", "template", "spec"]),
            _ => None,
        };
        let Some(spec) = spec else { return };
        let several = spec.get("sources").map_or(&[][..], |list| list.items());
        let sources: Vec<&Rc<Node>> =
            spec.get("source").into_iter().chain(several).chain(spec.at(&["sourceHydrator", "drySource"])).collect();
        for source in &sources {
            self.source(Folders::of(source.text_at(&["path"])), source);
        }
        // A patch of the template is text, with templates in it.
        let patch = document.at(&["spec", "templatePatch"]);
        if let Some(place) =
            patch.filter(|patch| patch.as_text().is_some_and(|text| text.contains("kustomize"))).and_then(|patch| patch.place())
        {
            for source in &sources {
                self.unknown(Folders::of(source.text_at(&["path"])), place.clone());
            }
        }
    }

    /// A source's own words for its folders.
    fn source(&mut self, folders: Option<Folders>, source: &Node) {
        let Some((folders, kustomize)) = folders.zip(source.get("kustomize")) else { return };
        let Some(place) = kustomize.place() else { return };
        let list = |key: &str| kustomize.get(key).map_or_else(Vec::new, |list| list.items().to_vec());
        let additions = Additions { replicas: list("replicas"), patches: list("patches"), components: list("components") };
        let annotations = kustomize.get("commonAnnotations").map_or(&[][..], |map| map.entries());
        let annotations: Vec<String> = annotations.iter().map(|(key, _)| key.to_string()).collect();
        let what = match (additions.is_empty(), annotations.is_empty()) {
            (true, true) => return,
            (true, false) => What::Annotates(annotations),
            (false, true) => What::Adds(additions),
            (false, false) => What::Unknown,
        };
        self.0.push(Override { folders, place, what });
    }

    /// A file that is no YAML as it stands, such as a chart's template: its `path:` lines say which folders it may be about.
    fn unreadable(&mut self, file: &RepoPath, text: &str) {
        let Some(line) = text.lines().position(|line| line.trim_start().trim_start_matches("- ").starts_with("kustomize:")) else { return };
        for path in text.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("path:")) {
            let path = path.trim().trim_matches(['"', '\'']);
            self.unknown(Folders::of(path), Place { path: file.clone(), line: Some(line + 1) });
        }
    }

    fn unknown(&mut self, folders: Option<Folders>, place: Place) {
        self.0.extend(folders.map(|folders| Override { folders, place, what: What::Unknown }));
    }

    /// Refuses a field that Argo CD sets after the overlay.
    pub(super) fn check(&self, files: &Files<'_>, overlay: &RepoPath, object: &Object, field: &Field) -> Result<(), Refusal> {
        let refuse = |place: &Place, detail: String| Refusal { code: RefusalCode::ArgoOverride, place: Some(place.clone()), detail };
        let sets = || "Argo CD sets this field itself, after the overlay: an edit would have no effect".to_owned();
        for Override { place, what, .. } in self.0.iter().filter(|one| one.folders.has(overlay)) {
            match what {
                What::Unknown => {
                    let detail = "Argo CD may set more here, after the overlay, than can be read: move it into the overlay".to_owned();
                    return Err(refuse(place, detail));
                }
                What::Annotates(keys) => {
                    if matches!(field, Field::PodAnnotation { key } if keys.contains(key)) {
                        return Err(refuse(place, sets()));
                    }
                }
                What::Adds(additions) => {
                    let after = build(files, overlay, additions)
                        .map_err(|why| refuse(place, format!("with what Argo CD adds, the overlay does not render: {why}")))?;
                    let found = after.objects.iter().find(|other| other.serial == object.serial);
                    let setters =
                        |object: &Object| object.setters.get(field).map_or_else(Vec::new, |all| all.iter().map(Setter::place).collect());
                    if found.is_none_or(|found| setters(found) != setters(object)) {
                        let setter = found.and_then(|found| found.setters.get(field)).and_then(|setters| setters.last());
                        return Err(refuse(&setter.and_then(Setter::place).unwrap_or_else(|| place.clone()), sets()));
                    }
                }
            }
        }
        Ok(())
    }
}
