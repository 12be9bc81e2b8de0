//! What holds a floor, or moves it, run by run: the built binary on one workload as time goes by.

use crate::support::small::{Small, held};

#[test]
fn changes_a_day_are_limited() {
    let small = Small::new(1, "signal: requests, capacityPerReplica: 10, replicas: {changesPerDay: 1}");
    small.history("requests", |_| 35.0);
    small.run(0);
    assert_eq!(small.replicas(), 2);
    let report = small.run(10);
    assert_eq!((small.replicas(), held(&report)), (2, vec!["changesSpent".to_owned()]));
    small.plan(10).says(
        0,
        &["its changes a day (1, of which falls take none but the first half) are spent: the next such change is possible from 2026-11-17 07:00 UTC"],
    );
    small.run(1439);
    assert_eq!(small.replicas(), 2);
}

#[test]
fn a_fall_waits_until_nothing_lately_wanted_as_much() {
    let small = Small::new(8, "signal: requests, capacityPerReplica: 10, replicas: {stepDown: 1.0}");
    small.history("requests", |minute| if minute.div_euclid(120) % 2 == 0 { 15.0 } else { 75.0 });
    small.run(-10);
    let report = small.run(15);
    assert_eq!((small.replicas(), held(&report)), (8, vec!["deferred".to_owned()]));
    small.plan(15).says(0, &["as much was wanted in the last 30 minutes; it may fall from 2026-11-16 07:20 UTC"]);
    small.run(25);
    assert!(small.replicas() < 8);
}

#[test]
fn of_several_signals_the_largest_need_wins_and_a_missing_one_stops_falls() {
    let spec = "signals: [{signal: requests, capacityPerReplica: 10}, {signal: cpu, capacityPerReplica: 2}], replicas: {stepUp: 9}";
    let small = Small::new(2, spec);
    small.history("requests", |_| 35.0).history("cpu", |minute| if minute < 60 { 11.0 } else { f64::NAN });
    let report = small.run(0);
    assert_eq!(small.replicas(), 6);
    let needs: Vec<_> = report["outlooks"].as_array().unwrap().iter().map(|o| (o["signal"].as_str(), o["floor"].as_u64())).collect();
    assert_eq!(needs, [(Some("requests"), Some(4)), (Some("cpu"), Some(6))]);
    let because = report["changes"][0]["because"].to_string();
    assert!(because.contains("peak cpu of the window") && because.contains("requests needs 4"), "{because}");

    let later = small.run(120);
    assert_eq!((small.replicas(), held(&later)), (6, vec!["signalMissing".to_owned()]));
    let words = ["not lowered while the signal `cpu` is missing: the last sample is of 2026-11-16 08:00 UTC", "shop/Deployment/web"];
    small.plan(120).says(0, &words);
    small.history("requests", |_| 95.0).run(120);
    assert_eq!(small.replicas(), 10, "what is there may raise it");
}

#[test]
fn demand_that_was_cut_short_stops_falls_and_is_told() {
    let small = Small::new(8, "signal: requests, capacityPerReplica: 10, replicas: {stabilization: 0s}");
    let is_quiet = |minute: i64| minute.div_euclid(120) % 2 == 0;
    let is_short = |minute: i64| (-1440..0).contains(&minute) && !is_quiet(minute) || (5..10).contains(&minute);
    small.history("requests", |minute| if is_quiet(minute) { 15.0 } else { 75.0 });
    small.history("throttled", |minute| if is_short(minute) { 0.4 } else { 0.1 });
    let report = small.run(30);
    assert_eq!((small.replicas(), held(&report)), (8, vec!["censored".to_owned()]));
    let share = report["outlooks"][0]["censored"].as_f64().unwrap();
    assert!((share - 725.0 / 2910.0).abs() < 0.01, "{share}");
    let words = ["CPU was throttled; it may fall from 2026-11-16 08:10 UTC", "shop/Deployment/web: demand was cut short in"];
    small.plan(30).says(0, &words);
    small.run(75);
    assert_eq!(small.replicas(), 7);
}

#[test]
fn spare_replicas_are_told_apart() {
    let small = Small::new(3, "signal: requests, capacityPerReplica: 10, replicas: {spare: 1}");
    let report = small.history("requests", |_| 38.0).run(0);
    assert_eq!(small.replicas(), 6, "3.8 busy ones and their square root");
    let because = report["changes"][0]["because"].to_string();
    assert!(because.contains("2 of them spare: 1 times the square root of those that are busy"), "{because}");
}
