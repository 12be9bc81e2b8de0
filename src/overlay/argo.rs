//! What Argo CD puts on top of an overlay: `spec.source.kustomize` of an Application, and `.argocd-source-*.yaml`.

use std::collections::BTreeMap;

use super::build::{Additions, Build, build};
use super::fields;
use super::files::{Files, Found};
use super::node::Node;
use super::object::Object;
use crate::model::{Field, Place, Refusal, RefusalCode, RepoPath};
use std::rc::Rc;

/// The overrides of a whole commit, by the folder that they apply to.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    by_folder: BTreeMap<RepoPath, Vec<(Place, Additions)>>,
    /// Paths that an ApplicationSet fills in: everything before the first `{{`, and after the last `}}`.
    templated: Vec<((String, String), Rc<(Place, Additions)>)>,
}

impl Overrides {
    pub(super) fn new(files: &Files<'_>) -> Self {
        let mut overrides = Self::default();
        let holds = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
        for (path, _) in files.tree().iter() {
            if files.find(path) != Found::File {
                continue;
            }
            let Some(bytes) = files.bytes(path) else { continue };
            if path.file_name().starts_with(".argocd-source") {
                for document in files.documents(path).iter().flat_map(|documents| documents.iter()) {
                    overrides.add(path.parent(), document);
                }
            } else if holds(bytes, b"argoproj.io") && holds(bytes, b"kind: Application") && holds(bytes, b"kustomize:") {
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
                if let Some(found) = additions(source) {
                    self.templated.push(((path[..start].to_owned(), path[end + 2..].to_owned()), Rc::new(found)));
                }
            } else if let Some(folder) = RepoPath::parse(path) {
                self.add(folder, source);
            }
        }
    }

    fn add(&mut self, folder: RepoPath, source: &Node) {
        self.by_folder.entry(folder).or_default().extend(additions(source));
    }

    /// Refuses a field that Argo CD sets after the overlay.
    pub(super) fn check(
        &self,
        files: &Files<'_>,
        overlay: &RepoPath,
        before: &Build,
        object: &Object,
        field: &Field,
    ) -> Result<(), Refusal> {
        let path = overlay.as_str();
        let fits = |(before, after): &(String, String)| {
            path.len() >= before.len() + after.len() && path.starts_with(before.as_str()) && path.ends_with(after.as_str())
        };
        let exact = self.by_folder.get(overlay).into_iter().flatten();
        let templated = self.templated.iter().filter(|(ends, _)| fits(ends)).map(|(_, found)| &**found);
        for (place, additions) in exact.chain(templated) {
            let after = build(files, overlay, additions).map_err(|refusal| {
                let detail = format!("with what Argo CD adds in `{place}`, {}", refusal.detail);
                Refusal { code: RefusalCode::ArgoOverride, place: Some(place.clone()), detail }
            })?;
            let found = after.objects.iter().find(|other| other.serial == object.serial);
            let value = |object: &Object| fields::find(field, &object.tree).cloned();
            let setters = |object: &Object| object.setters.get(field).map_or(0, Vec::len);
            let setter = found.and_then(|found| found.setters.get(field)).and_then(|setters| setters.last());
            let theirs = setter.and_then(|setter| setter.place()).filter(|theirs| theirs.path == place.path);
            let moved = found.is_some_and(|found| setters(found) != setters(object) || value(found) != value(object));
            if moved || theirs.is_some() {
                let detail = "Argo CD sets this field itself, after the overlay, so that an edit would have no effect";
                let place = theirs.unwrap_or_else(|| place.clone());
                return Err(Refusal { code: RefusalCode::ArgoOverride, place: Some(place), detail: detail.to_owned() });
            }
        }
        let _ = before;
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
