//! Every word that people read in a commit. Pure.

mod capacity;
mod held;
mod reason;

use std::fmt::Write as _;

pub use held::held;
pub use reason::reason;

use super::{Did, Standing, Stay};
use crate::model::edit::Group;
use crate::model::plan::Hindsight;
use crate::model::{Bytes, Change, Field, Lead, Limit, NoStudy, Plan, Proof, Proven, Rhythm, Signal, Site, SiteKind, Study};

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

/// Why there is no study, in one line.
pub fn unstudied(why: &NoStudy) -> String {
    match why {
        NoStudy::NotYet => "its turn to be replayed has not come: each run takes `decision.studiesPerRun` workloads".to_owned(),
        NoStudy::ShortHistory { have, need } => format!("only {} to replay; {} are needed", span(*have), span(*need)),
        NoStudy::NotDecided => "nothing could be decided in a replay".to_owned(),
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
    use crate::model::{ObjectRef, Place, Proven, Reason, RepoPath, Resource, Route, Value, Window, WorkloadId, WorkloadKind};

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
