//! What one replica carries, learned where no policy says.

use chrono::TimeDelta;
use serde_json::Value as Json;

use crate::support::exposition::Exposition;
use crate::support::git::{commit_at, git};
use crate::support::small::{Small, held, start};

/// Requests by day and night.
fn day(minute: i64) -> f64 {
    100.0 + 60.0 * (minute as f64 / 1440.0 * std::f64::consts::TAU).sin()
}

/// The workload asks for half a core.
fn requests_cpu(small: &Small) {
    let file = git(&small.bare(), &["show", "main:overlays/prod/web.yaml"]) + "\n";
    let file = file.replace("image: app:1", "image: app:1, resources: {requests: {cpu: 500m}}");
    commit_at(&small.bare(), "main", "overlays/prod/web.yaml", &file, start() - TimeDelta::hours(1));
}

/// What one replica carries, and why.
fn told(report: &Json) -> (f64, String) {
    (report["outlooks"][0]["capacity"].as_f64().unwrap(), report["changes"][0]["because"].to_string())
}

#[test]
fn what_a_replica_carries_is_learned_from_cpu() {
    let small = Small::new(4, "signal: requests");
    small.history("requests", day).history("cpu", |minute| 0.4 + 0.02 * day(minute)).history("ready", |_| 4.0);
    assert_eq!(held(&small.run(0)), ["capacityUnknown"]);
    small.plan(0).says(0, &["cannot be learned, since not every container requests CPU"]);
    requests_cpu(&small);
    // Of 350m that a replica may use, 100m are idle; a request takes 20m: 12.5 of them, in steps of 5 %.
    let (capacity, because) = told(&small.run(10));
    assert!((11.5..=12.5).contains(&capacity), "{capacity}");
    assert!(because.contains("20m of CPU each") && because.contains("of the 350m that it may use, less 100m idle"), "{because}");
}

#[test]
fn a_replica_carries_no_more_than_the_knee_of_its_latency() {
    // A queue that serves 50 a second and replica; 4 of them.
    let latency = |minute: i64| 1.0 / (50.0 - day(minute) / 4.0);
    let small = Small::new(4, "signal: requests");
    small.history("requests", day).history("cpu", |minute| 0.4 + 0.004 * day(minute)).history("ready", |_| 4.0).history("latency", latency);
    // Not every container requests CPU: the latency alone tells.
    let (capacity, because) = told(&small.plan_json(0));
    assert!((21.0..29.0).contains(&capacity), "{capacity}");
    assert!(because.contains(", its latency, over 47 h, turns up at 2") && !because.contains("of CPU each"), "{because}");
    // By CPU it would be 62.
    requests_cpu(&small);
    let (limited, because) = told(&small.plan_json(0));
    assert!(
        limited == capacity && because.contains("4m of CPU each") && because.contains("; its latency, over 47 h, turns up at 2"),
        "{because}"
    );
}

#[test]
fn a_young_version_is_told_from_the_one_before() {
    let since = -6 * 60;
    let small = Small::new(8, "signal: requests");
    requests_cpu(&small);
    let each = |minute: i64| if minute < since { 0.01 } else { 0.02 };
    small.history("requests", day).history("cpu", |minute| 20.0 * each(minute) + each(minute) * day(minute)).history("ready", |_| 4.0);
    let at = |minutes: i64| start().timestamp() + minutes * 60;
    let mut text = Exposition::default();
    text.constant(
        "kube_replicaset_owner",
        "namespace=\"shop\",replicaset=\"web-1\",owner_kind=\"Deployment\",owner_name=\"web\"",
        at(-2880)..at(0),
        1.0,
    );
    for (pod, image, span) in [("web-1-a", "app:1", at(-2880)..at(since)), ("web-1-b", "example.com/shop/app:2", at(since)..at(10))] {
        let pod = format!("namespace=\"shop\",pod=\"{pod}\"");
        text.constant("kube_pod_owner", &format!("{pod},owner_kind=\"ReplicaSet\",owner_name=\"web-1\""), span.clone(), 1.0);
        text.constant("kube_pod_container_info", &format!("{pod},container=\"app\",image=\"{image}\""), span, 1.0);
    }
    std::fs::write(small.path().join("history/pods.om"), text.text()).unwrap();
    // Of 350m that a replica may use, 100m are idle now; a request takes 20m, where it took 10m.
    let (capacity, because) = told(&small.plan_json(0));
    assert!((11.5..=12.5).contains(&capacity), "{capacity} {because}");
    let words = "h of what ran before app:2, which runs for 6 h and takes 2 times its CPU: 20m of CPU each";
    assert!(because.contains(words), "{because}");
}
