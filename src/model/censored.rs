//! When demand was cut short: it was at least what was measured, and nobody knows how much more.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::Series;

/// What cut demand short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The HPA asked for all that it may.
    AtMaximum,
    /// Pods found no node.
    Pending,
    /// CPU was throttled.
    Throttled,
    /// The share of requests that failed rose.
    Errors,
}

impl Cause {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::AtMaximum, Self::Pending, Self::Throttled, Self::Errors];

    /// The name by which it is known in files and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtMaximum => "at-maximum",
            Self::Pending => "pending",
            Self::Throttled => "throttled",
            Self::Errors => "errors",
        }
    }
}

/// When a workload's demand was cut short, by cause: where a series is above zero. A gap is taken as a time without.
#[derive(Clone, Debug, Default)]
pub struct Censored(BTreeMap<Cause, Series>);

impl Censored {
    /// From one series a cause.
    pub fn new(causes: BTreeMap<Cause, Series>) -> Self {
        Self(causes)
    }

    /// The stretches of each cause: first and last instant, in epoch seconds.
    pub fn stretches(&self) -> impl Iterator<Item = (Cause, i64, i64)> {
        self.0.iter().flat_map(|(cause, series)| {
            let at = |i: usize| series.start() + series.step() * i as i64;
            let marked = series.values().iter().enumerate().filter(|(_, value)| **value > 0.0);
            marked.map(move |(i, _)| (*cause, at(i), at(i + 1)))
        })
    }

    /// The last stretch that ended within the `span` before `now`: its cause and its end.
    pub fn lately(&self, now: DateTime<Utc>, span: TimeDelta) -> Option<(Cause, DateTime<Utc>)> {
        let within = (now - span).timestamp() + 1..=now.timestamp();
        let known = self.stretches().filter(|(_, _, end)| within.contains(end));
        let (cause, _, end) = known.max_by_key(|(_, _, end)| *end)?;
        Some((cause, DateTime::from_timestamp(end, 0)?))
    }

    /// The share of the minutes of the `span` before `now` in which demand was cut short.
    pub fn share(&self, now: DateTime<Utc>, span: TimeDelta) -> f64 {
        let first = (now - span).timestamp();
        let mut minutes = vec![false; span.num_minutes().max(1) as usize];
        for (_, from, to) in self.stretches() {
            let minute = |at: i64| ((at - first).div_euclid(60).max(0) as usize).min(minutes.len());
            let (from, to) = (minute(from), minute(to));
            minutes[from..to].fill(true);
        }
        minutes.iter().filter(|marked| **marked).count() as f64 / minutes.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_overlap_and_the_last_one_tells() {
        let throttled = Series::new(0, 300, [0.0, 1.0, 1.0, f64::NAN]);
        let pending = Series::new(0, 300, [f64::NAN, f64::NAN, 2.0, 0.0]);
        let censored = Censored::new([(Cause::Throttled, throttled), (Cause::Pending, pending)].into());
        let now = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        assert_eq!(censored.share(now(1200), TimeDelta::minutes(20)), 0.5);
        assert_eq!(censored.share(now(900), TimeDelta::minutes(5)), 1.0);
        assert_eq!(Censored::default().share(now(900), TimeDelta::minutes(5)), 0.0);
        assert_eq!(censored.lately(now(700), TimeDelta::minutes(5)), Some((Cause::Throttled, now(600))));
        assert_eq!(censored.lately(now(900), TimeDelta::minutes(5)).map(|(_, end)| end), Some(now(900)));
        assert_eq!(censored.lately(now(1200), TimeDelta::minutes(5)), None);
    }
}
