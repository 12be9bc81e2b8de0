//! The cluster and Argo CD, from an API server that speaks the real wire format: what is read, what it holds, and what goes without it.

mod limits;

use std::fmt::Write as _;

use chrono::TimeDelta;
use prescale::model::Field;
use serde_json::{Value as Json, json};

use crate::support::git::git;
use crate::support::is_full;
use crate::support::kube::{Fault, KubeApi, TOKEN, objects};
use crate::support::small::{Small, held, start};

/// The Role that is shipped.
const ROLE: &str = concat!(
    include_str!("../../manifests/prescale/base/rbac.yaml"),
    "---\n",
    include_str!("../../manifests/prescale/components/cluster-scope/bindings.yaml"),
);
/// What more it may be let do.
const OPTIONS_ROLE: &str = include_str!("../../manifests/prescale/components/argocd-options/role.yaml");

/// `shop/web` with four replicas and demand for six, in a cluster that grants what the shipped Role does.
struct World {
    small: Small,
    api: KubeApi,
}

impl World {
    fn new() -> Self {
        Self::with("signal: requests, capacityPerReplica: 10", 55.0)
    }

    fn with(spec: &str, demand: f64) -> Self {
        let small = Small::new(4, spec);
        small.history("requests", |_| demand);
        let api = KubeApi::start();
        api.allow(ROLE);
        api.put(objects::deployment("shop", "web", 4, 4));
        let world = Self { small, api };
        let kubeconfig = world.api.kubeconfig(world.small.path());
        world.small.configure(&format!("cluster: {{from: kubeconfig, kubeconfig: '{}', timeout: 2s}}\n", kubeconfig.display()));
        world
    }

    fn url(&self) -> String {
        format!("file://{}", self.small.bare().display())
    }

    fn tip(&self) -> String {
        git(&self.small.bare(), &["rev-parse", "main"])
    }

    /// An Application that deploys the overlay, well and in sync.
    fn application(&self) -> objects::Application {
        let tip = self.tip();
        let at = start() - TimeDelta::hours(1);
        objects::application("web", &self.url(), "overlays/prod", "main")
            .automated(true, true)
            .sync("Synced", &[&tip])
            .health("Healthy")
            .deployed(1, &[&tip], at, at + TimeDelta::seconds(20))
    }

    fn run(&self) -> Json {
        let report = self.small.run(0);
        assert_eq!(self.api.writes(), 0);
        report
    }
}

fn notices(report: &Json) -> String {
    report["notices"].as_array().unwrap().iter().map(|notice| notice.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

fn changed(report: &Json) -> Vec<String> {
    let field = |change: &Json| serde_json::from_value::<Field>(change["field"].clone()).unwrap();
    let text = |change: &Json| format!("{} {}", field(change), change["to"]);
    report["changes"].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn the_shipped_role_is_enough() {
    let world = World::new();
    world.api.put(world.application());
    world.api.put(objects::project("default", "[]"));
    let report = world.run();
    assert_eq!(notices(&report), "");
    assert_eq!(report["changes"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(world.small.replicas(), 6);
    let granted = world.api.log().iter().all(|asked| asked.method == "GET");
    assert!(granted);
}

#[test]
fn options_that_argo_cd_renders_with_are_compared() {
    let settings = |options: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": "argocd"}, "data": {"kustomize.buildOptions": options}});
    let told = |world: &World| notices(&world.small.plan_json(0));
    let world = World::new();
    world.api.put(world.application());
    world.api.allow(OPTIONS_ROLE);
    world.api.put(settings("--enable-helm --load-restrictor LoadRestrictionsNone"));
    world.api.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": "argocd"}}));
    assert_eq!(
        told(&world),
        "Argo CD renders with `--enable-helm --load-restrictor=LoadRestrictionsNone`, and the proof with no options: set `render.buildOptions` to \
         the same, where the repository is trusted with it"
    );
    let file = world.small.path().join("prescale.yaml");
    let config = std::fs::read_to_string(&file).unwrap();
    let same = "render: {program: none, buildOptions: [--load-restrictor=LoadRestrictionsNone, --enable-helm]}";
    std::fs::write(file, config.replace("render: {program: none}", same)).unwrap();
    assert_eq!(told(&world), "");
}

#[test]
fn what_may_not_be_read_is_told_and_gone_without() {
    let world = World::new();
    world.api.deny("verticalpodautoscalers");
    world.api.without("keda.sh");
    let report = world.run();
    let told = notices(&report);
    assert!(told.contains("verticalpodautoscalers.autoscaling.k8s.io: may not list"), "{told}");
    assert!(told.contains("without it, requests that an autoscaler owns may be written"), "{told}");
    assert!(!told.contains("scaledobjects"), "what is not installed has nothing to say: {told}");
    assert_eq!(world.small.replicas(), 6);
}

#[test]
fn a_role_of_one_namespace_will_do() {
    let world = World::new();
    world.api.deny_cluster_wide();
    let mut quota = objects::quota("shop", &[("pods", "5", "4")]);
    quota["metadata"]["name"] = json!("small");
    world.api.put(quota);
    let report = world.run();
    assert!(notices(&report).contains("nodes: may not list nodes in all namespaces"), "{}", notices(&report));
    assert!(!notices(&report).contains("pods: "), "{}", notices(&report));
    assert_eq!(world.small.replicas(), 5, "the quota leaves room for one");
    let because = report["changes"][0]["because"].to_string();
    assert!(because.contains("never above 5, since ResourceQuota small leaves no more pods"), "{because}");
}

#[test]
fn a_cluster_that_is_gone_or_refuses_holds_nothing() {
    let world = World::new();
    world.api.fail("/apis/apps/v1/deployments", Fault::Drop, 9);
    let report = world.run();
    let told = notices(&report);
    assert!(told.contains("does not answer"), "{told}");
    assert_eq!(world.small.replicas(), 6);

    let world = World::new();
    let kubeconfig = world.small.path().join("kubeconfig");
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    std::fs::write(&kubeconfig, text.replace(TOKEN, "expired")).unwrap();
    let told = notices(&world.run());
    assert!(told.contains("does not accept the credentials (401)"), "{told}");
    assert!(!told.contains("expired\""), "{told}");
}

#[test]
fn a_hiccup_is_tried_again() {
    let world = World::new();
    world.api.fail("/api/v1/pods", Fault::Status(503), 2);
    assert_eq!(notices(&world.run()), "");
    world.api.fail("/api/v1/events", Fault::Stall, 3);
    let told = notices(&world.small.run(10));
    assert!(told.contains("events: http://127.0.0.1") && told.contains("does not answer: "), "{told}");
}

#[test]
fn policies_of_the_gate_see_the_cluster() {
    let world = World::new();
    world.api.put(objects::pending_pod("shop", "web", 0, start() - TimeDelta::minutes(5)));
    world.api.put(objects::event("shop", "Deployment", "web", "FailedCreate", "quota exceeded"));
    world.api.put(Json::from(world.application().destination("https://kubernetes.default.svc", "shop").project("default")));
    let folder = world.small.path().join("policies");
    std::fs::create_dir(&folder).unwrap();
    let rego = "package prescale.gate.mine\n\nimport rego.v1\n\nhold contains message if {\n\tinput.cluster.pending > 0\n\tmessage := \
                sprintf(\"%v %v %v\", [input.cluster.unschedulable, input.cluster.warnings[0], input.argocd.destination.server])\n}\n";
    std::fs::write(folder.join("mine.rego"), rego).unwrap();
    let config = world.small.path().join("prescale.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    let gate = format!("gate: {{shipped: false, policies: ['{}']}}", folder.display());
    std::fs::write(&config, text.replace("gate: {shipped: false}", &gate)).unwrap();
    assert_eq!(held(&world.run()), ["gated"]);
    world.small.plan(0).says(0, &["Insufficient cpu", "FailedCreate: quota exceeded", "https://kubernetes.default.svc"]);
}

#[test]
fn one_of_several_sources_deploys_it() {
    let world = World::new();
    let sources = json!([
        {"repoURL": "https://charts.example.com", "chart": "redis", "targetRevision": "20.1.0"},
        {"repoURL": world.url(), "path": "overlays/prod", "targetRevision": "v3.0.0"},
    ]);
    world.api.put(objects::application("web", &world.url(), "elsewhere", "main").sources(&sources));
    assert_eq!(held(&world.run()), ["argocd"]);
    world.small.plan(0).says(0, &["deploys v3.0.0"]);
}

#[test]
fn a_kubeconfig_that_is_not_there_is_an_error() {
    let world = World::new();
    std::fs::remove_file(world.small.path().join("kubeconfig")).unwrap();
    let ran = crate::support::shop::Ran::of(&mut world.small.command("plan", 0));
    ran.says(2, &["no cluster can be reached", "correct `cluster`"]);
}

#[test]
fn pages_that_grow_too_old_begin_anew() {
    let world = World::new();
    world.api.fill(120, 2);
    let text = std::fs::read_to_string(world.small.path().join("prescale.yaml")).unwrap();
    std::fs::write(world.small.path().join("prescale.yaml"), text.replace("timeout: 2s", "timeout: 20s, pageSize: 50")).unwrap();
    world.api.expire_after(2, 2);
    let report = world.run();
    assert_eq!(notices(&report), "");
    let pods = world.api.log().iter().filter(|asked| asked.path == "/api/v1/pods").count();
    assert!(pods >= 5, "{pods} pages of pods");
}

#[test]
fn objects_without_a_controller_or_metrics_are_read() {
    let world = World::new();
    world.api.put(objects::deployment_unseen("shop", "web", 4));
    world.api.put(objects::hpa_without_metrics("shop", "web", "web", 2, 10));
    let report = world.run();
    assert_eq!(notices(&report), "");
    // Git does not know of the autoscaler, which owns the replicas all the same.
    assert_eq!(held(&report), ["scaledElsewhere"]);
    world.small.plan(0).says(0, &["HorizontalPodAutoscaler `web`, which the overlay does not have"]);
    world.api.remove("horizontalpodautoscalers", "shop", "web");
    world.run();
    assert_eq!(world.small.replicas(), 6);
}

#[test]
fn a_pause_in_the_cluster_counts() {
    let world = World::new();
    world.api.put(objects::scaled_object("shop", "web", "web", 2, true));
    let report = world.run();
    assert_eq!(held(&report), ["paused"]);
    assert_eq!(world.small.replicas(), 4);
}

#[test]
fn a_vertical_autoscaler_owns_requests() {
    let small = Small::new(4, "signal: requests, capacityPerReplica: 10, replicas: {max: 4}");
    small.history("requests", |_| 30.0);
    let policy = "apiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: web}\n\
                  spec: {target: {name: web}, signal: requests, capacityPerReplica: 10, requests: {leastHistory: 1d}, delivery: commit}\n";
    crate::support::git::commit_at(&small.bare(), "main", "overlays/prod/scaling.yaml", policy, start() - TimeDelta::hours(1));
    small.history("cpu.app", |_| 0.4);
    let api = KubeApi::start();
    api.allow(ROLE);
    api.put(objects::deployment("shop", "web", 4, 4));
    let kubeconfig = api.kubeconfig(small.path());
    small.configure(&format!("cluster: {{from: kubeconfig, kubeconfig: '{}'}}\n", kubeconfig.display()));
    for (mode, expected) in [("Auto", true), ("Off", false)] {
        api.put(objects::vpa("shop", "web", "web", mode));
        let ran = crate::support::shop::Ran::of(small.command("plan", 0).args(["--output", "json"]));
        let report = ran.json();
        assert_eq!(held(&report).contains(&"vpaOwns".to_owned()), expected, "{mode}: {report}");
    }
    api.remove("verticalpodautoscalers", "shop", "web");
    api.put(objects::limit_range("shop", "[{type: Container, max: {cpu: 300m}}]"));
    let ran = crate::support::shop::Ran::of(small.command("plan", 0).args(["--output", "json"]));
    assert!(held(&ran.json()).contains(&"limitRange".to_owned()), "{}", ran.out);
    api.remove("limitranges", "shop", "limits");
    api.put(objects::node("small", "400m", "8Gi", false));
    api.put(objects::node("away", "8", "8Gi", true));
    let ran = crate::support::shop::Ran::of(small.command("plan", 0).args(["--output", "json"]));
    assert!(held(&ran.json()).contains(&"noNode".to_owned()), "{}", ran.out);
}

#[test]
fn a_disruption_budget_is_never_undercut() {
    let world = World::with("signal: requests, capacityPerReplica: 10, replicas: {stepDown: 1, stabilization: 0s}", 15.0);
    let text = std::fs::read_to_string(world.small.path().join("prescale.yaml")).unwrap();
    let settings = "gate: {settings: {newWorkload: {days: 0}}}";
    std::fs::write(world.small.path().join("prescale.yaml"), text.replace("gate: {shipped: false}", settings)).unwrap();
    world.api.put(objects::pdb("shop", "web", "web", 3, 4));
    let report = world.run();
    assert_eq!(held(&report), ["gated"], "{report}");
    assert!(report["held"][0]["why"]["message"].as_str().unwrap().contains("wants 3 available"), "{report}");
}

/// What becomes of an Application.
type Turn<'a> = &'a dyn Fn(&World, objects::Application) -> objects::Application;

#[test]
fn argocd_s_state_holds_changes() {
    let tip = |world: &World| world.tip();
    let cases: [(&str, Turn<'_>, Option<&str>); 6] = [
        ("well", &|_, app| app, None),
        ("degraded", &|_, app| app.health("Degraded"), Some("is Degraded")),
        ("progressing", &|_, app| app.health("Progressing"), Some("is Progressing")),
        (
            "out of sync elsewhere",
            &|world, app| app.sync("OutOfSync", &[&tip(world)]).resource("ConfigMap", "shop", "web", "OutOfSync"),
            Some("OutOfSync in other objects (ConfigMap/web)"),
        ),
        ("out of sync by us", &|world, app| app.sync("OutOfSync", &[&tip(world)]).resource("Deployment", "shop", "web", "OutOfSync"), None),
        (
            "syncing",
            &|world, app| app.operation("Running", "", &[&tip(world)], start() - TimeDelta::minutes(1), None),
            Some("is being synced"),
        ),
    ];
    for (name, make, expected) in cases {
        let world = World::new();
        world.api.put(make(&world, world.application()));
        let report = world.run();
        match expected {
            None => assert_eq!((held(&report), world.small.replicas()), (vec![], 6), "{name}"),
            Some(words) => {
                assert_eq!(held(&report), ["argocd"], "{name}: {report}");
                let ran = world.small.plan(0);
                ran.says(0, &["Argo CD's Application argocd/web", words]);
                assert_eq!(world.small.replicas(), 4, "{name}");
            }
        }
    }
}

#[test]
fn only_what_argocd_deploys_from_the_branch_is_written() {
    for (revision, words) in [
        ("v1.2.3", "deploys v1.2.3, which no commit moves"),
        ("0123456789012345678901234567890123456789", "which no commit moves"),
        ("release", "deploys the branch release"),
    ] {
        let world = World::new();
        world.api.put(objects::application("web", &world.url(), "overlays/prod", revision).automated(true, true));
        assert_eq!(held(&world.run()), ["argocd"], "{revision}");
        world.small.plan(0).says(0, &[words]);
    }
    let world = World::new();
    world.api.put(objects::application("web", &world.url(), "./overlays/prod/", "HEAD"));
    let report = world.run();
    assert_eq!(changed(&report), ["replicas 6"]);
    assert!(report["changes"][0]["because"].to_string().contains("does not sync by itself"), "{report}");
}

#[test]
fn a_hydrated_branch_is_not_edited() {
    let world = World::new();
    world.api.put(objects::application("web", &world.url(), "dry/web", "dry").hydrated("main", "overlays/prod", "", ""));
    assert_eq!(held(&world.run()), ["argocd"]);
    world.small.plan(0).says(0, &["name the dry branch"]);
}

#[test]
fn a_sync_window_freezes() {
    let world = World::new();
    world.api.put(world.application());
    let windows = "[{kind: deny, schedule: '0 6 * * *', duration: 2h, timeZone: UTC, applications: ['*']}]";
    world.api.put(objects::project("default", windows));
    assert_eq!(held(&world.run()), ["argocd"]);
    world.small.plan(0).says(0, &["is not synced until 2026-11-16 08:00 UTC", "deny 0 6 * * *"]);
    let report = world.small.run(61);
    assert_eq!(held(&report), Vec::<String>::new());
    assert_eq!(world.small.replicas(), 6);
}

#[test]
fn odd_applications_are_told() {
    let world = World::new();
    world.api.put(world.application());
    world.api.put(objects::application("twin", &world.url(), "overlays/prod", "main").automated(true, true));
    world.api.put(objects::application("lost", &world.url(), "overlays/gone", "main"));
    world.api.put(objects::application_set("all", &world.url(), "main", "overlays/*"));
    world.api.put(objects::application("made", &world.url(), "overlays/prod", "v1.0.0").owned_by("all"));
    world.api.put(objects::project("default", "[{kind: deny, schedule: 'often', duration: 1h, applications: ['none']}]"));
    let report = world.run();
    let told = notices(&report);
    assert!(told.contains("Application argocd/lost deploys `overlays/gone`, which the branch `main` does not have"), "{told}");
    assert!(told.contains("3 Applications deploy `overlays/prod`"), "{told}");
    assert!(told.contains("AppProject default"), "{told}");
    assert_eq!(world.small.replicas(), 6, "one that follows a tag gets it with the next tag");
}

#[test]
fn manifests_of_argocd_in_git_count_as_well() {
    let world = World::new();
    world.small.configure("overlays: [overlays]\n");
    let application = serde_yaml::to_string(&json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "web", "namespace": "argocd"},
        "spec": {"project": "default", "source": {"repoURL": world.url(), "path": "overlays/prod", "targetRevision": "v2.0.0"},
                 "destination": {"namespace": "shop", "server": "https://kubernetes.default.svc"}},
    }));
    crate::support::git::commit_at(&world.small.bare(), "main", "argocd/web.yaml", &application.unwrap(), start() - TimeDelta::hours(1));
    assert_eq!(held(&world.run()), ["argocd"]);
    world.api.put(world.application());
    assert_eq!(changed(&world.run()), ["replicas 6"], "the live one knows better");
}

/// A policy for `shop/web` as the cluster has it.
fn policy(name: &str, spec: &Json) -> Json {
    json!({"apiVersion": "prescale.dev/v1alpha1", "kind": "ScalingPolicy", "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

#[test]
fn policies_of_the_cluster_govern_what_git_leaves() {
    let world = World::new();
    // Git has its own, which wins.
    world.api.put(policy("web", &json!({"target": {"name": "web"}, "replicas": {"max": 5}, "delivery": "commit"})));
    assert_eq!(changed(&world.run()), ["replicas 6"]);

    let world = World::new();
    git_remove_policy(&world);
    world.api.put(policy(
        "web",
        &json!({"target": {"name": "web"}, "signal": "requests", "capacityPerReplica": 10, "replicas": {"max": 5}, "delivery": "commit"}),
    ));
    let report = world.run();
    assert_eq!(changed(&report), ["replicas 5"], "{report}");
    let because = report["changes"][0]["because"].to_string();
    assert!(because.contains("`replicas.max` of ScalingPolicy shop/web in the cluster"), "{because}");

    let world = World::new();
    git_remove_policy(&world);
    world.api.put(policy("web", &json!({"target": {"name": "other"}, "replica": {}})));
    assert_eq!(held(&world.run()), ["workloadAbsent"]);
}

fn git_remove_policy(world: &World) {
    let text = "# No policy here.\n";
    crate::support::git::commit_at(&world.small.bare(), "main", "overlays/prod/scaling.yaml", text, start() - TimeDelta::hours(1));
}

#[test]
fn a_default_policy_stands_for_all() {
    let world = World::new();
    git_remove_policy(&world);
    let spec = "{signal: requests, capacityPerReplica: 10, replicas: {max: 7}, requests: {enabled: false}, delivery: commit}";
    let all = format!("apiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {{name: default}}\nspec: {spec}\n");
    let at = |minutes| start() - TimeDelta::minutes(minutes);
    crate::support::git::commit_at(&world.small.bare(), "main", "policies.yaml", &all, at(50));
    let nearer =
        "apiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: default, namespace: shop}\nspec: {replicas: {max: 5}}\n";
    crate::support::git::commit_at(&world.small.bare(), "main", "overlays/policies.yaml", nearer, at(40));
    let report = world.run();
    assert_eq!(changed(&report), ["replicas 5"], "{report}");
    let because = report["changes"][0]["because"].to_string();
    assert!(because.contains("`replicas.max` of overlays/policies.yaml:1"), "{because}");

    let odd = all.replace("replicas: {max: 7}", "replica: {max: 7}");
    crate::support::git::commit_at(&world.small.bare(), "main", "policies.yaml", &odd, at(30));
    assert_eq!(held(&world.small.run(10)), ["policyInvalid"]);
    world.small.plan(10).says(0, &["policies.yaml", "replicas"]);
}

#[test]
fn an_application_set_in_git_tells_what_it_deploys() {
    let small = Small::new(4, "signal: requests, capacityPerReplica: 10");
    small.history("requests", |_| 55.0);
    let url = format!("file://{}", small.bare().display());
    let set = |revision: &str, path: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {{name: shop, namespace: argocd}}\nspec:\n  goTemplate: true\n  generators: [{{git: {{repoURL: '{url}', \
             revision: main, directories: [{{path: overlays/*}}]}}}}]\n  template:\n    metadata: {{name: 'shop-{{{{.path.basename}}}}'}}\n    spec: {{source: {{repoURL: '{url}', \
             targetRevision: '{revision}', path: '{path}'}}}}\n"
        )
    };
    let put = |text: &str| crate::support::git::commit_at(&small.bare(), "main", "argocd/set.yaml", text, start() - TimeDelta::hours(1));
    put(&set("v1.2.3", "{{.path.path}}"));
    assert_eq!(held(&small.plan_json(0)), ["argocd"]);
    small.plan(0).says(0, &["shop-prod (of ApplicationSet shop)", "v1.2.3"]);
    put(&set("main", "{{.path.path}}"));
    let plan = small.plan_json(0);
    assert_eq!(changed(&plan), ["replicas 6"]);
    assert!(plan["changes"][0]["because"].to_string().contains("does not sync by itself"), "{plan}");
    put(&set("main", "{{.values.path}}"));
    let plan = small.plan_json(0);
    assert!(
        notices(&plan).contains("ApplicationSet shop makes Applications of this repository (git), and Git alone does not tell which"),
        "{plan}"
    );
}

#[test]
fn the_way_from_a_commit_to_ready_pods_is_measured() {
    let world = World::new();
    let at = |minutes: i64, seconds: i64| start() - TimeDelta::minutes(minutes) + TimeDelta::seconds(seconds);
    let mut application = world.application();
    for (n, minutes) in [(2, 300), (3, 200), (4, 100)] {
        let commit = crate::support::git::commit_at(&world.small.bare(), "main", "notes.txt", &n.to_string(), at(minutes, 0));
        application = application.deployed(n, &[&commit], at(minutes, 80), at(minutes, 90));
    }
    world.api.put(application.sync("Synced", &[&world.tip()]));
    for index in 0..4 {
        let minutes = 60 - index as i64;
        world.api.put(objects::pod("shop", "web", index, [at(minutes, 0), at(minutes, 1), at(minutes, 21), at(minutes, 30)]));
    }
    world.small.configure("decision: {leadTime: 30m}\n");
    let config = std::fs::read_to_string(world.small.path().join("prescale.yaml")).unwrap();
    let config = config.replace("url: 'file:", "depth: 0, url: 'file:");
    std::fs::write(world.small.path().join("prescale.yaml"), config).unwrap();
    let explained = crate::support::shop::Ran::of(world.small.command("explain", 0).arg("shop/web"));
    explained.says(0, &["measured lead time", "sync 90 s", "schedule 1 s", "start 20 s", "ready 9 s", "together 2 minutes"]);
}

#[test]
fn how_long_an_application_takes_to_be_healthy_is_learned_from_run_to_run() {
    let world = World::new();
    world.small.configure("decision: {leadTime: 30m}\n");
    let config = world.small.path().join("prescale.yaml");
    let deep = std::fs::read_to_string(&config).unwrap().replace("url: 'file:", "depth: 0, url: 'file:");
    std::fs::write(&config, deep).unwrap();
    let at = |seconds: i64| start() - TimeDelta::minutes(50) + TimeDelta::seconds(seconds);
    let mut application = world.application();
    for run in 0..3_u32 {
        let from = i64::from(run) * 600;
        let commit = crate::support::git::commit_at(&world.small.bare(), "main", "notes.txt", &run.to_string(), at(from));
        application = application.deployed(u64::from(run) + 2, &[&commit], at(from + 80), at(from + 90));
        // Where it is not well as yet, or is since before the sync, that tells nothing.
        for (minutes, health, seconds) in [(0, "Progressing", 95), (1, "Healthy", 60), (2, "Healthy", 120), (3, "Healthy", 130)] {
            let mut seen = Json::from(application.clone().sync("Synced", &[&commit]).health(health));
            seen["status"]["health"]["lastTransitionTime"] = json!(at(from + seconds).to_rfc3339());
            world.api.put(seen);
            world.small.run(i64::from(run) * 4 + minutes);
        }
    }
    let explained = crate::support::shop::Ran::of(world.small.command("explain", 20).arg("shop/web"));
    explained.says(0, &["sync 90 s", "healthy 30 s (mean 30 s, of 3); together 2 minutes"]);
}

#[test]
fn nothing_is_scaled_in_without_an_error_budget() {
    let small = Small::new(9, "signal: requests, capacityPerReplica: 10, errorBudget: 'min(left)'");
    small.history("requests", |_| 55.0);
    let settled = std::fs::read_to_string(small.path().join("prescale.yaml")).unwrap().replace("shipped: false", "shipped: true");
    std::fs::write(small.path().join("prescale.yaml"), settled).unwrap();
    let plan = |left: Option<f64>| {
        let _ = std::fs::remove_file(small.path().join("history/shop/web/error-budget.csv"));
        if let Some(left) = left {
            small.history("error-budget", |_| left);
        }
        small.plan_json(0)
    };
    let says = |report: &Json, words: &str| report["held"].to_string().contains(words);
    let burnt = plan(Some(0.0));
    assert!(says(&burnt, "its error budget is used up: it is not scaled in") && changed(&burnt).is_empty(), "{burnt}");
    let unknown = plan(None);
    assert!(
        says(&unknown, "its error budget cannot be read: it is not scaled in") && says(&unknown, "tells no error budget of the last hour")
    );
    let left = plan(Some(0.4));
    assert!(!says(&left, "error budget"), "{left}");
}

#[test]
fn what_degraded_an_application_is_taken_back() {
    let world = World::new();
    let tip = world.tip();
    world.api.put(world.application());
    world.run();
    assert_eq!(world.small.replicas(), 6);
    let ours = world.tip();
    assert_ne!(ours, tip);
    let at = |minutes: i64| start() + TimeDelta::minutes(minutes);
    let before = objects::application("web", &world.url(), "overlays/prod", "main").automated(true, true);
    let unwell =
        before.deployed(1, &[&tip], at(-60), at(-59)).deployed(2, &[&ours], at(1), at(2)).sync("Synced", &[&ours]).health("Degraded");
    let mut unwell = Json::from(unwell);
    unwell["status"]["health"]["lastTransitionTime"] = json!(objects::time(at(4)));
    world.api.put(unwell.clone());
    let report = world.small.run(10);
    assert_eq!(changed(&report), ["replicas 4"], "{report}");
    assert_eq!(report["changes"][0]["route"], "pullRequest");
    assert!(report["changes"][0]["because"].to_string().contains("is Degraded since 2026-11-16 07:04 UTC"), "{report}");
    assert_eq!(world.small.replicas(), 6, "people look at it first");

    // They take it, the Application recovers, and it is not made again for now.
    crate::support::git::git(&world.small.bare(), &["update-ref", "refs/heads/main", "refs/heads/prescale/main/floors"]);
    assert_eq!(world.small.replicas(), 4);
    world.api.put(world.application().sync("Synced", &[&world.tip()]));
    assert_eq!(held(&world.small.run(20)), ["vetoed"]);
    world.small.plan(30).says(0, &["its Application became Degraded by it"]);
}

#[test]
fn two_commits_of_one_run_are_taken_back_together_and_what_came_with_others_is_not() {
    let world = World::new();
    let at = |minutes: i64| start() + TimeDelta::minutes(minutes);
    let file = |path: &str, from: &str, to: &str| {
        let text = git(&world.small.bare(), &["show", &format!("main:{path}")]) + "\n";
        assert!(text.contains(from), "{text}");
        crate::support::git::commit_at(&world.small.bare(), "main", path, &text.replace(from, to), at(-90))
    };
    file("overlays/prod/scaling.yaml", "requests: {enabled: false}", "requests: {leastHistory: 1d}");
    let tip = file("overlays/prod/web.yaml", "image: app:1", "image: app:1, resources: {requests: {memory: 1Gi}}");
    world.small.history("memory.app", |_| 209_715_200.0).history("cpu.app", |_| 0.1);
    world.api.put(world.application().sync("Synced", &[&tip]));
    let report = world.run();
    let ours = git(&world.small.bare(), &["rev-list", &format!("{tip}..main")]);
    let ours: Vec<&str> = ours.lines().collect();
    assert_eq!(ours.len(), 2, "floors and templates: {report}");
    let unwell = |before: &str| {
        let application = objects::application("web", &world.url(), "overlays/prod", "main").automated(true, true);
        let application = application.deployed(1, &[before], at(-60), at(-59)).deployed(2, &[ours[0]], at(1), at(2));
        let mut unwell = Json::from(application.sync("Synced", &[ours[0]]).health("Degraded"));
        unwell["status"]["health"]["lastTransitionTime"] = json!(objects::time(at(4)));
        world.api.put(unwell);
        world.small.plan_json(10)
    };
    let mut back = changed(&unwell(&tip));
    back.sort();
    assert_eq!(back, ["app requests.memory \"1Gi\"", "replicas 4"]);
    // The sync brought a commit of someone else's as well.
    let theirs = git(&world.small.bare(), &["rev-parse", &format!("{tip}^")]);
    assert!(!changed(&unwell(&theirs)).contains(&"replicas 4".to_owned()));
}

#[test]
fn an_overlay_without_a_namespace_runs_where_its_application_deploys_it() {
    let world = World::new();
    let at = start() - TimeDelta::minutes(50);
    let text = git(&world.small.bare(), &["show", "main:overlays/prod/web.yaml"]) + "\n";
    crate::support::git::commit_at(&world.small.bare(), "main", "overlays/prod/web.yaml", &text.replace(", namespace: shop", ""), at);
    world.small.plan(0).says(
        0,
        &["renders the workload without a namespace, and no Application says where it is deployed: set `metadata.namespace` in its policy"],
    );
    // Another folder builds on the overlay, and that is the one which is deployed.
    crate::support::git::commit_at(
        &world.small.bare(),
        "main",
        "clusters/prod/kustomization.yaml",
        "resources: [../../overlays/prod]\n",
        at,
    );
    let deployed = |destination: &str, revision: &str| {
        let application = objects::application("web", &world.url(), "clusters/prod", revision).automated(true, true);
        world.api.put(application.destination(destination, "shop").sync("Synced", &[&world.tip()]));
    };
    deployed("https://kubernetes.default.svc", "v1.2.3");
    assert_eq!(held(&world.small.plan_json(0)), ["argocd"]);
    deployed("https://kubernetes.default.svc", "main");
    assert_eq!(changed(&world.small.plan_json(0)), ["replicas 6"]);
    // The policy may say it as well; and what this cluster has by that name is nothing to an Application of another cluster.
    world.api.put(objects::hpa_without_metrics("shop", "web", "web", 2, 10));
    assert_eq!(held(&world.small.plan_json(0)), ["scaledElsewhere"]);
    deployed("https://eu.example.com", "main");
    assert_eq!(changed(&world.small.plan_json(0)), ["replicas 6"]);
    world.api.remove("applications", "argocd", "web");
    let policy = git(&world.small.bare(), &["show", "main:overlays/prod/scaling.yaml"]) + "\n";
    let policy = policy.replace("metadata: {name: web}", "metadata: {name: web, namespace: shop}");
    crate::support::git::commit_at(&world.small.bare(), "main", "overlays/prod/scaling.yaml", &policy, at);
    world.api.remove("horizontalpodautoscalers", "shop", "web");
    assert_eq!(changed(&world.small.run(0)), ["replicas 6"]);
}

#[test]
fn a_bound_that_keeps_a_floor_where_it_is_is_named() {
    let small = Small::new(4, "signal: requests, capacityPerReplica: 10, replicas: {max: 4}");
    small.history("requests", |_| 55.0);
    small.plan(0).says(0, &["the forecast asks for 6: never above 4, `replicas.max` of overlays/prod/scaling.yaml:1"]);
    assert_eq!(held(&small.run(0)), ["bounded"]);
    let small = Small::new(4, "signal: requests, capacityPerReplica: 10, replicas: {min: 4}");
    small.history("requests", |_| 15.0);
    small.plan(0).says(0, &["2 would do: never below 4, `replicas.min` of overlays/prod/scaling.yaml:1"]);
}

#[test]
fn policies_that_cannot_be_told_apart_are_held() {
    let world = World::new();
    git_remove_policy(&world);
    let spec = json!({"target": {"name": "web"}, "signal": "requests", "capacityPerReplica": 10, "delivery": "commit"});
    world.api.put(policy("one", &spec));
    world.api.put(policy("two", &spec));
    assert_eq!(held(&world.run()), ["policyInvalid"]);
    world.small.plan(0).says(0, &["several policies of the cluster name it", "ScalingPolicy shop/two in the cluster"]);

    // What stands for all, twice in one folder; and one that stands beside no overlay.
    let world = World::new();
    let at = start() - TimeDelta::minutes(50);
    let all = "apiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: default}\nspec: {replicas: {max: 5}}\n";
    crate::support::git::commit_at(&world.small.bare(), "main", "overlays/one.yaml", all, at);
    crate::support::git::commit_at(&world.small.bare(), "main", "overlays/two.yaml", all, at);
    assert_eq!(held(&world.run()), ["policyInvalid"]);
    world.small.plan(0).says(0, &["overlays/one.yaml:1 and overlays/two.yaml:1 stand for the same workloads"]);

    let world = World::new();
    let lost = all.replace("default", "defaults").replace("spec: {", "spec: {target: {name: web}, ");
    crate::support::git::commit_at(&world.small.bare(), "main", "elsewhere/lost.yaml", &lost, at);
    assert_eq!((held(&world.run()), world.small.replicas()), (vec!["policyInvalid".to_owned()], 6));
    world.small.plan(0).says(0, &["elsewhere/lost.yaml:1: stands beside no overlay"]);
}

#[test]
fn windows_and_freezes_keep_changes_for_later() {
    // The start is a Monday, at eight in Berlin.
    let small = Small::new(
        4,
        "signal: requests, capacityPerReplica: 10, calendar: {timeZone: Europe/Berlin}, windows: [{days: [monday], from: '09:00', to: '17:00'}]",
    );
    small.history("requests", |_| 55.0);
    assert_eq!(held(&small.run(0)), ["outsideWindow"]);
    small.plan(0).says(0, &["none of its policy's windows is open until 2026-11-16 08:00 UTC"]);
    assert_eq!((held(&small.run(60)), small.replicas()), (vec![], 6));

    let freeze = "freezes: [{from: 2026-11-16T00:00, to: 2026-11-17T00:00, why: launch day, allowRises: true}]";
    let small = Small::new(9, &format!("signal: requests, capacityPerReplica: 10, {freeze}"));
    small.history("requests", |_| 55.0);
    assert_eq!(held(&small.run(0)), ["frozen"]);
    small.plan(0).says(0, &["a freeze of its policy holds it (launch day) until 2026-11-17 00:00 UTC"]);
    let small = Small::new(4, &format!("signal: requests, capacityPerReplica: 10, {freeze}"));
    small.history("requests", |_| 55.0);
    assert_eq!((held(&small.run(0)), small.replicas()), (vec![], 6), "a rise is allowed");
}

/// The most memory that a process had, in MiB, and what it printed.
fn watched(command: &mut std::process::Command) -> (f64, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut child = command.stdout(file.reopen().unwrap()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most: f64 = 0.0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
        most = most.max(kib.unwrap_or(0.0) / 1024.0);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    (most, std::fs::read_to_string(file.path()).unwrap())
}

#[test]
fn a_large_cluster_is_read_page_by_page() {
    let (workloads, pods) = if is_full() { (10_000, 5) } else { (300, 5) };
    let world = World::new();
    world.api.fill(workloads, pods);
    let mut manifests = String::new();
    for n in 0..workloads {
        let id = format!("name: app-{n:05}, namespace: fleet-{:03}", n / 100);
        writeln!(
            manifests,
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{{id}}}\nspec: {{replicas: 5, template: {{spec: {{containers: [{{name: app, image: app}}]}}}}}}"
        )
        .unwrap();
    }
    let at = start() - TimeDelta::minutes(50);
    let all = "apiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: default}\nspec: {capacityPerReplica: 1}\n";
    for (path, text) in
        [("fleet/kustomization.yaml", "resources: [apps.yaml]\n"), ("fleet/apps.yaml", manifests.as_str()), ("fleet/policy.yaml", all)]
    {
        crate::support::git::commit_at(&world.small.bare(), "main", path, text, at);
    }
    let config = world.small.path().join("prescale.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("timeout: 2s", "timeout: 30s")).unwrap();
    let (memory, out) = watched(world.small.command("plan", 0).args(["--output", "json"]));
    let report: Json = serde_json::from_str(&out).unwrap();
    assert_eq!(notices(&report), "");
    let asked = world.api.log();
    let pages = asked.iter().filter(|asked| asked.path == "/api/v1/pods").count();
    assert!(asked.iter().all(|asked| asked.parameter("limit") == Some("500")));
    assert_eq!(pages, (workloads * pods).div_ceil(500));
    eprintln!("{workloads} workloads and {} pods: {memory:.0} MiB at most, {} requests", workloads * pods, asked.len());
    assert!(memory < 300.0, "{memory} MiB");
}

/// A real API server, where `PRESCALE_TEST_KUBECONFIG` names one (as an admin): it takes the shipped manifests, and answers the shipped
/// ServiceAccount as the fake does, page by page.
#[test]
fn a_real_api_server_answers_as_the_fake_does() {
    let Some(kubeconfig) = std::env::var_os("PRESCALE_TEST_KUBECONFIG") else {
        eprintln!("PRESCALE_TEST_KUBECONFIG names no API server: only the fake is asked");
        return;
    };
    let kubectl = |args: &[&str], input: &str| {
        let mut command = std::process::Command::new("kubectl");
        let command = command.arg("--kubeconfig").arg(&kubeconfig).args(args).stdin(std::process::Stdio::piped());
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), input.as_bytes()).unwrap();
        drop(child.stdin.take());
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "kubectl {args:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    let namespaces =
        "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n---\n{apiVersion: v1, kind: Namespace, metadata: {name: prescale}}\n";
    kubectl(&["apply", "--server-side", "-f", "-"], namespaces);
    let crd = include_str!("../../manifests/prescale/base/crd.yaml");
    kubectl(&["apply", "--server-side", "-f", "-"], &format!("{crd}---\n{ROLE}"));
    kubectl(&["wait", "--for=condition=Established", "crd/scalingpolicies.prescale.dev", "--timeout=30s"], "");
    for overlay in ["dev", "prod"] {
        let folder = format!("{}/manifests/prescale/overlays/{overlay}", env!("CARGO_MANIFEST_DIR"));
        kubectl(&["apply", "--server-side", "--force-conflicts", "--warnings-as-errors", "-k", &folder], "");
    }
    kubectl(&["-n", "prescale", "create", "job", "--from=cronjob/prescale", "--dry-run=server", "first"], "");
    let spec = json!({"target": {"name": "web"}, "signal": "requests", "capacityPerReplica": 10, "replicas": {"max": 5}, "delivery": "commit",
                      "windows": {"templates": [{"days": ["saturday"]}]}, "requests": {"minCpu": 1, "minMemory": "64Mi"}});
    let objects = [
        objects::deployment_unseen("shop", "web", 4),
        objects::hpa_without_metrics("shop", "other", "other", 2, 10),
        objects::limit_range("shop", "[{type: Container, max: {cpu: 300m}}]"),
        policy("web", &spec),
    ];
    for mut object in objects {
        for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
            object["metadata"].as_object_mut().unwrap().remove(field);
        }
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &object.to_string());
    }
    // The policy that counts is on the second page.
    let nobody = |n: usize| {
        let mut one = policy("nobody", &json!({"target": {"name": format!("nobody-{n}")}}));
        one["metadata"] = json!({"name": format!("nobody-{n}"), "namespace": "shop"});
        one
    };
    let many = json!({"apiVersion": "v1", "kind": "List", "items": (0..520).map(nobody).collect::<Vec<_>>()}).to_string();
    kubectl(&["apply", "--server-side", "-f", "-"], &many);
    let world = World::new();
    git_remove_policy(&world);
    let config = world.small.path().join("prescale.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("timeout: 2s", "timeout: 30s")).unwrap();
    // As the shipped ServiceAccount, which may list, and nothing else.
    let mut account: Json =
        serde_json::from_str(&kubectl(&["config", "view", "--raw", "--minify", "--flatten", "--output", "json"], "")).unwrap();
    account["users"][0]["user"] = json!({"token": kubectl(&["-n", "prescale", "create", "token", "prescale"], "").trim()});
    std::fs::write(world.small.path().join("kubeconfig"), account.to_string()).unwrap();
    let report = world.small.run(0);
    assert_eq!(notices(&report), "");
    assert_eq!(changed(&report), ["replicas 5"], "{report}");
    kubectl(&["delete", "--wait=false", "-f", "-"], &many);
    for (verb, what) in
        [("get", "secrets"), ("get", "configmaps"), ("create", "pods"), ("patch", "deployments.apps"), ("patch", "deployments.apps/scale")]
    {
        let mut command = std::process::Command::new("kubectl");
        let command = command.arg("--kubeconfig").arg(world.small.path().join("kubeconfig"));
        let answer = command.args(["auth", "can-i", verb, what, "--all-namespaces"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "no", "{verb} {what}");
    }
}

#[test]
fn a_policy_that_cannot_be_read_leaves_its_workload_to_nobody() {
    let world = World::new();
    let at = start() - TimeDelta::minutes(50);
    let spec = "{signal: requests, capacityPerReplica: 10, requests: {enabled: false}, delivery: commit}";
    let all = format!("apiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {{name: default}}\nspec: {spec}\n");
    crate::support::git::commit_at(&world.small.bare(), "main", "policies.yaml", &all, at);
    let broken = "apiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {name: web}\nspec: {target: {name: web}, replicas: {max: 5}, delivery: observe\n";
    crate::support::git::commit_at(&world.small.bare(), "main", "overlays/prod/scaling.yaml", broken, at);
    world.api.put(policy("web", &json!({"target": {"name": "web"}, "signal": "requests", "capacityPerReplica": 10, "delivery": "commit"})));
    assert_eq!(held(&world.run()), ["policyInvalid"]);
    assert_eq!(world.small.replicas(), 4);
    // What stands for all, unreadable: what it would have held is not known.
    git_remove_policy(&world);
    world.api.remove("scalingpolicies", "shop", "web");
    crate::support::git::commit_at(&world.small.bare(), "main", "policies.yaml", &all.replace("commit}", "commit"), at);
    assert_eq!((held(&world.small.run(10)), world.small.replicas()), (vec!["policyInvalid".to_owned()], 4));
}

#[test]
fn a_policy_of_the_cluster_is_not_for_another_cluster_s_overlay() {
    let world = World::new();
    let at = start() - TimeDelta::minutes(50);
    let web = git(&world.small.bare(), &["show", "main:overlays/prod/web.yaml"]) + "\n";
    crate::support::git::commit_at(&world.small.bare(), "main", "overlays/dev/kustomization.yaml", "resources: [web.yaml]\n", at);
    crate::support::git::commit_at(&world.small.bare(), "main", "overlays/dev/web.yaml", &web, at);
    let spec = json!({"signal": "requests", "capacityPerReplica": 10, "delivery": "commit"});
    world.api.put(policy("default", &spec));
    let mut named = spec.clone();
    named["target"] = json!({"name": "web"});
    world.api.put(policy("web", &named));
    let report = world.run();
    assert_eq!(changed(&report), ["replicas 6"], "only where Git says so: {report}");
    assert_eq!(git(&world.small.bare(), &["show", "main:overlays/dev/web.yaml"]) + "\n", web);
}

#[test]
fn two_policies_beside_one_overlay_hold_their_workload() {
    let world = World::new();
    let twin = git(&world.small.bare(), &["show", "main:overlays/prod/scaling.yaml"]) + "\n";
    crate::support::git::commit_at(&world.small.bare(), "main", "overlays/prod/twin.yaml", &twin, start() - TimeDelta::hours(1));
    assert_eq!((held(&world.run()), world.small.replicas()), (vec!["policyOverlap".to_owned()], 4));
    world.small.plan(0).says(0, &["several policies name it: overlays/prod/scaling.yaml:1, overlays/prod/twin.yaml:1; keep one"]);
}
