//! What was known of a trace as time went on.

use super::MINUTE;
use super::trace::holds_for;
use crate::model::Demand;

/// The minutes of a trace that are known at an instant that only moves on. A sample stamped `s` is known from `s + step` on, and so is
/// that nothing else was measured until then.
#[derive(Debug)]
pub struct Known<'a> {
    samples: &'a [(i64, f64)],
    step: i64,
    seen: usize,
    demand: Demand,
}

impl<'a> Known<'a> {
    /// Nothing known yet of `samples`, which are sorted by time and `step` seconds apart.
    pub fn new(samples: &'a [(i64, f64)], step: i64) -> Self {
        let start = samples.first().map_or(0, |(at, _)| at.div_euclid(MINUTE) * MINUTE);
        Self { samples, step, seen: 0, demand: Demand::starting(start) }
    }

    /// What is known at `at` (epoch seconds), by the minute up to the end of the last known sample.
    pub fn at(&mut self, at: i64) -> &Demand {
        while let Some(&(stamped, value)) = self.samples.get(self.seen).filter(|(stamped, _)| stamped + self.step <= at) {
            if let Some(last) = self.seen.checked_sub(1) {
                // Until this sample the last one holds, but not for ever.
                self.hold(self.samples[last], stamped, holds_for(self.step));
            }
            self.hold((stamped, value), stamped + self.step, self.step);
            self.seen += 1;
        }
        &self.demand
    }

    /// Fills the minutes from a sample on that start before `end`, at most so many seconds after it; those beyond are a gap.
    fn hold(&mut self, (stamped, value): (i64, f64), end: i64, most: i64) {
        let start = self.demand.start();
        let first = (stamped - start + MINUTE - 1).div_euclid(MINUTE).max(0) as usize;
        self.demand.truncate(if self.seen == 0 { 0 } else { first });
        while self.demand.end() < end {
            self.demand.push(if self.demand.end() - stamped > most { f64::NAN } else { value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Trace;
    use super::*;

    #[test]
    fn a_sample_is_known_when_its_span_has_ended() {
        let samples = [(0, 1.0), (300, 2.0), (600, 3.0)];
        let mut known = Known::new(&samples, 300);
        for (at, minutes, last) in [(0, 0, None), (299, 0, None), (300, 5, Some(1.0)), (899, 10, Some(2.0)), (900, 15, Some(3.0))] {
            let demand = known.at(at);
            assert_eq!((demand.len(), demand.raw().last().copied()), (minutes, last), "{at}");
            assert!(demand.is_empty() || demand.end() <= at);
        }
    }

    #[test]
    fn in_the_end_it_is_the_trace_and_never_more_than_a_cut_one_tells() {
        // Early and late samples, and a gap.
        let samples: Vec<(i64, f64)> =
            [30, 120, 250, 360, 480, 590, 720, 4000, 4100, 4225].iter().enumerate().map(|(i, at)| (*at, i as f64)).collect();
        let trace = Trace::new(samples.iter().copied()).unwrap();
        let text = |values: &[f64]| format!("{values:?}");
        let mut known = Known::new(&samples, trace.step());
        for at in (0..5000).step_by(10) {
            let cut: Vec<_> = samples.iter().copied().filter(|(stamped, _)| stamped + trace.step() <= at).collect();
            assert_eq!(text(known.at(at).raw()), text(Known::new(&cut, trace.step()).at(at).raw()), "{at}");
        }
        assert_eq!(text(&known.at(5000).raw()[..trace.demand().len()]), text(trace.demand()));
    }
}
