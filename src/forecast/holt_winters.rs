//! Holt and Winters' additive smoothing of window maxima, with a season of a day, a week or none (Winters 1960, doi:10.1287/mnsc.6.3.324).

use super::rows::Rows;
use super::season::{Season, seasons};
use super::{Fitted, Forecaster};

/// Level, damped trend and season of the log window maximum; the constants, and the season among those that demand has, are those that did best
/// on the past.
#[derive(Clone, Copy, Debug)]
pub struct HoltWinters;

/// Constants that are tried: of the level and of the season. The trend's is a tenth of the level's.
const LEVELS: [f32; 4] = [0.05, 0.2, 0.5, 0.9];
const SEASONS: [f32; 3] = [0.05, 0.2, 0.5];
/// What a trend keeps of itself from row to row.
const DAMPING: f32 = 0.9;

impl Forecaster for HoltWinters {
    fn name(&self) -> &'static str {
        "holt-winters"
    }

    fn fit(&self, rows: &Rows, until: usize) -> Option<Box<dyn Fitted>> {
        let until = until.min(rows.past());
        let first = until.saturating_sub(14 * rows.day());
        let turns: Vec<usize> = seasons(rows, until)
            .into_iter()
            .map(|season| match season {
                Season::Day => rows.day(),
                Season::Week => 7 * rows.day(),
            })
            .collect();
        // Behind what the longest season begins with.
        let settled = first + turns.iter().max().copied().unwrap_or_default() + rows.day();
        if until < settled + rows.day() {
            return None;
        }
        let shares = LEVELS.iter().flat_map(|level| SEASONS.map(|season| (*level, season)));
        let tried = [1].into_iter().chain(turns).flat_map(|turn| shares.clone().map(move |(level, season)| (turn, level, season)));
        let best = tried.map(|(turn, level, season)| {
            let mut smoothing = Smoothing::starting(rows, first, turn, level, season);
            let mut loss = 0.0;
            for row in settled..until {
                smoothing.catch_up(rows, rows.known_before(row));
                loss += rows.outcome(row).map_or(0.0, |outcome| (outcome - smoothing.ahead(rows, row)).abs());
            }
            smoothing.catch_up(rows, until);
            (loss, smoothing)
        });
        let (_, smoothing) = best.min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(Box::new(smoothing))
    }
}

/// The state after the rows before `next`.
#[derive(Clone, Debug)]
struct Smoothing {
    level_share: f32,
    season_share: f32,
    level: f32,
    trend: f32,
    /// What each row of the season adds to the level; where it has no more than one, nothing.
    season: Vec<f32>,
    next: usize,
}

impl Smoothing {
    fn starting(rows: &Rows, first: usize, turn: usize, level_share: f32, season_share: f32) -> Self {
        let day = rows.day();
        let known: Vec<f32> = (first..first + day).filter_map(|row| rows.outcome(row)).collect();
        let level = known.iter().sum::<f32>() / known.len().max(1) as f32;
        let mut season = vec![0.0; turn];
        for row in (first..first + turn).filter(|_| turn > 1) {
            season[rows.slot(row) % turn] = rows.outcome(row).map_or(0.0, |outcome| outcome - level);
        }
        Self { level_share, season_share, level, trend: 0.0, season, next: first }
    }

    /// Takes the rows before `known`.
    fn catch_up(&mut self, rows: &Rows, known: usize) {
        for row in self.next..known {
            self.take(rows.slot(row), rows.outcome(row));
            self.next = row + 1;
        }
    }

    fn take(&mut self, slot: usize, outcome: Option<f32>) {
        let turn = self.season.len();
        let season = &mut self.season[slot % turn];
        let expected = self.level + self.trend;
        let Some(outcome) = outcome else {
            (self.level, self.trend) = (expected, self.trend * DAMPING);
            return;
        };
        let level = self.level_share * (outcome - *season) + (1.0 - self.level_share) * expected;
        let trend_share = self.level_share / 10.0;
        self.trend = DAMPING * (trend_share * (level - self.level) + (1.0 - trend_share) * self.trend);
        self.level = level;
        if turn > 1 {
            *season = self.season_share * (outcome - level) + (1.0 - self.season_share) * *season;
        }
    }

    /// What it says of a row.
    fn ahead(&self, rows: &Rows, row: usize) -> f32 {
        let steps = row.saturating_sub(self.next) as i32 + 1;
        let damped = (0..steps).map(|step| DAMPING.powi(step)).sum::<f32>();
        self.level + self.trend * damped + self.season[rows.slot(row) % self.season.len()]
    }
}

impl Fitted for Smoothing {
    fn predict(&self, rows: &Rows, row: usize) -> f32 {
        let mut smoothing = self.clone();
        smoothing.catch_up(rows, rows.known_before(row));
        smoothing.ahead(rows, row)
    }
}
