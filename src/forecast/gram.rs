//! Many rows as one small matrix: all that a least-squares fit needs of them.

use super::rows::{Features, column};

/// Features of a regression.
pub(super) const TERMS: usize = column::LINEAR;
/// The features, then the constant, then the outcome.
const WIDTH: usize = TERMS + 2;

/// Sums of products of features, constant and outcome over rows. Features count from an origin, so that what hardly varies loses no digits.
#[derive(Clone, Debug)]
pub(super) struct Gram {
    /// The lower half.
    sums: [[f64; WIDTH]; WIDTH],
}

impl Default for Gram {
    fn default() -> Self {
        Self { sums: [[0.0; WIDTH]; WIDTH] }
    }
}

impl Gram {
    /// Enters a row.
    pub(super) fn enter(&mut self, x: &Features, origin: &Features, outcome: f32) {
        let row: [f64; WIDTH] = std::array::from_fn(|i| match i {
            TERMS => 1.0,
            i if i < TERMS => f64::from(x[i] - origin[i]),
            _ => f64::from(outcome),
        });
        for (sums, x) in self.sums.iter_mut().zip(row).enumerate().map(|(i, (sums, x))| (&mut sums[..=i], x)) {
            for (sum, other) in sums.iter_mut().zip(row) {
                *sum += x * other;
            }
        }
    }

    /// Adds rows, each weighing so much.
    pub(super) fn add(&mut self, other: &Self, weight: f64) {
        for (sums, others) in self.sums.iter_mut().zip(&other.sums) {
            for (sum, other) in sums.iter_mut().zip(others) {
                *sum += weight * other;
            }
        }
    }

    /// The sum of weights.
    pub(super) fn weight(&self) -> f64 {
        self.sums[TERMS][TERMS]
    }

    /// The sum of a feature.
    pub(super) fn sum(&self, i: usize) -> f64 {
        self.sums[TERMS][i]
    }

    /// The sum of the products of two features, `j <= i`.
    pub(super) fn product(&self, i: usize, j: usize) -> f64 {
        self.sums[i][j]
    }

    /// The sum of the outcomes.
    pub(super) fn outcome(&self) -> f64 {
        self.sums[TERMS + 1][TERMS]
    }

    /// The sum of the products of a feature and the outcome.
    pub(super) fn outcome_product(&self, i: usize) -> f64 {
        self.sums[TERMS + 1][i]
    }
}
