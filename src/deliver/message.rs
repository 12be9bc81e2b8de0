//! Every word that people read in a commit. Pure.

mod capacity;

use std::fmt::Write as _;

use super::{Did, Standing, Stay};
use crate::model::edit::Group;
use crate::model::plan::Hindsight;
use crate::model::{
    Borrowed, Bytes, Cause, Change, Field, HoldReason, Lead, Limit, NoStudy, NotNow, Plan, Proof, Proven, Reason, Rhythm, Share, Signal,
    Site, SiteKind, Study,
};

/// Git's customary width of a subject.
const SUBJECT: usize = 72;

/// The message of the commit that carries one group's changes.
///
/// The first line says what moves; the body says for each change from what to what, where and why, and what proves it; trailers carry the
/// audit line for machines.
pub fn commit(group: &Group, plan: &Plan, sign_off: Option<&str>) -> String {
    let changes: Vec<&Change> = group.proven.changes().map(|(sited, _)| &sited.change).collect();
    let mut text = subject(&changes, group.rhythm);
    text.push_str("\n\n");
    for overlay in &group.proven.overlays {
        let _ = writeln!(text, "{} ({}):", overlay.edit.overlay, overlay.proof);
        if let Some(mend) = &overlay.edit.mend {
            let _ = writeln!(text, "- Prescale's component is written anew, with the values that it held: {}", mend.why);
        }
        for sited in &overlay.edit.changes {
            let change = &sited.change;
            let from = change.from.as_ref().map_or("unset".to_owned(), ToString::to_string);
            let _ = writeln!(text, "- {} {}: {from} -> {}  [{}]", change.workload, change.field, change.to, site(&sited.site));
            for because in &change.reasons {
                let _ = writeln!(text, "    {}", reason(because));
            }
        }
        if let Proof::Rendered { along, unrendered, .. } = &overlay.proof {
            for other in along {
                let _ = writeln!(text, "  {other} renders the same, and moves along.");
            }
            for other in unrendered {
                let _ = writeln!(text, "  {other} reads it too, and renders neither before nor after.");
            }
        }
        text.push('\n');
    }
    let _ = writeln!(text, "To undo: git revert this commit.");
    let _ = writeln!(text, "\nPrescale-Window: {}/{}", plan.window.from.to_rfc3339(), plan.window.to.to_rfc3339());
    for overlay in &group.proven.overlays {
        if let Proof::Rendered { before, after, by, .. } = &overlay.proof {
            let _ = writeln!(text, "Prescale-Proof: {} {}..{} ({by})", overlay.edit.overlay, &before[..12], &after[..12]);
        }
    }
    if let Some(who) = sign_off {
        let _ = writeln!(text, "Signed-off-by: {who}");
    }
    text
}

/// The message of the commit by which Prescale leaves.
pub fn ejected(proven: &Proven, sign_off: Option<&str>) -> String {
    let overlays = &proven.overlays;
    let of = match &overlays[..] {
        [one] => one.edit.overlay.to_string(),
        _ => format!("{} overlays", overlays.len()),
    };
    let mut text = format!(
        "Take Prescale's component out of {of}\n\nIts values stay in place, as patches of the overlay: each renders as before.\n\n"
    );
    for overlay in overlays {
        let _ = writeln!(text, "- {} ({})", overlay.edit.overlay, overlay.proof);
    }
    if let Some(who) = sign_off {
        let _ = writeln!(text, "\nSigned-off-by: {who}");
    }
    text
}

/// The trailer that says for machines what a commit of ours changes.
pub const PROPOSAL: &str = "Prescale-Proposal";

/// A message with one more trailer.
pub fn with_trailer(message: &str, name: &str, value: &str) -> String {
    format!("{}\n{name}: {value}\n", message.trim_end())
}

/// The value of a trailer.
pub fn trailer<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().rev().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
}

/// What moves, in one line.
pub(super) fn subject(changes: &[&Change], rhythm: Rhythm) -> String {
    let what = match rhythm {
        Rhythm::Floor => "floor",
        Rhythm::Template if changes.iter().all(|change| matches!(change.field, Field::Request { .. } | Field::Limit { .. })) => "request",
        Rhythm::Template => "setting",
    };
    let one = |change: &Change| {
        let from = change.from.as_ref().map(|value| format!(" from {value}")).unwrap_or_default();
        format!("{} {}{from} to {}", change.workload.name, change.field, change.to)
    };
    let listed = match changes {
        [] => return "Mend Prescale's component".to_owned(),
        [only] => format!("Set {}", one(only)),
        [first, rest @ ..] => format!("Set {} and {} more", one(first), rest.len()),
    };
    if listed.chars().count() <= SUBJECT {
        return listed;
    }
    let plural = if changes.len() == 1 { "" } else { "s" };
    let counted = format!("Set {} {what}{plural}", changes.len());
    counted.chars().take(SUBJECT).collect()
}

/// What became of a group's pull request, in one line; `None` where there is nothing to tell.
pub fn standing(standing: &Standing) -> Option<String> {
    let Standing { branch, number, url, did, .. } = standing;
    let what = number.map_or_else(|| format!("branch {branch}"), |number| format!("pull request #{number}"));
    let told = match did {
        Did::Nothing if number.is_none() => return None,
        Did::Nothing => format!("{what} is as it should be"),
        Did::Stayed(Stay::Foreign) => {
            format!("{what} is left alone: `{branch}` holds a commit of someone else; merge it, or delete the branch")
        }
        Did::Stayed(Stay::Held) => format!("{what} is left alone: its box \"leave it as it is\" is ticked"),
        Did::Stayed(Stay::Queued) => format!("{what} is left alone: it waits in a merge queue"),
        Did::Stayed(Stay::Theirs) => {
            format!("{what} is left alone: its text is not Prescale's; close it, or give another `repository.branchPrefix`")
        }
        Did::Stayed(Stay::Elsewhere) => format!(
            "{what} is left alone: its branch proposes changes to overlays that are not this configuration's. If another Prescale works there, give \
             each a `repository.branchPrefix` of its own; if not, close it"
        ),
        Did::Stayed(Stay::Unproven) => {
            format!("{what} is left as it is: what is left of it does not render just now, see what is held")
        }
        Did::Stayed(Stay::Overtaken) => format!("{what} is left alone: someone closed or merged it just now; the next run looks again"),
        Did::Stayed(Stay::Limited { until }) => {
            format!("{what} waits for GitHub's rate limits, until {}", until.format("%Y-%m-%d %H:%M:%S UTC"))
        }
        Did::Opened => format!("Opened {what}"),
        Did::Updated => format!("Updated {what}"),
        Did::Withdrawn if number.is_some() => format!("Closed {what}: there is nothing left to change"),
        Did::Withdrawn => format!("Removed {what}: there is nothing left to change"),
    };
    let mut told = told;
    if let Some(first) = told.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Some(url.as_ref().map_or(told.clone(), |url| format!("{told} ({url})")) + ".")
}

/// Where a value stands, in words.
pub fn site(site: &Site) -> String {
    let kind = match site.kind {
        SiteKind::ReplicasTransformer => "replicas transformer",
        SiteKind::StrategicMerge => "patch",
        SiteKind::Json6902 => "JSON patch",
        SiteKind::Manifest => "manifest",
        SiteKind::Component => "Prescale's component",
        SiteKind::Foreign => "not Prescale's to edit",
    };
    format!("{}, {kind}", site.place)
}

/// Why a value is what it is, in one line.
pub fn reason(reason: &Reason) -> String {
    match reason {
        Reason::PeakDemand { signal, model, quantile, demand, capacity } => {
            let what = match signal {
                Signal::Promql(_) => "demand".to_owned(),
                signal => signal.name().to_owned(),
            };
            format!(
                "peak {what} of the window at most {} in {} of 100 cases ({model}); one replica carries {}",
                amount(*demand, signal),
                trimmed(quantile * 100.0, 2),
                amount(*capacity, signal)
            )
        }
        Reason::UnderHpa { target, signal } => {
            format!(
                "its HPA adds replicas by itself from {} each on, so the floor covers what it would be late for",
                amount(*target, signal)
            )
        }
        Reason::Borrowed(Borrowed { overlay, workload, ratio, common }) => format!(
            "too little history of its own: that of its sibling {workload} in {overlay} stands for it, times {} as over the {} in which both \
             were measured",
            trimmed(*ratio, 3),
            span(*common)
        ),
        Reason::Studied { at, price, stretch, gain, simplest } => {
            let stretch = if *stretch > 1.0 { format!(" and {} times the floor", trimmed(*stretch, 2)) } else { String::new() };
            let gain = if *gain > 0.0 { format!(", {} % cheaper than {simplest}", trimmed(gain * 100.0, 1)) } else { String::new() };
            format!(
                "chosen by replay on {}: this model{gain}, and to plan with a price of shortfall of {}, which served the policy best{stretch}",
                at.format("%Y-%m-%d"),
                trimmed(*price, 2)
            )
        }
        Reason::ObjectiveUnstudied { objective, price, why } => {
            let objective = Share(*objective);
            format!("no price is known yet that meets the objective of {objective} ({}); until then the price is {price}", unstudied(why))
        }
        Reason::Tuned { replayed, before, after } => format!(
            "a replay of the last {} cost {} replicas with these settings, minutes short included, and {} as it is set now",
            span(*replayed),
            trimmed(*after, 2),
            trimmed(*before, 2)
        ),
        Reason::Spare { added, spare } => {
            format!("{added} of them spare: {} times the square root of those that are busy", trimmed(*spare, 2))
        }
        Reason::Kept { .. } => "as it was proposed before: nothing newer is known".to_owned(),
        Reason::Rests { wanted } => format!("as it was proposed before: {wanted} would be enough, which is hardly less"),
        Reason::Risk { before, after } => {
            let share = |risk: f64| trimmed(risk * 100.0, usize::from(risk < 0.1));
            format!("demand exceeds it in {} of 100 windows like this one, and what is there now in {}", share(*after), share(*before))
        }
        Reason::OtherSignal { signal, needed } => format!("{signal} needs {needed}"),
        Reason::CapacityLearned(learned) => capacity::learned(learned),
        Reason::TakenBack { application, commit, since } => format!(
            "Argo CD's Application {application} is Degraded since {}, when it deployed {commit:.12}, which set this: it is taken back",
            since.format("%Y-%m-%d %H:%M UTC")
        ),
        Reason::ManualSync { application } => {
            format!("Argo CD's Application {application} does not sync by itself: nothing changes before someone syncs it")
        }
        Reason::AtLeast { bound, by } => format!("never below {bound}, {}", limit(by)),
        Reason::AtMost { bound, wanted, by } => format!("never above {bound}, {}, though the forecast asks for {wanted}", limit(by)),
        Reason::Gated { policy, message } => format!("by pull request, says the gate's policy {policy}: {message}"),
        Reason::Stepped { wanted, step } => format!("a step of at most {step} towards {wanted}"),
        Reason::Deferred { wanted, over } => {
            format!("lowered only to the most that was wanted in the last {}, though {wanted} would do now", span(*over))
        }
        Reason::RoomAboveFloor { floor } => format!("room for the autoscaler above the floor of {floor}"),
        Reason::AtLimit { limit, wanted } => format!("capped at the limit of {limit}, though usage asks for {wanted}"),
        Reason::Usage { percentile, used, headroom, history } => {
            let days = history.num_hours() as f64 / 24.0;
            let what = if *percentile < 100.0 { format!("p{} of usage", trimmed(*percentile, 1)) } else { "the most ever used".to_owned() };
            format!("{what} was {used} over {} days, with {} % headroom", trimmed(days, 1), trimmed(headroom * 100.0, 0))
        }
    }
}

/// What a study says, in one line.
pub fn study(study: &Study) -> String {
    let models: Vec<String> = study.models.iter().map(|tried| format!("{} {}", tried.model, trimmed(tried.cost, 2))).collect();
    let stretch = if study.stretch > 1.0 { format!(", the floor times {}", trimmed(study.stretch, 2)) } else { String::new() };
    let hpa = study.hpa.map_or(String::new(), |tuning| {
        let (percent, seconds) = (tuning.to.percent, tuning.to.stabilization);
        format!("; its HPA at {percent} % and {seconds} s: {} replicas instead of {}", trimmed(tuning.after, 2), trimmed(tuning.before, 2))
    });
    format!(
        "a replay of {} on {} chose {} and a price of {}{stretch}; replicas on average, minutes short included: {}{hpa}",
        span(study.replayed),
        study.at.format("%Y-%m-%d"),
        study.model,
        trimmed(study.price, 2),
        models.join(", ")
    )
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

/// CPU in whole or thousandth cores, finer where it is less.
fn cores(cores: f64) -> String {
    if cores >= 0.01 { format!("{}m", trimmed(cores * 1000.0, 0)) } else { format!("{}m", trimmed(cores * 1000.0, 3)) }
}

/// Who sets a bound, in a few words.
fn limit(by: &Limit) -> String {
    match by {
        Limit::Policy { field, origin: Some(origin) } => format!("`{field}` of {origin}"),
        Limit::Policy { field, origin: None } => format!("the default of `{field}`"),
        Limit::Autoscaler { object } => format!("the ceiling of {} {}", object.kind, object.name),
        Limit::Nothing => "what bounds a workload without an autoscaler and `replicas.max`".to_owned(),
        Limit::Quota { name, resource } => format!("since ResourceQuota {name} leaves no more {resource}"),
    }
}

/// Until when a window is closed, in a few words.
fn until_open(until: Option<chrono::DateTime<chrono::Utc>>) -> String {
    until.map_or("for more than a year".to_owned(), |until| format!("until {}", until.format("%Y-%m-%d %H:%M UTC")))
}

/// How past forecasts did, in one line.
pub fn hindsight(hindsight: Hindsight) -> String {
    let Hindsight { windows, covered } = hindsight;
    let share = trimmed(f64::from(covered) / f64::from(windows.max(1)) * 100.0, 1);
    format!("of its last {windows} forecasts, demand stayed at or under what was planned for in {covered} ({share} %)")
}

/// What was measured of the way from a commit to Ready pods, in one line; nothing where nothing was.
pub fn lead(lead: &Lead) -> Option<String> {
    let seconds = |span: chrono::TimeDelta| trimmed(span.num_milliseconds() as f64 / 1000.0, 1);
    let stages: Vec<String> = lead
        .stages()
        .map(|(name, stage)| format!("{name} {} s (mean {} s, of {})", seconds(stage.p95), seconds(stage.mean), stage.starts))
        .collect();
    let total = lead.total().map_or_else(String::new, |total| format!("; together {}", span(total)));
    (!stages.is_empty()).then(|| format!("measured lead time, 95th percentiles: {}{total}", stages.join(", ")))
}

/// Why there is no study, in one line.
pub fn unstudied(why: &NoStudy) -> String {
    match why {
        NoStudy::NotYet => "its turn to be replayed has not come: each run takes `decision.studiesPerRun` workloads".to_owned(),
        NoStudy::ShortHistory { have, need } => format!("only {} to replay; {} are needed", span(*have), span(*need)),
        NoStudy::NotDecided => "nothing could be decided in a replay".to_owned(),
    }
}

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

/// A demand with its unit.
pub fn amount(value: f64, signal: &Signal) -> String {
    match signal {
        Signal::Memory => Bytes::from_bytes_rounded(value).to_string(),
        signal => format!("{} {}", trimmed(value, if value < 10.0 { 2 } else { 0 }), signal.unit()).trim_end().to_owned(),
    }
}

/// A span as people say it.
pub fn span(span: chrono::TimeDelta) -> String {
    match span.num_minutes() {
        minutes if minutes >= 2 * 24 * 60 => format!("{} days", trimmed(minutes as f64 / 1440.0, 1)),
        minutes if minutes >= 120 => format!("{} hours", trimmed(minutes as f64 / 60.0, 1)),
        minutes => format!("{minutes} minutes"),
    }
}

/// A number without needless zeros.
pub fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use chrono::TimeDelta;
    use expect_test::expect;

    use super::*;
    use crate::model::edit::{OverlayEdit, ProvenEdit, Sited};
    use crate::model::{ObjectRef, Place, Proven, RepoPath, Resource, Route, Value, Window, WorkloadId, WorkloadKind};

    fn change(name: &str, field: Field, from: Option<Value>, to: Value, reasons: Vec<Reason>) -> Sited {
        let workload = WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name: name.into() };
        let object = ObjectRef { group: "apps".into(), kind: "Deployment".into(), namespace: "shop".into(), name: name.into() };
        let overlay = RepoPath::parse("overlays/prod").unwrap();
        let place = Place { path: RepoPath::parse("overlays/prod/kustomization.yaml").unwrap(), line: Some(9) };
        Sited {
            change: Change { workload, object, overlay, field, from, to, reasons, route: Route::Commit },
            site: Site { place, kind: SiteKind::ReplicasTransformer },
        }
    }

    fn group(changes: Vec<Sited>, rhythm: Rhythm) -> Group {
        let edit = OverlayEdit {
            overlay: RepoPath::parse("overlays/prod").unwrap(),
            changes,
            files: BTreeMap::new(),
            roots: BTreeSet::new(),
            reaches: Vec::new(),
            mend: None,
        };
        let proof = Proof::Rendered {
            before: "a".repeat(64),
            after: "b".repeat(64),
            by: "kubectl v5.8.1".into(),
            along: vec![RepoPath::parse("clusters/eu").unwrap()],
            unrendered: vec![RepoPath::parse("clusters/all").unwrap()],
        };
        Group { route: Route::Commit, rhythm, proven: Proven { overlays: vec![ProvenEdit { edit, proof }], held: vec![] } }
    }

    fn plan() -> Plan {
        let at = "2026-11-16T07:00:00Z".parse().unwrap();
        let window = Window::of_decision(at, TimeDelta::minutes(6), TimeDelta::minutes(10));
        Plan { at, window, outlooks: vec![], changes: vec![], held: vec![] }
    }

    #[test]
    fn a_commit_tells_a_reviewer_what_why_and_how_it_is_proven() {
        let peak = Reason::PeakDemand { signal: Signal::Requests, model: "linear".into(), quantile: 0.99, demand: 231.4, capacity: 40.0 };
        let reasons = vec![peak, Reason::Stepped { wanted: 9, step: 3 }];
        let sited = change("backend", Field::Replicas, Some(Value::Count(3)), Value::Count(6), reasons);
        let text = commit(&group(vec![sited], Rhythm::Floor), &plan(), Some("Prescale <prescale@localhost>"));
        expect![[r"
            Set backend replicas from 3 to 6

            overlays/prod (proven by render):
            - shop/Deployment/backend replicas: 3 -> 6  [overlays/prod/kustomization.yaml:9, replicas transformer]
                peak requests of the window at most 231 req/s in 99 of 100 cases (linear); one replica carries 40 req/s
                a step of at most 3 towards 9
              clusters/eu renders the same, and moves along.
              clusters/all reads it too, and renders neither before nor after.

            To undo: git revert this commit.

            Prescale-Window: 2026-11-16T07:06:00+00:00/2026-11-16T07:16:00+00:00
            Prescale-Proof: overlays/prod aaaaaaaaaaaa..bbbbbbbbbbbb (kubectl v5.8.1)
            Signed-off-by: Prescale <prescale@localhost>
        "]]
        .assert_eq(&text);
    }

    #[test]
    fn subjects_stay_short() {
        let long = "a-service-with-a-name-that-goes-on-for-longer-than-any-subject-line-should";
        let field = Field::Request { container: "app".into(), resource: Resource::Memory };
        let sited = || change(long, field.clone(), None, Value::Memory(Bytes(1 << 28)), vec![]);
        for (changes, subject) in [(vec![sited()], "Set 1 request"), (vec![sited(), sited()], "Set 2 requests")] {
            let text = commit(&group(changes, Rhythm::Template), &plan(), None);
            assert_eq!(text.lines().next(), Some(subject));
        }
        let key = Field::PodAnnotation { key: "example.org/revision".into() };
        let lines = change(long, key.clone(), None, Value::Text("one\ntwo".into()), vec![]);
        let text = commit(&group(vec![lines, sited()], Rhythm::Template), &plan(), None);
        assert_eq!(text.lines().next(), Some("Set 2 settings"));
        let text = commit(&group(vec![change("web", key, None, Value::Text("one\ntwo".into()), vec![])], Rhythm::Template), &plan(), None);
        assert_eq!(text.lines().next(), Some(r"Set web pod annotation example.org/revision to one\ntwo"));
    }
}
