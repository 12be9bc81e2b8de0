//! Scalers to be measured against: those that need no forecast, one that forecasts replica counts, and those that know the future.

use super::histogram::Histogram;
use super::replay::Cadence;
use crate::decide::replicas_for;

use super::{DAY, Hpa, Score, percentile};

/// Targets over which an HPA is swept.
pub const TARGETS: [f64; 7] = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
/// Scale-down stabilizations over which an HPA is swept, in minutes.
pub const STABILIZATIONS: [usize; 5] = [5, 15, 30, 60, 180];
/// Minutes after which a five-minute sample is complete.
const LAG: usize = 5;

/// A stretch of a trace that is judged, with what went before it.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Demand by the minute, from the beginning.
    pub demand: &'a [f64],
    /// Demand that one replica carries.
    pub unit: f64,
    /// The first judged minute.
    pub from: usize,
}

/// A baseline's name and its score.
pub type Named = (String, Score);

impl Judged<'_> {
    /// The minute from which an HPA is run: a day before it counts.
    fn warm(&self) -> usize {
        self.from.saturating_sub(DAY)
    }

    /// The score of ready replicas by the minute from [`Self::warm`] on.
    fn score(&self, ready: &[u32]) -> Option<Score> {
        Score::of(&self.demand[self.from..], &ready[self.from - self.warm()..], self.unit)
    }

    fn hpa(&self, target: f64, stabilize: usize, floor: Option<&[u32]>) -> Vec<u32> {
        Hpa::new(target, stabilize).ready(&self.demand[self.warm()..], self.unit, floor.map(|floor| &floor[self.warm()..]))
    }

    /// The score of a floor by the minute from the beginning on, alone; and under an HPA that aims at 90 %.
    fn floor(&self, name: &str, floor: &[u32], scores: &mut Vec<Named>) {
        scores.extend(self.score(&floor[self.warm()..]).map(|score| (name.to_owned(), score)));
        scores.extend(self.score(&self.hpa(0.9, 5, Some(floor))).map(|score| (format!("{name} + hpa90"), score)));
    }

    /// The scores of all baselines. Empty where nothing was measured.
    pub fn all(&self) -> Vec<Named> {
        let mut scores = Vec::new();
        for target in TARGETS {
            for stabilize in STABILIZATIONS {
                let name = format!("hpa{:.0}/{stabilize}m", target * 100.0);
                scores.extend(self.score(&self.hpa(target, stabilize, None)).map(|score| (name, score)));
            }
        }
        let filled: Vec<f64> = self.demand.iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect();
        for hours in [0.5, 1.0, 2.0, 4.0, 12.0, 24.0] {
            for factor in [1.0, 1.1, 1.25] {
                self.floor(
                    &format!("recent{hours}h x{factor:?}"),
                    &recent(&filled, self.unit, (hours * 60.0) as usize, factor),
                    &mut scores,
                );
            }
        }
        for factor in [1.0, 1.1, 1.25, 1.5, 2.0] {
            self.floor(&format!("current x{factor:?}"), &recent(&filled, self.unit, 1, factor), &mut scores);
        }
        self.floor("last week x1.1", &last_week(&filled, self.unit, 1.1), &mut scores);
        self.floor("vpa-like", &vpa_like(self.demand, self.unit), &mut scores);
        self.floor("krr-like", &krr_like(self.demand, self.unit), &mut scores);
        for target in [0.7, 0.9] {
            self.floor(&format!("phpa{:.0}", target * 100.0), &phpa(&filled, self.unit, target), &mut scores);
        }
        for p in [95.0, 99.0, 100.0] {
            let Some(demand) = percentile(&self.demand[..self.from], p) else { continue };
            let replicas = (demand / self.unit).ceil().max(1.0) as u32;
            let ready = vec![replicas; self.demand.len() - self.warm()];
            scores.extend(self.score(&ready).map(|score| (format!("static p{p}"), score)));
        }
        for every in [10, 60] {
            let ready = clairvoyant(&filled, self.unit, every);
            scores.extend(self.score(&ready[self.warm()..]).map(|score| (format!("clairvoyant {every}m"), score)));
        }
        scores
    }

    /// The score of the HPA whose target and stabilization did best at a price of violation against cost, both as scored, in the week before
    /// the judged part. `None` where that week, or a day before it, is not there.
    pub fn tuned_hpa(&self, price: f64) -> Option<Score> {
        let tuning = self.from.saturating_sub(7 * DAY).max(3 * DAY);
        if tuning >= self.from {
            return None;
        }
        let warm = tuning - DAY;
        let mut best: Option<(f64, Score)> = None;
        for target in TARGETS {
            for stabilize in STABILIZATIONS {
                let ready = Hpa::new(target, stabilize).ready(&self.demand[warm..], self.unit, None);
                let before = Score::of(&self.demand[tuning..self.from], &ready[DAY..self.from - warm], self.unit)?;
                let loss = before.cost + price * before.violation;
                if best.is_none_or(|(least, _)| loss < least) {
                    best = Some((loss, Score::of(&self.demand[self.from..], &ready[self.from - warm..], self.unit)?));
                }
            }
        }
        best.map(|(_, score)| score)
    }
}

/// Ready replicas by the minute when every ten minutes `need` says, in replicas, what is decided at that minute.
fn per_decision(minutes: usize, mut need: impl FnMut(usize) -> f64) -> Vec<u32> {
    let Cadence { every, lead } = Cadence::default();
    let mut ready = vec![1; minutes];
    for minute in (every..minutes.saturating_sub(lead)).step_by(every) {
        let until = (minute + lead + every).min(minutes);
        ready[minute + lead..until].fill(replicas_for(need(minute), 1.0));
    }
    ready
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// What was known `LAG` minutes ago, of the last so many minutes.
fn before(demand: &[f64], minute: usize, minutes: usize) -> &[f64] {
    &demand[minute.saturating_sub(LAG + minutes)..minute.saturating_sub(LAG).max(1)]
}

/// The greatest demand of the last minutes, times a factor.
fn recent(demand: &[f64], unit: f64, minutes: usize, factor: f64) -> Vec<u32> {
    per_decision(demand.len(), |t| greatest(before(demand, t, minutes)) * factor / unit)
}

/// The greatest of the last hour and of the same time yesterday and a week ago, a quarter of an hour wider, times a factor.
fn last_week(demand: &[f64], unit: f64, factor: f64) -> Vec<u32> {
    let Cadence { every, lead } = Cadence::default();
    per_decision(demand.len(), |t| {
        let ago = |season: usize| {
            let from = (t + lead).checked_sub(season + 15)?;
            demand.get(from..from + every + 30).map(greatest)
        };
        factor / unit * [Some(greatest(before(demand, t, 60))), ago(DAY), ago(7 * DAY)].into_iter().flatten().fold(0.0, f64::max)
    })
}

/// KRR's rule for CPU, in replicas: the 95th percentile of the last two weeks, applied once a day.
fn krr_like(demand: &[f64], unit: f64) -> Vec<u32> {
    let mut wanted = 0.0;
    per_decision(demand.len(), |t| {
        if t % DAY < Cadence::default().every {
            wanted = percentile(before(demand, t, 14 * DAY), 95.0).unwrap_or(0.0) / unit;
        }
        wanted
    })
}

/// The Vertical Pod Autoscaler's target, in replicas: the 90th percentile of a histogram that halves each day, and 15 %.
fn vpa_like(demand: &[f64], unit: f64) -> Vec<u32> {
    let mut histogram = Histogram::new(unit / 100.0);
    let mut added = 0;
    per_decision(demand.len(), |t| {
        let known = t.saturating_sub(LAG);
        demand[added..known].iter().for_each(|value| histogram.add(*value));
        added = known;
        histogram.percentile(90.0) * 1.15 / unit
    })
}

/// The Predictive HPA's Holt-Winters, on *replica counts* as it stores them: additive, with a season of a day and four stored seasons; the
/// greatest of the counts predicted until the next decision's effect, but never less than the HPA's own. The constants are by hand, as
/// there; those of its examples (0.9 each) diverge.
fn phpa(demand: &[f64], unit: f64, target: f64) -> Vec<u32> {
    const SEASON: usize = DAY / 10;
    let every = Cadence::default().every;
    let mut counts: Vec<f64> = Vec::new();
    per_decision(demand.len(), |t| {
        let own = f64::from(replicas_for(demand[t.saturating_sub(LAG + 1)], unit * target));
        counts.push(own);
        debug_assert_eq!(counts.len(), t / every);
        let stored = &counts[counts.len().saturating_sub(4 * SEASON)..];
        holt_winters(stored, SEASON, [0.3, 0.05, 0.3], 2).into_iter().fold(own, f64::max)
    })
}

/// Additive Holt-Winters with fixed constants (level, trend, season): the next `ahead` values. Empty with fewer than two seasons.
fn holt_winters(values: &[f64], season: usize, [alpha, beta, gamma]: [f64; 3], ahead: usize) -> Vec<f64> {
    if values.len() < 2 * season {
        return Vec::new();
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let mut level = mean(&values[..season]);
    let mut trend = (mean(&values[season..2 * season]) - level) / season as f64;
    let mut seasonal: Vec<f64> = values[..season].iter().map(|v| v - level).collect();
    for (i, value) in values.iter().enumerate() {
        let last = level;
        let effect = &mut seasonal[i % season];
        level = alpha * (value - *effect) + (1.0 - alpha) * (last + trend);
        let before = last + trend;
        trend = beta * (level - last) + (1.0 - beta) * trend;
        *effect = gamma * (value - before) + (1.0 - gamma) * *effect;
    }
    (0..ahead).map(|h| level + (h + 1) as f64 * trend + seasonal[(values.len() + h) % season]).collect()
}

/// The least that never falls short, with a change every so many minutes: it knows the future, so a lead time costs it nothing.
fn clairvoyant(demand: &[f64], unit: f64, every: usize) -> Vec<u32> {
    demand.chunks(every).flat_map(|chunk| vec![replicas_for(greatest(chunk), unit); chunk.len()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day's rhythm between 10 and 90, in steps of a minute.
    fn daily(days: usize) -> Vec<f64> {
        (0..days * DAY).map(|i| 50.0 - 40.0 * (std::f64::consts::TAU * i as f64 / DAY as f64).cos()).collect()
    }

    #[test]
    fn who_knows_the_future_is_never_short() {
        let demand = daily(12);
        let judged = Judged { demand: &demand, unit: 10.0, from: 9 * DAY };
        let scores: std::collections::BTreeMap<_, _> = judged.all().into_iter().collect();
        let of = |name: &str| scores.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", scores.keys()));
        for name in ["clairvoyant 10m", "clairvoyant 60m", "static p100"] {
            assert_eq!(of(name).violation, 0.0, "{name}");
        }
        assert!(1.0 <= of("clairvoyant 10m").cost && of("clairvoyant 10m").cost < of("clairvoyant 60m").cost);
        assert!(of("hpa40/5m").cost > of("hpa80/5m").cost && of("hpa40/5m").violation <= of("hpa80/5m").violation);
        assert!(of("last week x1.1").violation < of("current x1.0").violation, "yesterday tells of today's rise");
        assert_eq!(of("recent24h x1.0").violation, 0.0);
        assert!(of("current x1.0 + hpa90").violation < of("current x1.0").violation);
        for name in ["krr-like", "vpa-like", "phpa70", "recent0.5h x1.25", "hpa100/180m"] {
            assert!(of(name).cost >= 0.8, "{name}: {:?}", of(name));
        }
        assert!(judged.tuned_hpa(100.0).unwrap().violation <= judged.tuned_hpa(1.0).unwrap().violation);
        assert_eq!(Judged { from: 3 * DAY, ..judged }.tuned_hpa(1.0), None);
    }

    #[test]
    fn holt_winters_knows_a_season_and_a_trend() {
        let season = [1.0, 5.0, 9.0, 5.0];
        let values: Vec<f64> = (0..40).map(|i| season[i % 4] + 0.5 * i as f64).collect();
        for (h, value) in holt_winters(&values, 4, [0.3, 0.05, 0.3], 3).into_iter().enumerate() {
            let truth = season[(40 + h) % 4] + 0.5 * (40 + h) as f64;
            assert!((value - truth).abs() < 0.6, "{value} for {truth}");
        }
        assert!(holt_winters(&values[..7], 4, [0.3, 0.05, 0.3], 3).is_empty());
    }
}
