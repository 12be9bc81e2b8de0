//! The real Kustomize, and the difference of two of its renders.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use prescale::model::ObjectRef;
use serde_json::Value as Json;

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
