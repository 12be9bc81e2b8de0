//! The time of day's usual demand, at today's level.

use super::rows::{Rows, column};
use super::season::{Season, mean_error, seasons};
use super::{Fitted, Forecaster};

/// The profile of the day, moved by a share of how far the last half hour is from it; the share is learned. Where demand has a week's rhythm
/// and errors were smaller by it, last week's same time instead of the profile.
#[derive(Clone, Copy, Debug)]
pub struct ProfileLevel;

/// The fewest rows that tell the share: two days.
const LEAST_DAYS: usize = 2;

impl Forecaster for ProfileLevel {
    fn name(&self) -> &'static str {
        "profile-level"
    }

    fn fit(&self, rows: &Rows, until: usize) -> Option<Box<dyn Fitted>> {
        let until = until.min(rows.past());
        let by_day = FittedProfile::on(column::PROFILE, rows, until)?;
        if !seasons(rows, until).contains(&Season::Week) {
            return Some(Box::new(by_day));
        }
        let by_week = FittedProfile::on(column::LAST_WEEK, rows, until)?;
        let better = mean_error(rows, until, &by_week) < mean_error(rows, until, &by_day);
        Some(Box::new(if better { by_week } else { by_day }))
    }
}

struct FittedProfile {
    /// Where the profile is read.
    column: usize,
    share: f32,
}

impl FittedProfile {
    fn on(column: usize, rows: &Rows, until: usize) -> Option<Self> {
        let first = until.saturating_sub(Rows::MOST).max(rows.day());
        if until < first + (LEAST_DAYS - 1) * rows.day() {
            return None;
        }
        // Least squares through the origin: outcome - profile on level - profile.
        let mut fitted = Self { column, share: 0.0 };
        let (mut product, mut square) = (0.0_f64, 1e-9_f64);
        for row in first..until {
            let Some(outcome) = rows.outcome(row) else { continue };
            let deviation = fitted.deviation(rows, row);
            product += f64::from(deviation * (outcome - rows.features(row)[column]));
            square += f64::from(deviation * deviation);
        }
        fitted.share = (product / square).clamp(0.0, 1.0) as f32;
        Some(fitted)
    }

    /// How far the last half hour's maximum is from the profile.
    fn deviation(&self, rows: &Rows, row: usize) -> f32 {
        let x = rows.features(row);
        x[column::RECENT] - x[self.column]
    }
}

impl Fitted for FittedProfile {
    fn predict(&self, rows: &Rows, row: usize) -> f32 {
        rows.features(row)[self.column] + self.share * self.deviation(rows, row)
    }
}
