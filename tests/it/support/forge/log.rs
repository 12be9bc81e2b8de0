//! What was asked, and with which status it was answered.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde_json::Value as Json;

use super::{GRAPHQL, People, REST};

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(super) serial: u64,
    pub(crate) method: String,
    /// Without what all paths of the REST API begin with.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    /// What was sent; a text if it is no JSON.
    pub(crate) body: Option<Json>,
    /// None if nothing was answered.
    pub(crate) status: Option<u16>,
    /// What the fake answered by itself.
    pub(super) answer: Option<Json>,
    pub(super) target: String,
}

impl Logged {
    pub(super) fn new(parts: &Parts, body: &[u8]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let target = parts.uri.to_string();
        let target = target.strip_prefix(REST).unwrap_or(&target).to_owned();
        let url = reqwest::Url::parse(&format!("http://x{target}")).unwrap();
        let text = || Json::String(String::from_utf8_lossy(body).into_owned());
        Self {
            serial: NEXT.fetch_add(1, Ordering::Relaxed),
            method: parts.method.to_string(),
            path: url.path().to_owned(),
            query: url.query_pairs().into_owned().collect(),
            headers: parts.headers.clone(),
            body: (!body.is_empty()).then(|| serde_json::from_slice(body).unwrap_or_else(|_| text())),
            status: None,
            answer: None,
            target,
        }
    }

    /// Method, path and query.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The token as it was sent.
    pub(crate) fn token(&self) -> Option<&str> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        ["bearer", "token"].contains(&scheme.to_ascii_lowercase().as_str()).then_some(token)
    }

    /// Whether it was to change something.
    pub(crate) fn is_mutation(&self) -> bool {
        let graphql =
            || self.body.as_ref().and_then(|body| body["query"].as_str()).is_some_and(|query| query.trim_start().starts_with("mutation"));
        match self.path.as_str() {
            GRAPHQL => graphql(),
            path if path.ends_with("/access_tokens") => false,
            _ => self.method != "GET" && self.method != "HEAD",
        }
    }

    /// The parts of the path, with percents decoded, where a repository by its number is the one repository.
    pub(super) fn segments(&self) -> Vec<String> {
        let decoded =
            |part: &str| url::form_urlencoded::parse(format!("x={}", part.replace('+', "%2B")).as_bytes()).next().unwrap().1.into_owned();
        let parts: Vec<String> = self.path.trim_start_matches('/').split('/').map(decoded).collect();
        match parts.as_slice() {
            [first, number, rest @ ..] if first == "repositories" && *number == super::json::REPOSITORY_ID.to_string() => {
                ["repos", super::OWNER, super::REPOSITORY].map(str::to_owned).into_iter().chain(rest.iter().cloned()).collect()
            }
            _ => parts,
        }
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl People {
    /// Notes how a request was answered.
    pub(super) fn note(&self, serial: u64, status: u16, answer: Option<Json>) {
        if let Some(logged) = self.0.log.lock().unwrap().iter_mut().find(|logged| logged.serial == serial) {
            logged.status = Some(status);
            logged.answer = answer;
        }
    }
}
