//! History from files: `<folder>/<namespace>/<workload>/<signal>.csv`, and OpenMetrics text (`*.om`, `*.openmetrics`, `*.txt`) in the folder.
//!
//! CSV is `timestamp,value`, the timestamp in epoch seconds or RFC 3339. Besides the signals (`cpu`, `memory`, `requests`, `queue`, `promql`) there may
//! be `cpu.<container>.csv` and `memory.<container>.csv` of the busiest pod, `ready.csv`, `restarts.csv` and `latency.csv` (its 95th percentile);
//! and, of what cuts demand short,
//! `at-maximum.csv` (1 while the HPA asks for its maximum), `pending.csv` (pods that found no node), `throttled.csv` (the share of CPU periods)
//! and `errors.csv` (the share of requests that failed); and `error-budget.csv`. A CSV file wins over the text.

mod openmetrics;
pub(super) mod table;
mod window;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::censored::{at_maximum, censored};
use super::version::version;
use super::{History, Span, Wanted, in_words, slow_start};
use crate::model::{Cause, HoldReason, Series, Signal, WorkloadId};
use openmetrics::Metrics;

pub(super) fn histories(path: &Path, wanted: &[&Wanted], span: Span) -> BTreeMap<WorkloadId, History> {
    let metrics = texts(path).and_then(|texts| Metrics::read(&texts));
    wanted.iter().map(|wanted| (wanted.id.clone(), history(path, &metrics, wanted, span))).collect()
}

fn history(path: &Path, metrics: &Result<Metrics, String>, wanted: &Wanted, span: Span) -> History {
    let mut history = History::of(wanted, |signal| demand(path, metrics, wanted, signal, span));
    let mut measured = BTreeMap::new();
    let failed = |detail: &String| HoldReason::SourceFailed { detail: detail.clone() };
    match metrics {
        Ok(metrics) => {
            let evidence = metrics.of(&wanted.id, span.coarse());
            history.usage = evidence.usage();
            history.startup = slow_start(evidence.starts());
            history.restarts = evidence.restarts();
            history.ready = evidence.ready();
            history.version = version(&evidence.images());
            history.hpa_min = evidence.gauge("kube_horizontalpodautoscaler_spec_min_replicas");
            history.hpa_max = evidence.gauge("kube_horizontalpodautoscaler_spec_max_replicas");
            let desired = evidence.gauge("kube_horizontalpodautoscaler_status_desired_replicas");
            let at_maximum = at_maximum(desired.as_ref(), history.hpa_min.as_ref(), history.hpa_max.as_ref());
            measured.extend(at_maximum.map(|at_maximum| (Cause::AtMaximum, at_maximum)));
        }
        Err(detail) => history.troubles.push(failed(detail)),
    }
    let tables = folder_of(path, &wanted.id).filter(|folder| folder.is_dir()).map_or(Ok(Vec::new()), |folder| files(&folder));
    for file in tables.unwrap_or_else(|detail| {
        history.troubles.push(failed(&detail));
        Vec::new()
    }) {
        let name = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".csv")).unwrap_or_default();
        if let Some(cause) = Cause::ALL.into_iter().find(|cause| cause.name() == name) {
            match table::read(&file, span.coarse()) {
                Ok(series) => measured.extend(series.map(|series| (cause, series))),
                Err(detail) => history.troubles.push(failed(&detail)),
            }
            continue;
        }
        let place = match name.split_once('.') {
            Some(("cpu", container)) => &mut history.usage.entry(container.to_owned()).or_default().cpu,
            Some(("memory", container)) => &mut history.usage.entry(container.to_owned()).or_default().memory,
            None if name == "ready" => &mut history.ready,
            None if name == "restarts" => &mut history.restarts,
            None if name == "latency" => &mut history.latency,
            _ => continue,
        };
        match table::read(&file, span.coarse()) {
            Ok(series) => *place = series,
            Err(detail) => history.troubles.push(failed(&detail)),
        }
    }
    history.censored = censored(measured);
    if !wanted.error_budgets.is_empty() {
        let lately = Span { history: 3600, ..span.coarse() };
        let file = folder_of(path, &wanted.id).map(|folder| folder.join("error-budget.csv")).filter(|file| file.exists());
        let told = file.map_or(Ok(None), |file| table::read(&file, lately));
        match told.map(|series| series?.values().iter().rev().copied().find(|left| left.is_finite())) {
            Ok(Some(left)) => history.error_budgets = wanted.error_budgets.iter().map(|expression| (expression.clone(), left)).collect(),
            Ok(None) => history.troubles.push(failed(&format!("{} tells no error budget of the last hour", path.display()))),
            Err(detail) => history.troubles.push(failed(&detail)),
        }
    }
    history
}

fn demand(path: &Path, metrics: &Result<Metrics, String>, wanted: &Wanted, signal: &Signal, span: Span) -> Result<Series, HoldReason> {
    let no_data = |detail| HoldReason::NoData { signal: signal.clone(), detail };
    let name = signal.name();
    if wanted.signals.iter().filter(|other| other.name() == name).count() > 1 {
        return Err(no_data(format!("files tell only one `{name}` signal of a workload: keep one in its policy, or ask a Prometheus")));
    }
    let file = folder_of(path, &wanted.id).map(|folder| folder.join(format!("{name}.csv"))).filter(|file| file.exists());
    let found = match (file, metrics) {
        (Some(file), _) => table::read(&file, span).map_err(|detail| HoldReason::SourceFailed { detail })?,
        (None, Err(detail)) => return Err(HoldReason::SourceFailed { detail: detail.clone() }),
        (None, Ok(metrics)) => {
            let evidence = metrics.of(&wanted.id, span);
            match signal {
                Signal::Cpu => evidence.cpu(),
                Signal::Memory => evidence.memory(),
                Signal::Requests => evidence.requests(),
                Signal::Queue(_) | Signal::Promql(_) => None,
            }
        }
    };
    found.ok_or_else(|| {
        no_data(format!(
            "{} tells no {name} of the last {}: put `timestamp,value` lines into {}/{}/{name}.csv there, or OpenMetrics text with its pods' \
             metrics and their owners beside",
            path.display(),
            in_words(span.history),
            wanted.id.namespace,
            wanted.id.name
        ))
    })
}

/// The folder of a workload's CSV files; `None` when its names are no file names.
fn folder_of(path: &Path, id: &WorkloadId) -> Option<PathBuf> {
    let plain = |name: &str| matches!(Path::new(name).components().collect::<Vec<_>>().as_slice(), [Component::Normal(_)]);
    (plain(&id.namespace) && plain(&id.name)).then(|| path.join(&id.namespace).join(&id.name))
}

/// The OpenMetrics files: those in the folder, or the one file.
fn texts(path: &Path) -> Result<Vec<PathBuf>, String> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let is_text = |file: &PathBuf| file.extension().is_some_and(|ext| ext == "om" || ext == "openmetrics" || ext == "txt");
    Ok(files(path)?.into_iter().filter(is_text).collect())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |e: std::io::Error| format!("the history in {} cannot be read ({e}): check `metrics.files`", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
