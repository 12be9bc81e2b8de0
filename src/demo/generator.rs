//! Seeded histories of a small shop: day and night, weekdays, noise, bursts, growth and one outage. The same seed gives the same bytes.

use std::f64::consts::TAU;

use chrono::{DateTime, TimeDelta, Utc};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Exp, Normal, Poisson};

/// One workload of the shop, as it is used.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Namespace.
    pub namespace: &'static str,
    /// Name of the workload.
    pub workload: &'static str,
    /// Name of its container.
    pub container: &'static str,
    /// Requests a second at an average noon.
    pub noon: f64,
    /// CPU seconds that one request takes.
    pub cpu_per_request: f64,
    /// CPU cores that a pod uses without any request.
    pub idle_cpu: f64,
    /// Memory of a pod without any request, in bytes.
    pub idle_memory: f64,
    /// Requests a second that a pod is given at most: how many pods there are.
    pub per_pod: f64,
}

/// The workloads of the demo.
pub const SHOP: [Shape; 4] = [
    Shape {
        namespace: "shop-prod",
        workload: "frontend",
        container: "nginx",
        noon: 320.0,
        cpu_per_request: 0.0022,
        idle_cpu: 0.004,
        idle_memory: 70e6,
        per_pod: 45.0,
    },
    Shape {
        namespace: "shop-prod",
        workload: "backend",
        container: "api",
        noon: 210.0,
        cpu_per_request: 0.009,
        idle_cpu: 0.03,
        idle_memory: 290e6,
        per_pod: 36.0,
    },
    Shape {
        namespace: "shop-prod",
        workload: "redis",
        container: "redis",
        noon: 900.0,
        cpu_per_request: 0.000_12,
        idle_cpu: 0.01,
        idle_memory: 310e6,
        per_pod: 1e9,
    },
    Shape {
        namespace: "shop-staging",
        workload: "frontend",
        container: "nginx",
        noon: 12.0,
        cpu_per_request: 0.0022,
        idle_cpu: 0.004,
        idle_memory: 70e6,
        per_pod: 45.0,
    },
];

/// One minute of one workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minute {
    /// When it begins.
    pub at: DateTime<Utc>,
    /// Requests a second.
    pub requests: f64,
    /// CPU of one pod, in cores.
    pub pod_cpu: f64,
    /// Working set of one pod, in bytes.
    pub pod_memory: f64,
    /// How many pods answered.
    pub pods: u32,
}

/// The minutes of `shape` from `from` to `to`. A minute of the outage is absent: gaps are gaps.
pub fn minutes(shape: &Shape, from: DateTime<Utc>, to: DateTime<Utc>, seed: u64) -> Vec<Minute> {
    let stream =
        shape.namespace.bytes().chain(shape.workload.bytes()).fold(seed, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut rng = ChaCha8Rng::seed_from_u64(stream);
    let (Ok(wander), Ok(quiet)) = (Normal::new(0.0, 0.012), Exp::new(1.0 / (2.5 * 1440.0))) else { return Vec::new() };
    let (mut level, mut burst) = (0.0_f64, 0.0_f64);
    let mut next_burst: f64 = quiet.sample(&mut rng);
    let outage = from + TimeDelta::days(16) + TimeDelta::minutes(13 * 60 + 20);
    let mut minutes = Vec::new();
    for i in 0..(to - from).num_minutes() {
        let at = from + TimeDelta::minutes(i);
        level = 0.98 * level + wander.sample(&mut rng);
        burst *= 0.93;
        next_burst -= 1.0;
        if next_burst < 0.0 {
            burst += 0.9;
            next_burst = quiet.sample(&mut rng);
        }
        let growth = 1.0 + 0.004 * i as f64 / 1440.0;
        let rate = shape.noon * growth * rhythm(at) * level.exp() * (1.0 + burst);
        let count: f64 = Poisson::new((rate * 60.0).max(1e-3)).map_or(0.0, |poisson| poisson.sample(&mut rng));
        let requests = count / 60.0;
        let pods = (rate / shape.per_pod).ceil().max(if shape.per_pod > 1e6 { 1.0 } else { 2.0 });
        let jitter: f64 = wander.sample(&mut rng);
        if !(outage..outage + TimeDelta::minutes(25)).contains(&at) {
            minutes.push(Minute {
                at,
                requests,
                pod_cpu: (shape.idle_cpu + requests / pods * shape.cpu_per_request) * (1.0 + jitter.abs() * 4.0),
                pod_memory: shape.idle_memory * (1.0 + 0.12 * (rate / shape.noon).min(2.0) + jitter.abs()),
                pods: pods as u32,
            });
        }
    }
    minutes
}

/// Demand over a week, 1 at an average noon: two humps a day, quiet nights, quieter weekends.
fn rhythm(at: DateTime<Utc>) -> f64 {
    use chrono::{Datelike as _, Timelike as _};
    let hour = f64::from(at.hour()) + f64::from(at.minute()) / 60.0;
    let day = 0.56 - 0.44 * (TAU * (hour - 2.5) / 24.0).cos() - 0.16 * (TAU * (hour - 1.0) / 12.0).cos();
    let weekend = at.weekday().num_days_from_monday() >= 5;
    (day * if weekend { 0.62 } else { 1.0 }).max(0.04)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_minutes() {
        let from = DateTime::from_timestamp(1_792_000_020, 0).unwrap();
        let to = from + TimeDelta::days(18);
        let (a, b, c) = (minutes(&SHOP[0], from, to, 7), minutes(&SHOP[0], from, to, 7), minutes(&SHOP[0], from, to, 8));
        assert_eq!(a, b);
        assert_ne!(a, c);
        assert_eq!(a.len(), 18 * 1440 - 25, "the outage is a gap");
        let longer = minutes(&SHOP[0], from, to + TimeDelta::days(1), 7);
        assert_eq!(longer[..a.len()], a, "a later end changes nothing before it");
    }
}
