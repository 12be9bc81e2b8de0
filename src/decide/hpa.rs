//! The Kubernetes HPA on a one-minute loop.

use std::collections::VecDeque;

/// An HPA's settings. What is not among an HPA's fields is as Kubernetes has it by default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hpa {
    /// The utilization aimed at, as a share of what a replica carries.
    pub target: f64,
    /// Minutes over which the greatest recommendation holds before it scales down.
    pub stabilize: usize,
    /// Minutes from a new pod to Ready.
    pub startup: usize,
    /// How far from 1 the ratio of usage to target must be for a change.
    pub tolerance: f64,
    /// Its least replicas, where no floor says more.
    pub least: u32,
    /// Its most replicas.
    pub most: u32,
    /// How old its metrics are, in minutes.
    pub delay: usize,
}

impl Default for Hpa {
    fn default() -> Self {
        Self { target: 0.8, stabilize: 5, startup: 2, tolerance: 0.1, least: 1, most: 5000, delay: 1 }
    }
}

impl Hpa {
    /// An HPA with a target and a scale-down stabilization in minutes.
    pub fn new(target: f64, stabilize: usize) -> Self {
        Self { target, stabilize, ..Self::default() }
    }

    /// Ready replicas by the minute for a demand of which each carries `unit`. `floor` is its `minReplicas` by the minute, as *ready* replicas:
    /// it is raised [`Self::startup`] minutes earlier, since the lead time of a floor already counts the start.
    pub fn ready(&self, demand: &[f64], unit: f64, floor: Option<&[u32]>) -> Vec<u32> {
        let floor_at = |minute: usize| floor.map_or(0, |floor| floor.get(minute + self.startup).or(floor.last()).copied().unwrap_or(0));
        let Some(first) = demand.first() else { return Vec::new() };
        let mut running = self.start(*first, unit);
        (0..demand.len()).map(|minute| running.minute(demand[minute.saturating_sub(self.delay)], floor_at(minute))).collect()
    }

    /// The loop at its first minute, with what its first demand asks for already ready.
    pub fn start(&self, demand: f64, unit: f64) -> Running {
        let first = if demand.is_nan() { 0.0 } else { demand };
        let spec = ((first / (unit * self.target)).ceil() as i64).max(i64::from(self.least));
        let becoming = VecDeque::from(vec![0; self.startup + 1]);
        Running { hpa: *self, unit, spec, up: spec, becoming, coming: 0, wanted: VecDeque::new(), greatest: (0, 0), steady: None }
    }
}

/// An HPA's loop between two minutes.
#[derive(Clone, Debug)]
pub struct Running {
    hpa: Hpa,
    unit: f64,
    /// What it asked for last.
    spec: i64,
    /// Ready pods.
    up: i64,
    /// The total once pods become ready, by the minute from the coming one on; 0 where none do.
    becoming: VecDeque<i64>,
    /// The minutes until the last of them are ready.
    coming: usize,
    /// What it recommended in the last minutes.
    wanted: VecDeque<i64>,
    /// The greatest of those, and for how many minutes it will be among them.
    greatest: (i64, usize),
    /// The demand and the floor of the last minute, where nothing changed in it, nor will while they stay.
    steady: Option<(f64, u32)>,
}

impl Running {
    /// Lets a minute pass: the replicas that are ready in it. `seen` is the demand of [`Hpa::delay`] minutes ago, NaN without a metric; `floor`
    /// its `minReplicas` now.
    pub fn minute(&mut self, seen: f64, floor: u32) -> u32 {
        if self.steady == Some((seen, floor)) {
            self.remember(self.spec);
            return self.up.clamp(0, i64::from(u32::MAX)) as u32;
        }
        if self.coming > 0 {
            self.coming -= 1;
            self.up = self.up.max(self.becoming.pop_front().unwrap_or(0));
            self.becoming.push_back(0);
        }
        self.up = self.up.min(self.spec);
        let ready = self.up.clamp(0, i64::from(u32::MAX)) as u32;

        let low = i64::from(floor.max(self.hpa.least));
        let mut want = self.recommended(seen).unwrap_or(self.spec).max(low).min(i64::from(self.hpa.most));
        self.remember(want);
        self.steady = (want == self.spec && self.up == want && self.coming == 0).then_some((seen, floor));
        if want < self.spec {
            want = self.greatest.0.max(low).min(self.spec);
        }
        if want > self.spec {
            if let Some(total) = self.hpa.startup.checked_sub(1).and_then(|ahead| self.becoming.get_mut(ahead)) {
                *total = want.max(*total);
                self.coming = self.hpa.startup;
            }
        } else if want < self.spec && self.coming > 0 {
            for total in self.becoming.iter_mut().take(self.hpa.startup) {
                *total = want.min(*total);
            }
        }
        self.spec = want;
        ready
    }

    /// Enters a recommendation among those of the last minutes.
    fn remember(&mut self, want: i64) {
        self.wanted.push_back(want);
        let most = self.hpa.stabilize.max(1);
        if self.wanted.len() > most {
            self.wanted.pop_front();
        }
        let (greatest, left) = self.greatest;
        self.greatest = if want >= greatest {
            (want, most)
        } else if left > 1 {
            (greatest, left - 1)
        } else {
            let recent = self.wanted.iter().enumerate();
            recent.max_by_key(|(_, want)| **want).map_or((0, 0), |(place, want)| (*want, place + 1))
        };
    }

    /// What the formula says: the replicas that bring utilization to the target. `None` within the tolerance, or without a metric.
    fn recommended(&self, demand: f64) -> Option<i64> {
        let ratio = demand / (self.up as f64 * self.unit) / self.hpa.target;
        // A missing metric makes the ratio NaN.
        ((ratio - 1.0).abs() > self.hpa.tolerance).then(|| (self.up as f64 * ratio - 1e-9).ceil() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_followed_late_and_a_fall_later() {
        let mut demand = vec![8.0; 5];
        demand.extend([40.0; 10]);
        demand.extend([8.0; 12]);
        let ready = Hpa::new(0.8, 5).ready(&demand, 10.0, None);
        // Seen a minute later, ready two minutes after that.
        assert_eq!(ready[..15], [1, 1, 1, 1, 1, 1, 1, 1, 5, 5, 5, 5, 5, 5, 5]);
        // Seen a minute later, and held until no recommendation of the last five minutes asks for more.
        assert_eq!(ready[15..], [5, 5, 5, 5, 5, 5, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn a_floor_is_ready_when_it_says() {
        let floor = [1, 1, 1, 1, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2];
        let ready = Hpa::new(0.8, 1).ready(&[1.0; 14], 10.0, Some(&floor));
        assert_eq!(ready[..7], [1, 1, 1, 1, 4, 4, 2], "it is lowered as early as it is raised");
        assert_eq!(*ready.last().unwrap(), 2);
    }

    #[test]
    fn without_stabilization_a_fall_goes_no_further_than_the_formula() {
        let ready = Hpa::new(0.8, 0).ready(&[40.0, 40.0, 40.0, 24.0, 24.0, 24.0, 24.0, 24.0], 10.0, None);
        assert_eq!(ready, [5, 5, 5, 5, 5, 3, 3, 3]);
    }

    #[test]
    fn tolerance_gaps_and_bounds() {
        assert_eq!(Hpa::new(1.0, 5).ready(&[10.0, 10.9, 10.9, 10.9, 10.9, 10.9], 10.0, None), [1; 6]);
        assert_eq!(Hpa::new(1.0, 5).ready(&[f64::NAN; 4], 10.0, None), [1; 4]);
        let bounded = Hpa { most: 3, ..Hpa::new(1.0, 5) };
        assert_eq!(*bounded.ready(&[10.0, 900.0, 900.0, 900.0, 900.0, 900.0], 10.0, None).last().unwrap(), 3);
        assert!(Hpa::default().ready(&[], 10.0, None).is_empty());
    }
}
