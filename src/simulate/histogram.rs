//! A histogram whose samples weigh half after a day, as the Vertical Pod Autoscaler keeps one.

use super::DAY;

/// Each bucket is wider than the one before by this.
const RATIO: f64 = 1.05;
/// How many buckets: with the ratio, they reach 26,000 times as far as 50 times the first.
const BUCKETS: usize = 300;

/// Weights by exponentially growing buckets.
#[derive(Debug)]
pub(super) struct Histogram {
    first: f64,
    weights: [f64; BUCKETS],
    minute: usize,
}

impl Histogram {
    /// Empty, with a first bucket that ends at `first`.
    pub(super) fn new(first: f64) -> Self {
        Self { first, weights: [0.0; BUCKETS], minute: 0 }
    }

    /// Adds the next minute's value; a gap only lets time pass.
    pub(super) fn add(&mut self, value: f64) {
        if !value.is_nan() {
            // The inverse of the sum of a geometric series.
            let bucket = (value / self.first * (RATIO - 1.0) + 1.0).ln() / RATIO.ln();
            self.weights[(bucket as usize).min(BUCKETS - 1)] += (self.minute as f64 / DAY as f64).exp2();
        }
        self.minute += 1;
        if self.minute == DAY {
            // Weights grow instead of decaying; once a day all are halved.
            self.minute = 0;
            self.weights.iter_mut().for_each(|weight| *weight /= 2.0);
        }
    }

    /// The end of the bucket that holds the `p`-th percentile; zero when empty.
    pub(super) fn percentile(&self, p: f64) -> f64 {
        let threshold = self.weights.iter().sum::<f64>() * p / 100.0;
        let mut sum = 0.0;
        let reached = self.weights.iter().position(|weight| {
            sum += weight;
            sum >= threshold
        });
        match reached {
            Some(bucket) if threshold > 0.0 => self.first * (RATIO.powi(bucket as i32 + 1) - 1.0) / (RATIO - 1.0),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_within_a_bucket_and_the_past_fades() {
        let mut histogram = Histogram::new(0.1);
        assert_eq!(histogram.percentile(90.0), 0.0);
        (0..DAY).for_each(|i| histogram.add(i as f64 / DAY as f64 * 100.0));
        let p90 = histogram.percentile(90.0);
        assert!((89.0..103.0).contains(&p90), "{p90}: later samples weigh more");
        (0..4 * DAY).for_each(|_| histogram.add(5.0));
        assert!((5.0..5.5).contains(&histogram.percentile(90.0)), "{}", histogram.percentile(90.0));
        (0..40 * DAY).for_each(|_| histogram.add(f64::NAN));
        assert!((5.0..5.5).contains(&histogram.percentile(90.0)), "a gap only lets time pass");
    }
}
