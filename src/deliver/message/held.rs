//! Why something is left alone.

use super::{limit, span, trimmed, unstudied};
use crate::model::{Cause, HoldReason, NotNow};

/// Why something is left alone, in one line.
pub fn held(why: &HoldReason) -> String {
    match why {
        HoldReason::Unchanged => "already as planned".to_owned(),
        HoldReason::Bounded { wanted, bound, by } if wanted > bound => {
            format!("the forecast asks for {wanted}: never above {bound}, {}", limit(by))
        }
        HoldReason::Bounded { wanted, bound, by } => format!("{wanted} would do: never below {bound}, {}", limit(by)),
        HoldReason::TooSmall { change, least } => {
            format!("{:+.0} % is less than the {} % that is worth a change", change * 100.0, trimmed(least * 100.0, 0))
        }
        HoldReason::Vetoed { by, band, until } => {
            let percent = trimmed(band * 100.0, 0);
            format!("{by}; it rests until what it is made from has moved by {percent} %, or {}", until.format("%Y-%m-%d %H:%M UTC"))
        }
        HoldReason::Gated { policy, message } => format!("held by the gate's policy {policy}: {message}"),
        HoldReason::GateFailed { detail } => format!("nothing is written, since {detail}"),
        HoldReason::Paused { by } => format!("paused by {by}"),
        HoldReason::Frozen { why, until } => {
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            format!("a freeze of its policy holds it{why} {}", until_open(*until))
        }
        HoldReason::OutsideWindow { until } => format!("none of its policy's windows is open {}", until_open(*until)),
        HoldReason::ArgoCd { application, why } => format!("Argo CD's Application {application} {}", not_now(why)),
        HoldReason::VpaOwns { vpa } => {
            format!(
                "VerticalPodAutoscaler {} writes its requests (updateMode {}): set that to Off, or `requests.enabled: false`",
                vpa.name, vpa.mode
            )
        }
        HoldReason::LimitRange { name, bound } => {
            format!("LimitRange {name} of its namespace would refuse it: its bound is {bound}; change that first")
        }
        HoldReason::NoRoom { by } => format!("there is no room for more, {}", limit(by)),
        HoldReason::NoNode { largest } => format!("no node could hold such a pod: the largest has {largest} to give"),
        HoldReason::CoolingDown { until } => {
            format!("scaled a short while ago; it may fall again from {}", until.format("%Y-%m-%d %H:%M UTC"))
        }
        HoldReason::Deferred { over, until } => {
            format!("as much was wanted in the last {}; it may fall from {}", span(*over), until.format("%Y-%m-%d %H:%M UTC"))
        }
        HoldReason::ChangesSpent { most, until } => {
            let wait = format!("the next such change is possible from {}", until.format("%Y-%m-%d %H:%M UTC"));
            format!("its changes a day ({most}, of which falls take none but the first half) are spent: {wait}")
        }
        HoldReason::NoData { signal, detail } => format!("no history of `{}`: {detail}", signal.name()),
        HoldReason::SignalMissing { signal, why } => {
            format!("not lowered while the signal `{signal}` is missing: {}", held(why))
        }
        HoldReason::ShortHistory { have, need } => format!("only {} of history; {} are needed", span(*have), span(*need)),
        HoldReason::StaleData { last, limit } => {
            format!(
                "the last sample is of {}, older than {}: nothing is scaled on silence",
                last.format("%Y-%m-%d %H:%M UTC"),
                span(*limit)
            )
        }
        HoldReason::SourceFailed { detail } | HoldReason::CapacityUnknown { detail } | HoldReason::PolicyInvalid { detail } => {
            detail.clone()
        }
        HoldReason::NotTuned { detail } => detail.clone(),
        HoldReason::Unstudied { why } => unstudied(why),
        HoldReason::PolicyOverlap { places } => {
            let places: Vec<String> = places.iter().map(ToString::to_string).collect();
            format!("several policies name it: {}; keep one", places.join(", "))
        }
        HoldReason::WorkloadAbsent => {
            "the overlay renders no such workload: correct the policy's `spec.target`, or remove the policy".to_owned()
        }
        HoldReason::HpaOwnsResource { resource } => {
            format!("its HPA scales on {resource} utilization, so that a new request would move the scale point")
        }
        HoldReason::CapacityFollows { resource } => {
            format!(
                "what one replica carries follows from its {resource} request; give `capacityPerReplica` in the policy to have it sized"
            )
        }
        HoldReason::Restarting { restarts } => format!("{restarts} restarts within the last hour: it is not scaled in before they settle"),
        HoldReason::Censored { cause, until } => {
            let what = match cause {
                Cause::AtMaximum => "its HPA asked for its maximum",
                Cause::Pending => "pods found no node",
                Cause::Throttled => "CPU was throttled",
                Cause::Errors => "more requests failed than usual",
            };
            format!("demand may be more than was measured, since {what}; it may fall from {}", until.format("%Y-%m-%d %H:%M UTC"))
        }
        HoldReason::SeveralScalers { scalers } => {
            let names: Vec<String> = scalers.iter().map(ToString::to_string).collect();
            format!("several autoscalers target it: {}; keep one", names.join(", "))
        }
        HoldReason::ScaledElsewhere { kind, name } => {
            format!(
                "its replicas are in the hand of {kind} `{name}`, which the overlay does not have: add it there, or remove it from the cluster"
            )
        }
        HoldReason::ScalesToZero => "it may scale to zero; `replicas.raiseFromZero: true` in the policy lifts its floor".to_owned(),
        HoldReason::Refused(refusal) => refusal.to_string(),
    }
}

/// What Argo CD has against a change, in a few words.
fn not_now(why: &NotNow) -> String {
    match why {
        NotNow::Pinned { revision } => {
            format!("deploys {revision}, which no commit moves: let it follow the tracked branch, or write where it does")
        }
        NotNow::OtherBranch { revision } => format!("deploys the branch {revision}: correct `repository.branch`, or its `targetRevision`"),
        NotNow::Hydrated { path } => {
            format!("has its source hydrator write `{path}` on this branch: name the dry branch as `repository.branch`")
        }
        NotNow::Frozen(frozen) => {
            let until = frozen.until.map_or_else(String::new, |until| format!(" until {}", until.format("%Y-%m-%d %H:%M UTC")));
            format!("is not synced{until}: {}", frozen.window)
        }
        NotNow::Syncing => "is being synced".to_owned(),
        NotNow::Degraded => "is Degraded: nothing is changed before it is well".to_owned(),
        NotNow::Progressing => "is Progressing: nothing is changed before it is well".to_owned(),
        NotNow::Failed { message } => format!("could not be synced ({message}): mend that first"),
        NotNow::Ignored => "leaves `spec.replicas` to others (RespectIgnoreDifferences): a value in Git would never arrive".to_owned(),
        NotNow::Overrides => "has replicas, patches or components of its own in the cluster: move them into the overlay".to_owned(),
        NotNow::OutOfSync { objects } if objects.is_empty() => "is OutOfSync: nothing is changed before it is as Git has it".to_owned(),
        NotNow::OutOfSync { objects } => format!("is OutOfSync in other objects ({}): sync or mend them first", objects.join(", ")),
    }
}

/// Until when a window is closed, in a few words.
fn until_open(until: Option<chrono::DateTime<chrono::Utc>>) -> String {
    until.map_or("for more than a year".to_owned(), |until| format!("until {}", until.format("%Y-%m-%d %H:%M UTC")))
}
