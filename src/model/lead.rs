//! How long it takes from a commit to Ready pods, measured by stage.
//!
//! Each stage is told by its starts, the oldest first. Where they changed for good (an image that pulls twice as long), only those since count.
//! Within them the mean is an exponentially weighted one, bias-corrected so that the first ones count alike ([Kingma & Ba
//! 2015](https://arxiv.org/abs/1412.6980), section 3), and the 95th percentile is by nearest rank. A lead time adds the stages' 95th percentiles,
//! which is on the safe side: they are seldom slow together.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::seconds;

/// The weight of the last one, once there are enough.
const WEIGHT: f64 = 0.1;
/// So many starts tell a stage.
pub const ENOUGH: usize = 3;
/// So many standard errors must lie between the logarithms before and after a change.
const CLEAR: f64 = 4.0;
/// And this factor between their means.
const CHANGE: f64 = 1.25;
/// What single starts differ by at the least, as the standard deviation of their logarithms.
const NOISE: f64 = 0.05;

/// What was measured of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// The weighted mean, in seconds.
    #[serde(with = "seconds")]
    pub mean: TimeDelta,
    /// The 95th percentile, in seconds.
    #[serde(with = "seconds")]
    pub p95: TimeDelta,
    /// How many starts stand behind it.
    pub starts: usize,
}

/// What was measured of a workload, stage by stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lead {
    /// From a commit on the tracked branch to the end of the sync that brought it.
    pub sync: Option<Stage>,
    /// From a pod's creation to its node.
    pub schedule: Option<Stage>,
    /// From there to its last container's start: pull, init containers.
    pub start: Option<Stage>,
    /// From there to Ready.
    pub ready: Option<Stage>,
    /// From the end of a sync until Argo CD calls the Application Healthy.
    pub healthy: Option<Stage>,
}

impl Lead {
    /// The stages, by name.
    pub fn stages(&self) -> impl Iterator<Item = (&'static str, Stage)> {
        let all =
            [("sync", self.sync), ("schedule", self.schedule), ("start", self.start), ("ready", self.ready), ("healthy", self.healthy)];
        all.into_iter().filter_map(|(name, stage)| Some((name, stage?)))
    }

    /// From a pod's creation to Ready; `None` where a stage is not known.
    pub fn startup(&self) -> Option<TimeDelta> {
        Some(self.schedule?.p95 + self.start?.p95 + self.ready?.p95)
    }

    /// From a commit to Ready pods; `None` where a stage is not known. Where no pod's start was seen, an Application that becomes Healthy tells it.
    pub fn total(&self) -> Option<TimeDelta> {
        let start = self.startup().or_else(|| Some(self.healthy?.p95));
        Some(self.sync?.p95 + start?)
    }
}

impl Stage {
    /// From the durations of its starts in seconds, the oldest first; `None` where there are too few.
    pub fn of(seconds: &[f64]) -> Option<Self> {
        let seconds = &seconds[since_change(seconds)..];
        if seconds.len() < ENOUGH {
            return None;
        }
        let (sum, weight) = seconds
            .iter()
            .fold((0.0, 0.0), |(sum, weight), second| (sum * (1.0 - WEIGHT) + second * WEIGHT, weight * (1.0 - WEIGHT) + WEIGHT));
        let mut sorted = seconds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() as f64 * 0.95).ceil() as usize;
        let span = |seconds: f64| TimeDelta::milliseconds((seconds * 1000.0).round() as i64);
        Some(Self { mean: span(sum / weight), p95: span(sorted[rank - 1]), starts: seconds.len() })
    }
}

/// Where the last lasting change began; 0 where there was none. A change is where the mean logarithms on both sides differ most clearly, by Welch's
/// t; at least three starts tell each side.
pub fn since_change(seconds: &[f64]) -> usize {
    let logs: Vec<f64> = seconds.iter().map(|second| second.max(0.1).ln()).collect();
    let mut from = 0;
    loop {
        let rest = &logs[from..];
        let clear = |at: usize| {
            let ((before, noise_before), (after, noise_after)) = (moments(&rest[..at]), moments(&rest[at..]));
            let error = (noise_before.powi(2) / at as f64 + noise_after.powi(2) / (rest.len() - at) as f64).sqrt();
            let difference = (after - before).abs();
            if difference < CHANGE.ln() { 0.0 } else { difference / error }
        };
        let splits = ENOUGH..(rest.len() + 1).saturating_sub(ENOUGH);
        match splits.map(|at| (clear(at), at)).max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((clarity, at)) if clarity > CLEAR => from += at,
            _ => return from,
        }
    }
}

/// The mean and the standard deviation, the latter at least what noise makes of it.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    (mean, variance.sqrt().max(NOISE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Starts of about so many seconds, a tenth up or down.
    fn about(seconds: f64, noise: &[f64]) -> Vec<f64> {
        noise.iter().map(|noise| seconds * (1.0 + noise * 0.1)).collect()
    }

    fn mean(seconds: &[f64]) -> f64 {
        Stage::of(seconds).unwrap().mean.num_milliseconds() as f64 / 1000.0
    }

    proptest! {
        #[test]
        fn ten_starts_tell_and_five_tell_of_a_change(noise in prop::collection::vec(-1.0..1.0, 25), seconds in 5.0..300.0, factor in prop_oneof![Just(2.0), Just(0.5), Just(4.0)]) {
            let before = about(seconds, &noise[..10]);
            prop_assert!((mean(&before) / seconds - 1.0).abs() < 0.1);
            let changed = [about(seconds, &noise[..20]), about(seconds * factor, &noise[20..])].concat();
            prop_assert!((mean(&changed) / (seconds * factor) - 1.0).abs() < 0.1, "{:?}", Stage::of(&changed));
        }
    }

    #[test]
    fn one_slow_start_is_no_change() {
        let starts = [20.0, 21.0, 19.0, 20.0, 60.0, 20.0, 20.0];
        let stage = Stage::of(&starts).unwrap();
        assert_eq!((stage.starts, stage.p95), (7, TimeDelta::seconds(60)));
        assert_eq!(Stage::of(&[20.0, 30.0]), None);
    }

    #[test]
    fn stages_add_up_where_all_are_known() {
        let stage = |seconds| Stage::of(&[seconds; 3]);
        let pods = Lead { schedule: stage(1.0), start: stage(20.0), ready: stage(9.0), ..Lead::default() };
        assert_eq!((pods.startup(), pods.total()), (Some(TimeDelta::seconds(30)), None));
        assert_eq!(Lead { sync: stage(90.0), ..pods }.total(), Some(TimeDelta::seconds(120)));
        assert_eq!(Lead { ready: None, ..pods }.startup(), None);
        let seen = Lead { sync: stage(90.0), healthy: stage(45.0), ..Lead::default() };
        assert_eq!((seen.startup(), seen.total()), (None, Some(TimeDelta::seconds(135))));
        assert_eq!(Lead { sync: stage(90.0), healthy: stage(45.0), ..pods }.total(), Some(TimeDelta::seconds(120)), "pods tell it better");
    }
}
