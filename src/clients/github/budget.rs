//! How much may be asked of GitHub, counted over all runs that share a state.
//!
//! GitHub takes at most 80 requests a minute and 500 an hour that create content, and asks who went too far to rest until an instant. Both are
//! noted in the state before they are needed, an object each, so that two runs at once and a run that dies count right.

use chrono::{DateTime, TimeDelta, Utc};

use super::GithubError;
use crate::clients::clock;
use crate::clients::store::Store;

/// How many requests that change something are made within a span: fewer than GitHub takes, since others may use the same token.
const MOST: [(TimeDelta, usize); 2] = [(TimeDelta::minutes(1), 60), (TimeDelta::hours(1), 400)];
/// For so long a rest is remembered: no limit of GitHub's lasts longer.
const LONGEST: TimeDelta = TimeDelta::days(1);

/// Under what the requests are noted that changed something.
const WRITES: &str = "github/writes";
/// Under what it is noted until when nothing may be asked.
const RESTS: &str = "github/rests";

/// What was asked of GitHub, and for how long this run waits until it may ask again.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    store: Store,
    patience: TimeDelta,
}

impl Budget {
    pub(super) fn new(store: Store, patience: TimeDelta) -> Self {
        Self { store, patience }
    }

    /// Waits until a request may be made, and notes one that is to change something. Where that would take too long, it is not made.
    pub(super) async fn admit(&self, doing: &str, writes: bool) -> Result<(), GithubError> {
        let told = |error: anyhow::Error| GithubError::uncounted(doing, &error);
        loop {
            let now = clock::now();
            let rests = self.store.instants(RESTS).await.map_err(told)?;
            let written = if writes { self.store.instants(WRITES).await.map_err(told)? } else { Vec::new() };
            let until = rests.into_iter().fold(due(&written, now), DateTime::max);
            if until <= now {
                break;
            }
            if until - now > self.patience {
                return Err(GithubError::resting(doing, until));
            }
            tracing::info!(%until, "waiting until GitHub may be asked again");
            tokio::time::sleep((until - now).to_std().unwrap_or_default()).await;
        }
        if writes {
            let now = clock::now();
            self.store.note(WRITES, now).await.map_err(told)?;
            self.store.forget_instants(WRITES, now - MOST[1].0).await;
        }
        Ok(())
    }

    /// Notes that GitHub wants nothing to be asked until then.
    pub(super) async fn rest(&self, until: DateTime<Utc>) {
        let noted = self.store.note(RESTS, until).await;
        self.store.forget_instants(RESTS, clock::now() - LONGEST).await;
        if let Err(error) = noted {
            tracing::warn!(error = format!("{error:#}"), "the next run will not know that GitHub asked to rest");
        }
    }
}

/// When one more request may be made that changes something, after those at these instants.
fn due(written: &[DateTime<Utc>], now: DateTime<Utc>) -> DateTime<Utc> {
    let within = |(span, most): (TimeDelta, usize)| {
        let mut within: Vec<_> = written.iter().copied().filter(|at| *at > now - span).collect();
        within.sort_unstable();
        within.iter().rev().nth(most - 1).map_or(now, |first| *first + span)
    };
    MOST.into_iter().map(within).fold(now, DateTime::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn no_span_ever_holds_more_than_is_let() {
        assert_eq!(due(&[], at(0)), at(0));
        let mut written = Vec::new();
        let mut now = at(0);
        for _ in 0..1000 {
            now = due(&written, now);
            written.push(now);
        }
        for (span, most) in MOST {
            let within = |from: &DateTime<Utc>| written.iter().filter(|at| *at >= from && **at < *from + span).count();
            assert_eq!(written.iter().map(within).max(), Some(most));
        }
        assert!(now - at(0) >= TimeDelta::hours(2) && now - at(0) < TimeDelta::hours(3), "as fast as it may: {now}");
    }
}
