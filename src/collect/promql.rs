//! Every PromQL expression that is asked, as pure text.
//!
//! Each gives the workloads of one namespace by the labels `owner_kind` and `workload`, since a query a pod or a workload would drown the
//! server. Pods are joined to the workload that owns them at that very step, so that pods long gone still count. Every join takes the `max`
//! or the `topk(1)` of its one side, since a kube-state-metrics that was replaced leaves each series twice for a while, and "many-to-many"
//! would cost the whole namespace its answer.

use std::collections::BTreeSet;

use crate::clients::prometheus::{Cluster, LatencyMetric, RequestMetric, Settings, WorkloadLabels, quoted};
use crate::model::WorkloadKind;

/// What can be learned of the workloads of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    /// CPU of a workload, in cores.
    Cpu,
    /// Working set of a workload, in bytes.
    Memory,
    /// Requests a second that a workload answers; a label `metric` tells which counter says so.
    Requests,
    /// CPU of the busiest pod by `container`, in cores.
    ContainerCpu,
    /// Greatest working set of a pod by `container`, in bytes.
    ContainerMemory,
    /// Pods that are Ready.
    Ready,
    /// What the HPA may do, and what it asks for, by `bound`: `min`, `max` and `desired`.
    Bounds,
    /// Container restarts in each step.
    Restarts,
    /// Seconds from creation to Ready: the slowest of the pods that were created in the last two hours.
    Startup,
    /// Pods that have found no node for a step. What only pulls its image or starts is not among them: floors that rise make such pods.
    Pending,
    /// The share of CPU periods in which a pod was throttled, on average over the pods.
    Throttled,
    /// The share of requests that failed; a label `metric` tells which counter says so.
    Errors,
    /// The 95th percentile of a workload's latency, in the unit of its histogram; a label `metric` tells which histogram says so.
    Latency,
    /// By `container` and `image`, whether a pod that is Ready runs it.
    Images,
}

/// The workloads of one namespace.
#[derive(Clone, Debug)]
pub(super) struct Scope<'a> {
    pub(super) namespace: &'a str,
    pub(super) workloads: BTreeSet<(WorkloadKind, &'a str)>,
}

/// How far back pods count as new, in seconds: each is seen at least once by a query of half this step.
pub(super) const NEW: i64 = 7200;

impl Measure {
    /// The metrics without which it cannot be known.
    pub(super) fn metrics(self, settings: &Settings) -> Vec<String> {
        const OWNERS: [&str; 2] = ["kube_pod_owner", "kube_replicaset_owner"];
        let with_owners = |names: &[&str]| names.iter().chain(&OWNERS).map(ToString::to_string).collect();
        match self {
            Self::Cpu | Self::ContainerCpu => with_owners(&["container_cpu_usage_seconds_total"]),
            Self::Memory | Self::ContainerMemory => with_owners(&["container_memory_working_set_bytes"]),
            Self::Requests => settings.request_metrics.iter().map(|counter| counter.metric.clone()).collect(),
            Self::Ready => with_owners(&["kube_pod_status_ready"]),
            Self::Bounds => {
                ["info", "spec_min_replicas", "spec_max_replicas"].map(|name| format!("kube_horizontalpodautoscaler_{name}")).to_vec()
            }
            Self::Restarts => with_owners(&["kube_pod_container_status_restarts_total"]),
            Self::Startup => with_owners(&["kube_pod_status_ready_time", "kube_pod_created"]),
            Self::Pending => with_owners(&["kube_pod_status_unschedulable"]),
            Self::Throttled => with_owners(&["container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total"]),
            Self::Errors => Self::Requests.metrics(settings),
            Self::Latency => settings.latency_metrics.iter().map(|histogram| histogram.metric.clone()).collect(),
            Self::Images => with_owners(&["kube_pod_container_info", "kube_pod_status_ready"]),
        }
    }

    /// The expression, to be asked every `step` seconds.
    pub(super) fn query(self, settings: &Settings, scope: &Scope<'_>, step: i64) -> String {
        let q = Queries { settings, scope, window: step.max(settings.rate_window.as_secs() as i64) };
        match self {
            Self::Cpu => q.by_workload("sum", "", &q.container_cpu()),
            Self::ContainerCpu => q.by_workload("max", ", container", &q.container_cpu()),
            Self::Memory => q.by_workload("sum", "", &q.container_memory(None)),
            Self::ContainerMemory => q.by_workload("max", ", container", &q.container_memory(Some(step))),
            Self::Requests => q.requests(|_| Some("")),
            Self::Latency => q.latency(),
            Self::Images => q.images(),
            Self::Ready => {
                q.by_workload("sum", "", &format!("max by (namespace, pod) ({})", q.pods("kube_pod_status_ready", "condition=\"true\"")))
            }
            Self::Bounds => q.bounds(),
            Self::Restarts => q.restarts(step),
            Self::Startup => q.startup(),
            Self::Pending => q.pending(step),
            Self::Throttled => q.throttled(),
            Self::Errors => {
                let failing = |counter: &RequestMetric| !counter.errors.is_empty();
                let failed = q.requests(|counter| failing(counter).then_some(&counter.errors));
                format!("({failed}\n) / (\n{})", q.requests(|counter| failing(counter).then_some("")))
            }
        }
    }
}

/// A counter, or the buckets of a histogram.
struct Counter<'a> {
    metric: &'a str,
    matchers: String,
    workload: Option<&'a WorkloadLabels>,
}

/// What all queries of a scope share.
struct Queries<'a> {
    settings: &'a Settings,
    scope: &'a Scope<'a>,
    window: i64,
}

impl Queries<'_> {
    fn container_cpu(&self) -> String {
        let counter = self.containers("container_cpu_usage_seconds_total");
        format!("max by (namespace, pod, container) (rate({counter}[{}s]))", self.window)
    }

    /// The working set, or its peak in each `step` seconds.
    fn container_memory(&self, step: Option<i64>) -> String {
        let gauge = self.containers("container_memory_working_set_bytes");
        match step {
            Some(step) => format!("max by (namespace, pod, container) (max_over_time({gauge}[{step}s]))"),
            None => format!("max by (namespace, pod, container) ({gauge})"),
        }
    }

    /// The counters of requests for which there are `more` matchers.
    fn requests<'s>(&'s self, more: impl Fn(&'s RequestMetric) -> Option<&'s str>) -> String {
        let counters = self.settings.request_metrics.iter().filter_map(|counter| {
            let more = more(counter)?;
            let both = if counter.matchers.is_empty() || more.is_empty() { "" } else { "," };
            let matchers = format!("{}{both}{more}", counter.matchers);
            Some(Counter { metric: &counter.metric, matchers, workload: counter.workload.as_ref() })
        });
        self.rates(counters, "")
    }

    fn latency(&self) -> String {
        let histograms = self.settings.latency_metrics.iter().map(|LatencyMetric { metric, matchers, workload }| Counter {
            metric,
            matchers: matchers.clone(),
            workload: workload.as_ref(),
        });
        format!("histogram_quantile(0.95,\n{})", self.rates(histograms, ", le"))
    }

    /// Rates of counters side by side, each under its name in `metric` and by `labels`: those of pods, joined at once, and those that name
    /// workloads themselves.
    fn rates<'s>(&self, counters: impl Iterator<Item = Counter<'s>>, labels: &str) -> String {
        let (mut of_pods, mut of_workloads) = (Vec::new(), Vec::new());
        for Counter { metric, matchers, workload } in counters {
            let marked = |rate: &str| format!("label_replace({rate}, \"metric\", {}, \"\", \"\")", quoted(metric));
            if let Some(named) = workload {
                let here = format!("{}={}", named.namespace, quoted(self.scope.namespace));
                let names = format!("{}=~{}", named.name, alternatives(self.names(|_| true)));
                let counter = selector(metric, &[self.cluster(), here, names, matchers]);
                let rate = format!("sum by ({}{labels}) (rate({counter}[{}s]))", named.name, self.window);
                of_workloads.push(marked(&format!("sum by (workload{labels}) ({})", renamed(&rate, &named.name, "workload"))));
            } else {
                let counter = self.of_pods(metric, None, &matchers);
                of_pods.push(marked(&format!("sum by (namespace, pod{labels}) (rate({counter}[{}s]))", self.window)));
            }
        }
        if !of_pods.is_empty() {
            of_workloads.insert(0, self.by_workload("sum", &format!(", metric{labels}"), &format!("({})", of_pods.join("\n  or "))));
        }
        of_workloads.join("\nor\n")
    }

    fn bounds(&self) -> String {
        let kinds = self.scope.workloads.iter().map(|(kind, _)| kind.as_str());
        let targets = [
            format!("scaletargetref_kind=~{}", alternatives(kinds)),
            format!("scaletargetref_name=~{}", alternatives(self.names(|_| true))),
        ];
        let info = self.of_cluster_state("kube_horizontalpodautoscaler_info", &targets.join(","));
        let target = format!("topk by (namespace, horizontalpodautoscaler) (1, {info})");
        let bound = |of: &str, bound: &str| {
            let value = self.of_cluster_state(&format!("kube_horizontalpodautoscaler_{of}_{bound}_replicas"), "");
            let joined = format!(
                "max by (scaletargetref_kind, scaletargetref_name) (\n  {value}\n  \
                 * on (namespace, horizontalpodautoscaler) group_left(scaletargetref_kind, scaletargetref_name) {target}\n)"
            );
            let named = renamed(&renamed(&joined, "scaletargetref_kind", "owner_kind"), "scaletargetref_name", "workload");
            format!("label_replace({named}, \"bound\", \"{bound}\", \"\", \"\")")
        };
        format!("{}\nor\n{}\nor\n{}", bound("spec", "min"), bound("spec", "max"), bound("status", "desired"))
    }

    fn restarts(&self, step: i64) -> String {
        let counter = self.pods("kube_pod_container_status_restarts_total", "");
        self.by_workload("sum", "", &format!("max by (namespace, pod, container) (increase({counter}[{step}s]))"))
    }

    fn startup(&self) -> String {
        // A pod that lost its readiness and regained it has a later `ready_time`: the earliest is that of its start.
        let ready = format!("min by (namespace, pod, uid) (min_over_time({}[{NEW}s]))", self.pods("kube_pod_status_ready_time", ""));
        let created = format!("max by (namespace, pod, uid) ({}) > time() - {NEW}", self.pods("kube_pod_created", ""));
        self.by_workload("max", "", &format!("({ready}\n  - on (namespace, pod, uid) ({created}))"))
    }

    fn pending(&self, step: i64) -> String {
        let gauge = self.pods("kube_pod_status_unschedulable", "");
        let homeless = |when: &str| format!("max by (namespace, pod) ({gauge}{when}) == 1");
        self.by_workload("sum", "", &format!("({} and {})", homeless(""), homeless(&format!(" offset {step}s"))))
    }

    /// A pod that failed stays for a while with its old image: only what is Ready counts.
    fn images(&self) -> String {
        let ready = format!("max by (namespace, pod) ({}) == 1", self.pods("kube_pod_status_ready", "condition=\"true\""));
        let images = format!("max by (namespace, pod, container, image) ({})", self.pods("kube_pod_container_info", ""));
        self.by_workload("max", ", container, image", &format!("({images}\n  and on (namespace, pod) ({ready}))"))
    }

    fn throttled(&self) -> String {
        let periods = |metric: &str| {
            let rate = format!("rate({}[{}s])", self.containers(metric), self.window);
            format!("sum by (namespace, pod) (max by (namespace, pod, container) ({rate}))")
        };
        let (throttled, all) = (periods("container_cpu_cfs_throttled_periods_total"), periods("container_cpu_cfs_periods_total"));
        self.by_workload("avg", "", &format!("({throttled}\n  / {all})"))
    }

    /// `values` by pod, aggregated by the workload that owns it and by `more` labels.
    fn by_workload(&self, how: &str, more: &str, values: &str) -> String {
        let owners = self.owners();
        format!("{how} by (owner_kind, workload{more}) (\n  {values}\n  * on (namespace, pod) group_left(owner_kind, workload) {owners}\n)")
    }

    /// Pods with the kind and the name of the workload that owns them; the value is 1. Labels are renamed where the fewest series have
    /// them, since that is the dearest step of all.
    fn owners(&self) -> String {
        let by_replica_sets = |kind| matches!(kind, WorkloadKind::Deployment | WorkloadKind::Rollout);
        let (through, direct) = (self.names(by_replica_sets), self.names(|kind| !by_replica_sets(kind)));
        let mut owned = Vec::new();
        if !through.is_empty() {
            let kinds = self.scope.workloads.iter().map(|(kind, _)| *kind).filter(|kind| by_replica_sets(*kind)).map(WorkloadKind::as_str);
            let matchers = format!("owner_kind=~{},owner_name=~{}", alternatives(kinds), alternatives(through));
            let sets = self.of_cluster_state("kube_replicaset_owner", &matchers);
            let sets = renamed(&format!("topk by (namespace, replicaset) (1, {sets})"), "owner_name", "workload");
            let sets = renamed(&sets, "replicaset", "owner_name");
            let pods = self.pods("kube_pod_owner", "owner_kind=\"ReplicaSet\"");
            owned.push(format!("{pods}\n      * on (namespace, owner_name) group_left(owner_kind, workload) {sets}"));
        }
        if !direct.is_empty() {
            let pods = self.pods("kube_pod_owner", &format!("owner_kind=\"StatefulSet\",owner_name=~{}", alternatives(direct)));
            owned.push(renamed(&pods, "owner_name", "workload"));
        }
        format!("max by (namespace, pod, owner_kind, workload) (\n      {})", owned.join("\n      or "))
    }

    fn containers(&self, metric: &str) -> String {
        self.of_pods(metric, self.settings.jobs.cadvisor.as_deref(), "container!=\"\",container!=\"POD\"")
    }

    fn pods(&self, metric: &str, matchers: &str) -> String {
        self.of_pods(metric, self.settings.jobs.kube_state_metrics.as_deref(), matchers)
    }

    /// A metric of the pods of these workloads. The name only narrows what is read: the owner decides.
    fn of_pods(&self, metric: &str, job: Option<&str>, matchers: &str) -> String {
        // Kubernetes cuts the name of a workload to fit those of its pods into 63 characters.
        let names: Vec<&str> = self.names(|_| true).into_iter().map(|name| name.get(..46).unwrap_or(name)).collect();
        let pods = format!("pod=~{}", quoted(&format!("(?:{}).*", expressions(&names))));
        selector(metric, &[self.cluster(), of_job(job), self.namespace(), pods, matchers.to_owned()])
    }

    fn of_cluster_state(&self, metric: &str, matchers: &str) -> String {
        let job = of_job(self.settings.jobs.kube_state_metrics.as_deref());
        selector(metric, &[self.cluster(), job, self.namespace(), matchers.to_owned()])
    }

    fn cluster(&self) -> String {
        self.settings.cluster.as_ref().map(Cluster::matcher).unwrap_or_default()
    }

    fn namespace(&self) -> String {
        format!("namespace={}", quoted(self.scope.namespace))
    }

    fn names(&self, of: impl Fn(WorkloadKind) -> bool) -> Vec<&str> {
        let names: BTreeSet<&str> = self.scope.workloads.iter().filter(|(kind, _)| of(*kind)).map(|(_, name)| *name).collect();
        names.into_iter().collect()
    }
}

fn of_job(job: Option<&str>) -> String {
    job.map(|job| format!("job={}", quoted(job))).unwrap_or_default()
}

fn selector(metric: &str, matchers: &[String]) -> String {
    let matchers: Vec<&str> = matchers.iter().map(String::as_str).filter(|matcher| !matcher.is_empty()).collect();
    format!("{metric}{{{}}}", matchers.join(","))
}

fn renamed(vector: &str, from: &str, to: &str) -> String {
    format!("label_replace({vector}, \"{to}\", \"$1\", \"{from}\", \"(.*)\")")
}

/// A matcher's value that takes any of the texts, and nothing else.
fn alternatives<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: BTreeSet<&str> = texts.into_iter().collect();
    quoted(&expressions(&texts.into_iter().collect::<Vec<_>>()))
}

fn expressions(texts: &[&str]) -> String {
    let escaped = texts.iter().map(|text| {
        let mut expression = String::new();
        for c in text.chars() {
            if !(c.is_alphanumeric() || matches!(c, '-' | '_' | ' ' | '/')) {
                expression.push('\\');
            }
            expression.push(c);
        }
        expression
    });
    escaped.collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::clients::prometheus::Jobs;

    fn scope() -> Scope<'static> {
        let workloads = [(WorkloadKind::Deployment, "web"), (WorkloadKind::Rollout, "api.v1"), (WorkloadKind::StatefulSet, "db")];
        Scope { namespace: "shop", workloads: workloads.into() }
    }

    fn only(kind: WorkloadKind) -> Scope<'static> {
        Scope { namespace: "shop", workloads: [(kind, "web")].into() }
    }

    #[test]
    fn cpu_is_joined_with_the_owners_of_each_kind() {
        let cluster = Some(Cluster { label: "cluster".to_owned(), value: "east".to_owned() });
        let jobs = Jobs { kube_state_metrics: Some("ksm".to_owned()), cadvisor: Some("kubelet".to_owned()) };
        let settings = Settings { cluster, jobs, ..Settings::default() };
        expect![[r#"
            sum by (owner_kind, workload) (
              max by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{cluster="east",job="kubelet",namespace="shop",pod=~"(?:api\\.v1|db|web).*",container!="",container!="POD"}[300s]))
              * on (namespace, pod) group_left(owner_kind, workload) max by (namespace, pod, owner_kind, workload) (
                  kube_pod_owner{cluster="east",job="ksm",namespace="shop",pod=~"(?:api\\.v1|db|web).*",owner_kind="ReplicaSet"}
                  * on (namespace, owner_name) group_left(owner_kind, workload) label_replace(label_replace(topk by (namespace, replicaset) (1, kube_replicaset_owner{cluster="east",job="ksm",namespace="shop",owner_kind=~"Deployment|Rollout",owner_name=~"api\\.v1|web"}), "workload", "$1", "owner_name", "(.*)"), "owner_name", "$1", "replicaset", "(.*)")
                  or label_replace(kube_pod_owner{cluster="east",job="ksm",namespace="shop",pod=~"(?:api\\.v1|db|web).*",owner_kind="StatefulSet",owner_name=~"db"}, "workload", "$1", "owner_name", "(.*)"))
            )"#]].assert_eq(&Measure::Cpu.query(&settings, &scope(), 60));
    }

    #[test]
    fn requests_are_counted_by_whichever_counter_there_is() {
        expect![[r#"
            sum by (owner_kind, workload, metric) (
              (label_replace(sum by (namespace, pod) (rate(http_requests_total{namespace="shop",pod=~"(?:web).*"}[300s])), "metric", "http_requests_total", "", "")
              or label_replace(sum by (namespace, pod) (rate(http_server_request_duration_seconds_count{namespace="shop",pod=~"(?:web).*"}[300s])), "metric", "http_server_request_duration_seconds_count", "", "")
              or label_replace(sum by (namespace, pod) (rate(grpc_server_handled_total{namespace="shop",pod=~"(?:web).*"}[300s])), "metric", "grpc_server_handled_total", "", ""))
              * on (namespace, pod) group_left(owner_kind, workload) max by (namespace, pod, owner_kind, workload) (
                  label_replace(kube_pod_owner{namespace="shop",pod=~"(?:web).*",owner_kind="StatefulSet",owner_name=~"web"}, "workload", "$1", "owner_name", "(.*)"))
            )
            or
            label_replace(sum by (workload) (label_replace(sum by (destination_workload) (rate(istio_requests_total{destination_workload_namespace="shop",destination_workload=~"web",reporter="destination"}[300s])), "workload", "$1", "destination_workload", "(.*)")), "metric", "istio_requests_total", "", "")"#]].assert_eq(&Measure::Requests.query(&Settings::default(), &only(WorkloadKind::StatefulSet), 60));
    }

    #[test]
    fn bounds_are_those_of_the_hpa_that_targets_the_workload() {
        expect![[r#"
            label_replace(label_replace(label_replace(max by (scaletargetref_kind, scaletargetref_name) (
              kube_horizontalpodautoscaler_spec_min_replicas{namespace="shop"}
              * on (namespace, horizontalpodautoscaler) group_left(scaletargetref_kind, scaletargetref_name) topk by (namespace, horizontalpodautoscaler) (1, kube_horizontalpodautoscaler_info{namespace="shop",scaletargetref_kind=~"Deployment",scaletargetref_name=~"web"})
            ), "owner_kind", "$1", "scaletargetref_kind", "(.*)"), "workload", "$1", "scaletargetref_name", "(.*)"), "bound", "min", "", "")
            or
            label_replace(label_replace(label_replace(max by (scaletargetref_kind, scaletargetref_name) (
              kube_horizontalpodautoscaler_spec_max_replicas{namespace="shop"}
              * on (namespace, horizontalpodautoscaler) group_left(scaletargetref_kind, scaletargetref_name) topk by (namespace, horizontalpodautoscaler) (1, kube_horizontalpodautoscaler_info{namespace="shop",scaletargetref_kind=~"Deployment",scaletargetref_name=~"web"})
            ), "owner_kind", "$1", "scaletargetref_kind", "(.*)"), "workload", "$1", "scaletargetref_name", "(.*)"), "bound", "max", "", "")
            or
            label_replace(label_replace(label_replace(max by (scaletargetref_kind, scaletargetref_name) (
              kube_horizontalpodautoscaler_status_desired_replicas{namespace="shop"}
              * on (namespace, horizontalpodautoscaler) group_left(scaletargetref_kind, scaletargetref_name) topk by (namespace, horizontalpodautoscaler) (1, kube_horizontalpodautoscaler_info{namespace="shop",scaletargetref_kind=~"Deployment",scaletargetref_name=~"web"})
            ), "owner_kind", "$1", "scaletargetref_kind", "(.*)"), "workload", "$1", "scaletargetref_name", "(.*)"), "bound", "desired", "", "")"#]].assert_eq(&Measure::Bounds.query(&Settings::default(), &only(WorkloadKind::Deployment), 300));
    }

    #[test]
    fn starts_are_those_of_new_pods() {
        expect![[r#"
            max by (owner_kind, workload) (
              (min by (namespace, pod, uid) (min_over_time(kube_pod_status_ready_time{namespace="shop",pod=~"(?:web).*"}[7200s]))
              - on (namespace, pod, uid) (max by (namespace, pod, uid) (kube_pod_created{namespace="shop",pod=~"(?:web).*"}) > time() - 7200))
              * on (namespace, pod) group_left(owner_kind, workload) max by (namespace, pod, owner_kind, workload) (
                  label_replace(kube_pod_owner{namespace="shop",pod=~"(?:web).*",owner_kind="StatefulSet",owner_name=~"web"}, "workload", "$1", "owner_name", "(.*)"))
            )"#]].assert_eq(&Measure::Startup.query(&Settings::default(), &only(WorkloadKind::StatefulSet), 3600));
    }

    #[test]
    fn what_a_replica_carries_is_told_by_latency_and_images() {
        let query = |measure: Measure| measure.query(&Settings::default(), &only(WorkloadKind::StatefulSet), 300);
        expect![[r#"
            histogram_quantile(0.95,
            sum by (owner_kind, workload, metric, le) (
              (label_replace(sum by (namespace, pod, le) (rate(http_request_duration_seconds_bucket{namespace="shop",pod=~"(?:web).*"}[300s])), "metric", "http_request_duration_seconds_bucket", "", "")
              or label_replace(sum by (namespace, pod, le) (rate(http_server_request_duration_seconds_bucket{namespace="shop",pod=~"(?:web).*"}[300s])), "metric", "http_server_request_duration_seconds_bucket", "", "")
              or label_replace(sum by (namespace, pod, le) (rate(grpc_server_handling_seconds_bucket{namespace="shop",pod=~"(?:web).*"}[300s])), "metric", "grpc_server_handling_seconds_bucket", "", ""))
              * on (namespace, pod) group_left(owner_kind, workload) max by (namespace, pod, owner_kind, workload) (
                  label_replace(kube_pod_owner{namespace="shop",pod=~"(?:web).*",owner_kind="StatefulSet",owner_name=~"web"}, "workload", "$1", "owner_name", "(.*)"))
            )
            or
            label_replace(sum by (workload, le) (label_replace(sum by (destination_workload, le) (rate(istio_request_duration_milliseconds_bucket{destination_workload_namespace="shop",destination_workload=~"web",reporter="destination"}[300s])), "workload", "$1", "destination_workload", "(.*)")), "metric", "istio_request_duration_milliseconds_bucket", "", ""))"#]].assert_eq(&query(Measure::Latency));
        expect![[r#"
            max by (owner_kind, workload, container, image) (
              (max by (namespace, pod, container, image) (kube_pod_container_info{namespace="shop",pod=~"(?:web).*"})
              and on (namespace, pod) (max by (namespace, pod) (kube_pod_status_ready{namespace="shop",pod=~"(?:web).*",condition="true"}) == 1))
              * on (namespace, pod) group_left(owner_kind, workload) max by (namespace, pod, owner_kind, workload) (
                  label_replace(kube_pod_owner{namespace="shop",pod=~"(?:web).*",owner_kind="StatefulSet",owner_name=~"web"}, "workload", "$1", "owner_name", "(.*)"))
            )"#]].assert_eq(&query(Measure::Images));
    }

    #[test]
    fn what_cuts_demand_short_is_asked_by_pod() {
        let query = |measure: Measure| measure.query(&Settings::default(), &only(WorkloadKind::StatefulSet), 300);
        expect![[r#"
            sum by (owner_kind, workload) (
              (max by (namespace, pod) (kube_pod_status_unschedulable{namespace="shop",pod=~"(?:web).*"}) == 1 and max by (namespace, pod) (kube_pod_status_unschedulable{namespace="shop",pod=~"(?:web).*"} offset 300s) == 1)
              * on (namespace, pod) group_left(owner_kind, workload) max by (namespace, pod, owner_kind, workload) (
                  label_replace(kube_pod_owner{namespace="shop",pod=~"(?:web).*",owner_kind="StatefulSet",owner_name=~"web"}, "workload", "$1", "owner_name", "(.*)"))
            )"#]].assert_eq(&query(Measure::Pending));
        expect![[r#"
            avg by (owner_kind, workload) (
              (sum by (namespace, pod) (max by (namespace, pod, container) (rate(container_cpu_cfs_throttled_periods_total{namespace="shop",pod=~"(?:web).*",container!="",container!="POD"}[300s])))
              / sum by (namespace, pod) (max by (namespace, pod, container) (rate(container_cpu_cfs_periods_total{namespace="shop",pod=~"(?:web).*",container!="",container!="POD"}[300s]))))
              * on (namespace, pod) group_left(owner_kind, workload) max by (namespace, pod, owner_kind, workload) (
                  label_replace(kube_pod_owner{namespace="shop",pod=~"(?:web).*",owner_kind="StatefulSet",owner_name=~"web"}, "workload", "$1", "owner_name", "(.*)"))
            )"#]].assert_eq(&query(Measure::Throttled));
        let hits = RequestMetric { metric: "hits".into(), matchers: "a=\"b\"".into(), errors: "code=~\"5..\"".into(), workload: None };
        let silent = RequestMetric { metric: "silent".into(), errors: String::new(), ..hits.clone() };
        let settings = Settings { request_metrics: vec![silent, hits], ..Settings::default() };
        expect![[r#"
            (sum by (owner_kind, workload, metric) (
              (label_replace(sum by (namespace, pod) (rate(hits{namespace="shop",pod=~"(?:web).*",a="b",code=~"5.."}[300s])), "metric", "hits", "", ""))
              * on (namespace, pod) group_left(owner_kind, workload) max by (namespace, pod, owner_kind, workload) (
                  label_replace(kube_pod_owner{namespace="shop",pod=~"(?:web).*",owner_kind="StatefulSet",owner_name=~"web"}, "workload", "$1", "owner_name", "(.*)"))
            )
            ) / (
            sum by (owner_kind, workload, metric) (
              (label_replace(sum by (namespace, pod) (rate(hits{namespace="shop",pod=~"(?:web).*",a="b"}[300s])), "metric", "hits", "", ""))
              * on (namespace, pod) group_left(owner_kind, workload) max by (namespace, pod, owner_kind, workload) (
                  label_replace(kube_pod_owner{namespace="shop",pod=~"(?:web).*",owner_kind="StatefulSet",owner_name=~"web"}, "workload", "$1", "owner_name", "(.*)"))
            ))"#]].assert_eq(&Measure::Errors.query(&settings, &only(WorkloadKind::StatefulSet), 300));
    }

    #[test]
    fn the_window_of_a_rate_is_never_shorter_than_the_step() {
        let query = |step| Measure::ContainerCpu.query(&Settings::default(), &scope(), step);
        assert!(query(60).contains("[300s]") && query(900).contains("[900s]"));
    }

    #[test]
    fn names_are_taken_literally() {
        assert_eq!(alternatives(["b", "a.b", "a\"|.*"]), r#""a\\\"\\|\\.\\*|a\\.b|b""#);
        let long = "x".repeat(60);
        let scope = Scope { namespace: "shop", workloads: [(WorkloadKind::Deployment, long.as_str())].into() };
        let query = Measure::Cpu.query(&Settings::default(), &scope, 60);
        assert!(
            query.contains(&format!("pod=~\"(?:{}).*\"", "x".repeat(46))) && query.contains(&format!("owner_name=~\"{long}\"")),
            "{query}"
        );
    }
}
