//! The demo's history as a scrape of a real cluster would have left it: cAdvisor's, kube-state-metrics' and the services' own series, in OpenMetrics.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use prescale::demo::{Minute, SHOP, Shape, minutes};

/// A pod of a workload and its counters. Pod `i` answers while there are more than `i` pods.
fn pod(shape: &Shape, i: u32) -> String {
    match shape.workload {
        "redis" => format!("redis-{i}"),
        workload => format!("{workload}-5c9f7d-{i:05}"),
    }
}

/// All of it, from `from` to `to`, a sample a minute.
pub(crate) fn history(from: DateTime<Utc>, to: DateTime<Utc>, seed: u64) -> String {
    let shapes: Vec<(&Shape, Vec<Minute>)> = SHOP.iter().map(|shape| (shape, minutes(shape, from, to, seed))).collect();
    let mut text = String::new();

    let mut per_pod =
        |family: &str, kind: &str, metric: &str, labels: &dyn Fn(&Shape, u32) -> String, value: &dyn Fn(&Minute, &mut f64) -> f64| {
            let _ = writeln!(text, "# TYPE {family} {kind}");
            for (shape, minutes) in &shapes {
                let most = minutes.iter().map(|m| m.pods).max().unwrap_or(0);
                for i in 0..most {
                    let series = format!("{metric}{{{}}}", labels(shape, i));
                    let mut sum = 0.0;
                    for minute in minutes.iter().filter(|m| i < m.pods) {
                        // A scrape at the end of the minute sees what it added.
                        let _ = writeln!(text, "{series} {:.4} {}", value(minute, &mut sum), minute.at.timestamp() + 60);
                    }
                }
            }
        };
    let own = |shape: &Shape, i: u32| format!("job=\"shop\",namespace=\"{}\",pod=\"{}\",code=\"200\"", shape.namespace, pod(shape, i));
    let container = |shape: &Shape, i: u32| {
        format!(
            "job=\"cadvisor\",namespace=\"{}\",pod=\"{}\",container=\"{}\",image=\"{}:1\"",
            shape.namespace,
            pod(shape, i),
            shape.container,
            shape.container
        )
    };
    let owner = |shape: &Shape, i: u32| {
        let (kind, name) = if shape.workload == "redis" {
            ("StatefulSet", "redis".to_owned())
        } else {
            ("ReplicaSet", format!("{}-5c9f7d", shape.workload))
        };
        format!(
            "job=\"kube-state-metrics\",namespace=\"{}\",pod=\"{}\",owner_kind=\"{kind}\",owner_name=\"{name}\",owner_is_controller=\"true\"",
            shape.namespace,
            pod(shape, i)
        )
    };
    per_pod("http_requests", "counter", "http_requests_total", &own, &|m, sum| {
        *sum += m.requests * 60.0 / f64::from(m.pods);
        *sum
    });
    per_pod("container_cpu_usage_seconds", "counter", "container_cpu_usage_seconds_total", &container, &|m, sum| {
        *sum += m.pod_cpu * 60.0;
        *sum
    });
    per_pod("container_memory_working_set_bytes", "gauge", "container_memory_working_set_bytes", &container, &|m, _| m.pod_memory);
    per_pod("kube_pod_owner", "gauge", "kube_pod_owner", &owner, &|_, _| 1.0);

    let _ = writeln!(text, "# TYPE kube_replicaset_owner gauge");
    for (shape, minutes) in shapes.iter().filter(|(shape, _)| shape.workload != "redis") {
        for minute in minutes {
            let _ = writeln!(
                text,
                "kube_replicaset_owner{{job=\"kube-state-metrics\",namespace=\"{}\",replicaset=\"{1}-5c9f7d\",owner_kind=\"Deployment\",owner_name=\"{1}\",owner_is_controller=\"true\"}} 1 {2}",
                shape.namespace,
                shape.workload,
                minute.at.timestamp() + 60
            );
        }
    }
    text.push_str("# EOF\n");
    text
}
