//! Where latency turns up: the load of a replica at which its power, load over latency, is greatest
//! (Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer communications", ICC 1979). Up to it, more load costs
//! little latency; beyond it, latency grows by a larger share than load does.

use crate::model::Knee;

use super::{DAY, hours, median, varies};

/// Loads are told by so many groups of as many points each.
const GROUPS: usize = 20;
/// So many groups must lie beyond the knee,
const BEYOND: usize = 2;
/// have no more than this share of its power,
const LOST: f64 = 0.8;
/// and this many times its latency.
const SLOWER: f64 = 1.5;
/// By so much may a replica's latency follow what all carried more closely than what each did.
const ALIKE: f64 = 0.05;

/// Five minutes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Demand of each replica.
    pub(super) each: f64,
    /// Demand of all.
    pub(super) total: f64,
    /// In the unit of its histogram.
    pub(super) latency: f64,
}

/// The knee; `None` where loads beyond it were hardly seen, or where latency follows what all replicas carry rather than what each does: what is
/// shared behind them is slow then, and more replicas would not help.
pub(super) fn knee(loads: &[Load]) -> Option<Knee> {
    if loads.len() < DAY || !varies(loads.iter().map(|load| load.each)) {
        return None;
    }
    let latency = ranks(loads, |load| load.latency);
    let follows = |of: fn(&Load) -> f64| correlation(&ranks(loads, of), &latency);
    if follows(|load| load.each) + ALIKE < follows(|load| load.total) {
        return None;
    }
    let mut sorted = loads.to_vec();
    sorted.sort_by(|a, b| a.each.total_cmp(&b.each));
    let median_of = |group: &[Load], of: fn(&Load) -> f64| median(group.iter().map(of).collect());
    let groups: Vec<(f64, f64)> = sorted
        .chunks(sorted.len().div_ceil(GROUPS))
        .map(|group| (median_of(group, |load| load.each), median_of(group, |load| load.latency)))
        .collect();
    let power = |(load, latency): &(f64, f64)| load / latency;
    let (at, (load, latency)) = groups.iter().enumerate().max_by(|a, b| power(a.1).total_cmp(&power(b.1)))?;
    let beyond = &groups[at + 1..];
    let last = beyond.len().checked_sub(BEYOND)?;
    let is_beyond = |group: &(f64, f64)| power(group) <= LOST * load / latency && group.1 >= SLOWER * latency;
    let slowest = beyond.iter().map(|(_, latency)| *latency).fold(0.0, f64::max);
    beyond[last..].iter().all(is_beyond).then_some(Knee { load: *load, latency: *latency, beyond: slowest, hours: hours(loads.len()) })
}

/// The place of each value among all.
fn ranks(loads: &[Load], of: impl Fn(&Load) -> f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..loads.len()).collect();
    order.sort_by(|a, b| of(&loads[*a]).total_cmp(&of(&loads[*b])));
    let mut ranks = vec![0.0; loads.len()];
    for (rank, at) in order.into_iter().enumerate() {
        ranks[at] = rank as f64;
    }
    ranks
}

/// Pearson's correlation of two rankings, which is Spearman's of what they rank.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let covariance: f64 = a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum();
    let variance: f64 = a.iter().map(|a| (a - middle).powi(2)).sum();
    covariance / variance.max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three days of demand between 40 and 360 by `replicas`, with latency of what each and all carry.
    fn days(replicas: impl Fn(usize) -> f64, latency: impl Fn(f64, f64) -> f64) -> Vec<Load> {
        let load = |i: usize| {
            let total = 200.0 + 160.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin();
            let noise = 1.0 + 0.3 * (((i * 7919) % 101) as f64 / 101.0 - 0.5);
            let each = total / replicas(i);
            Load { each, total, latency: latency(each, total) * noise }
        };
        (0..3 * DAY).map(load).collect()
    }

    #[test]
    fn a_queue_has_its_knee_at_half_of_what_it_can() {
        // One server: the time in an M/M/1 queue that serves 100 is 1 / (100 - load).
        let queue = |each: f64, _: f64| 1.0 / (100.0 - each);
        let knee = knee(&days(|_| 4.0, queue)).unwrap();
        assert!((42.0..58.0).contains(&knee.load) && knee.beyond > 2.0 * knee.latency && knee.hours == 72, "{knee:?}");
    }

    #[test]
    fn what_is_flat_and_then_steep_has_its_knee_between() {
        let steep = |each: f64, _: f64| 0.05 * (1.0 + ((each - 60.0).max(0.0) / 10.0).powi(2));
        let knee = knee(&days(|_| 4.0, steep)).unwrap();
        assert!((55.0..70.0).contains(&knee.load), "{knee:?}");
    }

    #[test]
    fn no_knee_is_made_of_noise_or_of_what_is_shared() {
        assert_eq!(knee(&days(|_| 4.0, |_, _| 0.05)), None);
        assert_eq!(knee(&days(|_| 4.0, |each, _| 0.05 + each * 1e-4)), None, "latency that grows by less than load");
        let saturated = |_: f64, total: f64| 0.05 / (1.0 - total / 400.0);
        let scaled = |i: usize| if i.is_multiple_of(3) { 2.0 } else { 6.0 };
        assert_eq!(knee(&days(scaled, saturated)), None, "a database behind all of them");
        assert_eq!(knee(&days(|_| 4.0, |each, _| 1.0 / (100.0 - each))[..DAY - 1]), None, "less than a day");
    }
}
