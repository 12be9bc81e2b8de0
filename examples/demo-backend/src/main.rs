//! The demo's backend: a small HTTP service that measures itself as Prometheus expects, and burns CPU when asked to.
//!
//! It listens on `PORT` (default 8080). On SIGTERM or ctrl-c it finishes what is under way, then it ends.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::env::{self, VarError};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;

/// What metrics tell apart; all else is `other`, so that no caller can make series.
const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
const PATHS: [&str; 2] = ["/api/data", "/api/heavy"];
/// What is no demand: probes and scrapes grow with the replicas.
const UNCOUNTED: [&str; 2] = ["/api/health", "/metrics"];
/// The upper bounds of the histogram, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Prometheus' text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How long `/api/heavy` works where nothing is asked, and at most, in milliseconds.
const USUAL: u64 = 50;
const MOST: u64 = 1000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().json().flatten_event(true).with_target(false).with_current_span(false).with_span_list(false).init();
    let port = port()?;
    let listener = TcpListener::bind(("0.0.0.0", port)).await.with_context(|| format!("cannot listen on port {port}"))?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping");
    };
    tracing::info!(address = %listener.local_addr()?, "listening");
    axum::serve(listener, router()).with_graceful_shutdown(stop).await.context("cannot serve")
}

#[expect(clippy::disallowed_methods, reason = "it has no other configuration")]
fn port() -> anyhow::Result<u16> {
    let text = match env::var("PORT") {
        Err(VarError::NotPresent) => return Ok(8080),
        text => text.context("PORT is no text")?,
    };
    text.parse().with_context(|| format!("PORT is `{text}`: give the number of a port"))
}

fn router() -> Router {
    let metrics = Shared::default();
    Router::new()
        .route("/api/health", get(Json(json!({ "status": "ok" }))))
        .route("/api/data", get(Json(data())))
        .route("/api/heavy", get(heavy))
        .route("/metrics", get(|State(metrics): State<Shared>| async move { ([(header::CONTENT_TYPE, TEXT)], metrics.lock().render()) }))
        .fallback(StatusCode::NOT_FOUND)
        .layer(middleware::from_fn_with_state(metrics.clone(), observe))
        .with_state(metrics)
}

/// What the shop sells: the same each time.
fn data() -> Value {
    json!([
        { "id": 1, "name": "lamp", "cents": 2400 },
        { "id": 2, "name": "chair", "cents": 7900 },
        { "id": 3, "name": "table", "cents": 18900 },
    ])
}

/// What may be asked of `/api/heavy`.
#[derive(Deserialize)]
struct Work {
    ms: Option<u64>,
}

async fn heavy(Query(Work { ms }): Query<Work>) -> Result<Json<Value>, StatusCode> {
    let asked = ms.unwrap_or(USUAL).min(MOST);
    let burnt = spawn_blocking(move || burn(Duration::from_millis(asked))).await;
    let (rounds, took) = burnt.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let took_ms = (took.as_secs_f64() * 1e6).round() / 1e3;
    Ok(Json(json!({ "askedMs": asked, "tookMs": took_ms, "rounds": rounds })))
}

/// Hashes until the time is over; tells how often, and how long that was.
fn burn(time: Duration) -> (u64, Duration) {
    let start = Instant::now();
    let (mut hash, mut rounds) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while start.elapsed() < time {
        for byte in 0..=u8::MAX {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        hash = black_box(hash);
        rounds += 1;
    }
    (rounds, start.elapsed())
}

/// Counts, times and logs each answer to a caller.
async fn observe(State(metrics): State<Shared>, request: Request, next: Next) -> Response {
    if UNCOUNTED.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let start = Instant::now();
    let (method, path) = (known(&METHODS, request.method().as_str()), known(&PATHS, request.uri().path()));
    let response = next.run(request).await;
    let (status, seconds) = (response.status().as_u16(), start.elapsed().as_secs_f64());
    metrics.lock().note(method, path, status, seconds);
    tracing::info!(method, path, status, seconds, "answered");
    response
}

/// The one of these names that a text is, or `other`.
fn known(names: &[&'static str], text: &str) -> &'static str {
    names.iter().find(|name| **name == text).copied().unwrap_or("other")
}

/// The metrics, for every request at once.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Metrics>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Metrics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was answered since the start.
#[derive(Default)]
struct Metrics {
    /// How often, by method, path and code of the status.
    requests: BTreeMap<(&'static str, &'static str, u16), u64>,
    /// How fast, by path.
    durations: BTreeMap<&'static str, Histogram>,
}

#[derive(Default)]
struct Histogram {
    /// How many took no longer than each of [`BOUNDS`].
    within: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Metrics {
    fn note(&mut self, method: &'static str, path: &'static str, status: u16, seconds: f64) {
        *self.requests.entry((method, path, status)).or_default() += 1;
        let histogram = self.durations.entry(path).or_default();
        for (within, _) in histogram.within.iter_mut().zip(BOUNDS).filter(|(_, bound)| seconds <= *bound) {
            *within += 1;
        }
        histogram.count += 1;
        histogram.sum += seconds;
    }

    /// The metrics in Prometheus' text format.
    fn render(&self) -> String {
        let mut text = String::from("# HELP http_requests_total Requests that were answered.\n# TYPE http_requests_total counter\n");
        for ((method, path, status), count) in &self.requests {
            let _ = writeln!(text, "http_requests_total{{method=\"{method}\",path=\"{path}\",code=\"{status}\"}} {count}");
        }
        let name = "http_request_duration_seconds";
        let _ = writeln!(text, "# HELP {name} From a request to its answer.\n# TYPE {name} histogram");
        for (path, Histogram { within, count, sum }) in &self.durations {
            for (bound, within) in BOUNDS.iter().zip(within) {
                let _ = writeln!(text, "{name}_bucket{{path=\"{path}\",le=\"{bound}\"}} {within}");
            }
            let _ = writeln!(text, "{name}_bucket{{path=\"{path}\",le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "{name}_sum{{path=\"{path}\"}} {sum}");
            let _ = writeln!(text, "{name}_count{{path=\"{path}\"}} {count}");
        }
        text
    }
}
