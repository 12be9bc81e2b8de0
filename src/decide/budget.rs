//! A limit on changes a day, spent so that a rise is still possible late in the day.

use std::collections::VecDeque;

/// Seconds a day.
const DAY: i64 = 86_400;

/// The changes of the last 24 hours against a limit.
#[derive(Debug)]
pub struct Budget {
    most: Option<usize>,
    made: VecDeque<i64>,
}

impl Budget {
    /// At most so many changes in any 24 hours, none of which is made yet.
    pub fn new(most: Option<usize>) -> Self {
        Self::after(most, [])
    }

    /// The same after changes at these instants (epoch seconds), the oldest first.
    pub fn after(most: Option<usize>, made: impl IntoIterator<Item = i64>) -> Self {
        Self { most, made: made.into_iter().collect() }
    }

    /// When the limit next leaves a rise, or else a fall: `at` (epoch seconds) where it does now, the end of time where it never does. Falls
    /// take none but the first half of the limit: money can wait, demand cannot.
    pub fn next(&self, at: i64, rises: bool) -> i64 {
        let Some(most) = self.most else { return at };
        let limit = if rises { most } else { most.div_ceil(2) };
        // With so many changes since, one more is possible once this one is a day old.
        let Some(since) = self.made.len().checked_sub(limit) else { return at };
        self.made.get(since).map_or(i64::MAX, |made| at.max(made + DAY))
    }

    /// The count that the limit leaves of a wish at `at` (epoch seconds).
    pub fn spend(&mut self, at: i64, from: u32, to: u32) -> u32 {
        if self.most.is_none() {
            return to;
        }
        while self.made.front().is_some_and(|made| *made <= at - DAY) {
            self.made.pop_front();
        }
        if to == from || self.next(at, to > from) > at {
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

    #[test]
    fn the_next_change_waits_until_an_earlier_one_is_a_day_old() {
        let budget = |most| Budget::after(Some(most), [100, 200, 300]);
        assert_eq!((budget(4).next(400, true), budget(4).next(400, false)), (400, 200 + DAY));
        assert_eq!((budget(3).next(400, true), budget(3).next(400, false)), (100 + DAY, 200 + DAY));
        assert_eq!((budget(3).next(100 + DAY, true), budget(0).next(400, true)), (100 + DAY, i64::MAX));
        assert_eq!(Budget::after(None, [100]).next(400, true), 400);
    }
}
