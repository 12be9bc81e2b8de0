//! Decisions, a lead time later, as ready replicas by the minute.

use super::MINUTE;

/// When decisions are made and when they take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// Minutes between two decisions, at least 1.
    pub every: usize,
    /// Minutes from a decision to Ready pods.
    pub lead: usize,
}

impl Default for Cadence {
    fn default() -> Self {
        Self { every: 10, lead: 6 }
    }
}

impl Cadence {
    /// Seconds between two decisions.
    pub fn interval(self) -> i64 {
        self.every.max(1) as i64 * MINUTE
    }

    /// Seconds from a decision to its effect.
    pub fn lead_seconds(self) -> i64 {
        self.lead as i64 * MINUTE
    }
}

/// Decisions that nobody could have made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Not on a whole minute.
    #[error("the decision at {at} is off the minute grid")]
    OffMinute {
        /// Epoch seconds.
        at: i64,
    },
    /// Sooner after another one than the cadence allows.
    #[error("the decision at {at} is the second within {minutes} minutes")]
    TooSoon {
        /// Epoch seconds.
        at: i64,
        /// The cadence.
        minutes: usize,
    },
}

/// Ready replicas in each of `minutes` from `start` (epoch seconds) on, after decisions `(epoch seconds, replicas)` in any order; one replica
/// before the first takes effect. Fails where a decision is off the minute, or the second within one interval of the epoch's grid.
pub fn replay(minutes: usize, start: i64, decisions: &[(i64, u32)], cadence: Cadence) -> Result<Vec<u32>, ReplayError> {
    let mut ready = vec![1; minutes];
    let mut sorted = decisions.to_vec();
    sorted.sort_unstable();
    let mut last = None;
    for (at, replicas) in sorted {
        if at.rem_euclid(MINUTE) != 0 {
            return Err(ReplayError::OffMinute { at });
        }
        let slot = at.div_euclid(cadence.interval());
        if last.replace(slot) == Some(slot) {
            return Err(ReplayError::TooSoon { at, minutes: cadence.every });
        }
        let from = -(start - at).div_euclid(MINUTE) + cadence.lead as i64; // rounded up
        if let Some(rest) = ready.get_mut(from.max(0) as usize..) {
            rest.fill(replicas);
        }
    }
    Ok(ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_takes_effect_after_its_lead_time() {
        let cadence = Cadence::default();
        let ready = replay(30, 0, &[(600, 5), (0, 3)], cadence).unwrap();
        assert_eq!((&ready[..6], &ready[6..16], &ready[16..]), (&[1; 6][..], &[3; 10][..], &[5; 14][..]));
        // Before the trace, beyond it, and with a start that is off the minute.
        assert_eq!(replay(2, 6000, &[(0, 4)], cadence).unwrap(), [4, 4]);
        assert_eq!(replay(2, 0, &[(6000, 4)], cadence).unwrap(), [1, 1]);
        assert_eq!(replay(8, 30, &[(60, 4)], cadence).unwrap(), [1, 1, 1, 1, 1, 1, 1, 4]);
        let hourly = Cadence { every: 60, lead: 0 };
        assert_eq!(replay(2, 0, &[(60, 4)], hourly).unwrap(), [1, 4]);
    }

    #[test]
    fn what_nobody_could_decide_is_refused() {
        let cadence = Cadence::default();
        assert_eq!(replay(9, 0, &[(30, 2)], cadence), Err(ReplayError::OffMinute { at: 30 }));
        assert_eq!(replay(9, 0, &[(540, 2), (0, 2)], cadence), Err(ReplayError::TooSoon { at: 540, minutes: 10 }));
        assert!(replay(9, 0, &[(540, 2), (600, 2)], cadence).is_ok());
    }
}
