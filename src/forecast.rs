//! Forecasts of demand over a decision's window. Pure and deterministic.
//!
//! Each past decision is a row: what was known at it (its features), and what its window then held (its outcome, the log of the window's
//! maximum). A [`Forecaster`] is fitted on the *window maximum itself*: the maximum of point quantiles covers only four in five real hourly
//! peaks, a direct model nineteen in twenty. A [`Recipe`] is a model: one or more forecasters as bases, and how it tells which past rows are
//! like the one to come. Those rows, each moved by how far its base is from today's, are the forecast: a weighted set of past windows. The
//! [`Learner`] keeps all of it as decisions go by.
//!
//! [`all`] forecasts a snapshot, each signal by the champion of its study, or by its sibling's history where its own is too short. What is learned
//! of a signal up to an hour of the day (its course's cut) follows from its history up to then, and can be kept for the runs of a day: `course`
//! tells when, `task` recalls it or learns it anew, and each `kept` is how a part is written. This stage reads and writes none of it itself.

mod calibration;
mod course;
mod forest;
mod gram;
mod holt_winters;
mod kept;
mod learner;
mod linear;
mod naive;
mod period;
mod profile;
mod recipe;
mod rows;
mod season;
mod sibling;
mod stack;
mod task;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::policy::delta;
use crate::model::snapshot::Driven;
use crate::model::{
    BATCH, Calendar, Censored, Foreseen, HoldReason, Learned, Observed, Rhythm, Route, Series, Snapshot, Window, on_all_cores,
};
use task::Task;

pub use calibration::{Calibration, WANTED};
pub use forest::Growth;
pub use holt_winters::HoltWinters;
pub use learner::{KeptFitted, Learner};
pub use linear::Linear;
pub use naive::{NAIVE, RECENT, Reading, SeasonalNaive};
pub use profile::ProfileLevel;
pub use recipe::{Likeness, RECIPES, Recipe, Target};
pub use rows::{Rows, Shape};
pub use stack::{Median, Stack};

/// A way to forecast. Unfitted: it cannot predict.
pub trait Forecaster: Sync + fmt::Debug {
    /// The name that plans and records carry.
    fn name(&self) -> &'static str;

    /// Learns from the rows before `until` whose window has passed. `None` where there are too few.
    fn fit(&self, rows: &Rows, until: usize) -> Option<Box<dyn Fitted>>;
}

/// A fitted forecaster.
pub trait Fitted {
    /// The log of a row's window maximum; reads no outcome from the row on.
    fn predict(&self, rows: &Rows, row: usize) -> f32;

    /// What is kept of it until the next run; `None` where it is fitted anew each time.
    fn keep(&self) -> Option<KeptFitted> {
        None
    }
}

/// What the forecasts need to know of the decisions.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Time between two decisions.
    pub every: TimeDelta,
    /// From a decision to Ready pods, where the policy does not say.
    pub lead: TimeDelta,
}

impl Settings {
    /// The window that a decision on this workload at `now` must cover.
    pub fn window(&self, workload: &Observed, now: DateTime<Utc>) -> Window {
        let startup = workload.startup.or_else(|| workload.lead.startup()).unwrap_or_default();
        // How long people take to merge is not measured.
        let measured = workload.lead.total().filter(|_| workload.policy.route(Rhythm::Floor) == Route::Commit);
        let lead = match (workload.policy.spec.lead_time, measured) {
            (Some(lead), _) => delta(lead).max(startup),
            // By whole minutes, which do not change with each start.
            (None, Some(total)) => TimeDelta::minutes((total.num_seconds() + 59) / 60).max(startup),
            (None, None) => self.lead.max(startup),
        };
        Window::of_decision(now, lead, self.every)
    }
}

/// The least history that is forecast from: with less than a day, time of day means nothing.
pub const LEAST_HISTORY: TimeDelta = TimeDelta::days(1);

/// A forecast for each signal of each workload of the snapshot, in their order; where there can be none, why. They are made on all cores, as
/// they are asked for. `recall` gives what an earlier run learned, by its name, and `keep` takes what was learned anew: that saves time, and
/// changes nothing else.
pub fn all(
    snapshot: &Snapshot,
    settings: Settings,
    recall: impl Fn(&str) -> Option<Vec<u8>> + Sync,
    keep: impl Fn(&Learned) + Sync,
) -> impl Iterator<Item = Vec<Result<Foreseen, HoldReason>>> {
    let each = move |workload: &Observed| {
        let signals = workload.signals.iter();
        signals.map(|driven| one(workload, driven, snapshot, &settings, &recall, &keep)).collect()
    };
    snapshot.workloads.chunks(BATCH).flat_map(move |workloads| on_all_cores(workloads, &each))
}

/// The forecast for one signal, by its own history or a sibling's.
fn one(
    workload: &Observed,
    driven: &Driven,
    snapshot: &Snapshot,
    settings: &Settings,
    recall: impl Fn(&str) -> Option<Vec<u8>>,
    keep: impl Fn(&Learned),
) -> Result<Foreseen, HoldReason> {
    let demand = driven.demand.as_ref().map_err(Clone::clone)?;
    check_fresh(demand, snapshot.now, delta(workload.policy.spec.stale_after))?;
    let task = Task {
        recipe: champion(driven),
        demand,
        censored: &workload.censored,
        now: snapshot.now,
        window: settings.window(workload, snapshot.now),
        calendar: &workload.policy.spec.calendar,
    };
    let (name, phase) = Learned::name(workload, driven);
    match task.foresee(phase, &|| recall(&name)) {
        Err(why @ HoldReason::ShortHistory { .. }) => sibling::borrow(workload, driven, snapshot, settings).ok_or(why),
        Err(why) => Err(why),
        Ok((foreseen, learned)) => {
            if let Some(bytes) = learned {
                keep(&Learned { name, bytes });
            }
            Ok(foreseen)
        }
    }
}

/// The model that its study says is best for a signal, or the usual one.
fn champion(driven: &Driven) -> &'static Recipe {
    driven.study.as_ref().ok().and_then(|study| Recipe::named(&study.model)).unwrap_or_else(Recipe::usual)
}

/// Data must be recent: nothing is scaled on silence.
fn check_fresh(demand: &Series, now: DateTime<Utc>, limit: TimeDelta) -> Result<(), HoldReason> {
    match demand.known_at(now.timestamp()).last_measured() {
        Some(last) if now - last > limit => Err(HoldReason::StaleData { last, limit }),
        _ => Ok(()),
    }
}

/// The forecast of the maximum over `window` by the usual model, from what was known of `demand` at `now`, on a calendar.
pub fn window_maximum(demand: &Series, now: DateTime<Utc>, window: Window, calendar: &Calendar) -> Result<Foreseen, HoldReason> {
    let task = Task { recipe: Recipe::usual(), demand, censored: &Censored::default(), now, window, calendar };
    task.foresee(0, &|| None).map(|(foreseen, _)| foreseen)
}

#[cfg(test)]
mod bad_input;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cause, calendar};

    const DAY: usize = 288;

    fn series(values: impl IntoIterator<Item = f64>) -> (Series, DateTime<Utc>) {
        let series = Series::new(1_700_000_100, 300, values);
        let now = DateTime::from_timestamp(series.end(), 0).unwrap();
        (series, now)
    }

    fn ahead(now: DateTime<Utc>) -> Window {
        Window::of_decision(now, TimeDelta::minutes(6), TimeDelta::minutes(10))
    }

    /// Demand over a day, peaking at noon of the grid's own clock.
    fn daily(i: usize) -> f64 {
        100.0 - 80.0 * (std::f64::consts::TAU * i as f64 / DAY as f64).cos()
    }

    #[test]
    fn a_daily_rhythm_is_forecast() {
        for until in [DAY * 14, DAY * 14 + DAY / 4, DAY * 14 + DAY / 2] {
            let (history, now) = series((0..until).map(daily));
            let forecast = window_maximum(&history, now, ahead(now), &Calendar::default()).unwrap().forecast;
            let truth = (1..=3).map(|k| daily(until + k)).fold(0.0, f64::max);
            assert!((forecast.point() / truth - 1.0).abs() < 0.05, "{} for {truth}", forecast.point());
            assert!(forecast.quantile(0.99) >= forecast.point() * 0.99);
        }
    }

    /// The high forecast at `now` of demand that was `value` at each local time: (minute of the day, whether people are at home).
    fn high_at(now: &str, calendar: &Calendar, by: &Calendar, value: impl Fn(usize, bool) -> f64) -> f64 {
        let now: DateTime<Utc> = now.parse().unwrap();
        let start = now.timestamp() - 28 * 86_400;
        let values = (0..28 * DAY as i64).map(|i| {
            let wall = calendar.wall(start + i * 300);
            value(wall.minute, wall.day != calendar::Day::Other)
        });
        window_maximum(&Series::new(start, 300, values), now, ahead(now), by).unwrap().forecast.high()
    }

    #[test]
    fn a_rhythm_follows_the_clock_through_its_changes() {
        let berlin: Calendar = serde_yaml::from_str("{timeZone: Europe/Berlin}").unwrap();
        // At nine by local time demand rises at once; the morning before, that was an hour later or earlier by UTC.
        let office = |minute: usize, _| if (540..1020).contains(&minute) { 100.0 } else { 10.0 };
        for (now, later) in [("2026-03-29T06:50:00Z", "2026-03-29T07:50:00Z"), ("2026-10-25T07:50:00Z", "2026-10-25T08:50:00Z")] {
            let high = high_at(now, &berlin, &berlin, office);
            assert!(high > 80.0, "{now}: {high}");
            assert!(high_at(later, &berlin, &berlin, office) > 80.0, "{later}");
        }
        let (blind, early) = (
            high_at("2026-03-29T06:50:00Z", &berlin, &Calendar::default(), office),
            high_at("2026-10-25T06:50:00Z", &berlin, &berlin, office),
        );
        assert!(blind < 50.0, "UTC knows nothing of it: {blind}");
        assert!(early < 20.0, "not an hour early: {early}");
    }

    #[test]
    fn a_holiday_is_a_sunday() {
        let holidays: Calendar = serde_yaml::from_str("{holidays: [2026-12-23]}").unwrap();
        let shop = |minute: usize, home: bool| if (480..1200).contains(&minute) && !home { 100.0 } else { 10.0 };
        let wednesday = "2026-12-23T07:50:00Z";
        let on = [&holidays, &Calendar::default()].map(|by| high_at(wednesday, &holidays, by, shop));
        assert!(on[0] < 40.0 && on[1] > 80.0, "{on:?}");
        let after = [&holidays, &Calendar::default()].map(|by| high_at("2026-12-24T07:50:00Z", &holidays, by, shop));
        assert!(after[0] > 60.0 && after[1] < after[0] / 2.0, "{after:?}");
    }

    #[test]
    fn what_was_cut_short_is_learned_as_a_rise_only() {
        // Every other day at noon the pods answer no more than half of what is asked.
        let noon = |i: usize| (DAY / 2 - 24..DAY / 2 + 24).contains(&(i % DAY));
        let is_cut = |i: usize| noon(i) && (i / DAY).is_multiple_of(2);
        let until = DAY * 14 + DAY / 2;
        let (history, now) = series((0..until).map(|i| if is_cut(i) { 60.0 } else { daily(i) }));
        let marks = Series::new(history.start(), 300, (0..until).map(|i| f64::from(u8::from(is_cut(i)))));
        let censored = Censored::new([(Cause::Throttled, marks)].into());
        let all = Censored::new([(Cause::Errors, Series::new(history.start(), 300, vec![1.0; until]))].into());
        let nothing = Censored::default();
        let calendar = Calendar::default();
        let foresee = |demand, censored, now| {
            Task { recipe: Recipe::usual(), demand, censored, now, window: ahead(now), calendar: &calendar }.foresee(0, &|| None).unwrap().0
        };
        let foreseen = |censored| foresee(&history, censored, now);
        let low = |foreseen: &Foreseen| {
            let analogues = foreseen.forecast.analogues().iter();
            analogues.filter(|a| noon(a.window / 5) && a.maximum < 61.0).count()
        };
        assert!(low(&foreseen(&nothing)) > 0 && low(&foreseen(&censored)) == 0);
        assert!(foreseen(&all).forecast.point() >= foreseen(&nothing).forecast.point(), "a bound is better than nothing");
        // Every noon: what was left of the rises is still foreseen.
        let every: Vec<f64> = (0..until).map(|i| if noon(i) { 60.0 } else { daily(i).min(50.0) }).collect();
        let marks = Series::new(history.start(), 300, (0..until).map(|i| f64::from(u8::from(noon(i)))));
        let (history, now) = series(every[..until - 26].iter().copied());
        let censored = Censored::new([(Cause::AtMaximum, marks)].into());
        let before_noon = foresee(&history, &censored, now);
        assert!(before_noon.forecast.high() > 59.0, "{}", before_noon.forecast.high());
    }

    #[test]
    fn what_comes_after_now_changes_nothing() {
        let (whole, _) = series((0..DAY * 10).map(|i| daily(i) + (i % 17) as f64));
        let now = DateTime::from_timestamp(whole.start() + 300 * (DAY as i64 * 8), 0).unwrap();
        let cut = whole.known_at(now.timestamp());
        let forecast = |series| window_maximum(series, now, ahead(now), &Calendar::default()).unwrap().forecast;
        assert_eq!(forecast(&whole), forecast(&cut));
    }

    #[test]
    fn too_little_or_too_old_is_held() {
        let (short, now) = series((0..24).map(daily));
        assert!(matches!(window_maximum(&short, now, ahead(now), &Calendar::default()), Err(HoldReason::ShortHistory { .. })));
        let (history, end) = series((0..DAY * 3).map(daily));
        assert!(check_fresh(&history, end + TimeDelta::minutes(10), TimeDelta::minutes(15)).is_ok());
        assert!(matches!(check_fresh(&history, end + TimeDelta::minutes(20), TimeDelta::minutes(15)), Err(HoldReason::StaleData { .. })));
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 24, ..Default::default() })]
        #[test]
        fn any_history_gives_a_sane_forecast_or_a_reason(
            values in proptest::collection::vec(proptest::prop_oneof![8 => 0.0..1e3, 1 => proptest::num::f64::ANY, 1 => proptest::strategy::Just(f64::NAN), 1 => 0.0..1e15], 1..1500),
        ) {
            let (history, now) = series(values);
            if let Ok(Foreseen { forecast, .. }) = window_maximum(&history, now, ahead(now), &Calendar::default()) {
                let most = history.values().iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
                proptest::prop_assert!(forecast.quantile(1.0) <= most * 3.0 * (1.0 + 1e-5) + 1e-9, "{} from at most {most}", forecast.quantile(1.0));
                proptest::prop_assert!(forecast.quantile(0.0) >= 0.0);
            }
        }
    }
}
