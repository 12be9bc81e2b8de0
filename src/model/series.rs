//! Demand over time, on an even grid with explicit gaps.

use chrono::{DateTime, TimeDelta, Utc};

/// A series on an even grid. Gaps are gaps, not zeros; an infinite or negative value cannot be in it.
///
/// The value at index `i` describes the `step` seconds from `start + i * step` on, so it is known only at their end.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    start: i64,
    step: i64,
    values: Vec<f64>,
}

impl Series {
    /// A grid of `values` from `start` (epoch seconds) on, `step` seconds apart (at least 1). What is not a finite number is a gap;
    /// a negative demand is absurd and counts as zero.
    pub fn new(start: i64, step: i64, values: impl IntoIterator<Item = f64>) -> Self {
        let values = values.into_iter().map(|v| if v.is_finite() { v.max(0.0) } else { f64::NAN }).collect();
        Self { start, step: step.max(1), values }
    }

    /// Puts samples `(epoch seconds, value)` in any order on a grid of `step` seconds, aligned to the epoch. A grid point is the mean of
    /// the samples that fall into it (the last wins among equal timestamps); one without samples is a gap. `None` without a finite sample.
    pub fn from_samples(step: i64, samples: impl IntoIterator<Item = (i64, f64)>) -> Option<Self> {
        let step = step.max(1);
        let mut samples: Vec<_> = samples.into_iter().filter(|(_, v)| v.is_finite()).collect();
        samples.sort_by_key(|(at, _)| *at);
        samples.reverse();
        samples.dedup_by_key(|(at, _)| *at);
        samples.reverse();
        let (first, last) = (samples.first()?.0.div_euclid(step), samples.last()?.0.div_euclid(step));
        let n = usize::try_from(last - first + 1).ok()?;
        if n > Self::MOST {
            return None;
        }
        let (mut sums, mut counts) = (vec![0.0; n], vec![0_u32; n]);
        for (at, value) in samples {
            let i = (at.div_euclid(step) - first) as usize;
            sums[i] += value;
            counts[i] += 1;
        }
        let means = sums.iter().zip(&counts).map(|(sum, &count)| if count == 0 { f64::NAN } else { sum / f64::from(count) });
        Some(Self::new(first * step, step, means))
    }

    /// The most points a grid may have: a clock that jumped must not take all memory.
    pub const MOST: usize = 4_000_000;

    /// Epoch seconds of the first grid point.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Seconds between grid points.
    pub fn step(&self) -> i64 {
        self.step
    }

    /// Epoch seconds at which the last point's span ends.
    pub fn end(&self) -> i64 {
        self.start + self.step * self.values.len() as i64
    }

    /// The number of grid points, gaps included.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no grid point.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values, a gap being NaN.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The value at a grid point; `None` for a gap or outside the grid.
    pub fn get(&self, i: usize) -> Option<f64> {
        self.values.get(i).copied().filter(|v| !v.is_nan())
    }

    /// The end of the last span that was measured; `None` when all is gap.
    pub fn last_measured(&self) -> Option<DateTime<Utc>> {
        let i = self.values.iter().rposition(|v| !v.is_nan())?;
        DateTime::from_timestamp(self.start + self.step * (i as i64 + 1), 0)
    }

    /// From the first measured point to the end of the last one.
    pub fn measured_span(&self) -> TimeDelta {
        let first = self.values.iter().position(|v| !v.is_nan());
        let last = self.values.iter().rposition(|v| !v.is_nan());
        match (first, last) {
            (Some(first), Some(last)) => TimeDelta::seconds(self.step * (last - first + 1) as i64),
            _ => TimeDelta::zero(),
        }
    }

    /// What was known at `at` (epoch seconds): the points whose span had ended.
    #[must_use]
    pub fn known_at(&self, at: i64) -> Self {
        let n = ((at - self.start).div_euclid(self.step)).clamp(0, self.values.len() as i64);
        Self { start: self.start, step: self.step, values: self.values[..n as usize].to_vec() }
    }

    /// What was measured from `at` (epoch seconds) on: the points that start then or later.
    #[must_use]
    pub fn since(&self, at: i64) -> Self {
        let n = (at - self.start + self.step - 1).div_euclid(self.step).clamp(0, self.values.len() as i64);
        Self { start: self.start + n * self.step, step: self.step, values: self.values[n as usize..].to_vec() }
    }

    /// The same demand on a coarser grid of `step` seconds aligned to the epoch: each point the greatest of those that begin in it.
    #[must_use]
    pub fn maxima(&self, step: i64) -> Self {
        let step = step.max(self.step);
        let first = self.start.div_euclid(step);
        let n = if self.values.is_empty() { 0 } else { (self.end() - 1).div_euclid(step) - first + 1 };
        let mut values = vec![f64::NAN; n as usize];
        for (i, &value) in self.values.iter().enumerate() {
            let at = self.start + self.step * i as i64;
            let bin = &mut values[(at.div_euclid(step) - first) as usize];
            *bin = bin.max(value); // `max` of NaN and a number is the number
        }
        Self { start: first * step, step, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_gaps() {
        let series = Series::from_samples(60, [(600, 2.0), (0, 1.0), (601, 4.0), (120, f64::NAN), (180, f64::INFINITY), (0, 5.0)]).unwrap();
        assert_eq!(
            (series.start(), series.len(), series.get(0), series.get(1), series.get(2), series.get(10)),
            (0, 11, Some(5.0), None, None, Some(3.0))
        );
        assert_eq!(series.last_measured().unwrap().timestamp(), 660);
        assert_eq!(Series::from_samples(60, [(0, f64::NAN)]), None);
        assert_eq!(Series::from_samples(1, [(0, 1.0), (i64::MAX / 2, 1.0)]), None);
    }

    #[test]
    fn a_sample_is_known_only_when_its_span_ended() {
        let series = Series::new(0, 300, [1.0, 2.0, 3.0]);
        assert_eq!(series.known_at(599).len(), 1);
        assert_eq!(series.known_at(600).len(), 2);
        assert_eq!(series.known_at(-5).len(), 0);
    }

    #[test]
    fn maxima_keep_the_peak_and_the_gap() {
        let series = Series::new(0, 60, [1.0, 9.0, f64::NAN, f64::NAN, 2.0]);
        assert_eq!(series.maxima(120).values()[0], 9.0);
        assert_eq!(series.maxima(120).get(1), None);
        assert_eq!(series.maxima(120).get(2), Some(2.0));
    }
}
