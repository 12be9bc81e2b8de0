//! A period that no calendar knows: a job every 50 minutes, a queue that is drained every three hours.

use crate::model::Demand;
use crate::model::demand::BIN;

/// Bins in which it is looked for: three days.
const STRETCH: usize = 3 * 1440 / BIN;
/// The longest period, in bins: a little over a day.
const LONGEST: usize = 319;
/// The shortest one.
const SHORTEST: usize = 5;
/// How strong the autocorrelation must be.
const STRONG: f32 = 0.22;
/// How deep the dip before it must be.
const DIP: f32 = 0.1;

/// The first lag, in bins, at which the autocorrelation of the last three days before minute `known` has a strong peak after a dip.
pub(super) fn free_period(demand: &Demand, known: usize, log: impl Fn(f64) -> f32) -> Option<usize> {
    if known < STRETCH * BIN / 3 {
        return None;
    }
    let n = STRETCH.min(known / BIN);
    let mut bins: Vec<f32> = (0..n).map(|back| log(demand.bin(known, back))).collect();
    let mean = bins.iter().sum::<f32>() / n as f32;
    for bin in &mut bins {
        *bin -= mean;
    }
    let variance = dot(&bins, &bins);
    if variance <= 1e-6 * n as f32 {
        return None;
    }
    let longest = LONGEST.min(n / 2);
    let at = |lag: usize| dot(&bins[lag..], &bins[..n - lag]) / variance;
    let mut least = f32::INFINITY;
    let (mut before, mut here) = (at(SHORTEST - 1), at(SHORTEST));
    for lag in SHORTEST..=longest {
        let next = at(lag + 1);
        least = least.min(here);
        if here > STRONG && here >= before && here > next && least < here - DIP {
            return Some(lag);
        }
        (before, here) = (here, next);
    }
    None
}

/// A dot product in eight lanes, which the compiler turns into vector instructions; the same order on every machine.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a.zip(b) {
        for i in 0..8 {
            lanes[i] += x[i] * y[i];
        }
    }
    lanes.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn found(value: impl Fn(usize) -> f64) -> Option<usize> {
        let mut demand = Demand::starting(0);
        (0..4 * 1440).for_each(|minute| demand.push(value(minute)));
        free_period(&demand, demand.len(), |demand| (demand + 1.0).ln() as f32)
    }

    #[test]
    fn a_job_every_fifty_minutes_is_found_and_noise_is_not() {
        assert_eq!(found(|minute| if minute % 50 < 10 { 30.0 } else { 2.0 }), Some(10));
        assert_eq!(found(|minute| if minute % 185 < 15 { 30.0 } else { 2.0 }), Some(37));
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let noise: Vec<f64> = (0..4 * 1440).map(|_| random.random_range(0.0..30.0)).collect();
        assert_eq!(found(|minute| noise[minute]), None);
        assert_eq!(found(|_| 3.0), None);
    }
}
