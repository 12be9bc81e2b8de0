//! A forecast on loan: a workload with too little history of its own takes that of its sibling in another overlay or namespace, at its own
//! level.

use chrono::TimeDelta;

use super::task::Task;
use super::{Settings, champion, check_fresh};
use crate::model::policy::delta;
use crate::model::snapshot::Driven;
use crate::model::{Borrowed, Demand, Foreseen, Learned, Observed, Series, Snapshot};

/// The name that plans and records carry.
const NAME: &str = "sibling";
/// The least time in which both were measured: with less, their levels cannot be compared.
const LEAST_COMMON: TimeDelta = TimeDelta::hours(1);

/// The forecast of the sibling with the longest history, as if it were the workload's. `None` where no sibling tells anything.
pub(super) fn borrow(workload: &Observed, driven: &Driven, snapshot: &Snapshot, settings: &Settings) -> Option<Foreseen> {
    let now = snapshot.now;
    let own = driven.demand.as_ref().ok()?.known_at(now.timestamp());
    let is_sibling = |other: &&Observed| {
        let (a, b) = (&workload.rendered.id, &other.rendered.id);
        (a.kind, &a.name) == (b.kind, &b.name) && (&workload.overlay, &a.namespace) != (&other.overlay, &b.namespace)
    };
    let lenders = snapshot.workloads.iter().filter(is_sibling).filter_map(|other| {
        let lender = other.signals.iter().find(|lender| lender.signal == driven.signal)?;
        let demand = lender.demand.as_ref().ok()?;
        check_fresh(demand, now, delta(other.policy.spec.stale_after)).ok()?;
        let demand = demand.known_at(now.timestamp());
        let (ratio, common) = ratio(&own, &demand)?;
        Some((other, lender, demand, ratio, common))
    });
    let mut lenders: Vec<_> = lenders.collect();
    lenders.sort_by_key(|(other, _, demand, ..)| {
        (std::cmp::Reverse(demand.measured_span()), other.overlay.clone(), other.rendered.id.clone())
    });
    lenders.into_iter().find_map(|(other, lender, demand, ratio, common)| {
        let moved = Series::new(demand.start(), demand.step(), demand.values().iter().map(|value| value * ratio));
        // Its demand follows its own clock.
        let calendar = &other.policy.spec.calendar;
        let task = Task {
            recipe: champion(lender),
            demand: &moved,
            censored: &other.censored,
            now,
            window: settings.window(workload, now),
            calendar,
        };
        let (_, phase) = Learned::name(other, lender);
        let (mut foreseen, _) = task.foresee(phase, &|| None).ok()?;
        foreseen.forecast.model = NAME;
        let (overlay, from) = (other.overlay.clone(), other.rendered.id.clone());
        Some(Foreseen { borrowed: Some(Borrowed { overlay, workload: from, ratio, common }), ..foreseen })
    })
}

/// How great one's mean is beside another's over the time in which both were measured, and how long that is. `None` where it is too short, or
/// there was no demand.
fn ratio(own: &Series, other: &Series) -> Option<(f64, TimeDelta)> {
    let (own, other) = (Demand::of(own), Demand::of(other));
    let offset = (own.start() - other.start()).div_euclid(60);
    let (mut minutes, mut mine, mut theirs) = (0_i32, 0.0, 0.0);
    for (minute, a) in (0_i64..).zip(own.raw()) {
        let at = usize::try_from(minute + offset).ok();
        if let Some(b) = at.and_then(|at| other.raw().get(at)).filter(|b| !a.is_nan() && !b.is_nan()) {
            minutes += 1;
            mine += a;
            theirs += b;
        }
    }
    let (ratio, common) = (mine / theirs, TimeDelta::minutes(minutes.into()));
    (common >= LEAST_COMMON && ratio > 0.0 && ratio.is_finite()).then_some((ratio, common))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::{DateTime, Utc};

    use super::super::{LEAST_HISTORY, all};
    use super::*;
    use crate::model::Lead;
    use crate::model::origin::Origins;
    use crate::model::snapshot::Effort;
    use crate::model::{Censored, HoldReason, NoStudy, RenderedWorkload, RepoPath, Scaler, Signal, WorkloadId, WorkloadKind};

    const SETTINGS: Settings = Settings { every: TimeDelta::minutes(10), lead: TimeDelta::minutes(6) };

    fn now() -> DateTime<Utc> {
        "2026-11-16T07:00:00Z".parse().unwrap()
    }

    /// A day's rhythm times `level`, measured over the last minutes.
    fn observed(namespace: &str, name: &str, level: f64, minutes: i64) -> Observed {
        let start = now().timestamp() - minutes * 60;
        let value = |at: i64| level * (60.0 - 40.0 * (std::f64::consts::TAU * (at % 86_400) as f64 / 86_400.0).cos());
        let overlay = RepoPath::parse(&format!("overlays/{namespace}")).unwrap();
        let text = format!(
            "{{apiVersion: prescale.dev/v1alpha1, kind: ScalingPolicy, metadata: {{name: {name}}}, spec: {{target: {{name: {name}}}, signal: requests}}}}"
        );
        Observed {
            origins: Origins::default(),
            overlay,
            rendered: RenderedWorkload {
                id: WorkloadId { namespace: namespace.into(), kind: WorkloadKind::Deployment, name: name.into() },
                replicas: None,
                containers: vec![],
                scaler: Scaler::None,
                annotations: BTreeMap::new(),
                fields: vec![],
            },
            policy: serde_yaml::from_str(&text).unwrap(),
            signals: vec![Driven {
                signal: Signal::Requests,
                capacity: None,
                demand: Ok(Series::new(start, 60, (0..minutes).map(|minute| value(start + minute * 60)))),
                study: Err(NoStudy::NotYet),
            }],
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
        }
    }

    fn foresee(workloads: Vec<Observed>) -> Result<Foreseen, HoldReason> {
        all(&Snapshot { now: now(), workloads, amiss: vec![], past: vec![], ..Snapshot::default() }, SETTINGS, |_| None, |_| ())
            .next()
            .unwrap()
            .remove(0)
    }

    #[test]
    fn a_sibling_s_history_counts_at_the_own_level() {
        let new = || observed("eu", "web", 3.0, 180);
        let foreseen = foresee(vec![new(), observed("us", "web", 1.0, 9 * 1440), observed("asia", "web", 2.0, 3 * 1440)]).unwrap();
        let Borrowed { overlay, workload, ratio, common } = foreseen.borrowed.unwrap();
        assert_eq!((overlay.to_string(), workload.namespace), ("overlays/us".to_owned(), "us".to_owned()), "the longest history");
        assert!((ratio - 3.0).abs() < 1e-9 && common == TimeDelta::hours(3), "{ratio} over {common}");
        let (own, theirs) = (foreseen.forecast, foresee(vec![observed("us", "web", 3.0, 9 * 1440)]).unwrap());
        assert_eq!((own.model, theirs.borrowed), ("sibling", None));
        for p in [0.5, 0.9, 0.99] {
            assert!((own.quantile(p) / theirs.forecast.quantile(p) - 1.0).abs() < 1e-6, "{p}");
        }
    }

    #[test]
    fn a_sibling_s_history_follows_its_own_calendar() {
        // On Sundays and holidays, of which today is one, nobody comes at 7:05 where the sibling is.
        let quiet = |mut observed: Observed| {
            let demand = observed.signals[0].demand.clone().unwrap();
            let (start, step) = (demand.start(), demand.step());
            let is_quiet = |i: usize| {
                let at = start + step * i as i64;
                matches!(at.div_euclid(86_400) % 7, 3 | 4) || at % 86_400 < 7 * 3600 + 300
            };
            let values = demand.values().iter().enumerate().map(|(i, value)| value * if is_quiet(i) { 0.3 } else { 1.0 });
            observed.signals[0].demand = Ok(Series::new(start, step, values.collect::<Vec<_>>()));
            observed
        };
        let lender = |level: f64| {
            let mut lender = quiet(observed("us", "web", level, 16 * 1440));
            lender.policy.spec.calendar.holidays = ["2026-11-09", "2026-11-16"].map(|day| day.parse().unwrap()).into();
            lender
        };
        let own = foresee(vec![quiet(observed("eu", "web", 3.0, 180)), lender(1.0)]).unwrap();
        let theirs = foresee(vec![lender(3.0)]).unwrap().forecast;
        let mut elsewhere = lender(3.0);
        elsewhere.policy.spec.calendar = crate::model::Calendar::default();
        let elsewhere = foresee(vec![elsewhere]).unwrap().forecast;
        let ratio = |other: &crate::model::Forecast| own.forecast.quantile(0.7) / other.quantile(0.7);
        assert!((ratio(&theirs) - 1.0).abs() < 1e-6 && (ratio(&elsewhere) - 1.0).abs() > 1e-3, "{} {}", ratio(&theirs), ratio(&elsewhere));
    }

    #[test]
    fn without_a_sibling_that_tells_something_it_is_held() {
        let new = || observed("eu", "web", 3.0, 180);
        let mut other_signal = observed("us", "web", 1.0, 9 * 1440);
        other_signal.signals[0].signal = Signal::Cpu;
        let mut idle = observed("us", "web", 1.0, 9 * 1440);
        idle.signals[0].demand = Ok(Series::new(now().timestamp() - 9 * 86_400, 60, vec![0.0; 9 * 1440]));
        let mut stale = observed("us", "web", 1.0, 9 * 1440);
        stale.signals[0].demand = stale.signals[0].demand.clone().map(|demand| demand.known_at(now().timestamp() - 7200));
        for other in [observed("us", "api", 1.0, 9 * 1440), observed("us", "web", 1.0, 300), other_signal, idle, stale] {
            assert!(matches!(foresee(vec![new(), other]), Err(HoldReason::ShortHistory { need: LEAST_HISTORY, .. })));
        }
        let half_an_hour = observed("eu", "web", 3.0, 30);
        assert!(foresee(vec![half_an_hour, observed("us", "web", 1.0, 9 * 1440)]).is_err(), "too short to compare");
    }
}
