//! What was learned of one workload, decision by decision.

mod kept;

use std::ops::Range;
use std::sync::LazyLock;

use super::Fitted;
use super::calibration::Calibration;
use super::forest::{self, Forest, Grown, LOOK};
use super::recipe::{Likeness, Recipe, Target};
use super::rows::{Rows, Shape, column};
use crate::model::demand::BIN;
use crate::model::{Analogue, Calendar, Demand, Forecast};
pub use kept::KeptFitted;

/// A recipe at work: its bases' forecasts of each row, and which past rows are like the last one. It only moves on: each decision is a row,
/// and fits come as the rows do.
pub struct Learner {
    recipe: &'static Recipe,
    rows: Rows,
    bases: Vec<Base>,
    /// Rows that the forests hold.
    entered: usize,
    /// The row before which the forests were grown.
    grown: Option<usize>,
    /// Where the high forecast stands, after the rows before `scored`.
    calibration: Calibration,
    scored: usize,
    /// The log of the greatest demand seen.
    most: f32,
    /// Whether nothing is fitted any more.
    settled: bool,
}

/// One base of a recipe.
struct Base {
    fitted: Option<Box<dyn Fitted>>,
    /// Its forecast of each row's window maximum, in log space; NaN where there was none.
    forecasts: Vec<f32>,
    /// Outcome minus forecast of each past row, in log space; NaN where there is none.
    errors: Vec<f32>,
    /// The deviation of its errors on what it was fitted on, where errors are taken to be normal.
    spread: f64,
    forest: Option<Forest>,
}

impl Base {
    /// The share of past rows' weight, as it was at a row, with a smaller error than this.
    fn share_below(&self, error: f32, row: usize, past: impl Iterator<Item = usize>) -> Option<f64> {
        let (mut below, mut all) = (0.0, 0.0);
        let recency = Recency::table();
        for past in past {
            let (other, weight) = (self.errors[past], recency.of(row - past));
            below += f64::from(u8::from(other < error)) * weight;
            all += f64::from(u8::from(!other.is_nan())) * weight;
        }
        (all > 0.0).then(|| below / all)
    }
}

/// Minutes before the first row: with less, every feature would be the same.
const WARM_UP: usize = 60;
/// The share of the weight that every past row has, alike or not.
const UNLIKE: f64 = 0.05;
/// One past row in so many stands for them.
const THINNED: usize = 16;
/// Demand is never forecast beyond this many times what was seen: an exponential needs a clamp.
const BEYOND: f64 = 3.0;
/// The fewest past rows that a distribution is made of.
const LEAST: usize = 30;
/// Days of which the calibration learns at once, where it begins.
const SCORED_DAYS: usize = 4;
/// Of which one window in so many stands for its neighbours.
const STRIDE: usize = 3;
/// Days from one forest to the next.
const GROWN_DAYS: usize = 2;

impl Learner {
    /// Knows nothing yet but the scale of the first `known` minutes of `demand`. Windows have this shape; decisions are `spacing` minutes apart.
    pub fn new(recipe: &'static Recipe, shape: Shape, spacing: usize, demand: &Demand, known: usize) -> Self {
        let shape = match recipe.target {
            Target::WindowMaximum => shape,
            Target::FirstStep => Shape { length: shape.length.min(BIN), ..shape },
        };
        let bases = recipe
            .bases
            .iter()
            .map(|_| Base { fitted: None, forecasts: Vec::new(), errors: Vec::new(), spread: f64::NAN, forest: None })
            .collect();
        Self {
            recipe,
            rows: Rows::new(shape, spacing, demand, known),
            bases,
            entered: 0,
            grown: None,
            calibration: Calibration::new(shape.length as f64 / spacing.max(1) as f64),
            scored: 0,
            most: f32::NEG_INFINITY,
            settled: false,
        }
    }

    /// By this calendar instead of UTC without holidays; before the first decision.
    #[must_use]
    pub fn by(self, calendar: &Calendar) -> Self {
        Self { rows: self.rows.by(calendar), ..self }
    }

    /// Moves on to the decision at minute `at`, when the first `known` minutes of `demand` were known.
    pub fn advance(&mut self, demand: &Demand, at: usize, known: usize) {
        if known < WARM_UP {
            return;
        }
        self.rows.push(demand, at, known);
        let row = self.rows.len() - 1;
        self.most = self.most.max(self.rows.features(row)[column::DAY_MAXIMUM]);
        for (base, forecaster) in self.bases.iter_mut().zip(self.recipe.bases) {
            let is_due = base.fitted.is_none() && row.is_multiple_of(LEAST) || row.is_multiple_of(self.rows.day());
            if is_due && !self.settled {
                base.fitted = forecaster.fit(&self.rows, row).or(base.fitted.take());
                if let (Likeness::Normal, Some(fitted)) = (self.recipe.likeness, &base.fitted) {
                    base.spread = spread(&self.rows, fitted.as_ref());
                }
            }
            base.forecasts.push(base.fitted.as_ref().map_or(f32::NAN, |fitted| fitted.predict(&self.rows, row)));
            let known = base.errors.len()..self.rows.past();
            base.errors.extend(known.map(|past| self.rows.outcome(past).map_or(f32::NAN, |outcome| outcome - base.forecasts[past])));
        }
    }

    /// From here on nothing is fitted, and no forest is grown: what is known by now is applied to what comes.
    pub(super) fn settle(&mut self) {
        if let Some(now) = self.rows.len().checked_sub(1) {
            self.tend(now);
        }
        self.settled = true;
        self.rows.settle();
    }

    /// Sees to it that the calibration knows every past row, and that the forests are there and hold them.
    fn tend(&mut self, now: usize) {
        let first = self.scored == 0;
        if !first {
            self.score();
        }
        if let Likeness::Forest(growth) = self.recipe.likeness {
            let due = self.grown.is_none_or(|grown| now >= grown + GROWN_DAYS * self.rows.day());
            if due && !self.settled && self.rows.past() >= LEAST {
                self.grow(now, growth);
            }
            self.enter();
        }
        if first {
            self.scored = self.rows.past().saturating_sub(SCORED_DAYS * self.rows.day());
            self.score();
        }
    }

    /// The past rows that are learned from.
    fn past(&self) -> Range<usize> {
        self.rows.past().saturating_sub(Rows::MOST)..self.rows.past()
    }

    /// Grows the forests on the rows before `row`.
    fn grow(&mut self, row: usize, growth: forest::Growth) {
        self.entered = self.rows.past();
        self.grown = Some(row);
        for base in 0..self.bases.len() {
            let (rows, errors): (Vec<usize>, Vec<f32>) = self.past().filter_map(|row| Some((row, self.error(row, base)?))).unzip();
            if rows.len() < LEAST {
                continue;
            }
            let looks: Vec<_> = rows.iter().map(|row| self.look(*row, base)).collect();
            let recency = Recency::table();
            let weights: Vec<f32> = rows.iter().map(|past| recency.of(row - past) as f32).collect();
            let sample = Grown { rows: &rows, looks: &looks, errors: &errors, weights: &weights };
            self.bases[base].forest = Some(Forest::grow(&sample, growth, (row * self.bases.len() + base) as u64));
        }
    }

    /// Drops the rows whose outcome became known into the leaves.
    fn enter(&mut self) {
        for row in self.entered..self.rows.past() {
            for base in 0..self.bases.len() {
                if self.error(row, base).is_some() {
                    let look = self.look(row, base);
                    if let Some(forest) = &mut self.bases[base].forest {
                        forest.add(row, &look);
                    }
                }
            }
        }
        self.entered = self.rows.past();
    }

    /// Learns from the windows that passed how far out in its forecast each was, before its row is entered.
    fn score(&mut self) {
        for row in (self.scored.next_multiple_of(STRIDE)..self.rows.past()).step_by(STRIDE) {
            if let Some(below) = self.below(row) {
                self.calibration.learn(below, STRIDE);
            }
        }
        self.scored = self.rows.past();
    }

    /// The share of a past row's forecast that was below its outcome, from the rows that were known when it was made. `None` where there was
    /// none, or nothing was measured.
    fn below(&self, row: usize) -> Option<f64> {
        let known = self.rows.known_before(row);
        if known < LEAST {
            return None;
        }
        let (mut sum, mut used) = (0.0, 0.0);
        for (index, base) in self.bases.iter().enumerate() {
            let Some(error) = self.error(row, index) else { continue };
            let every = if base.forest.is_some() { THINNED } else { 1 };
            let Some(mut below) = base.share_below(error, row, (known.saturating_sub(Rows::MOST)..known).rev().step_by(every)) else {
                continue;
            };
            if let Some(forest) = &base.forest {
                let look = self.look(row, index);
                let leaves = forest.leaves(&look);
                let trees = leaves.len() as f64;
                below *= UNLIKE;
                for leaf in leaves {
                    below += (1.0 - UNLIKE) / trees * base.share_below(error, row, leaf.filter(|past| *past < known))?;
                }
            }
            sum += below;
            used += 1.0;
        }
        (used > 0.0).then(|| sum / used)
    }

    fn look(&self, row: usize, base: usize) -> [f32; LOOK] {
        let mine = self.bases[base].forecasts[row];
        let others = self.bases.iter().enumerate().filter(|(other, _)| *other != base).map(|(_, other)| other.forecasts[row]);
        forest::look(&self.rows, row, mine, others.rev().find(|other| other.is_finite()).unwrap_or(mine))
    }

    /// Outcome minus forecast of a past row, in log space.
    fn error(&self, row: usize, base: usize) -> Option<f32> {
        self.bases[base].errors.get(row).copied().filter(|error| error.is_finite())
    }

    /// The past rows of a base with what each weighs for the last one. Their sum is 1; empty where there are too few.
    fn alike(&self, base: usize, now: usize) -> Vec<(usize, f64)> {
        let forest = self.bases[base].forest.as_ref();
        let (share, every) = if forest.is_some() { (UNLIKE, THINNED) } else { (1.0, 1) };
        let recent = self.past().rev().step_by(every).filter(|row| self.error(*row, base).is_some());
        if recent.clone().count() * every < LEAST {
            return Vec::new();
        }
        let mut weights = Weights::new(self.past().start.min(forest.map_or(usize::MAX, Forest::first))..now);
        weights.spread(share, recent);
        if let Some(forest) = forest {
            let look = self.look(now, base);
            let leaves = forest.leaves(&look);
            let share = (1.0 - UNLIKE) / leaves.len() as f64;
            leaves.for_each(|leaf| weights.spread(share, leaf));
        }
        weights.some()
    }

    /// The forecast of the last decision's window; `None` while too little is known.
    pub fn forecast(&mut self, demand: &Demand) -> Option<Forecast> {
        let now = self.rows.len().checked_sub(1)?;
        self.tend(now);
        let mut analogues = Vec::new();
        for (index, base) in self.bases.iter().enumerate() {
            let (forecasts, here) = (&base.forecasts, base.forecasts[now]);
            if matches!(self.recipe.likeness, Likeness::Normal) {
                analogues.extend(self.normal(here, base.spread));
                continue;
            }
            let alike = if here.is_finite() { self.alike(index, now) } else { Vec::new() };
            if alike.is_empty() {
                continue;
            }
            analogues.extend(alike.into_iter().filter_map(|(row, weight)| {
                let maximum = self.rows.demand(self.rows.outcome(row)?);
                Some(Analogue { window: self.rows.window(row), weight, factor: f64::from(here - forecasts[row]).exp(), maximum })
            }));
        }
        let most = self.rows.demand(self.most) * BEYOND;
        let forecast = Forecast::new(self.recipe.name, analogues, self.rows.offset(), most, day_ahead(demand))?;
        let forecast = forecast.at_level(self.calibration.level());
        Some(match self.recipe.target {
            Target::WindowMaximum => forecast,
            Target::FirstStep => forecast.of_first(self.rows.shape().length),
        })
    }

    /// The last window, moved to each of many quantiles of a normal distribution.
    fn normal(&self, middle: f32, spread: f64) -> Vec<Analogue> {
        const QUANTILES: usize = 400;
        let Some(row) = self.past().rev().find(|row| self.rows.outcome(*row).is_some()).filter(|_| spread.is_finite()) else {
            return Vec::new();
        };
        let outcome = self.rows.outcome(row).unwrap_or(middle);
        let maximum = self.rows.demand(outcome);
        let level = |i: usize| (i as f64 + 0.5) / QUANTILES as f64;
        let factor = |i: usize| (f64::from(middle - outcome) + spread * normal_quantile(level(i))).exp();
        (0..QUANTILES).map(|i| Analogue { window: self.rows.window(row), weight: 1.0, factor: factor(i), maximum }).collect()
    }

    /// The rows so far.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }
}

/// What past rows weigh for the last one, by row: a row that shares many leaves is one analogue.
struct Weights {
    now: usize,
    /// From this row on.
    first: usize,
    by_row: Vec<f64>,
}

impl Weights {
    /// None yet.
    fn new(rows: Range<usize>) -> Self {
        Self { now: rows.end, first: rows.start, by_row: vec![0.0; rows.len()] }
    }

    /// Spreads a share over rows, more on recent ones.
    fn spread(&mut self, share: f64, rows: impl Iterator<Item = usize> + Clone) {
        let recency = Recency::table();
        let share = share / rows.clone().map(|row| recency.of(self.now - row)).sum::<f64>();
        rows.for_each(|row| self.by_row[row - self.first] += share * recency.of(self.now - row));
    }

    /// The rows that weigh anything.
    fn some(self) -> Vec<(usize, f64)> {
        let first = self.first;
        self.by_row.into_iter().enumerate().filter(|(_, weight)| *weight > 0.0).map(|(row, weight)| (first + row, weight)).collect()
    }
}

/// The weight of a row by how many rows ago it was.
#[derive(Clone, Copy)]
struct Recency(&'static [f64]);

impl Recency {
    fn table() -> Self {
        static AT: LazyLock<Vec<f64>> =
            LazyLock::new(|| (0..Rows::MOST + 64).map(|age| (-(age as f64) / forest::HALF_LIFE).exp2()).collect());
        Self(&AT)
    }

    fn of(self, age: usize) -> f64 {
        self.0[age.min(self.0.len() - 1)]
    }
}

/// The deviation of a forecaster's errors on past rows, most of which it was fitted on.
fn spread(rows: &Rows, fitted: &dyn Fitted) -> f64 {
    let past = rows.past().saturating_sub(Rows::MOST)..rows.past();
    let errors: Vec<f64> = past.filter_map(|row| Some(f64::from(rows.outcome(row)? - fitted.predict(rows, row)))).collect();
    (errors.iter().map(|error| error * error).sum::<f64>() / errors.len().max(1) as f64).sqrt()
}

/// The quantile of the standard normal distribution, to 0.0005 (Abramowitz and Stegun 1964, *Handbook of Mathematical Functions*, 26.2.23).
fn normal_quantile(p: f64) -> f64 {
    let t = (-2.0 * p.min(1.0 - p).ln()).sqrt();
    let above = t - (2.515_517 + 0.802_853 * t + 0.010_328 * t * t) / (1.0 + 1.432_788 * t + 0.189_269 * t * t + 0.001_308 * t * t * t);
    if p < 0.5 { -above } else { above }
}

/// For the eye: the hourly maxima of the last day, moved to the level of the last hour. Flat where there is no day yet.
fn day_ahead(demand: &Demand) -> Vec<f64> {
    let now = demand.len();
    let hour = |end: usize| (0..12).map(|back| demand.bin(end, back)).fold(0.0, f64::max);
    let level =
        now.checked_sub(1440).filter(|then| *then >= 60).map_or(1.0, |then| (hour(now) / hour(then).max(1e-9)).clamp(1.0 / 3.0, 3.0));
    (1..=24_i32)
        .map(|ahead| match (now + ahead as usize * 60).checked_sub(1440) {
            Some(then) if then >= 60 => hour(then) * (1.0 + (level - 1.0) * 0.75_f64.powi(ahead - 1)),
            _ => hour(now),
        })
        .collect()
}
