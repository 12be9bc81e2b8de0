//! Demand by the minute: what forecasts learn from and decisions are tried on.

use super::Series;

/// Demand on a one-minute grid, with what is asked of it over and over kept at hand. A gap holds the last value, and is told apart.
///
/// Minute `i` describes the 60 seconds from `start + 60 i` on. What is known of it is its prefix: whoever asks about an instant names how
/// many minutes were known then, and nothing behind them is read.
#[derive(Clone, Debug)]
pub struct Demand {
    start: i64,
    /// As measured; a gap is NaN.
    raw: Vec<f64>,
    /// Gaps filled with the last value.
    held: Vec<f64>,
    /// Sums of `held` before each minute.
    sums: Vec<f64>,
    /// Whether demand was cut short in each minute; shorter than the rest where it was not after that.
    censored: Vec<bool>,
}

/// Minutes of a bin: features look at demand by its maxima.
pub const BIN: usize = 5;

/// Sums and logs of demand up to here are exact enough.
const ABSURD: f64 = 1e18;

/// Seconds a minute.
const MINUTE: i64 = 60;

impl Demand {
    /// None yet, from `start` (epoch seconds) on.
    pub fn starting(start: i64) -> Self {
        Self { start, raw: Vec::new(), held: Vec::new(), sums: vec![0.0], censored: Vec::new() }
    }

    /// The demand of a series: a point of a coarse grid holds for all its minutes, one of a fine grid gives its maximum.
    pub fn of(series: &Series) -> Self {
        let series = if series.step() < MINUTE { series.maxima(MINUTE) } else { series.clone() };
        let minutes = ((series.end() - series.start()) / MINUTE) as usize;
        let mut raw = Vec::with_capacity(minutes);
        for (i, value) in series.values().iter().enumerate() {
            // Where the step is no whole number of minutes, a point holds until the minute in which the next one starts.
            let until = (series.step() * (i as i64 + 1)).div_euclid(MINUTE) as usize;
            raw.resize(until, measured(*value));
        }
        let (mut last, mut sum) = (0.0, 0.0);
        let filled = |value: &f64| {
            last = if value.is_nan() { last } else { *value };
            last
        };
        let held: Vec<f64> = raw.iter().map(filled).collect();
        let mut sums = Vec::with_capacity(minutes + 1);
        sums.push(sum);
        sums.extend(held.iter().map(|held| {
            sum += held;
            sum
        }));
        Self { start: series.start(), raw, held, sums, censored: Vec::new() }
    }

    /// Adds the next minute. What is no number, or beyond all that is ever measured, is a gap.
    pub fn push(&mut self, value: f64) {
        let value = measured(value);
        let held = if value.is_nan() { self.held.last().copied().unwrap_or(0.0) } else { value };
        self.raw.push(value);
        self.held.push(held);
        self.sums.push(self.sums[self.sums.len() - 1] + held);
    }

    /// Marks the known minutes of a stretch (epoch seconds): demand was at least what was measured.
    pub fn censor(&mut self, from: i64, to: i64) {
        let minute = |at: i64| at.div_euclid(MINUTE).clamp(0, self.len() as i64) as usize;
        let (from, to) = (minute(from - self.start), minute(to - self.start + MINUTE - 1));
        if from < to {
            self.censored.resize(self.censored.len().max(to), false);
            self.censored[from..to].fill(true);
        }
    }

    /// Forgets what was said of the minutes from the `n`-th on.
    pub fn truncate(&mut self, n: usize) {
        self.raw.truncate(n);
        self.held.truncate(n);
        self.sums.truncate(n + 1);
        self.censored.truncate(n);
    }

    /// Epoch seconds of the first minute.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// How many minutes are known.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Epoch seconds at which the last known minute ends.
    pub fn end(&self) -> i64 {
        self.at(self.len())
    }

    /// Epoch seconds at which a minute starts.
    pub fn at(&self, minute: usize) -> i64 {
        self.start + minute as i64 * MINUTE
    }

    /// As measured; a gap is NaN.
    pub fn raw(&self) -> &[f64] {
        &self.raw
    }

    /// With gaps filled by the last value.
    pub fn held(&self) -> &[f64] {
        &self.held
    }

    /// The greatest of the [`BIN`] minutes that end `back` bins before minute `end`; before the beginning, of the first ones.
    pub fn bin(&self, end: usize, back: usize) -> f64 {
        let end = end.saturating_sub(BIN * back).max(BIN.min(end));
        self.held[end.saturating_sub(BIN)..end].iter().copied().fold(0.0, f64::max)
    }

    /// The mean of the `n` minutes before `end`, or of as many as there are.
    pub fn mean(&self, end: usize, n: usize) -> f64 {
        let n = n.min(end);
        (self.sums[end] - self.sums[end - n]) / n.max(1) as f64
    }

    /// The greatest of the minutes in a range that were measured; `None` where none was.
    pub fn greatest_measured(&self, from: usize, to: usize) -> Option<f64> {
        let minutes = self.raw.get(from..to.min(self.raw.len()))?;
        minutes.iter().copied().reduce(f64::max).filter(|v| !v.is_nan()) // `max` of NaN and a number is the number
    }

    /// Whether demand was cut short in a window.
    pub fn is_censored(&self, from: usize, to: usize) -> bool {
        self.censored.get(from..to.min(self.censored.len())).is_some_and(|marks| marks.contains(&true))
    }
}

/// A demand as it is kept: what is beyond all that is ever measured is a gap as well.
fn measured(value: f64) -> f64 {
    if value <= ABSURD { value.max(0.0) } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_grid_holds_and_a_fine_one_gives_its_maximum() {
        let coarse = Demand::of(&Series::new(600, 300, [1.0, f64::NAN, 3.0]));
        assert_eq!((coarse.len(), coarse.end()), (15, 600 + 900));
        assert_eq!((coarse.held()[7], coarse.raw()[7].is_nan(), coarse.held()[14]), (1.0, true, 3.0));
        let fine = Demand::of(&Series::new(600, 20, [1.0, 5.0, 2.0, 0.0, 1.0, 0.0]));
        assert_eq!(fine.raw(), [5.0, 1.0]);
        let odd = Demand::of(&Series::new(0, 90, [1.0, 2.0, 3.0, 4.0]));
        assert_eq!(odd.raw(), [1.0, 2.0, 2.0, 3.0, 4.0, 4.0]);
    }

    #[test]
    fn a_window_that_was_cut_short_is_marked() {
        let mut demand = Demand::of(&Series::new(600, 60, [1.0, 2.0, 3.0, 4.0, 5.0]));
        demand.censor(600 + 90, 600 + 150); // half of two minutes
        demand.censor(0, 500);
        demand.censor(5000, 6000);
        assert_eq!(
            [(0, 1), (0, 2), (1, 2), (2, 4), (3, 5)].map(|(from, to)| demand.is_censored(from, to)),
            [false, true, true, true, false]
        );
        assert_eq!((demand.greatest_measured(0, 3), demand.held()[2]), (Some(3.0), 3.0), "it is still seen");
        demand.truncate(1);
        (0..4).for_each(|_| demand.push(7.0));
        assert!(!demand.is_censored(0, 5));
    }

    #[test]
    fn what_is_kept_at_hand_is_what_one_would_compute() {
        let mut demand = Demand::starting(0);
        for value in [1.0, 9.0, 2.0, 3.0, f64::NAN, 4.0, 0.0, 1.0, 1.0, 2.0, 7.0] {
            demand.push(value);
        }
        assert_eq!((demand.bin(11, 0), demand.bin(11, 1), demand.bin(11, 5)), (7.0, 9.0, 9.0));
        assert_eq!((demand.mean(11, 2), demand.mean(1, 60)), (4.5, 1.0));
        assert_eq!(
            (demand.greatest_measured(2, 5), demand.greatest_measured(4, 5), demand.greatest_measured(11, 12)),
            (Some(3.0), None, None)
        );
        demand.truncate(3);
        demand.push(5.0);
        assert_eq!((demand.len(), demand.mean(4, 4), demand.bin(4, 0)), (4, 17.0 / 4.0, 9.0));
    }
}
