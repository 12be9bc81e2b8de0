//! A ridge regression of the log window maximum on lags, recent maxima, seasons and the clock, solved by `linfa-linear`.

use std::f64::consts::TAU;

use linfa::Dataset;
use linfa::traits::Fit;
use linfa_linear::LinearRegression;
use ndarray::{Array1, Array2};

use super::grid::{DAY, WEEK};
use super::{Fitted, Forecaster, Grid};

/// Ridge regression in log space.
#[derive(Clone, Copy, Debug)]
pub struct Linear;

/// How many features a row has, the constant included.
const FEATURES: usize = 17;
/// The ridge, relative to the number of rows; features are standardised.
const RIDGE: f64 = 0.002;
/// After this many days a row weighs half.
const HALF_LIFE: f64 = 10.0;
/// The fewest rows that a fit makes sense on.
const LEAST_ROWS: usize = 10 * FEATURES;

/// What is known at a row of what its window will hold. Reads no bin from `row` on.
fn features(grid: &Grid, row: usize) -> [f64; FEATURES] {
    let last = grid.lag(row, 1);
    let yesterday = grid.season_ago(row, DAY).unwrap_or(last);
    let last_week = grid.season_ago(row, WEEK).unwrap_or(yesterday);
    let angle = TAU * grid.day_share(row);
    [
        last,
        grid.lag(row, 2),
        grid.lag(row, 3),
        grid.lag(row, 6),
        grid.lag(row, 12),
        grid.recent_maximum(row, 6),
        grid.recent_maximum(row, 12),
        grid.recent_maximum(row, 48),
        yesterday,
        yesterday - grid.lag(row, DAY + 1),
        last_week,
        last_week - grid.lag(row, WEEK + 1),
        angle.sin(),
        angle.cos(),
        (2.0 * angle).sin(),
        (2.0 * angle).cos(),
        1.0,
    ]
}

impl Forecaster for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    /// Weighted least squares with a ridge. The rows are first compressed into their Gram matrix; its Cholesky factor `R` and `z = R⁻ᵀ Xᵀ W y`
    /// are `FEATURES` rows with the same least-squares solution as all the others, and those are what `linfa-linear` solves.
    fn fit(&self, grid: &Grid, until: usize) -> Option<Box<dyn Fitted>> {
        // A day of lags first: before it, seasons are only guesses.
        let learnable = grid.learnable(until);
        let rows = (DAY / 2).min(learnable.end / 4)..learnable.end;
        if rows.len() < LEAST_ROWS {
            return None;
        }
        let known: Vec<([f64; FEATURES], f64, f64)> = rows
            .filter_map(|row| {
                let age = (until - row) as f64 / DAY as f64;
                Some((features(grid, row), grid.outcome(row)?, (-age / HALF_LIFE).exp2()))
            })
            .collect();
        if known.len() < LEAST_ROWS {
            return None;
        }
        let scale = Scale::of(known.iter().map(|(x, _, _)| x));
        let mut gram = [[0.0; FEATURES]; FEATURES];
        let mut right = [0.0; FEATURES];
        let mut weights = 0.0;
        for (x, y, weight) in &known {
            let x = scale.apply(x);
            for i in 0..FEATURES {
                let wx = weight * x[i];
                for j in 0..=i {
                    gram[i][j] += wx * x[j];
                }
                right[i] += wx * y;
            }
            weights += weight;
        }
        for (i, row) in gram.iter_mut().enumerate() {
            // The constant (the last feature) is hardly shrunk: just enough to keep the matrix regular.
            row[i] += weights * if i + 1 == FEATURES { 1e-9 } else { RIDGE };
        }
        let (factor, z) = compress(&gram, &right)?;
        let solved = LinearRegression::new().with_intercept(false).fit(&Dataset::new(factor, z)).ok()?;
        let coefficients: [f64; FEATURES] = solved.params().to_vec().try_into().ok()?;
        coefficients.iter().all(|c| c.is_finite()).then(|| Box::new(FittedLinear { coefficients, scale }) as Box<dyn Fitted>)
    }
}

struct FittedLinear {
    coefficients: [f64; FEATURES],
    scale: Scale,
}

impl Fitted for FittedLinear {
    fn predict(&self, grid: &Grid, row: usize) -> f64 {
        let x = self.scale.apply(&features(grid, row));
        x.iter().zip(&self.coefficients).map(|(x, c)| x * c).sum()
    }
}

/// Means and deviations of the features, so that one ridge suits all.
struct Scale {
    mean: [f64; FEATURES],
    deviation: [f64; FEATURES],
}

impl Scale {
    /// Standardised features beyond this many deviations are clamped: nothing like them was learned from.
    const FAR: f64 = 6.0;

    fn of<'a>(rows: impl Iterator<Item = &'a [f64; FEATURES]> + Clone) -> Self {
        let n = rows.clone().count() as f64;
        let (mut mean, mut deviation) = ([0.0; FEATURES], [0.0; FEATURES]);
        for row in rows.clone() {
            for i in 0..FEATURES {
                mean[i] += row[i] / n;
            }
        }
        for row in rows {
            for i in 0..FEATURES {
                deviation[i] += (row[i] - mean[i]).powi(2) / n;
            }
        }
        for d in &mut deviation {
            *d = d.sqrt().max(1e-9);
        }
        (mean[FEATURES - 1], deviation[FEATURES - 1]) = (0.0, 1.0); // the constant
        Self { mean, deviation }
    }

    fn apply(&self, x: &[f64; FEATURES]) -> [f64; FEATURES] {
        std::array::from_fn(|i| ((x[i] - self.mean[i]) / self.deviation[i]).clamp(-Self::FAR, Self::FAR))
    }
}

/// Cholesky: the upper factor `R` with `RᵀR = gram` (given by its lower half), and `z` with `Rᵀz = right`. `None` when it is singular.
fn compress(gram: &[[f64; FEATURES]; FEATURES], right: &[f64; FEATURES]) -> Option<(Array2<f64>, Array1<f64>)> {
    let mut lower = [[0.0; FEATURES]; FEATURES];
    let mut z = [0.0; FEATURES];
    for i in 0..FEATURES {
        for j in 0..=i {
            let rest = gram[i][j] - (0..j).map(|k| lower[i][k] * lower[j][k]).sum::<f64>();
            lower[i][j] = if i == j { Some(rest.sqrt()).filter(|pivot| *pivot > 0.0)? } else { rest / lower[j][j] };
        }
        z[i] = (right[i] - (0..i).map(|k| lower[i][k] * z[k]).sum::<f64>()) / lower[i][i];
    }
    Some((Array2::from_shape_fn((FEATURES, FEATURES), |(i, j)| lower[j][i]), Array1::from_iter(z)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_rows_have_the_same_solution() {
        // Rows whose outcome is known to follow from the features: the compressed system must give it back.
        let truth: [f64; FEATURES] = std::array::from_fn(|i| i as f64 - 4.0);
        let (mut gram, mut right) = ([[0.0; FEATURES]; FEATURES], [0.0; FEATURES]);
        for r in 0..200_u32 {
            let x: [f64; FEATURES] = std::array::from_fn(|i| f64::from((r * 7919 + i as u32 * 104_729) % 101) / 50.0 - 1.0);
            let y: f64 = x.iter().zip(&truth).map(|(a, b)| a * b).sum();
            for i in 0..FEATURES {
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
