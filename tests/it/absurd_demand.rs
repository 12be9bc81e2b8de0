//! Demand as it should not be, from the samples to the floors: each is decided sanely, or held with a reason.

use chrono::{DateTime, TimeDelta};
use prescale::decide::{Carrier, Curve, Need, worth};
use prescale::forecast::window_maximum;
use prescale::model::{Calendar, Series, Window};
use prescale::simulate::{Above, Aim, Cadence, Recipe, Settings, Trace, Why, backtest};
use proptest::prelude::*;

const START: i64 = 1_767_225_600; // the first of January 2026
const STEP: i64 = 300;
const DAY: i64 = 288;

type Samples = Vec<(i64, f64)>;

fn at(i: i64) -> i64 {
    START + i * STEP
}

fn daily(i: i64) -> f64 {
    100.0 - 80.0 * (std::f64::consts::TAU * i as f64 / DAY as f64).cos()
}

fn samples(days: i64, value: impl Fn(i64) -> f64) -> Samples {
    (0..days * DAY).map(|i| (at(i), value(i))).collect()
}

/// Every kind of nonsense that a metrics store has been seen to give.
fn absurd() -> Vec<(&'static str, Samples)> {
    let every = |n: i64, other: f64| samples(9, move |i| if i % n == 0 { other } else { daily(i) });
    let gap = samples(9, daily).into_iter().filter(|(time, _)| !(at(3 * DAY)..at(6 * DAY)).contains(time)).collect();
    let mut twice = samples(9, daily);
    twice.extend(samples(9, |i| daily(i) * 2.0));
    let mut unordered = samples(9, daily);
    unordered.reverse();
    unordered.swap(3, 700);
    let jumped =
        |by: i64| samples(9, daily).into_iter().enumerate().map(|(i, (time, v))| (if i > 1500 { time + by } else { time }, v)).collect();
    vec![
        ("NaN", every(3, f64::NAN)),
        ("infinite", every(50, f64::INFINITY)),
        ("negative", every(7, -5.0)),
        ("below all", samples(9, |_| f64::NEG_INFINITY)),
        ("constant", samples(9, |_| 40.0)),
        ("zero", samples(9, |_| 0.0)),
        ("one point", samples(9, daily)[..1].to_vec()),
        ("two hours", samples(9, daily)[..24].to_vec()),
        ("days of nothing", gap),
        ("each twice", twice),
        ("unordered", unordered),
        ("huge", samples(9, |i| daily(i) * 1e15)),
        ("tiny", samples(9, |i| daily(i) * 1e-12)),
        ("one huge", every(2500, 1e15)),
        ("a clock that jumped ahead", jumped(40 * 86_400)),
        ("a clock that jumped back", jumped(-3 * 86_400)),
        ("a step", samples(9, |i| daily(i) * if i > 8 * DAY { 20.0 } else { 1.0 })),
        ("a phase that flipped", samples(9, |i| daily(if i > 8 * DAY { i + DAY / 2 } else { i }))),
        ("an outage at the end, as zeros", samples(9, |i| if i > 9 * DAY - 20 { 0.0 } else { daily(i) })),
        ("an outage at the end, as silence", samples(9, daily)[..(9 * DAY - 20) as usize].to_vec()),
    ]
}

/// The floors of a replay and of a single decision are between 1 and three times what was ever measured; otherwise there is a reason.
fn decided(name: &str, samples: &[(i64, f64)], capacity: f64) -> Result<(), TestCaseError> {
    let finite = |v: &f64| v.is_finite() && *v <= 1e18;
    let greatest = samples.iter().map(|(_, v)| *v).filter(finite).fold(0.0, f64::max);
    let most = (3.0 * greatest / capacity + 1.0).ceil().min(f64::from(u32::MAX));
    if let Some(trace) = Trace::new(samples.iter().copied()) {
        let aims = vec![Aim::Price(100.0), Aim::Objective(0.005)];
        let recipe = Recipe::usual();
        let from = trace.start() + (trace.demand().len() as i64 * 60).saturating_sub(86_400).max(7200);
        for above in [Above::Target(0.8), Above::Nothing] {
            let aims = aims.clone();
            let settings = Settings { capacity, cadence: Cadence::default(), aims, above, most_changes: None, stabilize: 0, recipe, from };
            let Ok(tried) = backtest(&trace, &settings) else { continue };
            for decision in tried.iter().flat_map(|aim| &aim.decisions) {
                // The highest lane of an objective doubles what the forecast says.
                prop_assert!((1.0..=2.0 * most).contains(&f64::from(decision.replicas)), "{name}: {} of at most {most}", decision.replicas);
                prop_assert!(!decision.reasons.is_empty());
                let held = decision.reasons.iter().any(|why| matches!(why, Why::Held { .. }));
                prop_assert!(held || decision.quantile_demand.is_some_and(f64::is_finite), "{name}: {decision:?}");
            }
        }
    }
    let series = Series::new(START, STEP, samples.iter().map(|(_, v)| *v));
    let now = DateTime::from_timestamp(series.end(), 0).expect("an instant");
    let window = Window::of_decision(now, TimeDelta::minutes(6), TimeDelta::minutes(10));
    if let Ok(foreseen) = window_maximum(&series, now, window, &Calendar::default()) {
        let curve = Curve::of(&foreseen.forecast, &foreseen.demand, 10, Carrier { unit: capacity, alone: None });
        let need = Need::of(&foreseen.forecast, curve.cheapest(worth(100.0, 14.0)), capacity);
        prop_assert!((1.0..=most).contains(&f64::from(need.replicas)), "{name}: {need:?} of at most {most}");
        prop_assert!(need.demand.is_finite() && (0.0..=1.0).contains(&need.quantile), "{name}: {need:?}");
    }
    Ok(())
}

#[test]
fn nonsense_is_decided_sanely_or_held() {
    for (name, samples) in absurd() {
        let greatest = samples.iter().map(|(_, v)| *v).filter(|v| v.is_finite()).fold(0.0, f64::max);
        decided(name, &samples, (greatest / 20.0).max(1e-15)).unwrap();
        decided(name, &samples, 1e6).unwrap();
    }
}

/// The floors from a day before the end on, and what demand needed meanwhile.
fn floors(samples: Samples, capacity: f64, above: Above, aim: Aim) -> (Vec<u32>, Vec<f64>) {
    let trace = Trace::new(samples).unwrap();
    let first = trace.demand().len() - 1440;
    let settings = Settings {
        capacity,
        cadence: Cadence::default(),
        aims: vec![aim],
        above,
        most_changes: None,
        stabilize: 0,
        recipe: Recipe::usual(),
        from: trace.at(first),
    };
    let tried = backtest(&trace, &settings).unwrap().remove(0);
    let demand = tried.decisions.iter().filter_map(|decision| trace.demand().get(trace.minute_of(decision.at) - 1).copied());
    (tried.decisions.iter().map(|decision| decision.replicas).collect(), demand.map(|demand| demand / capacity).collect())
}

#[test]
fn a_surge_never_takes_the_floor_away() {
    for times in [3.0, 8.0, 20.0] {
        for aim in [Aim::Price(10.0), Aim::Price(100.0), Aim::Objective(0.005)] {
            let surge = samples(12, |i| daily(i) * if i > 12 * DAY - DAY / 2 { times } else { 1.0 });
            let (floors, demand) = floors(surge, 10.0, Above::Nothing, aim);
            // Half an hour after it began.
            for (i, (floor, demand)) in floors.iter().zip(&demand).enumerate().skip(76) {
                assert!(f64::from(*floor) > 0.6 * demand, "{aim:?}, times {times}: decision {i} is {floor} for {demand}");
            }
        }
    }
}

#[test]
fn one_absurd_sample_moves_no_later_floor_by_much() {
    for above in [Above::Nothing, Above::Tuned] {
        let floors = |absurd: f64| {
            let spoiled = samples(12, |i| if i == 10 * DAY + 77 { absurd } else { daily(i) });
            floors(spoiled, 10.0, above, Aim::Price(100.0)).0
        };
        let usual = floors(100.0);
        for absurd in [1e4, 1e6, 1e9, 1e15] {
            for (spoiled, usual) in floors(absurd).iter().zip(&usual) {
                assert!((usual.div_ceil(2)..=2 * usual).contains(spoiled), "{absurd:e}, {above:?}: {spoiled} instead of {usual}");
            }
        }
    }
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![8 => 0.0..1e3, 1 => any::<f64>(), 1 => Just(f64::NAN), 1 => 0.0..1e15, 1 => Just(0.0)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn any_samples_are_decided_sanely_or_held(values in prop::collection::vec(value(), 2..1200), jumps in prop::collection::vec((0..1200_usize, -500_000..500_000_i64), 0..4)) {
        let mut samples: Samples = values.iter().enumerate().map(|(i, v)| (at(i as i64), *v)).collect();
        for (from, by) in jumps {
            samples.iter_mut().skip(from).for_each(|(time, _)| *time += by);
        }
        decided("any", &samples, 7.0)?;
    }
}
