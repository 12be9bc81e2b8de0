//! The whole run by the built binary: real Prometheus, real git over http, ssh and files, real Kustomize.

use std::collections::BTreeSet;
use std::process::Command;

use prescale::demo::{HISTORY, START};
use serde_json::Value as Json;

use crate::support::git::git;
use crate::support::git_http::{Fault, GitHttp, PASSWORD, USER};
use crate::support::git_ssh::GitSsh;
use crate::support::kustomize::{differences, render};
use crate::support::openmetrics;
use crate::support::prometheus::RealPrometheus;
use crate::support::shop::{Ran, Shop, now, prescale};

/// The planned changes that travel by commit: object, path and new value, as a render shows them.
fn planned(report: &Json, overlay: &str) -> BTreeSet<(String, String, String)> {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let changes = report["changes"].as_array().unwrap().iter();
    changes
        .filter(|change| change["route"] == "commit" && change["overlay"] == overlay)
        .map(|change| {
            let object = &change["object"];
            let path = match &change["field"] {
                Json::String(field) => format!("/spec/{field}"),
                field => format!("/spec/template/spec/containers/0/resources/requests/{}", text(&field["request"]["resource"])),
            };
            (format!("{}/{}", text(&object["kind"]), text(&object["name"])), path, text(&change["to"]))
        })
        .collect()
}

/// What really differs between two commits' renders of an overlay, in the same form.
fn rendered(shop: &Shop, from: &str, to: &str, overlay: &str) -> BTreeSet<(String, String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let render_at = |commit: &str| {
        let at = folder.path().join(commit);
        shop.checkout(commit, &at);
        render(&at.join(overlay)).unwrap()
    };
    let found = differences(&render_at(from), &render_at(to));
    found.into_iter().map(|d| (format!("{}/{}", d.object.kind, d.object.name), d.path, d.new.unwrap_or_default())).collect()
}

/// Runs twice: the first run changes exactly the planned fields, the second one nothing.
fn runs_and_settles(shop: &Shop, config: &str) -> Json {
    let before = shop.tip();
    let first = shop.run("run", config, &[]);
    assert_eq!(first.code, 0, "{first:?}");
    let report = first.json();
    let after = shop.tip();
    let plan = planned(&report, "overlays/prod");
    assert!(plan.len() >= 4, "floors and requests: {plan:?}");
    assert_eq!(rendered(shop, &before, &after, "overlays/prod"), plan);
    assert_eq!(rendered(shop, &before, &after, "overlays/staging"), BTreeSet::new(), "staging only observes");
    assert_eq!(report["commits"].as_array().unwrap().last().unwrap()["id"], after.as_str());
    assert!(report["changes"].as_array().unwrap().iter().all(|change| change["proof"] == "rendered"), "{report}");
    git(&shop.bare(), &["fsck", "--strict"]);

    let second = shop.run("run", config, &[]);
    assert_eq!((second.code, shop.tip()), (0, after), "a second run changes nothing: {second:?}");
    assert_eq!(second.json()["commits"], Json::Array(vec![]));
    report
}

#[test]
fn real_prometheus_and_git_over_http() {
    let shop = Shop::new();
    let prometheus = RealPrometheus::with(&openmetrics::history(START - HISTORY, START, 1));
    let server = GitHttp::start(&shop.path());
    git(&shop.bare(), &["config", "http.receivepack", "true"]);
    let password = shop.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let repository = format!("  url: {}\n  username: {USER}\n  passwordFile: {}\n", server.url(), password.display());
    let config = shop.configure(&repository, &format!("metrics: {{prometheus: {{url: '{}'}}}}\n", prometheus.url));

    let doctor = Ran::of(&mut prescale(&["doctor", "--config", &config, "--at", &now()]));
    doctor.says(0, &["ok metrics", "ok repository branch `main`", "ok policies 4 workloads governed"]);

    let report = runs_and_settles(&shop, &config);
    let pushes = |server: &GitHttp| server.log().iter().filter(|request| request.request.contains("/git-receive-pack")).count();
    let before = pushes(&server);
    assert!(before >= 2);
    shop.run("run", &config, &[]).says(0, &[]);
    let plan = shop.run("plan", &config, &[]);
    assert_eq!((plan.code, pushes(&server)), (0, before), "neither a settled run nor a plan pushes");

    // What Prometheus tells is what the files tell, but for the rates' smoothing.
    let files = shop.run("plan", &shop.local(""), &[]).json();
    for outlook in report["outlooks"].as_array().unwrap() {
        let same = files["outlooks"].as_array().unwrap().iter().find(|other| other["workload"] == outlook["workload"]).unwrap();
        let (a, b) = (outlook["expected"].as_f64().unwrap(), same["expected"].as_f64().unwrap());
        assert!((a / b - 1.0).abs() < 0.15, "{a} from Prometheus, {b} from files: {outlook}");
    }
}

#[test]
fn git_over_ssh() {
    let shop = Shop::new();
    let server = GitSsh::start();
    let repository = format!(
        "  url: {}\n  sshKeyFile: {}\n  knownHostsFile: {}\n",
        server.url(&shop.bare()),
        server.path("user_key").display(),
        server.path("known_hosts").display()
    );
    runs_and_settles(&shop, &shop.configure(&repository, ""));
}

#[test]
fn git_as_a_file_and_a_commit_that_reviewers_understand() {
    let shop = Shop::new();
    runs_and_settles(&shop, &shop.local("commit: {name: Scaler, email: scaler@example.com, signOff: true}\n"));
    let floors = git(&shop.bare(), &["log", "-1", "--format=%an <%ae>%n%B", "main~1"]);
    for words in [
        "Scaler <scaler@example.com>",
        "Set backend replicas from 3 to",
        "(proven by render)",
        "To undo: git revert",
        "Prescale-Proof: overlays/prod",
        "Signed-off-by: Scaler <scaler@example.com>",
    ] {
        assert!(floors.contains(words), "`{words}` is not in:\n{floors}");
    }
    // Only the intended bytes: the comments on the changed lines are still there.
    assert!(shop.file("overlays/prod/kustomization.yaml").contains(" # per zone: one\n"));
    assert!(shop.file("overlays/prod/frontend-floor.yaml").contains("   # the floor that the reactive autoscaler stays above\n"));
}

#[test]
fn a_lost_race_is_rebuilt_on_what_the_other_wrote() {
    let shop = Shop::new();
    let server = GitHttp::start(&shop.path());
    git(&shop.bare(), &["config", "http.receivepack", "true"]);
    let config = shop.configure(&format!("  url: {}\n  username: {USER}\n  password: {PASSWORD}\n", server.url()), "");
    // Just before our first push arrives, someone else commits.
    let bare = shop.bare();
    server.fault(
        "/git-receive-pack",
        Fault::First(Box::new(move || {
            crate::support::git::commit_by_someone_else(&bare, "README.md");
        })),
    );
    let ran = shop.run("run", &config, &[]);
    ran.says(0, &[]);
    assert!(ran.json()["commits"][0]["tries"].as_u64().unwrap() >= 2, "{ran:?}");
    let log = git(&shop.bare(), &["log", "--format=%s", "main"]);
    assert_eq!(log.lines().count(), 4, "{log}");
    assert!(!shop.file("README.md").is_empty());
}

#[test]
fn quantities_may_be_written_in_any_way_and_one_deviation_holds_no_other() {
    let shop = Shop::new();
    let redis = shop.file("base/redis.yaml").replace("cpu: 500m", "cpu: 0.5").replace("memory: 256Mi", "memory: 0.25Gi");
    shop.commit(&[("base/redis.yaml", Some(&redis))]);
    let ran = shop.run("run", &shop.local(""), &[]);
    ran.says(0, &[]);
    let report = ran.json();
    let redis = |change: &&Json| change["workload"]["name"] == "redis";
    assert_eq!(report["changes"].as_array().unwrap().iter().filter(redis).count(), 2, "{report}");
}

#[test]
fn a_policy_that_names_only_its_target_settles() {
    let shop = Shop::new();
    let policy = "apiVersion: prescale.dev/v1alpha1\nkind: 'ScalingPolicy'\nmetadata: {name: backend}\nspec: {target: {name: backend}, delivery: commit}\n";
    shop.commit(&[("overlays/prod/scaling.yaml", Some(policy))]);
    let config = shop.local("");
    shop.run("run", &config, &[]).says(0, &["capacityFollows"]);
    let tip = shop.tip();
    for _ in 0..2 {
        shop.run("run", &config, &[]).says(0, &[]);
    }
    assert_eq!(shop.tip(), tip, "it settled at once");
}

#[test]
fn explain_tells_who_owns_each_field_and_what_would_be_done() {
    let shop = Shop::new();
    let config = shop.local("");
    let explain = |name: &str| Ran::of(&mut prescale(&["explain", name, "--config", &config, "--at", &now()]));
    let words = [
        "shop-prod/Deployment/frontend in overlays/prod",
        "minReplicas = 3 overridden: base/frontend.yaml:35, manifest owned by overlays/prod/frontend-floor.yaml:6, patch would become",
        "nginx requests.cpu = 250m owned by base/frontend.yaml:21, manifest held at",
    ];
    explain("shop-prod/frontend").says(0, &words);
    explain("shop-staging/Deployment/backend").says(0, &["no policy beside the overlay names it"]);
    explain("nobody").says(1, &["no overlay renders a workload `nobody`", "shop-prod/StatefulSet/redis"]);
}

#[test]
fn a_component_that_no_longer_applies_is_mended_though_nothing_changes() {
    let shop = Shop::new();
    let config = shop.local("");
    shop.run("run", &config, &[]).says(0, &[]);
    // As if the base had moved the metric from the second place to the first.
    let header = "# Written by Prescale. It rewrites this file as a whole: set values elsewhere in the overlay, and they win.\n";
    let patch = format!(
        "{header}- op: test\n  path: /spec/metrics/1/type\n  value: Resource\n- op: test\n  path: /spec/metrics/1/resource/name\n  value: cpu\n- op: add\n  \
         path: /spec/metrics/1/resource/target/averageUtilization\n  value: 66\n"
    );
    let entry = "  - path: horizontalpodautoscaler-frontend.yaml\n    target:\n      group: autoscaling\n      version: v2\n      kind: \
                 HorizontalPodAutoscaler\n      name: frontend\n";
    let (file, folder) = ("overlays/prod/prescale/horizontalpodautoscaler-frontend.yaml", "overlays/prod/prescale/kustomization.yaml");
    shop.commit(&[(file, Some(&patch)), (folder, Some(&format!("{}{entry}", shop.file(folder).trim_end_matches('\n').to_owned() + "\n")))]);
    let broken = tempfile::tempdir().unwrap();
    shop.checkout(&shop.tip(), broken.path());
    assert!(render(&broken.path().join("overlays/prod")).is_err(), "it is broken");

    let ran = shop.run("run", &config, &[]);
    ran.says(0, &[]);
    assert_eq!(ran.json()["changes"].as_array().unwrap().iter().filter(|change| change["route"] == "commit").count(), 0, "{ran:?}");
    let message = git(&shop.bare(), &["log", "-1", "--format=%B", "main"]);
    for words in ["Mend Prescale's component\n", "overlays/prod (proven by render)", "the test of `/spec/metrics/1/type` fails"] {
        assert!(message.contains(words), "`{words}` is not in:\n{message}");
    }
    let mended = tempfile::tempdir().unwrap();
    shop.checkout(&shop.tip(), mended.path());
    let prod = render(&mended.path().join("overlays/prod")).unwrap();
    let hpa = prod.iter().find(|(object, _)| object.kind == "HorizontalPodAutoscaler").unwrap().1;
    assert_eq!(hpa["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 66, "{hpa}");
    let tip = shop.tip();
    shop.run("run", &config, &[]).says(0, &[]);
    assert_eq!(shop.tip(), tip, "it is mended once");
}

#[test]
fn without_kustomize_the_plan_says_so() {
    let shop = Shop::new();
    let ran = shop.run("run", &shop.local("render: {program: none}\n"), &[]);
    ran.says(0, &["no kustomize found"]);
    assert!(git(&shop.bare(), &["log", "-1", "--format=%B", "main"]).contains("not rendered: no kustomize found"));
}

#[test]
fn switches_stop_all_writing() {
    let shop = Shop::new();
    let before = shop.tip();
    let paused = shop.run("run", &shop.local("paused: true\n"), &[]);
    paused.says(0, &["`paused: true` in the configuration"]);
    assert_eq!(shop.tip(), before);

    let base = shop.file("base/backend.yaml").replacen(
        "  name: backend\n",
        "  name: backend\n  annotations: {prescale.dev/paused: \"true\"}\n",
        1,
    );
    shop.commit(&[("base/backend.yaml", Some(&base))]);
    shop.run("run", &shop.local(""), &[]).says(0, &["the workload's annotation"]);
    assert!(shop.file("overlays/prod/kustomization.yaml").contains("count: 3"), "backend is paused");
    assert!(!shop.file("overlays/prod/frontend-floor.yaml").contains("minReplicas: 3"), "frontend is not");
}

#[test]
fn a_person_who_was_quicker_wins() {
    // The plan is made on one base; before the push, a person sets the very value.
    let shop = Shop::new();
    let server = GitHttp::start(&shop.path());
    git(&shop.bare(), &["config", "http.receivepack", "true"]);
    let config = shop.configure(&format!("  url: {}\n  username: {USER}\n  password: {PASSWORD}\n", server.url()), "");
    let path = shop.path();
    server.fault(
        "/git-receive-pack",
        Fault::First(Box::new(move || {
            let work = path.join("person");
            git(&path, &["clone", "-q", "config.git", "person"]);
            let file = work.join("overlays/prod/kustomization.yaml");
            std::fs::write(&file, std::fs::read_to_string(&file).unwrap().replace("count: 3", "count: 11")).unwrap();
            git(&work, &["commit", "-qam", "Eleven, for the sale"]);
            git(&work, &["push", "-q", "origin", "HEAD:main"]);
        })),
    );
    let ran = shop.run("run", &config, &[]);
    ran.says(0, &["changed-meanwhile"]);
    assert!(shop.file("overlays/prod/kustomization.yaml").contains("count: 11"), "{ran:?}");
    assert!(!shop.file("overlays/prod/frontend-floor.yaml").contains("minReplicas: 3"), "the rest went on");
}

/// The study of a workload in production, as a plan shows it.
fn study<'a>(report: &'a Json, name: &str) -> &'a Json {
    let outlooks = report["outlooks"].as_array().unwrap().iter();
    let ours = |outlook: &&Json| outlook["workload"]["namespace"] == "shop-prod" && outlook["workload"]["name"] == name;
    &outlooks.clone().find(ours).unwrap_or_else(|| panic!("no outlook of {name}: {report}"))["study"]
}

#[test]
fn studies_are_made_once_kept_and_followed() {
    let shop = Shop::new();
    // Its CPU drives the backend, under an HPA that wastes most of what is requested.
    let policy = "apiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: backend}\nspec: {target: {name: backend}, \
                  capacityPerReplica: 0.25, objective: 1%, requests: {enabled: false}, delivery: commit}\n";
    let hpa = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: backend}\nspec:\n  scaleTargetRef: {apiVersion: \
               apps/v1, kind: Deployment, name: backend}\n  minReplicas: 1\n  maxReplicas: 30\n  metrics:\n    - type: Resource\n      resource:\n        \
               name: cpu\n        target:\n          type: Utilization\n          averageUtilization: 10\n";
    let resources = shop.file("overlays/prod/kustomization.yaml");
    let resources = resources.replacen("resources:\n", "resources:\n  - backend-hpa.yaml\n", 1);
    let resources = resources.split("replicas:").next().unwrap().to_owned();
    shop.commit(&[
        ("overlays/prod/scaling.yaml", Some(policy)),
        ("overlays/prod/backend-hpa.yaml", Some(hpa)),
        ("overlays/prod/kustomization.yaml", Some(&resources)),
        ("overlays/staging/scaling.yaml", None),
    ]);
    let config = shop.local("decision: {every: 1h}\n");
    let state = shop.path().join("state/studies.json");

    let plan = shop.run("plan", &config, &[]);
    assert!(plan.code == 0 && !state.exists(), "a plan keeps nothing: {plan:?}");
    let first = shop.run("run", &config, &[]);
    first.says(0, &["chosen by replay on", "targetUtilization", "minutes short included"]);
    let report = first.json();
    assert_eq!(study(&plan.json(), "backend"), study(&report, "backend"), "made in memory, it is the same");
    let kept = std::fs::read_to_string(&state).unwrap();
    let studies: Json = serde_json::from_str(&kept).unwrap();
    assert_eq!(studies.as_array().unwrap().len(), 1);
    assert_eq!(&studies[0], study(&report, "backend"));
    assert_eq!(study(&report, "backend")["subject"]["aim"], serde_json::json!({"objective": 0.01}));
    assert_eq!(report["outlooks"][0]["model"], studies[0]["model"]);
    let percent = studies[0]["hpa"]["to"]["percent"].to_string();
    let tuned = format!("averageUtilization: {percent} ");
    let written = shop.file("overlays/prod/backend-hpa.yaml") + " ";
    assert!(written.replace('\n', " ").contains(&tuned), "{written}");

    // The floor follows the HPA as it now stands; then nothing is left to do, and nothing is studied again.
    shop.run("run", &config, &[]).says(0, &[]);
    let tip = shop.tip();
    let settled = shop.run("run", &config, &[]);
    assert_eq!((settled.code, shop.tip()), (0, tip), "{settled:?}");
    assert_eq!(std::fs::read_to_string(&state).unwrap(), kept, "no study was made");
    assert_eq!(study(&settled.json(), "backend"), study(&report, "backend"));
    Ran::of(&mut prescale(&["explain", "shop-prod/backend", "--config", &config, "--at", &now()]))
        .says(0, &["a replay of 14 days on", "seasonal-naive", &format!("its HPA at {percent} %")]);

    // Another capacity makes it speak of something else.
    shop.commit(&[("overlays/prod/scaling.yaml", Some(&policy.replace("0.25", "0.2")))]);
    let changed = shop.run("plan", &config, &[]).json();
    assert_eq!(study(&changed, "backend")["subject"]["capacity"], 0.2);
}

#[test]
fn what_a_run_learned_changes_no_plan() {
    let shop = Shop::new();
    let config = shop.local("decision: {studiesPerRun: 0}\n");
    let learned = shop.path().join("state/learned");
    let cold = shop.run("plan", &config, &[]);
    assert!(cold.code == 0 && !learned.exists(), "a plan keeps nothing: {cold:?}");
    shop.run("run", &config, &[]).says(0, &[]);
    let files = || std::fs::read_dir(&learned).unwrap().map(|file| file.unwrap()).collect::<Vec<_>>();
    let written = |file: &std::fs::DirEntry| (file.file_name(), file.metadata().unwrap().modified().unwrap());
    let kept: BTreeSet<_> = files().iter().map(written).collect();
    assert!(!kept.is_empty());
    let warm = shop.run("run", &config, &[]).json();
    assert_eq!(files().iter().map(written).collect::<BTreeSet<_>>(), kept, "nothing is learned again");
    std::fs::remove_dir_all(&learned).unwrap();
    let again = shop.run("plan", &config, &[]).json();
    assert_eq!((&warm["outlooks"], &warm["held"]), (&again["outlooks"], &again["held"]));
    // A state that cannot hold it is told once, and is no failure.
    std::fs::write(&learned, "a file where a folder should be").unwrap();
    shop.run("run", &config, &[]).says(0, &["what was learned is not kept: the next run will take longer"]);
}

/// Linux alone can bind a process to one core without privileges.
#[test]
#[cfg(target_os = "linux")]
fn one_core_plans_the_same_bytes_as_many() {
    let shop = Shop::new();
    let config = shop.local("decision: {studiesPerRun: 20}\n");
    let plan = |command: &mut Command| {
        let ran = Ran::of(command.args(["plan", "--config", &config, "--at", &now(), "--output", "json"]));
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    };
    let alone = plan(Command::new("taskset").args(["-c", "0", env!("CARGO_BIN_EXE_prescale")]));
    assert!(alone.contains("\"study\""), "each signal is studied: {alone}");
    assert_eq!(alone, plan(&mut prescale(&[])));
}
