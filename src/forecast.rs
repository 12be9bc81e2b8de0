//! Forecasts of the maximum of demand over a decision's window. Pure and deterministic.
//!
//! Demand is put on a five-minute grid of maxima that ends with the last known sample, and modelled in log space. A [`Forecaster`] is fitted
//! on the *window maximum itself*: the maximum of point quantiles covers only four in five real hourly peaks, a direct model nineteen in
//! twenty. Its errors on a held-out week make the distribution around its point forecast. The forecaster with the lowest pinball loss on that
//! week is the champion; the seasonal-naive one must be beaten.

mod grid;
mod linear;
mod seasonal;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::policy::delta;
use crate::model::{Forecast, HoldReason, Observed, Series, Snapshot, Window};

pub use grid::{BIN, Grid};
pub use linear::Linear;
pub use seasonal::SeasonalNaive;

/// A way to forecast. Unfitted: it cannot predict.
pub trait Forecaster: Sync {
    /// The name that plans and records carry.
    fn name(&self) -> &'static str;

    /// Learns from the rows of `grid` before `until`, a row's outcome being known when its window has passed. `None` where there are too few.
    fn fit(&self, grid: &Grid, until: usize) -> Option<Box<dyn Fitted>>;
}

/// A fitted forecaster.
pub trait Fitted {
    /// The log of the window maximum for a decision when `row` bins were known; reads no later bin. See [`Grid::to_demand`].
    fn predict(&self, grid: &Grid, row: usize) -> f64;
}

/// What the forecasts need to know of the decisions.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Time between two decisions.
    pub every: TimeDelta,
    /// From a decision to Ready pods, where the policy does not say.
    pub lead: TimeDelta,
}

impl Settings {
    /// The window that a decision on this workload at `now` must cover.
    pub fn window(&self, workload: &Observed, now: DateTime<Utc>) -> Window {
        let lead = workload.policy.spec.lead_time.map_or(self.lead, delta);
        Window::of_decision(now, workload.startup.map_or(lead, |startup| lead.max(startup)), self.every)
    }
}

/// The least history that is forecast from: with less than a day, time of day means nothing.
pub const LEAST_HISTORY: TimeDelta = TimeDelta::days(1);

/// A forecast for each workload of the snapshot, in its order; where there can be none, why.
pub fn all(snapshot: &Snapshot, settings: &Settings) -> Vec<Result<Forecast, HoldReason>> {
    snapshot
        .workloads
        .iter()
        .map(|workload| {
            let demand = workload.demand.as_ref().map_err(Clone::clone)?;
            check_fresh(demand, snapshot.now, delta(workload.policy.spec.stale_after))?;
            window_maximum(demand, snapshot.now, settings.window(workload, snapshot.now))
        })
        .collect()
}

/// Data must be recent: nothing is scaled on silence.
fn check_fresh(demand: &Series, now: DateTime<Utc>, limit: TimeDelta) -> Result<(), HoldReason> {
    match demand.known_at(now.timestamp()).last_measured() {
        Some(last) if now - last > limit => Err(HoldReason::StaleData { last, limit }),
        _ => Ok(()),
    }
}

/// The champion's forecast of the maximum over `window`, from what was known of `demand` at `now`.
pub fn window_maximum(demand: &Series, now: DateTime<Utc>, window: Window) -> Result<Forecast, HoldReason> {
    Champion::choose(demand, now, window)?.forecast(demand, now, window)
}

/// The forecaster that did best, fitted. It forecasts until it is chosen anew, for windows that lie as far ahead as the one it learned.
pub struct Champion {
    name: &'static str,
    fitted: Box<dyn Fitted>,
    /// Outcome minus prediction on the held-out rows, in log space.
    errors: Vec<f64>,
    /// Of the log space: see [`Grid::offset`].
    offset: f64,
}

impl Champion {
    /// Chooses and fits, from what was known of `demand` at `now`.
    pub fn choose(demand: &Series, now: DateTime<Utc>, window: Window) -> Result<Self, HoldReason> {
        let known = demand.known_at(now.timestamp());
        let have = known.measured_span();
        let too_short = || HoldReason::ShortHistory { have, need: LEAST_HISTORY };
        if have < LEAST_HISTORY {
            return Err(too_short());
        }
        let grid = Grid::new(&known, window).ok_or_else(too_short)?;
        let forecasters: [&dyn Forecaster; 2] = [&SeasonalNaive, &Linear];
        let best = forecasters
            .iter()
            .filter_map(|forecaster| Trial::of(*forecaster, &grid))
            .min_by(|a, b| a.loss.total_cmp(&b.loss)) // the first of equals: the simplest
            .ok_or_else(too_short)?;
        let fitted = best.forecaster.fit(&grid, grid.rows()).ok_or_else(too_short)?;
        Ok(Self { name: best.forecaster.name(), fitted, errors: best.errors, offset: grid.offset() })
    }

    /// Its forecast of the maximum over `window`, from what was known of `demand` at `now`.
    pub fn forecast(&self, demand: &Series, now: DateTime<Utc>, window: Window) -> Result<Forecast, HoldReason> {
        let known = demand.known_at(now.timestamp());
        let too_short = || HoldReason::ShortHistory { have: known.measured_span(), need: LEAST_HISTORY };
        let grid = Grid::with_offset(&known, window, Some(self.offset)).ok_or_else(too_short)?;
        let point = self.fitted.predict(&grid, grid.rows());
        let sample = self.errors.iter().map(|error| grid.to_demand(point + error)).collect();
        Forecast::new(self.name, grid.to_demand(point), sample, grid.day_ahead()).ok_or_else(too_short)
    }
}

/// A forecaster's errors on the held-out rows at the end of the grid.
struct Trial<'a> {
    forecaster: &'a dyn Forecaster,
    /// Outcome minus prediction, in log space.
    errors: Vec<f64>,
    /// Mean pinball loss at [`Self::LEVEL`] of the prediction moved by its errors' quantile.
    loss: f64,
}

impl<'a> Trial<'a> {
    /// The quantile at which forecasters are compared.
    const LEVEL: f64 = 0.95;
    /// The fewest errors that say anything of a tail.
    const LEAST: usize = 30;

    fn of(forecaster: &'a dyn Forecaster, grid: &Grid) -> Option<Self> {
        let held_out = grid.held_out();
        let fitted = forecaster.fit(grid, held_out.start)?;
        let errors: Vec<f64> =
            held_out.filter_map(|row| Some(grid.outcome(row)? - fitted.predict(grid, row))).filter(|e| e.is_finite()).collect();
        if errors.len() < Self::LEAST {
            return None;
        }
        let mut sorted = errors.clone();
        sorted.sort_by(f64::total_cmp);
        let margin = sorted[((sorted.len() as f64 * Self::LEVEL) as usize).min(sorted.len() - 1)];
        let pinball = |error: f64| (error - margin) * if error > margin { Self::LEVEL } else { Self::LEVEL - 1.0 };
        let loss = errors.iter().map(|e| pinball(*e)).sum::<f64>() / errors.len() as f64;
        Some(Self { forecaster, errors, loss })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: usize = 288;

    fn series(values: impl IntoIterator<Item = f64>) -> (Series, DateTime<Utc>) {
        let series = Series::new(1_700_000_100, 300, values);
        let now = DateTime::from_timestamp(series.end(), 0).unwrap();
        (series, now)
    }

    fn ahead(now: DateTime<Utc>) -> Window {
        Window::of_decision(now, TimeDelta::minutes(6), TimeDelta::minutes(10))
    }

    /// Demand over a day, peaking at noon of the grid's own clock.
    fn daily(i: usize) -> f64 {
        100.0 - 80.0 * (std::f64::consts::TAU * i as f64 / DAY as f64).cos()
    }

    #[test]
    fn a_daily_rhythm_is_forecast() {
        for until in [DAY * 14, DAY * 14 + DAY / 4, DAY * 14 + DAY / 2] {
            let (history, now) = series((0..until).map(daily));
            let forecast = window_maximum(&history, now, ahead(now)).unwrap();
            let truth = (1..=3).map(|k| daily(until + k)).fold(0.0, f64::max);
            assert!((forecast.point / truth - 1.0).abs() < 0.05, "{} for {truth}", forecast.point);
            assert!(forecast.quantile(0.99) >= forecast.point * 0.99);
        }
    }

    #[test]
    fn the_linear_model_follows_a_level_that_the_naive_one_misses() {
        let level = |i: usize| 1.0 + 0.5 * (i as f64 / (2.3 * DAY as f64)).sin();
        let (history, now) = series((0..DAY * 21).map(|i| daily(i) * level(i)));
        let forecast = window_maximum(&history, now, ahead(now)).unwrap();
        assert_eq!(forecast.model, Linear.name());
    }

    #[test]
    fn what_comes_after_now_changes_nothing() {
        let (whole, _) = series((0..DAY * 10).map(|i| daily(i) + (i % 17) as f64));
        let now = DateTime::from_timestamp(whole.start() + 300 * (DAY as i64 * 8), 0).unwrap();
        let cut = whole.known_at(now.timestamp());
        assert_eq!(window_maximum(&whole, now, ahead(now)), window_maximum(&cut, now, ahead(now)));
    }

    #[test]
    fn too_little_or_too_old_is_held() {
        let (short, now) = series((0..24).map(daily));
        assert!(matches!(window_maximum(&short, now, ahead(now)), Err(HoldReason::ShortHistory { .. })));
        let (history, end) = series((0..DAY * 3).map(daily));
        assert!(check_fresh(&history, end + TimeDelta::minutes(10), TimeDelta::minutes(15)).is_ok());
        assert!(matches!(check_fresh(&history, end + TimeDelta::minutes(20), TimeDelta::minutes(15)), Err(HoldReason::StaleData { .. })));
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 24, ..Default::default() })]
        #[test]
        fn any_history_gives_a_sane_forecast_or_a_reason(
            values in proptest::collection::vec(proptest::prop_oneof![8 => 0.0..1e3, 1 => proptest::num::f64::ANY, 1 => proptest::strategy::Just(f64::NAN), 1 => 0.0..1e15], 1..1500),
        ) {
            let (history, now) = series(values);
            if let Ok(forecast) = window_maximum(&history, now, ahead(now)) {
                let most = history.values().iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
                proptest::prop_assert!(forecast.quantile(1.0) <= most * 3.0 + 1e-9, "{} from at most {most}", forecast.quantile(1.0));
                proptest::prop_assert!(forecast.quantile(0.0) >= 0.0);
            }
        }
    }
}
