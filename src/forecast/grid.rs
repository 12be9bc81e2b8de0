//! Demand on a five-minute grid, in log space, with the window maxima that forecasters learn.

use std::ops::Range;

use crate::model::{Series, Window};

/// Seconds a bin.
pub const BIN: i64 = 300;
/// Bins a day.
pub(crate) const DAY: usize = 288;
/// Bins a week.
pub(crate) const WEEK: usize = 7 * DAY;

/// Demand in five-minute maxima that end with the last known sample. Row `t` stands for a decision when `t` bins were known; its outcome is
/// the maximum over bins `t + lead .. t + lead + length`.
#[derive(Clone, Debug)]
pub struct Grid {
    /// Log of each bin's maximum plus an offset; a gap carries the last known value on.
    logs: Vec<f64>,
    /// As [`Self::logs`], a gap being NaN.
    known: Vec<f64>,
    /// Log of each row's window maximum; NaN where it is unknown.
    outcomes: Vec<f64>,
    /// Added before the log: keeps zeros finite and noise near zero small.
    offset: f64,
    /// The largest demand seen.
    most: f64,
    /// Bin of the day (UTC) of the first bin.
    phase: usize,
    /// First bin of the window, from the row's on.
    lead: usize,
    /// Bins in the window.
    length: usize,
}

impl Grid {
    /// The most history that is used: older days say little of tomorrow.
    const MOST: usize = 28 * DAY;

    /// The grid of all that `series` holds, for decisions now whose window is `window`. `None` when nothing was measured.
    pub fn new(series: &Series, window: Window) -> Option<Self> {
        Self::with_offset(series, window, None)
    }

    /// The same in the log space of an earlier grid, given its [`Self::offset`].
    pub fn with_offset(series: &Series, window: Window, offset: Option<f64>) -> Option<Self> {
        let end = series.last_measured()?.timestamp();
        let lead = (window.from.timestamp() - end).max(0) / BIN;
        let length = ((window.to.timestamp() - end).max(BIN) + BIN - 1) / BIN - lead;
        let (lead, length) = (lead as usize, length.max(1) as usize);

        let bins = ((end - series.start() + BIN - 1) / BIN).clamp(1, Self::MOST as i64) as usize;
        let start = end - bins as i64 * BIN;
        let mut maxima = vec![f64::NAN; bins];
        for (i, &value) in series.values().iter().enumerate() {
            let at = series.start() + series.step() * i as i64;
            // A sample of a step longer than a bin holds for all the bins it spans.
            for bin in ((at - start).div_euclid(BIN)..=(at + series.step() - 1 - start).div_euclid(BIN))
                .filter(|bin| (0..bins as i64).contains(bin))
            {
                let bin = &mut maxima[bin as usize];
                *bin = bin.max(value);
            }
        }

        let mut measured: Vec<f64> = maxima.iter().copied().filter(|v| !v.is_nan()).collect();
        measured.sort_by(f64::total_cmp);
        let (median, most) = (measured.get(measured.len() / 2)?, *measured.last()?);
        let mean = measured.iter().sum::<f64>() / measured.len() as f64;
        let offset = offset.unwrap_or(0.25 * median + 0.25 * mean + 1e-9);

        let known: Vec<f64> = maxima.iter().map(|v| (v + offset).ln()).collect();
        let mut last = known.iter().copied().find(|v| !v.is_nan())?;
        let logs = known
            .iter()
            .map(|&v| {
                if !v.is_nan() {
                    last = v;
                }
                last
            })
            .collect();
        let outcomes = (0..bins)
            .map(|row| {
                known.get(row + lead..row + lead + length).map_or(f64::NAN, |window| window.iter().copied().fold(f64::NAN, f64::max))
            })
            .collect();
        Some(Self { logs, known, outcomes, offset, most, phase: (start.div_euclid(BIN)).rem_euclid(DAY as i64) as usize, lead, length })
    }

    /// How many bins are known: the row of a decision now.
    pub fn rows(&self) -> usize {
        self.logs.len()
    }

    /// What is added to demand before the log is taken, in its unit.
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// The rows on which forecasters are tried: the last quarter, a week at most, whose outcome is known.
    pub fn held_out(&self) -> Range<usize> {
        let end = self.rows().saturating_sub(self.lead + self.length - 1);
        end.saturating_sub((self.rows() / 4).min(WEEK))..end
    }

    /// The log of a row's window maximum, once known.
    pub fn outcome(&self, row: usize) -> Option<f64> {
        self.outcomes.get(row).copied().filter(|v| !v.is_nan())
    }

    /// The rows whose outcome was known when `until` bins were.
    pub(crate) fn learnable(&self, until: usize) -> Range<usize> {
        0..until.min(self.rows()).saturating_sub(self.lead + self.length - 1)
    }

    /// The log value `lag` bins before a row; before the beginning, the first one.
    pub(crate) fn lag(&self, row: usize, lag: usize) -> f64 {
        self.logs[row.saturating_sub(lag).min(self.logs.len() - 1)]
    }

    /// The greatest log value of the last `n` bins before a row.
    pub(crate) fn recent_maximum(&self, row: usize, n: usize) -> f64 {
        let row = row.clamp(1, self.logs.len());
        self.logs[row.saturating_sub(n)..row].iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The maximum over the row's window as it was `season` bins earlier; `None` where that is before the beginning, not measured, or not
    /// wholly known at the row.
    pub(crate) fn season_ago(&self, row: usize, season: usize) -> Option<f64> {
        let from = (row + self.lead).checked_sub(season)?;
        let window = self.known.get(from..(from + self.length).min(row))?;
        Some(window.iter().copied().fold(f64::NAN, f64::max)).filter(|v| !v.is_nan())
    }

    /// The time of day in the middle of a row's window, as a share of a day (UTC).
    pub(crate) fn day_share(&self, row: usize) -> f64 {
        ((self.phase + row + self.lead) % DAY) as f64 / DAY as f64
    }

    /// Back from log space, never negative, and at most three times the largest demand seen: an exponential needs a clamp.
    pub fn to_demand(&self, log: f64) -> f64 {
        (log.exp() - self.offset).clamp(0.0, 3.0 * self.most)
    }

    /// For the eye: the hourly maxima of the last day, moved to the level of the last hour. Flat where there is no day yet.
    pub fn day_ahead(&self) -> Vec<f64> {
        let now = self.rows();
        let level = |until: usize| self.recent_maximum(until, 12);
        (0..24)
            .map(|hour| match (now + (hour + 1) * 12).checked_sub(DAY) {
                Some(until) if until >= 12 => {
                    let fading = 0.75_f64.powi(hour as i32);
                    self.to_demand(level(until) + fading * (level(now) - level(now.saturating_sub(DAY).max(1))).clamp(-1.0, 1.0))
                }
                _ => self.to_demand(level(now)),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    fn grid(values: &[f64]) -> Grid {
        let series = Series::new(0, BIN, values.iter().copied());
        let now = DateTime::from_timestamp(series.end(), 0).unwrap();
        Grid::new(&series, Window::of_decision(now, TimeDelta::minutes(6), TimeDelta::minutes(10))).unwrap()
    }

    #[test]
    fn a_window_covers_every_bin_that_it_touches() {
        let grid = grid(&[1.0; 40]);
        // Minutes 6 to 16 after the last sample: bins 1, 2 and 3.
        assert_eq!((grid.lead, grid.length), (1, 3));
        assert_eq!(grid.held_out().end, 37);
    }

    #[test]
    fn outcomes_are_maxima_and_logs_come_back() {
        let grid = grid(&[1.0, 2.0, 9.0, 4.0, f64::NAN, 0.0, 7.0]);
        assert!((grid.to_demand(grid.outcome(0).unwrap()) - 9.0).abs() < 1e-9);
        assert!((grid.to_demand(grid.outcome(2).unwrap()) - 4.0).abs() < 1e-9);
        assert_eq!(grid.outcome(4), None);
        assert!((grid.to_demand(1e9) - 27.0).abs() < 1e-9);
        assert!((grid.to_demand(grid.lag(5, 1)) - 4.0).abs() < 1e-9, "a gap carries the last value on");
    }

    #[test]
    fn a_coarse_step_fills_its_bins() {
        let series = Series::new(0, 900, [3.0, 6.0]);
        let now = DateTime::from_timestamp(1800, 0).unwrap();
        let grid = Grid::new(&series, Window::of_decision(now, TimeDelta::minutes(6), TimeDelta::minutes(10))).unwrap();
        assert_eq!(grid.rows(), 6);
        assert!(grid.known.iter().all(|v| !v.is_nan()));
    }
}
