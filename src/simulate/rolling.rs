//! Decisions made again and again along a trace, each from what was known when it was made.

use super::pilot::{Flown, Pilot};
use super::score::perfect;
use super::trace::holds_for;
use super::{Aim, Cadence, DAY, Hpa, Known, MINUTE};
use crate::decide::{Carrier, Curve, Running, Sizes};
use crate::forecast::{Learner, Recipe, Shape};
use crate::model::{Calendar, Demand, Forecast};

/// Days over which an HPA and the lanes are tried.
pub(super) const TRIED: i64 = 14;
/// Days before those that are learned from.
const LEARNED: i64 = 31;
/// Days of demand that the mean size is taken of.
const SIZED: usize = 14;

/// How decisions are made along the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course<'a> {
    /// Demand that one replica carries.
    pub(super) capacity: f64,
    /// When decisions are made and when they take effect.
    pub(super) cadence: Cadence,
    /// What to aim at, each apart.
    pub(super) aims: &'a [Aim],
    /// The most changes of the floor in any 24 hours.
    pub(super) most_changes: Option<usize>,
    /// Minutes for which what was wanted keeps the floor from falling.
    pub(super) stabilize: usize,
    /// The model that forecasts.
    pub(super) recipe: &'static Recipe,
    /// The clock on the wall that demand follows.
    pub(super) calendar: &'a Calendar,
    /// What may stand above the floor, each tried apart.
    pub(super) hpas: &'a [Option<Hpa>],
    /// Epoch seconds from which on decisions are made: what goes before is only learned from.
    pub(super) tried: i64,
    /// Epoch seconds from which on each aim keeps to the autoscaler under which it did best.
    pub(super) settled: i64,
}

/// One decision.
#[derive(Debug)]
pub(super) struct Step {
    /// What was forecast; absent where nothing could be said.
    pub(super) forecast: Option<Forecast>,
    /// Whether what is known is too old to say anything.
    pub(super) stale: bool,
    /// For each aim the floor; absent without a forecast.
    pub(super) floors: Vec<Option<u32>>,
}

/// What was learned and tried so far. It only moves on.
pub(super) struct Rolling<'a> {
    course: Course<'a>,
    known: Known<'a>,
    /// Seconds between samples.
    step: i64,
    /// Epoch seconds of the first minute.
    start: i64,
    /// Instants before the learner begins, in minutes, and what was known at each.
    passed: Vec<(usize, usize)>,
    learner: Option<Learner>,
    flying: Option<Flying>,
    chosen: Option<Vec<usize>>,
}

impl<'a> Rolling<'a> {
    /// Ready to go along samples, of which there is at least one before `course.tried`, sorted by time and `step` seconds apart.
    pub(super) fn new(samples: &'a [(i64, f64)], step: i64, course: Course<'a>) -> Self {
        let oldest = course.tried - LEARNED * DAY as i64 * MINUTE;
        let samples = &samples[samples.partition_point(|(stamped, _)| *stamped < oldest)..];
        let start = samples.first().map_or(0, |(stamped, _)| stamped.div_euclid(MINUTE) * MINUTE);
        Self { course, known: Known::new(samples, step), step, start, passed: Vec::new(), learner: None, flying: None, chosen: None }
    }

    /// The instants to go through before `last`: the decisions', or a finer grid.
    pub(super) fn instants(&self, last: i64) -> impl Iterator<Item = i64> + use<> {
        let every = self.course.cadence.every;
        let spacing = spacing(every);
        let interval = self.course.cadence.interval();
        let first = self.start.div_euclid(interval) * interval + interval;
        (first..last).step_by(spacing * MINUTE as usize)
    }

    /// Moves on to an instant; `None` where no decision is made at it.
    pub(super) fn step(&mut self, at: i64) -> Option<Step> {
        let Course { cadence, recipe, calendar, tried, settled, .. } = self.course;
        let demand = self.known.at(at);
        let minute = ((at - self.start) / MINUTE) as usize;
        let shape = Shape { lead: cadence.lead, length: cadence.every };
        if let Some(learner) = &mut self.learner {
            learner.advance(demand, minute, demand.len());
        } else {
            self.passed.push((minute, demand.len()));
            // The scale of demand is told by all that goes before the first decision, and by a day at least.
            if at >= tried && demand.len() >= DAY {
                let mut learner = Learner::new(recipe, shape, spacing(cadence.every), demand, demand.len()).by(calendar);
                self.passed.drain(..).for_each(|(minute, known)| learner.advance(demand, minute, known));
                self.learner = Some(learner);
            }
        }
        if at.rem_euclid(cadence.interval()) != 0 || at < tried {
            return None;
        }
        let stale = at - demand.end() > holds_for(self.step);
        let forecast = self.learner.as_mut().filter(|_| !stale).and_then(|learner| learner.forecast(demand));
        // Nothing is tried, and nothing paid for, before something can be said.
        if forecast.is_none() && self.flying.is_none() {
            return Some(Step { forecast, stale, floors: vec![None; self.course.aims.len()] });
        }
        let flying = self.flying.get_or_insert_with(|| Flying::new(&self.course, demand));
        if at >= settled && self.chosen.is_none() {
            self.chosen = Some(flying.chosen(demand));
        }
        let floors = flying.decide(demand, forecast.as_ref(), minute + cadence.lead, cadence.every, self.chosen.as_deref());
        Some(Step { forecast, stale, floors })
    }

    /// The last decision on an aim became another one.
    pub(super) fn amend(&mut self, aim: usize, replicas: u32) {
        let (chosen, flying) = (self.chosen.as_ref().map(|chosen| chosen[aim]), self.flying.as_mut());
        if let (Some(hpa), Some(flying)) = (chosen, flying) {
            flying.pilots[aim][hpa].amend(replicas);
        }
    }

    /// For each aim the place of its autoscaler, once they have settled.
    pub(super) fn chosen(&self) -> Option<&[usize]> {
        self.chosen.as_deref()
    }

    /// What the first aim came to by `now` under each autoscaler. `None` before the first decision.
    pub(super) fn flown(&mut self, now: i64) -> Option<Vec<Flown>> {
        let flying = self.flying.as_mut()?;
        flying.land(self.known.at(now));
        let size = flying.size();
        Some(flying.pilots.first()?.iter().map(|pilot| pilot.flown(size)).collect())
    }
}

/// Minutes from one row to the next: the decisions', or the greatest even part of it.
fn spacing(every: usize) -> usize {
    (1..=10).rev().find(|minutes| every.is_multiple_of(*minutes)).unwrap_or(1)
}

/// Every aim under every autoscaler, and what those alone would have had ready.
struct Flying {
    unit: f64,
    hpas: Vec<Option<Hpa>>,
    alone: Vec<Option<(Running, Vec<u32>)>>,
    /// By aim, then by autoscaler.
    pilots: Vec<Vec<Pilot>>,
    /// The perfect scaler's replicas.
    sizes: Sizes,
}

impl Flying {
    fn new(course: &Course, demand: &Demand) -> Self {
        let Course { capacity: unit, hpas, .. } = *course;
        // So many changes a day are spent well when each holds for its share of the day.
        let every = course.cadence.every.max(1);
        let share = course.most_changes.map_or(1, |most| DAY.div_ceil(most.max(1) * every));
        let steady = share.max(course.stabilize.div_ceil(every));
        let first = demand.raw().first().copied().unwrap_or(f64::NAN);
        let alone = hpas.iter().map(|hpa| hpa.map(|hpa| (hpa.start(first, unit), Vec::new()))).collect();
        let pilot = |aim: &Aim| hpas.iter().map(|hpa| Pilot::new(*aim, *hpa, unit, steady, demand)).collect();
        let pilots = course.aims.iter().map(pilot).collect();
        Self { unit, hpas: hpas.to_vec(), alone, pilots, sizes: Sizes::default() }
    }

    /// Lets what became known pass.
    fn pass(&mut self, demand: &Demand) {
        for minute in self.sizes.len()..demand.len() {
            self.sizes.push(perfect(demand.held()[minute], self.unit));
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
        self.sizes.mean(SIZED * DAY)
    }

    /// Lets what became known pass for every pilot as well.
    fn land(&mut self, demand: &Demand) {
        self.pass(demand);
        for pilot in self.pilots.iter_mut().flatten() {
            pilot.pass(demand);
        }
    }

    /// For each aim, the autoscaler under which it did best so far.
    fn chosen(&mut self, demand: &Demand) -> Vec<usize> {
        self.land(demand);
        let size = self.size();
        let best = |pilots: &Vec<Pilot>| {
            let costs = pilots.iter().map(|pilot| pilot.cost(size));
            costs.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(hpa, _)| hpa)
        };
        self.pilots.iter().map(best).collect()
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
