//! History from Prometheus: numbers from a real server, and what is said when a server misbehaves.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use prescale::clients::prometheus::{BasicAuth, Cluster, Prometheus, Settings};
use prescale::clients::secret::Secret;
use prescale::collect::{self, History, Source, Wanted};
use prescale::model::{Cause, HoldReason, Series, Signal, WorkloadId, WorkloadKind};

use crate::support::exposition::{BEGIN, END, Exposition, HOUR, shop};
use crate::support::faulty_prometheus::{Answer, FaultyPrometheus};
use crate::support::prometheus::{Guarded, RealPrometheus};

pub(crate) fn workload(namespace: &str, kind: WorkloadKind, name: &str, signal: Signal) -> Wanted {
    Wanted {
        id: WorkloadId { namespace: namespace.to_owned(), kind, name: name.to_owned() },
        signals: [signal].into(),
        learns: false,
        error_budgets: [].into(),
    }
}

pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(END, 0).unwrap()
}

fn of<'a>(histories: &'a BTreeMap<WorkloadId, History>, name: &str) -> &'a History {
    histories.iter().find(|(id, _)| id.name == name).unwrap().1
}

/// The demand of a workload of which one signal was asked for.
pub(crate) fn told(history: &History) -> &Result<Series, HoldReason> {
    history.demand.values().next().unwrap()
}

/// The value of the minute that begins at an hour of the history.
fn at(series: &Series, hours: f64) -> Option<f64> {
    let at = BEGIN + (hours * HOUR as f64) as i64;
    series.get(usize::try_from((at - series.start()) / series.step()).ok()?)
}

#[track_caller]
fn assert_near(found: Option<f64>, expected: f64) {
    let found = found.expect("a value");
    assert!((found - expected).abs() <= expected.abs() * 1e-6, "{found} instead of {expected}");
}

pub(crate) async fn six_hours(source: &Source, wanted: &[Wanted]) -> BTreeMap<WorkloadId, History> {
    collect::histories(source, wanted, now(), TimeDelta::hours(6), TimeDelta::minutes(1)).await
}

pub(crate) fn east(url: &str) -> Settings {
    let cluster = Some(Cluster { label: "cluster".to_owned(), value: "east".to_owned() });
    Settings { cluster, ..Settings::at(url) }
}

pub(crate) fn source(settings: Settings) -> Source {
    Source::Prometheus(Box::new(Prometheus::new(settings).unwrap()))
}

/// Everything that the shop's history holds: see [`shop`].
pub(crate) fn all_wanted(signal: &Signal) -> Vec<Wanted> {
    vec![
        workload("shop", WorkloadKind::Deployment, "web", signal.clone()),
        workload("shop", WorkloadKind::Rollout, "api", signal.clone()),
        workload("data", WorkloadKind::StatefulSet, "db", signal.clone()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_gives_the_numbers_that_a_hand_computes() {
    let server = RealPrometheus::with(&shop(&["east", "west"]));
    let source = source(east(&server.url));

    let cpu = six_hours(&source, &all_wanted(&Signal::Cpu)).await;
    let web = of(&cpu, "web");
    assert!(web.troubles.is_empty(), "{:?}", web.troubles);
    let demand = told(web).as_ref().unwrap();
    assert_near(at(demand, 1.0), 0.2 + 0.3 + 2.0 * 0.05);
    assert_near(at(demand, 4.0), 0.1 + 0.2 + 0.4 + 3.0 * 0.05);
    assert_near(at(told(of(&cpu, "api")).as_ref().unwrap(), 2.0), 0.6);
    assert_near(at(told(of(&cpu, "db")).as_ref().unwrap(), 2.0), 0.5 + 0.7);
    assert_eq!(demand.end(), END, "the last minute ends now");

    let memory = six_hours(&source, &all_wanted(&Signal::Memory)).await;
    assert_near(at(told(of(&memory, "web")).as_ref().unwrap(), 4.0), 3.0 * 100e6 + 3.0 * 20e6);

    let requests = six_hours(&source, &all_wanted(&Signal::Requests)).await;
    let web = told(of(&requests, "web")).as_ref().unwrap();
    for hours in [1.0, 1.5, 1.52, 1.6] {
        assert_near(at(web, hours), 2.0 * 11.0); // a counter is reset at 1.5 h
    }
    assert_near(at(web, 4.0), 3.0 * 11.0);
    assert_near(at(told(of(&requests, "api")).as_ref().unwrap(), 2.0), 7.0); // istio's counter has no pods
    let Err(HoldReason::NoData { detail, .. }) = &told(of(&requests, "db")) else { panic!("a database answers no requests") };
    assert!(detail.contains("has no requests of its pods in the last 6h") && detail.contains("`http_requests_total`, `"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_tells_usage_and_what_happened() {
    let server = RealPrometheus::with(&shop(&["east", "west"]));
    let histories = six_hours(&source(east(&server.url)), &all_wanted(&Signal::Cpu)).await;
    let web = of(&histories, "web");

    let busiest = |container: &str, hours| at(web.usage[container].cpu.as_ref().unwrap(), hours);
    assert_near(busiest("app", 1.0), 0.3);
    assert_near(busiest("app", 4.0), 0.4);
    assert_near(busiest("sidecar", 4.0), 0.05);
    assert_eq!(web.usage.keys().collect::<Vec<_>>(), ["app", "sidecar"], "neither the pause container nor the pod's own group");
    let memory = web.usage["app"].memory.as_ref().unwrap();
    assert_eq!(memory.step(), 300);
    assert_near(at(memory, 2.0), 500e6); // a single scrape at 2 h and 2 min
    assert_near(at(memory, 2.25), 100e6);

    assert_near(at(web.ready.as_ref().unwrap(), 1.0), 2.0);
    assert_near(at(web.ready.as_ref().unwrap(), 4.0), 3.0);
    assert_near(at(web.hpa_min.as_ref().unwrap(), 4.0), 2.0);
    assert_near(at(web.hpa_max.as_ref().unwrap(), 4.0), 10.0);
    assert_near(web.restarts.as_ref().unwrap().values().iter().copied().filter(|r| *r > 0.0).reduce(|a, b| a + b), 1.0);
    assert_eq!(web.startup, Some(TimeDelta::seconds(52)), "the slowest of the pods of the rollout");

    let db = of(&histories, "db");
    assert_near(at(db.usage["postgres"].cpu.as_ref().unwrap(), 2.0), 0.7);
    assert_eq!((db.startup, db.hpa_min.is_none()), (None, true), "its pods are older than the history");
    assert_near(at(of(&histories, "api").usage["main"].cpu.as_ref().unwrap(), 2.0), 0.6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_tells_what_cut_demand_short() {
    let mut text = Exposition::default();
    let all = BEGIN..END + 60;
    let from = |hours: f64| BEGIN + (hours * HOUR as f64) as i64;
    let within = move |at: i64, first: f64, last: f64| at >= from(first) && at < from(last);
    // What a counter has come to that grows by this much a second within two instants.
    let grown = move |at: i64, first: f64, last: f64, rate: f64| (at.clamp(from(first), from(last)) - from(first)) as f64 * rate;
    text.constant(
        "kube_replicaset_owner",
        "namespace=\"shop\",replicaset=\"web-5d9\",owner_kind=\"Deployment\",owner_name=\"web\"",
        all.clone(),
        1.0,
    );
    for pod in ["a", "b"] {
        let pod = format!("namespace=\"shop\",pod=\"web-5d9-{pod}\"");
        text.constant("kube_pod_owner", &format!("{pod},owner_kind=\"ReplicaSet\",owner_name=\"web-5d9\""), all.clone(), 1.0);
        let stuck = pod.ends_with("-b\"");
        let homeless = move |at| f64::from(u8::from(stuck && within(at, 2.5, 3.0) || at == from(1.25)));
        text.series("kube_pod_status_unschedulable", &pod, all.clone(), homeless);
        // A new pod that pulls its image for a quarter of an hour cuts nothing short.
        let pulling = move |at| f64::from(u8::from(within(at, 4.0, 4.25)));
        text.series("kube_pod_status_phase", &format!("{pod},phase=\"Pending\""), all.clone(), pulling);
        let container = format!("{pod},container=\"app\"");
        text.counter("container_cpu_usage_seconds_total", &container, all.clone(), 0.5);
        text.counter("container_cpu_cfs_periods_total", &container, all.clone(), 10.0);
        text.series("container_cpu_cfs_throttled_periods_total", &container, all.clone(), move |at| {
            grown(at, 3.5, 4.0, 4.0) + grown(at, 0.5, 1.0, 2.0)
        });
        text.counter("http_requests_total", &format!("{pod},code=\"200\""), all.clone(), 10.0);
        text.series("http_requests_total", &format!("{pod},code=\"500\""), all.clone(), move |at| grown(at, 4.5, 5.0, 1.0));
    }
    let hpa = "namespace=\"shop\",horizontalpodautoscaler=\"web-hpa\"";
    let target = format!("{hpa},scaletargetref_kind=\"Deployment\",scaletargetref_name=\"web\"");
    text.constant("kube_horizontalpodautoscaler_info", &target, all.clone(), 1.0);
    text.constant("kube_horizontalpodautoscaler_spec_min_replicas", hpa, all.clone(), 2.0);
    text.constant("kube_horizontalpodautoscaler_spec_max_replicas", hpa, all.clone(), 10.0);
    let desired = move |at| if within(at, 1.0, 2.0) { 10.0 } else { 3.0 };
    text.series("kube_horizontalpodautoscaler_status_desired_replicas", hpa, all.clone(), desired);

    let server = RealPrometheus::with(&text.text());
    let histories = six_hours(&source(Settings::at(&server.url)), &all_wanted(&Signal::Cpu)).await;
    let web = of(&histories, "web");
    assert!(web.troubles.is_empty(), "{:?}", web.troubles);
    for (cause, first, last) in
        [(Cause::AtMaximum, 1.0, 2.0), (Cause::Pending, 2.5, 3.0), (Cause::Throttled, 3.5, 4.0), (Cause::Errors, 4.5, 5.0)]
    {
        let stretches: Vec<(i64, i64)> =
            web.censored.stretches().filter(|(of, _, _)| *of == cause).map(|(_, from, to)| (from, to)).collect();
        let (begin, end) = (stretches.first().unwrap().0, stretches.last().unwrap().1);
        assert!((begin - from(first)).abs() <= 300 && (end - from(last)).abs() <= 300, "{cause:?}: {begin} to {end} of {first} to {last}");
    }
    let api = of(&histories, "api");
    assert!(api.censored.stretches().next().is_none() && api.troubles.is_empty(), "nothing is known of it, and that is no trouble");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_tells_latency_and_versions() {
    let mut text = Exposition::default();
    let from = |hours: i64| BEGIN + hours * HOUR;
    let ready = |text: &mut Exposition, pod: &str, image: &str, span: std::ops::Range<i64>, is_ready: f64| {
        let pod = format!("namespace=\"data\",pod=\"{pod}\"");
        text.constant("kube_pod_owner", &format!("{pod},owner_kind=\"StatefulSet\",owner_name=\"db\""), span.clone(), 1.0);
        text.constant("kube_pod_status_ready", &format!("{pod},condition=\"true\""), span.clone(), is_ready);
        text.constant("kube_pod_container_info", &format!("{pod},container=\"pg\",image=\"{image}\""), span.clone(), 1.0);
        // Of ten requests a second nine take up to 0.1 s, and all up to 0.5 s.
        for (le, rate) in [("0.1", 9.0), ("0.5", 10.0), ("+Inf", 10.0)] {
            text.counter("http_request_duration_seconds_bucket", &format!("{pod},le=\"{le}\""), span.clone(), rate);
        }
    };
    ready(&mut text, "db-0", "pg:1", BEGIN..from(3), 1.0);
    ready(&mut text, "db-1", "pg:2", from(3)..END + 60, 1.0);
    // A pod that failed with the old image, and is still there.
    ready(&mut text, "db-2", "pg:1", BEGIN..END + 60, 0.0);
    let server = RealPrometheus::with(&text.text());
    let source = source(Settings::at(&server.url));
    let mut wanted = workload("data", WorkloadKind::StatefulSet, "db", Signal::Cpu);
    let unasked = six_hours(&source, &[wanted.clone()]).await;
    assert!(of(&unasked, "db").latency.is_none() && of(&unasked, "db").version.is_none(), "it learns nothing");
    wanted.learns = true;
    let histories = six_hours(&source, &[wanted]).await;
    let db = of(&histories, "db");
    assert!(db.troubles.is_empty(), "{:?}", db.troubles);
    // The 95th of a hundred lies half-way between 0.1 and 0.5.
    assert_near(at(db.latency.as_ref().unwrap(), 2.0), 0.3);
    let version = db.version.as_ref().unwrap();
    assert_eq!(version.images, ["pg:2".to_owned()].into());
    // What was scraped once stands for five minutes more.
    let since = version.since.unwrap() - from(3);
    assert!((0..=600).contains(&since), "{since}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_stays_a_gap() {
    let server = RealPrometheus::with(&shop(&["east"]));
    for (signal, silence) in [(Signal::Cpu, 5.12), (Signal::Requests, 5.12), (Signal::Memory, 5.12)] {
        let histories = six_hours(&source(east(&server.url)), &all_wanted(&signal)).await;
        let demand = told(of(&histories, "web")).as_ref().unwrap();
        // No scrape from 5 h to 5 h 20 min; the last sample before stands for five minutes.
        assert!(at(demand, 4.9).is_some() && at(demand, silence).is_none() && at(demand, 5.3).is_none(), "{signal:?}");
        assert!(at(demand, 5.5).is_some(), "{signal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_are_kept_apart() {
    let server = RealPrometheus::with(&shop(&["east", "west"]));
    let mut west = east(&server.url);
    west.cluster = Some(Cluster { label: "cluster".to_owned(), value: "west".to_owned() });
    let histories = six_hours(&source(west), &all_wanted(&Signal::Cpu)).await;
    assert_near(at(told(of(&histories, "db")).as_ref().unwrap(), 2.0), 10.0 * (0.5 + 0.7));
    let elsewhere = Some(Cluster { label: "cluster".to_owned(), value: "no\"rth\\".to_owned() });
    let histories = six_hours(&source(Settings { cluster: elsewhere, ..Settings::at(&server.url) }), &all_wanted(&Signal::Cpu)).await;
    assert!(matches!(told(of(&histories, "db")), Err(HoldReason::NoData { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_of_the_users_own() {
    let server = RealPrometheus::with(&shop(&["east"]));
    let source = source(Settings::at(&server.url));
    let ask = async |expression: &str| {
        let wanted = workload("shop", WorkloadKind::Deployment, "web", Signal::Promql(expression.to_owned()));
        six_hours(&source, &[wanted]).await.into_values().next().unwrap()
    };
    let words = |history: History| match told(&history).clone().unwrap_err() {
        HoldReason::NoData { detail, .. } | HoldReason::PolicyInvalid { detail } | HoldReason::SourceFailed { detail } => detail,
        other => panic!("{other:?}"),
    };

    let history = ask("sum(rate(http_requests_total{namespace=\"shop\"}[10m])) * 2").await;
    assert_near(at(told(&history).as_ref().unwrap(), 2.0), 2.0 * 22.0);
    assert_near(at(told(&ask("scalar(vector(7))").await).as_ref().unwrap(), 2.0), 7.0);

    let several = words(ask("rate(http_requests_total[10m])").await);
    assert_eq!(several, "`rate(http_requests_total[10m])` gives 10 series where one is needed: aggregate them, for instance with `sum(…)`");
    let none = words(ask("no_such_metric").await);
    assert!(none.contains("has nothing for `no_such_metric` in the last 6h"), "{none}");
    let infinite = words(ask("vector(1) / 0").await);
    assert!(infinite.contains("gave no finite number"), "{infinite}");
    let broken = words(ask("sum(").await);
    assert!(
        broken.contains(&server.url) && broken.contains("refused the query (bad_data: ") && broken.contains("correct the expression"),
        "{broken}"
    );
    let many = words(ask("container_memory_working_set_bytes * on (namespace) group_left kube_pod_owner").await);
    assert!(many.contains("many-to-many matching not allowed") && many.contains("set `metrics.prometheus.cluster`"), "{many}");

    // The share of an error budget may be below zero, and is told of the last hour.
    let budget = async |expression: &str| {
        let mut wanted = workload("shop", WorkloadKind::Deployment, "web", Signal::Cpu);
        wanted.error_budgets.insert(expression.to_owned());
        let history = six_hours(&source, &[wanted]).await.into_values().next().unwrap();
        (history.error_budgets.get(expression).copied(), format!("{:?}", history.troubles))
    };
    assert_eq!(budget("vector(-0.25)").await.0, Some(-0.25));
    for (expression, why) in [
        ("no_such_metric", "gave nothing in the last hour"),
        ("rate(http_requests_total[10m])", "series where one is needed"),
        ("vector(1) / 0", "no number"),
    ] {
        let (left, trouble) = budget(expression).await;
        assert!(left.is_none() && trouble.contains("its error budget is not known") && trouble.contains(why), "{expression}: {trouble}");
    }

    // What else is known of the workload does not suffer.
    assert!(ask("sum(").await.usage.contains_key("app"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_server_is_asked_with_ca_and_password() {
    let guarded = Guarded::with(&shop(&["east"]));
    let basic =
        |password: &str| BasicAuth { username: Guarded::USER.to_owned(), password: Some(Secret::new(password)), password_file: None };
    let settings = |basic_auth, ca_file| Settings { basic_auth, ca_file, retries: 0, ..Settings::at(&guarded.server.url) };
    let ask = async |settings| Prometheus::new(settings).unwrap().range("vector(1)", BEGIN, BEGIN, 60).await.map_err(|e| e.to_string());

    let ca_file = Some(guarded.ca_file.clone());
    assert_eq!(ask(settings(Some(basic(Guarded::PASSWORD)), ca_file.clone())).await.unwrap()[0].samples, [(BEGIN, 1.0)]);
    let wrong = ask(settings(Some(basic("open barley")), ca_file)).await.unwrap_err();
    assert!(wrong.contains("answered 401") && wrong.contains("bearerTokenFile") && !wrong.contains("barley"), "{wrong}");
    let distrusted = ask(settings(Some(basic(Guarded::PASSWORD)), None)).await.unwrap_err();
    assert!(distrusted.contains("cannot be reached (invalid peer certificate"), "{distrusted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_tells_what_it_is_and_what_it_lacks() {
    let server = RealPrometheus::with(&shop(&["east", "west"]));
    let health = collect::health(&Prometheus::new(Settings::at(&server.url)).unwrap()).await.unwrap();
    assert!(health.server.starts_with("Prometheus 2."), "{health:?}");
    // The history ended long ago, so that nothing is there now.
    assert!(health.missing.contains(&"kube_pod_owner".to_owned()) && health.clusters.is_empty(), "{health:?}");
    assert!(health.missing.contains(&"http_requests_total".to_owned()), "{health:?}");

    #[expect(clippy::disallowed_methods, reason = "the server has a clock of its own")]
    let now = Utc::now().timestamp() / 60 * 60;
    let mut text = Exposition::default();
    for cluster in ["east", "west"] {
        text.with(&format!("cluster=\"{cluster}\""));
        text.constant("kube_pod_owner", "namespace=\"a\"", now - 600..now, 1.0);
    }
    text.constant("istio_requests_total", "namespace=\"a\"", now - 600..now, 1.0);
    let server = RealPrometheus::with(&text.text());
    let health = collect::health(&Prometheus::new(Settings::at(&server.url)).unwrap()).await.unwrap();
    assert_eq!(health.clusters, ["east", "west"]);
    assert!(
        !health.missing.contains(&"kube_pod_owner".to_owned()) && health.missing.contains(&"kube_pod_created".to_owned()),
        "{health:?}"
    );
    assert!(!health.missing.contains(&"http_requests_total".to_owned()), "one counter of requests is enough: {health:?}");
    let east = collect::health(&Prometheus::new(east(&server.url)).unwrap()).await.unwrap();
    assert!(east.missing.contains(&"http_requests_total".to_owned()), "only the west counts requests: {east:?}");
}

// From here on: a server that misbehaves.

const ONE: &str =
    r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[60,"1"],[120,"NaN"],[180,"+Inf"]]}]}}"#;

fn impatient(url: &str) -> Settings {
    Settings { retry_delay: Duration::from_millis(1), timeout: Duration::from_millis(300), ..Settings::at(url) }
}

/// What one query says, and how often it was asked for.
async fn said(answers: impl IntoIterator<Item = Answer>) -> (Result<usize, String>, usize) {
    let server = FaultyPrometheus::answering(answers).await;
    let prometheus = Prometheus::new(impatient(&server.url)).unwrap();
    let answer = prometheus.range("up", 60, 180, 60).await;
    let answer = answer.map(|series| series.len()).map_err(|e| e.to_string().replace(&server.url, "URL"));
    (answer, server.asked().len())
}

#[tokio::test]
async fn trouble_that_passes_is_waited_for() {
    assert_eq!(said([Answer::Status(503, "starting"), Answer::Status(500, ""), Answer::Json(ONE)]).await, (Ok(1), 3));
    let not_yet = Answer::Api(503, r#"{"status":"error","errorType":"unavailable","error":"TSDB not ready"}"#);
    assert_eq!(said([not_yet, Answer::Json(ONE)]).await, (Ok(1), 2));
    assert_eq!(said([Answer::BreaksOff, Answer::Json(ONE)]).await, (Ok(1), 2));
    let begin = std::time::Instant::now();
    assert_eq!(said([Answer::Busy(1), Answer::Json(ONE)]).await, (Ok(1), 2));
    assert!(begin.elapsed() >= Duration::from_secs(1), "Retry-After is honoured");
}

#[tokio::test]
async fn trouble_that_stays_is_told_with_a_remedy() {
    let truncated = r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"#;
    let many = r#"{"status":"error","errorType":"execution","error":"found duplicate series for the match group {pod=\"a\"} on the right hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side"}"#;
    let late = r#"{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}"#;
    let large = r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}"#;
    for (answer, asked, words) in [
        (
            Answer::Status(503, " try\n later "),
            4,
            "answered 503 after 4 tries: look at its log, or that of the proxy in front of it; it said: try later",
        ),
        (Answer::Status(429, "enough"), 4, "answered 429 after 4 tries: it limits requests; lower `metrics.prometheus.concurrency`"),
        (Answer::Busy(3600), 1, "asks to wait 1h before the next request (429)"),
        (Answer::Status(401, "who?"), 1, "answered 401: set `metrics.prometheus.bearerTokenFile`, `basicAuth` or `headers`"),
        (Answer::Status(404, "page not found"), 1, "`/api/v1/query_range` is added (Mimir: `…/prometheus`); it said: page not found"),
        (Answer::Slow(Duration::from_secs(9)), 1, "did not answer within 300ms: raise `metrics.prometheus.timeout`"),
        (Answer::BreaksOff, 4, "broke off its answer"),
        (Answer::Json(truncated), 1, "gave an answer that cannot be read (EOF while parsing"),
        (Answer::Json("{}"), 1, "cannot be read (missing field `status`"),
        (
            Answer::LoginPage,
            1,
            "answered with text/html; charset=utf-8 where JSON was expected: is `metrics.prometheus.url` the API's address",
        ),
        (Answer::Redirect, 1, "redirects to https://sso.example/login: set `metrics.prometheus.url`"),
        (Answer::Api(422, many), 1, "set `metrics.prometheus.cluster` where clusters share the store"),
        (Answer::Api(422, large), 1, "too many samples into memory in query execution): lower `metrics.prometheus.chunk`"),
        (Answer::Api(503, late), 1, "(timeout: query timed out in expression evaluation): lower `metrics.prometheus.chunk`"),
    ] {
        let (said, times) = said([answer]).await;
        let said = said.unwrap_err();
        assert!(said.starts_with("Prometheus at URL ") && said.contains(words) && said.ends_with("(query: `up`)"), "{said}");
        assert_eq!(times, asked, "{said}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_told() {
    let url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let error = Prometheus::new(impatient(&url)).unwrap().range("up", 0, 60, 60).await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("Prometheus at {url} cannot be reached ("))
            && error.contains("after 4 tries: check `metrics.prometheus.url`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_left_alone() {
    let server = FaultyPrometheus::answering([Answer::Status(503, "")]).await;
    let wanted: Vec<Wanted> = (0..50).map(|i| workload(&format!("n{i}"), WorkloadKind::Deployment, "web", Signal::Cpu)).collect();
    let histories = collect::histories(&source(impatient(&server.url)), &wanted, now(), TimeDelta::days(28), TimeDelta::minutes(1)).await;
    assert_eq!(histories.len(), 50);
    for history in histories.values() {
        let Err(HoldReason::SourceFailed { detail }) = &told(history) else { panic!("{history:?}") };
        assert!(detail.contains("answered 503"), "{detail}");
    }
    // Three in a row, and the piece beside each of them.
    assert!(server.asked().len() <= (3 + 3) * 4, "{}", server.asked().len());
}

#[tokio::test]
async fn nothing_is_sent_but_what_is_needed() {
    let server = FaultyPrometheus::answering([Answer::Empty]).await;
    let mut settings = Settings { bearer_token: Some(Secret::new("hush")), ..Settings::at(&server.url) };
    settings.headers.insert("X-Scope-OrgID".to_owned(), Secret::new("team-a"));
    let now = DateTime::from_timestamp(28 * 86_400 + 3600, 0).unwrap();
    let wanted = [
        workload("shop", WorkloadKind::Deployment, "web", Signal::Cpu),
        workload("shop", WorkloadKind::Deployment, "api", Signal::Cpu),
        workload("data", WorkloadKind::StatefulSet, "db", Signal::Requests),
    ];
    let histories = collect::histories(&source(settings), &wanted, now, TimeDelta::days(28), TimeDelta::minutes(1)).await;
    assert!(histories.values().all(|history| matches!(told(history), Err(HoldReason::NoData { .. }))));

    let asked = server.asked();
    let mut queries: BTreeMap<&str, Vec<(i64, i64)>> = BTreeMap::new();
    for asked in &asked {
        assert_eq!((asked.path.as_str(), asked.headers["x-scope-orgid"].to_str().unwrap()), ("/api/v1/query_range", "team-a"));
        assert_eq!(asked.headers["authorization"], "Bearer hush");
        assert!(asked.headers["accept-encoding"].to_str().unwrap().contains("gzip"));
        let number = |key: &str| asked.form[key].parse::<i64>().unwrap();
        assert!((number("end") - number("start")) / number("step") < 11_000);
        queries.entry(&asked.form["query"]).or_default().push((number("start"), number("end")));
    }
    // Two namespaces, a query for demand, six for the rest and three for what cuts demand short, in 29 pieces: 28 days that begin an hour into one.
    assert_eq!(queries.len(), 2 * 10);
    for (query, mut pieces) in queries {
        assert_eq!(pieces.len(), 29, "{query}");
        pieces.sort_unstable();
        pieces.dedup();
        assert_eq!(pieces.len(), 29, "{query}");
    }
    assert_eq!(server.most_under_way(), 2);
}

#[tokio::test]
async fn one_failure_stays_with_those_that_need_it() {
    let no = Answer::Api(422, r#"{"status":"error","errorType":"execution","error":"expanding series: boom"}"#);
    let server =
        FaultyPrometheus::answering([Answer::Empty]).await.but_for("http_requests_total", no.clone()).but_for("namespace=\"bad\"", no);
    let wanted = [
        workload("shop", WorkloadKind::Deployment, "web", Signal::Requests),
        workload("shop", WorkloadKind::Deployment, "api", Signal::Cpu),
        workload("bad", WorkloadKind::Deployment, "api", Signal::Cpu),
        workload("", WorkloadKind::Deployment, "lost", Signal::Cpu),
    ];
    let histories = six_hours(&source(impatient(&server.url)), &wanted).await;
    let why: Vec<&str> = wanted.iter().map(|wanted| told(&histories[&wanted.id]).as_ref().unwrap_err().code()).collect();
    assert_eq!(why, ["source-failed", "no-data", "source-failed", "no-data"]);
    assert_eq!(
        (histories[&wanted[1].id].troubles.len(), histories[&wanted[2].id].troubles.len()),
        (1, 9),
        "failing requests are asked for of all"
    );
    let Err(HoldReason::SourceFailed { detail }) = &told(&histories[&wanted[0].id]) else { unreachable!() };
    assert!(detail.contains("expanding series: boom") && detail.contains("look at the server's log"), "{detail}");
}
