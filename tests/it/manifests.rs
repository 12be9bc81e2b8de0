//! What is applied to clusters: every folder renders, every object is valid, what Argo CD may deploy is what there is, and the CronJob's own command
//! line, environment and folders are enough for a run.

mod cronjob;
mod docs;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prescale::model::argocd::{Application, ApplicationSet, Seen};
use prescale::model::{Place, RepoPath, ScalingPolicy};
use serde::Deserialize as _;
use serde_json::{Value as Json, json};

use crate::support::shop::{Ran, prescale};

/// The versions whose schemas the objects are held to: the oldest that is promised, and a new one.
const KUBERNETES: [&str; 2] = ["1.30", "1.36"];

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// The files of these folders, by their paths from the root.
fn files(folders: &[&str]) -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--"])
        .args(folders)
        .current_dir(root())
        .output();
    let listed = String::from_utf8(output.unwrap().stdout).unwrap();
    listed.lines().map(ToOwned::to_owned).filter(|path| root().join(path).is_file()).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documents(text: &str) -> Vec<Json> {
    let documents = serde_yaml::Deserializer::from_str(text).map(|document| Json::deserialize(document).unwrap());
    documents.filter(|document| !document.is_null()).collect()
}

/// What a folder renders to.
fn render(folder: &Path) -> String {
    let output = Command::new("kubectl").arg("kustomize").arg(folder).output().unwrap();
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The folders with a kustomization of this kind.
fn kustomizations(kind: &str) -> Vec<String> {
    let all = files(&["manifests", "argocd"]).into_iter().filter(|path| path.ends_with("/kustomization.yaml"));
    let of_kind = all.filter(|path| documents(&read(path))[0]["kind"] == kind);
    of_kind.map(|path| path.trim_end_matches("/kustomization.yaml").to_owned()).collect()
}

/// Holds objects to the published schemas; the kinds that are not Kubernetes' own, but for Prescale's.
fn validate(what: &str, text: &str) -> BTreeSet<String> {
    let others: BTreeSet<String> = KUBERNETES.iter().flat_map(|version| validate_as(version, what, text)).collect();
    let is_other =
        |object: &&Json| others.contains(&format!("{} {}", object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap()));
    let lines = documents(text).iter().filter(is_other).map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let node_modules = root().join("target/test-tools/npm/node_modules");
    let script = root().join("tests/support/definitions.mjs");
    let said = said_of(Command::new("node").arg(script).arg(node_modules), &lines);
    assert_eq!(said, "", "{what}");
    others
}

/// What a validator says of this input.
fn said_of(validator: &mut Command, input: &str) -> String {
    let mut validator = validator.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    validator.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = validator.wait_with_output().unwrap();
    assert!(output.status.success(), "{input}");
    String::from_utf8(output.stdout).unwrap()
}

fn validate_as(version: &str, what: &str, text: &str) -> BTreeSet<String> {
    let said = said_of(Command::new("python3").arg(root().join("tests/support/validate.py")).arg(version), text);
    let (errors, others) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
    assert_eq!(errors, "", "{what}, Kubernetes {version}");
    others.trim_start_matches("others:").split(',').map(|kind| kind.trim().to_owned()).filter(|kind| !kind.is_empty()).collect()
}

#[test]
fn every_folder_renders_and_every_object_is_valid() {
    let folders = kustomizations("Kustomization");
    for folder in ["manifests/prescale/overlays/prod", "manifests/demo/overlays/staging", "argocd", "manifests/kind/prescale"] {
        assert!(folders.iter().any(|known| known == folder), "{folder} is not among {folders:?}");
    }
    let mut others = BTreeSet::new();
    let all = folders.iter().map(|folder| render(&root().join(folder))).collect::<Vec<_>>().join("---\n");
    others.extend(validate("all folders", &all));
    // What is applied as it is, and what no folder lists.
    let lone = files(&["argocd/*.yaml", "policies/*.yaml"]).into_iter().filter(|path| !path.ends_with("kustomization.yaml"));
    for path in lone {
        let known = |document: &&Json| document["kind"].is_string();
        let objects = documents(&read(&path));
        let objects: Vec<String> = objects.iter().filter(known).map(|object| serde_yaml::to_string(object).unwrap()).collect();
        others.extend(validate(&path, &objects.join("---\n")));
    }
    let argocd = |kind: &str| format!("argoproj.io/v1alpha1 {kind}");
    assert_eq!(others, BTreeSet::from([argocd("AppProject"), argocd("Application"), argocd("ApplicationSet")]));
}

#[test]
fn a_field_that_a_definition_does_not_have_is_told() {
    let application = documents(&read("argocd/platform/keda.yaml")).into_iter().find(|object| object["kind"] == "Application").unwrap();
    let validate = |object: &Json| std::panic::catch_unwind(|| validate("one", &object.to_string())).is_ok();
    assert!(validate(&application));
    for (at, field) in [("/spec", "sorce"), ("/spec/source", "targetRevison"), ("/spec/syncPolicy/automated", "prun")] {
        let mut odd = application.clone();
        odd.pointer_mut(at).unwrap()[field] = json!("x");
        assert!(!validate(&odd), "{at}/{field}");
    }
    let mut odd = application;
    odd["spec"]["source"]["targetRevision"] = json!(7);
    assert!(!validate(&odd), "a number for a text");
}

/// Renders a folder of the tree with components, from a copy of it.
fn with_components(tree: &str, base: &str, components: &[&str]) -> String {
    let copy = tempfile::tempdir().unwrap();
    for path in files(&[tree]) {
        let to = copy.path().join(&path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root().join(&path), to).unwrap();
    }
    let over = copy.path().join(tree).join("overlays/of-the-test");
    std::fs::create_dir_all(&over).unwrap();
    let list: Vec<String> = components.iter().map(|name| format!("../../components/{name}")).collect();
    let text = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../../{base}]\ncomponents: [{}]\n",
        list.join(", ")
    );
    std::fs::write(over.join("kustomization.yaml"), text).unwrap();
    render(&over)
}

/// What is promised of each overlay of Prescale: the Job is bounded and has no rights, and the NetworkPolicy is the pod's.
fn promises(what: &str, rendered: &str) {
    let rendered = documents(rendered);
    let of = |kind: &str| rendered.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("{what}: no {kind}"));
    let cronjob = &of("CronJob")["spec"];
    assert_eq!((&cronjob["suspend"], &cronjob["concurrencyPolicy"]), (&Json::Null, &json!("Forbid")), "{what}");
    assert_eq!((&cronjob["successfulJobsHistoryLimit"], &cronjob["failedJobsHistoryLimit"]), (&json!(3), &json!(3)), "{what}");
    let job = &cronjob["jobTemplate"]["spec"];
    let seconds = |value: &Json| value.as_u64().unwrap();
    assert!(seconds(&job["activeDeadlineSeconds"]) < 600, "{what}: it ends before the next is due");
    assert!(seconds(&cronjob["startingDeadlineSeconds"]) < 600 && seconds(&job["ttlSecondsAfterFinished"]) > 0, "{what}");
    let pod = &job["template"]["spec"];
    let [container] = &pod["containers"].as_array().unwrap()[..] else { panic!("{what}: one container") };
    assert_eq!((&pod["enableServiceLinks"], &pod["restartPolicy"]), (&json!(false), &json!("Never")), "{what}");
    let bare = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(container["securityContext"], bare, "{what}");
    let context = &pod["securityContext"];
    assert_eq!((&context["runAsNonRoot"], &context["seccompProfile"]["type"]), (&json!(true), &json!("RuntimeDefault")), "{what}");
    for amount in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
        assert!(container["resources"].pointer(amount).is_some(), "{what}: {amount}");
    }
    let count = container["env"].as_array().unwrap().iter().find(|one| one["name"] == "PRESCALE__SHARD__COUNT");
    let shards = count.map(|one| one["value"].as_str().unwrap().parse::<u64>().unwrap());
    assert_eq!((job["completions"].as_u64(), job["parallelism"].as_u64()), (shards, shards), "{what}");
    let labels = &of("Namespace")["metadata"]["labels"];
    let is_restricted = |mode: &&str| labels[format!("pod-security.kubernetes.io/{mode}")] == "restricted";
    assert!(["enforce", "audit", "warn"].iter().all(is_restricted), "{what}: {labels}");
    // It reads, by listing alone; nothing connects to it, and it connects to what it is for.
    for role in rendered.iter().filter(|object| object["kind"] == "Role" || object["kind"] == "ClusterRole") {
        for rule in role["rules"].as_array().unwrap() {
            assert_eq!(rule["verbs"], json!(["list"]), "{what}: {rule}");
            assert!(!rule["resources"].to_string().contains("secrets") && !rule.to_string().contains('*'), "{what}: {rule}");
        }
    }
    let policy = &of("NetworkPolicy")["spec"];
    assert_eq!((&policy["policyTypes"], &policy["ingress"]), (&json!(["Ingress", "Egress"]), &json!([])), "{what}");
    let selected = policy["podSelector"]["matchLabels"].as_object().unwrap();
    assert!(selected.iter().all(|(name, value)| job["template"]["metadata"]["labels"][name] == *value), "{what}: it is the pod's");
    let ports = policy["egress"].as_array().unwrap().iter().flat_map(|rule| rule["ports"].as_array().expect("ports").iter());
    let ports: BTreeSet<u64> = ports.map(|port| port["port"].as_u64().unwrap()).collect();
    assert_eq!(ports, BTreeSet::from([22, 53, 443, 6443, 9090]), "{what}");
}

#[test]
fn components_go_together() {
    let names = |tree: &str| -> Vec<String> {
        let prefix = format!("{tree}/components/");
        kustomizations("Component").into_iter().filter_map(|folder| Some(folder.strip_prefix(&prefix)?.to_owned())).collect()
    };
    let prescale = names("manifests/prescale");
    assert_eq!(prescale, ["argocd-options", "cluster-scope", "github-app", "sharded", "state-pvc", "state-s3"]);
    for set in 0..1_usize << prescale.len() {
        let chosen: Vec<&str> = (0..prescale.len()).filter(|i| set >> i & 1 == 1).map(|i| prescale[i].as_str()).collect();
        let rendered = with_components("manifests/prescale", "base", &chosen);
        promises(&format!("{chosen:?}"), &rendered);
        // Schemas are slow to load: the sets of one, and all together, say what there is to say of each object.
        if chosen.len() <= 1 || chosen.len() == prescale.len() {
            assert!(validate(&format!("{chosen:?}"), &rendered).is_empty(), "{chosen:?}");
        }
    }
    for overlay in ["dev", "prod"] {
        promises(overlay, &render(&root().join(format!("manifests/prescale/overlays/{overlay}"))));
    }
    let demo = names("manifests/demo");
    assert_eq!(demo, ["backend-hpa", "backend-keda", "podmonitor"]);
    for component in &demo {
        let rendered = with_components("manifests/demo", "base", &[component]);
        let others = validate(component, &rendered);
        let expected = match component.as_str() {
            "backend-keda" => vec!["keda.sh/v1alpha1 ScaledObject"],
            "podmonitor" => vec!["monitoring.coreos.com/v1 PodMonitor"],
            _ => vec![],
        };
        assert!(others.iter().map(String::as_str).eq(expected), "{component}: {others:?}");
    }
}

/// The objects that a project lets Argo CD deploy.
struct Allowed(Json);

impl Allowed {
    fn takes(&self, object: &Json) -> bool {
        let (api, kind) = (object["apiVersion"].as_str().unwrap(), &object["kind"]);
        let group = api.rsplit_once('/').map_or("", |(group, _)| group);
        let list = if object["metadata"]["namespace"].is_string() { "namespaceResourceWhitelist" } else { "clusterResourceWhitelist" };
        let fits = |rule: &&Json| rule["group"] == group && rule["kind"] == *kind;
        let named = |rule: &Json| rule["name"].is_null() || rule["name"] == object["metadata"]["name"];
        let there = |namespace: &Json| {
            let destinations = self.0["spec"]["destinations"].as_array().unwrap();
            namespace.is_null() || destinations.iter().any(|destination| destination["namespace"] == *namespace)
        };
        self.0["spec"][list].as_array().unwrap().iter().any(|rule| fits(&rule) && named(rule)) && there(&object["metadata"]["namespace"])
    }
}

#[test]
fn argo_cd_may_deploy_what_there_is_and_prescale_understands_how() {
    let all = documents(&format!("{}---\n{}", read("argocd/prescale.yaml"), read("argocd/demo.yaml")));
    let project = |name: &str| {
        let found = all.iter().find(|object| object["kind"] == "AppProject" && object["metadata"]["name"] == name);
        Allowed(found.unwrap_or_else(|| panic!("no project {name}")).clone())
    };
    let place = Place { path: RepoPath::parse("argocd/demo.yaml").unwrap(), line: None };
    let (mut seen, mut deployed) = (Vec::new(), BTreeSet::new());
    for object in all.iter().filter(|object| object["kind"] == "Application") {
        let application = Application::read(object, Seen::Git(place.clone())).unwrap();
        assert!(application.auto_sync && !application.ignores_replicas, "{}", application.name);
        let [source] = &application.sources[..] else { panic!("{}", application.name) };
        assert!(!source.overrides && source.revision == "main", "{}", application.name);
        // The demo lies in the folder `demo` of the config repository; Prescale's own manifests are this repository's.
        let path = source.path.as_deref().unwrap();
        let folder = if path.starts_with("demo/") { format!("manifests/{path}") } else { path.to_owned() };
        let allowed = project(&application.project);
        for rendered in documents(&render(&root().join(&folder))) {
            assert!(allowed.takes(&rendered), "{}: {} {}", application.name, rendered["kind"], rendered["metadata"]);
        }
        deployed.insert((application.name.clone(), path.to_owned(), application.destination.namespace.clone()));
        seen.push(application.name);
    }
    assert_eq!(seen, ["prescale", "shop-staging", "shop-prod"]);
    // The set makes the demo's two as well, and none of Prescale's own Component.
    let set = ApplicationSet::read(&documents(&read("argocd/applicationset.yaml"))[0], Seen::Git(place)).unwrap();
    let folders = ["staging", "prod", "prod/prescale"].map(|name| RepoPath::parse(&format!("demo/overlays/{name}")).unwrap());
    let made = set.applications("https://git.example.com/platform/config.git", "main", &folders.into()).unwrap();
    let made = made.into_iter().map(|one| (one.name, one.sources[0].path.clone().unwrap(), one.destination.namespace));
    deployed.retain(|(name, ..)| name != "prescale");
    assert_eq!(made.collect::<BTreeSet<_>>(), deployed);
    for overlay in ["dev", "prod"] {
        for rendered in documents(&render(&root().join(format!("manifests/prescale/overlays/{overlay}")))) {
            assert!(project("prescale").takes(&rendered), "{overlay}: {} {}", rendered["kind"], rendered["metadata"]);
        }
    }
}

#[test]
fn the_demo_s_tree_is_the_one_that_the_command_writes() {
    let written = tempfile::tempdir().unwrap();
    prescale::demo::make(&written.path().join("demo"), 1, 0).unwrap();
    let listed = crate::support::git::git(&written.path().join("demo/config.git"), &["ls-tree", "-r", "--name-only", "main"]);
    let listed: BTreeSet<&str> = listed.lines().collect();
    let here = files(&["manifests/demo"]);
    let here: BTreeSet<&str> = here.iter().map(|path| path.strip_prefix("manifests/demo/").unwrap()).collect();
    assert_eq!(listed, here);
    for path in here.iter().filter(|path| path.ends_with("/scaling.yaml")) {
        for policy in documents(&read(&format!("manifests/demo/{path}"))) {
            let policy: ScalingPolicy = serde_json::from_value(policy).unwrap();
            assert_eq!(policy.problems(), Vec::<String>::new());
        }
    }
}

#[test]
fn whichever_way_the_demo_s_backend_is_scaled_prescale_writes_its_floor() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("shop");
    prescale::demo::make(&folder, 1, 0).unwrap();
    let overlay = "overlays/prod/kustomization.yaml";
    let own = read(&format!("manifests/demo/{overlay}"));
    let (start, end) = (own.find("# Sized by hand").unwrap(), own.find("patches:").unwrap());
    let without_count = [&own[..start], &own[end..]].concat();
    for (component, kind, field) in
        [("backend-hpa", "HorizontalPodAutoscaler", "minReplicas"), ("backend-keda", "ScaledObject", "minReplicaCount")]
    {
        let text = format!("{without_count}\ncomponents: [../../components/{component}, ../../components/podmonitor]\n");
        crate::support::git::commit_at(&folder.join("config.git"), "main", overlay, &text, prescale::demo::START);
        let config = folder.join("prescale.yaml");
        let at = prescale::demo::START.to_rfc3339();
        let mut plan = prescale(&["plan", "--output", "json", "--config", config.to_str().unwrap(), "--at", &at]);
        let report = Ran::of(plan.env("PRESCALE__DECISION__STUDIES_PER_RUN", "0")).json();
        let is_floor = |change: &&Json| change["workload"]["name"] == "backend" && change["field"] == field;
        let change = report["changes"].as_array().unwrap().iter().find(is_floor).unwrap_or_else(|| panic!("{component}: {report}"));
        assert_eq!((&change["object"]["kind"], &change["overlay"]), (&json!(kind), &json!("overlays/prod")), "{component}: {change}");
    }
}

#[test]
fn the_local_cluster_s_scripts_seed_a_repository_and_rehearse_on_it() {
    let place = tempfile::tempdir().unwrap();
    let sh = |script: &str, args: &[&str], input: Stdio| {
        let mut command = Command::new("sh");
        command.arg(root().join(script)).args(args).env("GIT_ROOT", place.path()).stdin(input);
        Ran::of(&mut command)
    };
    let seed = || {
        let tar = Command::new("tar").args(["-cf", "-", "-C", "manifests", "demo"]).current_dir(root()).stdout(Stdio::piped()).spawn();
        sh("manifests/kind/git/server.sh", &["seed", "config", "once"], tar.unwrap().stdout.unwrap().into())
    };
    assert_eq!(sh("manifests/kind/git/server.sh", &["prepare"], Stdio::null()).code, 0);
    seed().says(0, &["config.git is at "]);
    seed().says(0, &["config.git is left as it is, at "]);
    let history = place.path().join("history");
    assert_eq!(sh("manifests/kind/prescale/history.sh", &[history.to_str().unwrap()], Stdio::null()).code, 0);

    // The overlay's own configuration, with this machine's places.
    let config = read("manifests/kind/prescale/prescale.yaml");
    let config = config.replace("http://git.git.svc/platform", &format!("file://{}", place.path().display()));
    let config = config.replace("/var/lib/prescale", place.path().join("state").to_str().unwrap());
    let file = place.path().join("prescale.yaml");
    std::fs::write(&file, config).unwrap();
    let mut run = prescale(&["run", "--output", "markdown", "--config", file.to_str().unwrap(), "--history", history.to_str().unwrap()]);
    Ran::of(run.env("PRESCALE__DECISION__STUDIES_PER_RUN", "0")).says(
        0,
        &[
            "demo/overlays/prod/kustomization.yaml:10",
            "demo/overlays/prod/frontend-floor.yaml:6",
            "Pushed commit",
            "Opened branch prescale/main/templates",
        ],
    );
}

#[test]
fn the_image_builds_where_there_is_a_builder() {
    let answers = |program: &str, args: &[&str]| Command::new(program).args(args).output().is_ok_and(|output| output.status.success());
    if std::env::var_os("PRESCALE_TEST_IMAGE").is_some_and(|builds| builds == "elsewhere") || !answers("docker", &["info"]) {
        return; // tests/run says so
    }
    for target in ["prescale", "demo-backend"] {
        let built = Command::new("docker").args(["build", "--quiet", "--target", target, "."]).current_dir(root()).output().unwrap();
        assert!(built.status.success(), "{target}: {}", String::from_utf8_lossy(&built.stderr));
        let image = String::from_utf8(built.stdout).unwrap();
        assert!(target != "prescale" || answers("docker", &["run", "--rm", "--read-only", "--network=none", image.trim(), "--version"]));
    }
}
