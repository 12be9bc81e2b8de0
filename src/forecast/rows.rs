//! Past decisions as rows: what was known at each, and what its window then held.

mod kept;

use std::f64::consts::TAU;

use super::gram::Gram;
use super::period;
use crate::model::calendar::{Day, Wall};
use crate::model::{Calendar, Demand};
pub(super) use kept::Kept;

/// How far ahead a window lies, in minutes: from `t + lead` to `t + lead + length` for a decision at minute `t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// From a decision to the window.
    pub lead: usize,
    /// The window's length, at least 1.
    pub length: usize,
}

/// Minutes a day.
pub(super) const DAY: usize = 1440;
/// Bins a day.
const DAY_BINS: usize = DAY / BIN;
/// Minutes a bin.
const BIN: usize = crate::model::demand::BIN;
/// No minute counts for more than so many times the 99th percentile when the scale of demand is told.
const OUTLYING: f64 = 16.0;

/// The features of a row. All that is demand is in log space.
pub(super) mod column {
    /// The maximum of the last bin.
    pub(in crate::forecast) const LAST: usize = 0;
    /// The maximum and the mean of the last 30 minutes; those of 1, 2, 4, 12 and 24 hours follow.
    pub(in crate::forecast) const RECENT: usize = 9;
    /// The maximum of the last 24 hours.
    pub(in crate::forecast) const DAY_MAXIMUM: usize = 19;
    /// The mean of the last 24 hours.
    pub(in crate::forecast) const DAY_MEAN: usize = 20;
    /// Window maxima 60, 120, 180 minutes, a day (and a step to either side of it) and a week ago.
    pub(in crate::forecast) const AGO: usize = 21;
    /// The window maximum of a day ago.
    pub(in crate::forecast) const YESTERDAY: usize = AGO + 3;
    /// The window maximum of a week ago.
    pub(in crate::forecast) const LAST_WEEK: usize = AGO + 6;
    /// The mean of window maxima at this time of day over two weeks, recent days weighing more.
    pub(in crate::forecast) const PROFILE: usize = 29;
    /// How many of the columns are demand, or a difference of such.
    pub(in crate::forecast) const DEMAND: usize = 31;
    /// The mean change from bin to bin over two hours.
    pub(in crate::forecast) const RESTLESSNESS: usize = 31;
    /// The columns that a linear model reads.
    pub(in crate::forecast) const LINEAR: usize = 41;
    /// Bins since the last spikes began, and between them.
    pub(in crate::forecast) const SPIKES: usize = LINEAR;
    /// Window maxima one and two free periods ago, exact and with a margin, then maxima around the lags of an hour, a day and a week.
    pub(in crate::forecast) const PERIODIC: usize = SPIKES + 5;
    /// The free period itself, in bins.
    pub(in crate::forecast) const PERIOD: usize = PERIODIC + 7;
    /// How many there are.
    pub(in crate::forecast) const ALL: usize = PERIOD + 1;
}

/// One decision's features.
pub(super) type Features = [f32; column::ALL];

/// The decisions on one workload so far, on an even grid; the last one's outcome is what a forecast is asked for.
#[derive(Clone, Debug)]
pub struct Rows {
    shape: Shape,
    /// Minutes between two rows.
    spacing: usize,
    /// What is added to demand before the log is taken: it keeps small values from mattering more than large ones.
    offset: f64,
    /// The first minute of demand, since the epoch.
    start: i64,
    /// The minute of each decision.
    at: Vec<usize>,
    /// The minutes that were known at each.
    known: Vec<usize>,
    calendar: Calendar,
    /// The clock on the wall at each.
    walls: Vec<Wall>,
    /// From row `forgotten` on.
    features: Vec<Features>,
    forgotten: usize,
    /// The features of the first row.
    origin: Features,
    /// The log of each window's maximum; NaN where it is not known, or was not measured.
    outcomes: Vec<f32>,
    /// The rows before this one have had their windows.
    past: usize,
    /// Those rows, compressed by the day, as long as something is fitted on them; features count from the first row's.
    days: Option<Vec<Gram>>,
    /// Logs of the bins before minute `binned`, at least of the last day, the oldest first.
    bins: Vec<f32>,
    binned: usize,
    period: Option<usize>,
}

impl Rows {
    /// The history that is learned from: three weeks of rows ten minutes apart.
    pub(in crate::forecast) const MOST: usize = 3024;
    /// Rows between two looks for a free period.
    const PERIOD_EVERY: usize = 72;

    /// None yet, `spacing` minutes apart. The first `known` minutes of `demand` tell the scale.
    pub fn new(shape: Shape, spacing: usize, demand: &Demand, known: usize) -> Self {
        let mut measured: Vec<f64> = demand.raw()[..known].iter().copied().filter(|v| !v.is_nan()).collect();
        let mut quantile = |share: f64| {
            let place = ((measured.len() as f64 * share) as usize).min(measured.len().saturating_sub(1));
            if measured.is_empty() { 0.0 } else { *measured.select_nth_unstable_by(place, f64::total_cmp).1 }
        };
        // A sample that is off by orders of magnitude says nothing of the scale.
        let (median, usual) = (quantile(0.5), quantile(0.99));
        let most = if usual > 0.0 { OUTLYING * usual } else { f64::INFINITY };
        let mean = measured.iter().map(|value| value.min(most)).sum::<f64>() / measured.len().max(1) as f64;
        Self {
            shape,
            spacing,
            offset: 0.25 * median + 0.25 * mean + 1e-9,
            start: demand.start().div_euclid(60),
            at: Vec::new(),
            known: Vec::new(),
            calendar: Calendar::default(),
            walls: Vec::new(),
            features: Vec::new(),
            forgotten: 0,
            origin: [0.0; column::ALL],
            outcomes: Vec::new(),
            past: 0,
            days: Some(Vec::new()),
            bins: Vec::new(),
            binned: 0,
            period: None,
        }
    }

    /// By this calendar instead of UTC without holidays; before the first row.
    #[must_use]
    pub fn by(self, calendar: &Calendar) -> Self {
        Self { calendar: calendar.clone(), ..self }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Rows a day.
    pub fn day(&self) -> usize {
        (DAY + self.spacing / 2) / self.spacing
    }

    /// Rows before this one have had their windows.
    pub fn past(&self) -> usize {
        self.past
    }

    /// Where in the week a row stands by local time, counted in rows.
    pub(super) fn slot(&self, row: usize) -> usize {
        let local = self.at[row] as i64 + self.start + i64::from(self.walls[row].ahead);
        (local.rem_euclid(7 * DAY as i64) as usize / self.spacing) % (7 * self.day())
    }

    /// The features of a row.
    pub(super) fn features(&self, row: usize) -> &Features {
        &self.features[row - self.forgotten]
    }

    /// The log of a row's window maximum, once known.
    pub fn outcome(&self, row: usize) -> Option<f32> {
        self.outcomes.get(row).copied().filter(|v| !v.is_nan())
    }

    /// The first minute of a row's window.
    pub fn window(&self, row: usize) -> usize {
        self.at[row] + self.shape.lead
    }

    /// The rows before this one had had their windows when a row was decided.
    pub fn known_before(&self, row: usize) -> usize {
        let unknown = (self.window(row) + self.shape.length).saturating_sub(self.known[row]).div_ceil(self.spacing);
        (row + 1).saturating_sub(unknown.max(1))
    }

    /// Nothing more will be fitted on them.
    pub(super) fn settle(&mut self) {
        self.days = None;
    }

    /// The windows' shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What is added before the log is taken.
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// The log of a demand.
    pub fn log(&self, demand: f64) -> f32 {
        (demand + self.offset).ln() as f32
    }

    /// Back from the log.
    pub fn demand(&self, log: f32) -> f64 {
        f64::from(log).exp() - self.offset
    }

    /// Adds the decision at minute `at`, when the first `known` minutes of `demand` were known, and enters the outcomes that they tell.
    pub fn push(&mut self, demand: &Demand, at: usize, known: usize) {
        while self.past < self.len() && self.window(self.past) + self.shape.length <= known {
            let from = self.window(self.past);
            let to = from + self.shape.length;
            let outcome = demand.greatest_measured(from, to).map(|demand| self.log(demand));
            // Demand that was cut short was at least as much: that is learned where it tells of a rise, and not where it may hide one.
            let is_told = |outcome: &f32| !demand.is_censored(from, to) || *outcome > self.features(self.past)[column::RECENT];
            if let Some(outcome) = outcome.filter(is_told) {
                self.enter(self.past, outcome);
            }
            self.past += 1;
        }
        if self.len().is_multiple_of(Self::PERIOD_EVERY) {
            self.period = period::free_period(demand, known, |demand| self.log(demand));
        }
        self.bin(demand, known);
        self.walls.push(self.calendar.wall(demand.at(at)));
        let features = self.look(demand, at, known);
        if self.is_empty() {
            self.origin = features;
        }
        self.at.push(at);
        self.known.push(known);
        self.features.push(features);
        self.outcomes.push(f32::NAN);
    }

    /// Moves the bins on to minute `known`: the new ones only, where they go on from where the last ones ended.
    fn bin(&mut self, demand: &Demand, known: usize) {
        let moved = known - self.binned.min(known);
        let new = if moved.is_multiple_of(BIN) && moved < DAY && !self.bins.is_empty() { moved / BIN } else { DAY_BINS };
        self.bins.extend((0..new).rev().map(|back| (demand.bin(known, back) + self.offset).ln() as f32));
        self.binned = known;
    }

    /// Enters a row's outcome.
    fn enter(&mut self, row: usize, outcome: f32) {
        self.outcomes[row] = outcome;
        let (day, target) = (row / self.day(), outcome - self.anchor(row));
        if let Some(days) = &mut self.days {
            if days.len() <= day {
                days.resize_with(day + 1, Gram::default);
            }
            days[day].enter(&self.features[row - self.forgotten], &self.origin, target);
        }
    }

    /// What a regression tells the difference to: where features say nothing, the last five minutes go on.
    pub(super) fn anchor(&self, row: usize) -> f32 {
        self.features(row)[column::LAST]
    }

    /// What the features of compressed rows count from.
    pub(super) fn origin(&self) -> &Features {
        &self.origin
    }

    /// The last three weeks of rows before `until` whose outcome is known, compressed by the day, the oldest first. Of the day that `until`
    /// cuts all rows or none.
    pub(super) fn days_before(&self, until: usize) -> std::slice::Iter<'_, Gram> {
        let days = self.days.as_deref().unwrap_or_default();
        let last = if until >= self.past { days.len() } else { (until / self.day()).min(days.len()) };
        days[last.saturating_sub(Self::MOST / self.day())..last].iter()
    }

    /// The features of a decision at minute `at`. Reads no minute from `known` on.
    fn look(&self, demand: &Demand, at: usize, known: usize) -> Features {
        let mut x = [0.0; column::ALL];
        let row = self.len();
        // Bins, the last one first, and what they and the means say of ever longer stretches.
        let bins = &self.bins[self.bins.len() - DAY_BINS..];
        for (i, back) in [1, 2, 3, 4, 5, 6, 9, 12].into_iter().enumerate() {
            x[i] = bins[DAY_BINS - back];
        }
        x[8] = self.log(demand.mean(known, BIN));
        let (mut greatest, mut seen) = (f32::NEG_INFINITY, 0);
        for (i, stretch) in [6, 12, 24, 48, 144, DAY_BINS].into_iter().enumerate() {
            greatest = greatest.max(greatest_of(&bins[DAY_BINS - stretch..DAY_BINS - seen]));
            seen = stretch;
            x[column::RECENT + 2 * i] = greatest;
            x[column::RECENT + 2 * i + 1] = self.log(demand.mean(known, stretch * BIN));
        }
        let recent = x[column::RECENT];

        // Windows as they were some time ago.
        let ago = |minutes: usize| self.window_maximum(demand, at, minutes, 0, known);
        let day = self.last_alike(row, 1);
        let yesterday = ago(day).unwrap_or(recent);
        let near = [60, 120, 180].map(|minutes| ago(minutes).unwrap_or(recent));
        let beside = [day - self.spacing.min(day), day + self.spacing].map(|minutes| ago(minutes).unwrap_or(yesterday));
        let week = self.last_alike(row, 7);
        let last_week = ago(week).unwrap_or(yesterday);
        x[column::AGO..column::AGO + 7].copy_from_slice(&[near[0], near[1], near[2], yesterday, beside[0], beside[1], last_week]);
        x[28] = yesterday - self.log(demand.bin(known.saturating_sub(day).max(1).min(known), 0));
        let (mut sum, mut weights, mut most) = (0.0, 0.0, f32::NEG_INFINITY);
        for days in 1..=14 {
            let Some(then) = self.days_ago(row, days).filter(|then| self.is_like(row, *then)) else { continue };
            let Some(before) = self.outcome(then) else { continue };
            let weight = 0.8_f32.powi(days as i32);
            sum += weight * before;
            weights += weight;
            if days <= 7 {
                most = most.max(before);
            }
        }
        x[column::PROFILE] = if weights > 0.0 { sum / weights } else { recent };
        x[column::PROFILE + 1] = if most.is_finite() { most } else { recent };
        x[column::RESTLESSNESS] = bins[DAY_BINS - 25..].windows(2).map(|pair| (pair[0] - pair[1]).abs()).sum::<f32>() / 24.0;

        // The clock.
        let minute = self.walls[row].minute;
        let angle = TAU * minute as f64 / DAY as f64;
        x[32..36].copy_from_slice(&[angle.sin(), angle.cos(), (2.0 * angle).sin(), (2.0 * angle).cos()].map(|v| v as f32));
        let slot = minute % 60 / 10;
        if slot > 0 {
            x[35 + slot] = 1.0;
        }

        spikes(bins, &mut x);
        let period = self.period.map(|bins| bins * BIN);
        // The first multiple of the period whose window is known with its margin.
        let unknown = (at + self.shape.lead + self.shape.length + BIN).saturating_sub(known);
        for turn in 0..2 {
            let back = period.map(|period| period * (unknown.div_ceil(period).max(1) + turn));
            for (i, margin) in [0, BIN].into_iter().enumerate() {
                let then = back.and_then(|back| self.window_maximum(demand, at, back, margin, known));
                x[column::PERIODIC + 2 * turn + i] = then.unwrap_or(recent);
            }
        }
        for (i, lag) in [60, day, week].into_iter().enumerate() {
            let around = self.window_maximum(demand, at, lag, self.spacing, known);
            x[column::PERIODIC + 4 + i] = around.unwrap_or(x[column::YESTERDAY]);
        }
        x[column::PERIOD] = self.period.unwrap_or(0) as f32;
        x
    }

    /// The row at the same local time so many days ago.
    fn days_ago(&self, row: usize, days: usize) -> Option<usize> {
        let then = row.checked_sub(days * self.day())?;
        let moved = self.walls[row].ahead - self.walls[then].ahead; // a change of the hour lies between
        let rows = (moved.unsigned_abs() as usize + self.spacing / 2) / self.spacing;
        if moved < 0 { then.checked_sub(rows) } else { Some(then + rows).filter(|then| *then < row) }
    }

    fn is_like(&self, row: usize, past: usize) -> bool {
        self.walls[row].day.is_like(self.walls[past].day)
    }

    /// Minutes since the same local time `days` ago or, where a holiday stands between, on the last day that is like a row's.
    fn last_alike(&self, row: usize, days: usize) -> usize {
        let like = (days..=14).find_map(|days| {
            // A week's rhythm is kept, but for holidays.
            if days > 7 && days != 14 && self.walls[row].day != Day::Holiday {
                return None;
            }
            let then = self.days_ago(row, days).filter(|then| self.is_like(row, *then))?;
            Some((days * DAY).saturating_add_signed((self.walls[then].ahead - self.walls[row].ahead) as isize))
        });
        like.unwrap_or(days * DAY)
    }

    /// The log maximum over a decision's window as it was `ago` minutes earlier, with a margin to both sides, as far as it is known.
    fn window_maximum(&self, demand: &Demand, at: usize, ago: usize, margin: usize, known: usize) -> Option<f32> {
        let from = (at + self.shape.lead).checked_sub(ago + margin)?;
        let to = (at + self.shape.lead + self.shape.length + margin).checked_sub(ago)?.min(known);
        demand.greatest_measured(from, to).map(|demand| self.log(demand))
    }
}

/// The greatest value, in lanes, which the compiler turns into vector instructions.
fn greatest_of(values: &[f32]) -> f32 {
    let greater = |a: f32, b: f32| if b > a { b } else { a };
    let chunks = values.chunks_exact(8);
    let mut greatest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, greater);
    let mut lanes = [f32::NEG_INFINITY; 8];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = greater(*lane, *value);
        }
    }
    for lane in lanes {
        greatest = greater(greatest, lane);
    }
    greatest
}

/// When the last spikes began: upward crossings of the level half way between the day's mean and its maximum.
fn spikes(bins: &[f32], x: &mut Features) {
    let middle = f32::midpoint(x[column::DAY_MAXIMUM], x[column::DAY_MEAN]);
    let crosses = |(before, after): (&f32, &f32)| *after > middle && *before <= middle;
    let pairs = || bins.iter().zip(&bins[1..]);
    let count: u32 = pairs().map(|pair| u32::from(crosses(pair))).sum();
    let mut begun = [DAY_BINS as f32; 3];
    let backs = pairs().rev().enumerate().filter(|(_, pair)| crosses(*pair)).map(|(back, _)| back as f32);
    begun.iter_mut().zip(backs.take(count as usize)).for_each(|(begun, back)| *begun = back);
    let [first, second, third] = begun;
    x[column::SPIKES..column::SPIKES + 5].copy_from_slice(&[first, second - first, second - 2.0 * first, third - second, count as f32]);
}
