//! The scaling policies of a commit: read beside the overlays that render their targets.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize as _;

use crate::model::nearest::with_nearest;
use crate::model::snapshot::Amiss;
use crate::model::{HoldReason, Place, Refusal, Rendered, RenderedWorkload, RepoPath, ScalingPolicy, Tree, WorkloadId, WorkloadKind};
use crate::overlay;

/// A policy and the workload that it governs.
#[derive(Clone, Debug)]
pub struct Governed {
    /// The overlay that renders it.
    pub overlay: RepoPath,
    /// What the overlay says of the workload.
    pub rendered: RenderedWorkload,
    /// The policy.
    pub policy: ScalingPolicy,
    /// Where the policy stands.
    pub place: Place,
}

/// Pairs every policy under `folders` with its workload; what leads to no pair is told.
///
/// A policy stands in a YAML file of the overlay's own folder. The overlay is read only where there is a policy.
pub fn governed(tree: &Tree, folders: &[RepoPath]) -> (Vec<Governed>, Vec<Amiss>) {
    let (mut governed, mut amiss) = (Vec::new(), Vec::new());
    for folder in overlay::overlays(tree, folders) {
        let found = policies_of(tree, &folder);
        if found.is_empty() {
            continue;
        }
        let rendered = overlay::survey(tree, &folder);
        let mut pairs: BTreeMap<WorkloadId, Vec<Governed>> = BTreeMap::new();
        for found in found {
            match pair(found, &folder, &rendered) {
                Ok(pair) => pairs.entry(pair.rendered.id.clone()).or_default().push(pair),
                Err(trouble) => amiss.push(*trouble),
            }
        }
        for (workload, mut claims) in pairs {
            match claims.pop() {
                Some(only) if claims.is_empty() => governed.push(only),
                last => {
                    let places: BTreeSet<Place> = claims.into_iter().chain(last).map(|claim| claim.place).collect();
                    let why = HoldReason::PolicyOverlap { places: places.into_iter().collect() };
                    amiss.push(Amiss { workload, overlay: folder.clone(), why });
                }
            }
        }
    }
    (governed, amiss)
}

/// A document that says it is a policy: the policy, or what is wrong with it and whom it seems to name.
struct Found {
    place: Place,
    read: Result<ScalingPolicy, (WorkloadId, String)>,
}

fn pair(found: Found, folder: &RepoPath, rendered: &Result<Rendered, Refusal>) -> Result<Governed, Box<Amiss>> {
    let amiss = |workload, why| Box::new(Amiss { workload, overlay: folder.clone(), why });
    let place = found.place;
    let policy =
        found.read.map_err(|(workload, detail)| amiss(workload, HoldReason::PolicyInvalid { detail: format!("{place}: {detail}") }))?;
    let named = named_by(&policy);
    let problems = policy.problems();
    if !problems.is_empty() {
        return Err(amiss(named, HoldReason::PolicyInvalid { detail: format!("{place}: {}", problems.join("; ")) }));
    }
    let rendered = rendered.as_ref().map_err(|refusal| amiss(named.clone(), HoldReason::Refused(refusal.clone())))?;
    let matching: Vec<&RenderedWorkload> = rendered
        .workloads
        .iter()
        .filter(|w| {
            (w.id.kind, &w.id.name) == (named.kind, &named.name) && (named.namespace.is_empty() || w.id.namespace == named.namespace)
        })
        .collect();
    match matching[..] {
        [only] => Ok(Governed { overlay: folder.clone(), rendered: only.clone(), policy, place }),
        [] => {
            let why = rendered.unread.first().map_or(HoldReason::WorkloadAbsent, |refusal| HoldReason::Refused(refusal.clone()));
            Err(amiss(named, why))
        }
        _ => {
            let detail = format!("{place}: the overlay renders {named} in several namespaces; name one as `metadata.namespace`");
            Err(amiss(named, HoldReason::PolicyInvalid { detail }))
        }
    }
}

fn named_by(policy: &ScalingPolicy) -> WorkloadId {
    WorkloadId {
        namespace: policy.metadata.namespace.clone().unwrap_or_default(),
        kind: policy.spec.target.kind,
        name: policy.spec.target.name.clone(),
    }
}

/// The policies in the files of one folder, not of those below it.
fn policies_of(tree: &Tree, folder: &RepoPath) -> Vec<Found> {
    let mut found = Vec::new();
    for (path, _) in tree.under(folder).filter(|(path, _)| path.parent() == *folder) {
        let Some(bytes) = tree.bytes(path) else { continue };
        let text = String::from_utf8_lossy(bytes);
        // Cheap first: most files hold no policy, and one that does not parse is the editor's to refuse, not ours.
        if text.contains("ScalingPolicy") {
            found.extend(documents(path, &text));
        }
    }
    found
}

fn documents(path: &RepoPath, text: &str) -> Vec<Found> {
    let starts = document_lines(text);
    let mut found = Vec::new();
    for (i, (document, checked)) in serde_yaml::Deserializer::from_str(text).zip(serde_yaml::Deserializer::from_str(text)).enumerate() {
        let line = starts.get(i).copied();
        let mut place = Place { path: path.clone(), line };
        let value = match serde_yaml::Value::deserialize(document) {
            Ok(value) => value,
            Err(error) => {
                let unknown = WorkloadId { namespace: String::new(), kind: WorkloadKind::Deployment, name: path.file_name().to_owned() };
                found.push(Found { place, read: Err((unknown, format!("is no valid YAML: {error}"))) });
                break; // nothing can be told of the documents behind it
            }
        };
        let text_of = |value: &serde_yaml::Value, key: &str| value.get(key).and_then(serde_yaml::Value::as_str).map(ToOwned::to_owned);
        if text_of(&value, "kind").as_deref() != Some("ScalingPolicy") {
            continue;
        }
        let read = ScalingPolicy::deserialize(checked).map_err(|error| {
            let target = value.get("spec").and_then(|spec| spec.get("target"));
            let seems = WorkloadId {
                namespace: value.get("metadata").and_then(|m| text_of(m, "namespace")).unwrap_or_default(),
                kind: target.and_then(|t| text_of(t, "kind")?.parse().ok()).unwrap_or(WorkloadKind::Deployment),
                name: target
                    .and_then(|t| text_of(t, "name"))
                    .or_else(|| value.get("metadata").and_then(|m| text_of(m, "name")))
                    .unwrap_or_default(),
            };
            // The parser's own line is nearer to the mistake than the document's first.
            let message = error.to_string();
            let words = match error.location() {
                Some(at) => {
                    place.line = Some(at.line());
                    message.split(" at line ").next().unwrap_or(&message)
                }
                None => &message,
            };
            (seems, with_nearest(words))
        });
        found.push(Found { place, read });
    }
    found
}

/// The line on which each document's content begins.
fn document_lines(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut open = false;
    for (i, line) in text.lines().enumerate() {
        if line.starts_with("---") {
            open = false;
        } else if !open && !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            starts.push(i + 1);
            open = true;
        }
    }
    starts
}
