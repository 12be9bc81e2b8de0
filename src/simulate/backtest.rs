//! Our own decisions on a trace, each from what was known when it was made, and what they were worth.

use chrono::DateTime;
use serde::Serialize;

use super::baseline::cheapest_hpa;
use super::budget::Budget;
use super::floor::{self, Ask, Memory};
use super::trace::{holds_for, median_step};
use super::{Cadence, DAY, Hpa, Known, Score, Trace, replay};
use crate::decide::Need;
use crate::model::{HoldReason, Window};

/// What the decisions aim at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// This price of shortfall, in replica-minutes for a minute short.
    Price(f64),
    /// At most this share of minutes short, at the lowest price that met it in the week before.
    Objective(f64),
}

/// What stands above the floor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Above {
    /// An HPA, its target and scale-down stabilization chosen on the week before the first decision, with our floor under it.
    Tuned,
    /// Nothing.
    Nothing,
    /// An HPA with this target (a share), and Kubernetes' default stabilization.
    Target(f64),
}

/// How a trace is tried.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Demand that one replica carries.
    pub capacity: f64,
    /// When decisions are made and when they take effect.
    pub cadence: Cadence,
    /// What to aim at, each apart.
    pub aims: Vec<Aim>,
    /// What stands above the floor.
    pub above: Above,
    /// The most changes of the floor in any 24 hours.
    pub most_changes: Option<usize>,
    /// Epoch seconds of the first decision; it is the next one on the cadence's grid.
    pub from: i64,
}

/// One decision of the floor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// When it was made, in epoch seconds.
    pub at: i64,
    /// When it takes effect, in epoch seconds.
    pub effective_at: i64,
    /// The floor.
    pub replicas: u32,
    /// The demand that it is to carry; absent where nothing could be said.
    pub quantile_demand: Option<f64>,
    /// Why.
    pub reasons: Vec<Why>,
}

/// Why a decision is as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Why {
    /// The forecast of the window's peak needs so many replicas.
    PeakDemand {
        /// The model that forecast it.
        model: &'static str,
        /// The quantile that pays.
        quantile: f64,
        /// What it needs.
        replicas: u32,
    },
    /// The changes of the last 24 hours leave no other: the floor stays.
    ChangesSpent {
        /// The limit.
        most: usize,
    },
    /// Nothing could be said: the floor stays.
    Held {
        /// The stable name of the reason.
        code: &'static str,
    },
}

/// The HPA that stands above the floor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Chosen {
    /// Its target, as a share of what a replica carries.
    pub target: f64,
    /// Its scale-down stabilization, in minutes.
    pub stabilize_minutes: usize,
}

/// What the decisions were worth, from the first one's minute to the end of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// The floor alone.
    pub floor: Score,
    /// The floor with the HPA above it; absent where there is none.
    pub under_hpa: Option<Score>,
}

/// One aim, tried on a trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backtest {
    /// The price of shortfall, in replica-minutes for a minute short: given, or found for the objective.
    pub price: f64,
    /// The objective, as a share of minutes; absent where a price was given.
    pub objective: Option<f64>,
    /// Demand that one replica carries.
    pub capacity_per_replica: f64,
    /// The HPA above the floor.
    pub hpa: Option<Chosen>,
    /// What the decisions were worth.
    pub scores: Scores,
    /// The decisions, by time.
    pub decisions: Vec<Decision>,
}

/// Why a trace cannot be tried.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BacktestError {
    /// The capacity is no positive number.
    #[error("the capacity of a replica must be a positive number, not {0}")]
    Capacity(f64),
    /// Too little was measured before the first decision.
    #[error("nothing to learn from: at least two samples must lie before the first decision")]
    NoHistory,
    /// Nothing was measured after it.
    #[error("nothing to judge: no minute is measured after the first decision")]
    NothingAfter,
    /// The trace leaves the calendar.
    #[error("{0} s is no instant")]
    NoInstant(i64),
    /// Never: the decisions stand on their own grid.
    #[error(transparent)]
    Replay(#[from] super::ReplayError),
}

impl From<Hpa> for Chosen {
    fn from(hpa: Hpa) -> Self {
        Self { target: hpa.target, stabilize_minutes: hpa.stabilize }
    }
}

/// Targets among which an HPA is tuned.
const TARGETS: [f64; 4] = [0.7, 0.8, 0.9, 1.0];
/// Scale-down stabilizations among which an HPA is tuned, in minutes.
const STABILIZATIONS: [usize; 3] = [5, 15, 30];
/// Prices among which the one for an objective is found: powers of two up to this one.
const HIGHEST_PRICE: i32 = 14;

/// What was decided at a grid point: for each price what the window needs, or why nothing can be said.
type Point = (i64, Result<(&'static str, Vec<Need>), HoldReason>);

/// Tries each aim on a trace, in order. A decision at `t` reads nothing that was not known at `t`; an HPA and the price for an objective are
/// chosen from what was known at the first decision.
pub fn backtest(trace: &Trace, settings: &Settings) -> Result<Vec<Backtest>, BacktestError> {
    if !(settings.capacity.is_finite() && settings.capacity > 0.0) {
        return Err(BacktestError::Capacity(settings.capacity));
    }
    let prices = prices(&settings.aims);
    let bench = Bench::new(trace, settings)?;
    let points = bench.points(&prices)?;
    settings.aims.iter().map(|aim| bench.tried(*aim, &prices, &points)).collect()
}

/// The prices at which floors are needed.
fn prices(aims: &[Aim]) -> Vec<f64> {
    let mut prices: Vec<f64> = aims.iter().filter_map(|aim| if let Aim::Price(price) = aim { Some(*price) } else { None }).collect();
    if prices.len() < aims.len() {
        prices.extend((1..=HIGHEST_PRICE).map(|power| f64::from(power).exp2()));
        prices.extend(aims.iter().filter_map(|aim| if let Aim::Objective(share) = aim { Some(1.0 / share) } else { None }));
    }
    prices.sort_by(f64::total_cmp);
    prices.dedup();
    prices
}

/// A trace, cut into the day that warms an HPA up, the week it is tuned on, and the judged rest.
struct Bench<'a> {
    trace: &'a Trace,
    settings: &'a Settings,
    /// Seconds between samples, as known at the first decision.
    step: i64,
    /// The first judged minute.
    judged: usize,
    /// The first minute of the tuning week, if there is one.
    tuning: Option<usize>,
    /// Demand by the minute before the judged part, what was not yet known at the first decision being a gap.
    before: Vec<f64>,
}

impl<'a> Bench<'a> {
    fn new(trace: &'a Trace, settings: &'a Settings) -> Result<Self, BacktestError> {
        let earlier = trace.samples().partition_point(|(stamped, _)| *stamped < settings.from);
        let step = median_step(&trace.samples()[..earlier]).ok_or(BacktestError::NoHistory)?;
        let judged = trace.minute_of(settings.from);
        if judged == trace.demand().len() {
            return Err(BacktestError::NothingAfter);
        }
        let tuning = judged.saturating_sub(7 * DAY).max(3 * DAY);
        let mut before = Known::new(trace.samples(), step).minutes(settings.from).to_vec();
        before.resize(judged, f64::NAN);
        Ok(Self { trace, settings, step, judged, tuning: (tuning < judged).then_some(tuning), before })
    }

    /// All that is decided, in the tuning week with its day of warm-up and in the judged part.
    fn points(&self, prices: &[f64]) -> Result<Vec<Point>, BacktestError> {
        let Settings { cadence, from, capacity, aims, above, .. } = self.settings;
        let tunes = *above == Above::Tuned || aims.iter().any(|aim| matches!(aim, Aim::Objective(_)));
        let first = self.tuning.filter(|_| tunes).map_or(*from, |tuning| self.trace.at(tuning - DAY));
        let interval = cadence.interval();
        let first = -(-first).div_euclid(interval) * interval; // rounded up
        let last = self.trace.at(self.trace.demand().len()) - cadence.lead_seconds();
        let mut known = Known::new(self.trace.samples(), self.step);
        let mut memory = Memory::default();
        let instant = |at: i64| DateTime::from_timestamp(at, 0).ok_or(BacktestError::NoInstant(at));
        (first..last)
            .step_by(interval as usize)
            .map(|at| {
                let now = instant(at)?;
                let known = known.at(at);
                let limit = holds_for(self.step);
                if !known.is_empty() && at - known.end() > limit {
                    let last = instant(known.end())?;
                    return Ok((at, Err(HoldReason::StaleData { last, limit: chrono::TimeDelta::seconds(limit) })));
                }
                let window = Window { from: instant(at + cadence.lead_seconds())?, to: instant(at + cadence.lead_seconds() + interval)? };
                Ok((at, floor::floors(&mut memory, &known, &Ask { now, window, prices, capacity: *capacity })))
            })
            .collect()
    }

    /// The decisions at one price, in a stretch of the points; the floor is one before it.
    fn decisions(&self, points: &[Point], price: usize) -> Vec<Decision> {
        let mut budget = Budget::new(self.settings.most_changes);
        let mut replicas = 1;
        points
            .iter()
            .map(|(at, needs)| {
                let (demand, reasons) = match needs {
                    Err(why) => (None, vec![Why::Held { code: why.code() }]),
                    Ok((model, needs)) => {
                        let Need { quantile, demand, replicas: wanted } = needs[price];
                        let mut reasons = vec![Why::PeakDemand { model, quantile, replicas: wanted }];
                        replicas = budget.spend(*at, replicas, wanted);
                        if let Some(most) = self.settings.most_changes.filter(|_| replicas != wanted) {
                            reasons.push(Why::ChangesSpent { most });
                        }
                        (Some(demand), reasons)
                    }
                };
                let effective_at = at + self.settings.cadence.lead_seconds();
                Decision { at: *at, effective_at, replicas, quantile_demand: demand, reasons }
            })
            .collect()
    }

    /// The floor by the minute of the whole trace.
    fn floor(&self, decisions: &[Decision]) -> Result<Vec<u32>, BacktestError> {
        let made: Vec<(i64, u32)> = decisions.iter().map(|decision| (decision.at, decision.replicas)).collect();
        Ok(replay(self.trace.demand().len(), self.trace.start(), &made, self.settings.cadence)?)
    }

    fn tried(&self, aim: Aim, prices: &[f64], points: &[Point]) -> Result<Backtest, BacktestError> {
        let start = points.partition_point(|(at, _)| *at < self.settings.from);
        let (before, judged) = points.split_at(start);
        let (price, objective) = match aim {
            Aim::Price(price) => (price, None),
            Aim::Objective(share) => (self.price_for(share, prices, before)?, Some(share)),
        };
        let index = prices.partition_point(|p| *p < price);
        let hpa = self.above(price, index, before)?;
        let decisions = self.decisions(judged, index);
        let floor = self.floor(&decisions)?;
        let (demand, unit) = (self.trace.demand(), self.settings.capacity);
        let floor_score = Score::of(&demand[self.judged..], &floor[self.judged..], unit).ok_or(BacktestError::NothingAfter)?;
        let under_hpa = hpa.and_then(|hpa| {
            let warm = self.judged.saturating_sub(DAY);
            let ready = hpa.ready(&demand[warm..], unit, Some(&floor[warm..]));
            Score::of(&demand[self.judged..], &ready[self.judged - warm..], unit)
        });
        let scores = Scores { floor: floor_score, under_hpa };
        Ok(Backtest { price, objective, capacity_per_replica: unit, hpa: hpa.map(Chosen::from), scores, decisions })
    }

    /// The HPA that stands above the floor at a price; where it cannot be tuned, Kubernetes' defaults.
    fn above(&self, price: f64, index: usize, before: &[Point]) -> Result<Option<Hpa>, BacktestError> {
        match (self.settings.above, self.tuning) {
            (Above::Nothing, _) => Ok(None),
            (Above::Target(target), _) => Ok(Some(Hpa { target, ..Hpa::default() })),
            (Above::Tuned, None) => Ok(Some(Hpa::default())),
            (Above::Tuned, Some(tuning)) => {
                let floor = self.floor(&self.decisions(before, index))?;
                let week = tuning - DAY..self.judged;
                let among: Vec<Hpa> = TARGETS.iter().flat_map(|target| STABILIZATIONS.map(|minutes| Hpa::new(*target, minutes))).collect();
                let demand = &self.before[week.clone()];
                Ok(cheapest_hpa(demand, self.settings.capacity, Some(&floor[week]), DAY, price, &among))
            }
        }
    }

    /// The lowest price at which no more than a share of the tuning week's minutes was short; without such a week, what the share alone
    /// says, and the highest where none is enough.
    fn price_for(&self, share: f64, prices: &[f64], before: &[Point]) -> Result<f64, BacktestError> {
        let Some(tuning) = self.tuning else { return Ok(1.0 / share) };
        let week = tuning - DAY..self.judged;
        let demand = &self.before[week.clone()];
        for (index, price) in prices.iter().enumerate() {
            let floor = self.floor(&self.decisions(before, index))?;
            let ready = match self.above(*price, index, before)? {
                None => floor[week.clone()].to_vec(),
                Some(hpa) => hpa.ready(demand, self.settings.capacity, Some(&floor[week.clone()])),
            };
            if Score::of(&demand[DAY..], &ready[DAY..], self.settings.capacity).is_some_and(|score| score.violation <= share) {
                return Ok(*price);
            }
        }
        Ok(prices.last().copied().unwrap_or(1.0 / share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_400;

    /// Two weeks of a daily rhythm with bumps, in five-minute samples.
    fn samples() -> Vec<(i64, f64)> {
        let value = |i: i64| 60.0 - 40.0 * (std::f64::consts::TAU * i as f64 / 288.0).cos() + (i * 7919 % 23) as f64;
        (0..12 * 288).map(|i| (START + i * 300, value(i))).collect()
    }

    fn settings() -> Settings {
        Settings {
            capacity: 5.0,
            cadence: Cadence::default(),
            aims: vec![Aim::Price(10.0), Aim::Price(300.0)],
            above: Above::Tuned,
            most_changes: None,
            from: START + 11 * 86_400,
        }
    }

    fn tried(settings: &Settings) -> Vec<Backtest> {
        backtest(&Trace::new(samples()).unwrap(), settings).unwrap()
    }

    #[test]
    fn decisions_stand_on_the_grid_and_are_worth_their_price() {
        let [cheap, safe] = tried(&settings()).try_into().unwrap();
        for backtest in [&cheap, &safe] {
            assert!(backtest.decisions.iter().all(|d| d.at % 600 == 0 && d.effective_at == d.at + 360 && d.at >= START + 11 * 86_400));
            assert_eq!(backtest.decisions.len(), 144);
            assert!(backtest.scores.under_hpa.unwrap().violation <= backtest.scores.floor.violation);
        }
        assert!(safe.scores.floor.violation < cheap.scores.floor.violation && safe.scores.floor.cost > cheap.scores.floor.cost);
        assert!(safe.scores.floor.violation < 0.03 && safe.scores.floor.cost < 1.6, "{:?}", safe.scores);
    }

    #[test]
    fn what_comes_later_changes_no_decision() {
        let whole = tried(&settings());
        for hours in [1, 7, 13] {
            let at = settings().from + hours * 3600;
            let cut = Trace::new(samples().into_iter().filter(|(stamped, _)| stamped + 300 <= at)).unwrap();
            let cut = backtest(&cut, &settings()).unwrap();
            for (whole, cut) in whole.iter().zip(&cut) {
                assert_eq!(whole.hpa, cut.hpa);
                let until = |backtest: &Backtest| backtest.decisions.iter().filter(|d| d.at + 360 < at).cloned().collect::<Vec<_>>();
                assert!(until(whole).len() as i64 >= hours * 6 - 1);
                assert_eq!(until(whole), until(cut), "{hours}");
            }
        }
    }

    #[test]
    fn each_choice_is_kept() {
        let with = |change: &dyn Fn(&mut Settings)| {
            let mut settings = Settings { aims: vec![Aim::Price(100.0)], ..settings() };
            change(&mut settings);
            tried(&settings).remove(0)
        };
        let alone = with(&|s| s.above = Above::Nothing);
        assert_eq!((alone.hpa, alone.scores.under_hpa), (None, None));
        let fixed = with(&|s| s.above = Above::Target(0.65));
        assert_eq!(fixed.hpa, Some(Chosen { target: 0.65, stabilize_minutes: 5 }));
        assert_eq!(fixed.decisions, alone.decisions);
        let few = with(&|s| s.most_changes = Some(6));
        assert!(few.scores.floor.churn_per_day <= 6.1 && alone.scores.floor.churn_per_day > 12.0);
        assert!(few.decisions.iter().any(|d| d.reasons.contains(&Why::ChangesSpent { most: 6 })));
        let hourly = with(&|s| s.cadence = Cadence { every: 60, lead: 10 });
        assert!(hourly.decisions.iter().all(|d| d.at % 3600 == 0 && d.effective_at == d.at + 600));
        assert!(hourly.scores.floor.cost > alone.scores.floor.cost);
    }

    #[test]
    fn an_objective_finds_its_price() {
        let of = |share: f64| tried(&Settings { aims: vec![Aim::Objective(share)], above: Above::Nothing, ..settings() }).remove(0);
        let (strict, lax) = (of(0.005), of(0.2));
        assert_eq!((strict.objective, lax.objective), (Some(0.005), Some(0.2)));
        assert!(strict.price > lax.price, "{} {}", strict.price, lax.price);
        assert!(strict.scores.floor.violation < 0.02, "{:?}", strict.scores);
    }

    #[test]
    fn what_cannot_be_tried_says_so() {
        let trace = Trace::new(samples()).unwrap();
        let error = |settings: Settings| backtest(&trace, &settings).unwrap_err();
        assert_eq!(error(Settings { capacity: 0.0, ..settings() }), BacktestError::Capacity(0.0));
        assert_eq!(error(Settings { from: START, ..settings() }), BacktestError::NoHistory);
        assert_eq!(error(Settings { from: i64::MAX, ..settings() }), BacktestError::NothingAfter);
        // Too little history is no error: the floor is held until there is enough.
        let early = backtest(&trace, &Settings { from: START + 3600, ..settings() }).unwrap().remove(0);
        assert_eq!((early.decisions[0].replicas, &early.decisions[0].reasons[..]), (1, &[Why::Held { code: "short-history" }][..]));
        assert!(early.decisions.last().unwrap().replicas > 1);
    }

    #[test]
    fn an_outage_holds_the_floor() {
        let quiet = settings().from + 3 * 3600..settings().from + 9 * 3600;
        let trace = Trace::new(samples().into_iter().filter(|(at, _)| !quiet.contains(at))).unwrap();
        let backtest = backtest(&trace, &settings()).unwrap().remove(0);
        let held: Vec<&Decision> = backtest.decisions.iter().filter(|d| d.reasons == [Why::Held { code: "stale-data" }]).collect();
        assert!((30..36).contains(&held.len()), "{}", held.len());
        assert!(held.windows(2).all(|pair| pair[0].replicas == pair[1].replicas));
    }
}
