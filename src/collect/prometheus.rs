//! History from a Prometheus: one query a measure and namespace.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, future, stream};

use super::censored::{at_maximum, censored};
use super::promql::{Measure, NEW, Scope};
use super::version::version;
use super::{History, Span, Wanted, in_words, slow_start};
use crate::clients::prometheus::{LabelledSeries, Prometheus, Settings};
use crate::model::{Cause, HoldReason, Series, Signal, WorkloadId};

/// What is asked of every namespace, besides demand.
const ALWAYS: [Measure; 6] =
    [Measure::ContainerCpu, Measure::ContainerMemory, Measure::Ready, Measure::Bounds, Measure::Restarts, Measure::Startup];

/// What cuts demand short, besides the HPA's maximum. A server may know nothing of it.
const CENSORING: [(Measure, Cause); 3] =
    [(Measure::Pending, Cause::Pending), (Measure::Throttled, Cause::Throttled), (Measure::Errors, Cause::Errors)];

/// What tells how much one replica carries, where that is learned. A server may know nothing of it.
const LEARNING: [Measure; 2] = [Measure::Latency, Measure::Images];

/// What a query gave, or why it gave nothing.
type Answer = Result<Vec<LabelledSeries>, HoldReason>;

/// Every metric that is asked for.
pub(super) fn needed(settings: &Settings) -> BTreeSet<String> {
    let demand = [Measure::Cpu, Measure::Memory, Measure::Requests];
    demand.iter().chain(&ALWAYS).flat_map(|measure| measure.metrics(settings)).collect()
}

pub(super) async fn histories(prometheus: &Prometheus, wanted: &[&Wanted], span: Span) -> BTreeMap<WorkloadId, History> {
    let mut namespaces: BTreeMap<&str, Vec<&Wanted>> = BTreeMap::new();
    for &wanted in wanted {
        namespaces.entry(&wanted.id.namespace).or_default().push(wanted);
    }
    // Two namespaces at a time keep the client busy and few raw samples in memory.
    let asked = stream::iter(namespaces).map(|(name, wanted)| namespace(prometheus, name, wanted, span)).buffered(2);
    asked.collect::<Vec<_>>().await.into_iter().flatten().collect()
}

async fn namespace(prometheus: &Prometheus, name: &str, wanted: Vec<&Wanted>, span: Span) -> Vec<(WorkloadId, History)> {
    let scope = Scope { namespace: name, workloads: wanted.iter().map(|w| (w.id.kind, w.id.name.as_str())).collect() };
    let signals = || wanted.iter().flat_map(|wanted| &wanted.signals);
    let learning = LEARNING.into_iter().filter(|measure| {
        wanted.iter().any(|wanted| wanted.learns) && (*measure != Measure::Latency || !prometheus.settings().latency_metrics.is_empty())
    });
    let censoring = censoring(prometheus.settings());
    let measures: BTreeSet<Measure> = signals().filter_map(demand_measure).chain(ALWAYS).chain(censoring).chain(learning).collect();
    let expressions: BTreeSet<&str> = signals().filter_map(Signal::expression).collect();

    let budgets: BTreeSet<&str> = wanted.iter().flat_map(|wanted| wanted.error_budgets.iter().map(String::as_str)).collect();
    let lately = Span { history: 3600, ..span.coarse() };

    let (asked, own, budgets) = future::join3(
        future::join_all(measures.iter().map(async |&measure| (measure, ask(prometheus, measure, &scope, span).await))),
        future::join_all(expressions.iter().map(async |&expression| (expression, range(prometheus, expression, span).await))),
        future::join_all(budgets.iter().map(async |&expression| (expression, range(prometheus, expression, lately).await))),
    )
    .await;
    let answers = Answers {
        measured: asked.into_iter().collect(),
        own: own.into_iter().collect(),
        budgets: budgets.into_iter().collect(),
        prometheus,
        span,
    };
    wanted.into_iter().map(|wanted| (wanted.id.clone(), answers.history(wanted))).collect()
}

/// What is asked of every namespace where the settings tell how.
fn censoring(settings: &Settings) -> impl Iterator<Item = Measure> {
    let tells = settings.request_metrics.iter().any(|counter| !counter.errors.is_empty());
    CENSORING.into_iter().map(|(measure, _)| measure).filter(move |measure| *measure != Measure::Errors || tells)
}

fn demand_measure(signal: &Signal) -> Option<Measure> {
    match signal {
        Signal::Cpu => Some(Measure::Cpu),
        Signal::Memory => Some(Measure::Memory),
        Signal::Requests => Some(Measure::Requests),
        Signal::Queue(_) | Signal::Promql(_) => None,
    }
}

async fn ask(prometheus: &Prometheus, measure: Measure, scope: &Scope<'_>, span: Span) -> Answer {
    let span = grid_of(measure, span);
    range(prometheus, &measure.query(prometheus.settings(), scope, span.step), span).await
}

/// Demand is asked on its own grid, starts so that each is seen, and the rest coarsely.
fn grid_of(measure: Measure, span: Span) -> Span {
    match measure {
        Measure::Cpu | Measure::Memory | Measure::Requests => span,
        Measure::Startup => Span { step: NEW / 2, ..span },
        _ => span.coarse(),
    }
}

/// A value that is evaluated at `t` describes the step that ends there, and goes to the grid point where that step begins.
async fn range(prometheus: &Prometheus, query: &str, span: Span) -> Answer {
    let (first, last) = span.grid();
    let answer = prometheus.range(query, first + span.step, last + span.step, span.step).await;
    let mut series = answer.map_err(|error| HoldReason::SourceFailed { detail: error.to_string() })?;
    for (at, _) in series.iter_mut().flat_map(|series| &mut series.samples) {
        *at -= span.step;
    }
    Ok(series)
}

/// All that was answered for one namespace.
struct Answers<'a> {
    measured: BTreeMap<Measure, Answer>,
    own: BTreeMap<&'a str, Answer>,
    budgets: BTreeMap<&'a str, Answer>,
    prometheus: &'a Prometheus,
    span: Span,
}

impl Answers<'_> {
    fn history(&self, wanted: &Wanted) -> History {
        let id = &wanted.id;
        let mut history = History::of(wanted, |signal| self.demand(id, signal));
        for (container, series) in self.by(Measure::ContainerCpu, id, "container") {
            history.usage.entry(container).or_default().cpu = Some(series);
        }
        for (container, series) in self.by(Measure::ContainerMemory, id, "container") {
            history.usage.entry(container).or_default().memory = Some(series);
        }
        history.startup = slow_start(self.of(Measure::Startup, id).flat_map(|series| series.samples.iter().map(|(_, s)| *s)).collect());
        history.restarts = self.by(Measure::Restarts, id, "").remove("");
        history.ready = self.by(Measure::Ready, id, "").remove("");
        if wanted.learns {
            history.latency = self.first_of(Measure::Latency, id);
            history.version = version(&self.images(id));
        }
        let mut bounds = self.by(Measure::Bounds, id, "bound");
        (history.hpa_min, history.hpa_max) = (bounds.remove("min"), bounds.remove("max"));
        let at_maximum = at_maximum(bounds.remove("desired").as_ref(), history.hpa_min.as_ref(), history.hpa_max.as_ref());
        let mut measured: BTreeMap<Cause, Series> = at_maximum.into_iter().map(|series| (Cause::AtMaximum, series)).collect();
        for (measure, cause) in CENSORING {
            measured.extend(self.first_of(measure, id).map(|series| (cause, series)));
        }
        history.censored = censored(measured);
        let asked = ALWAYS.into_iter().chain(censoring(self.prometheus.settings()));
        let asked = asked.chain(LEARNING.into_iter().filter(|_| wanted.learns));
        history.troubles = asked.filter_map(|measure| self.measured.get(&measure)?.as_ref().err().cloned()).collect();
        for expression in &wanted.error_budgets {
            match self.budget(expression) {
                Ok(left) => drop(history.error_budgets.insert(expression.clone(), left)),
                Err(trouble) => history.troubles.push(trouble),
            }
        }
        history
    }

    /// What an expression gave last; it may be below zero, where a series cannot be.
    fn budget(&self, expression: &str) -> Result<f64, HoldReason> {
        let failed =
            |detail: String| HoldReason::SourceFailed { detail: format!("its error budget is not known, since `{expression}` {detail}") };
        match self.budgets[expression].as_ref().map_err(Clone::clone)?.as_slice() {
            [one] => one
                .samples
                .iter()
                .rev()
                .map(|(_, left)| *left)
                .find(|left| left.is_finite())
                .ok_or_else(|| failed("gave no number".to_owned())),
            [] => Err(failed("gave nothing in the last hour".to_owned())),
            several => {
                Err(failed(format!("gives {} series where one is needed: aggregate them, for instance with `min(…)`", several.len())))
            }
        }
    }

    fn demand(&self, id: &WorkloadId, signal: &Signal) -> Result<Series, HoldReason> {
        let no_data = |detail| HoldReason::NoData { signal: signal.clone(), detail };
        let url = &self.prometheus.settings().url;
        let back = in_words(self.span.history);
        let Some(measure) = demand_measure(signal) else {
            let expression = signal.expression().unwrap_or_default();
            return match self.own[expression].as_ref().map_err(Clone::clone)?.as_slice() {
                [] => Err(no_data(format!(
                    "Prometheus at {url} has nothing for `{expression}` in the last {back}: try it in its own web page"
                ))),
                [one] => series(one, self.span).ok_or_else(|| no_data(format!("`{expression}` gave no finite number in the last {back}"))),
                several => Err(HoldReason::PolicyInvalid {
                    detail: format!(
                        "`{expression}` gives {} series where one is needed: aggregate them, for instance with `sum(…)`",
                        several.len()
                    ),
                }),
            };
        };
        self.measured[&measure].as_ref().map_err(Clone::clone)?;
        self.first_of(measure, id).ok_or_else(|| {
            let metrics = measure.metrics(self.prometheus.settings()).join("`, `");
            no_data(format!(
                "Prometheus at {url} has no {} of its pods in the last {back} (asked for `{metrics}`): `prescale doctor` tells which metrics are \
                 missing, and `metrics.prometheus` takes other names, jobs and the cluster",
                signal.name()
            ))
        })
    }

    /// The series of a workload; of counters of requests the first that there is.
    fn first_of(&self, measure: Measure, id: &WorkloadId) -> Option<Series> {
        let mut found = self.by(measure, id, "metric");
        match measure {
            Measure::Requests | Measure::Errors => {
                self.prometheus.settings().request_metrics.iter().find_map(|counter| found.remove(&counter.metric))
            }
            Measure::Latency => self.prometheus.settings().latency_metrics.iter().find_map(|histogram| found.remove(&histogram.metric)),
            _ => found.remove(""),
        }
    }

    /// When each image of a workload was seen, by container and image.
    fn images(&self, id: &WorkloadId) -> BTreeMap<(String, String), Series> {
        let grid = grid_of(Measure::Images, self.span);
        let label = |found: &LabelledSeries, label: &str| found.labels.get(label).cloned().unwrap_or_default();
        let seen = self.of(Measure::Images, id);
        seen.filter_map(|found| Some(((label(found, "container"), label(found, "image")), series(found, grid)?))).collect()
    }

    /// The series of a workload, by the value of a label (the empty text where it is not set).
    fn by(&self, measure: Measure, id: &WorkloadId, label: &str) -> BTreeMap<String, Series> {
        let grid = grid_of(measure, self.span);
        let named = |found: &LabelledSeries| {
            let key = found.labels.get(label).cloned().unwrap_or_default();
            Some((key, series(found, grid)?))
        };
        self.of(measure, id).filter_map(named).collect()
    }

    fn of<'a>(&'a self, measure: Measure, id: &'a WorkloadId) -> impl Iterator<Item = &'a LabelledSeries> {
        let is = |found: &LabelledSeries, label: &str, value: &str| found.labels.get(label).is_none_or(|found| found == value);
        let answer = self.measured.get(&measure).and_then(|answer| answer.as_ref().ok());
        let all = answer.into_iter().flatten();
        all.filter(move |found| is(found, "workload", &id.name) && is(found, "owner_kind", id.kind.as_str()))
    }
}

fn series(found: &LabelledSeries, grid: Span) -> Option<Series> {
    Series::from_samples(grid.step, found.samples.iter().copied())
}
