//! OpenMetrics text, written by hand.

use std::fmt::Write as _;
use std::ops::Range;

/// A history under construction: series with the labels that every one of them has.
#[derive(Default)]
pub(crate) struct Exposition {
    lines: Vec<(String, String)>,
    common: String,
    gap: Range<i64>,
}

impl Exposition {
    /// Every series from here on has these labels too, as in `cluster="east"`.
    pub(crate) fn with(&mut self, labels: &str) -> &mut Self {
        labels.clone_into(&mut self.common);
        self
    }

    /// No scrape falls into this span (epoch seconds).
    pub(crate) fn with_gap(&mut self, gap: Range<i64>) -> &mut Self {
        self.gap = gap;
        self
    }

    /// A series that is scraped every minute of `span` (epoch seconds) and has `value(at)`.
    pub(crate) fn series(&mut self, metric: &str, labels: &str, span: Range<i64>, value: impl Fn(i64) -> f64) -> &mut Self {
        let key = match self.common.as_str() {
            "" => format!("{metric}{{{labels}}}"),
            common => format!("{metric}{{{labels},{common}}}"),
        };
        let mut text = String::new();
        for at in span.step_by(60).filter(|at| !self.gap.contains(at)) {
            writeln!(text, "{key} {} {at}", value(at)).unwrap();
        }
        self.lines.push((metric.to_owned(), text));
        self
    }

    /// A gauge that stays.
    pub(crate) fn constant(&mut self, metric: &str, labels: &str, span: Range<i64>, value: f64) -> &mut Self {
        self.series(metric, labels, span, |_| value)
    }

    /// A counter that grows by `rate` a second from the beginning of its span.
    pub(crate) fn counter(&mut self, metric: &str, labels: &str, span: Range<i64>, rate: f64) -> &mut Self {
        let start = span.start;
        self.series(metric, labels, span, |at| (at - start) as f64 * rate)
    }

    /// The text, each metric's lines together.
    pub(crate) fn text(&self) -> String {
        let mut lines: Vec<_> = self.lines.iter().collect();
        lines.sort_by_key(|(metric, _)| metric);
        lines.into_iter().map(|(_, text)| text.as_str()).chain(["# EOF\n"]).collect()
    }
}

/// An hour, in seconds.
pub(crate) const HOUR: i64 = 3600;
/// Where the history of [`shop`] begins: 2025-11-10T00:00:00Z.
pub(crate) const BEGIN: i64 = 1_762_732_800;
/// Where it ends, six hours later.
pub(crate) const END: i64 = BEGIN + 6 * HOUR;

/// Six hours of a small shop in each of the clusters; all but the first use ten times the CPU. No scrape from 5 h to 5 h 20 min.
///
/// - `shop/web`, a Deployment: two pods for three hours, then three of a new ReplicaSet, which became Ready 32, 42 and 52 s after their
///   creation; 11 requests/s each, a counter reset at 1.5 h, a memory peak at 2 h 2 min, a restart at 1 h; an HPA from 2 to 10.
/// - `shop/api`, a Rollout whose requests istio counts.
/// - `data/db`, a StatefulSet of two pods.
/// - A kube-state-metrics that was replaced at 3 h, both telling the owners for an hour.
pub(crate) fn shop(clusters: &[&str]) -> String {
    let mut text = Exposition::default();
    text.with_gap(BEGIN + 5 * HOUR..BEGIN + 5 * HOUR + 1200);
    for (i, cluster) in clusters.iter().enumerate() {
        text.with(&format!("cluster=\"{cluster}\""));
        let factor = if i == 0 { 1.0 } else { 10.0 };
        let (first, second) = (BEGIN..BEGIN + 3 * HOUR, BEGIN + 3 * HOUR..END + 60);
        web_pod(&mut text, "web-5d9", "a", first.clone(), 0.2 * factor, None);
        web_pod(&mut text, "web-5d9", "b", first, 0.3 * factor, None);
        for (pod, cpu, start) in [("c", 0.1, 32.0), ("d", 0.2, 42.0), ("e", 0.4, 52.0)] {
            web_pod(&mut text, "web-7f4", pod, second.clone(), cpu * factor, Some(start));
        }
        let all = BEGIN..END + 60;
        owned(
            &mut text,
            "kube_replicaset_owner",
            "namespace=\"shop\",replicaset=\"api-66c\",owner_kind=\"Rollout\",owner_name=\"api\"",
            &all,
        );
        owned(&mut text, "kube_pod_owner", "namespace=\"shop\",pod=\"api-66c-a\",owner_kind=\"ReplicaSet\",owner_name=\"api-66c\"", &all);
        cpu(&mut text, "namespace=\"shop\",pod=\"api-66c-a\",container=\"main\"", &all, 0.6 * factor);
        for (code, rate) in [("200", 5.0), ("500", 2.0)] {
            let labels = format!(
                "reporter=\"destination\",destination_workload_namespace=\"shop\",destination_workload=\"api\",response_code=\"{code}\""
            );
            text.counter("istio_requests_total", &labels, all.clone(), rate);
            text.counter("istio_requests_total", &labels.replace("destination\",", "source\","), all.clone(), rate);
        }
        let target =
            "namespace=\"shop\",horizontalpodautoscaler=\"web-hpa\",scaletargetref_kind=\"Deployment\",scaletargetref_name=\"web\"";
        text.constant("kube_horizontalpodautoscaler_info", target, all.clone(), 1.0);
        let hpa = "namespace=\"shop\",horizontalpodautoscaler=\"web-hpa\"";
        text.constant("kube_horizontalpodautoscaler_spec_min_replicas", hpa, all.clone(), 2.0);
        text.constant("kube_horizontalpodautoscaler_spec_max_replicas", hpa, all.clone(), 10.0);
        for (pod, used) in [("db-0", 0.5), ("db-1", 0.7)] {
            owned(
                &mut text,
                "kube_pod_owner",
                &format!("namespace=\"data\",pod=\"{pod}\",owner_kind=\"StatefulSet\",owner_name=\"db\""),
                &all,
            );
            cpu(&mut text, &format!("namespace=\"data\",pod=\"{pod}\",container=\"postgres\""), &all, used * factor);
            let labels = format!("namespace=\"data\",pod=\"{pod}\",uid=\"{pod}-uid\"");
            text.constant("kube_pod_created", &labels, all.clone(), (BEGIN - 90 * 24 * HOUR) as f64);
            text.constant("kube_pod_status_ready_time", &labels, all.clone(), (BEGIN - 90 * 24 * HOUR + 300) as f64);
        }
    }
    text.text()
}

fn web_pod(text: &mut Exposition, set: &str, pod: &str, span: Range<i64>, used: f64, start: Option<f64>) {
    let pod = format!("namespace=\"shop\",pod=\"{set}-{pod}\"");
    owned(
        text,
        "kube_replicaset_owner",
        &format!("namespace=\"shop\",replicaset=\"{set}\",owner_kind=\"Deployment\",owner_name=\"web\""),
        &span,
    );
    owned(text, "kube_pod_owner", &format!("{pod},owner_kind=\"ReplicaSet\",owner_name=\"{set}\""), &span);
    for (container, used) in [("app", used), ("sidecar", 0.05), ("POD", 0.001), ("", used + 0.051)] {
        cpu(text, &format!("{pod},container=\"{container}\""), &span, used);
    }
    let peak = move |at| if at == BEGIN + 2 * HOUR + 120 { 500e6 } else { 100e6 };
    text.series("container_memory_working_set_bytes", &format!("{pod},container=\"app\""), span.clone(), peak);
    text.constant("container_memory_working_set_bytes", &format!("{pod},container=\"sidecar\""), span.clone(), 20e6);
    text.constant("container_memory_working_set_bytes", &format!("{pod},container=\"\""), span.clone(), 121e6);

    let reset = BEGIN + 3 * HOUR / 2;
    let (begin, resets) = (span.start, pod.ends_with("-a\""));
    for (code, rate) in [("200", 10.0), ("500", 1.0)] {
        let count = move |at: i64| (at - if resets && at >= reset { reset - 60 } else { begin }) as f64 * rate;
        text.series("http_requests_total", &format!("{pod},code=\"{code}\""), span.clone(), count);
    }
    for (condition, ready) in [("true", 1.0), ("false", 0.0)] {
        text.constant("kube_pod_status_ready", &format!("{pod},condition=\"{condition}\""), span.clone(), ready);
    }
    let restarted = move |at: i64| f64::from(resets && at >= BEGIN + HOUR);
    text.series("kube_pod_container_status_restarts_total", &format!("{pod},container=\"app\""), span.clone(), restarted);
    if let Some(start) = start {
        let uid = format!("{pod},uid=\"u{start}\"");
        text.constant("kube_pod_created", &uid, span.clone(), begin as f64);
        // It loses its readiness once, and regains it half an hour later.
        text.series("kube_pod_status_ready_time", &uid, span, move |at| begin as f64 + if at < begin + 1800 { start } else { 1800.0 });
    }
}

fn cpu(text: &mut Exposition, labels: &str, span: &Range<i64>, cores: f64) {
    text.counter("container_cpu_usage_seconds_total", labels, span.clone(), cores);
}

/// A series of kube-state-metrics, which was replaced at 3 h: the old one is told for another half an hour, the new one from half an hour before.
fn owned(text: &mut Exposition, metric: &str, labels: &str, span: &Range<i64>) {
    let change = BEGIN + 3 * HOUR;
    for (instance, told) in [("ksm-1", BEGIN..change + HOUR / 2), ("ksm-2", change - HOUR / 2..END + 60)] {
        let told = told.start.max(span.start)..told.end.min(span.end);
        let labels = format!("{labels},instance=\"{instance}\"");
        text.constant(metric, &labels, told, 1.0);
    }
}
