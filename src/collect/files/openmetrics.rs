//! OpenMetrics text with the names and labels that Prometheus would have: only the metrics that Prescale asks for are kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::super::Span;
use super::window::{LOOKBACK, Sample, add, greatest, last, over, raise, slope, without_resets};
use crate::clients::prometheus::RequestMetric;
use crate::model::snapshot::Usage;
use crate::model::{Series, WorkloadId, WorkloadKind};

const CPU: &str = "container_cpu_usage_seconds_total";
const MEMORY: &str = "container_memory_working_set_bytes";
const READY: &str = "kube_pod_status_ready";
const CONTAINER: &str = "kube_pod_container_info";
const RESTARTS: &str = "kube_pod_container_status_restarts_total";
const READY_TIME: &str = "kube_pod_status_ready_time";
const CREATED: &str = "kube_pod_created";
const POD_OWNER: &str = "kube_pod_owner";
const REPLICA_SET_OWNER: &str = "kube_replicaset_owner";
const HPA_INFO: &str = "kube_horizontalpodautoscaler_info";
const HPA_MIN: &str = "kube_horizontalpodautoscaler_spec_min_replicas";
const HPA_MAX: &str = "kube_horizontalpodautoscaler_spec_max_replicas";
const HPA_DESIRED: &str = "kube_horizontalpodautoscaler_status_desired_replicas";
const KEPT: [&str; 13] =
    [CPU, MEMORY, READY, CONTAINER, RESTARTS, READY_TIME, CREATED, POD_OWNER, REPLICA_SET_OWNER, HPA_INFO, HPA_MIN, HPA_MAX, HPA_DESIRED];

/// The window of rates, in seconds; a longer step widens it.
const RATE_WINDOW: i64 = 300;

/// All series that were read, by the workload that they tell of.
#[derive(Default)]
pub(super) struct Metrics {
    series: BTreeMap<Owner, Vec<Raw>>,
    counters: Vec<String>,
}

/// Namespace and name of a workload; the kind is known of those that were found through their pods.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    namespace: String,
    name: String,
    kind: Option<WorkloadKind>,
}

/// A series as it was read, in order of time.
#[derive(Default)]
struct Raw {
    name: String,
    labels: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

impl Metrics {
    /// Reads the files as one. An error names file and line.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, String> {
        let counters: Vec<String> = RequestMetric::usual().into_iter().filter(|c| c.workload.is_none()).map(|c| c.metric).collect();
        let mut reader = Reader { counters: &counters, ids: HashMap::new(), series: Vec::new() };
        for file in files {
            reader.file(file)?;
        }
        let mut all = reader.series;
        let clusters: BTreeSet<&str> = all.iter().filter_map(|raw| raw.labels.get("cluster")).map(String::as_str).collect();
        if clusters.len() > 1 {
            let clusters = clusters.into_iter().collect::<Vec<_>>().join(", ");
            return Err(format!("the OpenMetrics text holds several clusters ({clusters}): keep the one that is meant"));
        }
        for raw in &mut all {
            raw.samples.sort_by_key(|(at, _)| *at);
        }
        let owners = Owners::of(&all);
        let mut series: BTreeMap<Owner, Vec<Raw>> = BTreeMap::new();
        for raw in all {
            if let Some(owner) = owners.owner(&raw) {
                series.entry(owner).or_default().push(raw);
            }
        }
        Ok(Self { series, counters })
    }

    /// What is told of one workload, on the grid of `span`.
    pub(super) fn of(&self, id: &WorkloadId, span: Span) -> Evidence<'_> {
        let owner = |kind| Owner { namespace: id.namespace.clone(), name: id.name.clone(), kind };
        let series = [owner(None), owner(Some(id.kind))].iter().filter_map(|owner| self.series.get(owner)).flatten().collect();
        Evidence { series, counters: &self.counters, span, window: RATE_WINDOW.max(span.step) }
    }
}

/// What is told of one workload.
pub(super) struct Evidence<'a> {
    series: Vec<&'a Raw>,
    counters: &'a [String],
    span: Span,
    window: i64,
}

impl<'a> Evidence<'a> {
    /// CPU of all pods, in cores.
    pub(super) fn cpu(&self) -> Option<Series> {
        self.sum(self.by_container(CPU, |raw| self.rate(raw)))
    }

    /// Working set of all pods, in bytes.
    pub(super) fn memory(&self) -> Option<Series> {
        self.sum(self.by_container(MEMORY, |raw| self.last(raw)))
    }

    /// Requests a second by the first counter that tells them.
    pub(super) fn requests(&self) -> Option<Series> {
        self.counters.iter().find_map(|counter| {
            let mut all: Option<Vec<f64>> = None;
            for raw in self.named(counter) {
                let rate = self.rate(raw);
                add(all.get_or_insert_with(|| vec![f64::NAN; rate.len()]), &rate);
            }
            self.series(&all?)
        })
    }

    /// Of each container the busiest pod.
    pub(super) fn usage(&self) -> BTreeMap<String, Usage> {
        let mut usage: BTreeMap<String, Usage> = BTreeMap::new();
        for (container, series) in self.busiest(self.by_container(CPU, |raw| self.rate(raw))) {
            usage.entry(container).or_default().cpu = Some(series);
        }
        let peak = |raw: &Raw| over(&raw.samples, self.span, self.span.step, greatest);
        for (container, series) in self.busiest(self.by_container(MEMORY, peak)) {
            usage.entry(container).or_default().memory = Some(series);
        }
        usage
    }

    /// Pods that are Ready.
    pub(super) fn ready(&self) -> Option<Series> {
        let truly = |raw: &Raw| if raw.label("condition") == "true" { self.last(raw) } else { Vec::new() };
        self.sum(self.by_container(READY, truly))
    }

    /// When each image was seen, by container and image.
    pub(super) fn images(&self) -> BTreeMap<(String, String), Series> {
        let mut most: BTreeMap<(String, String), Vec<f64>> = BTreeMap::new();
        for raw in self.named(CONTAINER) {
            let last = self.last(raw);
            let key = (raw.label("container").to_owned(), raw.label("image").to_owned());
            raise(most.entry(key).or_insert_with(|| vec![f64::NAN; last.len()]), &last);
        }
        most.into_iter().filter_map(|(image, values)| Some((image, self.series(&values)?))).collect()
    }

    /// Container restarts in each step.
    pub(super) fn restarts(&self) -> Option<Series> {
        let step = self.span.step as f64;
        let increase = |raw: &Raw| over(&without_resets(&raw.samples), self.span, self.span.step, |w| slope(w).map(|slope| slope * step));
        self.sum(self.by_container(RESTARTS, increase))
    }

    /// A value that several exporters may tell at once.
    pub(super) fn gauge(&self, name: &str) -> Option<Series> {
        let mut most: Option<Vec<f64>> = None;
        for raw in self.named(name) {
            let last = self.last(raw);
            raise(most.get_or_insert_with(|| vec![f64::NAN; last.len()]), &last);
        }
        self.series(&most?)
    }

    /// Seconds from creation to Ready of each pod.
    pub(super) fn starts(&self) -> Vec<f64> {
        let (from, to) = (self.span.now - self.span.history, self.span.now);
        let seen = |name: &str| {
            let mut least: BTreeMap<(&str, &str), f64> = BTreeMap::new();
            for raw in self.named(name) {
                let known = raw.samples.iter().filter(|(at, _)| (from * 1000..=to * 1000).contains(at));
                if let Some(value) = known.map(|(_, value)| *value).reduce(f64::min) {
                    let entry = least.entry((raw.label("pod"), raw.label("uid"))).or_insert(value);
                    *entry = entry.min(value);
                }
            }
            least
        };
        let created = seen(CREATED);
        let started = seen(READY_TIME).into_iter().filter_map(|(pod, ready)| Some((ready, *created.get(&pod)?)));
        started.filter(|(_, created)| *created >= from as f64).map(|(ready, created)| ready - created).collect()
    }

    fn named<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'a Raw> + use<'a, 'n> {
        self.series.iter().copied().filter(move |raw| raw.name == name)
    }

    fn rate(&self, raw: &Raw) -> Vec<f64> {
        over(&without_resets(&raw.samples), self.span, self.window, slope)
    }

    fn last(&self, raw: &Raw) -> Vec<f64> {
        over(&raw.samples, self.span, LOOKBACK, last)
    }

    /// Values by pod and container; of what is told twice the greater.
    fn by_container(&self, name: &str, values: impl Fn(&Raw) -> Vec<f64>) -> BTreeMap<(&'a str, &'a str), Vec<f64>> {
        let mut all: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
        for raw in self.series.iter().copied().filter(|raw| raw.name == name && raw.label("container") != "POD") {
            let values = values(raw);
            let most = all.entry((raw.label("pod"), raw.label("container"))).or_insert_with(|| vec![f64::NAN; values.len()]);
            raise(most, &values);
        }
        if name == CPU || name == MEMORY {
            all.retain(|(_, container), _| !container.is_empty()); // that row is the pod's own group, the sum of its containers
        }
        all
    }

    fn busiest(&self, values: BTreeMap<(&str, &str), Vec<f64>>) -> BTreeMap<String, Series> {
        let mut most: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for ((_, container), values) in values {
            raise(most.entry(container).or_insert_with(|| vec![f64::NAN; values.len()]), &values);
        }
        most.into_iter().filter_map(|(container, values)| Some((container.to_owned(), self.series(&values)?))).collect()
    }

    fn sum(&self, values: BTreeMap<(&str, &str), Vec<f64>>) -> Option<Series> {
        let mut values = values.into_values().filter(|values| !values.is_empty());
        let mut sum = values.next()?;
        values.for_each(|values| add(&mut sum, &values));
        self.series(&sum)
    }

    fn series(&self, values: &[f64]) -> Option<Series> {
        let (first, _) = self.span.grid();
        Series::from_samples(self.span.step, values.iter().enumerate().map(|(i, &value)| (first + self.span.step * i as i64, value)))
    }
}

impl Raw {
    /// The value of a label; the empty text where it is not set.
    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Which workload owns a pod. Names of pods are not used again by another workload, so that one answer holds for all times.
struct Owners {
    pods: HashMap<(String, String), (WorkloadKind, String)>,
    hpas: HashMap<(String, String), (WorkloadKind, String)>,
}

impl Owners {
    fn of(series: &[Raw]) -> Self {
        let named = |name: &'static str| series.iter().filter(move |raw| raw.name == name);
        let owner = |raw: &Raw, kind: &str, name: &str| Some((raw.label(kind).parse().ok()?, raw.label(name).to_owned()));
        let key = |raw: &Raw, label: &str| (raw.label("namespace").to_owned(), raw.label(label).to_owned());
        let sets: HashMap<_, (WorkloadKind, String)> =
            named(REPLICA_SET_OWNER).filter_map(|raw| Some((key(raw, "replicaset"), owner(raw, "owner_kind", "owner_name")?))).collect();
        let pod = |raw: &Raw| match raw.label("owner_kind") {
            "ReplicaSet" => sets.get(&key(raw, "owner_name")).cloned(),
            _ => owner(raw, "owner_kind", "owner_name"),
        };
        Self {
            pods: named(POD_OWNER).filter_map(|raw| Some((key(raw, "pod"), pod(raw)?))).collect(),
            hpas: named(HPA_INFO)
                .filter_map(|raw| Some((key(raw, "horizontalpodautoscaler"), owner(raw, "scaletargetref_kind", "scaletargetref_name")?)))
                .collect(),
        }
    }

    fn owner(&self, raw: &Raw) -> Option<Owner> {
        let namespace = raw.labels.get("namespace")?.clone();
        if let Some(name) = raw.labels.get("workload") {
            return Some(Owner { namespace, name: name.clone(), kind: None });
        }
        let (kind, name) = match raw.labels.get("horizontalpodautoscaler") {
            Some(hpa) => self.hpas.get(&(namespace.clone(), hpa.clone()))?,
            None => self.pods.get(&(namespace.clone(), raw.labels.get("pod")?.clone()))?,
        };
        Some(Owner { namespace, name: name.clone(), kind: Some(*kind) })
    }
}

/// Collects series from lines.
struct Reader<'a> {
    counters: &'a [String],
    /// The series by its text; `None` for those that nobody asks for.
    ids: HashMap<String, Option<usize>>,
    series: Vec<Raw>,
}

impl Reader<'_> {
    fn file(&mut self, path: &Path) -> Result<(), String> {
        let broken = |e: std::io::Error| format!("{} cannot be read: {e}", path.display());
        let mut lines = BufReader::new(File::open(path).map_err(broken)?);
        let (mut line, mut number) = (String::new(), 0);
        loop {
            line.clear();
            number += 1;
            let place = |why: String| format!("{}:{number}: {why}", path.display());
            let read = lines.read_line(&mut line).map_err(|e| place(e.to_string()))?;
            if read == 0 || line.trim_end() == "# EOF" {
                return Ok(());
            }
            self.line(line.trim()).map_err(place)?;
        }
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (key, rest) = split(line)?;
        let mut fields = rest.split_ascii_whitespace();
        let value = fields.next().ok_or("no value")?;
        let value: f64 = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
        let at = fields.next().filter(|field| *field != "#").ok_or("no timestamp: a history needs one a line")?;
        let at = milliseconds(at)?;
        if fields.next().is_some_and(|field| field != "#") {
            return Err("more than a value and a timestamp".to_owned());
        }
        let id = match self.ids.get(key) {
            Some(id) => *id,
            None => self.begin(key)?,
        };
        if let Some(id) = id
            && value.is_finite()
        {
            self.series[id].samples.push((at, value));
        }
        Ok(())
    }

    fn begin(&mut self, key: &str) -> Result<Option<usize>, String> {
        let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
        let labels = parse_labels(labels)?;
        let kept = KEPT.contains(&name) || self.counters.iter().any(|counter| counter == name);
        let id = kept.then_some(self.series.len());
        if kept {
            self.series.push(Raw { name: name.to_owned(), labels, samples: Vec::new() });
        }
        self.ids.insert(key.to_owned(), id);
        Ok(id)
    }
}

/// The name with its labels, and what follows.
fn split(line: &str) -> Result<(&str, &str), String> {
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let name = line.find(|c| !named(c)).unwrap_or(line.len());
    if name == 0 {
        return Err("a line begins with the name of a metric, or with `#`".to_owned());
    }
    if !line[name..].starts_with('{') {
        return Ok(line.split_at(name));
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.bytes().enumerate().skip(name) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Ok(line.split_at(at + 1)),
            _ => {}
        }
    }
    Err("the labels have no end: `}` is missing".to_owned())
}

/// `a="b",c="d"}`
fn parse_labels(mut rest: &str) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if rest == "}" {
            return Ok(labels);
        }
        let (name, after) = rest.split_once("=\"").ok_or_else(|| format!("`{rest}` is no label: write name=\"value\""))?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next() {
                None => return Err(format!("the value of the label `{name}` has no end")),
                Some((at, '"')) => break at,
                Some((_, '\\')) => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, c)) => value.push(c),
                    None => {}
                },
                Some((_, c)) => value.push(c),
            }
        };
        labels.insert(name.trim().to_owned(), value);
        rest = &after[end + 1..];
    }
}

fn milliseconds(text: &str) -> Result<i64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("the timestamp `{text}` is not a number of seconds"))?;
    if seconds.abs() < 1e11 {
        Ok((seconds * 1000.0).round() as i64)
    } else {
        Err(format!("the timestamp {text} is beyond the year 5000: seconds are expected, not milliseconds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { now: 600, history: 600, step: 60 };

    fn read(text: &str) -> Result<Metrics, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h.om");
        std::fs::write(&path, text).unwrap();
        Metrics::read(&[path]).map_err(|e| e.rsplit_once('/').unwrap().1.to_owned())
    }

    fn web() -> WorkloadId {
        WorkloadId { namespace: "shop".to_owned(), kind: WorkloadKind::Deployment, name: "web".to_owned() }
    }

    #[test]
    fn a_workload_label_needs_no_owner() {
        let text = "# HELP http_requests Requests.\nhttp_requests_total{namespace=\"shop\",workload=\"web\",path=\"/{a}\\\"\\\\\"} 0 0\n\
            http_requests_total{namespace=\"shop\",workload=\"web\",path=\"/{a}\\\"\\\\\"} 120 60.0 # {trace_id=\"x\"} 1\n\
            http_server_request_duration_seconds_count{namespace=\"shop\",workload=\"web\"} 5 0\n# EOF\nwhat follows is not read";
        let metrics = read(text).unwrap();
        let evidence = metrics.of(&web(), SPAN);
        assert_eq!(evidence.requests().unwrap().get(0), Some(2.0));
        assert_eq!(evidence.named("http_requests_total").next().unwrap().label("path"), "/{a}\"\\");
    }

    #[test]
    fn the_first_counter_that_exists_is_used() {
        let count = |name: &str, at: i64, value: f64| format!("{name}{{namespace=\"shop\",workload=\"web\"}} {value} {at}\n");
        let (second, fourth) = ("http_server_request_duration_seconds_count", "grpc_server_handled_total");
        let text = [count(fourth, 0, 0.0), count(fourth, 60, 600.0), count(second, 0, 0.0), count(second, 60, 60.0)].concat();
        assert_eq!(read(&text).unwrap().of(&web(), SPAN).requests().unwrap().get(0), Some(1.0));
    }

    #[test]
    fn a_malformed_line_is_an_error_with_its_place() {
        for (line, error) in [
            ("up", "h.om:2: no value"),
            ("up 1", "h.om:2: no timestamp: a history needs one a line"),
            ("up 1 # {a=\"b\"} 1", "h.om:2: no timestamp: a history needs one a line"),
            ("up one 60", "h.om:2: `one` is not a number"),
            ("up 1 noon", "h.om:2: the timestamp `noon` is not a number of seconds"),
            ("up 1 1762077600000", "h.om:2: the timestamp 1762077600000 is beyond the year 5000: seconds are expected, not milliseconds"),
            ("up 1 60 7", "h.om:2: more than a value and a timestamp"),
            ("up{a=\"b\" 1 60", "h.om:2: the labels have no end: `}` is missing"),
            ("up{a=\"b} 1 60", "h.om:2: the labels have no end: `}` is missing"),
            ("up{a} 1 60", "h.om:2: `a}` is no label: write name=\"value\""),
            ("<html>", "h.om:2: a line begins with the name of a metric, or with `#`"),
        ] {
            assert_eq!(read(&format!("up 1 0\n{line}\n")).err().as_deref(), Some(error), "{line}");
        }
    }

    #[test]
    fn what_is_no_number_is_a_gap() {
        let text = "container_memory_working_set_bytes{namespace=\"shop\",workload=\"web\",container=\"a\"} NaN 60\n\
            container_memory_working_set_bytes{namespace=\"shop\",workload=\"web\",container=\"a\"} +Inf 120\n";
        assert_eq!(read(text).unwrap().of(&web(), SPAN).memory(), None);
    }
}
