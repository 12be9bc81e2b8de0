//! Windows over raw samples, as Prometheus evaluates them: at each grid point the samples of the span that ends where its step does.

use super::super::Span;

/// A raw sample: epoch milliseconds and value.
pub(super) type Sample = (i64, f64);

/// For how long a sample stands, in seconds, when none follows.
pub(super) const LOOKBACK: i64 = 300;

/// `what` of the samples in each window of `seconds`, on the span's grid; NaN where there is none. `samples` are in order of time.
pub(super) fn over(samples: &[Sample], span: Span, seconds: i64, what: impl Fn(&[Sample]) -> Option<f64>) -> Vec<f64> {
    let (first, last) = span.grid();
    let (mut from, mut to) = (0, 0);
    let grid = (first..=last).step_by(span.step as usize);
    grid.map(|at| {
        let end = (at + span.step) * 1000;
        to += samples[to..].partition_point(|(at, _)| *at <= end);
        from += samples[from..to].partition_point(|(at, _)| *at < end - seconds * 1000);
        what(&samples[from..to]).unwrap_or(f64::NAN)
    })
    .collect()
}

/// The last value.
pub(super) fn last(window: &[Sample]) -> Option<f64> {
    window.last().map(|(_, value)| *value)
}

/// The greatest value.
pub(super) fn greatest(window: &[Sample]) -> Option<f64> {
    window.iter().map(|(_, value)| *value).reduce(f64::max)
}

/// The growth a second between the first and the last sample; of a counter whose resets were taken out it is its rate. Prometheus
/// extrapolates to the whole window besides, which matters only where a series begins or ends.
pub(super) fn slope(window: &[Sample]) -> Option<f64> {
    let ((first, from), (last, to)) = (window.first()?, window.last()?);
    (last > first).then(|| (to - from) / ((last - first) as f64 / 1000.0))
}

/// A counter without its resets: it only grows, by what was counted.
pub(super) fn without_resets(samples: &[Sample]) -> Vec<Sample> {
    let (mut lost, mut before) = (0.0, f64::MIN);
    let grown = samples.iter().map(|&(at, value)| {
        if value < before {
            lost += before;
        }
        before = value;
        (at, value + lost)
    });
    grown.collect()
}

/// Adds `other` point by point; a gap takes no part.
pub(super) fn add(sum: &mut [f64], other: &[f64]) {
    combine(sum, other, |a, b| a + b);
}

/// Keeps the greater point by point; a gap takes no part.
pub(super) fn raise(most: &mut [f64], other: &[f64]) {
    combine(most, other, f64::max);
}

fn combine(all: &mut [f64], other: &[f64], how: impl Fn(f64, f64) -> f64) {
    for (a, &b) in all.iter_mut().zip(other) {
        if a.is_nan() {
            *a = b;
        } else if !b.is_nan() {
            *a = how(*a, b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_growth_from_zero() {
        let samples = [(0, 100.0), (60_000, 160.0), (120_000, 30.0), (180_000, 90.0)];
        assert_eq!(without_resets(&samples).map_values(), [100.0, 160.0, 190.0, 250.0]);
    }

    #[test]
    fn windows_end_where_the_step_ends() {
        let samples = [(0, 0.0), (60_000, 6.0), (120_000, 18.0)];
        let span = Span { now: 600, history: 600, step: 60 };
        let rates = over(&samples, span, 60, slope);
        assert_eq!(rates[..2], [0.1, 0.2]);
        assert!(rates[2..].iter().all(|rate| rate.is_nan()));
        let held = over(&samples, span, LOOKBACK, last);
        assert_eq!((held[0], held[1], held[6]), (6.0, 18.0, 18.0));
        assert!(held[7].is_nan());
    }

    trait Values {
        fn map_values(&self) -> Vec<f64>;
    }

    impl Values for Vec<Sample> {
        fn map_values(&self) -> Vec<f64> {
            self.iter().map(|(_, value)| *value).collect()
        }
    }
}
