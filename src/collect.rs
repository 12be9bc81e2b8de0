//! History of the workloads that policies name, from Prometheus or from files. One workload's failure is data, never an error of the run.

mod argocd;
mod censored;
mod cluster;
mod files;
mod policies;
mod prometheus;
mod promql;
mod rego;
mod snapshot;
pub mod traces;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::clients::prometheus::{self as client, Health, Prometheus, PrometheusError};
use crate::model::policy::duration;
use crate::model::snapshot::{Usage, Version};
use crate::model::{Censored, HoldReason, Series, Signal, WorkloadId};

pub use argocd::{Made, Tracked};
pub use cluster::{READ, unseen};
pub use policies::{Governed, governed};
pub use rego::rego;
pub use snapshot::snapshot;

/// The section `metrics`: where history comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// A Prometheus, or what speaks its API. Default: none.
    pub prometheus: Option<client::Settings>,
    /// A folder (or one file) of CSV and OpenMetrics text, instead of a Prometheus. Default: none.
    pub files: Option<PathBuf>,
    /// How far back history is read. Default: 28d.
    #[serde(with = "duration")]
    pub history: Duration,
    /// The grid of demand. Default: 1m.
    #[serde(with = "duration")]
    pub step: Duration,
}

/// Where history comes from.
#[derive(Debug)]
pub enum Source {
    /// A Prometheus, or what speaks its API.
    Prometheus(Box<Prometheus>),
    /// A folder (or one file) of CSV and OpenMetrics text.
    Files(PathBuf),
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The workload.
    pub id: WorkloadId,
    /// What drives it.
    pub signals: BTreeSet<Signal>,
    /// Whether what one replica carries is to be learned, so that its latency and its images are asked for too.
    pub learns: bool,
    /// The expressions for the share of its error budget that is left: each overlay that renders it may have its own.
    pub error_budgets: BTreeSet<String>,
}

/// What was learned of one workload.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The demand of each signal that was asked for, or why it is not known.
    pub demand: BTreeMap<Signal, Result<Series, HoldReason>>,
    /// What each container used, by name: of its busiest pod, in cores and in bytes.
    pub usage: BTreeMap<String, Usage>,
    /// From a pod's creation to Ready: the 95th percentile of the starts seen.
    pub startup: Option<TimeDelta>,
    /// Container restarts in each step.
    pub restarts: Option<Series>,
    /// Pods that were Ready.
    pub ready: Option<Series>,
    /// The HPA's `minReplicas`.
    pub hpa_min: Option<Series>,
    /// The HPA's `maxReplicas`.
    pub hpa_max: Option<Series>,
    /// The 95th percentile of its latency, in the unit of its histogram.
    pub latency: Option<Series>,
    /// What its pods run.
    pub version: Option<Version>,
    /// The share of its error budget that was left at the last time within an hour that it was told, by expression.
    pub error_budgets: BTreeMap<String, f64>,
    /// When demand was cut short.
    pub censored: Censored,
    /// What besides the demand could not be asked for, and why.
    pub troubles: Vec<HoldReason>,
}

/// Reads the history of every workload that is wanted, up to `now` and `history` back; demand on a grid of `step`, the rest on one of at
/// least five minutes. A value describes the `step` after its grid point, and none describes time after `now`.
pub async fn histories(
    source: &Source,
    wanted: &[Wanted],
    now: DateTime<Utc>,
    history: TimeDelta,
    step: TimeDelta,
) -> BTreeMap<WorkloadId, History> {
    let span = Span { now: now.timestamp(), history: history.num_seconds().max(1), step: step.num_seconds().max(1) };
    let (nowhere, wanted): (Vec<&Wanted>, Vec<&Wanted>) = wanted.iter().partition(|wanted| wanted.id.namespace.is_empty());
    let mut told = match source {
        Source::Prometheus(prometheus) => prometheus::histories(prometheus, &wanted, span).await,
        Source::Files(path) => files::histories(path, &wanted, span),
    };
    told.extend(nowhere.into_iter().map(|wanted| {
        let detail = "the overlay renders the workload without a namespace, and no Application says where it is deployed: set \
                      `metadata.namespace` in its policy";
        let hold = |signal: &Signal| HoldReason::NoData { signal: signal.clone(), detail: detail.to_owned() };
        (wanted.id.clone(), History::of(wanted, |signal| Err(hold(signal))))
    }));
    told
}

/// Which server answers, and which of the metrics that are asked for it lacks; of the counters of requests one is enough.
pub async fn health(prometheus: &Prometheus) -> Result<Health, PrometheusError> {
    let counters: BTreeSet<&String> = prometheus.settings().request_metrics.iter().map(|counter| &counter.metric).collect();
    let mut health = prometheus.health(&prometheus::needed(prometheus.settings())).await?;
    if counters.iter().any(|counter| !health.missing.contains(counter)) {
        health.missing.retain(|metric| !counters.contains(metric));
    }
    Ok(health)
}

/// What is asked for in time, in seconds.
#[derive(Clone, Copy, Debug)]
struct Span {
    now: i64,
    history: i64,
    step: i64,
}

impl Span {
    /// The finest grid of what is not demand.
    const COARSE: i64 = 300;

    fn coarse(self) -> Self {
        Self { step: self.step.max(Self::COARSE), ..self }
    }

    /// First and last grid point whose step has ended by `now`.
    fn grid(self) -> (i64, i64) {
        let last = self.now.div_euclid(self.step) - 1;
        let first = (self.now - self.history).div_euclid(self.step);
        (first * self.step, last * self.step)
    }
}

impl Source {
    /// Whether the source answers: what it is, and what about it is likely a mistake.
    pub async fn health(&self) -> anyhow::Result<(String, Vec<String>)> {
        match self {
            Self::Prometheus(prometheus) => {
                let health = health(prometheus).await?;
                let mut warnings = Vec::new();
                if !health.missing.is_empty() {
                    warnings.push(format!("no series of {}: what needs them is held", health.missing.join(", ")));
                }
                if health.clusters.len() > 1 && prometheus.settings().cluster.is_none() {
                    let clusters = health.clusters.join(", ");
                    warnings.push(format!("clusters {clusters} share it: say which one is meant as `metrics.prometheus.cluster`"));
                }
                Ok((health.server, warnings))
            }
            Self::Files(path) if path.exists() => Ok((format!("files in `{}`", path.display()), Vec::new())),
            Self::Files(path) => anyhow::bail!("`{}` does not exist: correct `metrics.files`", path.display()),
        }
    }

    /// The source that the settings name; connects to nothing yet.
    pub fn open(settings: &Settings) -> Result<Self, SourceError> {
        match (&settings.prometheus, &settings.files) {
            (Some(_), Some(_)) => Err(SourceError::Both),
            (Some(prometheus), None) => Ok(Self::Prometheus(Box::new(Prometheus::new(prometheus.clone())?))),
            (None, Some(path)) => Ok(Self::Files(path.clone())),
            (None, None) => Err(SourceError::None),
        }
    }
}

/// Settings that name no usable source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Two sources.
    #[error("`metrics.prometheus` and `metrics.files` are both set: keep one of them")]
    Both,
    /// No source.
    #[error("no history: set `metrics.prometheus.url`, or `metrics.files` to a folder of CSV or OpenMetrics text")]
    None,
    /// The settings of Prometheus make no client.
    #[error(transparent)]
    Prometheus(#[from] PrometheusError),
}

impl History {
    fn of(wanted: &Wanted, demand: impl Fn(&Signal) -> Result<Series, HoldReason>) -> Self {
        let demand = wanted.signals.iter().map(|signal| (signal.clone(), demand(signal))).collect();
        Self { demand, ..Self::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { prometheus: None, files: None, history: Duration::from_secs(28 * 86_400), step: Duration::from_secs(60) }
    }
}

/// The 95th percentile of starts, in seconds, by nearest rank: a few starts give the slowest.
fn slow_start(mut seconds: Vec<f64>) -> Option<TimeDelta> {
    seconds.retain(|s| s.is_finite() && *s >= 0.0);
    seconds.sort_by(f64::total_cmp);
    let rank = (seconds.len() as f64 * 0.95).ceil() as usize;
    let slow = seconds.get(rank.checked_sub(1)?)?;
    TimeDelta::try_milliseconds((slow * 1000.0) as i64)
}

/// How a hold names a span of time.
fn in_words(seconds: i64) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(seconds.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_one_thing_or_the_other() {
        let open = |text: &str| Source::open(&serde_yaml::from_str(text).unwrap()).map_err(|e| e.to_string());
        assert!(matches!(open("{files: history}"), Ok(Source::Files(path)) if path.as_os_str() == "history"));
        assert!(matches!(open("{prometheus: {url: 'http://p'}}"), Ok(Source::Prometheus(_))));
        assert!(open("{}").unwrap_err().contains("set `metrics.prometheus.url`, or `metrics.files`"));
        assert!(open("{files: x, prometheus: {url: 'http://p'}}").unwrap_err().contains("keep one of them"));
        assert!(open("{prometheus: {timeout: 5s}}").unwrap_err().contains("no address is given"));
    }

    #[test]
    fn the_grid_ends_with_the_last_whole_step() {
        let span = Span { now: 1_000, history: 600, step: 60 };
        assert_eq!(span.grid(), (360, 900)); // 400 falls into the step from 360 on; that from 960 on has not ended
        assert_eq!(Span { now: 1_020, ..span }.grid(), (420, 960));
        assert_eq!((span.coarse().step, Span { step: 600, ..span }.coarse().step), (300, 600));
    }

    #[test]
    fn slow_starts_count() {
        assert_eq!(slow_start(vec![]), None);
        assert_eq!(slow_start(vec![5.0, f64::NAN, -3.0]), Some(TimeDelta::seconds(5)));
        assert_eq!(slow_start((1..=100).map(f64::from).collect()), Some(TimeDelta::seconds(95)));
    }
}
