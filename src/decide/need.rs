//! What a floor over the window costs, and the one that pays at a price of shortfall.

use crate::model::{Demand, Forecast};

/// The demand to be ready for, and the replicas that carry it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    /// The quantile of the window maximum that it covers.
    pub quantile: f64,
    /// The window maximum at that quantile, in the signal's unit.
    pub demand: f64,
    /// The floor; at least one.
    pub replicas: u32,
}

impl Need {
    /// What a floor covers of a forecast, where a replica carries `unit`.
    pub fn of(forecast: &Forecast, replicas: u32, unit: f64) -> Self {
        let (quantile, demand) = forecast.covered(f64::from(replicas) * unit);
        Self { quantile, demand, replicas }
    }
}

/// No minute counts for more than so many times the mean size before it: one sample that is off by orders of magnitude says nothing of a size.
const OUTLYING: f64 = 16.0;

/// Mean sizes of a workload, in replicas, as sums before each minute.
#[derive(Clone, Debug)]
pub struct Sizes(Vec<f64>);

impl Default for Sizes {
    fn default() -> Self {
        Self(vec![0.0])
    }
}

impl Sizes {
    /// How many minutes there are.
    pub fn len(&self) -> usize {
        self.0.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a minute in which so many replicas would have been enough.
    pub fn push(&mut self, replicas: u32) {
        let (n, sum) = (self.len(), self.0[self.len()]);
        let before = if n == 0 { f64::from(replicas) } else { sum / n as f64 };
        self.0.push(sum + f64::from(replicas).min(OUTLYING * before.max(1.0)));
    }

    /// The mean over the last so many minutes, or as many as there are.
    pub fn mean(&self, minutes: usize) -> f64 {
        let minutes = self.len().min(minutes);
        (self.0[self.len()] - self.0[self.len() - minutes]) / minutes.max(1) as f64
    }
}

/// The size of a workload, in replicas, for which a price of shortfall is what it says: it grows and shrinks with the workload, so that one
/// price suits a fleet.
const USUAL_SIZE: f64 = 14.0;

/// What a minute short costs a workload whose mean size is `size` replicas, in replica-minutes.
pub fn worth(price: f64, size: f64) -> f64 {
    price * size / USUAL_SIZE
}

/// The least count whose replicas, which carry `unit` each, hold a demand; at least one. A billionth of a replica is none.
pub fn replicas_for(demand: f64, unit: f64) -> u32 {
    let need = demand / unit - 1e-9;
    let whole = need as u32; // NaN and what is negative are 0, what is too much is the most
    whole.saturating_add(u32::from(need > f64::from(whole))).max(1)
}

/// The replicas for a demand with `spare` (β) times the square root of what it keeps busy on top: with few replicas chance matters more, and the
/// same share of waiting needs relatively more of them (Halfin & Whitt 1981, doi:10.1287/opre.29.3.567).
pub fn staffed(demand: f64, unit: f64, spare: f64) -> u32 {
    replicas_for(demand + spare * (demand * unit).max(0.0).sqrt(), unit)
}

/// Where demand is carried: what one replica holds, and what stands ready without a floor.
#[derive(Clone, Copy, Debug)]
pub struct Carrier<'a> {
    /// Demand that one replica carries.
    pub unit: f64,
    /// The replicas that the reactive autoscaler alone had ready in each minute of the demand that was learned from; `None` where there is
    /// no autoscaler.
    pub alone: Option<&'a [u32]>,
}

/// What each floor is expected to cost over the window.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The least floor: where nothing stands above it, it carries what is expected, whatever that costs.
    least: u32,
    /// Ready replicas, on average over the window, for each entry of the [`scale`].
    paid: Vec<f64>,
    /// The share of the window's minutes that are short.
    short: Vec<f64>,
}

/// Up to here each count is an entry of its own.
const EXACT: u32 = 1024;
/// From there on, so many entries double a count.
const DOUBLING: f64 = 256.0;

/// The replicas of an entry.
fn scale(entry: usize) -> u32 {
    match u32::try_from(entry) {
        Ok(count) if count <= EXACT => count,
        _ => (f64::from(EXACT) * ((entry - EXACT as usize) as f64 / DOUBLING).exp2()).ceil() as u32,
    }
}

/// The first entry with at least so many replicas.
fn entry_of(replicas: u32) -> usize {
    if replicas <= EXACT {
        return replicas as usize;
    }
    let entry = EXACT as usize + ((f64::from(replicas) / f64::from(EXACT)).log2() * DOUBLING) as usize;
    if scale(entry) < replicas { entry + 1 } else { entry }
}

/// The autoscaler's path is looked at once in so many minutes.
const PATH_EVERY: usize = 5;
/// The minute of those at which it is.
const PATH_FIRST: usize = 2;

impl Curve {
    /// The curve of a forecast for windows of `length` minutes. Each analogue is a path: a minute of it is short when demand is above both the
    /// floor and what the autoscaler alone had ready then; the greater of the two is paid for. Both are moved to today's level.
    pub fn of(forecast: &Forecast, demand: &Demand, length: usize, carrier: Carrier) -> Self {
        let (unit, length) = (carrier.unit, forecast.told(length));
        let entry = |demand: f64| entry_of(replicas_for(demand, unit));
        let n = entry(forecast.most()) + 2;
        let (mut needed, mut alone) = (vec![0.0; n], vec![0.0; n]);
        let looks = length.saturating_sub(PATH_FIRST).div_ceil(PATH_EVERY).max(1) as f64;
        for analogue in forecast.analogues() {
            let minutes = analogue.window..(analogue.window + length).min(demand.len());
            let weight = analogue.weight / length as f64;
            match carrier.alone {
                None => {
                    for demand in demand.raw()[minutes].iter().filter(|demand| !demand.is_nan()) {
                        needed[entry(forecast.moved(analogue, *demand))] += weight;
                    }
                }
                Some(path) => {
                    for minute in minutes.clone() {
                        let (demand, ready) = (demand.raw()[minute], path.get(minute).map_or(0.0, |ready| f64::from(*ready)));
                        if demand > ready * unit * (1.0 + 1e-9) {
                            needed[entry(forecast.moved(analogue, demand))] += weight;
                        }
                    }
                    let first = minutes.start + PATH_FIRST.min(length - 1);
                    for ready in (first..minutes.start + length).step_by(PATH_EVERY).map(|minute| path.get(minute).copied().unwrap_or(0)) {
                        alone[entry(forecast.moved(analogue, f64::from(ready) * unit))] += analogue.weight / looks;
                    }
                }
            }
        }
        let least = if carrier.alone.is_none() {
            alone[0] = 1.0;
            replicas_for(forecast.point(), unit)
        } else {
            1
        };
        Self { least, paid: expected_maxima(&alone), short: tails(&needed) }
    }

    /// The floor that costs least when a minute short costs `worth` replica-minutes. Of equals it is the greatest, at least one: what costs
    /// nothing is taken as insurance. A surge may be dearer than a shortfall is worth at the workload's usual size; without an autoscaler above,
    /// the floor still carries what is expected, since nothing else would.
    pub fn cheapest(&self, worth: f64) -> u32 {
        let first = entry_of(self.least);
        let costs = self.paid.iter().zip(&self.short).map(|(paid, short)| paid + worth * short).enumerate().skip(first);
        let (mut best, mut least) = (first, f64::INFINITY);
        for (entry, cost) in costs {
            if cost <= least * (1.0 + 1e-9) {
                best = entry;
            }
            least = least.min(cost);
        }
        scale(best)
    }
}

/// For each entry, the weight behind it.
fn tails(weights: &[f64]) -> Vec<f64> {
    let mut rest = 0.0;
    let mut tails: Vec<f64> = weights
        .iter()
        .rev()
        .map(|weight| {
            let behind = rest;
            rest += weight;
            behind
        })
        .collect();
    tails.reverse();
    tails
}

/// For each entry, the expectation of the greater of it and a weighted one, in replicas.
fn expected_maxima(weights: &[f64]) -> Vec<f64> {
    let replicas = |entry: usize| f64::from(scale(entry));
    let total: f64 = weights.iter().enumerate().map(|(entry, weight)| weight * replicas(entry)).sum();
    let (mut below, mut below_sum) = (0.0, 0.0);
    weights
        .iter()
        .enumerate()
        .map(|(entry, weight)| {
            below += weight;
            below_sum += weight * replicas(entry);
            below * replicas(entry) + total - below_sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Analogue;

    /// Windows of ten minutes that each held one demand; the last says twice what it was.
    fn foreseen() -> (Forecast, Demand) {
        let mut demand = Demand::starting(0);
        [10.0, 20.0, 30.0, 20.0].iter().flat_map(|level| [*level; 10]).for_each(|value| demand.push(value));
        let analogue = |window, factor, maximum| Analogue { window, weight: 0.25, factor, maximum };
        let analogues = vec![analogue(0, 1.0, 10.0), analogue(10, 1.0, 20.0), analogue(20, 1.0, 30.0), analogue(30, 2.0, 20.0)];
        (Forecast::new("test", analogues, 0.0, 100.0, vec![]).unwrap(), demand)
    }

    #[test]
    fn a_further_replica_is_taken_while_it_saves_more_than_it_costs() {
        let (forecast, demand) = foreseen();
        let curve = Curve::of(&forecast, &demand, 10, Carrier { unit: 10.0, alone: None });
        // Each replica beyond those of the median saves a quarter of the window, as long as it is paid for.
        for (worth, replicas) in [(1.0, 3), (3.9, 3), (4.1, 4), (1e9, 4)] {
            assert_eq!(curve.cheapest(worth), replicas, "{worth}");
        }
        assert_eq!(Need::of(&forecast, 2, 10.0), Need { quantile: 0.5, demand: 20.0, replicas: 2 });
        assert_eq!(Need::of(&forecast, 4, 10.0), Need { quantile: 1.0, demand: 40.0, replicas: 4 });
    }

    #[test]
    fn what_the_autoscaler_does_alone_needs_no_floor() {
        let (forecast, demand) = foreseen();
        // Alone it was ready for all but the third window, in which it stood at one replica.
        let alone: Vec<u32> = [1, 2, 1, 2].iter().flat_map(|ready| [*ready; 10]).collect();
        let curve = Curve::of(&forecast, &demand, 10, Carrier { unit: 10.0, alone: Some(&alone) });
        assert_eq!(curve.cheapest(0.0), 1, "what it has ready in any case costs nothing");
        assert_eq!(curve.cheapest(100.0), 3, "the fourth window's four replicas are there without a floor");
    }

    #[test]
    fn spare_replicas_grow_with_the_square_root() {
        let added = |busy: f64| staffed(busy * 10.0, 10.0, 1.0) - replicas_for(busy * 10.0, 10.0);
        assert_eq!([1.0, 4.0, 9.0, 100.0, 400.0].map(added), [1, 2, 3, 10, 20]);
        assert_eq!((staffed(25.0, 10.0, 0.0), staffed(25.0, 10.0, 0.5), staffed(0.0, 10.0, 4.0)), (3, 4, 1));
        assert_eq!((staffed(f64::NAN, 10.0, 1.0), staffed(f64::MAX, 1e-9, 1.0)), (1, u32::MAX));
    }

    #[test]
    fn a_tiny_capacity_is_no_huge_curve() {
        let (forecast, demand) = foreseen();
        let curve = Curve::of(&forecast, &demand, 10, Carrier { unit: 1e-6, alone: None });
        assert!(curve.paid.len() < 6000);
        let floor = f64::from(curve.cheapest(1e12));
        assert!((40e6..=40.2e6).contains(&floor), "{floor}");
    }

    #[test]
    fn entries_are_exact_where_counts_are_small_and_close_elsewhere() {
        for replicas in (0..5000).chain([1 << 20, 123_456_789, u32::MAX - 1, u32::MAX]) {
            let (entry, found) = (entry_of(replicas), scale(entry_of(replicas)));
            assert!(found >= replicas && (replicas > EXACT || found == replicas), "{replicas}: {found}");
            assert!(
                f64::from(found) <= f64::from(replicas) * 1.004 + 1.0 && (entry == 0 || scale(entry - 1) < replicas),
                "{replicas}: {found}"
            );
        }
    }

    #[test]
    fn one_absurd_minute_makes_no_other_size() {
        let mean = |minutes: &[u32]| {
            let mut sizes = Sizes::default();
            for replicas in minutes {
                sizes.push(*replicas);
            }
            sizes.mean(minutes.len())
        };
        let mut minutes = vec![4; 20_000];
        assert!((mean(&minutes) - 4.0).abs() < 1e-9);
        minutes[7000] = u32::MAX;
        assert!(mean(&minutes) < 4.1);
        // A step is no outlier.
        minutes[10_000..].fill(40);
        assert!((mean(&minutes) - 22.0).abs() < 0.1, "{}", mean(&minutes));
        assert!(Sizes::default().mean(5).abs() < 1e-9 && Sizes::default().is_empty());
    }

    #[test]
    fn a_surge_is_carried_whatever_a_shortfall_is_worth() {
        let (forecast, demand) = foreseen();
        let curve = Curve::of(&forecast, &demand, 10, Carrier { unit: 0.1, alone: None });
        assert_eq!(curve.cheapest(worth(100.0, 1.0)), 300, "its usual size is one replica, and three hundred are expected");
    }
}
