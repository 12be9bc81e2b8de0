//! The clock on the wall, beside those of servers: not a decision's `now`, but what tokens, limits and answers are dated by.

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use http::header::DATE;

/// Now, whatever instant a run decides for.
#[expect(clippy::disallowed_methods, reason = "not a decision's `now`, but the time by which servers count")]
pub(super) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// How far this machine's clock is from that of a server whose answer came at `now`, in words, where that is further than `most`.
pub(super) fn astray(headers: &HeaderMap, now: DateTime<Utc>, most: TimeDelta) -> Option<String> {
    let theirs = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?.to_utc();
    let ahead = now - theirs;
    let minutes = ahead.abs().num_seconds().unsigned_abs().div_ceil(60);
    let side = if ahead > TimeDelta::zero() { "ahead of" } else { "behind" };
    (ahead.abs() > most).then(|| format!("this machine's clock is {minutes} minutes {side} its own"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_told_and_a_minute_is_not() {
        let now = "2026-11-24T10:00:00Z".parse().unwrap();
        let at = |date: &str| {
            let headers = HeaderMap::from_iter([(DATE, date.parse().unwrap())]);
            astray(&headers, now, TimeDelta::minutes(5))
        };
        assert_eq!(at("Tue, 24 Nov 2026 10:01:00 GMT"), None);
        assert_eq!(at("Tue, 24 Nov 2026 09:00:00 GMT").as_deref(), Some("this machine's clock is 60 minutes ahead of its own"));
        assert_eq!(at("Tue, 24 Nov 2026 10:05:01 GMT").as_deref(), Some("this machine's clock is 6 minutes behind its own"));
        assert_eq!((at("yesterday"), astray(&HeaderMap::new(), now, TimeDelta::zero())), (None, None));
    }
}
