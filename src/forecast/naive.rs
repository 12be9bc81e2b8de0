//! What every model must beat: the present, and yesterday.

use super::rows::{Rows, column};
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
/// The window as it was a day ago; where that was not measured, the last half hour.
pub const SEASONAL_NAIVE: Reading = Reading { name: "seasonal-naive", column: column::YESTERDAY };

impl Forecaster for Reading {
    fn name(&self) -> &'static str {
        self.name
    }

    fn fit(&self, _: &Rows, _: usize) -> Option<Box<dyn Fitted>> {
        Some(Box::new(*self))
    }
}

impl Fitted for Reading {
    fn predict(&self, rows: &Rows, row: usize) -> f32 {
        rows.features(row)[self.column]
    }
}
