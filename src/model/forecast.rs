//! What a forecast says: the distribution of the *maximum* of demand over a window.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::seconds;
use super::{Demand, RepoPath, WorkloadId};

/// The span that one decision must cover: from now + lead time to the next decision + lead time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// Its end, which it does not contain.
    pub to: DateTime<Utc>,
}

impl Window {
    /// The window of a decision at `now`: `lead` until its effect, `every` until the next one's.
    pub fn of_decision(now: DateTime<Utc>, lead: TimeDelta, every: TimeDelta) -> Self {
        Self { from: now + lead, to: now + lead + every }
    }

    /// How long it is.
    pub fn length(&self) -> TimeDelta {
        self.to - self.from
    }
}

/// A past window that the one to come may be like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Analogue {
    /// Its first minute, on the grid of the [`Demand`] that was learned from.
    pub window: usize,
    /// How likely it is.
    pub weight: f64,
    /// What brings its demand (with the forecast's offset added) to today's level.
    pub factor: f64,
    /// The greatest demand in it, as it was.
    pub maximum: f64,
}

/// The window to come as a weighted set of past ones, each moved to today's level; and the expected path around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The model that made it.
    pub model: &'static str,
    /// Past windows. Never empty; the weights' sum is 1.
    analogues: Vec<Analogue>,
    /// Added to demand before it is moved.
    offset: f64,
    /// No analogue says more than this.
    most: f64,
    /// Hourly expected maxima from now on, for the eye.
    pub ahead: Vec<f64>,
    /// The share of the analogues' weight at which the high value stands.
    level: f64,
    /// Of each window the minutes from its first on that it tells of.
    told: usize,
}

impl Forecast {
    /// A forecast from analogues in any order. `None` unless at least one analogue has weight.
    pub fn new(model: &'static str, mut analogues: Vec<Analogue>, offset: f64, most: f64, ahead: Vec<f64>) -> Option<Self> {
        analogues.retain(|a| a.weight > 0.0 && a.weight.is_finite() && a.factor.is_finite() && a.maximum.is_finite());
        let sum: f64 = analogues.iter().map(|a| a.weight).sum();
        for analogue in &mut analogues {
            analogue.weight /= sum;
        }
        (!analogues.is_empty()).then(|| Self { model, analogues, offset, most: most.max(0.0), ahead, level: 0.95, told: usize::MAX })
    }

    /// The same with its high value at this share of the weight: 0.95, moved by how past forecasts did.
    #[must_use]
    pub fn at_level(self, level: f64) -> Self {
        Self { level, ..self }
    }

    /// The same, where it tells of the first so many minutes of its windows only.
    #[must_use]
    pub fn of_first(self, minutes: usize) -> Self {
        Self { told: minutes, ..self }
    }

    /// The minutes of a window of `length` of which it tells.
    pub fn told(&self, length: usize) -> usize {
        self.told.min(length).max(1)
    }

    /// The point forecast of the window maximum, in the signal's unit: the median, which has the least absolute error.
    pub fn point(&self) -> f64 {
        self.quantile(0.5)
    }

    /// What the window maximum is to stay at or under in 19 of 20 windows: the level is such that it did so far.
    pub fn high(&self) -> f64 {
        self.least_with(self.level)
    }

    /// The past windows.
    pub fn analogues(&self) -> &[Analogue] {
        &self.analogues
    }

    /// The greatest demand that it says anything of.
    pub fn most(&self) -> f64 {
        self.most
    }

    /// What a demand in an analogue's window says of the window to come.
    pub fn moved(&self, analogue: &Analogue, demand: f64) -> f64 {
        ((demand + self.offset) * analogue.factor - self.offset).clamp(0.0, self.most)
    }

    /// The least value that the window maximum stays at or under with probability `p`. The one to come counts as one more of them, beyond all
    /// others: of `n` equally likely analogues it is the `(n + 1) p`-th order statistic, which covers `p` of exchangeable outcomes (split
    /// conformal: Lei et al. 2018, doi:10.1080/01621459.2017.1307116; with weights: Barber et al. 2023, doi:10.1214/23-AOS2276). Beyond what
    /// they can tell it is the largest.
    pub fn quantile(&self, p: f64) -> f64 {
        let effective = 1.0 / self.analogues.iter().map(|a| a.weight * a.weight).sum::<f64>();
        self.least_with(p.clamp(0.0, 1.0) * (1.0 + 1.0 / effective))
    }

    /// The least moved maximum that has this share of the weight at or under it; the greatest where none has.
    fn least_with(&self, share: f64) -> f64 {
        let wanted = share - 1e-12;
        let mut maxima: Vec<(f64, f64)> = self.analogues.iter().map(|a| (self.moved(a, a.maximum), a.weight)).collect();
        // Half of what is left holds it; the other half is below, or not needed.
        let (mut left, mut below) = (maxima.as_mut_slice(), 0.0);
        while left.len() > 1 {
            let middle = left.len() / 2;
            left.select_nth_unstable_by(middle, |a, b| a.0.total_cmp(&b.0));
            let (lower, upper) = left.split_at_mut(middle);
            let weight: f64 = lower.iter().map(|(_, weight)| weight).sum();
            if below + weight >= wanted {
                left = lower;
            } else {
                below += weight;
                left = upper;
            }
        }
        left.first().map_or(self.most, |(maximum, _)| *maximum)
    }

    /// The probability that the window maximum stays at or under `demand`, and the greatest that does; `demand` itself where none does.
    pub fn covered(&self, demand: f64) -> (f64, f64) {
        let (mut above, mut greatest) = (0.0, None);
        for analogue in &self.analogues {
            let maximum = self.moved(analogue, analogue.maximum);
            if maximum > demand {
                above += analogue.weight;
            } else {
                greatest = Some(greatest.map_or(maximum, |so_far: f64| so_far.max(maximum)));
            }
        }
        (f64::max(1.0 - above, 0.0), greatest.unwrap_or(demand))
    }
}

/// A workload's forecast, and what it was made of.
#[derive(Clone, Debug)]
pub struct Foreseen {
    /// The window that it speaks of.
    pub window: Window,
    /// All that is known of demand: the analogues are windows of it.
    pub demand: Demand,
    /// The window to come.
    pub forecast: Forecast,
    /// Whose demand that is, where it is not the workload's own.
    pub borrowed: Option<Borrowed>,
}

/// A sibling whose demand stands for that of a workload: the same kind and name in another overlay or namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Borrowed {
    /// The overlay that renders it.
    pub overlay: RepoPath,
    /// The sibling.
    pub workload: WorkloadId,
    /// What its demand is multiplied by.
    pub ratio: f64,
    /// The time in which both were measured, in seconds.
    #[serde(with = "seconds")]
    pub common: TimeDelta,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(maxima: impl IntoIterator<Item = f64>) -> Option<Forecast> {
        let analogues = maxima.into_iter().map(|maximum| Analogue { window: 0, weight: 1.0, factor: 1.0, maximum }).collect();
        Forecast::new("test", analogues, 0.5, 1e9, vec![])
    }

    #[test]
    fn quantiles_are_order_statistics() {
        let even = forecast((1..=9).map(f64::from).rev()).unwrap();
        assert_eq!([0.0, 0.1, 0.5, 0.9, 1.0].map(|p| even.quantile(p)), [1.0, 1.0, 5.0, 9.0, 9.0]);
        assert_eq!((even.covered(9.5), even.covered(0.5)), ((1.0, 9.0), (0.0, 0.5)));
        assert!((even.covered(3.0).0 - 3.0 / 9.0).abs() < 1e-12);
        assert!(forecast([f64::NAN]).is_none() && forecast([]).is_none());
    }

    #[test]
    fn analogues_are_moved_and_never_beyond_the_most() {
        let analogues = vec![
            Analogue { window: 0, weight: 3.0, factor: 2.0, maximum: 10.0 },
            Analogue { window: 5, weight: 1.0, factor: 1e9, maximum: 10.0 },
        ];
        let moved = Forecast::new("test", analogues, 1.0, 50.0, vec![]).unwrap();
        assert_eq!((moved.quantile(0.3), moved.quantile(0.99)), (21.0, 50.0));
        assert_eq!(moved.covered(21.0), (0.75, 21.0));
    }
}
