//! What the cluster has room for: quotas, limit ranges, nodes and budgets, and that none of them is lost for another list.

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use super::{World, changed, notices};
use crate::support::git::{commit_at, git};
use crate::support::kube::{Fault, objects};
use crate::support::shop::Ran;
use crate::support::small::{held, start};

impl World {
    /// Has someone change a file of the overlay, or make it from another one.
    fn edit(&self, from: &str, to: &str, edit: impl Fn(String) -> String) {
        let text = git(&self.small.bare(), &["show", &format!("main:overlays/prod/{from}")]) + "\n";
        commit_at(&self.small.bare(), "main", &format!("overlays/prod/{to}"), &edit(text), start() - TimeDelta::hours(1));
    }
}

/// The world with a second workload, `shop/backend`, of three replicas and with demand for six.
fn with_backend() -> World {
    let world = World::new();
    world.edit("web.yaml", "backend.yaml", |text| text.replace("web", "backend").replace("replicas: 4", "replicas: 3"));
    world.edit("scaling.yaml", "backend-scaling.yaml", |text| text.replace("web", "backend"));
    world.edit("kustomization.yaml", "kustomization.yaml", |text| text.replace("[web.yaml]", "[web.yaml, backend.yaml]"));
    let history = world.small.path().join("history/shop");
    std::fs::create_dir(history.join("backend")).unwrap();
    std::fs::copy(history.join("web/requests.csv"), history.join("backend/requests.csv")).unwrap();
    world.api.put(objects::deployment("shop", "backend", 3, 3));
    world
}

/// The world whose only change is a request: of a quarter of a core and so much memory, where 460m are wanted.
fn with_requests(memory: &str) -> World {
    let world = World::new();
    let requests = format!("image: app:1, resources: {{requests: {{cpu: 250m, memory: {memory}}}}}");
    world.edit("web.yaml", "web.yaml", |text| text.replace("image: app:1", &requests));
    let policy = "requests: {leastHistory: 1d}, replicas: {min: 4, max: 4}";
    world.edit("scaling.yaml", "scaling.yaml", |text| text.replace("requests: {enabled: false}", policy));
    world.small.history("cpu.app", |_| 0.4);
    world
}

/// What a plan changes, and whether something is held for this.
fn planned(world: &World, code: &str) -> (Vec<String>, bool) {
    let report = world.small.plan_json(0);
    assert_eq!(notices(&report), "");
    (changed(&report), held(&report).contains(&code.to_owned()))
}

/// A plan that raises the request.
fn rises() -> (Vec<String>, bool) {
    (vec![r#"app requests.cpu "460m""#.to_owned()], false)
}

#[test]
fn a_quota_s_room_is_given_out_once() {
    let world = with_backend();
    world.api.put(objects::quota("shop", &[("pods", "9", "7")]));
    let report = world.run();
    assert_eq!((changed(&report), held(&report)), (vec!["replicas 5".to_owned()], vec!["noRoom".to_owned()]), "{report}");
    assert_eq!(report["changes"][0]["workload"]["name"], "backend");
    assert_eq!(world.small.replicas(), 4);
    // As long as it is not in the cluster, it has its room all the same.
    let report = world.small.run(10);
    assert_eq!((changed(&report), held(&report)), (vec![], vec!["noRoom".to_owned(); 2]), "{report}");

    let world = with_backend();
    world.api.put(objects::quota("shop", &[("pods", "11", "7")]));
    let report = world.run();
    assert_eq!(changed(&report), ["replicas 6", "replicas 5"]);
    let because = report["changes"][1]["because"].to_string();
    assert!(because.contains("never above 5, since ResourceQuota quota leaves no more pods"), "{because}");

    let world = with_backend();
    world.api.put(objects::quota("shop", &[("pods", "12", "7")]));
    assert_eq!(changed(&world.run()), ["replicas 6", "replicas 6"]);
}

#[test]
fn a_quota_bounds_requests() {
    let world = with_requests("128Mi");
    // 210m more for each of four pods, and one while they are replaced.
    world.api.put(objects::quota("shop", &[("requests.cpu", "2", "960m")]));
    assert_eq!(planned(&world, "noRoom"), (vec![], true));
    world.small.plan(0).says(0, &["since ResourceQuota quota leaves no more requests.cpu"]);
    world.api.put(objects::quota("shop", &[("requests.cpu", "2", "940m"), ("requests.memory", "1Gi", "1Gi"), ("pods", "4", "4")]));
    assert_eq!(planned(&world, "noRoom"), rises());
}

#[test]
fn a_limit_range_bounds_what_has_no_limit_and_whole_pods() {
    let world = with_requests("128Mi");
    for (limits, refused) in [
        ("[{type: Container, default: {cpu: 300m}, defaultRequest: {cpu: 100m}}]", true),
        ("[{type: Container, default: {cpu: 460m}}]", false),
        ("[{type: Pod, max: {cpu: 459m}}]", true),
        ("[{type: Pod, max: {cpu: 460m, memory: 1Gi}}]", false),
        ("[{type: Container, max: {cpu: 459m}}]", true),
        ("[{type: Container, default: {cpu: '2'}, maxLimitRequestRatio: {cpu: '4'}}]", true),
        ("[{type: Container, default: {cpu: '2'}, maxLimitRequestRatio: {cpu: '5'}}]", false),
    ] {
        world.api.put(objects::limit_range("shop", limits));
        let expected = if refused { (vec![], true) } else { rises() };
        assert_eq!(planned(&world, "limitRange"), expected, "{limits}");
    }
}

#[test]
fn a_pod_must_fit_a_node_that_takes_it() {
    let world = with_requests("8Gi");
    let control_plane = |name: &str| {
        let mut node = objects::node(name, "8", "64Gi", false);
        node["spec"]["taints"] = json!([{"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"}]);
        node
    };
    world.api.put(objects::node("wide", "8", "4Gi", false));
    world.api.put(objects::node("deep", "400m", "64Gi", false));
    world.api.put(control_plane("control"));
    assert_eq!(planned(&world, "noNode"), (vec![], true));
    world.small.plan(0).says(0, &["the largest has 400m to give"]);
    world.api.put(objects::node("deep", "500m", "64Gi", false));
    assert_eq!(planned(&world, "noNode"), rises());
    world.api.remove("nodes", "", "wide");
    world.api.remove("nodes", "", "deep");
    assert_eq!(planned(&world, "noNode"), rises(), "where all are tainted, pods tolerate it");
}

#[test]
fn a_share_that_a_budget_wants_available_is_told_to_the_gate() {
    let world = World::new();
    let mut budget = objects::pdb("shop", "web", "web", 2, 4);
    budget["spec"]["minAvailable"] = json!("50%");
    world.api.put(budget);
    let folder = world.small.path().join("policies");
    std::fs::create_dir(&folder).unwrap();
    let rego = "package prescale.gate.mine\n\nimport rego.v1\n\nhold contains \"half of them stay\" if input.cluster.pdb.minAvailableShare == 0.5\n";
    std::fs::write(folder.join("mine.rego"), rego).unwrap();
    let config = world.small.path().join("prescale.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    let gate = format!("gate: {{shipped: false, policies: ['{}']}}", folder.display());
    std::fs::write(&config, text.replace("gate: {shipped: false}", &gate)).unwrap();
    assert_eq!(held(&world.run()), ["gated"]);
    world.small.plan(0).says(0, &["half of them stay"]);
}

/// A run with room for one more pod, while so many lists of these get no answer.
fn without(paths: &[(&str, Fault)]) -> (Vec<String>, String) {
    let world = World::new();
    world.api.put(objects::quota("shop", &[("pods", "5", "4")]));
    for (path, fault) in paths {
        world.api.fail(path, *fault, 3);
    }
    let report = world.run();
    (changed(&report), notices(&report))
}

#[test]
fn a_list_that_is_slow_switches_off_no_other() {
    let bounded = vec!["replicas 5".to_owned()];
    for (path, fault, what) in [
        ("/api/v1/events", Fault::Stall, "events: "),
        ("/api/v1/pods", Fault::Drop, "pods: "),
        ("v1alpha1/applications?", Fault::Drop, "applications.argoproj.io: "),
    ] {
        let (changed, told) = without(&[(path, fault)]);
        assert_eq!(changed, bounded, "{path}: {told}");
        assert!(told.starts_with(what) && told.lines().count() == 1, "{told}");
    }
    // A cluster that answers none of two in a row is not waited for any more.
    let (_, told) = without(&[("horizontalpodautoscalers", Fault::Drop), ("scaledobjects", Fault::Drop)]);
    assert_eq!((told.lines().count(), told.matches("does not answer").count()), (1, 1), "{told}");
    for without in
        ["an autoscaler owns of which Git knows nothing", "a pause that was set in the cluster", "what a quota lets run", "warns of"]
    {
        assert!(told.contains(without), "{without}: {told}");
    }
}

/// What `doctor` says of the cluster, line by line.
fn examined(world: &World) -> (Ran, Vec<String>) {
    let ran = Ran::of(&mut world.small.command("doctor", 0));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = ran.out.lines().map(words).filter(|line| line.split(' ').nth(1) == Some("cluster")).collect();
    (ran, told)
}

#[test]
fn doctor_asks_where_a_run_reads() {
    let world = World::new();
    let (ran, told) = examined(&world);
    assert_eq!((ran.code, told.len()), (0, 1), "{ran:?}");
    world.api.deny_cluster_wide();
    let (ran, told) = examined(&world);
    assert_eq!(ran.code, 0, "{ran:?}");
    let [reached, nodes, policies] = &told[..] else { panic!("{told:#?}") };
    assert!(reached.starts_with("ok cluster http://127.0.0.1:"), "{reached}");
    assert!(nodes.starts_with("warn cluster nodes: may not list nodes in all namespaces"), "{nodes}");
    assert!(policies.starts_with("warn cluster scalingpolicies.prescale.dev: may not list"), "{policies}");
    world.api.deny("pods");
    let (_, told) = examined(&world);
    assert!(told.iter().any(|line| line.starts_with("warn cluster pods: may not list pods in namespace shop")), "{told:#?}");
}

#[test]
fn doctor_does_not_ask_a_cluster_that_does_not_answer() {
    let world = World::new();
    let kubeconfig = world.small.path().join("kubeconfig");
    let mut config: Json = serde_yaml::from_str(&std::fs::read_to_string(&kubeconfig).unwrap()).unwrap();
    config["clusters"][0]["cluster"]["server"] = json!("http://127.0.0.1:9");
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let (ran, told) = examined(&world);
    assert_eq!((ran.code, told.len()), (1, 1), "{ran:?}");
    assert!(told[0].starts_with("fail cluster http://127.0.0.1:9 does not answer"), "{told:?}");
    assert!(!ran.err.contains("failed with error"), "{}", ran.err);
}
