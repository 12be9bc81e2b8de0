use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::model::Lead;
use crate::model::origin::Origins;
use crate::model::policy::{API_VERSION, Delivery};
use crate::model::record::RecordedChange;
use crate::model::snapshot::{Driven, Effort, Usage};
use crate::model::{
    Aim, Analogue, Bytes, Cause, Censored, Container, Demand, Direction, Forecast, Hpa, HpaMetric, HpaSetting, Metric, Millicores, NoStudy,
    Place, Record, RenderedWorkload, RepoPath, Resource, Rhythm, Route, ScaledObject, Scaler, ScalingPolicy, Series, Signal, Site,
    SiteKind, Study, Subject, Tuning, WorkloadId, WorkloadKind,
};

const SETTINGS: Settings = Settings { paused: false, every: TimeDelta::minutes(10), lead: TimeDelta::minutes(6) };

fn now() -> DateTime<Utc> {
    "2026-11-16T07:00:00Z".parse().unwrap()
}

fn policy(spec: &str) -> ScalingPolicy {
    let text =
        format!("apiVersion: {API_VERSION}\nkind: ScalingPolicy\nmetadata: {{name: web}}\nspec: {{target: {{name: web}}, {spec}}}\n");
    let mut policy: ScalingPolicy = serde_yaml::from_str(&text).unwrap();
    policy.spec.delivery = Delivery { floors: Route::Commit, templates: Route::Commit };
    policy
}

fn object(kind: &str) -> ObjectRef {
    ObjectRef { group: "autoscaling".into(), kind: kind.into(), namespace: "shop".into(), name: "web".into() }
}

fn hpa(min: Option<u32>, max: u32) -> Scaler {
    let cpu = HpaMetric { name: "cpu".into(), utilization: Some(80) };
    Scaler::Hpa(Hpa { object: object("HorizontalPodAutoscaler"), min, max: Some(max), metrics: vec![cpu] })
}

fn keda(min: Option<u32>, paused: bool) -> Scaler {
    Scaler::Keda(ScaledObject { object: object("ScaledObject"), min, max: None, paused })
}

/// A workload whose pods use half a core and 200 MiB.
fn workload(spec: &str, replicas: u32, scaler: Scaler) -> Observed {
    let id = WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name: "web".into() };
    let policy = policy(spec);
    let demand = || Ok(Series::new(now().timestamp() - 86_400, 60, vec![1.0; 1440]));
    let drivers = policy.spec.drivers().into_iter();
    let signals = drivers
        .map(|driver| Driven {
            signal: driver.signal,
            capacity: driver.capacity_per_replica,
            demand: demand(),
            study: Err(NoStudy::NotYet),
        })
        .collect();
    let four_days = |value: f64| Some(Series::new(now().timestamp() - 4 * 86_400, 60, vec![value; 4 * 1440]));
    let container =
        Container { name: "app".into(), cpu_request: Some(Millicores(1000)), memory_request: Some(Bytes(1 << 30)), ..Container::default() };
    Observed {
        overlay: RepoPath::parse("overlays/prod").unwrap(),
        rendered: RenderedWorkload {
            id,
            replicas: Some(replicas),
            containers: vec![container],
            scaler,
            annotations: std::collections::BTreeMap::new(),
            fields: vec![],
        },
        policy,
        origins: Origins::default(),
        signals,
        censored: Censored::default(),
        usage: [("app".to_owned(), Usage { cpu: four_days(0.5), memory: four_days(200.0 * 1_048_576.0) })].into(),
        restarts: None,
        troubles: vec![],
        startup: None,
        effort: Effort::default(),
        namespace: "shop".into(),
        error_budget: None,
        lead: Lead::default(),
        live: None,
        deploys: vec![],
    }
}

/// A forecast that is sure, since demand was never anything else.
fn surely(level: f64) -> Foreseen {
    let mut demand = Demand::starting(now().timestamp() - 1440 * 60);
    (0..1440).for_each(|_| demand.push(level));
    let analogue = Analogue { window: 700, weight: 1.0, factor: 1.0, maximum: level };
    let forecast = Forecast::new("test", vec![analogue], 1.0, 3.0 * level, vec![]).unwrap();
    Foreseen { window: Window::of_decision(now(), SETTINGS.lead, SETTINGS.every), demand, forecast, borrowed: None }
}

/// A plan for one workload whose window maximum is `demand` for sure.
fn plan_for(workload: Observed, demand: f64) -> Plan {
    plan_with(workload, demand, Vec::new())
}

fn plan_with(workload: Observed, demand: f64, past: Vec<Record>) -> Plan {
    plan_at(now(), workload, demand, past)
}

fn plan_at(now: DateTime<Utc>, workload: Observed, demand: f64, past: Vec<Record>) -> Plan {
    plan(&Snapshot { now, workloads: vec![workload], amiss: vec![], past, ..Snapshot::default() }, [vec![Ok(surely(demand))]], &SETTINGS)
}

/// The planned floors: field and count.
fn floors(plan: &Plan) -> Vec<(Field, u32)> {
    let count = |change: &Change| match change.to {
        Value::Count(count) => Some((change.field.clone(), count)),
        _ => None,
    };
    plan.changes.iter().filter_map(count).collect()
}

/// A run so many minutes ago that set the floor, by this commit.
fn moved(minutes: i64, commit: Option<&str>) -> Record {
    Record {
        at: now() - TimeDelta::minutes(minutes),
        overlay: Some(RepoPath::parse("overlays/prod").unwrap()),
        workload: WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name: "web".into() },
        model: None,
        peak: None,
        floor: None,
        settled: None,
        changed: vec![RecordedChange {
            overlay: RepoPath::parse("overlays/prod").unwrap(),
            object: object("Deployment"),
            field: Field::Replicas,
            from: None,
            to: Value::Count(9),
            site: Site { place: Place { path: RepoPath::root(), line: None }, kind: SiteKind::Component },
            reasons: vec![],
        }],
        held: vec![],
        commit: commit.map(Into::into),
    }
}

fn held(plan: &Plan, field: &Field) -> Option<&'static str> {
    plan.held.iter().find(|held| held.field.as_ref().is_none_or(|f| f == field)).map(|held| held.why.code())
}

#[test]
fn one_writer_a_field() {
    let spec = "signal: requests, capacityPerReplica: 10";
    assert_eq!(floors(&plan_for(workload(spec, 4, Scaler::None), 55.0)), [(Field::Replicas, 6)]);
    assert_eq!(floors(&plan_for(workload(spec, 4, hpa(Some(4), 20)), 55.0)), [(Field::MinReplicas, 6)]);
    assert_eq!(floors(&plan_for(workload(spec, 4, keda(Some(4), false)), 55.0)), [(Field::MinReplicaCount, 6)]);
    let several = Scaler::Several(vec![object("HorizontalPodAutoscaler"), object("ScaledObject")]);
    assert_eq!(held(&plan_for(workload(spec, 4, several), 55.0), &Field::Replicas), Some("several-scalers"));
    assert_eq!(held(&plan_for(workload(spec, 4, keda(Some(4), true)), 55.0), &Field::MinReplicaCount), Some("paused"));
}

#[test]
fn what_may_scale_to_zero_keeps_doing_so() {
    let spec = "signal: requests, capacityPerReplica: 10";
    assert_eq!(held(&plan_for(workload(spec, 0, keda(None, false)), 55.0), &Field::MinReplicaCount), Some("scales-to-zero"));
    let raised = plan_for(workload(&format!("{spec}, replicas: {{raiseFromZero: true}}"), 0, keda(None, false)), 15.0);
    assert_eq!(floors(&raised), [(Field::MinReplicaCount, 1)], "one step at a time");
}

#[test]
fn a_rise_is_quick_and_a_fall_is_slow() {
    let spec = "signal: requests, capacityPerReplica: 10";
    assert_eq!(floors(&plan_for(workload(spec, 4, Scaler::None), 500.0)), [(Field::Replicas, 8)]);
    assert_eq!(floors(&plan_for(workload(spec, 20, Scaler::None), 10.0)), [(Field::Replicas, 16)]);
    assert_eq!(floors(&plan_for(workload(spec, 2, Scaler::None), 10.0)), [(Field::Replicas, 1)]);
}

#[test]
fn spare_replicas_are_added_by_the_square_root() {
    let spec = "signal: requests, capacityPerReplica: 10, replicas: {spare: 1.0, stepUp: 9}";
    let plan = plan_for(workload(spec, 2, Scaler::None), 40.0);
    assert_eq!((floors(&plan), plan.outlooks[0].floor), (vec![(Field::Replicas, 6)], 6));
    assert!(matches!(
        plan.changes[0].reasons[..],
        [Reason::PeakDemand { .. }, Reason::Spare { added: 2, spare: 1.0 }, Reason::Risk { before: 1.0, after: 0.0 }]
    ));
    assert_eq!(floors(&plan_for(workload(&spec.replace("1.0", "0"), 2, Scaler::None), 40.0)), [(Field::Replicas, 4)]);
}

#[test]
fn bounds_hold_whatever_the_forecast_says() {
    let spec = "signal: requests, capacityPerReplica: 10, replicas: {min: 3, max: 7, stepUp: 10}";
    assert_eq!(floors(&plan_for(workload(spec, 5, Scaler::None), 500.0)), [(Field::Replicas, 7)]);
    let plan = plan_for(workload(spec, 5, Scaler::None), 1e12);
    assert!(matches!(
        plan.changes[0].reasons[..],
        [Reason::PeakDemand { .. }, Reason::AtMost { bound: 7, .. }, Reason::Risk { before: 1.0, after: 1.0 }]
    ));
    // The autoscaler's own ceiling bounds the floor; a policy that allows more raises it, with room above.
    let own = "signal: requests, capacityPerReplica: 10, replicas: {stepUp: 10}";
    assert_eq!(floors(&plan_for(workload(own, 5, hpa(Some(5), 8)), 500.0)), [(Field::MinReplicas, 8)]);
    let more = "signal: requests, capacityPerReplica: 10, replicas: {max: 40, stepUp: 10}";
    assert_eq!(floors(&plan_for(workload(more, 5, hpa(Some(5), 8)), 200.0)), [(Field::MinReplicas, 20), (Field::MaxReplicas, 30)]);
}

#[test]
fn a_floor_rests_before_it_falls_but_not_before_it_rises() {
    let spec = "signal: requests, capacityPerReplica: 10, replicas: {coolDown: 30m}";
    let fall = |past| plan_with(workload(spec, 9, Scaler::None), 10.0, past);
    assert_eq!(held(&fall(vec![moved(29, Some("c"))]), &Field::Replicas), Some("cooling-down"));
    assert_eq!(floors(&fall(vec![moved(31, Some("c"))])).len(), 1);
    assert_eq!(floors(&fall(vec![moved(1, None)])).len(), 1, "what never reached Git does not count");
    assert_eq!(floors(&plan_with(workload(spec, 9, Scaler::None), 200.0, vec![moved(1, Some("c"))])).len(), 1);
}

#[test]
fn the_past_of_one_overlay_is_not_that_of_another() {
    let spec = "signal: requests, capacityPerReplica: 10, replicas: {coolDown: 30m, stabilization: 1h, changesPerDay: 24}";
    let fall = |past| plan_with(workload(spec, 9, Scaler::None), 10.0, past);
    let test = || RepoPath::parse("overlays/test").unwrap();
    let elsewhere = |mut record: Record, overlay: Option<RepoPath>| {
        record.overlay = overlay;
        record.changed.iter_mut().for_each(|change| change.overlay = test());
        record
    };
    assert_eq!(floors(&fall(vec![elsewhere(moved(5, Some("c")), Some(test()))])).len(), 1);
    assert_eq!(floors(&fall(vec![elsewhere(wanted(5, 9), Some(test()))])).len(), 1);
    // An older version did not record it, but for what was changed.
    let old = |record: Record| Record { overlay: None, ..record };
    assert_eq!(held(&fall(vec![old(moved(5, Some("c")))]), &Field::Replicas), Some("cooling-down"));
    assert_eq!(floors(&fall(vec![elsewhere(moved(5, Some("c")), None), old(wanted(5, 9))])).len(), 1);
}

/// A run so many minutes ago that wanted this floor.
fn wanted(minutes: i64, floor: u32) -> Record {
    Record { floor: Some(floor), changed: vec![], commit: None, ..moved(minutes, None) }
}

#[test]
fn a_floor_falls_only_to_the_most_that_was_wanted_lately() {
    let spec = "signal: requests, capacityPerReplica: 10, replicas: {stepDown: 1.0}";
    let fall = |spec: &str, past| plan_with(workload(spec, 9, Scaler::None), 10.0, past);
    let plan = fall(spec, vec![wanted(40, 9), wanted(20, 5), wanted(10, 4)]);
    assert_eq!(floors(&plan), [(Field::Replicas, 5)]);
    let over = TimeDelta::minutes(30);
    assert!(
        matches!(plan.changes[0].reasons[..], [Reason::PeakDemand { .. }, Reason::Deferred { wanted: 1, over: o }, Reason::Risk { before: 0.0, after: 0.0 }] if o == over)
    );
    let plan = fall(spec, vec![wanted(25, 12), wanted(20, 9), wanted(10, 4)]);
    assert_eq!(plan.held[0].why, HoldReason::Deferred { over, until: now() + TimeDelta::minutes(10) }, "twenty minutes ago it was needed");
    assert!(!plan.held[0].why.is_error() && plan.held[0].wanted == Some(Value::Count(1)));
    assert_eq!(floors(&fall(spec, vec![wanted(30, 9)])), [(Field::Replicas, 1)], "the stabilization is over");
    let rare = "signal: requests, capacityPerReplica: 10, replicas: {stepDown: 1.0, changesPerDay: 6}";
    assert_eq!(held(&fall(rare, vec![wanted(239, 9)]), &Field::Replicas), Some("deferred"), "each change holds for four hours");
    assert_eq!(floors(&fall(rare, vec![wanted(240, 9)])), [(Field::Replicas, 1)]);
    let bounded = "signal: requests, capacityPerReplica: 10, replicas: {max: 7}";
    assert_eq!(floors(&fall(bounded, vec![wanted(10, 12)])), [(Field::Replicas, 7)], "bounds hold in any case");
}

/// A plan for a workload with two signals, each a demand for sure or nothing.
fn plan_of_two(replicas: u32, demands: [Option<f64>; 2]) -> Plan {
    let spec = "signals: [{signal: requests, capacityPerReplica: 10}, {signal: cpu, capacityPerReplica: 2}], requests: {enabled: false}";
    let stale = || HoldReason::StaleData { last: now() - TimeDelta::hours(1), limit: TimeDelta::minutes(15) };
    let outlook = demands.map(|demand| demand.map(surely).ok_or_else(stale)).to_vec();
    let snapshot = Snapshot {
        now: now(),
        workloads: vec![workload(spec, replicas, Scaler::None)],
        amiss: vec![],
        past: vec![],
        ..Snapshot::default()
    };
    plan(&snapshot, [outlook], &SETTINGS)
}

#[test]
fn of_several_signals_the_largest_need_wins() {
    let plan = plan_of_two(4, [Some(55.0), Some(15.0)]);
    assert_eq!(floors(&plan), [(Field::Replicas, 8)]);
    assert_eq!(
        plan.outlooks.iter().map(|outlook| (&outlook.signal, outlook.floor)).collect::<Vec<_>>(),
        [(&Signal::Requests, 6), (&Signal::Cpu, 8)]
    );
    assert!(matches!(
        plan.changes[0].reasons[..],
        [Reason::PeakDemand { signal: Signal::Cpu, .. }, Reason::OtherSignal { signal: Signal::Requests, needed: 6 }, Reason::Risk { .. }]
    ));
    let record = &Record::of_run(&plan, [])[0];
    assert_eq!((record.floor, record.peak), (Some(8), Some(15.0)), "what won");
}

#[test]
fn a_missing_signal_stops_a_fall_but_not_a_rise() {
    let rise = plan_of_two(4, [Some(55.0), None]);
    assert_eq!(floors(&rise), [(Field::Replicas, 6)]);
    assert_eq!((rise.held[0].field.clone(), rise.held[0].why.code(), rise.outlooks.len()), (None, "signal-missing", 1), "and it is told");
    let fall = plan_of_two(9, [Some(10.0), None]);
    assert!(fall.changes.is_empty());
    let [held] = &fall.held[..1] else { panic!() };
    assert!(matches!(&held.why, HoldReason::SignalMissing { signal: Signal::Cpu, why } if why.code() == "stale-data"));
    assert_eq!((&held.field, &held.wanted), (&Some(Field::Replicas), &Some(Value::Count(8))));
    assert!(held.why.is_error() && fall.held.len() == 1);
    let codes = |plan: &Plan| plan.held.iter().map(|held| held.why.code()).collect::<Vec<_>>();
    assert_eq!(codes(&plan_of_two(1, [Some(10.0), None])), ["unchanged", "signal-missing"]);
    assert_eq!(codes(&plan_of_two(4, [None, None])), ["signal-missing", "signal-missing"]);
}

#[test]
fn changes_a_day_are_limited_and_falls_have_half_of_them() {
    let spec = "signal: requests, capacityPerReplica: 10, replicas: {changesPerDay: 3}";
    let after = |hours: &[i64], demand: f64| {
        let past = hours.iter().map(|hours| moved(hours * 60, Some("c"))).collect();
        plan_with(workload(spec, 9, Scaler::None), demand, past)
    };
    assert_eq!(floors(&after(&[20, 10], 200.0)).len(), 1);
    assert_eq!(floors(&after(&[20], 10.0)).len(), 1);
    let spent = after(&[26, 20, 10], 10.0);
    let until = now() + TimeDelta::hours(4);
    assert_eq!(spent.held[0].why, HoldReason::ChangesSpent { most: 3, until }, "falls have had their two");
    assert!(!spent.held[0].why.is_error() && spent.held[0].wanted == Some(Value::Count(8)));
    let spent = after(&[26, 20, 10, 5], 200.0);
    assert_eq!(spent.held[0].why, HoldReason::ChangesSpent { most: 3, until });
    assert_eq!(floors(&after(&[24, 20, 10], 200.0)).len(), 1, "what is a day old is forgotten");
    assert_eq!(floors(&plan_with(workload(spec, 9, Scaler::None), 200.0, vec![moved(60, None); 9])).len(), 1, "observed only");
}

#[test]
fn restarts_stop_a_fall_but_not_a_rise() {
    let spec = "signal: requests, capacityPerReplica: 10";
    let restarting = |minutes_ago: i64, demand: f64| {
        let mut workload = workload(spec, 9, Scaler::None);
        workload.restarts = Some(Series::new(now().timestamp() - minutes_ago * 60, 300, [2.0]));
        plan_for(workload, demand)
    };
    assert_eq!(held(&restarting(20, 10.0), &Field::Replicas), Some("restarting"));
    assert_eq!(floors(&restarting(20, 200.0)).len(), 1);
    assert_eq!(floors(&restarting(90, 10.0)).len(), 1);
}

#[test]
fn demand_that_was_cut_short_stops_a_fall_but_not_a_rise() {
    let spec = "signal: requests, capacityPerReplica: 10";
    let cut_short = |minutes_ago: i64, demand: f64| {
        let mut workload = workload(spec, 9, Scaler::None);
        let marks = Series::new((now() - TimeDelta::minutes(minutes_ago)).timestamp(), 300, [1.0]);
        workload.censored = Censored::new([(Cause::Throttled, marks)].into());
        plan_for(workload, demand)
    };
    let held = &cut_short(30, 10.0).held[0];
    assert_eq!(held.why, HoldReason::Censored { cause: Cause::Throttled, until: now() + TimeDelta::minutes(35) });
    assert!(!held.why.is_error());
    assert_eq!(floors(&cut_short(30, 200.0)).len(), 1);
    let later = cut_short(70, 10.0);
    assert_eq!(floors(&later).len(), 1);
    assert_eq!(later.outlooks[0].censored, 5.0 / 1440.0, "of the day that is known");
}

#[test]
fn switches_stop_everything() {
    let spec = "signal: requests, capacityPerReplica: 10";
    let mut paused = workload(spec, 4, Scaler::None);
    paused.rendered.annotations.insert(PAUSED_ANNOTATION.into(), "true".into());
    let plan_paused = plan_for(paused, 55.0);
    assert!(plan_paused.changes.is_empty());
    assert_eq!(held(&plan_paused, &Field::Replicas), Some("paused"));

    let snapshot =
        Snapshot { now: now(), workloads: vec![workload(spec, 4, Scaler::None)], amiss: vec![], past: vec![], ..Snapshot::default() };
    let stopped = plan(&snapshot, [vec![Ok(surely(55.0))]], &Settings { paused: true, ..SETTINGS });
    assert!(stopped.changes.is_empty() && !stopped.held.is_empty());
}

#[test]
fn capacity_is_given_or_follows_from_requests() {
    // Request 1 core; an HPA aims at 80 %, nothing at 70 %.
    assert_eq!(floors(&plan_for(workload("signal: cpu", 2, hpa(Some(2), 20)), 3.1)), [(Field::MinReplicas, 4)]);
    assert_eq!(floors(&plan_for(workload("signal: cpu", 3, Scaler::None), 3.1)), [(Field::Replicas, 5)]);
    assert_eq!(held(&plan_for(workload("signal: requests", 2, Scaler::None), 3.0), &Field::Replicas), Some("capacity-unknown"));
}

#[test]
fn requests_follow_usage_and_spare_the_scale_point() {
    let field = |resource| Field::Request { container: "app".into(), resource };
    let plan_plain = plan_for(workload("signal: cpu, capacityPerReplica: 1", 1, Scaler::None), 0.5);
    let to = |resource| plan_plain.changes.iter().find(|change| change.field == field(resource)).map(|change| change.to.clone());
    assert_eq!(to(Resource::Cpu), Some(Value::Cpu(Millicores(575))));
    assert_eq!(to(Resource::Memory), Some(Value::Memory(Bytes(230 << 20))));
    let derived = plan_for(workload("signal: cpu", 1, Scaler::None), 0.5);
    assert_eq!(
        held(&derived, &field(Resource::Cpu)),
        Some("capacity-follows"),
        "else the floor would follow the request, and the request the floor"
    );
    let fixed = plan_for(workload("signal: cpu, replicas: {max: 1}", 1, Scaler::None), 0.5);
    assert!(fixed.changes.iter().any(|change| change.field == field(Resource::Cpu)), "a floor that cannot move does not follow");
    let plan_hpa = plan_for(workload("signal: cpu", 1, hpa(Some(1), 5)), 0.5);
    assert_eq!(held(&plan_hpa, &field(Resource::Cpu)), Some("hpa-owns-resource"));
    let off = plan_for(workload("signal: cpu, requests: {enabled: false}", 1, Scaler::None), 0.5);
    assert_eq!(off.changes.iter().filter(|change| change.field.rhythm() == Rhythm::Template).count(), 0);
    let young = plan_for(workload("signal: cpu, requests: {leastHistory: 5d}", 1, Scaler::None), 0.5);
    assert_eq!(held(&young, &field(Resource::Cpu)), Some("short-history"));
    let mut limited = workload("signal: cpu", 1, Scaler::None);
    limited.rendered.containers[0].memory_limit = Some(Bytes(210 << 20));
    let plan_limited = plan_for(limited, 0.5);
    let change = plan_limited.changes.iter().find(|change| change.field == field(Resource::Memory)).unwrap();
    assert_eq!(change.to, Value::Memory(Bytes(210 << 20)));
    assert!(matches!(change.reasons[1], Reason::AtLimit { .. }));
}

proptest! {
    #[test]
    fn never_outside_bounds_never_beyond_a_step_and_settled_in_the_end(
        demand in 0.0..1e6_f64, replicas in 1_u32..200, min in 1_u32..20, room in 0_u32..100, up in 0.01..3.0_f64, down in 0.01..1.0_f64,
    ) {
        let max = min + room;
        let spec = format!("signal: requests, capacityPerReplica: 10, replicas: {{min: {min}, max: {max}, stepUp: {up}, stepDown: {down}}}");
        let mut at = replicas;
        for _ in 0..2000 {
            let plan = plan_for(workload(&spec, at, Scaler::None), demand);
            let Some((_, to)) = floors(&plan).first().cloned() else { break };
            prop_assert!((min..=max).contains(&to), "{to} outside {min}..={max}");
            if (min..=max).contains(&at) {
                let step = (f64::from(at) * if to > at { up } else { down }).max(1.0);
                prop_assert!(f64::from(to.abs_diff(at)) <= step, "{at} -> {to}, step {step}");
            }
            at = to;
        }
        prop_assert_eq!(at, ((demand / 10.0).ceil().max(1.0) as u32).clamp(min, max));
    }

    #[test]
    fn no_floor_goes_up_and_down_again_and_none_rises_late(
        wishes in proptest::collection::vec((1_u32..30, 1_i64..40), 1..60), stabilization in 0_i64..120, down in 0.05..1.0_f64, limit in 0_u32..8,
    ) {
        let limited = if limit > 0 { format!(", changesPerDay: {limit}") } else { String::new() };
        let spec = format!(
            "signal: requests, capacityPerReplica: 10, \
             replicas: {{stepUp: 50, stepDown: {down}, coolDown: 0s, stabilization: {stabilization}m{limited}}}"
        );
        let span = TimeDelta::minutes(if limit > 0 { stabilization.max(1440 / i64::from(limit)) } else { stabilization });
        let (mut at, mut floor, mut past, mut rises) = (now(), 4, Vec::new(), Vec::new());
        let mut made: Vec<DateTime<Utc>> = Vec::new();
        for (wish, minutes) in wishes {
            at += TimeDelta::minutes(minutes);
            let plan = plan_at(at, workload(&spec, floor, Scaler::None), f64::from(wish) * 10.0, past.clone());
            let to = floors(&plan).first().map_or(floor, |(_, to)| *to);
            prop_assert_eq!(plan.outlooks[0].floor, wish);
            if wish > floor && limit == 0 {
                prop_assert_eq!(to, wish, "a rise is never late");
            }
            if to < floor {
                prop_assert!(rises.last().is_none_or(|rise| at - *rise >= span), "{floor} -> {to} so soon after a rise");
                let lately = past.iter().filter(|record: &&Record| at - record.at < span).filter_map(|record| record.floor).max();
                prop_assert!(to >= lately.unwrap_or(0).max(wish), "{to} where {lately:?} was wanted");
            }
            if to > floor {
                rises.push(at);
            }
            if to != floor {
                made.push(at);
                let day = made.iter().filter(|made| at - **made < TimeDelta::days(1)).count();
                prop_assert!(limit == 0 || day <= limit as usize, "{day} changes a day");
            }
            let changed = if to == floor { vec![] } else { moved(0, None).changed };
            past.push(Record { at, floor: Some(wish), changed, ..moved(0, Some("c")) });
            floor = to;
        }
    }
}

/// A study whose champion follows another price, and sets the HPA at 60 %.
fn study(workload: &Observed) -> Study {
    let setting = |percent: u32, target: f64| HpaSetting { percent, target, stabilization: 300 };
    Study {
        overlay: workload.overlay.clone(),
        workload: workload.rendered.id.clone(),
        at: now() - TimeDelta::days(1),
        replayed: TimeDelta::days(14),
        subject: Subject {
            signal: Signal::Cpu,
            capacity: 0.5,
            aim: Aim::Price(100.0),
            hpa: Some(setting(80, 1.6)),
            most: Some(20),
            tuned: true,
            every: SETTINGS.every,
            lead: SETTINGS.lead,
            calendar: workload.policy.spec.calendar.clone(),
        },
        model: "linear".into(),
        price: 400.0,
        stretch: 2.0,
        hpa: Some(Tuning { to: HpaSetting { stabilization: 600, ..setting(60, 1.2) }, price: 50.0, stretch: 1.0, before: 9.0, after: 8.0 }),
        models: vec![],
        gain: 0.1,
    }
}

const TUNED: &str = "signal: cpu, capacityPerReplica: 0.5, requests: {enabled: false}";
const TARGET: Field = Field::TargetUtilization(Metric { resource: Resource::Cpu, container: None });
const WINDOW: Field = Field::Stabilization(Direction::ScaleDown);

#[test]
fn an_hpa_is_set_as_the_study_says() {
    let mut workload = workload(TUNED, 2, hpa(Some(2), 20));
    workload.signals[0].study = Ok(study(&workload));
    let plan = plan_for(workload.clone(), 0.9);
    let change = |field: &Field| plan.changes.iter().find(|change| change.field == *field).unwrap();
    assert_eq!(change(&TARGET).to.to_string(), "60");
    assert_eq!((change(&WINDOW).from.clone(), change(&WINDOW).to.to_string()), (None, "600".to_owned()));
    assert_eq!(change(&TARGET).reasons, [Reason::Tuned { replayed: TimeDelta::days(14), before: 9.0, after: 8.0 }]);
    assert_eq!(change(&TARGET).object.kind, "HorizontalPodAutoscaler");

    let Scaler::Hpa(set) = &mut workload.rendered.scaler else { unreachable!() };
    set.metrics[0].utilization = Some(60);
    workload.rendered.fields.push((WINDOW, Value::Stabilization(600.try_into().unwrap())));
    assert_eq!(held(&plan_for(workload, 0.9), &TARGET), Some("unchanged"));
}

#[test]
fn no_hpa_is_set_outside_the_policy_s_bounds() {
    for (bounds, planned) in [
        ("{minTarget: 60, maxTarget: 60, minStabilization: 10m, maxStabilization: 10m}", true),
        ("{minTarget: 61}", false),
        ("{maxTarget: 59}", false),
        ("{minStabilization: 601s}", false),
        ("{maxStabilization: 599s}", false),
    ] {
        let mut workload = workload(&format!("{TUNED}, autoscaler: {bounds}"), 2, hpa(Some(2), 20));
        workload.signals[0].study = Ok(study(&workload));
        let plan = plan_for(workload, 0.9);
        assert_eq!(plan.changes.iter().any(|change| change.field == TARGET), planned, "{bounds}");
        assert_eq!(held(&plan, &TARGET) == Some("unchanged"), !planned, "{bounds}");
    }
}

#[test]
fn no_hpa_aims_at_what_the_limits_keep_usage_from() {
    let mut workload = workload(TUNED, 2, hpa(Some(2), 20));
    workload.signals[0].study = Ok(study(&workload));
    // At 60 % of a core it adds a replica above 660m.
    for (limit, planned) in [(659, false), (660, true)] {
        workload.rendered.containers[0].cpu_limit = Some(Millicores(limit));
        let plan = plan_for(workload.clone(), 0.9);
        assert_eq!(plan.changes.iter().any(|change| change.field == TARGET || change.field == WINDOW), planned, "{limit}");
        assert_eq!(held(&plan, &TARGET) == Some("unchanged"), !planned);
    }
    let sidecar = Container { name: "sidecar".into(), cpu_request: Some(Millicores(0)), ..Container::default() };
    workload.rendered.containers[0].cpu_limit = Some(Millicores(500));
    workload.rendered.containers.push(sidecar);
    let reached = |workload: &Observed, percent: u32| {
        let tunable = tunable(workload).unwrap().unwrap();
        tunable.is_possible(&HpaSetting { percent, target: tunable.present.target * f64::from(percent) / 80.0, stabilization: 300 })
    };
    assert!(reached(&workload, 400), "a container without a limit knows no bounds");
}

#[test]
fn an_hpa_on_memory_stays_below_the_first_limit() {
    let mut workload = workload("signal: memory, capacityPerReplica: 1e9, requests: {enabled: false}", 2, hpa(Some(2), 20));
    let Scaler::Hpa(set) = &mut workload.rendered.scaler else { unreachable!() };
    set.metrics[0].name = "memory".into();
    let half = |limit: Option<u64>| Container {
        memory_request: Some(Bytes(1 << 29)),
        memory_limit: limit.map(Bytes),
        ..workload.rendered.containers[0].clone()
    };
    let most = |containers: Vec<Container>| {
        let workload = Observed { rendered: RenderedWorkload { containers, ..workload.rendered.clone() }, ..workload.clone() };
        let tunable = tunable(&workload).unwrap().unwrap();
        let per_percent = tunable.present.target / 80.0;
        let reached = |percent: &u32| {
            tunable.is_possible(&HpaSetting { percent: *percent, target: f64::from(*percent) * per_percent, stabilization: 300 })
        };
        (1..=500).rev().find(reached)
    };
    assert_eq!(most(vec![half(None), half(None)]), Some(500));
    assert_eq!(most(vec![half(Some(1 << 29)), half(Some(1 << 29))]), Some(90));
    assert_eq!(most(vec![half(Some(1 << 30)), half(None)]), Some(181), "it is killed at 200 % of its request");
}

#[test]
fn an_hpa_that_is_not_tuned_says_why() {
    let cpu_hpa = || workload(TUNED, 2, hpa(Some(2), 20));
    assert_eq!(held(&plan_for(cpu_hpa(), 0.9), &TARGET), Some("unstudied"));
    let derived = plan_for(workload("signal: cpu, requests: {enabled: false}", 2, hpa(Some(2), 20)), 0.9);
    let why = derived.held.iter().find(|held| held.why.code() == "not-tuned").unwrap();
    assert!(matches!(&why.why, HoldReason::NotTuned { detail } if detail.contains("capacityPerReplica")) && !why.why.is_error());
    assert_eq!(held(&plan_for(workload("signal: requests, capacityPerReplica: 5", 2, hpa(Some(2), 20)), 9.0), &WINDOW), Some("not-tuned"));
    let mut two = cpu_hpa();
    let Scaler::Hpa(set) = &mut two.rendered.scaler else { unreachable!() };
    set.metrics.push(HpaMetric { name: "Pods".into(), utilization: None });
    assert_eq!(held(&plan_for(two, 0.9), &WINDOW), Some("not-tuned"));
    let off = plan_for(workload(&format!("{TUNED}, autoscaler: {{tune: false}}"), 2, hpa(Some(2), 20)), 0.9);
    assert!(off.held.iter().all(|held| held.field != Some(WINDOW) && held.field != Some(TARGET)));
    assert!(tunable(&workload(TUNED, 2, Scaler::None)).unwrap().is_none());
}

#[test]
fn the_price_is_the_study_s_under_the_hpa_as_it_stands() {
    let mut workload = workload(TUNED, 4, hpa(Some(4), 20));
    let floor = |workload: &Observed| plan_for(workload.clone(), 1.4).outlooks.remove(0).floor;
    let usual = floor(&workload);
    workload.signals[0].study = Ok(study(&workload));
    assert_eq!(floor(&workload), usual * 2, "stretched");
    let plan = plan_for(workload.clone(), 1.4);
    assert!(plan.changes.iter().any(|c| c.reasons.iter().any(|r| matches!(r, Reason::Studied { price: 400.0, stretch: 2.0, .. }))));
    let Scaler::Hpa(set) = &mut workload.rendered.scaler else { unreachable!() };
    set.metrics[0].utilization = Some(60);
    workload.rendered.fields.push((WINDOW, Value::Stabilization(600.try_into().unwrap())));
    assert_eq!(floor(&workload), usual, "it was set as the study says");
}

#[test]
fn an_objective_without_a_study_takes_the_default_price_and_says_so() {
    let spec = "signal: requests, capacityPerReplica: 10";
    let objective = plan_for(workload(&format!("{spec}, objective: 0.5%"), 4, Scaler::None), 55.0);
    assert_eq!(floors(&objective), floors(&plan_for(workload(spec, 4, Scaler::None), 55.0)));
    let why = NoStudy::NotYet;
    assert!(objective.changes[0].reasons.contains(&Reason::ObjectiveUnstudied { objective: 0.005, price: 100.0, why }));
    assert_eq!((objective.outlooks[0].study.clone(), objective.outlooks[0].unstudied.clone()), (None, Some(NoStudy::NotYet)));
}
