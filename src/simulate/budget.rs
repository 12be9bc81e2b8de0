//! A limit on changes a day, spent so that a rise is still possible late in the day.

use std::collections::VecDeque;

/// Seconds a day.
const DAY: i64 = 86_400;

/// The changes of the last 24 hours against a limit.
#[derive(Debug)]
pub(super) struct Budget {
    most: Option<usize>,
    made: VecDeque<i64>,
}

impl Budget {
    pub(super) fn new(most: Option<usize>) -> Self {
        Self { most, made: VecDeque::new() }
    }

    /// The count that the limit leaves of a wish at `at` (epoch seconds). Falls may spend half of the limit only: money can wait, demand cannot.
    pub(super) fn spend(&mut self, at: i64, from: u32, to: u32) -> u32 {
        let Some(most) = self.most else { return to };
        while self.made.front().is_some_and(|made| *made <= at - DAY) {
            self.made.pop_front();
        }
        let limit = if to > from { most } else { most.div_ceil(2) };
        if to == from || self.made.len() >= limit {
            return from;
        }
        self.made.push_back(at);
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_leave_room_for_rises() {
        let mut budget = Budget::new(Some(3));
        // (hour, from, to) -> what is left of it
        for (hour, from, to, left) in [
            (0, 1, 5, 5),
            (1, 5, 4, 4),
            (2, 4, 3, 4), // falls have had their half
            (3, 4, 9, 9),
            (4, 9, 10, 9), // all is spent
            (5, 9, 9, 9),
            (24, 9, 8, 9), // two of the last 24 hours are left
            (26, 9, 8, 8),
        ] {
            assert_eq!(budget.spend(hour * 3600, from, to), left, "hour {hour}");
        }
        assert_eq!(Budget::new(None).spend(0, 9, 1), 1);
        assert_eq!(Budget::new(Some(0)).spend(0, 1, 9), 1);
    }
}
