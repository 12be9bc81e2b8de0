//! The survey and the editor against the real Kustomize: on our own manifests, or on a folder of other repositories.
//!
//! `PRESCALE_CORPUS=<folder of checked-out repositories> cargo test --test it overlay_corpus -- --nocapture`
//!
//! Every field of every workload of every overlay is planned, each overlay with values of its own, and all edits of a repository are
//! made at once: an overlay that moves in a way that neither its own plan nor one that is said to reach it has in it, is a wrong edit.

mod owner;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use prescale::model::{
    Change, Direction, Field, HoldReason, ObjectRef, Refusal, RefusalCode, Rendered, RepoPath, Resource, Route, Scaler, Value,
};
use prescale::overlay::{self, Edited, Scope};
use serde_json::Value as Json;

use crate::support::{kustomize, repository};

#[derive(Default)]
struct Tally {
    overlays: usize,
    rendered: usize,
    workloads: usize,
    edits: usize,
    edited: usize,
    /// Sites that a user would not have edited either, by code.
    rightly: BTreeMap<RefusalCode, usize>,
    /// Sites that a user would call legal, by code.
    missed: BTreeMap<RefusalCode, usize>,
    owners: owner::Tally,
    wrong: Vec<String>,
}

/// An overlay that the survey and Kustomize both read.
struct Case {
    overlay: RepoPath,
    before: kustomize::Render,
    survey: Rendered,
}

#[test]
fn every_overlay_is_read_and_edited_as_kustomize_renders_it() {
    // Our own is one repository, of what builds on each other.
    let own = tempfile::tempdir().unwrap();
    for part in ["manifests", "argocd"] {
        let to = own.path().join("prescale");
        fs::create_dir_all(&to).unwrap();
        let copied = Command::new("cp").arg("-r").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(part)).arg(to).status();
        assert!(copied.unwrap().success());
    }
    let folder = std::env::var_os("PRESCALE_CORPUS").unwrap_or_else(|| own.path().into());
    let mut tally = Tally::default();
    let mut repositories: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    repositories.sort();
    for root in repositories {
        one(&root, &mut tally);
    }
    for wrong in &tally.wrong {
        eprintln!("wrong: {wrong}");
    }
    let missed: usize = tally.missed.values().sum();
    let legal = tally.edited + missed;
    eprintln!(
        "{} overlays, {} render and are surveyed, {} workloads\n{} edits, {} of them rightly refused {:?}\n{legal} legal sites, {} edited and \
         proven ({:.2} %), missed {:?}\nowners: {}\n{} wrong",
        tally.overlays,
        tally.rendered,
        tally.workloads,
        tally.edits,
        tally.rightly.values().sum::<usize>(),
        tally.rightly,
        tally.edited,
        percent(tally.edited, legal),
        tally.missed,
        tally.owners,
        tally.wrong.len()
    );
    assert!(tally.wrong.is_empty() && percent(tally.edited, legal) >= 97.0 && tally.owners.right_share() >= 95.0);
}

#[allow(clippy::cast_precision_loss)]
fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}

fn one(root: &Path, tally: &mut Tally) {
    let name = root.file_name().unwrap().to_string_lossy().into_owned();
    let tree = repository::read(root);
    let overlays = overlay::overlays(&tree, &[RepoPath::root()]);
    tally.overlays += overlays.len();
    let read =
        in_parallel(&overlays, || (), |(), overlay| (kustomize::render(&root.join(overlay.as_str())), overlay::survey(&tree, overlay)));
    let mut cases = Vec::new();
    for (overlay, (before, survey)) in overlays.into_iter().zip(read) {
        match (before, survey) {
            (Ok(before), Ok(survey)) => cases.push(Case { overlay, before, survey }),
            // Links are not followed, whatever Kustomize does.
            (Ok(_), Err(refusal)) if refusal.code == RefusalCode::NotAFile => {}
            (Ok(_), Err(refusal)) => tally.wrong.push(format!("{name}/{overlay}: renders, but the survey refuses: {refusal}")),
            (Err(error), Ok(survey)) if survey.unread.is_empty() => {
                tally.wrong.push(format!("{name}/{overlay}: surveyed, but does not render: {error}"));
            }
            (Err(_), _) => {}
        }
    }
    tally.rendered += cases.len();
    for case in &cases {
        tally.workloads += case.survey.workloads.len();
        tally.wrong.extend(misread(case).into_iter().map(|wrong| format!("{name}/{}: {wrong}", case.overlay)));
    }
    let changes: Vec<Change> = cases.iter().enumerate().flat_map(|(number, case)| changes(case, number)).collect();
    tally.edits += changes.len();
    let edited = overlay::edit(&changes, &tree, &Scope { allowed: vec![RepoPath::root()] });
    for held in &edited.held {
        let HoldReason::Refused(refusal) = &held.why else {
            tally.wrong.push(format!("{name}/{}: {:?} for a value that is new", held.overlay, held.why));
            continue;
        };
        let (verdict, by_code) = if is_right(refusal) { ("right", &mut tally.rightly) } else { ("MISSED", &mut tally.missed) };
        *by_code.entry(refusal.code).or_default() += 1;
        eprintln!("{verdict}: {name}/{}: {} {}: {refusal}", held.overlay, held.workload, held.field.as_ref().unwrap());
    }
    tally.wrong.extend(misplaced(root, &cases, &edited, &mut tally.edited).into_iter().map(|wrong| format!("{name}/{wrong}")));
    owner::check(root, &tree, &cases, &mut tally.owners);
}

/// Whether a user would have refused too: what the value means is not the overlay's to say, or cannot be seen from here.
fn is_right(refusal: &Refusal) -> bool {
    !matches!(
        refusal.code,
        RefusalCode::Anchored
            | RefusalCode::EmbeddedPatch
            | RefusalCode::WouldNotWin
            | RefusalCode::Unsupported
            | RefusalCode::OracleFailed
            | RefusalCode::InvalidYaml
            | RefusalCode::DoesNotRender
            | RefusalCode::NoTarget
    )
}

/// Carries out a piece of work for each item, on every core; each core makes what it works with.
fn in_parallel<T: Sync, M, R: Send>(items: &[T], make: impl Fn() -> M + Sync, work: impl Fn(&M, &T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let run = || {
            let (with, mut mine) = (make(), Vec::new());
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { return mine };
                mine.push((index, work(&with, item)));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Where the survey says other than the render.
fn misread(Case { before, survey, .. }: &Case) -> Vec<String> {
    let mut ours: BTreeMap<ObjectRef, Json> = BTreeMap::new();
    for workload in &survey.workloads {
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
    let theirs = expected(before);
    let mut wrong = Vec::new();
    for object in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        let scaler = object.kind == "HorizontalPodAutoscaler" || object.kind == "ScaledObject";
        match (ours.get(object), theirs.get(object)) {
            (None, _) if scaler => {}
            (ours, theirs) if ours == theirs => {}
            (ours, theirs) => {
                let unread = if survey.unread.is_empty() { String::new() } else { format!(" (unread: {})", survey.unread[0]) };
                if ours.is_some() || survey.unread.is_empty() {
                    wrong.push(format!("{object}: surveyed {ours:?}, rendered {theirs:?}{unread}"));
                }
            }
        }
    }
    wrong
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

/// A change of every field of every workload, to values that no other overlay is given.
fn changes(Case { overlay, before, survey }: &Case, number: usize) -> Vec<Change> {
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
                from: workload.value(&field).cloned(),
                field,
                to,
                reasons: Vec::new(),
                route: Route::Commit,
            });
        };
        let count = |base: usize| Value::Count(u32::try_from(base + number).unwrap());
        add(object, Field::Replicas, count(107));
        add(object, Field::PodAnnotation { key: "prescale.dev/tried".to_owned() }, Value::Text(format!("x: {number}")));
        for container in &workload.containers {
            let of = |resource| Field::Request { container: container.name.clone(), resource };
            add(object, of(Resource::Cpu), Value::Cpu(format!("{}m", 10_001 + number).parse().unwrap()));
            add(object, of(Resource::Memory), Value::Memory(format!("{}Mi", 10_241 + number).parse().unwrap()));
        }
        match &workload.scaler {
            Scaler::Hpa(hpa) => {
                add(&hpa.object, Field::MinReplicas, count(107));
                add(&hpa.object, Field::MaxReplicas, count(5107));
                let number = u32::try_from(number).unwrap();
                for (field, _) in &workload.fields {
                    match field {
                        Field::TargetUtilization(_) => add(&hpa.object, field.clone(), Value::Percent((1061 + number).try_into().unwrap())),
                        Field::TargetValue(_) => {
                            add(&hpa.object, field.clone(), field.value_type().read(format!("{}M", 1123 + number).into()).unwrap());
                        }
                        _ => {}
                    }
                }
                if before[&hpa.object]["apiVersion"] == "autoscaling/v2" {
                    let window = Value::Stabilization((number % 3600).try_into().unwrap());
                    add(&hpa.object, Field::Stabilization(Direction::ScaleDown), window);
                }
            }
            Scaler::Keda(scaled) => {
                add(&scaled.object, Field::MinReplicaCount, count(107));
                add(&scaled.object, Field::MaxReplicaCount, count(5107));
                let window = Value::Stabilization((u32::try_from(number).unwrap() % 3600).try_into().unwrap());
                add(&scaled.object, Field::AdvancedStabilization(Direction::ScaleDown), window);
            }
            Scaler::None | Scaler::Several(_) => {}
        }
    }
    changes
}

/// A planned leaf of a render: the object, where in it, and the new value.
type Leaf = (ObjectRef, String, String);

/// Makes all edits and renders every overlay again. What moved besides the plan, or did not move by it, is wrong.
fn misplaced(root: &Path, cases: &[Case], edited: &Edited, made: &mut usize) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut files = BTreeMap::new();
    for edit in &edited.overlays {
        for (path, file) in &edit.files {
            if files.insert(path, file).is_some() {
                wrong.push(format!("{}: {path} is written for another overlay too", edit.overlay));
            }
        }
    }
    let work = tempfile::tempdir().unwrap();
    repository::copy(root, work.path());
    repository::write(work.path(), files);
    let verdicts = in_parallel(
        cases,
        || (),
        |(), case| {
            let mut wrong = Vec::new();
            let after = match kustomize::render(&work.path().join(case.overlay.as_str())) {
                Ok(after) => after,
                Err(error) => return vec![format!("{}: does not render after the edits: {error}", case.overlay)],
            };
            let leaves = |edit: &overlay::OverlayEdit| -> Vec<Leaf> { kustomize::planned(&edit.moved(), &after) };
            let mut own: Vec<Leaf> = edited.overlays.iter().find(|edit| edit.overlay == case.overlay).map_or_else(Vec::new, leaves);
            let reaching = edited.overlays.iter().filter(|edit| edit.reaches.iter().any(|reached| reached.overlay == case.overlay));
            let others: Vec<Leaf> = reaching.flat_map(leaves).collect();
            for leaf in kustomize::moved(&case.before, &after) {
                match own.iter().position(|planned| *planned == leaf) {
                    Some(index) => drop(own.swap_remove(index)),
                    None if others.contains(&leaf) => {}
                    None => wrong.push(format!("{}: moved without a plan: {leaf:?}", case.overlay)),
                }
            }
            wrong.extend(own.iter().map(|planned| format!("{}: planned, but did not move: {planned:?}", case.overlay)));
            wrong
        },
    );
    for (case, verdict) in cases.iter().zip(verdicts) {
        if verdict.is_empty() {
            *made += edited.overlays.iter().find(|edit| edit.overlay == case.overlay).map_or(0, |edit| edit.changes.len());
        }
        wrong.extend(verdict);
    }
    wrong
}
