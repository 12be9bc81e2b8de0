//! What can go wrong between Prescale and a Prometheus, and what to do about it.

use std::time::Duration;

use humantime::format_duration;

/// A request that failed: at which server, for which query, why, and what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("Prometheus at {url} {failure}{}", .query.as_deref().filter(|_| !matches!(.failure, Failure::Unreachable { .. })).map(|query| format!(" (query: `{}`)", trimmed(query, 240))).unwrap_or_default())]
pub struct PrometheusError {
    /// The server's address, without credentials.
    pub url: String,
    /// The query, where one was asked.
    pub query: Option<String>,
    /// Why.
    pub failure: Failure,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The settings make no client.
    #[error("cannot be asked: {0}")]
    Settings(String),
    /// No connection.
    #[error(
        "cannot be reached ({cause}){}: check `metrics.prometheus.url`, that the server runs, and that the network lets Prescale through",
        after(*.tries)
    )]
    Unreachable {
        /// What the network said.
        cause: String,
        /// How often it was tried.
        tries: u32,
    },
    /// The connection broke within the answer.
    #[error("broke off its answer ({cause}){}: look at its log, or that of the proxy in front of it, for a restart or a limit", after(*.tries))]
    BrokenOff {
        /// What the network said.
        cause: String,
        /// How often it was tried.
        tries: u32,
    },
    /// No answer in time.
    #[error(
        "did not answer within {}: raise `metrics.prometheus.timeout`, or ask for less at once with a lower `metrics.prometheus.chunk`",
        format_duration(*.0)
    )]
    TimedOut(Duration),
    /// One of the two clocks is wrong, and with it what is taken for now.
    #[error("tells another time, {0}: set the clock that is wrong, for instance by NTP")]
    Clock(String),
    /// It refuses or fails, in no words of the API.
    #[error("answered {status}{}: {}{}", after(*.tries), status_remedy(*.status), said(.body))]
    Status {
        /// The HTTP status.
        status: u16,
        /// What it said.
        body: String,
        /// How often it was tried.
        tries: u32,
    },
    /// It asks to wait longer than a run may.
    #[error("asks to wait {} before the next request (429): lower `metrics.prometheus.concurrency`, or raise its limits", format_duration(*.0))]
    Busy(Duration),
    /// It sends the client elsewhere.
    #[error("redirects to {to}: set `metrics.prometheus.url` to the address that answers itself (a login page needs credentials)")]
    Redirected {
        /// Where to.
        to: String,
    },
    /// The answer is not JSON: most often a login page or a proxy's own.
    #[error(
        "answered with {content_type} where JSON was expected: is `metrics.prometheus.url` the API's address, and are credentials needed?{}",
        said(.body)
    )]
    NotJson {
        /// The content type.
        content_type: String,
        /// What it said.
        body: String,
    },
    /// The answer is JSON that is cut short or not the API's.
    #[error("gave an answer that cannot be read ({cause}): look for a proxy that cuts or rewrites answers{}", said(.body))]
    Malformed {
        /// What the parser said.
        cause: String,
        /// How the answer begins.
        body: String,
    },
    /// The API's own error.
    #[error("refused the query ({kind}: {message}): {}", query_remedy(.kind, .message))]
    Query {
        /// The API's `errorType`.
        kind: String,
        /// The API's words.
        message: String,
    },
    /// Several requests in a row failed, so that no more are made.
    #[error("is not asked again in this run, since several requests in a row failed; the last one {0}")]
    GivenUp(String),
}

fn after(tries: u32) -> String {
    if tries > 1 { format!(" after {tries} tries") } else { String::new() }
}

fn said(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!("; it said: {body}") }
}

fn status_remedy(status: u16) -> &'static str {
    match status {
        401 | 403 => "set `metrics.prometheus.bearerTokenFile`, `basicAuth` or `headers` to credentials that may query",
        404 | 405 => "`metrics.prometheus.url` must be the address to which `/api/v1/query_range` is added (Mimir: `…/prometheus`)",
        429 => "it limits requests; lower `metrics.prometheus.concurrency`, or raise its limits",
        500.. => "look at its log, or that of the proxy in front of it",
        _ => "check `metrics.prometheus.url` and `headers`",
    }
}

fn query_remedy(kind: &str, message: &str) -> &'static str {
    if message.contains("many-to-many") || message.contains("duplicate series") {
        "two series claim the same match; set `metrics.prometheus.cluster` where clusters share the store and `metrics.prometheus.jobs` where \
         several jobs scrape the same, or aggregate in your own expression, for instance with `max by (…)`"
    } else if message.contains("too many samples") || message.contains("too many points") || message.contains("exceeded maximum resolution")
    {
        "lower `metrics.prometheus.chunk`"
    } else {
        match kind {
            "bad_data" => "correct the expression, or the names and matchers under `metrics.prometheus`",
            "timeout" | "canceled" => "lower `metrics.prometheus.chunk`, or raise the server's `--query.timeout`",
            _ => "look at the server's log",
        }
    }
}

/// Text on one line, cut to `most` characters.
pub(super) fn trimmed(text: &str, most: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len() > most {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
