//! Prometheus' HTTP API, which Thanos, Mimir and VictoriaMetrics speak too.

mod answer;
mod error;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::Semaphore;

pub use error::{Failure, PrometheusError};
pub use settings::{BasicAuth, Cluster, Jobs, LatencyMetric, RequestMetric, Settings, WorkloadLabels, quoted};

use super::clock;
use super::secret::Secret;
use super::tls;
use answer::{Answer, BuildInfo, Data, Status};
use error::trimmed;

/// Prometheus refuses a range query with more points a series than this.
const MOST_POINTS: i64 = 11_000;
/// The longest wait that a 429 may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Two clocks that differ by more would have a run decide for the wrong minutes.
const MOST_ASTRAY: TimeDelta = TimeDelta::minutes(5);
/// So many requests in a row that fail after all their retries, and the server is not asked again.
const PATIENCE: u32 = 3;

/// A client of one server. It is asked for a bounded number of things at a time, whoever asks.
#[derive(Debug)]
pub struct Prometheus {
    settings: Settings,
    base: Url,
    http: Client,
    auth: Auth,
    slots: Semaphore,
    failed_in_a_row: AtomicU32,
    given_up: OnceLock<String>,
}

#[derive(Debug)]
enum Auth {
    None,
    Bearer(Secret),
    Basic { username: String, password: Secret },
}

/// A series and its labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelledSeries {
    /// The labels, `__name__` included where the query keeps it.
    pub labels: BTreeMap<String, String>,
    /// Epoch seconds and value, in order of time; a value may be NaN or infinite.
    pub samples: Vec<(i64, f64)>,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Which program, as far as it can be known, and its version.
    pub server: String,
    /// The metrics asked for that have no series now.
    pub missing: Vec<String>,
    /// The clusters that share the store, by the label of `metrics.prometheus.cluster`.
    pub clusters: Vec<String>,
}

impl Prometheus {
    /// A client as the settings describe it. Reads the files that they name; asks nothing yet.
    pub fn new(settings: Settings) -> Result<Self, PrometheusError> {
        let refuse = |why: String| PrometheusError { url: shown(&settings.url), query: None, failure: Failure::Settings(why) };
        let base = base(&settings.url).map_err(refuse)?;
        let auth = auth(&settings).map_err(refuse)?;
        let http = http(&settings).map_err(refuse)?;
        let slots = Semaphore::new(settings.concurrency.clamp(1, 64));
        Ok(Self { settings, base, http, auth, slots, failed_in_a_row: AtomicU32::new(0), given_up: OnceLock::new() })
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The values of `query` at `start`, `start + step`, … up to `end`, all in epoch seconds; each series in the order of its labels.
    ///
    /// The range is cut at multiples of `chunk`, so that caches in front of the store see the same pieces every time.
    pub async fn range(&self, query: &str, start: i64, end: i64, step: i64) -> Result<Vec<LabelledSeries>, PrometheusError> {
        tracing::debug!(query, start, end, step, "range query");
        let pieces = pieces(start, end, step.max(1), self.settings.chunk.as_secs() as i64);
        let asked = stream::iter(pieces).map(|(start, end)| self.piece(query, start, end, step)).buffered(self.slots_in_all());
        let joined = asked.try_fold(BTreeMap::<_, Vec<_>>::new(), async |mut joined, piece| {
            for LabelledSeries { labels, samples } in piece {
                joined.entry(labels).or_default().extend(samples);
            }
            Ok(joined)
        });
        Ok(joined.await?.into_iter().map(|(labels, samples)| LabelledSeries { labels, samples }).collect())
    }

    /// Which server this is, which of the `needed` metrics it lacks now, and which clusters share it.
    pub async fn health(&self, needed: &BTreeSet<String>) -> Result<Health, PrometheusError> {
        let server = self.server().await?;
        let names = quoted(&needed.iter().map(String::as_str).collect::<Vec<_>>().join("|"));
        let matcher = self.settings.cluster.as_ref().map_or_else(String::new, |cluster| format!(",{}", cluster.matcher()));
        let present = self.instant(&format!("group by (__name__) ({{__name__=~{names}{matcher}}})"), "__name__").await?;
        let label = self.settings.cluster.as_ref().map_or("cluster", |c| c.label.as_str());
        let clusters = self.instant(&format!("group by ({label}) (kube_pod_owner{{{label}!=\"\"}})"), label).await?;
        let missing = needed.iter().filter(|name| !present.contains(*name)).cloned().collect();
        Ok(Health { server, missing, clusters: clusters.into_iter().collect() })
    }

    async fn piece(&self, query: &str, start: i64, end: i64, step: i64) -> Result<Vec<LabelledSeries>, PrometheusError> {
        let form = [
            ("query", query.to_owned()),
            ("start", start.to_string()),
            ("end", end.to_string()),
            ("step", step.to_string()),
            ("timeout", format!("{}s", self.settings.timeout.as_secs().max(1))),
        ];
        let request = || self.http.post(self.endpoint("query_range")).form(&form);
        match self.ask(Some(query), request).await? {
            Data::Matrix(streams) => Ok(streams.into_iter().map(Into::into).collect()),
            Data::Vector(_) => Err(self.error(Some(query), malformed("a range query gave no matrix", b""))),
        }
    }

    /// The values of `label` in what `query` gives now.
    async fn instant(&self, query: &str, label: &str) -> Result<BTreeSet<String>, PrometheusError> {
        let form = [("query", query)];
        match self.ask(Some(query), || self.http.post(self.endpoint("query")).form(&form)).await? {
            Data::Vector(instants) => Ok(instants.into_iter().filter_map(|mut instant| instant.metric.remove(label)).collect()),
            Data::Matrix(_) => Err(self.error(Some(query), malformed("a query at one time gave a matrix", b""))),
        }
    }

    async fn server(&self) -> Result<String, PrometheusError> {
        match self.ask::<BuildInfo>(None, || self.http.get(self.endpoint("status/buildinfo"))).await {
            Ok(build) => Ok(named(&build)),
            Err(PrometheusError { failure: Failure::Status { status: 400..=499, .. }, .. }) => {
                self.instant("vector(1)", "").await?;
                Ok("a server that does not say which it is".to_owned())
            }
            Err(error) => Err(error),
        }
    }

    /// Asks until there is an answer, or no sense in asking again.
    async fn ask<T: for<'a> Deserialize<'a>>(
        &self,
        query: Option<&str>,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, PrometheusError> {
        let _slot = self.slots.acquire().await.map_err(|e| self.error(query, Failure::Settings(e.to_string())))?;
        let mut wait = self.settings.retry_delay;
        let mut tries = 0;
        loop {
            if let Some(last) = self.given_up.get() {
                return Err(self.error(query, Failure::GivenUp(last.clone())));
            }
            tries += 1;
            let (failure, retry_after) = match self.once(request(), tries).await {
                Ok(data) => {
                    self.failed_in_a_row.store(0, Ordering::Relaxed);
                    return Ok(data);
                }
                Err(failed) => failed,
            };
            if retry_after.is_some_and(|wait| wait > LONGEST_WAIT) {
                return Err(self.error(query, Failure::Busy(retry_after.unwrap_or_default())));
            }
            if tries > self.settings.retries || !may_pass(&failure) {
                self.count(&failure);
                return Err(self.error(query, failure));
            }
            let wait_now = retry_after.unwrap_or(wait);
            tracing::info!(url = %self.base, %failure, "asking again in {}", humantime::format_duration(wait_now));
            tokio::time::sleep(wait_now).await;
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }

    /// One try; with a failure, how long the server asks to wait.
    async fn once<T: for<'a> Deserialize<'a>>(&self, request: RequestBuilder, tries: u32) -> Result<T, (Failure, Option<Duration>)> {
        let request = match &self.auth {
            Auth::None => request,
            Auth::Bearer(token) => request.bearer_auth(token.expose()),
            Auth::Basic { username, password } => request.basic_auth(username, Some(password.expose())),
        };
        let lost = |error: reqwest::Error| (lost(error, self.settings.timeout, tries), None);
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        if status.is_redirection() {
            let to = header(&response, LOCATION).unwrap_or_else(|| "nowhere".to_owned());
            return Err((Failure::Redirected { to: shown(&to) }, None));
        }
        if let Some(astray) = clock::astray(response.headers(), clock::now(), MOST_ASTRAY) {
            return Err((Failure::Clock(astray), None));
        }
        let retry_after = header(&response, RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        let content_type = header(&response, CONTENT_TYPE).unwrap_or_else(|| "no content type".to_owned());
        let json = content_type.contains("json");
        let body = response.bytes().await.map_err(lost)?;
        if json
            && let Ok(Answer::<IgnoredAny> { status: Status::Error, error_type, error, .. }) = serde_json::from_slice(&body)
            && about_the_query(status, &error_type)
        {
            return Err((Failure::Query { kind: error_type.into_owned(), message: error.into_owned() }, None));
        }
        if !status.is_success() {
            return Err((Failure::Status { status: status.as_u16(), body: said(&body), tries }, retry_after));
        }
        if !json {
            return Err((Failure::NotJson { content_type, body: said(&body) }, None));
        }
        let answer: Answer<'_, T> = serde_json::from_slice(&body).map_err(|e| (malformed(&e.to_string(), &body), None))?;
        for warning in answer.warnings {
            tracing::warn!(url = %self.base, warning, "Prometheus warns");
        }
        answer.data.ok_or_else(|| (malformed("no data", &body), None))
    }

    fn count(&self, failure: &Failure) {
        let server_fails = may_pass(failure) || matches!(failure, Failure::TimedOut(_));
        if server_fails && self.failed_in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE {
            self.given_up.get_or_init(|| failure.to_string());
        }
    }

    fn error(&self, query: Option<&str>, failure: Failure) -> PrometheusError {
        PrometheusError { url: shown(&self.settings.url), query: query.map(ToOwned::to_owned), failure }
    }

    fn endpoint(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/api/v1/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    fn slots_in_all(&self) -> usize {
        self.settings.concurrency.clamp(1, 64)
    }
}

/// Whether an API error is about the query, so that to ask it again would not help. A 503 is when the evaluation took too long.
fn about_the_query(status: StatusCode, kind: &str) -> bool {
    match status.as_u16() {
        503 => matches!(kind, "timeout" | "canceled"),
        status => matches!(status, 200..=299 | 400 | 422),
    }
}

/// Whether asking again may help.
fn may_pass(failure: &Failure) -> bool {
    matches!(failure, Failure::Unreachable { .. } | Failure::BrokenOff { .. } | Failure::Status { status: 429 | 500.., .. })
}

fn lost(error: reqwest::Error, timeout: Duration, tries: u32) -> Failure {
    if error.is_timeout() {
        return Failure::TimedOut(timeout);
    }
    let connecting = error.is_connect();
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let cause = cause.to_string();
    if connecting { Failure::Unreachable { cause, tries } } else { Failure::BrokenOff { cause, tries } }
}

fn malformed(cause: &str, body: &[u8]) -> Failure {
    Failure::Malformed { cause: cause.to_owned(), body: said(body) }
}

fn said(body: &[u8]) -> String {
    trimmed(&String::from_utf8_lossy(&body[..body.len().min(4096)]), 200)
}

fn header(response: &Response, name: HeaderName) -> Option<String> {
    Some(String::from_utf8_lossy(response.headers().get(name)?.as_bytes()).into_owned())
}

/// An address without what may be secret in it.
fn shown(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return url.rsplit('@').next().unwrap_or_default().to_owned() };
    // Both fail only for addresses that cannot hold a user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string().trim_end_matches('/').to_owned()
}

fn base(url: &str) -> Result<Url, String> {
    if url.is_empty() {
        return Err("no address is given; set `metrics.prometheus.url`, for instance to http://prometheus.monitoring:9090".to_owned());
    }
    let parsed = Url::parse(url)
        .map_err(|e| format!("`metrics.prometheus.url` is not an address ({e}); write for instance http://prometheus.monitoring:9090"))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err("`metrics.prometheus.url` must begin with http:// or https://".to_owned());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("`metrics.prometheus.url` holds credentials; move them to `metrics.prometheus.basicAuth`".to_owned());
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err("`metrics.prometheus.url` must end before `?` and `#`".to_owned());
    }
    Ok(parsed)
}

fn auth(settings: &Settings) -> Result<Auth, String> {
    let either = |given: &Option<Secret>, file: &Option<std::path::PathBuf>, key: &str| match (given, file) {
        (Some(_), Some(_)) => Err(format!("`{key}` and `{key}File` are both set; keep one")),
        (Some(secret), None) => Ok(Some(secret.clone())),
        (None, Some(file)) => Secret::read(file).map(Some).map_err(|e| e.to_string()),
        (None, None) => Ok(None),
    };
    let token = either(&settings.bearer_token, &settings.bearer_token_file, "metrics.prometheus.bearerToken")?;
    match (token, &settings.basic_auth) {
        (Some(_), Some(_)) => Err("`metrics.prometheus.basicAuth` and a bearer token are both set; keep one".to_owned()),
        (Some(token), None) => Ok(Auth::Bearer(token)),
        (None, Some(basic)) => {
            let password = either(&basic.password, &basic.password_file, "metrics.prometheus.basicAuth.password")?;
            Ok(Auth::Basic { username: basic.username.clone(), password: password.unwrap_or_else(|| Secret::new("")) })
        }
        (None, None) => Ok(Auth::None),
    }
}

fn http(settings: &Settings) -> Result<Client, String> {
    let mut headers = HeaderMap::new();
    for (name, secret) in &settings.headers {
        let wrong = |what| format!("`metrics.prometheus.headers`: {what} of `{name}` is not one of HTTP");
        let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| wrong("the value"))?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("the name"))?, value);
    }
    tls::install_provider();
    let mut builder = Client::builder()
        .user_agent(concat!("prescale/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .timeout(settings.timeout)
        .redirect(redirect::Policy::none());
    if let Some(file) = &settings.ca_file {
        let wrong = |why: String| format!("`metrics.prometheus.caFile` {} cannot be used: {why}", file.display());
        let pem = std::fs::read(file).map_err(|e| wrong(e.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| wrong(e.to_string()))?;
        if certificates.is_empty() {
            return Err(wrong("it holds no PEM certificate".to_owned()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|e| format!("no HTTP client can be made: {e:#}"))
}

/// The range cut at multiples of `chunk` and below [`MOST_POINTS`]: first and last evaluation of each piece.
fn pieces(start: i64, end: i64, step: i64, chunk: i64) -> Vec<(i64, i64)> {
    let chunk = chunk.max(step).min(step * (MOST_POINTS - 1));
    let mut pieces = Vec::new();
    let mut at = start;
    while at <= end {
        let boundary = (at.div_euclid(chunk) + 1) * chunk;
        let last = (at + (boundary - 1 - at).div_euclid(step) * step).min(end);
        pieces.push((at, last));
        at += ((last - at).div_euclid(step) + 1) * step;
    }
    pieces
}

/// Thanos counts from 0, VictoriaMetrics gives the version of the Prometheus that it imitates and no revision.
fn named(build: &BuildInfo) -> String {
    let BuildInfo { application, version, revision } = build;
    match (application.as_str(), version.as_str()) {
        ("", "") => "a server that does not say which it is".to_owned(),
        ("", version) if version.starts_with("0.") => format!("Thanos {version}"),
        ("", version) if revision.is_empty() => format!("VictoriaMetrics (as Prometheus {version})"),
        ("", version) => format!("Prometheus {version}"),
        (application, version) => format!("{application} {version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_every_point_once() {
        for (start, end, step, chunk) in [
            (0, 86_400 * 28, 60, 86_400),
            (37, 1_000_003, 60, 86_400),
            (0, 100_000, 1, 86_400),
            (5, 5, 60, 60),
            (0, 600, 300, 60),
            (60, 0, 60, 60),
        ] {
            let pieces = pieces(start, end, step, chunk);
            let points: Vec<i64> = pieces.iter().flat_map(|&(from, to)| (from..=to).step_by(step as usize)).collect();
            assert_eq!(points, (start..=end).step_by(step as usize).collect::<Vec<_>>(), "{start} {end} {step} {chunk}");
            assert!(pieces.iter().all(|(from, to)| (to - from) / step < MOST_POINTS));
        }
        assert_eq!(pieces(86_340, 86_520, 60, 86_400), [(86_340, 86_340), (86_400, 86_520)]);
    }

    #[test]
    fn settings_that_make_no_client_say_so() {
        let refusal = |change: fn(&mut Settings)| {
            let mut settings = Settings::at("http://prom:9090/");
            change(&mut settings);
            Prometheus::new(settings).unwrap_err().to_string()
        };
        for (change, words) in [
            ((|s| s.url.clear()) as fn(&mut Settings), "set `metrics.prometheus.url`"),
            (|s| s.url = "prom:9090".into(), "must begin with http://"),
            (|s| s.url = "http://me:hush@prom".into(), "move them to `metrics.prometheus.basicAuth`"),
            (|s| s.url = "http://prom/?token=hush".into(), "must end before `?`"),
            (|s| s.ca_file = Some("/no/such/ca.pem".into()), "`metrics.prometheus.caFile` /no/such/ca.pem cannot be used"),
            (|s| s.ca_file = Some("Cargo.toml".into()), "it holds no PEM certificate"),
            (|s| s.bearer_token_file = Some("/no/such/token".into()), "/no/such/token cannot be used"),
            (
                |s| (s.bearer_token, s.basic_auth) = (Some(Secret::new("hush")), Some(BasicAuth::default())),
                "`metrics.prometheus.basicAuth` and a bearer token are both set",
            ),
            (
                |s| {
                    s.headers.insert("X-Scope-OrgID".into(), Secret::new("hu\nsh"));
                },
                "the value of `X-Scope-OrgID`",
            ),
        ] {
            let error = refusal(change);
            assert!(error.contains(words) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn servers_are_told_apart() {
        let build = |application: &str, version: &str, revision: &str| {
            named(&BuildInfo { application: application.into(), version: version.into(), revision: revision.into() })
        };
        assert_eq!(build("", "2.42.0", "abc"), "Prometheus 2.42.0");
        assert_eq!(build("Grafana Mimir", "2.10.0", "abc"), "Grafana Mimir 2.10.0");
        assert_eq!(build("", "0.34.1", "abc"), "Thanos 0.34.1");
        assert_eq!(build("", "2.24.0", ""), "VictoriaMetrics (as Prometheus 2.24.0)");
    }
}
