//! Many rows as one small matrix: all that a least-squares fit needs of them.

use super::rows::{Features, column};

/// Features of a regression.
pub(super) const TERMS: usize = column::LINEAR;
/// The features, then the constant, then the outcome.
const WIDTH: usize = TERMS + 2;
/// Products are taken so many at a time, which the compiler turns into vector instructions.
const LANES: usize = 4;
const PADDED: usize = WIDTH.next_multiple_of(LANES);

/// Sums of products of features, constant and outcome over rows. Features count from an origin, so that what hardly varies loses no digits.
#[derive(Clone, Debug)]
pub(super) struct Gram {
    /// The lower half, and what the last lanes reach beyond it.
    sums: [[f64; PADDED]; WIDTH],
}

impl Default for Gram {
    fn default() -> Self {
        Self { sums: [[0.0; PADDED]; WIDTH] }
    }
}

impl Gram {
    /// Enters a row.
    pub(super) fn enter(&mut self, x: &Features, origin: &Features, outcome: f32) {
        let mut row = [0.0; PADDED];
        for (row, (x, origin)) in row.iter_mut().zip(x.iter().zip(origin)).take(TERMS) {
            *row = f64::from(x - origin);
        }
        (row[TERMS], row[TERMS + 1]) = (1.0, f64::from(outcome));
        for (i, sums) in self.sums.iter_mut().enumerate() {
            let lanes = i / LANES + 1;
            for (sums, others) in sums.chunks_exact_mut(LANES).zip(row.chunks_exact(LANES)).take(lanes) {
                for lane in 0..LANES {
                    sums[lane] += row[i] * others[lane];
                }
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
