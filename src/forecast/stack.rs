//! Several forecasts in one: a stack that trusts who was right lately, and a median that trusts nobody.

use super::naive::{NAIVE, RECENT, SeasonalNaive};
use super::rows::Rows;
use super::{Fitted, Forecaster, HoltWinters, Linear, ProfileLevel};

/// Experts, weighed by their errors of the last days: `error⁻⁶`, a day old error counting a third. What they are weighed by is
/// out of their samples: those that learn are fitted without the days on which they are tried.
#[derive(Clone, Copy, Debug)]
pub struct Stack;

/// Who is in the stack.
const EXPERTS: [&dyn Forecaster; 6] = [&NAIVE, &RECENT, &SeasonalNaive, &ProfileLevel, &HoltWinters, &Linear];
/// Days on which experts are tried.
const TRIED_DAYS: usize = 2;
/// After so many days an error counts half.
const HALF_LIFE: f32 = 0.65;
/// The power of the inverse error.
const POWER: i32 = 6;

impl Forecaster for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn fit(&self, rows: &Rows, until: usize) -> Option<Box<dyn Fitted>> {
        let until = until.min(rows.past());
        let from = until.checked_sub(TRIED_DAYS * rows.day())?;
        let experts: Vec<Expert> = EXPERTS
            .iter()
            .filter_map(|expert| {
                let tried = expert.fit(rows, from)?;
                let mut error = Error::default();
                (from..until).for_each(|row| error.add(rows, row, tried.as_ref()));
                Some(Expert { fitted: expert.fit(rows, until)?, error })
            })
            .collect();
        Some(Box::new(FittedStack { experts, until }))
    }
}

struct Expert {
    fitted: Box<dyn Fitted>,
    /// Its error when it was fitted.
    error: Error,
}

/// A mean absolute error that forgets.
#[derive(Clone, Copy, Debug, Default)]
struct Error {
    sum: f32,
    weight: f32,
}

impl Error {
    fn add(&mut self, rows: &Rows, row: usize, fitted: &dyn Fitted) {
        let keep = (-1.0 / (HALF_LIFE * rows.day() as f32)).exp2();
        self.sum *= keep;
        self.weight *= keep;
        if let Some(outcome) = rows.outcome(row) {
            self.sum += (outcome - fitted.predict(rows, row)).abs();
            self.weight += 1.0;
        }
    }

    fn mean(self) -> f32 {
        if self.weight > 0.0 { (self.sum / self.weight).max(1e-4) } else { 1.0 }
    }
}

struct FittedStack {
    experts: Vec<Expert>,
    until: usize,
}

impl Fitted for FittedStack {
    fn predict(&self, rows: &Rows, row: usize) -> f32 {
        let known = rows.known_before(row);
        let (mut sum, mut weights) = (0.0, 0.0);
        for expert in &self.experts {
            let mut error = expert.error;
            (self.until..known).for_each(|past| error.add(rows, past, expert.fitted.as_ref()));
            let weight = error.mean().powi(-POWER);
            sum += weight * expert.fitted.predict(rows, row);
            weights += weight;
        }
        sum / weights
    }
}

/// The median of three dissimilar forecasts: the cheapest insurance against a change of regime.
#[derive(Clone, Copy, Debug)]
pub struct Median;

/// Of whom.
const VOTERS: [&dyn Forecaster; 3] = [&Stack, &ProfileLevel, &RECENT];

impl Forecaster for Median {
    fn name(&self) -> &'static str {
        "median"
    }

    fn fit(&self, rows: &Rows, until: usize) -> Option<Box<dyn Fitted>> {
        let voters: Option<Vec<_>> = VOTERS.iter().map(|voter| voter.fit(rows, until)).collect();
        Some(Box::new(FittedMedian { voters: voters? }))
    }
}

struct FittedMedian {
    voters: Vec<Box<dyn Fitted>>,
}

impl Fitted for FittedMedian {
    fn predict(&self, rows: &Rows, row: usize) -> f32 {
        let mut votes: Vec<f32> = self.voters.iter().map(|voter| voter.predict(rows, row)).collect();
        votes.sort_by(f32::total_cmp);
        votes[votes.len() / 2]
    }
}
