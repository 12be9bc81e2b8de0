//! One forecast, from a signal's history to its window.

use chrono::{DateTime, TimeDelta, Utc};

use super::course::{Course, SPACING};
use super::recipe::Recipe;
use super::rows::Shape;
use super::{LEAST_HISTORY, Learner};
use crate::model::{Calendar, Censored, Demand, Foreseen, HoldReason, Series, Window};

/// What is to be forecast, and from what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    pub(super) recipe: &'static Recipe,
    pub(super) demand: &'a Series,
    pub(super) censored: &'a Censored,
    pub(super) now: DateTime<Utc>,
    pub(super) window: Window,
    pub(super) calendar: &'a Calendar,
}

impl Task<'_> {
    /// The forecast, and what is to be kept of what was learned for it; nothing where `recall` gave what an earlier run had kept of the same.
    ///
    /// Windows in which demand was cut short are learned from only where they tell of a rise, unless too few are left.
    pub(super) fn foresee(self, phase: u64, recall: &dyn Fn() -> Option<Vec<u8>>) -> Result<(Foreseen, Option<Vec<u8>>), HoldReason> {
        let known = self.demand.known_at(self.now.timestamp());
        let have = known.measured_span();
        let too_short = || HoldReason::ShortHistory { have, need: LEAST_HISTORY };
        if have < LEAST_HISTORY {
            return Err(too_short());
        }
        let course = Course::of(known, self.now, phase);
        let mut demand = Demand::of(&course.demand);
        self.censored.stretches().for_each(|(_, from, to)| demand.censor(from, to));
        let (mut learner, kept) = self.learned(&course, &demand, recall);
        course.after().for_each(|(at, known)| learner.advance(&demand, at, known));
        match learner.forecast(&demand) {
            Some(forecast) => Ok((Foreseen { window: self.window, demand, forecast, borrowed: None }, kept)),
            None if self.censored.stretches().next().is_some() => {
                Task { censored: &Censored::default(), ..self }.foresee(phase, &|| None).map(|(foreseen, _)| (foreseen, None))
            }
            None => Err(too_short()),
        }
    }

    /// What is learned up to the cut: as it was kept, or anew and to be kept.
    fn learned(self, course: &Course, demand: &Demand, recall: &dyn Fn() -> Option<Vec<u8>>) -> (Learner, Option<Vec<u8>>) {
        let minutes = |span: TimeDelta| span.num_minutes().max(0) as usize;
        let shape = Shape { lead: minutes(self.window.from - self.now), length: minutes(self.window.length()).max(1) };
        let new = |known| Learner::new(self.recipe, shape, SPACING, demand, known).by(self.calendar);
        let Some((_, known)) = course.before().last() else { return (new(demand.len()), None) };
        let fingerprint = course.fingerprint(self.recipe, shape, self.calendar, self.censored);
        let recalled = recall()
            .and_then(|kept| Learner::recall(&kept, fingerprint, self.recipe, (shape, SPACING), self.calendar, demand, course.before()));
        if let Some(learner) = recalled {
            return (learner, None);
        }
        let mut learner = new(known);
        course.before().for_each(|(at, known)| learner.advance(demand, at, known));
        learner.settle();
        let kept = learner.keep(fingerprint);
        (learner, kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cause;

    /// Three weeks and a half of a rhythm that is never quite the same.
    fn history(step: i64) -> Series {
        let n = 26 * 86_400 / step;
        let value = |i: i64| 100.0 - 80.0 * (std::f64::consts::TAU * (i * step) as f64 / 86_400.0).cos() + (i * 7919 % 101) as f64 / 5.0;
        Series::new(1_700_000_000 / step * step, step, (0..n).map(|i| if i % 97 == 3 { f64::NAN } else { value(i) }))
    }

    fn task<'a>(demand: &'a Series, censored: &'a Censored, calendar: &'a Calendar, recipe: &str, now: i64) -> Task<'a> {
        let now = DateTime::from_timestamp(now, 0).unwrap();
        let window = Window::of_decision(now, TimeDelta::minutes(6), TimeDelta::minutes(10));
        Task { recipe: Recipe::named(recipe).unwrap(), demand, censored, now, window, calendar }
    }

    /// The forecast from a demand whose beginning is no longer known, and what is kept of it.
    fn foresee(task: Task, kept: Option<&Vec<u8>>) -> (Foreseen, Option<Vec<u8>>) {
        let oldest = task.demand.since((task.now - TimeDelta::days(20)).timestamp());
        Task { demand: &oldest, ..task }.foresee(31, &|| kept.cloned()).unwrap()
    }

    #[test]
    fn what_an_earlier_run_learned_changes_nothing() {
        let berlin: Calendar = serde_yaml::from_str("{timeZone: Europe/Berlin}").unwrap();
        for (recipe, step, calendar) in
            [("forest", 300, &Calendar::default()), ("forest", 60, &berlin), ("linear", 90, &berlin), ("naive", 300, &berlin)]
        {
            let demand = history(step);
            let marks = Series::new(demand.start(), 3600, (0..600).map(|i| f64::from(u8::from(i % 50 == 7))));
            let censored = Censored::new([(Cause::Throttled, marks)].into());
            let begin = (demand.end() - 3 * 86_400) / 600 * 600;
            let mut kept = None;
            let mut learned = 0;
            for later in [0, 600, 1200, 4 * 3600 + 137, 86_000, 86_400, 100_000] {
                let task = task(&demand, &censored, calendar, recipe, begin + later);
                let (cold, made) = foresee(task, None);
                let (warm, remade) = foresee(task, kept.as_ref());
                assert_eq!(warm.forecast, cold.forecast, "{recipe} {step} {later}");
                assert_eq!(warm.demand.raw().len(), cold.demand.raw().len());
                learned += usize::from(remade.is_some());
                kept = remade.or(kept);
                assert!(made.is_some());
            }
            assert!((1..=5).contains(&learned), "{recipe} {step}: learned {learned} times");
        }
    }

    #[test]
    fn what_was_learned_of_anything_else_is_not_used() {
        let (demand, censored, calendar) = (history(300), Censored::default(), Calendar::default());
        let now = demand.end() - 86_400;
        let usual = task(&demand, &censored, &calendar, "forest", now);
        let (foreseen, kept) = foresee(usual, None);
        let kept = kept.unwrap();
        assert!(foresee(usual, Some(&kept)).1.is_none(), "the same is recalled");
        let mut values = demand.values().to_vec();
        let changed = values.len() - 4 * 288;
        values[changed] += 1.0;
        let other = Series::new(demand.start(), 300, values);
        assert!(foresee(Task { demand: &other, ..usual }, Some(&kept)).1.is_some(), "history was corrected");
        assert!(foresee(task(&demand, &censored, &calendar, "linear", now), Some(&kept)).1.is_some(), "another model");
        let lead = Window::of_decision(usual.now, TimeDelta::minutes(16), TimeDelta::minutes(10));
        assert!(foresee(Task { window: lead, ..usual }, Some(&kept)).1.is_some(), "another window");
        // Whatever a disk made of it, it is learned again.
        for cut in [0, 1, 8, 100, kept.len() / 2, kept.len() - 1] {
            let (again, made) = foresee(usual, Some(&kept[..cut].to_vec()));
            assert!(again.forecast == foreseen.forecast && made.is_some(), "cut at {cut}");
        }
        for at in (0..kept.len()).step_by(kept.len() / 40) {
            let mut broken = kept.clone();
            broken[at] ^= 0x10;
            let (again, made) = foresee(usual, Some(&broken));
            assert!(again.forecast == foreseen.forecast && made.is_some(), "broken at {at}");
        }
    }

    #[test]
    fn silence_that_began_before_the_cut_is_no_end() {
        let (demand, censored, calendar) = (history(300), Censored::default(), Calendar::default());
        for silent in [1, 3, 30] {
            let task = task(&demand, &censored, &calendar, "forest", demand.end() + silent * 3600);
            let (cold, kept) = foresee(task, None);
            assert_eq!(foresee(task, kept.as_ref()).0.forecast, cold.forecast, "{silent} h");
        }
    }

    #[test]
    fn a_short_history_is_learned_from_whole() {
        let (demand, censored, calendar) = (history(300), Censored::default(), Calendar::default());
        let short = demand.since(demand.end() - 9 * 86_400);
        let task = task(&short, &censored, &calendar, "forest", demand.end());
        assert!(foresee(task, None).1.is_none());
    }
}
