//! What policies are told of a change: the document `input`, as `policies/gate/README.md` has it. What is not known is `null`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike as _, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value as Json, json};

use super::settings::Settings;
use crate::model::cluster::Live;
use crate::model::plan::Outlook;
use crate::model::{Change, Deploys, Field, Observed, Plan, Prices, RepoPath, Rhythm, Route, Snapshot, Value, WorkloadId};

/// The version of the document.
const VERSION: u32 = 1;

/// What is the same for all changes of a plan.
pub(super) struct Inputs<'a> {
    outlooks: BTreeMap<(&'a RepoPath, &'a WorkloadId), &'a Outlook>,
    workloads: BTreeMap<(&'a RepoPath, &'a WorkloadId), Json>,
    live: BTreeMap<(&'a RepoPath, &'a WorkloadId), Json>,
    argocd: BTreeMap<(&'a RepoPath, &'a WorkloadId), Json>,
    slo: BTreeMap<(&'a RepoPath, &'a WorkloadId), Json>,
    prices: Option<&'a Prices>,
    time: Json,
    plan: Json,
}

pub(super) fn of<'a>(plan: &'a Plan, snapshot: &'a Snapshot, prices: Option<&'a Prices>, settings: &Settings) -> Inputs<'a> {
    let mut outlooks: BTreeMap<_, &Outlook> = BTreeMap::new();
    for outlook in &plan.outlooks {
        // Of several signals the largest need wins.
        let known = outlooks.entry((&outlook.overlay, &outlook.workload)).or_insert(outlook);
        if known.floor < outlook.floor {
            *known = outlook;
        }
    }
    let workloads = snapshot.workloads.iter().map(|one| ((&one.overlay, &one.rendered.id), workload(one))).collect();
    let key = |one: &'a Observed| (&one.overlay, &one.rendered.id);
    let live = snapshot.workloads.iter().filter_map(|one| Some((key(one), live(one.live.as_ref()?)))).collect();
    let argocd = snapshot.workloads.iter().filter_map(|one| Some((key(one), argocd(one.deploys.first()?)))).collect();
    let asked = snapshot.workloads.iter().filter(|one| one.policy.spec.error_budget.is_some());
    let slo = asked.map(|one| (key(one), json!({"budget": one.error_budget.map(number)}))).collect();
    let mut inputs = Inputs { outlooks, workloads, live, argocd, slo, prices, time: time(plan.at, settings), plan: Json::Null };
    inputs.plan = inputs.whole(plan, snapshot);
    inputs
}

impl Inputs<'_> {
    /// The document for one change.
    pub(super) fn change(&self, change: &Change) -> Json {
        let key = (&change.overlay, &change.workload);
        let outlook = self.outlooks.get(&key);
        let plain = |value: &Value| value.number().map_or_else(|| json!(value.to_string()), number);
        let direction = match (change.from.as_ref().and_then(Value::number), change.to.number()) {
            _ if change.rises() => "rise",
            (Some(from), Some(to)) if from.total_cmp(&to).is_ne() => "fall",
            _ => "other",
        };
        let cost = self.prices.zip(outlook).and_then(|(prices, outlook)| change.monthly(outlook, prices));
        json!({
            "version": VERSION,
            "change": {
                "field": change.field.to_string(),
                "kind": if change.field.rhythm() == Rhythm::Floor { "floor" } else { "template" },
                "direction": direction,
                "from": change.from.as_ref().map(plain),
                "to": plain(&change.to),
                "route": change.route,
                "inverse": change.is_inverse(),
                "overlay": change.overlay,
                "object": change.object,
            },
            "workload": self.workloads.get(&key),
            "forecast": outlook.map(|outlook| json!({
                "signal": outlook.signal.name(),
                "model": outlook.model,
                "expected": outlook.expected,
                "peak": outlook.peak,
                "capacity": outlook.capacity,
                "floor": outlook.floor,
                "now": outlook.now,
            })),
            "risk": change.risk().map(|(before, after)| json!({"before": before, "after": after})),
            "cost": cost.zip(self.prices).map(|(delta, prices)| json!({"delta": delta, "currency": prices.currency})),
            "time": self.time,
            "plan": self.plan,
            "cluster": self.live.get(&key),
            "argocd": self.argocd.get(&key),
            "slo": self.slo.get(&key),
        })
    }

    /// What the run does as a whole. Of the other shards, whose runs are not known, it is taken that they do what this one does.
    fn whole(&self, plan: &Plan, snapshot: &Snapshot) -> Json {
        let written = || plan.changes.iter().filter(|change| change.route != Route::Observe);
        let changed: BTreeSet<_> = written().map(|change| (&change.overlay, &change.workload)).collect();
        let moved = written().filter(|change| is_floor(&change.field)).filter_map(|change| {
            let from = change.from.as_ref().and_then(Value::number).unwrap_or(0.0);
            Some((change.to.number()? - from).abs())
        });
        let cost = self.prices.map(|prices| {
            let each = written().filter_map(|change| change.monthly(self.outlooks.get(&(&change.overlay, &change.workload))?, prices));
            json!({"delta": each.sum::<f64>() * f64::from(snapshot.shard.count), "currency": prices.currency})
        });
        let now: u64 = self.outlooks.values().map(|outlook| u64::from(outlook.now)).sum();
        let (shards, total) = (snapshot.shard.count, snapshot.workloads.len() + snapshot.elsewhere);
        json!({
            "workloads": {"total": total, "changed": (changed.len() * shards as usize).min(total)},
            "replicas": {"now": now * u64::from(shards), "moved": number(moved.sum::<f64>() * f64::from(shards))},
            "cost": cost,
        })
    }
}

fn workload(observed: &Observed) -> Json {
    let WorkloadId { namespace, kind, name } = &observed.rendered.id;
    let days = observed.signals.iter().filter_map(|driven| Some(driven.demand.as_ref().ok()?.measured_span().num_days())).max();
    json!({
        "namespace": namespace,
        "kind": kind.to_string(),
        "name": name,
        "annotations": observed.rendered.annotations,
        "days": days,
    })
}

/// What the cluster says of a workload.
fn live(live: &Live) -> Json {
    let Live { replicas, ready, pending, unschedulable, autoscaler, disruption, warnings, .. } = live;
    json!({
        "replicas": replicas,
        "ready": ready,
        "pending": pending,
        "unschedulable": unschedulable,
        "autoscaler": autoscaler.as_ref().map(|scaler| json!({
            "kind": scaler.kind,
            "name": scaler.name,
            "min": scaler.min,
            "max": scaler.max,
            "desired": scaler.desired,
        })),
        "pdb": disruption.as_ref().map(|pdb| json!({
            "name": pdb.name,
            // Nought stands for a share.
            "minAvailable": Some(pdb.least).filter(|least| *least > 0 || pdb.min_available_share.is_none()),
            "minAvailableShare": pdb.min_available_share.map(number),
            "allowed": pdb.allowed,
        })),
        "warnings": warnings,
    })
}

/// What Argo CD says of the first Application that deploys a workload.
fn argocd(deploys: &Deploys) -> Json {
    let application = &deploys.application;
    let status = application.status.as_ref();
    json!({
        "application": deploys.name(),
        "project": application.project,
        "destination": {"server": application.destination.server, "name": application.destination.name},
        "autoSync": application.auto_sync,
        "sync": status.map(|status| status.sync),
        "health": status.map(|status| status.health),
    })
}

fn is_floor(field: &Field) -> bool {
    matches!(field, Field::Replicas | Field::MinReplicas | Field::MinReplicaCount)
}

/// A whole number without a fraction, so that messages show none.
pub(super) fn number(value: f64) -> Json {
    if value.fract() == 0.0 && value.abs() < 2_f64.powi(53) { json!(value as i64) } else { json!(value) }
}

/// The instant, as UTC and by the clock of each zone that the settings' freezes name.
fn time(at: DateTime<Utc>, settings: &Settings) -> Json {
    const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let clock = |zone: Tz| {
        let local = at.with_timezone(&zone);
        json!({
            "local": local.format("%Y-%m-%dT%H:%M").to_string(),
            "date": local.format("%Y-%m-%d").to_string(),
            "clock": local.format("%H:%M").to_string(),
            "weekday": WEEKDAYS[local.weekday().num_days_from_monday() as usize],
        })
    };
    let zones: Map<String, Json> = settings.zones().chain([Tz::UTC]).map(|zone| (zone.name().to_owned(), clock(zone))).collect();
    json!({"at": at.to_rfc3339(), "in": zones})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Metric, ObjectRef, Percent, Reason, RepoPath, Resource, Route, Window, WorkloadKind};
    use chrono::{DateTime, TimeDelta};

    /// What policies are told of a change that has this field, these values and these reasons.
    fn told(field: &Field, from: Option<Value>, to: Value, reasons: Vec<Reason>) -> Json {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let window = Window::of_decision(at, TimeDelta::minutes(6), TimeDelta::minutes(10));
        let plan = Plan { at, window, outlooks: vec![], changes: vec![], held: vec![] };
        let (snapshot, settings) = (Snapshot::default(), Settings::over(&json!({})).unwrap());
        let change = Change {
            workload: WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name: "web".into() },
            object: ObjectRef { group: String::new(), kind: String::new(), namespace: String::new(), name: String::new() },
            overlay: RepoPath::root(),
            field: field.clone(),
            from,
            to,
            reasons,
            route: Route::Commit,
        };
        of(&plan, &snapshot, None, &settings).change(&change)["change"].clone()
    }

    #[test]
    fn a_direction_is_that_of_capacity() {
        let direction =
            |field: &Field, from: Option<Value>, to: Value| told(field, from, to, vec![])["direction"].as_str().unwrap().to_owned();
        let percent = |percent: u32| Value::Percent(Percent::try_from(percent).unwrap());
        let target = Field::TargetUtilization(Metric { resource: Resource::Cpu, container: None });
        assert_eq!(direction(&Field::Replicas, Some(Value::Count(3)), Value::Count(5)), "rise");
        assert_eq!(direction(&Field::Replicas, None, Value::Count(5)), "rise", "one, where nothing sets it");
        assert_eq!(direction(&Field::Replicas, Some(Value::Count(5)), Value::Count(3)), "fall");
        assert_eq!(direction(&Field::MinReplicas, None, Value::Count(3)), "other");
        assert_eq!(direction(&target, Some(percent(70)), percent(90)), "fall", "fewer replicas carry as much");
        assert_eq!(direction(&target, Some(percent(90)), percent(70)), "rise");
    }

    #[test]
    fn what_takes_back_says_so() {
        let inverse = |reason: Option<Reason>| {
            told(&Field::Replicas, Some(Value::Count(5)), Value::Count(3), reason.into_iter().collect())["inverse"].clone()
        };
        let since = DateTime::from_timestamp(0, 0).unwrap();
        assert_eq!(inverse(Some(Reason::TakenBack { application: "web".into(), commit: "0".repeat(40), since })), true);
        assert_eq!(inverse(Some(Reason::Kept { input: None })), true, "as its pull request proposed it before");
        assert_eq!(inverse(Some(Reason::RoomAboveFloor { floor: 3 })), false);
        assert_eq!(inverse(None), false);
    }
}
