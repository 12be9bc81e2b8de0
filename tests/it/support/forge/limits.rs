//! GitHub's limits: the primary one, which is told with all answers, and the secondary one on what is created.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value as Json, json};

use super::{People, Reply};

/// What may be created in a minute and in an hour.
const CREATIONS: [(i64, usize); 2] = [(1, 80), (60, 500)];

pub(super) struct Limits {
    limit: u64,
    used: u64,
    reset: DateTime<Utc>,
    secondary: bool,
    created: Vec<DateTime<Utc>>,
}

impl Limits {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { limit: 5000, used: 0, reset: now + Duration::hours(1), secondary: false, created: Vec::new() }
    }

    /// Counts a request, and refuses it if it is one too many.
    pub(super) fn count(&mut self, now: DateTime<Utc>, creates: bool) -> Option<Reply> {
        if now >= self.reset {
            self.used = 0;
            self.reset = now + Duration::hours(1);
        }
        if self.used >= self.limit {
            let mut reply = Reply::error(403, "API rate limit exceeded for user ID 1001.");
            reply.body["documentation_url"] = json!("https://docs.github.com/rest/overview/rate-limits-for-the-rest-api");
            return Some(reply);
        }
        self.used += 1;
        if !creates {
            return None;
        }
        let within = |minutes: i64| self.created.iter().filter(|at| now - **at < Duration::minutes(minutes)).count();
        if self.secondary && CREATIONS.iter().any(|(minutes, most)| within(*minutes) >= *most) {
            let said = "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. Please retry your \
                        request again later. If you reach out to GitHub Support for help, please include the request ID 0FAB:1.";
            let mut reply = Reply::error(403, said);
            reply.body["documentation_url"] =
                json!("https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits");
            reply.headers.push(("retry-after", "60".to_owned()));
            return Some(reply);
        }
        self.created.push(now);
        None
    }

    pub(super) fn headers(&self) -> [(&'static str, String); 5] {
        [
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.limit.saturating_sub(self.used).to_string()),
            ("x-ratelimit-used", self.used.to_string()),
            ("x-ratelimit-reset", self.reset.timestamp().to_string()),
            ("x-ratelimit-resource", "core".to_owned()),
        ]
    }

    /// The answer of `GET /rate_limit`.
    pub(super) fn overview(&self) -> Json {
        let core = json!({
            "limit": self.limit, "used": self.used, "remaining": self.limit.saturating_sub(self.used), "reset": self.reset.timestamp(),
        });
        json!({"resources": {"core": core, "search": core, "graphql": core}, "rate": core})
    }
}

impl People {
    /// From now on no more is created than GitHub lets: 80 a minute and 500 an hour.
    pub(crate) fn limit_creations(&self) {
        self.state().limits.secondary = true;
    }

    /// So many requests are left until the hour is over.
    pub(crate) fn requests_left(&self, left: u64) {
        let mut state = self.state();
        state.limits.used = state.limits.limit - left;
    }
}
