//! The real Kustomize, and the difference of two of its renders.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use prescale::model::{Field, Moved, ObjectRef, Value};
use serde_json::{Value as Json, json};

/// A render: the objects by what Kubernetes knows them by.
pub(crate) type Render = BTreeMap<ObjectRef, Json>;

/// Renders a folder; the error is what Kustomize says.
pub(crate) fn render(folder: &Path) -> Result<Render, String> {
    let output = Command::new("kubectl")
        .args(["kustomize", "--load-restrictor=LoadRestrictionsNone"])
        .arg(folder)
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env("GIT_ALLOW_PROTOCOL", "none")
        .output()
        .expect("these tests need kubectl");
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(text.lines().find(|line| !line.starts_with('#')).unwrap_or_default().chars().take(400).collect());
    }
    let text = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
    let mut objects = Render::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let object: Json = serde::Deserialize::deserialize(document).map_err(|error: serde_yaml::Error| error.to_string())?;
        if object.is_object() {
            objects.insert(reference(&object), object);
        }
    }
    Ok(objects)
}

fn reference(object: &Json) -> ObjectRef {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
    ObjectRef {
        group: ObjectRef::group_of(&text("/apiVersion")).to_owned(),
        kind: text("/kind"),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
    }
}

/// One difference of two renders: object, path, old, new. Containers are named by index; their order counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    pub(crate) object: ObjectRef,
    pub(crate) path: String,
    pub(crate) old: Option<String>,
    pub(crate) new: Option<String>,
}

/// Every leaf that differs.
pub(crate) fn differences(before: &Render, after: &Render) -> Vec<Difference> {
    let mut found = Vec::new();
    for object in before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (old, new) = (leaves(before.get(object)), leaves(after.get(object)));
        for path in old.keys().chain(new.keys()).collect::<std::collections::BTreeSet<_>>() {
            let (old, new) = (old.get(path).cloned(), new.get(path).cloned());
            if old != new {
                found.push(Difference { object: object.clone(), path: path.clone(), old, new });
            }
        }
    }
    found
}

/// What moved: object, last key of the path, new value.
pub(crate) fn moved(before: &Render, after: &Render) -> Vec<(ObjectRef, String, String)> {
    let ends = |path: &str| match path.split_once("/template/metadata/annotations/") {
        Some((_, key)) => key.to_owned(),
        None => path.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let mut moved: Vec<_> =
        differences(before, after).into_iter().map(|found| (found.object, ends(&found.path), found.new.unwrap_or_default())).collect();
    moved.sort();
    moved
}

/// What must move for these changes, those of schedules left out.
pub(crate) fn planned(changes: &[Moved], render: &Render) -> Vec<(ObjectRef, String, String)> {
    let key = |change: &Moved, version: &str| match &change.field {
        Field::Replicas => "replicas".to_owned(),
        Field::MinReplicas => "minReplicas".to_owned(),
        Field::MaxReplicas => "maxReplicas".to_owned(),
        Field::MinReplicaCount => "minReplicaCount".to_owned(),
        Field::MaxReplicaCount => "maxReplicaCount".to_owned(),
        Field::Request { resource, .. } | Field::Limit { resource, .. } => resource.to_string(),
        Field::TargetUtilization(_) if version == "autoscaling/v1" => "targetCPUUtilizationPercentage".to_owned(),
        Field::TargetUtilization(_) if version == "autoscaling/v2beta1" => "targetAverageUtilization".to_owned(),
        Field::TargetUtilization(_) => "averageUtilization".to_owned(),
        Field::TargetValue(_) if version == "autoscaling/v2beta1" => "targetAverageValue".to_owned(),
        Field::TargetValue(_) => "averageValue".to_owned(),
        Field::Stabilization(_) | Field::AdvancedStabilization(_) => "stabilizationWindowSeconds".to_owned(),
        Field::PodAnnotation { key } => key.clone(),
        Field::Schedule => "triggers".to_owned(),
    };
    let version = |object: &ObjectRef| render.get(object).and_then(|tree| tree["apiVersion"].as_str()).unwrap_or_default();
    let one = |change: &Moved| (change.object.clone(), key(change, version(&change.object)), change.to.to_string());
    let mut planned: Vec<_> = changes.iter().filter(|change| change.field != Field::Schedule).map(one).collect();
    planned.sort();
    planned
}

/// Takes Prescale's cron triggers out of the objects whose schedule changes, once those after the edit are found to be the planned ones.
pub(crate) fn take_schedules(changes: &[Moved], before: &mut Render, after: &mut Render) -> Result<(), String> {
    for change in changes {
        let Value::Schedule(schedule) = &change.to else { continue };
        let mut wanted: Vec<Json> = schedule
            .windows()
            .iter()
            .map(|window| {
                json!({"type": "cron", "name": window.name.to_string(), "metadata": {
                    "timezone": window.timezone,
                    "start": window.start.to_string(),
                    "end": window.end.to_string(),
                    "desiredReplicas": window.desired_replicas.to_string(),
                }})
            })
            .collect();
        take_own(before, &change.object);
        let mut found = take_own(after, &change.object);
        for list in [&mut wanted, &mut found] {
            list.sort_by_key(|trigger| trigger["name"].to_string());
        }
        if wanted != found {
            return Err(format!("{} has the triggers {found:?}, not {wanted:?}", change.object));
        }
    }
    Ok(())
}

fn take_own(render: &mut Render, object: &ObjectRef) -> Vec<Json> {
    let Some(triggers) = render.get_mut(object).and_then(|tree| tree.pointer_mut("/spec/triggers")).and_then(Json::as_array_mut) else {
        return Vec::new();
    };
    let (own, others) =
        std::mem::take(triggers).into_iter().partition(|one| one["name"].as_str().is_some_and(|n| n.starts_with("prescale-")));
    *triggers = others;
    own
}

fn leaves(object: Option<&Json>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Some(object) = object {
        collect(object, String::new(), &mut found);
    }
    found
}

fn collect(value: &Json, path: String, found: &mut BTreeMap<String, String>) {
    match value {
        Json::Object(map) if !map.is_empty() => map.iter().for_each(|(key, value)| collect(value, format!("{path}/{key}"), found)),
        Json::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, value)| collect(value, format!("{path}/{index}"), found));
        }
        // `2` and `"2"` are the same quantity; an empty map says nothing, and neither does a null.
        Json::String(text) => drop(found.insert(path, text.clone())),
        Json::Object(_) | Json::Null => {}
        other => drop(found.insert(path, other.to_string())),
    }
}
