//! Where the server is, how it is asked, and what its metrics are called.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clients::secret::Secret;
use crate::model::policy::duration;

/// The section `metrics.prometheus`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The address to which `/api/v1/…` is added, for instance `http://prometheus.monitoring:9090` or `https://mimir.example/prometheus`.
    pub url: String,
    /// A token sent as `Authorization: Bearer`. Default: none.
    pub bearer_token: Option<Secret>,
    /// A file that holds the token. Default: none.
    pub bearer_token_file: Option<PathBuf>,
    /// User and password. Default: none.
    pub basic_auth: Option<BasicAuth>,
    /// A PEM file of certificate authorities to trust beside the system's. Default: none.
    pub ca_file: Option<PathBuf>,
    /// Further headers by name, for instance `X-Scope-OrgID` for Mimir. Default: none.
    pub headers: BTreeMap<String, Secret>,
    /// How long one request may take. Default: 30s.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// How often a request is tried again after a lost connection, a 5xx or a 429. Default: 3.
    pub retries: u32,
    /// The wait before the first of these, doubled each time. Default: 1s.
    #[serde(with = "duration")]
    pub retry_delay: Duration,
    /// How many requests are under way at a time. Default: 2.
    pub concurrency: usize,
    /// The span of one request, cut further where it would pass 11,000 points a series. Default: 1d.
    #[serde(with = "duration")]
    pub chunk: Duration,
    /// Which cluster's metrics are meant, where several share the store. Default: none.
    pub cluster: Option<Cluster>,
    /// The jobs that scrape Kubernetes, where more than one does.
    pub jobs: Jobs,
    /// The window of rates: at least four scrape intervals. Default: 5m.
    #[serde(with = "duration")]
    pub rate_window: Duration,
    /// Counters of requests; of each workload the first that exists is used. Default: `http_requests_total`,
    /// `http_server_request_duration_seconds_count` (OpenTelemetry), `istio_requests_total`, `grpc_server_handled_total`.
    pub request_metrics: Vec<RequestMetric>,
    /// Histograms of latency; of each workload the first that exists is used. Default: `http_request_duration_seconds_bucket`,
    /// `http_server_request_duration_seconds_bucket` (OpenTelemetry), `istio_request_duration_milliseconds_bucket`,
    /// `grpc_server_handling_seconds_bucket`.
    pub latency_metrics: Vec<LatencyMetric>,
}

/// A user and a password.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// The password. Default: none.
    pub password: Option<Secret>,
    /// A file that holds the password. Default: none.
    pub password_file: Option<PathBuf>,
}

/// The label that tells clusters apart.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// Its name. Default: `cluster`.
    #[serde(default = "cluster_label")]
    pub label: String,
    /// Its value for the cluster that is meant.
    pub value: String,
}

/// The `job` labels of what scrapes Kubernetes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Jobs {
    /// Of kube-state-metrics, for instance `kube-state-metrics`. Default: any.
    pub kube_state_metrics: Option<String>,
    /// Of cadvisor, for instance `cadvisor` or `kubelet`. Default: any.
    pub cadvisor: Option<String>,
}

/// A counter of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestMetric {
    /// Its name.
    pub metric: String,
    /// Further matchers as in PromQL, for instance `reporter="destination"`. Default: none.
    #[serde(default)]
    pub matchers: String,
    /// The matchers of requests that failed for want of capacity, for instance `code=~"5.."`. Default: none, so that failures are not looked at.
    #[serde(default)]
    pub errors: String,
    /// The labels that name the workload. Default: the labels `namespace` and `pod`, joined with the pod's owner.
    #[serde(default)]
    pub workload: Option<WorkloadLabels>,
}

/// A histogram of latency with classic buckets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LatencyMetric {
    /// The name of its buckets.
    pub metric: String,
    /// Further matchers as in PromQL, for instance `handler!="/metrics"`. Default: none.
    #[serde(default)]
    pub matchers: String,
    /// The labels that name the workload. Default: the labels `namespace` and `pod`, joined with the pod's owner.
    #[serde(default)]
    pub workload: Option<WorkloadLabels>,
}

/// The labels that name a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadLabels {
    /// The label that holds its namespace.
    pub namespace: String,
    /// The label that holds its name.
    pub name: String,
}

impl Settings {
    /// The defaults, for the server at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }
}

impl Cluster {
    /// The matcher that every selector carries.
    pub fn matcher(&self) -> String {
        format!("{}={}", self.label, quoted(&self.value))
    }
}

/// A string as PromQL writes it.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: String::new(),
            bearer_token: None,
            bearer_token_file: None,
            basic_auth: None,
            ca_file: None,
            headers: BTreeMap::new(),
            timeout: Duration::from_secs(30),
            retries: 3,
            retry_delay: Duration::from_secs(1),
            concurrency: 2,
            chunk: Duration::from_secs(86_400),
            cluster: None,
            jobs: Jobs::default(),
            rate_window: Duration::from_secs(300),
            request_metrics: RequestMetric::usual(),
            latency_metrics: LatencyMetric::usual(),
        }
    }
}

impl RequestMetric {
    /// The counters that are looked for where nothing else is said.
    pub fn usual() -> Vec<Self> {
        let by_pod = |metric: &str, errors: &str| Self {
            metric: metric.to_owned(),
            matchers: String::new(),
            errors: errors.to_owned(),
            workload: None,
        };
        let istio = Self {
            metric: "istio_requests_total".to_owned(),
            matchers: "reporter=\"destination\"".to_owned(),
            errors: "response_code=~\"5..\"".to_owned(),
            workload: Some(WorkloadLabels::of_istio()),
        };
        vec![
            by_pod("http_requests_total", "code=~\"5..\""),
            by_pod("http_server_request_duration_seconds_count", "http_response_status_code=~\"5..\""),
            istio,
            by_pod("grpc_server_handled_total", "grpc_code=~\"DeadlineExceeded|Internal|ResourceExhausted|Unavailable\""),
        ]
    }
}

impl LatencyMetric {
    /// The histograms that are looked for where nothing else is said.
    pub fn usual() -> Vec<Self> {
        let by_pod = |metric: &str| Self { metric: metric.to_owned(), matchers: String::new(), workload: None };
        let istio = Self {
            metric: "istio_request_duration_milliseconds_bucket".to_owned(),
            matchers: "reporter=\"destination\"".to_owned(),
            workload: Some(WorkloadLabels::of_istio()),
        };
        vec![
            by_pod("http_request_duration_seconds_bucket"),
            by_pod("http_server_request_duration_seconds_bucket"),
            istio,
            by_pod("grpc_server_handling_seconds_bucket"),
        ]
    }
}

impl WorkloadLabels {
    fn of_istio() -> Self {
        Self { namespace: "destination_workload_namespace".to_owned(), name: "destination_workload".to_owned() }
    }
}

fn cluster_label() -> String {
    "cluster".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_their_secrets_never_shown() {
        let text = "{url: 'http://p', bearerToken: t0p, headers: {X-Scope-OrgID: t1p}, timeout: 90s, basicAuth: {username: u, password: t2p}, \
            cluster: {value: east}, jobs: {cadvisor: kubelet}, requestMetrics: [{metric: hits}]}";
        let settings: Settings = serde_yaml::from_str(text).unwrap();
        assert_eq!((settings.timeout.as_secs(), settings.retries, settings.cluster.as_ref().unwrap().label.as_str()), (90, 3, "cluster"));
        assert_eq!(settings.request_metrics[0].workload, None);
        let shown = format!("{settings:?}{}", serde_yaml::to_string(&settings).unwrap());
        for secret in ["t0p", "t1p", "t2p"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let error = serde_yaml::from_str::<Settings>("{url: x, bearrToken: y}").unwrap_err().to_string();
        assert!(error.contains("bearrToken") && error.contains("`bearerToken`"), "{error}");
    }
}
