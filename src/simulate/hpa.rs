//! The Kubernetes HPA on a one-minute loop.

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
        let (least, most) = (i64::from(self.least), i64::from(self.most));
        let floor_at = |minute: usize| {
            let floor = floor.and_then(|floor| floor.get(minute + self.startup).or(floor.last()));
            floor.map_or(least, |floor| i64::from(*floor).max(least))
        };
        let n = demand.len();
        let first = demand.first().copied().filter(|v| !v.is_nan()).unwrap_or(0.0);
        let mut spec = ((first / (unit * self.target)).ceil() as i64).max(least);
        let mut up = spec;
        let mut becoming = vec![0; n + self.startup + 2]; // the total once pods become ready at a minute
        let mut wanted: Vec<i64> = Vec::with_capacity(n);
        let mut ready = Vec::with_capacity(n);
        for minute in 0..n {
            if becoming[minute] > 0 {
                up = up.max(becoming[minute]);
            }
            up = up.min(spec);
            ready.push(up.clamp(0, i64::from(u32::MAX)) as u32);

            let low = floor_at(minute);
            let mut want = self.recommended(demand[minute.saturating_sub(self.delay)], unit, up).unwrap_or(spec).max(low).min(most);
            wanted.push(want);
            if want < spec {
                let recent = &wanted[(minute + 1).saturating_sub(self.stabilize)..];
                want = recent.iter().copied().max().unwrap_or(0).max(low).min(spec);
            }
            if want > spec {
                let total = &mut becoming[minute + self.startup];
                *total = want.max(*total);
            } else if want < spec {
                for total in &mut becoming[minute + 1..=minute + self.startup] {
                    *total = want.min(*total);
                }
            }
            spec = want;
        }
        ready
    }

    /// What the formula says: the replicas that bring utilization to the target. `None` within the tolerance, or without a metric.
    fn recommended(&self, demand: f64, unit: f64, up: i64) -> Option<i64> {
        let ratio = demand / (up as f64 * unit) / self.target;
        // A missing metric makes the ratio NaN.
        ((ratio - 1.0).abs() > self.tolerance).then(|| (up as f64 * ratio - 1e-9).ceil() as i64)
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
    fn tolerance_gaps_and_bounds() {
        assert_eq!(Hpa::new(1.0, 5).ready(&[10.0, 10.9, 10.9, 10.9, 10.9, 10.9], 10.0, None), [1; 6]);
        assert_eq!(Hpa::new(1.0, 5).ready(&[f64::NAN; 4], 10.0, None), [1; 4]);
        let bounded = Hpa { most: 3, ..Hpa::new(1.0, 5) };
        assert_eq!(*bounded.ready(&[10.0, 900.0, 900.0, 900.0, 900.0, 900.0], 10.0, None).last().unwrap(), 3);
        assert!(Hpa::default().ready(&[], 10.0, None).is_empty());
    }
}
