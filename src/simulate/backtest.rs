//! Our own decisions on a trace, each from what was known when it was made, and what they were worth.

use serde::Serialize;

use super::rolling::{Course, Rolling, Step, TRIED};
use super::trace::median_step;
use super::{Aim, Cadence, DAY, Hpa, MINUTE, Score, Trace, replay};
use crate::decide::{Budget, Need};
use crate::forecast::Recipe;
use crate::model::Calendar;

/// What stands above the floor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Above {
    /// An HPA, its target and scale-down stabilization chosen on the two weeks before the first decision, with our floor under it.
    Tuned,
    /// Nothing.
    Nothing,
    /// An HPA with this target (a share), and Kubernetes' default stabilization.
    Target(f64),
}

impl Above {
    /// What is tried.
    pub(super) fn hpas(self) -> Vec<Option<Hpa>> {
        match self {
            Self::Nothing => vec![None],
            Self::Target(target) => vec![Some(Hpa { target, ..Hpa::default() })],
            Self::Tuned => STABILIZATIONS.iter().flat_map(|minutes| TARGETS.map(|target| Some(Hpa::new(target, *minutes)))).collect(),
        }
    }
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
    /// For so many minutes what was wanted keeps the floor from falling, as a policy's `stabilization` does; 0 for no time at all.
    pub stabilize: usize,
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

/// Targets among which an HPA is chosen.
pub(super) const TARGETS: [f64; 4] = [0.7, 0.8, 0.9, 1.0];
/// The scale-down stabilizations that each is tried with, in minutes. Of equals the first is chosen, Kubernetes' default.
pub(super) const STABILIZATIONS: [usize; 3] = [5, 15, 30];

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
    let among = above.hpas();
    let course = Course {
        capacity,
        cadence,
        aims: &settings.aims,
        most_changes: settings.most_changes,
        stabilize: settings.stabilize,
        recipe: settings.recipe,
        calendar: &Calendar::default(),
        hpas: &among,
        tried: from - TRIED * DAY as i64 * MINUTE,
        settled: from,
    };
    let end = trace.at(trace.demand().len());
    let mut rolling = Rolling::new(trace.samples(), step, course);
    let mut made: Vec<Vec<Decision>> = vec![Vec::new(); settings.aims.len()];
    let mut budgets: Vec<Budget> = settings.aims.iter().map(|_| Budget::new(settings.most_changes)).collect();
    for at in rolling.instants(end + 1) {
        let Some(Step { forecast, stale, floors }) = rolling.step(at).filter(|_| at >= from) else { continue };
        for (aim, floor) in floors.into_iter().enumerate() {
            let held = made[aim].last().map_or(1, |decision: &Decision| decision.replicas);
            let (replicas, demand, reasons) = match (floor, &forecast) {
                (Some(wanted), Some(forecast)) => {
                    let Need { quantile, demand, .. } = Need::of(forecast, wanted, capacity);
                    let mut reasons = vec![Why::PeakDemand { model: forecast.model, quantile, replicas: wanted }];
                    let replicas = budgets[aim].spend(at, held, wanted);
                    if let Some(most) = settings.most_changes.filter(|_| replicas != wanted) {
                        rolling.amend(aim, replicas);
                        reasons.push(Why::ChangesSpent { most });
                    }
                    (replicas, Some(demand), reasons)
                }
                _ => (held, None, vec![Why::Held { code: if stale { "stale-data" } else { "short-history" } }]),
            };
            made[aim].push(Decision { at, effective_at: at + cadence.lead_seconds(), replicas, quantile_demand: demand, reasons });
        }
    }
    let chosen = rolling.chosen().map_or_else(|| vec![0; settings.aims.len()], <[usize]>::to_vec);
    let judge = Judge { trace, settings, judged };
    settings.aims.iter().zip(made).zip(chosen).map(|((aim, made), hpa)| judge.scored(*aim, made, among[hpa])).collect()
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
            stabilize: 0,
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
            assert_eq!(backtest.decisions.len(), 145, "the last one is made at the trace's end");
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
                let until = |backtest: &Backtest| backtest.decisions.iter().filter(|d| d.at <= at).cloned().collect::<Vec<_>>();
                assert!(until(whole).len() as i64 >= hours * 6);
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
        let steady = with(&|s| s.stabilize = 30);
        let undone = |of: &Backtest| {
            let floors: Vec<u32> = of.decisions.iter().map(|decision| decision.replicas).collect();
            floors.windows(3).filter(|floors| floors[0] < floors[1] && floors[1] > floors[2]).count()
        };
        let usual = with(&|_| ());
        assert!(undone(&steady) * 4 < undone(&usual), "{} of {}", undone(&steady), undone(&usual));
        let few = with(&|s| s.most_changes = Some(6));
        assert!(few.scores.floor.churn_per_day <= 6.1 && alone.scores.floor.churn_per_day > 12.0);
        assert!(few.decisions.iter().any(|d| d.reasons.contains(&Why::ChangesSpent { most: 6 })));
        let hourly = with(&|s| (s.cadence, s.above) = (Cadence { every: 60, lead: 10 }, Above::Nothing));
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
