//! A ridge regression of the log window maximum on lags, recent maxima, seasons and the clock, solved by `linfa-linear`.

use linfa::Dataset;
use linfa::traits::Fit;
use linfa_linear::LinearRegression;
use ndarray::{Array1, Array2};

use super::rows::{Rows, column};
use super::{Fitted, Forecaster};

/// Ridge regression in log space.
#[derive(Clone, Copy, Debug)]
pub struct Linear;

/// Features, and the constant behind them.
const TERMS: usize = column::LINEAR + 1;
/// The ridge, relative to the sum of weights; features are standardised.
const RIDGE: f64 = 0.01;
/// After so many rows a row weighs half: two weeks of ten minutes.
const HALF_LIFE: f64 = 2000.0;
/// The fewest rows that a fit makes sense on.
const LEAST_ROWS: usize = 100;
/// Standardised features beyond this many deviations are clamped: nothing like them was learned from.
const FAR: f64 = 5.0;

impl Forecaster for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    /// Weighted least squares with a ridge. The rows are first compressed into their Gram matrix; its Cholesky factor `R` and `z = R⁻ᵀ Xᵀ W y`
    /// are as many rows as there are features with the same least-squares solution as all the others, and those are what `linfa-linear` solves.
    fn fit(&self, rows: &Rows, until: usize) -> Option<Box<dyn Fitted>> {
        let until = until.min(rows.past());
        let known: Vec<usize> = (until.saturating_sub(Rows::MOST)..until).filter(|row| rows.outcome(*row).is_some()).collect();
        if known.len() < LEAST_ROWS {
            return None;
        }
        let weight = |row: usize| (-((until - row) as f64) / HALF_LIFE).exp2();
        let scale = Scale::of(rows, &known);
        let mut gram = [[0.0; TERMS]; TERMS];
        let mut right = [0.0; TERMS];
        let mut weights = 0.0;
        for &row in &known {
            let (x, y, weight) = (scale.apply(rows.features(row)), f64::from(rows.outcome(row)? - anchor(rows, row)), weight(row));
            for i in 0..TERMS {
                let wx = weight * x[i];
                for (sum, x) in gram[i][..=i].iter_mut().zip(&x[..=i]) {
                    *sum += wx * x;
                }
                right[i] += wx * y;
            }
            weights += weight;
        }
        for (i, row) in gram.iter_mut().enumerate() {
            // The constant is hardly shrunk: just enough to keep the matrix regular.
            row[i] += weights * if i + 1 == TERMS { 1e-9 } else { RIDGE };
        }
        let (factor, z) = compress(&gram, &right)?;
        let solved = LinearRegression::new().with_intercept(false).fit(&Dataset::new(factor, z)).ok()?;
        let coefficients: [f64; TERMS] = solved.params().to_vec().try_into().ok()?;
        coefficients.iter().all(|c| c.is_finite()).then(|| Box::new(FittedLinear { coefficients, scale }) as Box<dyn Fitted>)
    }
}

/// What the regression tells the difference to: where features say nothing, the last five minutes go on.
fn anchor(rows: &Rows, row: usize) -> f32 {
    rows.features(row)[column::LAST]
}

struct FittedLinear {
    coefficients: [f64; TERMS],
    scale: Scale,
}

impl Fitted for FittedLinear {
    fn predict(&self, rows: &Rows, row: usize) -> f32 {
        let x = self.scale.apply(rows.features(row));
        anchor(rows, row) + x.iter().zip(&self.coefficients).map(|(x, c)| x * c).sum::<f64>() as f32
    }
}

/// Means and inverse deviations of the features, so that one ridge suits all.
struct Scale {
    mean: [f64; column::LINEAR],
    inverse: [f64; column::LINEAR],
}

impl Scale {
    fn of(rows: &Rows, known: &[usize]) -> Self {
        let n = known.len() as f64;
        let (mut mean, mut inverse) = ([0.0; column::LINEAR], [0.0; column::LINEAR]);
        for &row in known {
            for (mean, x) in mean.iter_mut().zip(rows.features(row)) {
                *mean += f64::from(*x) / n;
            }
        }
        for &row in known {
            for ((sum, x), mean) in inverse.iter_mut().zip(rows.features(row)).zip(&mean) {
                *sum += (f64::from(*x) - mean).powi(2) / n;
            }
        }
        for sum in &mut inverse {
            *sum = 1.0 / sum.sqrt().max(1e-6);
        }
        Self { mean, inverse }
    }

    /// The standardised features and the constant.
    fn apply(&self, x: &[f32]) -> [f64; TERMS] {
        std::array::from_fn(|i| match (self.mean.get(i), self.inverse.get(i)) {
            (Some(mean), Some(inverse)) => ((f64::from(x[i]) - mean) * inverse).clamp(-FAR, FAR),
            _ => 1.0,
        })
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
