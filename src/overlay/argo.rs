//! What Argo CD puts on top of an overlay: `spec.source.kustomize` of an Application, and `.argocd-source-*.yaml`.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::build::{Additions, build};
use super::files::{Files, Found};
use super::node::Node;
use super::object::{Object, Setter};
use crate::model::{Field, Place, Refusal, RefusalCode, RepoPath};

/// The overrides of a whole commit, by the folder that they apply to.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    by_folder: BTreeMap<RepoPath, Vec<(Place, Additions)>>,
    /// Those whose path an ApplicationSet fills in.
    templated: Vec<Templated>,
}

/// An override of every folder whose path starts and ends like this: what stands before the first `{{` and after the last `}}`.
#[derive(Debug)]
struct Templated {
    start: String,
    end: String,
    place: Place,
    additions: Additions,
}

impl Templated {
    fn fits(&self, folder: &str) -> bool {
        folder.len() >= self.start.len() + self.end.len() && folder.starts_with(&self.start) && folder.ends_with(&self.end)
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
            if path.file_name().starts_with(".argocd-source") {
                for document in files.documents(path).iter().flat_map(|documents| documents.iter()) {
                    overrides.add(path.parent(), document);
                }
            } else if ["Application", "argoproj.io", "kustomize"].iter().all(|word| text.contains(word)) {
                for document in files.documents(path).iter().flat_map(|documents| documents.iter()) {
                    overrides.application(document);
                }
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
        for source in spec.get("source").into_iter().chain(several) {
            let path = source.text_at(&["path"]);
            if let (Some(start), Some(end)) = (path.find("{{"), path.rfind("}}")) {
                let ends = (path[..start].to_owned(), path[end + 2..].to_owned());
                self.templated.extend(additions(source).map(|(place, additions)| Templated {
                    start: ends.0,
                    end: ends.1,
                    place,
                    additions,
                }));
            } else if let Some(folder) = RepoPath::parse(path) {
                self.add(folder, source);
            }
        }
    }

    fn add(&mut self, folder: RepoPath, source: &Node) {
        self.by_folder.entry(folder).or_default().extend(additions(source));
    }

    /// Refuses a field that Argo CD sets after the overlay.
    pub(super) fn check(&self, files: &Files<'_>, overlay: &RepoPath, object: &Object, field: &Field) -> Result<(), Refusal> {
        let exact = self.by_folder.get(overlay).into_iter().flatten().map(|(place, additions)| (place, additions));
        let templated = self.templated.iter().filter(|one| one.fits(overlay.as_str())).map(|one| (&one.place, &one.additions));
        for (place, additions) in exact.chain(templated) {
            let refuse = |place: Option<Place>, detail: String| Refusal { code: RefusalCode::ArgoOverride, place, detail };
            let after = build(files, overlay, additions).map_err(|refusal| {
                refuse(Some(place.clone()), format!("with what Argo CD adds, the overlay does not render: {refusal}"))
            })?;
            let found = after.objects.iter().find(|other| other.serial == object.serial);
            let setters = |object: &Object| object.setters.get(field).map_or_else(Vec::new, |all| all.iter().map(Setter::place).collect());
            if found.is_none_or(|found| setters(found) != setters(object)) {
                let setter = found.and_then(|found| found.setters.get(field)).and_then(|setters| setters.last());
                let theirs = setter.and_then(Setter::place).unwrap_or_else(|| place.clone());
                return Err(refuse(
                    Some(theirs),
                    "Argo CD sets this field itself, after the overlay: an edit would have no effect".to_owned(),
                ));
            }
        }
        Ok(())
    }
}

/// What a source adds to the overlay; `None` when that is nothing.
fn additions(source: &Node) -> Option<(Place, Additions)> {
    let kustomize = source.get("kustomize")?;
    let list = |key: &str| kustomize.get(key).map_or_else(Vec::new, |list| list.items().to_vec());
    let additions = Additions { replicas: list("replicas"), patches: list("patches"), components: list("components") };
    (!additions.is_empty()).then(|| Some((kustomize.place()?, additions)))?
}
