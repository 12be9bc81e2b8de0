//! Our own decisions on a trace, each from what was known when it was made, and what they were worth.

use serde::Serialize;

use super::pilot::Pilot;
use super::score::perfect;
use super::trace::{holds_for, median_step};
use super::{Cadence, DAY, Hpa, Known, MINUTE, Score, Trace, replay};
use crate::decide::{Budget, Carrier, Curve, Need, Running};
use crate::forecast::{Learner, Recipe, Shape};
use crate::model::{Demand, Forecast};

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
    /// The model that forecasts.
    pub recipe: &'static Recipe,
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
    /// The price of shortfall, in replica-minutes for a minute short; absent where an objective was given.
    pub price: Option<f64>,
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
    /// Never: the decisions stand on their own grid.
    #[error(transparent)]
    Replay(#[from] super::ReplayError),
}

impl From<Hpa> for Chosen {
    fn from(hpa: Hpa) -> Self {
        Self { target: hpa.target, stabilize_minutes: hpa.stabilize }
    }
}

/// Targets among which an HPA is chosen, each with Kubernetes' default stabilization.
const TARGETS: [f64; 4] = [0.7, 0.8, 0.9, 1.0];
/// Days over which an HPA and the lanes are tried before the first decision.
const TRIED: i64 = 14;
/// Days of demand that the mean size is taken of.
const SIZED: usize = 14;
/// What goes before those is learned from.
const LEARNED: i64 = 31;

/// Tries each aim on a trace, in order. A decision at `t` reads nothing that was not known at `t`; an HPA is chosen from what was known at the
/// first decision.
pub fn backtest(trace: &Trace, settings: &Settings) -> Result<Vec<Backtest>, BacktestError> {
    if !(settings.capacity.is_finite() && settings.capacity > 0.0) {
        return Err(BacktestError::Capacity(settings.capacity));
    }
    let Settings { cadence, from, capacity, above, .. } = *settings;
    let earlier = trace.samples().partition_point(|(stamped, _)| *stamped < from);
    let step = median_step(&trace.samples()[..earlier]).ok_or(BacktestError::NoHistory)?;
    let judged = trace.minute_of(from);
    if judged == trace.demand().len() {
        return Err(BacktestError::NothingAfter);
    }
    let oldest = from - (TRIED + LEARNED) * DAY as i64 * MINUTE;
    let first = trace.samples().partition_point(|(stamped, _)| *stamped < oldest);
    let mut known = Known::new(&trace.samples()[first..], step);
    let start = trace.samples()[first].0.div_euclid(MINUTE) * MINUTE;

    let among: Vec<Option<Hpa>> = match above {
        Above::Nothing => vec![None],
        Above::Target(target) => vec![Some(Hpa { target, ..Hpa::default() })],
        Above::Tuned => TARGETS.iter().map(|target| Some(Hpa::new(*target, Hpa::default().stabilize))).collect(),
    };
    // The grid of rows: the decisions', or finer.
    let spacing = (1..=10).rev().find(|minutes| cadence.every.is_multiple_of(*minutes)).unwrap_or(1);
    let interval = cadence.interval();
    let first = start.div_euclid(interval) * interval + interval;
    let last = trace.at(trace.demand().len()) - cadence.lead_seconds();
    let tried = from - TRIED * DAY as i64 * MINUTE;

    let shape = Shape { lead: cadence.lead, length: cadence.every };
    let mut learner: Option<Learner> = None;
    let mut world: Option<Flying> = None;
    let mut chosen: Option<Vec<usize>> = None;
    let mut made: Vec<Vec<Decision>> = vec![Vec::new(); settings.aims.len()];
    let mut budgets: Vec<Budget> = settings.aims.iter().map(|_| Budget::new(settings.most_changes)).collect();
    for at in (first..last).step_by(spacing * MINUTE as usize) {
        let demand = known.at(at);
        let minute = ((at - start) / MINUTE) as usize;
        let learner = learner.get_or_insert_with(|| Learner::new(settings.recipe, shape, spacing, demand));
        learner.advance(demand, minute, demand.len());
        if at.rem_euclid(interval) != 0 || at < tried {
            continue;
        }
        let world = world.get_or_insert_with(|| Flying::new(settings, &among, demand));
        if at >= from && chosen.is_none() {
            chosen = Some(world.chosen(demand));
        }
        let stale = at - demand.end() > holds_for(step);
        let forecast = if stale { None } else { learner.forecast(demand) };
        let courses = world.decide(demand, forecast.as_ref(), minute + cadence.lead, cadence.every, chosen.as_deref());
        if at < from {
            continue;
        }
        for (aim, course) in courses.into_iter().enumerate() {
            let held = made[aim].last().map_or(1, |decision: &Decision| decision.replicas);
            let (replicas, demand, reasons) = match (course, &forecast) {
                (Some(wanted), Some(forecast)) => {
                    let Need { quantile, demand, .. } = Need::of(forecast, wanted, capacity);
                    let mut reasons = vec![Why::PeakDemand { model: forecast.model, quantile, replicas: wanted }];
                    let replicas = budgets[aim].spend(at, held, wanted);
                    if let Some(most) = settings.most_changes.filter(|_| replicas != wanted) {
                        reasons.push(Why::ChangesSpent { most });
                    }
                    (replicas, Some(demand), reasons)
                }
                _ => (held, None, vec![Why::Held { code: if stale { "stale-data" } else { "short-history" } }]),
            };
            made[aim].push(Decision { at, effective_at: at + cadence.lead_seconds(), replicas, quantile_demand: demand, reasons });
        }
    }
    let chosen = chosen.unwrap_or_else(|| vec![0; settings.aims.len()]);
    let judge = Judge { trace, settings, judged };
    settings.aims.iter().zip(made).zip(chosen).map(|((aim, made), hpa)| judge.scored(*aim, made, among[hpa])).collect()
}

/// Every aim under every autoscaler, and what those alone would have had ready.
struct Flying {
    unit: f64,
    hpas: Vec<Option<Hpa>>,
    alone: Vec<Option<(Running, Vec<u32>)>>,
    /// By aim, then by autoscaler.
    pilots: Vec<Vec<Pilot>>,
    /// Sums of the perfect scaler's replicas before each minute.
    perfect: Vec<f64>,
}

impl Flying {
    fn new(settings: &Settings, hpas: &[Option<Hpa>], demand: &Demand) -> Self {
        let unit = settings.capacity;
        // So many changes a day are spent well when each holds for its share of the day.
        let steady = settings.most_changes.map_or(1, |most| DAY.div_ceil(most.max(1) * settings.cadence.every.max(1)));
        let first = demand.raw().first().copied().unwrap_or(f64::NAN);
        let alone = hpas.iter().map(|hpa| hpa.map(|hpa| (hpa.start(first, unit), Vec::new()))).collect();
        let pilot = |aim: &Aim| hpas.iter().map(|hpa| Pilot::new(*aim, *hpa, unit, steady, demand)).collect();
        let pilots = settings.aims.iter().map(pilot).collect();
        Self { unit, hpas: hpas.to_vec(), alone, pilots, perfect: vec![0.0] }
    }

    /// Lets what became known pass.
    fn pass(&mut self, demand: &Demand) {
        for minute in self.perfect.len() - 1..demand.len() {
            let before = self.perfect[minute];
            self.perfect.push(before + f64::from(perfect(demand.held()[minute], self.unit)));
        }
        for (hpa, alone) in self.hpas.iter().zip(&mut self.alone) {
            let (Some(hpa), Some((running, path))) = (hpa, alone) else { continue };
            for minute in path.len()..demand.len() {
                path.push(running.minute(demand.raw()[minute.saturating_sub(hpa.delay)], 0));
            }
        }
    }

    /// The replicas that the perfect scaler had on average.
    fn size(&self) -> f64 {
        let n = self.perfect.len() - 1;
        let days = n.min(SIZED * DAY);
        (self.perfect[n] - self.perfect[n - days]) / days.max(1) as f64
    }

    /// For each aim, the autoscaler under which it did best so far.
    fn chosen(&mut self, demand: &Demand) -> Vec<usize> {
        self.pass(demand);
        let size = self.size();
        let best = |pilots: &mut Vec<Pilot>| {
            for pilot in pilots.iter_mut() {
                pilot.pass(demand);
            }
            let costs = pilots.iter().map(|pilot| pilot.cost(size));
            costs.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(hpa, _)| hpa)
        };
        self.pilots.iter_mut().map(best).collect()
    }

    /// Each aim's course under its chosen autoscaler, or the first; `None` without a forecast.
    fn decide(
        &mut self,
        demand: &Demand,
        forecast: Option<&Forecast>,
        effective: usize,
        length: usize,
        chosen: Option<&[usize]>,
    ) -> Vec<Option<u32>> {
        self.pass(demand);
        let size = self.size();
        let is_flown = |aim: usize, hpa: usize| chosen.is_none_or(|chosen| chosen[aim] == hpa);
        let mut courses = vec![None; self.pilots.len()];
        for hpa in 0..self.hpas.len() {
            if !(0..self.pilots.len()).any(|aim| is_flown(aim, hpa)) {
                continue;
            }
            let curve = forecast.map(|forecast| {
                let alone = self.alone[hpa].as_ref().map(|(_, path)| path.as_slice());
                Curve::of(forecast, demand, length, Carrier { unit: self.unit, alone })
            });
            for (aim, pilots) in self.pilots.iter_mut().enumerate().filter(|(aim, _)| is_flown(*aim, hpa)) {
                match &curve {
                    Some(curve) => courses[aim] = Some(pilots[hpa].decide(demand, effective, curve, size)),
                    None => pilots[hpa].pass(demand),
                }
            }
        }
        courses
    }
}

/// Scores what was decided.
struct Judge<'a> {
    trace: &'a Trace,
    settings: &'a Settings,
    /// The first judged minute.
    judged: usize,
}

impl Judge<'_> {
    fn scored(&self, aim: Aim, decisions: Vec<Decision>, hpa: Option<Hpa>) -> Result<Backtest, BacktestError> {
        let (demand, unit) = (self.trace.demand(), self.settings.capacity);
        let made: Vec<(i64, u32)> = decisions.iter().map(|decision| (decision.at, decision.replicas)).collect();
        let floor = replay(demand.len(), self.trace.start(), &made, self.settings.cadence)?;
        let floor_score = Score::of(&demand[self.judged..], &floor[self.judged..], unit).ok_or(BacktestError::NothingAfter)?;
        let under_hpa = hpa.and_then(|hpa| {
            let warm = self.judged.saturating_sub(DAY);
            let ready = hpa.ready(&demand[warm..], unit, Some(&floor[warm..]));
            Score::of(&demand[self.judged..], &ready[self.judged - warm..], unit)
        });
        let scores = Scores { floor: floor_score, under_hpa };
        let (price, objective) = match aim {
            Aim::Price(price) => (Some(price), None),
            Aim::Objective(share) => (None, Some(share)),
        };
        Ok(Backtest { price, objective, capacity_per_replica: unit, hpa: hpa.map(Chosen::from), scores, decisions })
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
            recipe: Recipe::named("linear").unwrap(),
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
        assert!(fixed.scores.under_hpa.unwrap().violation <= alone.scores.floor.violation);
        assert_ne!(fixed.decisions, alone.decisions, "what the HPA adds by itself needs no floor");
        let few = with(&|s| s.most_changes = Some(6));
        assert!(few.scores.floor.churn_per_day <= 6.1 && alone.scores.floor.churn_per_day > 12.0);
        assert!(few.decisions.iter().any(|d| d.reasons.contains(&Why::ChangesSpent { most: 6 })));
        let hourly = with(&|s| s.cadence = Cadence { every: 60, lead: 10 });
        assert!(hourly.decisions.iter().all(|d| d.at % 3600 == 0 && d.effective_at == d.at + 600));
        assert!(hourly.scores.floor.cost > alone.scores.floor.cost);
    }

    #[test]
    fn an_objective_is_kept() {
        let of = |share: f64| tried(&Settings { aims: vec![Aim::Objective(share)], above: Above::Nothing, ..settings() }).remove(0);
        let (strict, lax) = (of(0.005), of(0.2));
        assert_eq!((strict.objective, lax.objective), (Some(0.005), Some(0.2)));
        assert!(strict.scores.floor.cost > lax.scores.floor.cost);
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
