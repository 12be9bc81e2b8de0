//! What replicas by the minute were worth.

use serde::Serialize;

use super::DAY;
use crate::decide::replicas_for;

/// Rounding must not make a minute short.
const CRUMB: f64 = 1e-9;

/// The score of a scaler on a trace; minutes without a measurement are left out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Replica-minutes, as a multiple of the [`perfect`] scaler's.
    pub cost: f64,
    /// The share of minutes in which demand exceeded capacity.
    pub violation: f64,
    /// Demand above capacity, as a share of all demand.
    pub unserved: f64,
    /// Changes of the replica count a day.
    pub churn_per_day: f64,
}

impl Score {
    /// The score of ready `replicas` by the minute, each of which carries `unit` of demand. `None` where nothing was measured.
    pub fn of(demand: &[f64], replicas: &[u32], unit: f64) -> Option<Self> {
        let (mut minutes, mut paid, mut least, mut short, mut changes) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
        let (mut total, mut unserved, mut before) = (0.0, 0.0, None);
        for (&demand, &ready) in demand.iter().zip(replicas).filter(|(demand, _)| !demand.is_nan()) {
            let capacity = f64::from(ready) * unit;
            minutes += 1;
            paid += u64::from(ready);
            least += u64::from(perfect(demand, unit));
            short += u64::from(is_short(demand, ready, unit));
            changes += u64::from(before.replace(ready).is_some_and(|before| before != ready));
            total += demand;
            unserved += (demand - capacity).max(0.0);
        }
        (minutes > 0).then(|| Self {
            cost: paid as f64 / least as f64,
            violation: short as f64 / minutes as f64,
            unserved: unserved / total.max(1e-12),
            churn_per_day: changes as f64 / (minutes as f64 / DAY as f64),
        })
    }
}

/// The least count that holds a minute's demand: no scaler can cost less without a violation.
pub fn perfect(demand: f64, unit: f64) -> u32 {
    replicas_for(demand, unit)
}

/// Whether demand exceeds what the replicas carry.
pub(super) fn is_short(demand: f64, ready: u32, unit: f64) -> bool {
    demand > f64::from(ready) * unit * (1.0 + CRUMB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_by_hand() {
        // Capacity 10 a replica. Perfect: 1, 2, gap, 3, 1.
        let demand = [5.0, 20.0, f64::NAN, 25.0, 0.0];
        let score = Score::of(&demand, &[2, 2, 9, 2, 1], 10.0).unwrap();
        assert_eq!(score.cost, 7.0 / 7.0);
        assert_eq!(score.violation, 1.0 / 4.0);
        assert_eq!(score.unserved, 5.0 / 50.0);
        assert_eq!(score.churn_per_day, 1.0 / (4.0 / 1440.0), "over a gap, the minutes beside it are compared");
        assert_eq!(Score::of(&[f64::NAN], &[1], 10.0), None);
    }

    #[test]
    fn a_crumb_needs_no_replica() {
        for (demand, expected) in [(0.0, 1), (10.0, 1), (10.000_000_001, 1), (10.001, 2), (0.3 * 100.0, 3)] {
            assert_eq!(perfect(demand, 10.0), expected, "{demand}");
        }
    }
}
