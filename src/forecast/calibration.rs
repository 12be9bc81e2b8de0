//! A quantile that is kept honest: when demand is above it too often it moves out, when too rarely it moves in.
//!
//! Adaptive conformal inference (Gibbs and Candès 2021, *Adaptive conformal inference under distribution shift*, arXiv:2106.00170): the level
//! that is read off the forecast follows its own misses, so that in the long run they are as many as were asked for, whatever demand does.

use serde::{Deserialize, Serialize};

/// The probability with which a window's maximum is to stay at or under the high forecast.
pub const WANTED: f64 = 0.95;
/// What one miss moves the level by, where windows do not overlap; the many hits between two misses move it back.
const STEP: f64 = 0.005;
/// The level stays within these: at the upper one it is the most extreme analogue that has any weight.
const LEAST: f64 = 0.5;
const MOST: f64 = 0.9995;

/// The level to read off a forecast's weights, as it follows how past forecasts did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    level: f64,
    step: f64,
}

impl Calibration {
    /// At the wanted level. `overlapping` windows, at least 1, have any one minute in common: they tell of one peak, and move the level by
    /// one step together.
    pub fn new(overlapping: f64) -> Self {
        Self { level: WANTED, step: STEP / overlapping.max(1.0) }
    }

    /// The share of a forecast's weight at which its high value stands.
    pub fn level(self) -> f64 {
        self.level
    }

    /// Learns from a window that passed and stands for `windows` of them: `below` is the share of its forecast's weight that was strictly below
    /// what it held. It was missed when the value at the level was.
    pub fn learn(&mut self, below: f64, windows: usize) {
        let missed = if below >= self.level { 1.0 } else { 0.0 };
        self.level = (self.level + self.step * windows as f64 * (missed - (1.0 - WANTED))).clamp(LEAST, MOST);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    /// The share of misses over the last half of many windows whose outcomes stand at `place(u)` of the forecast, `u` being uniform.
    fn missed(place: impl Fn(usize, f64) -> f64) -> (f64, Calibration) {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut calibration = Calibration::new(1.0);
        let n = 20_000;
        let misses = (0..n).filter(|i| {
            let below = place(*i, random.random_range(0.0..1.0));
            let missed = below >= calibration.level();
            calibration.learn(below, 1);
            missed && *i >= n / 2
        });
        (misses.count() as f64 / (n / 2) as f64, calibration)
    }

    #[test]
    fn misses_come_to_one_in_twenty_whatever_the_forecast_is_worth() {
        for (name, place) in [
            ("right", (|u| u) as fn(f64) -> f64),
            ("too narrow", |u| 1.0 - (1.0 - u) * 0.3),
            ("too wide", |u| u * u * 0.98),
            ("much too wide", |u| 0.3 + u * 0.5),
        ] {
            let (share, calibration) = missed(|_, u| place(u));
            assert!((share - 0.05).abs() < 0.005, "{name}: {share} at {calibration:?}");
        }
    }

    #[test]
    fn a_change_for_the_worse_widens_it_and_it_stays_within_bounds() {
        let (share, calibration) = missed(|i, u| if i % 4000 < 2000 { u } else { u.sqrt().sqrt() });
        assert!((share - 0.05).abs() < 0.01 && calibration.level() > WANTED, "{share} at {calibration:?}");
        let mut calibration = Calibration::new(1.0);
        (0..10_000).for_each(|_| calibration.learn(1.0, 1));
        assert_eq!(calibration.level(), MOST);
        (0..100_000).for_each(|_| calibration.learn(0.0, 1));
        assert_eq!(calibration.level(), LEAST);
    }
}
