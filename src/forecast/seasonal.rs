//! The window as it was a day ago: the baseline that every model must beat.

use super::grid::{DAY, WEEK};
use super::{Fitted, Forecaster, Grid};

/// The maximum over the same window a day ago; where that was not measured, a week ago; else the last hour's.
#[derive(Clone, Copy, Debug)]
pub struct SeasonalNaive;

impl Forecaster for SeasonalNaive {
    fn name(&self) -> &'static str {
        "seasonal-naive"
    }

    fn fit(&self, grid: &Grid, until: usize) -> Option<Box<dyn Fitted>> {
        (until > 0 && grid.rows() > 0).then(|| Box::new(*self) as Box<dyn Fitted>)
    }
}

impl Fitted for SeasonalNaive {
    fn predict(&self, grid: &Grid, row: usize) -> f64 {
        grid.season_ago(row, DAY).or_else(|| grid.season_ago(row, WEEK)).unwrap_or_else(|| grid.recent_maximum(row, 12))
    }
}
