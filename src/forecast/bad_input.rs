//! Demand as it should not be: every model says something sane of it, or why it cannot.

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;

use super::{RECIPES, Task};
use crate::model::{Calendar, Censored, Foreseen, HoldReason, Series, Window};

const DAY: usize = 288;

/// Demand over a day.
fn daily(i: usize) -> f64 {
    100.0 - 80.0 * (std::f64::consts::TAU * i as f64 / DAY as f64).cos()
}

/// By model, a forecast or why there is none.
type Forecasts = Vec<(&'static str, Result<Foreseen, HoldReason>)>;

/// What every model says of a series at its end. A forecast is finite, in order, and at most three times what was ever measured.
fn forecasts(values: &[f64]) -> Result<Forecasts, TestCaseError> {
    let series = Series::new(1_700_000_100, 300, values.iter().copied());
    let now = DateTime::from_timestamp(series.end(), 0).expect("an instant");
    let window = Window::of_decision(now, TimeDelta::minutes(6), TimeDelta::minutes(10));
    let most = values.iter().copied().filter(|v| v.is_finite() && *v <= 1e18).fold(0.0, f64::max);
    let mut all = Vec::new();
    for recipe in &RECIPES {
        let (censored, calendar) = (Censored::default(), Calendar::default());
        let task = Task { recipe, demand: &series, censored: &censored, now, window, calendar: &calendar };
        let foreseen = task.foresee(0, &|| None).map(|(foreseen, _)| foreseen);
        if let Ok(Foreseen { forecast, .. }) = &foreseen {
            let said = [forecast.quantile(0.0), forecast.point(), forecast.high(), forecast.quantile(1.0)];
            prop_assert!(
                said.iter().all(|v| (0.0..=most * 3.0 * (1.0 + 1e-5) + 1e-9).contains(v)),
                "{}: {said:?} of at most {most}",
                recipe.name
            );
            prop_assert!(said[0] <= said[1] && said[1] <= said[2] && said[2] <= said[3], "{}: {said:?}", recipe.name);
            prop_assert!(forecast.ahead.iter().all(|v| v.is_finite() && *v >= 0.0), "{}: {:?}", recipe.name, forecast.ahead);
        }
        all.push((recipe.name, foreseen));
    }
    Ok(all)
}

/// That every model forecasts, its point and its high value within a range.
fn all_within(values: &[f64], range: std::ops::RangeInclusive<f64>) {
    for (name, foreseen) in forecasts(values).unwrap() {
        let forecast = foreseen.unwrap_or_else(|why| panic!("{name}: {why:?}")).forecast;
        assert!(range.contains(&forecast.point()) && range.contains(&forecast.high()), "{name}: {} {}", forecast.point(), forecast.high());
    }
}

#[test]
fn what_never_changes_goes_on() {
    for level in [0.0, 1e-12, 1.0, 42.0, 1e15] {
        all_within(&[level; 4 * DAY], level * 0.999..=level * 1.001 + 1e-12);
    }
}

#[test]
fn a_point_or_two_hours_are_too_little() {
    for values in [vec![], vec![5.0], vec![f64::NAN], vec![5.0; 24], vec![f64::NAN; 4 * DAY]] {
        for (name, foreseen) in forecasts(&values).unwrap() {
            assert!(matches!(foreseen, Err(HoldReason::ShortHistory { .. })), "{name}");
        }
    }
}

#[test]
fn scale_does_not_matter() {
    for scale in [1e-12, 1e-3, 1e13] {
        let values: Vec<f64> = (0..5 * DAY).map(|i| daily(i) * scale).collect();
        // Midnight is the least of the day: 20, and a little more within the window.
        all_within(&values, 15.0 * scale..=60.0 * scale + 1e-9);
    }
}

#[test]
fn a_step_a_phase_flip_and_an_outage_are_taken_in() {
    let step: Vec<f64> = (0..6 * DAY).map(|i| if i < 5 * DAY { 10.0 } else { 50.0 } + (i % 3) as f64).collect();
    all_within(&step, 8.0..=52.0 * 3.01); // who looks a day back only can say no more than the clamp does
    // Five minutes at 30 and five at 10 in turn, which change places.
    let flip: Vec<f64> = (0..5 * DAY).map(|i| if (i + usize::from(i > 4 * DAY)) % 2 == 0 { 10.0 } else { 30.0 }).collect();
    all_within(&flip, 8.0..=60.0);
    let outage: Vec<f64> = (0..5 * DAY).map(|i| if i < 5 * DAY - 24 { daily(i) } else { 0.0 }).collect();
    all_within(&outage, 0.0..=200.0);
    let silence: Vec<f64> = (0..5 * DAY).map(|i| if i < 5 * DAY - 24 { daily(i) } else { f64::NAN }).collect();
    all_within(&silence, 10.0..=200.0);
}

/// A stretch of demand, of one kind.
fn stretch() -> impl Strategy<Value = Vec<f64>> {
    let length = 1..2 * DAY;
    prop_oneof![
        4 => (length.clone(), -3..6_i32).prop_map(|(n, power)| (0..n).map(|i| daily(i) * 10_f64.powi(power)).collect()),
        2 => (length.clone(), 0.0..1e3).prop_map(|(n, level)| vec![level; n]),
        1 => prop::collection::vec(0.0..1e3, length.clone()),
        1 => prop::collection::vec(prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), -1e9..0.0, Just(1e15), Just(1e-12), Just(1e300)], 1..DAY),
        1 => length.clone().prop_map(|n| vec![f64::NAN; n]),
        1 => length.prop_map(|n| vec![0.0; n]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn any_patchwork_gives_sane_forecasts_or_reasons(stretches in prop::collection::vec(stretch(), 1..6)) {
        forecasts(&stretches.concat())?;
    }
}
