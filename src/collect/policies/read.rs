//! Documents that say they are policies, from files of the repository or from the cluster, and how they are laid over each other.

use serde::Deserialize as _;
use serde_yaml::{Mapping, Value};

use crate::model::nearest::with_nearest;
use crate::model::origin::{Origin, Origins};
use crate::model::policy::Spec;
use crate::model::{Place, RepoPath, ScalingPolicy, WorkloadId, WorkloadKind};

/// The name of a policy that stands, without a target, for all workloads of its folder or namespace.
pub(super) const DEFAULT: &str = "default";

/// A document that says it is a policy.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Where it stands.
    pub(super) origin: Origin,
    /// Whom it seems to name.
    pub(super) target: WorkloadId,
    /// Whether it stands for all workloads of a folder or namespace.
    pub(super) is_default: bool,
    /// Whether nobody can tell whom it names, since it is no YAML.
    pub(super) is_unreadable: bool,
    /// What it says, or what is wrong with it.
    pub(super) read: Result<Said, String>,
}

/// What a document says, unmerged.
#[derive(Clone, Debug)]
pub(super) struct Said {
    policy: ScalingPolicy,
    spec: Mapping,
}

/// The policy that comes of a workload's own document, if it has one, over those that stand for all: the strongest first.
pub(super) fn merged(layers: &[&Found], target: &WorkloadId) -> Result<(ScalingPolicy, Origins), String> {
    let mut spec = Mapping::new();
    let mut origins = Origins::default();
    let mut policy = None;
    for found in layers.iter().rev() {
        let said = found.read.as_ref().map_err(|why| format!("{}: {why}", found.origin))?;
        for (lower, uppers) in [(&["signals", "capacityPerReplica"][..], "signal"), (&["signal", "capacityPerReplica"], "signals")] {
            if said.spec.contains_key(uppers) {
                forget(&mut spec, &mut origins, lower);
            }
        }
        for (lower, upper) in [("objective", "shortfallPrice"), ("shortfallPrice", "objective")] {
            if said.spec.contains_key(upper) {
                forget(&mut spec, &mut origins, &[lower]);
            }
        }
        lay(&mut spec, &said.spec, "", &found.origin, &mut origins);
        policy = Some(said.policy.clone());
    }
    let mut policy = policy.ok_or("no policy names it")?;
    let mut named = Mapping::new();
    named.insert("kind".into(), target.kind.as_str().into());
    named.insert("name".into(), target.name.clone().into());
    spec.insert("target".into(), named.into());
    let places: Vec<String> = layers.iter().map(|found| found.origin.to_string()).collect();
    let at = places.join(" over ");
    policy.spec = serde_yaml::from_value(spec.into()).map_err(|error| format!("{at}: {}", with_nearest(&error.to_string())))?;
    let problems = policy.problems();
    if problems.is_empty() { Ok((policy, origins)) } else { Err(format!("{at}: {}", problems.join("; "))) }
}

fn forget(spec: &mut Mapping, origins: &mut Origins, fields: &[&str]) {
    for field in fields {
        spec.remove(*field);
        origins.forget(field);
    }
}

/// Lays one mapping over another, key by key; anything but mappings as a whole.
fn lay(under: &mut Mapping, over: &Mapping, path: &str, origin: &Origin, origins: &mut Origins) {
    for (key, value) in over {
        let Some(name) = key.as_str() else { continue };
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match (under.get_mut(key), value) {
            // A freeze holds whatever else is frozen.
            (Some(Value::Sequence(under)), Value::Sequence(over)) if name == "freezes" => under.extend(over.iter().cloned()),
            // A signal of one's own is another one, not more of the same.
            (Some(Value::Mapping(under)), Value::Mapping(over)) if name != "signal" => lay(under, over, &path, origin, origins),
            _ => {
                origins.forget(&path);
                note(value, path, origin, origins);
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

fn note(value: &Value, path: String, origin: &Origin, origins: &mut Origins) {
    if let Value::Mapping(map) = value {
        for (key, value) in map {
            note(value, format!("{path}.{}", key.as_str().unwrap_or_default()), origin, origins);
        }
    }
    origins.note(path, origin);
}

/// The policies in the text of a file.
pub(super) fn documents(path: &RepoPath, text: &str) -> Vec<Found> {
    let starts = document_lines(text);
    let mut found = Vec::new();
    for (i, (document, checked)) in serde_yaml::Deserializer::from_str(text).zip(serde_yaml::Deserializer::from_str(text)).enumerate() {
        let mut place = Place { path: path.clone(), line: starts.get(i).copied() };
        let value = match Value::deserialize(document) {
            Ok(value) => value,
            Err(error) => {
                let unknown = WorkloadId { namespace: String::new(), kind: WorkloadKind::Deployment, name: path.file_name().to_owned() };
                let read = Err(format!("is no valid YAML: {error}"));
                // It may be one that stands for all: then nothing below it is done.
                let is_default = text.contains("name: default");
                found.push(Found { origin: Origin::Git(place), target: unknown, is_default, is_unreadable: true, read });
                break; // nothing can be told of the documents behind it
            }
        };
        if text_of(&value, "kind") != Some("ScalingPolicy") {
            continue;
        }
        // A `default` policy is checked as a whole below, where its target is put in.
        let read =
            if is_default(&value) { said(&value) } else { ScalingPolicy::deserialize(checked).map(|policy| with_spec(policy, &value)) };
        let read = read.map_err(|error| {
            // The parser's own line is nearer to the mistake than the document's first.
            let message = error.to_string();
            let words = match error.location() {
                Some(at) => {
                    place.line = Some(at.line());
                    message.split(" at line ").next().unwrap_or(&message)
                }
                None => &message,
            };
            all_wrong(with_nearest(words), &value)
        });
        found.push(Found {
            origin: Origin::Git(place),
            target: named_by(&value),
            is_default: is_default(&value),
            is_unreadable: false,
            read,
        });
    }
    found
}

/// A policy as the cluster has it, with what Kubernetes keeps in its metadata.
pub(super) fn of_cluster(document: &serde_json::Value) -> Option<Found> {
    let value = serde_yaml::to_value(document).ok()?;
    let target = named_by(&value);
    let metadata = value.get("metadata")?;
    let origin = Origin::Cluster { namespace: target.namespace.clone(), name: text_of(metadata, "name")?.to_owned() };
    let read = said(&value).map_err(|error| all_wrong(with_nearest(&error.to_string()), &value));
    Some(Found { origin, target, is_default: is_default(&value), is_unreadable: false, read })
}

/// What a document says; where it names no target, one is put in so that all the rest is checked.
fn said(value: &Value) -> Result<Said, serde_yaml::Error> {
    let mut whole = value.clone();
    if is_default(value)
        && let Some(spec) = whole.get_mut("spec").and_then(Value::as_mapping_mut)
    {
        spec.insert("target".into(), serde_yaml::from_str("{name: default}")?);
    }
    Ok(with_spec(serde_yaml::from_value(whole)?, value))
}

/// What stopped the parser, and what else is wrong: with each other field by itself, and with those together that can be read.
fn all_wrong(first: String, value: &Value) -> String {
    let Some(spec) = value.get("spec").and_then(Value::as_mapping) else { return first };
    let mut readable = Mapping::new();
    readable.insert("target".into(), Mapping::from_iter([("name".into(), DEFAULT.into())]).into());
    let mut wrong = Vec::new();
    for (key, field) in spec {
        let mut alone = readable.clone();
        alone.insert(key.clone(), field.clone());
        match serde_yaml::from_value::<Spec>(alone.clone().into()) {
            Ok(_) => readable = alone,
            Err(error) => wrong.push(with_nearest(&error.to_string())),
        }
    }
    let header = r"{apiVersion: prescale.dev/v1alpha1, kind: ScalingPolicy, metadata: {name: default}}";
    let rest = serde_yaml::from_str::<Mapping>(header).map(|mut whole| {
        whole.insert("spec".into(), readable.into());
        serde_yaml::from_value::<ScalingPolicy>(whole.into()).map(|policy| policy.problems())
    });
    wrong.extend(rest.into_iter().flatten().flatten());
    wrong.retain(|other| !first.contains(other.as_str()));
    std::iter::once(first).chain(wrong).collect::<Vec<_>>().join("; ")
}

fn with_spec(policy: ScalingPolicy, value: &Value) -> Said {
    let mut spec = value.get("spec").and_then(Value::as_mapping).cloned().unwrap_or_default();
    // One value for both rhythms is one for each, so that another policy can change either.
    for field in ["delivery", "windows"] {
        if let Some(value) = spec.get(field).filter(|value| !value.is_mapping()).cloned() {
            let each: Mapping = ["floors", "templates"].into_iter().map(|rhythm| (rhythm.into(), value.clone())).collect();
            spec.insert(field.into(), each.into());
        }
    }
    Said { policy, spec }
}

fn is_default(value: &Value) -> bool {
    let name = value.get("metadata").and_then(|metadata| text_of(metadata, "name"));
    name == Some(DEFAULT) && value.get("spec").is_none_or(|spec| spec.get("target").is_none())
}

/// Whom a document seems to name, whatever else is wrong with it.
fn named_by(value: &Value) -> WorkloadId {
    let metadata = value.get("metadata");
    let target = value.get("spec").and_then(|spec| spec.get("target"));
    let name = target.and_then(|target| text_of(target, "name")).or_else(|| metadata.and_then(|metadata| text_of(metadata, "name")));
    WorkloadId {
        namespace: metadata.and_then(|metadata| text_of(metadata, "namespace")).unwrap_or_default().to_owned(),
        kind: target.and_then(|target| text_of(target, "kind")?.parse().ok()).unwrap_or(WorkloadKind::Deployment),
        name: name.unwrap_or_default().to_owned(),
    }
}

fn text_of<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
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
