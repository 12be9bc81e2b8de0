//! The survey and the editor against the real Kustomize: on our own manifests, or on a folder of other repositories.
//!
//! `PRESCALE_CORPUS=<folder of checked-out repositories> cargo test --test it overlay_corpus -- --nocapture`

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use prescale::model::{Change, Direction, Field, HoldReason, ObjectRef, RefusalCode, RepoPath, Resource, Route, Scaler, Tree, Value};
use prescale::overlay::{self, Scope};
use serde_json::Value as Json;

use crate::support::{kustomize, repository};

#[derive(Default)]
struct Tally {
    overlays: usize,
    rendered: usize,
    surveyed: usize,
    workloads: usize,
    edits: usize,
    edited: usize,
    refused: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

#[test]
fn every_overlay_is_read_and_edited_as_kustomize_renders_it() {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests").into_os_string();
    let folder = std::env::var_os("PRESCALE_CORPUS").unwrap_or_else(own);
    let mut tally = Tally::default();
    let mut repositories: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    repositories.sort();
    for root in repositories {
        let tree = repository::read(&root);
        for overlay in overlay::overlays(&tree, &[RepoPath::root()]) {
            tally.overlays += 1;
            one(&root, &tree, &overlay, &mut tally);
        }
    }
    for wrong in &tally.wrong {
        eprintln!("{wrong}");
    }
    eprintln!(
        "{} overlays, {} render, {} surveyed, {} workloads; {} edits, {} made and proven, refused {:?}; {} wrong",
        tally.overlays,
        tally.rendered,
        tally.surveyed,
        tally.workloads,
        tally.edits,
        tally.edited,
        tally.refused,
        tally.wrong.len()
    );
    assert!(tally.wrong.is_empty() && tally.edited > 0);
}

fn one(root: &Path, tree: &Tree, overlay: &RepoPath, tally: &mut Tally) {
    let name = format!("{}/{overlay}", root.file_name().unwrap().to_string_lossy());
    let before = kustomize::render(&root.join(overlay.as_str()));
    let survey = overlay::survey(tree, overlay);
    let (before, survey) = match (before, survey) {
        (Ok(before), Ok(survey)) => (before, survey),
        // Links are not followed, whatever Kustomize does.
        (Ok(_), Err(refusal)) if refusal.code == RefusalCode::NotAFile => return,
        (Ok(_), Err(refusal)) => return tally.wrong.push(format!("{name}: renders, but the survey refuses: {refusal}")),
        (Err(error), Ok(survey)) => {
            if survey.unread.is_empty() {
                tally.wrong.push(format!("{name}: surveyed, but does not render: {error}"));
            }
            return;
        }
        (Err(_), Err(_)) => return,
    };
    tally.rendered += 1;
    tally.surveyed += 1;
    let mut ours: BTreeMap<ObjectRef, Json> = BTreeMap::new();
    for workload in &survey.workloads {
        tally.workloads += 1;
        let group = before.keys().find(|object| object.kind == workload.id.kind.as_str() && object.name == workload.id.name);
        let object = ObjectRef {
            group: group.map_or_else(String::new, |object| object.group.clone()),
            kind: workload.id.kind.to_string(),
            namespace: workload.id.namespace.clone(),
            name: workload.id.name.clone(),
        };
        let containers: Vec<Json> = workload
            .containers
            .iter()
            .map(|c| serde_json::json!([c.name, c.cpu_request, c.memory_request, c.cpu_limit, c.memory_limit]))
            .collect();
        ours.insert(object, serde_json::json!([workload.replicas, containers]));
        match &workload.scaler {
            Scaler::Hpa(hpa) => drop(ours.insert(hpa.object.clone(), serde_json::json!([hpa.min, hpa.max]))),
            Scaler::Keda(scaled) => drop(ours.insert(scaled.object.clone(), serde_json::json!([scaled.min, scaled.max]))),
            Scaler::None | Scaler::Several(_) => {}
        }
    }
    let theirs = expected(&before);
    let mut objects: Vec<_> = ours.keys().chain(theirs.keys()).collect();
    objects.sort();
    objects.dedup();
    for object in objects {
        let scaler = object.kind == "HorizontalPodAutoscaler" || object.kind == "ScaledObject";
        match (ours.get(object), theirs.get(object)) {
            (None, _) if scaler => {}
            (ours, theirs) if ours == theirs => {}
            (ours, theirs) => {
                let unread = if survey.unread.is_empty() { String::new() } else { format!(" (unread: {})", survey.unread[0]) };
                if ours.is_some() || survey.unread.is_empty() {
                    tally.wrong.push(format!("{name}: {object}: surveyed {ours:?}, rendered {theirs:?}{unread}"));
                }
            }
        }
    }
    edits(root, tree, overlay, &name, &before, &survey, tally);
}

/// What the real render says, in the survey's words.
fn expected(render: &kustomize::Render) -> BTreeMap<ObjectRef, Json> {
    let mut found = BTreeMap::new();
    for (object, tree) in render {
        let number = |pointer: &str| tree.pointer(pointer).and_then(Json::as_u64);
        let value = match (object.group.as_str(), object.kind.as_str()) {
            ("apps" | "extensions", "Deployment") | ("apps", "StatefulSet") | ("argoproj.io", "Rollout") => {
                let containers = tree.pointer("/spec/template/spec/containers").and_then(Json::as_array).cloned().unwrap_or_default();
                let containers: Vec<Json> = containers
                    .iter()
                    .map(|container| {
                        let text =
                            |pointer: &str| container.pointer(pointer).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
                        let cpu = |pointer: &str| text(pointer).and_then(|text| text.parse::<prescale::model::Millicores>().ok());
                        let memory = |pointer: &str| text(pointer).and_then(|text| text.parse::<prescale::model::Bytes>().ok());
                        serde_json::json!([
                            container["name"],
                            cpu("/resources/requests/cpu"),
                            memory("/resources/requests/memory"),
                            cpu("/resources/limits/cpu"),
                            memory("/resources/limits/memory"),
                        ])
                    })
                    .collect();
                serde_json::json!([number("/spec/replicas"), containers])
            }
            ("autoscaling", "HorizontalPodAutoscaler") => serde_json::json!([number("/spec/minReplicas"), number("/spec/maxReplicas")]),
            ("keda.sh", "ScaledObject") => serde_json::json!([number("/spec/minReplicaCount"), number("/spec/maxReplicaCount")]),
            _ => continue,
        };
        found.insert(object.clone(), value);
    }
    found
}

/// Edits every field of every workload, one at a time, and proves each by rendering.
fn edits(
    root: &Path,
    tree: &Tree,
    overlay: &RepoPath,
    name: &str,
    before: &kustomize::Render,
    survey: &prescale::model::Rendered,
    tally: &mut Tally,
) {
    let mut changes = Vec::new();
    for workload in &survey.workloads {
        let id = &workload.id;
        let Some(object) = before.keys().find(|object| {
            object.kind == id.kind.as_str() && object.name == id.name && object.namespace == id.namespace && !object.group.is_empty()
        }) else {
            continue;
        };
        let mut add = |object: &ObjectRef, field: Field, to: Value| {
            changes.push(Change {
                workload: id.clone(),
                object: object.clone(),
                overlay: overlay.clone(),
                field,
                from: None,
                to,
                reasons: Vec::new(),
                route: Route::Commit,
            });
        };
        add(object, Field::Replicas, Value::Count(7));
        add(object, Field::PodAnnotation { key: "prescale.dev/tried".to_owned() }, Value::Text("x: y".to_owned()));
        for container in &workload.containers {
            let of = |resource| Field::Request { container: container.name.clone(), resource };
            add(object, of(Resource::Cpu), Value::Cpu("1234m".parse().unwrap()));
            add(object, of(Resource::Memory), Value::Memory("321Mi".parse().unwrap()));
        }
        match &workload.scaler {
            Scaler::Hpa(hpa) => {
                add(&hpa.object, Field::MinReplicas, Value::Count(7));
                add(&hpa.object, Field::MaxReplicas, Value::Count(77));
                for (field, _) in &workload.fields {
                    match field {
                        Field::TargetUtilization(_) => add(&hpa.object, field.clone(), Value::Percent(61.try_into().unwrap())),
                        Field::TargetValue(_) => add(&hpa.object, field.clone(), field.value_type().read("123M".into()).unwrap()),
                        _ => {}
                    }
                }
                if before[&hpa.object]["apiVersion"] == "autoscaling/v2" {
                    add(&hpa.object, Field::Stabilization(Direction::ScaleDown), Value::Stabilization(123.try_into().unwrap()));
                }
            }
            Scaler::Keda(scaled) => {
                add(&scaled.object, Field::MinReplicaCount, Value::Count(7));
                add(&scaled.object, Field::MaxReplicaCount, Value::Count(77));
                add(&scaled.object, Field::AdvancedStabilization(Direction::ScaleDown), Value::Stabilization(123.try_into().unwrap()));
                add(&scaled.object, Field::Schedule, schedule());
            }
            Scaler::None | Scaler::Several(_) => {}
        }
    }
    let scope = Scope { allowed: vec![RepoPath::root()] };
    let all = overlay::edit(&changes, tree, &scope);
    tally.edits += changes.len();
    for held in &all.held {
        let HoldReason::Refused(refusal) = &held.why else { continue };
        *tally.refused.entry(refusal.code.to_string()).or_default() += 1;
        eprintln!("refused: {name}: {} {}: {refusal}", held.workload, held.field.as_ref().unwrap());
    }
    let Some(edit) = all.overlays.first() else { return };
    let kept: Vec<_> = edit.files.keys().map(|path| (path.clone(), fs::read(root.join(path.as_str())).ok())).collect();
    repository::write(root, &edit.files);
    let after = kustomize::render(&root.join(overlay.as_str()));
    for (path, bytes) in kept {
        match bytes {
            Some(bytes) => fs::write(root.join(path.as_str()), bytes).unwrap(),
            None => fs::remove_file(root.join(path.as_str())).unwrap(),
        }
    }
    match after {
        Err(error) => tally.wrong.push(format!("{name}: does not render after {} edits: {error}", edit.changes.len())),
        Ok(mut after) => {
            let (changes, mut before) = (edit.moved(), before.clone());
            let schedules = kustomize::take_schedules(&changes, &mut before, &mut after);
            if schedules.is_ok() && kustomize::moved(&before, &after) == kustomize::planned(&changes, &after) {
                tally.edited += edit.changes.len();
            } else {
                let differences = kustomize::differences(&before, &after);
                tally.wrong.push(format!("{name}: other differences than the {} edits: {schedules:?} {differences:#?}", changes.len()));
            }
        }
    }
}

/// A day's plan.
fn schedule() -> Value {
    let window = |number: u32, from: u32, to: u32| {
        serde_json::json!({
            "name": format!("prescale-{number}"),
            "timezone": "Etc/UTC",
            "start": format!("0 {from} 25 11 *"),
            "end": format!("30 {to} 25 11 *"),
            "desiredReplicas": 7,
        })
    };
    Field::Schedule.value_type().read(serde_json::json!([window(1, 8, 9), window(2, 17, 18)])).unwrap()
}
