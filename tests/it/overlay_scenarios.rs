//! Overlay layouts, each a folder: `input/` is a repository, `plan.yaml` what is to change, `expected/` the edited files, or the refusal.
//!
//! What is edited is also rendered with the real Kustomize, before and after: the difference must be the plan.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use prescale::clients::git::{Address, Repository, Settings};
use prescale::clients::kustomize::{Kustomize, Settings as Kustomizing};
use prescale::model::{
    Change, Entry, Field, Held, HoldReason, NewFile, ObjectRef, Proven, Refusal, RefusalCode, RepoPath, Route, Scaler, Tree, Value,
    ValueType, WorkloadId,
};
use prescale::overlay::{self, Edited, Scope};
use prescale::prove;
use serde::{Deserialize, Serialize};

use crate::support::git::git;
use crate::support::{kustomize, repository};

/// One line of a `plan.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    overlay: RepoPath,
    /// `namespace/Kind/name`, with `-` where the render names no namespace.
    workload: String,
    field: Field,
    to: serde_json::Value,
}

/// An `expected/refusal.yaml`.
#[derive(Debug, PartialEq, Serialize)]
struct Refused {
    code: RefusalCode,
    file: Option<String>,
    line: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Plan {
    changes: Vec<Wanted>,
    /// Overlays whose Component is written anew if it no longer applies.
    #[serde(default)]
    mend: Vec<RepoPath>,
    /// The folders that may be edited; the whole repository unless given.
    allowed: Option<Vec<RepoPath>>,
    /// What the product's renders are given besides.
    #[serde(default, rename = "buildOptions")]
    build_options: Vec<String>,
    /// The render cannot be compared: what the layout holds needs a network, or another program.
    #[serde(default)]
    unrendered: bool,
}

#[test]
fn every_layout_is_edited_or_refused_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/overlay");
    let mut scenarios: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    scenarios.sort();
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    // Most of the time goes into renders, which are programs of their own.
    let judge =
        |scenario: &PathBuf| run(scenario, update).err().map(|why| format!("{}: {why}", scenario.file_name().unwrap().to_string_lossy()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let judges = (0..threads).map(|first| {
            let mine = scenarios.iter().skip(first).step_by(threads);
            scope.spawn(move || mine.filter_map(judge).collect::<Vec<_>>())
        });
        let judges: Vec<_> = judges.collect();
        judges.into_iter().flat_map(|judge| judge.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} of {} layouts:\n{}", wrong.len(), scenarios.len(), wrong.join("\n"));
}

#[test]
fn every_refusal_has_a_layout() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/overlay");
    let texts: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("expected/refusal.yaml")).ok())
        .collect();
    // A failed check is a defect of the editor, a failed proof needs the render, and a lost race needs two commits.
    let elsewhere = [RefusalCode::OracleFailed, RefusalCode::ProofFailed, RefusalCode::ChangedMeanwhile];
    for code in RefusalCode::ALL.iter().filter(|code| !elsewhere.contains(code)) {
        assert!(texts.iter().any(|text| text.contains(&format!("code: {code}\n"))), "no layout is refused as {code}");
    }
}

fn run(scenario: &Path, update: bool) -> Result<(), String> {
    if !scenario.join("README.md").is_file() {
        return Err("has no README.md".to_owned());
    }
    let plan = fs::read_to_string(scenario.join("plan.yaml")).map_err(|error| format!("plan.yaml: {error}"))?;
    let plan: Plan = serde_yaml::from_str(&plan).map_err(|error| format!("plan.yaml: {error}"))?;
    let input = scenario.join("input");
    let tree = repository::read(&input);
    let changes: Vec<Change> = plan.changes.iter().map(|wanted| change(&tree, wanted)).collect();
    let scope = Scope { allowed: plan.allowed.clone().unwrap_or_else(|| vec![RepoPath::root()]) };
    let mut edited = overlay::edit(&changes, &tree, &scope);
    if overlay::edit(&changes, &tree, &scope) != edited {
        return Err("a second run edits otherwise".to_owned());
    }
    edited.overlays.extend(overlay::mend(&plan.mend, &tree, &scope).into_iter().map(Result::unwrap));
    let found = outcome(&edited);
    let expected = scenario.join("expected");
    if update {
        write_outcome(&expected, &found);
    }
    let wanted = read_outcome(&expected);
    if found != wanted {
        return Err(difference(&wanted, &found, &edited));
    }
    if !edited.overlays.is_empty() {
        prove(&input, &tree, &edited, &plan)?;
        sites_hold_their_values(&edited)?;
        own_proof(&input, &edited, &plan)?;
    }
    Ok(())
}

/// The line that a site names must hold the value that was written there.
fn sites_hold_their_values(edited: &Edited) -> Result<(), String> {
    let files: BTreeMap<&RepoPath, &NewFile> =
        edited.overlays.iter().flat_map(|overlay| &overlay.files).filter_map(|(path, file)| Some((path, file.as_ref()?))).collect();
    for sited in edited.overlays.iter().flat_map(|overlay| &overlay.changes) {
        let place = &sited.site.place;
        let text = files.get(&place.path).and_then(|file| std::str::from_utf8(&file.bytes).ok());
        let line = text.zip(place.line).and_then(|(text, line)| text.lines().nth(line - 1)).unwrap_or_default();
        let to = sited.change.to.to_string();
        let quoted = to.replace('"', "\\\"");
        if sited.change.field != Field::Schedule && !line.contains(&to) && !line.contains(&quoted) {
            return Err(format!("{}: {place} holds `{line}`, not {}", sited.change.field, sited.change.to));
        }
    }
    Ok(())
}

/// The product's own proof, as a run makes it: from a commit, in what is exported of it, with default options.
fn own_proof(input: &Path, edited: &Edited, plan: &Plan) -> Result<(), String> {
    let proven = proven(input, edited, &Kustomizing { build_options: plan.build_options.clone(), ..Kustomizing::default() });
    let unproven: Vec<&Held> = proven.held.iter().filter(|held| !edited.held.contains(held)).collect();
    if unproven.is_empty() == plan.unrendered {
        return Err(format!("the product's own proof holds {unproven:#?}"));
    }
    Ok(())
}

/// What the product says of edits of a folder, which is committed for it.
fn proven(input: &Path, edited: &Edited, kustomizing: &Kustomizing) -> Proven {
    let (work, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    repository::copy(input, work.path());
    for arguments in [&["init", "-q", "-b", "main"][..], &["add", "-A", "-f"], &["commit", "-qm", "Layout"]] {
        git(work.path(), arguments);
    }
    let settings = Settings::new(Address::parse(&format!("file://{}", work.path().display())).unwrap());
    let repository = Repository::open(&settings, cache.path()).unwrap();
    let base = repository.fetch().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kustomize = Kustomize::find(kustomizing).await.unwrap();
        prove::render(edited.clone(), &repository, base, kustomize.as_ref()).await.unwrap()
    })
}

#[test]
fn a_render_that_moves_besides_the_plan_is_no_proof() {
    let input = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/overlay/replicas-transformer/input");
    let wanted = "{overlay: overlays/prod, workload: -/Deployment/web, field: replicas, to: '7'}";
    let tree = repository::read(&input);
    let changes = [change(&tree, &serde_yaml::from_str(wanted).unwrap())];
    let edited = overlay::edit(&changes, &tree, &Scope { allowed: vec![RepoPath::root()] });
    // A program that renders as the real one does, but for what its `sed` says.
    let folder = tempfile::tempdir().unwrap();
    let code = |sed: &str| {
        let program = folder.path().join("kustomize");
        let script = format!("#!/bin/sh\n[ \"$1\" = version ] && echo v5.0.0 && exit\nshift\nkubectl kustomize \"$@\" | sed '{sed}'\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let proven = proven(&input, &edited, &Kustomizing { program: program.display().to_string(), ..Kustomizing::default() });
        proven.held.first().map(|held| refused(&held.why).code)
    };
    assert_eq!(code(""), None);
    assert_eq!(code("/replicas: 7/s/7/8/"), Some(RefusalCode::ProofFailed), "another value than planned");
    assert_eq!(code("/replicas: 7/s/$/\\n  paused: true/"), Some(RefusalCode::ProofFailed), "another field besides");
    assert_eq!(code("/replicas: 7/s/7/3/"), Some(RefusalCode::ProofFailed), "an edit without effect");
    assert_eq!(code("/replicas: 7/s/.*/{/"), Some(RefusalCode::ProofFailed), "no YAML");
}

fn difference(wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>, edited: &Edited) -> String {
    let mut text = String::from("is not as expected");
    for name in wanted.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>() {
        if wanted.get(name) != found.get(name) {
            let show = |text: Option<&String>| text.map_or_else(|| "(nothing)".to_owned(), Clone::clone);
            let _ = write!(text, "\n--- {name}, expected\n{}\n--- {name}, found\n{}", show(wanted.get(name)), show(found.get(name)));
        }
    }
    for held in &edited.held {
        let _ = write!(text, "\nheld: {:?}", held.why);
    }
    text
}

/// The edited files by path, and the refusals.
fn outcome(edited: &Edited) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = edited
        .overlays
        .iter()
        .flat_map(|overlay| &overlay.files)
        .filter_map(|(path, file)| Some((path.as_str().to_owned(), String::from_utf8(file.as_ref()?.bytes.clone()).unwrap())))
        .collect();
    let gone = edited.overlays.iter().flat_map(|overlay| &overlay.files).filter(|(_, file)| file.is_none());
    let gone: Vec<&RepoPath> = gone.map(|(path, _)| path).collect();
    if !gone.is_empty() {
        found.insert("deleted.yaml".to_owned(), serde_yaml::to_string(&gone).unwrap());
    }
    let refusals: Vec<Refused> = edited.held.iter().map(|held| refused(&held.why)).collect();
    if !refusals.is_empty() {
        found.insert("refusal.yaml".to_owned(), serde_yaml::to_string(&refusals).unwrap());
    }
    found
}

fn refused(why: &HoldReason) -> Refused {
    let HoldReason::Refused(Refusal { code, place, .. }) = why else { panic!("held for another reason: {why:?}") };
    Refused { code: *code, file: place.as_ref().map(|place| place.path.to_string()), line: place.as_ref().and_then(|place| place.line) }
}

fn read_outcome(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if folder.is_dir() {
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    open.push(entry);
                } else {
                    let name = entry.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, fs::read_to_string(entry).unwrap());
                }
            }
        }
    }
    found
}

fn write_outcome(folder: &Path, found: &BTreeMap<String, String>) {
    if folder.is_dir() {
        fs::remove_dir_all(folder).unwrap();
    }
    for (name, text) in found {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn change(tree: &Tree, wanted: &Wanted) -> Change {
    let parts: Vec<&str> = wanted.workload.split('/').collect();
    let [namespace, kind, name] = parts[..] else { panic!("`{}` is not namespace/Kind/name", wanted.workload) };
    let namespace = if namespace == "-" { "" } else { namespace };
    let workload = WorkloadId { namespace: namespace.to_owned(), kind: kind.parse().unwrap(), name: name.to_owned() };
    let rendered = overlay::survey(tree, &wanted.overlay).ok();
    let found = rendered.as_ref().and_then(|rendered| rendered.workloads.iter().find(|found| found.id == workload));
    let own = ObjectRef {
        group: ObjectRef::group_of(workload.kind.api_version()).to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let object = match (&wanted.field, found.map(|found| &found.scaler)) {
        (Field::Replicas | Field::Request { .. } | Field::Limit { .. } | Field::PodAnnotation { .. }, _)
        | (_, None | Some(Scaler::None | Scaler::Several(_))) => own,
        (_, Some(Scaler::Hpa(hpa))) => hpa.object.clone(),
        (_, Some(Scaler::Keda(scaled))) => scaled.object.clone(),
    };
    let to = match (wanted.field.value_type(), wanted.to.as_str()) {
        (ValueType::Count, Some(digits)) => Value::Count(digits.parse().unwrap()),
        (value_type, _) => value_type.read(wanted.to.clone()).unwrap(),
    };
    Change {
        workload,
        object,
        overlay: wanted.overlay.clone(),
        field: wanted.field.clone(),
        from: found.and_then(|found| found.value(&wanted.field)).cloned(),
        to,
        reasons: Vec::new(),
        route: Route::Commit,
    }
}

/// Renders before and after; exactly the planned fields may differ, in this overlay alone.
fn prove(input: &Path, tree: &Tree, edited: &Edited, plan: &Plan) -> Result<(), String> {
    let work = tempfile::tempdir().unwrap();
    repository::copy(input, work.path());
    repository::write(work.path(), edited.overlays.iter().flat_map(|overlay| &overlay.files));
    for folder in overlay::overlays(tree, &[RepoPath::root()]) {
        let (before, after) = (kustomize::render(&input.join(folder.as_str())), kustomize::render(&work.path().join(folder.as_str())));
        let ours = edited.overlays.iter().find(|overlay| overlay.overlay == folder);
        let mend = ours.and_then(|overlay| overlay.mend.as_ref());
        let before = match (before, mend) {
            (Ok(_), Some(_)) => return Err(format!("{folder} is mended, though it renders")),
            (Err(_), Some(mend)) => {
                let without = tempfile::tempdir().unwrap();
                repository::copy(input, without.path());
                repository::write(without.path(), &mend.without);
                kustomize::render(&without.path().join(folder.as_str()))
            }
            (before, None) => before,
        };
        let (mut before, mut after) = match (before, after) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(_), Err(_)) if ours.is_none() || plan.unrendered => continue,
            // What builds on a mended overlay renders again.
            (Err(_), Ok(_)) if edited.overlays.iter().any(|overlay| overlay.mend.is_some()) => continue,
            (before, after) => return Err(format!("{folder} renders {:?} before and {:?} after", before.err(), after.err())),
        };
        let planned = ours.map_or_else(Vec::new, prescale::model::OverlayEdit::moved);
        kustomize::take_schedules(&planned, &mut before, &mut after)?;
        let mut wanted = kustomize::planned(&planned, &after);
        // An overlay that only renders the same objects moves along with the one that is edited.
        let along = edited.overlays.iter().filter(|other| other.reaches.iter().any(|reached| reached.overlay == folder && reached.moves));
        wanted.extend(along.filter(|_| ours.is_none()).flat_map(|other| kustomize::planned(&other.moved(), &after)));
        wanted.sort();
        let mut found = kustomize::moved(&before, &after);
        found.sort();
        if found != wanted {
            return Err(format!("{folder} renders other differences than the plan: {:#?}", kustomize::differences(&before, &after)));
        }
        let edited_files: BTreeMap<_, _> = edited.overlays.iter().flat_map(|overlay| &overlay.files).collect();
        let untouched = tree.iter().filter(|(path, _)| !edited_files.contains_key(path)).map(|(path, entry)| (path.clone(), entry.clone()));
        let entry = |file: &NewFile| Entry::File { mode: file.mode, bytes: file.bytes.clone().into() };
        let written = edited_files.iter().filter_map(|(path, file)| Some(((*path).clone(), entry(file.as_ref()?))));
        let edits: Tree = untouched.chain(written).collect();
        // The plan carried out a second time changes nothing.
        if let Some(ours) = ours {
            let changes: Vec<Change> = ours.changes.iter().map(|sited| sited.change.clone()).collect();
            let again = overlay::edit(&changes, &edits, &Scope { allowed: vec![RepoPath::root()] });
            if !again.overlays.is_empty() || again.held.iter().any(|held| held.why != HoldReason::Unchanged) {
                return Err(format!("a second run does something again: {again:?}"));
            }
            let mended = overlay::mend(&plan.mend, &edits, &Scope { allowed: vec![RepoPath::root()] });
            if !mended.is_empty() {
                return Err(format!("a second run mends again: {mended:?}"));
            }
        }
    }
    Ok(())
}
