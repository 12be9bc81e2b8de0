//! What goes wrong on GitHub, told so that the reader knows what to do.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::clients::clock;

/// A call that failed.
#[derive(Clone, Debug)]
pub struct GithubError {
    /// What was tried.
    doing: String,
    /// What kind of failure it is.
    pub trouble: Trouble,
    /// What GitHub or the network said.
    why: String,
}

/// The kinds of failures that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The configuration cannot be used.
    Settings,
    /// Credentials are wrong or expired.
    Credentials,
    /// The token may not do this.
    Forbidden,
    /// There is no such repository or pull request, or the token may not see it.
    Absent,
    /// The branch has a pull request already.
    Exists,
    /// GitHub does not accept the request as it is.
    Refused,
    /// A rate limit; calls make sense again from then on.
    Limited {
        /// When.
        until: DateTime<Utc>,
    },
    /// GitHub failed, or was not reached: whether a change was made is not known.
    Unknown,
}

/// How long to rest after a secondary limit that names no time, as GitHub's documentation asks.
pub(super) const REST: TimeDelta = TimeDelta::seconds(60);

impl GithubError {
    fn new(doing: &str, trouble: Trouble, why: String) -> Self {
        Self { doing: doing.to_owned(), trouble, why }
    }

    pub(super) fn settings(why: String) -> Self {
        Self::new("use the configuration", Trouble::Settings, why)
    }

    pub(super) fn refused(doing: &str, why: String) -> Self {
        Self::new(doing, Trouble::Refused, why)
    }

    pub(super) fn unreachable(doing: &str, error: &octocrab::Error) -> Self {
        // The chain says what happened; octocrab's own words add a backtrace.
        let mut last: &dyn std::error::Error = error;
        while let Some(source) = last.source() {
            last = source;
        }
        Self::new(doing, Trouble::Unknown, format!("it could not be reached: {last}"))
    }

    pub(super) fn unreadable(doing: &str, error: &serde_json::Error) -> Self {
        Self::new(doing, Trouble::Unknown, format!("its answer cannot be read: {error}; is `github.url` that of its API?"))
    }

    /// It was not asked: GitHub wants to be left alone until then, or too much was asked of it already.
    pub(super) fn resting(doing: &str, until: DateTime<Utc>) -> Self {
        Self::new(doing, Trouble::Limited { until }, "its rate limits are used up".to_owned())
    }

    /// It was not asked, since it could not be counted.
    pub(super) fn uncounted(doing: &str, error: &anyhow::Error) -> Self {
        Self::new(doing, Trouble::Settings, format!("what is asked of it cannot be counted: {error:#}"))
    }

    /// From an answer that is no success.
    pub(super) fn answered(doing: &str, status: StatusCode, headers: &HeaderMap, body: &str, now: DateTime<Utc>) -> Self {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let mut said = body["message"].as_str().unwrap_or(status.canonical_reason().unwrap_or("no reason")).to_owned();
        for error in body["errors"].as_array().into_iter().flatten() {
            if let Some(more) = error["message"].as_str().or(error.as_str()) {
                said = format!("{said}: {more}");
            }
        }
        let number = |name| headers.get(name).and_then(|value| value.to_str().ok()).and_then(|value| value.parse::<i64>().ok());
        let spent = number("x-ratelimit-remaining") == Some(0);
        let reset = || number("x-ratelimit-reset").and_then(|at| DateTime::from_timestamp(at, 0));
        let limit = match number("retry-after") {
            Some(seconds) => Some(now + TimeDelta::seconds(seconds.clamp(1, 86_400))),
            // By our clock it may have passed already.
            None if spent => reset().map(|at| at.clamp(now + REST, now + TimeDelta::days(1))),
            None if status == StatusCode::TOO_MANY_REQUESTS || said.to_lowercase().contains("rate limit") => Some(now + REST),
            None => None,
        };
        let trouble = match (status.as_u16(), limit) {
            (403 | 429, Some(until)) => Trouble::Limited { until },
            (401, _) => Trouble::Credentials,
            (403, _) => Trouble::Forbidden,
            (301 | 302 | 307 | 308 | 404 | 410, _) => Trouble::Absent,
            (422, _) if said.contains("already exists") => Trouble::Exists,
            (500.., _) => Trouble::Unknown,
            _ => Trouble::Refused,
        };
        // An App's proof of who it is holds for minutes.
        let astray = (trouble == Trouble::Credentials).then(|| clock::astray(headers, now, TimeDelta::minutes(1))).flatten();
        let astray = astray.map_or_else(String::new, |astray| format!("; {astray}, set it"));
        Self::new(doing, trouble, format!("it answered {}: {said}{astray}", status.as_u16()))
    }

    /// Whether the same call may well work a moment later.
    pub(super) fn is_passing(&self) -> bool {
        self.trouble == Trouble::Unknown
    }
}

impl fmt::Display for GithubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, why, .. } = self;
        let todo = match self.trouble {
            Trouble::Settings | Trouble::Refused | Trouble::Exists => String::new(),
            Trouble::Credentials => "; check `github.tokenFile` or `github.app`: the token may have expired".to_owned(),
            Trouble::Forbidden => "; the token needs the permissions `contents: write` and `pull requests: write` on it".to_owned(),
            Trouble::Absent => "; check `github.repository`, and whether the token may see it".to_owned(),
            Trouble::Limited { until } => format!("; nothing more is asked before {}", until.format("%Y-%m-%d %H:%M:%S UTC")),
            Trouble::Unknown => "; the next run will look what became of it".to_owned(),
        };
        write!(f, "GitHub: cannot {doing}: {why}{todo}")
    }
}

impl std::error::Error for GithubError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(status: u16, headers: &[(&'static str, &str)], body: &str) -> Trouble {
        let headers = headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect();
        let now = DateTime::from_timestamp(1000, 0).unwrap();
        GithubError::answered("try", StatusCode::from_u16(status).unwrap(), &headers, body, now).trouble
    }

    #[test]
    fn a_clock_that_is_wrong_is_named_where_credentials_are_refused() {
        let headers = HeaderMap::from_iter([(http::header::DATE, "Thu, 01 Jan 1970 00:16:40 GMT".parse().unwrap())]);
        let at = |seconds| {
            let now = DateTime::from_timestamp(seconds, 0).unwrap();
            GithubError::answered("get a token", StatusCode::UNAUTHORIZED, &headers, "{}", now).to_string()
        };
        assert!(at(4600).contains("this machine's clock is 60 minutes ahead of its own, set it"), "{}", at(4600));
        assert!(!at(1030).contains("clock"), "{}", at(1030));
    }

    #[test]
    fn limits_are_told_apart_from_refusals() {
        let until = |at| Trouble::Limited { until: DateTime::from_timestamp(at, 0).unwrap() };
        assert_eq!(trouble(403, &[("retry-after", "30")], "{}"), until(1030));
        assert_eq!(trouble(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "4000")], "{}"), until(4000));
        assert_eq!(trouble(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "900")], "{}"), until(1060), "clocks differ");
        assert_eq!(trouble(429, &[], "slow down"), until(1060));
        assert_eq!(trouble(403, &[], r#"{"message": "You have exceeded a secondary rate limit."}"#), until(1060));
        assert_eq!(trouble(403, &[("x-ratelimit-remaining", "7")], r#"{"message": "Resource not accessible"}"#), Trouble::Forbidden);
        assert_eq!(trouble(502, &[], "<html>"), Trouble::Unknown);
        let twice = r#"{"message": "Validation Failed", "errors": [{"message": "A pull request already exists for shop:x."}]}"#;
        assert_eq!((trouble(422, &[], twice), trouble(422, &[], "{}")), (Trouble::Exists, Trouble::Refused));
    }
}
