//! A ridge regression of the log window maximum on lags, recent maxima, seasons and the clock, solved by `linfa-linear`.

use linfa::Dataset;
use linfa::traits::Fit;
use linfa_linear::LinearRegression;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::gram::{Gram, TERMS};
use super::kept::Column;
use super::learner::KeptFitted;
use super::rows::{Features, Rows};
use super::{Fitted, Forecaster};

/// Ridge regression in log space.
#[derive(Clone, Copy, Debug)]
pub struct Linear;

/// The ridge, relative to the sum of weights; features are standardised.
const RIDGE: f64 = 0.01;
/// After so many days a row weighs half.
const HALF_LIFE: f64 = 14.0;
/// The fewest rows that a fit makes sense on.
const LEAST_ROWS: f64 = 100.0;
/// Standardised features beyond this many deviations are clamped: nothing like them was learned from.
const FAR: f64 = 5.0;

impl Forecaster for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    /// Weighted least squares with a ridge, on features that are standardised by their weighted moments. The rows come compressed, a Gram matrix
    /// a day; the Cholesky factor `R` of their sum and `z = R⁻ᵀ Xᵀ W y` are as many rows as there are features with the same least-squares
    /// solution as all the others, and those are what `linfa-linear` solves.
    fn fit(&self, rows: &Rows, until: usize) -> Option<Box<dyn Fitted>> {
        let mut sums = Gram::default();
        let mut n = 0.0;
        for (age, day) in rows.days_before(until).rev().enumerate() {
            sums.add(day, (-(age as f64) / HALF_LIFE).exp2());
            n += day.weight();
        }
        if n < LEAST_ROWS {
            return None;
        }
        let weight = sums.weight();
        let mean: [f64; TERMS] = std::array::from_fn(|i| sums.sum(i) / weight);
        let inverse: [f64; TERMS] = std::array::from_fn(|i| 1.0 / (sums.product(i, i) / weight - mean[i].powi(2)).max(1e-12).sqrt());
        let target = sums.outcome() / weight;
        let mut gram = [[0.0; TERMS]; TERMS];
        for i in 0..TERMS {
            for j in 0..=i {
                gram[i][j] = (sums.product(i, j) / weight - mean[i] * mean[j]) * inverse[i] * inverse[j];
            }
            gram[i][i] += RIDGE;
        }
        let right = std::array::from_fn(|i| (sums.outcome_product(i) / weight - mean[i] * target) * inverse[i]);
        let (factor, z) = compress(&gram, &right)?;
        let solved = LinearRegression::new().with_intercept(false).fit(&Dataset::new(factor, z)).ok()?;
        let slopes: [f64; TERMS] = solved.params().to_vec().try_into().ok()?;
        let fitted = FittedLinear { slopes, target, mean, inverse, origin: *rows.origin() };
        (target.is_finite() && fitted.slopes.iter().all(|slope| slope.is_finite())).then(|| Box::new(fitted) as Box<dyn Fitted>)
    }
}

pub(super) struct FittedLinear {
    slopes: [f64; TERMS],
    /// The mean of what is regressed: a window's maximum relative to the row's anchor.
    target: f64,
    /// Of the features, relative to the origin.
    mean: [f64; TERMS],
    /// Inverse deviations, so that one ridge suits all.
    inverse: [f64; TERMS],
    origin: Features,
}

/// A regression as it is kept between runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    target: f64,
    slopes: Column<f64>,
    mean: Column<f64>,
    inverse: Column<f64>,
    origin: Column<f32>,
}

impl FittedLinear {
    /// The regression again; `None` where it is one on other features.
    pub(super) fn recall(kept: Kept) -> Option<Self> {
        Some(Self {
            target: kept.target,
            slopes: kept.slopes.0.try_into().ok()?,
            mean: kept.mean.0.try_into().ok()?,
            inverse: kept.inverse.0.try_into().ok()?,
            origin: kept.origin.0.try_into().ok()?,
        })
    }
}

impl Fitted for FittedLinear {
    fn keep(&self) -> Option<KeptFitted> {
        let column = |values: &[f64]| Column(values.to_vec());
        let (slopes, mean, inverse) = (column(&self.slopes), column(&self.mean), column(&self.inverse));
        Some(KeptFitted::linear(Kept { target: self.target, slopes, mean, inverse, origin: Column(self.origin.to_vec()) }))
    }

    fn predict(&self, rows: &Rows, row: usize) -> f32 {
        let x = rows.features(row);
        let away = |i: usize| ((f64::from(x[i] - self.origin[i]) - self.mean[i]) * self.inverse[i]).clamp(-FAR, FAR);
        rows.anchor(row) + (self.target + (0..TERMS).map(|i| away(i) * self.slopes[i]).sum::<f64>()) as f32
    }
}

/// Cholesky: the upper factor `R` with `RᵀR = gram` (given by its lower half), and `z` with `Rᵀz = right`. `None` when it is singular.
fn compress(gram: &[[f64; TERMS]; TERMS], right: &[f64; TERMS]) -> Option<(Array2<f64>, Array1<f64>)> {
    let mut lower = [[0.0; TERMS]; TERMS];
    let mut z = [0.0; TERMS];
    for i in 0..TERMS {
        for j in 0..=i {
            let rest = gram[i][j] - (0..j).map(|k| lower[i][k] * lower[j][k]).sum::<f64>();
            lower[i][j] = if i == j { Some(rest.sqrt()).filter(|pivot| *pivot > 0.0)? } else { rest / lower[j][j] };
        }
        z[i] = (right[i] - (0..i).map(|k| lower[i][k] * z[k]).sum::<f64>()) / lower[i][i];
    }
    Some((Array2::from_shape_fn((TERMS, TERMS), |(i, j)| lower[j][i]), Array1::from_iter(z)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_rows_have_the_same_solution() {
        // Rows whose outcome is known to follow from the features: the compressed system must give it back.
        let truth: [f64; TERMS] = std::array::from_fn(|i| i as f64 - 4.0);
        let (mut gram, mut right) = ([[0.0; TERMS]; TERMS], [0.0; TERMS]);
        for r in 0..500_u32 {
            let x: [f64; TERMS] = std::array::from_fn(|i| {
                f64::from((r * 7919 + i as u32 * 104_729) % 997 * ((r * 31 + 7 * i as u32) % 89) % 101) / 50.0 - 1.0
            });
            let y: f64 = x.iter().zip(&truth).map(|(a, b)| a * b).sum();
            for i in 0..TERMS {
                for j in 0..=i {
                    gram[i][j] += x[i] * x[j];
                }
                right[i] += x[i] * y;
            }
        }
        let (factor, z) = compress(&gram, &right).unwrap();
        let solved = LinearRegression::new().with_intercept(false).fit(&Dataset::new(factor, z)).unwrap();
        for (found, true_) in solved.params().iter().zip(truth) {
            assert!((found - true_).abs() < 1e-8, "{found} for {true_}");
        }
    }
}
