//! A trace of demand on a one-minute grid.

use super::{DAY, MINUTE};

/// How many steps a value holds; after that there is a gap.
const HOLDS: i64 = 6;

/// Demand by the minute, and the samples that it was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    start: i64,
    step: i64,
    samples: Vec<(i64, f64)>,
    demand: Vec<f64>,
}

impl Trace {
    /// The most minutes a trace may have, about a decade: a clock that jumped must not take all memory.
    pub const MOST: i64 = 5_500_000;

    /// A trace of samples `(epoch seconds, value)` in any order; the last of equal timestamps counts, and what is not finite is left out.
    /// Its step is the median of the distances. `None` where fewer than two samples are left, or they span more than [`Self::MOST`] minutes.
    pub fn new(samples: impl IntoIterator<Item = (i64, f64)>) -> Option<Self> {
        let mut samples: Vec<(i64, f64)> = samples.into_iter().filter(|(_, v)| v.is_finite()).map(|(at, v)| (at, v.max(0.0))).collect();
        samples.sort_by_key(|(at, _)| *at);
        samples.reverse();
        samples.dedup_by_key(|(at, _)| *at);
        samples.reverse();
        let step = median_step(&samples)?;
        let start = samples.first()?.0.div_euclid(MINUTE) * MINUTE;
        let minutes = (samples.last()?.0.checked_add(step)?.checked_sub(start)?).div_euclid(MINUTE);
        if minutes > Self::MOST {
            return None;
        }
        let mut held = 0;
        let demand = (0..minutes)
            .map(|minute| {
                let at = start + minute * MINUTE;
                while samples.get(held + 1).is_some_and(|(next, _)| *next <= at) {
                    held += 1;
                }
                let (stamped, value) = samples[held];
                if at - stamped > holds_for(step) { f64::NAN } else { value }
            })
            .collect();
        Some(Self { start, step, samples, demand })
    }

    /// Epoch seconds of the first minute.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Seconds between samples, at the median.
    pub fn step(&self) -> i64 {
        self.step
    }

    /// The samples, by time.
    pub fn samples(&self) -> &[(i64, f64)] {
        &self.samples
    }

    /// Demand by the minute; a gap is NaN.
    pub fn demand(&self) -> &[f64] {
        &self.demand
    }

    /// The first minute that starts at `at` (epoch seconds) or later, within the trace.
    pub fn minute_of(&self, at: i64) -> usize {
        at.saturating_sub(self.start).saturating_add(MINUTE - 1).div_euclid(MINUTE).clamp(0, self.demand.len() as i64) as usize
    }

    /// Epoch seconds of a minute.
    pub fn at(&self, minute: usize) -> i64 {
        self.start + minute as i64 * MINUTE
    }

    /// Whether it says something of a scaler: four minutes in five are measured, and there is some demand.
    pub fn is_telling(&self) -> bool {
        let gaps = self.demand.iter().filter(|v| v.is_nan()).count();
        gaps as f64 <= 0.2 * self.demand.len() as f64 && self.demand.iter().any(|v| *v > 0.0)
    }

    /// The minute from which a trace is judged where nobody says: its last 30 %, two weeks at most, and never its first week.
    pub fn judged_from(&self) -> usize {
        let n = self.demand.len();
        ((n as f64 * 0.7) as usize).max(n.saturating_sub(14 * DAY)).max(7 * DAY).min(n)
    }
}

/// Seconds for which a value holds.
pub(super) fn holds_for(step: i64) -> i64 {
    HOLDS * step.max(MINUTE)
}

/// The median distance of samples that are sorted by time, in whole seconds. `None` with fewer than two.
pub(super) fn median_step(samples: &[(i64, f64)]) -> Option<i64> {
    let mut distances: Vec<i64> = samples.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).collect();
    distances.sort_unstable();
    let n = distances.len();
    (n > 0).then(|| i64::midpoint(distances[(n - 1) / 2], distances[n / 2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(samples: &[(i64, f64)]) -> Trace {
        Trace::new(samples.iter().copied()).unwrap()
    }

    #[test]
    fn a_value_holds_until_the_next_sample() {
        let trace = trace(&[(630, 5.0), (750, 7.0), (870, -1.0)]);
        // The grid starts with the minute of the first sample; what stands before that sample is its own value.
        assert_eq!((trace.start(), trace.step()), (600, 120));
        assert_eq!(trace.demand(), [5.0, 5.0, 5.0, 7.0, 7.0, 0.0]);
        assert_eq!((trace.minute_of(0), trace.minute_of(601), trace.minute_of(660), trace.minute_of(9999)), (0, 1, 1, 6));
        assert_eq!(trace.at(2), 720);
    }

    #[test]
    fn a_gap_over_six_steps_is_a_gap() {
        let trace = trace(&[(0, 1.0), (60, 2.0), (120, 3.0), (180, 4.0), (1200, 5.0)]);
        assert_eq!(trace.demand()[9], 4.0, "540 - 180 is six steps");
        assert!(trace.demand()[10..20].iter().all(|v| v.is_nan()));
        assert_eq!(trace.demand()[20], 5.0);
        assert_eq!(trace.demand().len(), 21);
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        assert_eq!(trace(&[(120, 3.0), (0, 9.0), (60, 2.0), (0, 1.0), (180, f64::NAN)]), trace(&[(0, 1.0), (60, 2.0), (120, 3.0)]));
        assert_eq!(Trace::new([(0, 1.0)]), None);
        assert_eq!(Trace::new([(0, 1.0), (i64::MAX / 2, 1.0)]), None);
    }

    #[test]
    fn silence_tells_nothing() {
        let regular = |value: f64| (0..100).map(move |i| (i * 60, value));
        let gap = |hours: i64| trace(&regular(1.0).chain([(5940 + hours * 3600, 1.0)]).collect::<Vec<_>>());
        assert!(!trace(&regular(0.0).collect::<Vec<_>>()).is_telling());
        assert!(trace(&regular(1.0).collect::<Vec<_>>()).is_telling());
        assert!(!gap(1).is_telling(), "54 minutes of a hundred and sixty");
    }

    #[test]
    fn the_last_part_is_judged() {
        for (days, from) in [(8, 7.0), (10, 7.0), (20, 14.0), (60, 46.0), (3, 3.0)] {
            let trace = trace(&(0..days * 288).map(|i| (i * 300, 1.0)).collect::<Vec<_>>());
            assert_eq!(trace.judged_from() as f64 / DAY as f64, from, "{days}");
        }
    }
}
