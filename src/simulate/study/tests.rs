use std::collections::BTreeMap;

use super::*;
use crate::model::Lead;
use crate::model::origin::Origins;
use crate::model::policy::Driver;
use crate::model::snapshot::Effort;
use crate::model::{Censored, Container, HpaMetric, Millicores, ObjectRef, RenderedWorkload, RepoPath, Scaler, WorkloadId, WorkloadKind};

const SETTINGS: forecast::Settings = forecast::Settings { every: TimeDelta::minutes(30), lead: TimeDelta::minutes(6) };
const DAYS: i64 = 8;

fn now() -> DateTime<Utc> {
    "2026-11-16T07:00:00Z".parse().unwrap()
}

/// Noise that repeats at no time of day.
fn noise(i: i64) -> f64 {
    (i * 7919 % 1009) as f64 / 1009.0
}

/// Demand by five minutes over days.
fn series(days: i64, value: impl Fn(i64) -> f64) -> Series {
    Series::new(now().timestamp() - days * 86_400, 300, (0..days * 288).map(value))
}

/// The same each day: a steep rise each morning.
fn daily(i: i64) -> f64 {
    let hour = (i % 288) as f64 / 12.0;
    if (8.0..18.0).contains(&hour) { 90.0 } else { 15.0 }
}

/// A level that moves at any time, and stays for hours.
fn wandering(i: i64) -> f64 {
    20.0 + 80.0 * noise(i / 40) + noise(i)
}

fn object() -> ObjectRef {
    ObjectRef { group: "autoscaling".into(), kind: "HorizontalPodAutoscaler".into(), namespace: "shop".into(), name: "web".into() }
}

/// A workload whose replicas carry 5 and request 4, under an HPA at so many percent, or under none.
fn workload(name: &str, spec: &str, demand: &Series, percent: Option<u32>) -> Observed {
    let overlay = RepoPath::parse("overlays/prod").unwrap();
    let policy = format!(
        "{{apiVersion: prescale.dev/v1alpha1, kind: ScalingPolicy, metadata: {{name: {name}}}, spec: {{target: {{name: {name}}}, {spec}}}}}"
    );
    let hpa = |percent| crate::model::Hpa {
        object: object(),
        min: Some(1),
        max: Some(100),
        metrics: vec![HpaMetric { name: "cpu".into(), utilization: Some(percent) }],
    };
    let mut workload = Observed {
        origins: Origins::default(),
        overlay,
        rendered: RenderedWorkload {
            id: WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name: name.into() },
            replicas: Some(3),
            containers: vec![Container { name: "app".into(), cpu_request: Some(Millicores(4000)), ..Container::default() }],
            scaler: percent.map_or(Scaler::None, |percent| Scaler::Hpa(hpa(percent))),
            annotations: BTreeMap::new(),
            fields: vec![],
        },
        policy: serde_yaml::from_str(&policy).unwrap(),
        signals: vec![],
        censored: Censored::default(),
        usage: BTreeMap::new(),
        restarts: None,
        troubles: vec![],
        startup: None,
        effort: Effort::default(),
        namespace: "shop".into(),
        error_budget: None,
        lead: Lead::default(),
        live: None,
        deploys: vec![],
    };
    let driven = |Driver { signal, capacity_per_replica }| Driven {
        signal,
        capacity: capacity_per_replica,
        demand: Ok(demand.clone()),
        study: Err(NoStudy::NotYet),
    };
    workload.signals = workload.policy.spec.drivers().into_iter().map(driven).collect();
    workload
}

const PLAIN: &str = "capacityPerReplica: 5";

fn snapshot(workloads: Vec<Observed>) -> Snapshot {
    Snapshot { now: now(), workloads, amiss: vec![], past: vec![], ..Snapshot::default() }
}

fn study(workload: Observed) -> Result<Study, NoStudy> {
    studies(&snapshot(vec![workload]), &[], &SETTINGS, 1, |_, _| ()).each.remove(0)
}

#[test]
fn the_simplest_model_wins_where_nothing_helps() {
    let study = study(workload("web", PLAIN, &series(DAYS, daily), None)).unwrap();
    let models: Vec<&str> = study.models.iter().map(|tried| tried.model.as_str()).collect();
    assert_eq!(models, MODELS);
    assert_eq!((study.model.as_str(), study.gain), ("seasonal-naive", 0.0), "{:?}", study.models);
    assert_eq!((study.replayed, study.at, study.hpa), (TimeDelta::days(7), now(), None));
}

#[test]
fn a_better_model_wins_where_it_helps() {
    let study = study(workload("web", PLAIN, &series(DAYS, wandering), None)).unwrap();
    assert!(study.model != "seasonal-naive" && study.gain > 0.05, "{:?}", study.models);
    let least = study.models.iter().map(|tried| tried.cost).fold(f64::INFINITY, f64::min);
    let simpler = study.models.iter().take_while(|tried| tried.model != study.model);
    assert!(simpler.clone().all(|tried| tried.cost > least * 1.01));
    let champion = &study.models[simpler.count()];
    assert!(champion.cost <= least * 1.01 && (study.gain - (1.0 - champion.cost / study.models[0].cost)).abs() < 1e-12);
}

#[test]
fn an_objective_finds_its_price() {
    let of = |objective: &str| study(workload("web", &format!("{PLAIN}, objective: {objective}"), &series(DAYS, wandering), None)).unwrap();
    let (strict, lax) = (of("0.5%"), of("10%"));
    assert!(strict.price > lax.price, "{} for 0.5 %, {} for 10 %", strict.price, lax.price);
    let short = |study: &Study| study.models.iter().find(|tried| tried.model == study.model).unwrap().short;
    assert!(short(&strict) <= 0.005 && short(&lax) <= 0.1, "{:?} {:?}", strict.models, lax.models);
    // A price is followed at one of its multiples.
    let priced = study(workload("web", &format!("{PLAIN}, shortfallPrice: 80"), &series(DAYS, wandering), None)).unwrap();
    assert!([20.0, 40.0, 80.0, 160.0, 320.0].contains(&priced.price) && priced.stretch == 1.0);
}

#[test]
fn an_hpa_is_set_anew_only_where_that_pays() {
    // At 30 % of requests a replica is used for 1.2 of the 5 that it carries.
    let wasteful = study(workload("web", PLAIN, &series(DAYS, daily), Some(30))).unwrap();
    let tuning = wasteful.hpa.unwrap();
    assert!(tuning.after < tuning.before * 0.98 && tuning.to.percent > 30 && tuning.to.stabilization == 300, "{tuning:?}");
    assert!((tuning.to.target - f64::from(tuning.to.percent) * 0.04 / 5.0).abs() < 1e-12);
    // As it says, it is left alone, and there is no new study.
    let percent = Some(tuning.to.percent);
    let set = snapshot(vec![workload("web", PLAIN, &series(DAYS, daily), percent)]);
    let again = studies(&set, std::slice::from_ref(&wasteful), &SETTINGS, 1, |_, _| ());
    assert_eq!((again.made.len(), &again.each[0]), (0, &Ok(wasteful)));
    assert_eq!(study(set.workloads[0].clone()).unwrap().hpa, None, "the best of those that are tried is kept");
    // Where the policy forbids it, or the capacity follows from the target, nothing else is tried.
    for spec in ["capacityPerReplica: 5, autoscaler: {tune: false}", "replicas: {min: 1}"] {
        let study = study(workload("web", spec, &series(DAYS, daily), Some(30))).unwrap();
        assert!(study.hpa.is_none() && !study.subject.tuned && study.subject.hpa.is_some(), "{spec}");
    }
}

#[test]
fn an_hpa_that_scales_down_too_soon_is_told_to_wait() {
    // For two hours at any time, five minutes in each fifteen are high.
    let bursts = |i: i64| if noise(i / 24) > 0.85 && i % 3 == 0 { 90.0 } else { 15.0 + noise(i) };
    let spec = format!("{PLAIN}, shortfallPrice: 1000");
    let tuning = study(workload("web", &spec, &series(DAYS, bursts), Some(125))).unwrap().hpa.unwrap();
    assert!(tuning.to.stabilization == 900 && tuning.after < tuning.before * 0.98, "{tuning:?}");
}

#[test]
fn no_target_is_tried_that_a_limit_keeps_usage_from() {
    let mut limited = workload("web", PLAIN, &series(DAYS, daily), Some(30));
    limited.rendered.containers[0].cpu_limit = Some(Millicores(4000));
    // 1.1 times 70 % of what a replica carries is 3.85 cores, and of 80 % it is 4.4.
    assert_eq!(study(limited.clone()).unwrap().hpa.unwrap().to.percent, 87);
    limited.rendered.containers[0].cpu_limit = Some(Millicores(3800));
    assert_eq!(study(limited).unwrap().hpa, None);
}

#[test]
fn what_cannot_be_studied_says_so() {
    let short = study(workload("web", PLAIN, &series(3, daily), None));
    assert_eq!(short, Err(NoStudy::ShortHistory { have: TimeDelta::days(3), need: TimeDelta::days(4) }));
    let gaps = series(DAYS, |i| if i > 288 * 2 && i < 288 * 7 { f64::NAN } else { daily(i) });
    assert!(matches!(study(workload("web", PLAIN, &gaps, None)), Err(NoStudy::ShortHistory { .. })));
    assert_eq!(study(workload("web", "signal: requests", &series(DAYS, daily), None)), Err(NoStudy::NotDecided), "no capacity");
}

#[test]
fn those_without_a_study_go_first_then_the_oldest() {
    let few = |name: &str| workload(name, PLAIN, &series(5, daily), None);
    let snapshot = snapshot(vec![few("a"), few("b"), few("c"), few("d"), few("e")]);
    let all = studies(&snapshot, &[], &SETTINGS, 9, |_, _| ());
    assert_eq!(all.made.len(), 5);
    let mut known = all.made.clone();
    known.remove(4);
    for (study, days) in known.iter_mut().zip([8, 9, 7, 0]) {
        study.at -= TimeDelta::days(days);
    }
    known[3].subject.capacity = 4.0; // `d` was made for another one
    let ticks = std::sync::atomic::AtomicUsize::new(0);
    let made = |most: usize| {
        let tick = |_: &Observed, _: &Result<Study, NoStudy>| {
            ticks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        let studies = studies(&snapshot, &known, &SETTINGS, most, tick);
        let names: Vec<String> = studies.made.iter().map(|study| study.workload.name.clone()).collect();
        (names.concat(), studies.each.iter().filter(|study| study.is_ok()).count())
    };
    assert_eq!([0, 1, 2, 3, 4].map(made).map(|(names, _)| names), ["", "d", "de", "deb", "deba"]);
    assert_eq!((made(1).1, made(0).1), (4, 3), "an old one is better than none");
    assert_eq!(ticks.into_inner(), 11);
}

#[test]
fn what_is_outdated_or_of_other_decisions_is_not_used() {
    let snapshot = snapshot(vec![workload("web", PLAIN, &series(5, daily), Some(80))]);
    let known = studies(&snapshot, &[], &SETTINGS, 1, |_, _| ()).made;
    let each = |snapshot: &Snapshot, known: &[Study], settings: &forecast::Settings| {
        studies(snapshot, known, settings, 0, |_, _| ()).each.remove(0).map(|study| study.at)
    };
    let aged = |days| vec![Study { at: now() - TimeDelta::days(days), ..known[0].clone() }];
    assert_eq!(each(&snapshot, &aged(28), &SETTINGS), Ok(now() - TimeDelta::days(28)), "an old one is better than none");
    assert_eq!(each(&snapshot, &aged(29), &SETTINGS), Err(NoStudy::NotYet));
    let slower = forecast::Settings { lead: TimeDelta::minutes(20), ..SETTINGS };
    let rarer = forecast::Settings { every: TimeDelta::minutes(60), ..SETTINGS };
    assert_eq!([slower, rarer].map(|settings| each(&snapshot, &known, &settings)), [Err(NoStudy::NotYet), Err(NoStudy::NotYet)]);
    let changed = |change: &dyn Fn(&mut Observed)| {
        let mut snapshot = snapshot.clone();
        change(&mut snapshot.workloads[0]);
        each(&snapshot, &known, &SETTINGS)
    };
    assert_eq!(changed(&|_| ()), Ok(now()));
    assert_eq!(changed(&|web| web.policy.spec.calendar.holidays = ["2026-12-25".parse().unwrap()].into()), Err(NoStudy::NotYet));
    let most = |web: &mut Observed| {
        let Scaler::Hpa(hpa) = &mut web.rendered.scaler else { unreachable!() };
        hpa.max = Some(99);
    };
    assert_eq!(changed(&most), Err(NoStudy::NotYet));
}

#[test]
fn what_comes_after_now_changes_nothing() {
    let later = Series::new(now().timestamp() - 5 * 86_400, 300, (0..6 * 288).map(wandering));
    let cut = later.known_at(now().timestamp());
    assert_eq!(study(workload("web", PLAIN, &later, None)), study(workload("web", PLAIN, &cut, None)));
}

#[test]
fn what_was_cut_short_is_not_replayed() {
    let demand = series(DAYS, daily);
    let marks = Series::new(demand.start(), 300, (0..DAYS * 288).map(|i| f64::from(u8::from(i % 288 >= 280))));
    let censored = Censored::new(BTreeMap::from([(crate::model::Cause::AtMaximum, marks)]));
    let (all, cut) = (samples(&demand, &Censored::default()).0, samples(&demand, &censored).0);
    assert_eq!((all.len() as i64, cut.len() as i64), (DAYS * 288, DAYS * 280));
    assert!(cut.iter().all(|(at, _)| (at - demand.start()) / 300 % 288 < 280));
}
