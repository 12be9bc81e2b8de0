//! What every model must beat: the present, and yesterday.

use super::learner::KeptFitted;
use super::rows::{Rows, column};
use super::season::{Season, mean_error, seasons};
use super::{Fitted, Forecaster};

/// A forecaster that reads one feature of the row, and learns nothing.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    name: &'static str,
    column: usize,
}

/// The last five minutes go on.
pub const NAIVE: Reading = Reading { name: "naive", column: column::LAST };
/// The most of the last half hour.
pub const RECENT: Reading = Reading { name: "recent", column: column::RECENT };

impl Reading {
    /// The reading of a column; `None` where there is no such.
    pub(super) fn of(name: &'static str, column: usize) -> Option<Self> {
        (column < column::ALL).then_some(Self { name, column })
    }
}

impl Forecaster for Reading {
    fn name(&self) -> &'static str {
        self.name
    }

    fn fit(&self, _: &Rows, _: usize) -> Option<Box<dyn Fitted>> {
        Some(Box::new(*self))
    }
}

impl Fitted for Reading {
    fn keep(&self) -> Option<KeptFitted> {
        Some(KeptFitted::reading(self.column))
    }

    fn predict(&self, rows: &Rows, row: usize) -> f32 {
        rows.features(row)[self.column]
    }
}

/// The window as it was a day ago, or a week ago where demand has that rhythm and errors were smaller by it.
#[derive(Clone, Copy, Debug)]
pub struct SeasonalNaive;

impl Forecaster for SeasonalNaive {
    fn name(&self) -> &'static str {
        "seasonal-naive"
    }

    fn fit(&self, rows: &Rows, until: usize) -> Option<Box<dyn Fitted>> {
        let until = until.min(rows.past());
        let by_day = Reading { name: self.name(), column: column::YESTERDAY };
        let by_week = Reading { name: self.name(), column: column::LAST_WEEK };
        let has_weeks = seasons(rows, until).contains(&Season::Week);
        let better = has_weeks && mean_error(rows, until, &by_week) < mean_error(rows, until, &by_day);
        Some(Box::new(if better { by_week } else { by_day }))
    }
}
