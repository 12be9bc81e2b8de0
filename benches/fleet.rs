//! 10,000 workloads with 28 days of five-minute samples each, forecast and decided: the promise is less than 60 s on two cores, and less than
//! 512 MiB beyond the data.
//!
//! `cargo bench --bench fleet -- [WORKLOADS]`
#![allow(clippy::print_stdout)]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta};
use prescale::decide::{Carrier, Curve, worth};
use prescale::forecast::window_maximum;
use prescale::model::{Calendar, Series, Window};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const SAMPLES: usize = 28 * 288;
const END: i64 = 1_790_000_100;

fn main() {
    let workloads = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, floors) = (AtomicUsize::new(0), AtomicU64::new(0));
    let start = Instant::now();
    let made = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(workload) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|workload| *workload < workloads) {
                    let generating = Instant::now();
                    let history = history(workload as u64);
                    made.fetch_add(generating.elapsed().as_nanos() as u64, Ordering::Relaxed);
                    floors.fetch_add(u64::from(floor(&history)), Ordering::Relaxed);
                }
            });
        }
    });
    let generated = made.into_inner() as f64 / 1e9 / cores as f64;
    let took = start.elapsed().as_secs_f64() - generated;
    println!(
        "{workloads} workloads on {cores} cores: {took:.1} s ({:.1} ms of a core each), {} replicas in all",
        took * 1e3 * cores as f64 / workloads as f64,
        floors.into_inner()
    );
}

/// A daily rhythm with a week's, noise, and a burst now and then.
fn history(seed: u64) -> Series {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (level, swing, phase) = (random.random_range(10.0..1000.0), random.random_range(0.0..0.8), random.random_range(0.0..1.0));
    let mut burst = 0;
    let values: Vec<f64> = (0..SAMPLES)
        .map(|i| {
            let day = (i as f64 / 288.0 + phase).fract();
            let weekend = if i / 288 % 7 >= 5 { 0.7 } else { 1.0 };
            if random.random_range(0..400) == 0 {
                burst = 6;
            }
            burst = usize::saturating_sub(burst, 1);
            let noise = 1.0 + 0.2 * (random.random_range(0.0..1.0) - 0.5);
            level * weekend * noise * (1.0 + swing * (std::f64::consts::TAU * day).sin()) * if burst > 0 { 1.6 } else { 1.0 }
        })
        .collect();
    Series::new(END - SAMPLES as i64 * 300, 300, values)
}

fn floor(history: &Series) -> u32 {
    let now = DateTime::from_timestamp(END, 0).expect("an instant");
    let window = Window::of_decision(now, TimeDelta::minutes(6), TimeDelta::minutes(10));
    let foreseen = window_maximum(history, now, window, &Calendar::default()).expect("a forecast");
    let unit = history.values().iter().copied().fold(0.0, f64::max) / 20.0;
    let curve = Curve::of(&foreseen.forecast, &foreseen.demand, 10, Carrier { unit, alone: None });
    curve.cheapest(worth(100.0, 10.0))
}
