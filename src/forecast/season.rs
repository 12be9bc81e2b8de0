//! Which rhythms demand has: a day's, a week's, both or none.

use super::Fitted;
use super::rows::Rows;

/// A rhythm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Season {
    /// Of a day.
    Day,
    /// Of a week.
    Week,
}

/// By how much the autocorrelation at a season must be above that at half a day: what only drifts has all of them high.
const MARGIN: f32 = 0.1;
/// Rows that are looked at as one.
const TOGETHER: usize = 3;

/// The seasons of the rows before `until`, at least two of each, by autocorrelation. Whether one is worth anything is for errors to tell.
pub(super) fn seasons(rows: &Rows, until: usize) -> Vec<Season> {
    let stretch: Vec<f32> = (until.saturating_sub(Rows::MOST)..until).map(|row| rows.outcome(row).unwrap_or(f32::NAN)).collect();
    let means: Vec<f32> = stretch.rchunks_exact(TOGETHER).rev().map(|chunk| chunk.iter().sum::<f32>() / TOGETHER as f32).collect();
    let known = || means.iter().filter(|mean| !mean.is_nan());
    let mean = known().sum::<f32>() / known().count().max(1) as f32;
    // What was not measured is as usual.
    let away: Vec<f32> = means.iter().map(|value| if value.is_nan() { 0.0 } else { value - mean }).collect();
    let variance: f32 = away.iter().map(|v| v * v).sum();
    if variance <= 1e-6 * away.len() as f32 {
        return Vec::new();
    }
    let day = rows.day() / TOGETHER;
    // Relative to the part of the variance that the lag leaves.
    let at = |lag: usize| {
        let product: f32 = away[lag..].iter().zip(&away).map(|(a, b)| a * b).sum();
        product / variance * away.len() as f32 / (away.len() - lag) as f32
    };
    let lags = [(Season::Day, day), (Season::Week, 7 * day)];
    let two = lags.into_iter().filter(|(_, lag)| away.len() >= 2 * lag);
    two.filter(|(_, lag)| at(*lag) > at(day / 2) + MARGIN).map(|(season, _)| season).collect()
}

/// The mean absolute error over the last two weeks of rows before `until`: what a season is worth.
pub(super) fn mean_error(rows: &Rows, until: usize, fitted: &dyn Fitted) -> f32 {
    let (mut sum, mut n) = (0.0, 0.0);
    for row in until.saturating_sub(14 * rows.day())..until {
        if let Some(outcome) = rows.outcome(row) {
            sum += (outcome - fitted.predict(rows, row)).abs();
            n += 1.0;
        }
    }
    sum / n
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};

    use super::super::rows::Shape;
    use super::*;
    use crate::model::Demand;

    fn of(days: usize, value: impl Fn(usize) -> f64) -> Vec<Season> {
        let mut demand = Demand::starting(1_699_920_000);
        (0..days * 1440).for_each(|minute| demand.push(value(minute)));
        let mut rows = Rows::new(Shape { lead: 6, length: 10 }, 10, &demand, demand.len());
        (0..days * 1440).step_by(10).for_each(|at| rows.push(&demand, at, at));
        seasons(&rows, rows.past())
    }

    #[test]
    fn a_day_and_a_week_are_told_from_a_drift_and_from_noise() {
        let day = |minute: usize| 100.0 - 60.0 * (std::f64::consts::TAU * minute as f64 / 1440.0).cos();
        assert_eq!(of(21, day), [Season::Day, Season::Week]);
        assert_eq!(of(10, day), [Season::Day]);
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let by_day: Vec<f64> = (0..7).map(|_| random.random_range(10.0..100.0)).collect();
        assert_eq!(of(28, |minute| by_day[minute / 1440 % 7]), [Season::Week]);
        assert_eq!(of(28, |minute| 10.0 + minute as f64), []);
        let noise: Vec<f64> = (0..28 * 1440).map(|_| random.random_range(0.0..30.0)).collect();
        assert_eq!(of(28, |minute| noise[minute]), []);
        assert_eq!((of(28, |_| 3.0), of(1, day)), (vec![], vec![]));
    }
}
