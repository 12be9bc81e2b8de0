//! When one signal's rows stand: on a grid that does not move from run to run, so that what was learned up to an instant need not be learned
//! again.

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};

use super::recipe::Recipe;
use super::rows::{Rows, Shape};
use crate::model::{Calendar, Censored, Series};

/// Minutes between two rows.
pub(super) const SPACING: usize = 10;
/// Seconds a minute, between two rows, and a day.
const MINUTE: i64 = 60;
const ROW: i64 = SPACING as i64 * MINUTE;
const DAY: i64 = 1440 * MINUTE;
/// A history of fewer days is learned from whole in each run.
const LEAST_DAYS: i64 = 14;
/// What was measured longer ago than this, in seconds, is not expected to change.
const SETTLED: i64 = 3600;

/// The rows of one forecast, in minutes of its demand.
#[derive(Debug)]
pub(super) struct Course {
    /// What is learned from: all that is known, or with a cut all from the same instant on for a day.
    pub(super) demand: Series,
    first: usize,
    /// The row that ends what is learned once for a day.
    cut: Option<usize>,
    last: usize,
    /// Seconds between samples, a minute at least, and those that are missing at the end.
    step: i64,
    missing: i64,
}

impl Course {
    /// The rows up to `now` of a demand that is known then. Each signal has its own hour of the day, by `phase`, at which it is learned anew.
    pub(super) fn of(known: Series, now: DateTime<Utc>, phase: u64) -> Self {
        let now = now.timestamp();
        let step = known.step().max(MINUTE);
        let missing = (now - known.end()).div_euclid(step).max(0) * step;
        let phase = (phase % (DAY / ROW) as u64) as i64 * ROW;
        let cut = (now - SETTLED - phase).div_euclid(DAY) * DAY + phase;
        let measured = known.values().iter().position(|value| !value.is_nan()).unwrap_or(0);
        let measured = known.start() + measured as i64 * known.step();
        // The first instant on the grid of the cut.
        let oldest = cut - (cut - measured).div_euclid(DAY) * DAY;
        let days = (cut - oldest) / DAY;
        if days < LEAST_DAYS {
            let minute = |at: i64| ((at - known.start()).max(0) / MINUTE) as usize;
            let last = minute(now);
            // What lies before the rows that are learned from is looked up by them.
            let first = last.saturating_sub(SPACING * Rows::MOST).max(last % SPACING);
            return Self { demand: known, first, cut: None, last, step, missing };
        }
        let demand = known.since(oldest);
        let minute = |at: i64| ((at - demand.start()).max(0) / MINUTE) as usize;
        let rows = (Rows::MOST as i64 * ROW).min((days - 1) * DAY);
        let (first, cut, last) = (minute(cut - rows), minute(cut), minute(now));
        Self { first, cut: Some(cut), last, demand, step, missing }
    }

    /// The rows up to the cut, each with the minutes that are known; without a cut there are none.
    pub(super) fn before(&self) -> impl Iterator<Item = (usize, usize)> {
        self.rows().take_while(|(at, _)| self.cut.is_some_and(|cut| *at <= cut))
    }

    /// The rows after those.
    pub(super) fn after(&self) -> impl Iterator<Item = (usize, usize)> {
        let before = self.cut.map_or(0, |cut| (cut - self.first) / SPACING + 1);
        self.rows().skip(before)
    }

    fn rows(&self) -> impl Iterator<Item = (usize, usize)> {
        let grid = (self.first..self.last).step_by(SPACING).map(|at| (at, self.known_at(at)));
        grid.chain([(self.last, self.known_at(self.last))])
    }

    /// The minutes that are known at one: those of whole samples, but for as many as are missing now.
    fn known_at(&self, minute: usize) -> usize {
        let samples = (minute as i64 * MINUTE - self.missing).div_euclid(self.step).max(0);
        (samples * self.step / MINUTE) as usize
    }

    /// A fingerprint of all that is learned from up to the cut, and of how.
    pub(super) fn fingerprint(&self, recipe: &Recipe, shape: Shape, calendar: &Calendar, censored: &Censored) -> u64 {
        let mut hasher = DefaultHasher::new();
        let cut = self.demand.start() + self.cut.unwrap_or_default() as i64 * MINUTE;
        (env!("CARGO_PKG_VERSION"), recipe.name, shape.lead, shape.length, format!("{calendar:?}")).hash(&mut hasher);
        (self.demand.start(), self.first, self.cut, self.step, self.missing).hash(&mut hasher);
        // Silence may have begun before the cut.
        let samples = ((cut - self.demand.start()) / self.demand.step()) as usize;
        hasher.write(bytemuck::cast_slice(&self.demand.values()[..samples.min(self.demand.len())]));
        for (cause, from, to) in censored.stretches().filter(|(_, from, _)| *from < cut) {
            (cause.name(), from, to.min(cut)).hash(&mut hasher);
        }
        hasher.finish()
    }
}
