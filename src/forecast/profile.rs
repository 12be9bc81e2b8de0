//! The time of day's usual demand, at today's level.

use super::rows::{Rows, column};
use super::{Fitted, Forecaster};

/// The profile of the day, moved by a share of how far the last half hour is from it; the share is learned.
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
        let first = until.saturating_sub(Rows::MOST).max(rows.day());
        if until < first + (LEAST_DAYS - 1) * rows.day() {
            return None;
        }
        // Least squares through the origin: outcome - profile on level - profile.
        let (mut product, mut square) = (0.0_f64, 1e-9_f64);
        for row in first..until {
            let Some(outcome) = rows.outcome(row) else { continue };
            let deviation = deviation(rows, row);
            product += f64::from(deviation * (outcome - rows.features(row)[column::PROFILE]));
            square += f64::from(deviation * deviation);
        }
        Some(Box::new(FittedProfile { share: (product / square).clamp(0.0, 1.0) as f32 }))
    }
}

struct FittedProfile {
    share: f32,
}

impl Fitted for FittedProfile {
    fn predict(&self, rows: &Rows, row: usize) -> f32 {
        rows.features(row)[column::PROFILE] + self.share * deviation(rows, row)
    }
}

/// How far the last half hour's maximum is from the profile.
fn deviation(rows: &Rows, row: usize) -> f32 {
    let x = rows.features(row);
    x[column::RECENT] - x[column::PROFILE]
}
