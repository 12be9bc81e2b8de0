//! Floors at several prices side by side, and the one that is followed.
//!
//! A price only says what it is meant to: forecasts err, and the autoscaler above a floor does not do what it would alone. So each aim flies
//! several lanes at once, each a price of its own, watches what they come to in the minutes that pass, and follows the one that did best.

use std::collections::VecDeque;

use super::score::is_short;
use super::{Aim, DAY, Hpa};
use crate::decide::{Curve, Running, worth};
use crate::model::Demand;

/// Lanes beside an aim's own price, as multiples of it.
const MULTIPLES: [f64; 5] = [1.0, 0.25, 0.5, 2.0, 4.0];
/// Prices among which an objective finds its own: powers of two up to this one.
const HIGHEST: i32 = 16;
/// What the floors at the highest price are stretched by, where even those are short too often.
const STRETCHES: [f64; 4] = [1.1, 1.25, 1.5, 2.0];
/// Decisions between two looks at which lane did best.
const LOOK_EVERY: usize = 36;
/// After so many days what a lane came to counts half.
const HALF_LIFE: f64 = 7.0;
/// Decisions over which an objective makes good what was short too often, or too rarely: three days of ten minutes.
const MAKE_GOOD: f64 = 432.0;

/// A floor by the minute, and the autoscaler above it.
#[derive(Clone, Debug)]
struct Flight {
    /// The minute in which it begins.
    first: usize,
    floor: Vec<u32>,
    hpa: Option<Hpa>,
    /// The autoscaler's loop, once the demand of its first minute is known.
    running: Option<Running>,
    /// The minutes that have passed since.
    passed: usize,
    bill: Bill,
}

/// What minutes came to, recent ones weighing more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bill {
    replicas: f64,
    short: f64,
    weight: f64,
}

impl Bill {
    fn add(&mut self, minute: usize, ready: u32, is_short: bool) {
        let weight = (minute as f64 / (HALF_LIFE * DAY as f64)).exp2();
        self.replicas += weight * f64::from(ready);
        self.short += if is_short { weight } else { 0.0 };
        self.weight += weight;
    }

    /// Replica-minutes a minute, a minute short counting as so many.
    pub(super) fn cost(&self, worth: f64) -> f64 {
        (self.replicas + worth * self.short) / self.weight.max(1e-300)
    }

    /// The share of minutes short.
    pub(super) fn share(&self) -> f64 {
        self.short / self.weight.max(1e-300)
    }
}

impl Flight {
    fn new(first: usize, hpa: Option<Hpa>) -> Self {
        Self { first, floor: Vec::new(), hpa, running: None, passed: 0, bill: Bill::default() }
    }

    /// The floor from minute `effective` on.
    fn set(&mut self, effective: usize, replicas: u32) {
        let before = self.floor.last().copied().unwrap_or(1);
        self.floor.resize(effective - self.first, before);
        self.floor.push(replicas);
    }

    /// Lets the known minutes pass that have not; tells whether each was short.
    fn pass(&mut self, demand: &Demand, unit: f64, startup: usize, mut each: impl FnMut(bool)) {
        for minute in self.first + self.passed..demand.len() {
            let floor_at = |ahead: usize| {
                let floor = self.floor.get(minute - self.first + ahead).or(self.floor.last());
                floor.copied().unwrap_or(1)
            };
            let ready = match self.hpa {
                Some(hpa) => {
                    let running = self.running.get_or_insert_with(|| hpa.start(demand.raw()[minute], unit));
                    let seen = demand.raw()[minute.saturating_sub(hpa.delay).max(self.first)];
                    running.minute(seen, floor_at(startup))
                }
                None => floor_at(0),
            };
            self.passed += 1;
            let demand = demand.raw()[minute];
            if !demand.is_nan() {
                let short = is_short(demand, ready, unit);
                self.bill.add(minute - self.first, ready, short);
                each(short);
            }
        }
    }
}

/// What a pilot's best lane came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flown {
    /// Its price.
    pub(super) price: f64,
    /// What its floors are multiplied by.
    pub(super) stretch: f64,
    /// Its cost in replicas, on average: at a price, with what the minutes short cost.
    pub(super) cost: f64,
    /// The share of minutes short.
    pub(super) short: f64,
}

/// One way to set floors.
#[derive(Clone, Debug)]
struct Lane {
    price: f64,
    stretch: f64,
    /// What the last decisions wanted.
    wanted: VecDeque<u32>,
    flight: Flight,
}

/// The lanes of one aim under one autoscaler.
#[derive(Clone, Debug)]
pub(super) struct Pilot {
    aim: Aim,
    unit: f64,
    startup: usize,
    /// A floor falls only to the most of what so many decisions wanted.
    steady: usize,
    lanes: Vec<Lane>,
    followed: usize,
    decided: usize,
    emitted: Flight,
    /// Minutes that have passed, and those of them that were short.
    passed: f64,
    short: f64,
}

impl Pilot {
    /// Ready to decide from the end of `demand` on. A floor falls only to the most of what the last `steady` decisions wanted.
    pub(super) fn new(aim: Aim, hpa: Option<Hpa>, unit: f64, steady: usize, demand: &Demand) -> Self {
        let first = demand.len();
        let flight = Flight::new(first, hpa);
        let lane = |price, stretch| Lane { price, stretch, wanted: VecDeque::new(), flight: flight.clone() };
        let lanes = match aim {
            Aim::Price(price) => MULTIPLES.iter().map(|multiple| lane(price * multiple, 1.0)).collect(),
            Aim::Objective(_) => {
                let prices = (0..=HIGHEST).map(|power| lane(f64::from(power).exp2(), 1.0));
                prices.chain(STRETCHES.map(|stretch| lane(f64::from(HIGHEST).exp2(), stretch))).collect()
            }
        };
        let startup = hpa.map_or(0, |hpa| hpa.startup);
        Self { aim, unit, startup, steady, lanes, followed: 0, decided: 0, emitted: flight, passed: 0.0, short: 0.0 }
    }

    /// Decides the floor from minute `effective` on, where the workload's mean size is `size` replicas.
    pub(super) fn decide(&mut self, demand: &Demand, effective: usize, curve: &Curve, size: f64) -> u32 {
        self.pass(demand);
        if self.decided > 0 {
            self.look(size);
        }
        self.decided += 1;
        for lane in &mut self.lanes {
            let floor = f64::from(curve.cheapest(worth(lane.price, size))) * lane.stretch;
            lane.wanted.push_back((floor - 1e-9).ceil() as u32);
            if lane.wanted.len() > self.steady {
                lane.wanted.pop_front();
            }
            lane.flight.set(effective, lane.wanted.iter().copied().max().unwrap_or(1));
        }
        let replicas = self.lanes[self.followed].flight.floor.last().copied().unwrap_or(1);
        self.emitted.set(effective, replicas);
        replicas
    }

    /// The last decision became another one: the limit on changes did not leave it as it was.
    pub(super) fn amend(&mut self, replicas: u32) {
        if let Some(last) = self.emitted.floor.last_mut() {
            *last = replicas;
        }
    }

    /// Lets what became known pass. Where nothing can be said, that is all: the floor stays.
    pub(super) fn pass(&mut self, demand: &Demand) {
        for lane in &mut self.lanes {
            lane.flight.pass(demand, self.unit, self.startup, |_| ());
        }
        let (passed, fell_short) = (&mut self.passed, &mut self.short);
        self.emitted.pass(demand, self.unit, self.startup, |short| {
            *passed += 1.0;
            *fell_short += f64::from(u8::from(short));
        });
    }

    /// Looks which lane did best.
    fn look(&mut self, size: f64) {
        match self.aim {
            Aim::Price(price) if self.decided.is_multiple_of(LOOK_EVERY) => {
                let worth = worth(price, size);
                let costs = self.lanes.iter().map(|lane| lane.flight.bill.cost(worth));
                self.followed = costs.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(lane, _)| lane);
            }
            Aim::Price(_) => {}
            Aim::Objective(share) => {
                let good = (share * self.passed - self.short) / (share * MAKE_GOOD * 10.0);
                let target = share * (1.0 + good).clamp(0.1, 2.0);
                let met = self.lanes.iter().position(|lane| lane.flight.bill.share() <= target);
                self.followed = met.unwrap_or(self.lanes.len() - 1);
            }
        }
    }

    /// What it came to: the cost at the aim's price, or at an objective the replicas, many more where it is missed.
    pub(super) fn cost(&self, size: f64) -> f64 {
        match self.aim {
            Aim::Price(price) => self.emitted.bill.cost(worth(price, size)),
            Aim::Objective(share) => self.emitted.bill.cost(0.0) + 1e9 * (self.emitted.bill.share() - share).max(0.0),
        }
    }

    /// The lane that, with hindsight, did best: at a price the one that cost least, at an objective the lowest price that met it.
    pub(super) fn flown(&self, size: f64) -> Flown {
        let shares: Vec<f64> = self.lanes.iter().map(|lane| lane.flight.bill.share()).collect();
        let paid = |lane: usize| self.lanes[lane].flight.bill.cost(0.0);
        let (best, cost) = match self.aim {
            Aim::Price(price) => {
                let worth = worth(price, size);
                let costs = self.lanes.iter().map(|lane| lane.flight.bill.cost(worth)).enumerate();
                costs.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
            }
            Aim::Objective(share) => match shares.iter().position(|lane| *lane <= share) {
                // Between two lanes lies what would just meet it: prices are far apart.
                Some(met) if met > 0 => {
                    let way = (shares[met - 1] - share) / (shares[met - 1] - shares[met]);
                    (met, paid(met - 1) + way * (paid(met) - paid(met - 1)))
                }
                Some(met) => (met, paid(met)),
                None => {
                    let last = self.lanes.len() - 1;
                    (last, paid(last) * shares[last] / share)
                }
            },
        };
        Flown { price: self.lanes[best].price, stretch: self.lanes[best].stretch, cost, short: shares[best] }
    }
}
