//! A pull request's text, all of it. Pure.
//!
//! GitHub takes 65,536 characters; the text keeps to that for any number of workloads: what matters most comes first, and what has no room is
//! counted instead.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{message, proposal as proposal_of, sparkline};
use crate::clients::git::CommitId;
use crate::model::edit::Group;
use crate::model::plan::Outlook;
use crate::model::{Change, Field, Held, Patience, Plan, Prices, Proof, Proposal, Proposed, Signal, Value};

/// The most characters of a body.
const MOST: usize = 65_536;
/// The most characters of a title.
const MOST_TITLE: usize = 256;
/// The share of the body that the table, the charts and the machine's part may take each.
const PARTS: usize = MOST / 4;

/// What a person may ask of us by ticking a box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boxes {
    /// Make it anew on the newest base.
    pub rebase: bool,
    /// Leave it as it is.
    pub hold: bool,
    /// Say more.
    pub explain: bool,
}

/// All that a body is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The group that it carries.
    pub group: &'a Group,
    /// The plan that the group is of.
    pub plan: &'a Plan,
    /// The commit that the branch holds.
    pub head: CommitId,
    /// The commit that it was made on.
    pub base: CommitId,
    /// The branch that it goes into.
    pub target: &'a str,
    /// What it proposed before.
    pub before: Option<&'a Proposal>,
    /// When a veto on it would end.
    pub patience: Patience,
    /// What things cost; the column is left out without.
    pub prices: Option<&'a Prices>,
    /// Whether its labels and the like are still to come.
    pub is_new: bool,
}

/// The title.
pub fn title(group: &Group) -> String {
    message::subject(&group.proven.changes().map(|(sited, _)| &sited.change).collect::<Vec<_>>(), group.rhythm)
        .chars()
        .take(MOST_TITLE)
        .collect()
}

/// The body.
pub fn body(facts: &Facts) -> String {
    let Facts { group, plan, head, target, .. } = facts;
    let mut text = format!("{}\n{}\n", mark("group", &format!("{target} {}", group.rhythm)), mark("head", &head.to_string()));
    if facts.is_new {
        let _ = writeln!(text, "{}", mark("new", "yes"));
    }
    let changes: Vec<&Change> = group.proven.changes().map(|(sited, _)| &sited.change).collect();
    let s = if changes.len() == 1 { "" } else { "s" };
    let window = (plan.window.from.format("%Y-%m-%d %H:%M"), plan.window.to.format("%H:%M UTC"));
    let _ = writeln!(text, "Prescale proposes {} change{s}, for what is expected between {} and {}.\n", changes.len(), window.0, window.1);
    let foot = foot(facts);
    let word = proposal_of(group, facts.base).to_word();
    let machine = if word.len() <= PARTS {
        format!("{}\n", mark("proposal", &word))
    } else {
        "The changes in full, for machines, are in the commit's `Prescale-Proposal` trailer.\n".to_owned()
    };
    let room = MOST - text.chars().count() - foot.chars().count() - machine.len();
    let mut room = room.saturating_sub(600); // headings, and the lines that count what has no room
    table(&mut text, facts, &changes, &mut room);
    superseded(&mut text, facts, &changes, &mut room);
    proofs(&mut text, group, &mut room);
    held(&mut text, &group.proven.held, &plan.held, &changes, &mut room);
    charts(&mut text, plan, &changes, &mut room);
    text + &foot + &machine
}

/// The body of a pull request that has nothing left to propose, from the one that it had.
pub fn withdrawn(before: &str) -> String {
    let note = "There is nothing left to change: Prescale closed this pull request. That is no veto.";
    let kept: String = before.chars().take(MOST - 300).collect();
    format!("{}\n{note}\n\n{kept}", mark("withdrawn", "yes"))
}

/// Whether Prescale closed it itself.
pub fn is_withdrawn(body: &str) -> bool {
    find(body, "withdrawn").is_some()
}

/// Whether Prescale wrote it.
pub fn is_ours(body: &str) -> bool {
    find(body, "group").is_some()
}

/// Whether its labels and the like are still to come.
pub fn is_new(body: &str) -> bool {
    find(body, "new").is_some()
}

/// The commit that a body speaks of.
pub fn head(body: &str) -> Option<&str> {
    find(body, "head")
}

/// What a body proposes; `None` where someone edited it out.
pub fn proposal(body: &str) -> Option<Proposal> {
    Proposal::from_word(find(body, "proposal")?)
}

/// The boxes that are ticked.
pub fn boxes(body: &str) -> Boxes {
    let ticked = |name: &str| {
        let is_box = |line: &str| line.contains(&mark("box", name));
        body.lines().any(|line| is_box(line) && line.trim_start().to_lowercase().starts_with("- [x]"))
    };
    Boxes { rebase: ticked("rebase"), hold: ticked("hold"), explain: ticked("explain") }
}

/// The longer answer to a ticked box: every reason and every proof, as the commit tells them.
pub fn explanation(group: &Group, plan: &Plan) -> String {
    let text = message::commit(group, plan, None);
    let kept: String = text.replace("```", "'''").chars().take(MOST - 100).collect();
    format!("All that is known of these changes:\n\n```text\n{kept}\n```\n")
}

/// A remark that people do not see.
fn mark(name: &str, value: &str) -> String {
    format!("<!-- prescale:{name} {value} -->")
}

/// The value of a remark.
fn find<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<!-- prescale:{name} "))?;
    rest.split_once(" -->").map(|(value, _)| value)
}

/// Appends lines while there is room for them; the number that had none.
fn fill(text: &mut String, room: &mut usize, most: usize, lines: impl IntoIterator<Item = String>) -> usize {
    let mut left = most.min(*room);
    let mut lines = lines.into_iter();
    for line in lines.by_ref() {
        let length = line.chars().count() + 1;
        if length > left {
            return 1 + lines.count();
        }
        left -= length;
        *room -= length;
        text.push_str(&line);
        text.push('\n');
    }
    0
}

fn table(text: &mut String, facts: &Facts, changes: &[&Change], room: &mut usize) {
    let cost = facts.prices.is_some();
    let (name, rule) = if cost { (" cost a month |", "---:|") } else { ("", "") };
    let head = format!("| workload | field | now | proposed | why |{name} risk now | risk then |\n|---|---|---:|---:|---|{rule}---:|---:|");
    let row = |change: &&Change| {
        let outlook = outlook_of(facts.plan, change);
        let cost = facts.prices.map_or_else(String::new, |prices| {
            let cost = outlook.and_then(|outlook| change.monthly(outlook, prices));
            format!(" {} |", cost.map_or("–".to_owned(), |cost| format!("{cost:+.2} {}", cell(&prices.currency))))
        });
        let (before, after) =
            change.risk().map_or(("–".to_owned(), "–".to_owned()), |(before, after)| (percent(before), percent(after)));
        let from = change.from.as_ref().map_or("unset".to_owned(), ToString::to_string);
        let why = change.reasons.first().map(message::reason).unwrap_or_default();
        format!(
            "| {} | {} | {} | **{}** | {} |{cost} {before} | {after} |",
            cell(&change.workload.to_string()),
            cell(&change.field.to_string()),
            cell(&from),
            cell(&change.to.to_string()),
            cell(&why)
        )
    };
    let mut lines = vec![head];
    lines.extend(changes.iter().map(row));
    let more = fill(text, room, PARTS, lines);
    count(text, more, "change", "they are in the commit's message");
    if changes.iter().any(|change| change.risk().is_some()) {
        text.push_str("\nRisk: how likely demand exceeds the floor within the window.\n");
    }
    text.push('\n');
}

/// What was proposed before and is no longer.
fn superseded(text: &mut String, facts: &Facts, changes: &[&Change], room: &mut usize) {
    let is_kept = |old: &&Proposed| {
        let key = (&old.change.overlay, &old.change.object, &old.change.field, &old.change.to);
        changes.iter().any(|change| (&change.overlay, &change.object, &change.field, &change.to) == key)
    };
    let gone = facts.before.into_iter().flat_map(|before| &before.changes).filter(|old| !is_kept(old));
    let line =
        |old: &Proposed| format!("- ~~{}: {}~~", cell(&format!("{} {}", old.workload, old.change.field)), cell(&old.change.to.to_string()));
    let mut lines: Vec<String> = gone.map(line).collect();
    if !lines.is_empty() {
        lines.insert(0, "No longer proposed:\n".to_owned());
        let more = fill(text, room, PARTS / 4, lines);
        count(text, more, "change", "no longer proposed either");
        text.push('\n');
    }
}

fn proofs(text: &mut String, group: &Group, room: &mut usize) {
    let line = |(overlay, proof): (&crate::model::RepoPath, &Proof)| match proof {
        Proof::Rendered { before, after, by, along, .. } => {
            let along: Vec<String> = along.iter().map(|other| cell(other.as_str())).collect();
            let along = if along.is_empty() { String::new() } else { format!("; {} renders the same and moves along", along.join(", ")) };
            format!(
                "- {}: rendered before and after by {by}; only these fields differ ({}…{}){along}",
                cell(overlay.as_str()),
                &before[..12],
                &after[..12]
            )
        }
        Proof::NotRendered { why } => format!("- {}: **not rendered**: {}", cell(overlay.as_str()), cell(why)),
    };
    let mut lines = vec!["### Proof\n".to_owned()];
    lines.extend(group.proven.overlays.iter().map(|overlay| line((&overlay.edit.overlay, &overlay.proof))));
    let more = fill(text, room, PARTS / 2, lines);
    count(text, more, "overlay", "proven in the same way");
    text.push('\n');
}

/// What was held back of the workloads that this is about, and of others.
fn held(text: &mut String, group: &[Held], plan: &[Held], changes: &[&Change], room: &mut usize) {
    let mut seen: Vec<&Held> = Vec::new();
    let told = group.iter().chain(plan).filter(|held| held.why.code() != "unchanged");
    for held in told {
        if !seen.contains(&held) {
            seen.push(held);
        }
    }
    // Those of the same workloads come first.
    let here: BTreeSet<_> = changes.iter().map(|change| (&change.overlay, &change.workload)).collect();
    seen.sort_by_key(|held| !here.contains(&(&held.overlay, &held.workload)));
    if seen.is_empty() {
        return;
    }
    let line = |held: &&Held| {
        let field = held.field.as_ref().map_or(String::new(), |field| format!(" {field}"));
        let wanted = held.wanted.as_ref().map_or(String::new(), |wanted| format!(" ({wanted} wanted)"));
        format!("- {}", cell(&format!("{}{field}{wanted}: {}", held.workload, message::held(&held.why))))
    };
    let mut lines = vec!["<details><summary>Held back, and why</summary>\n".to_owned()];
    lines.extend(seen.iter().map(line));
    let more = fill(text, room, PARTS / 2, lines);
    count(text, more, "field", "held as well");
    text.push_str("\n</details>\n\n");
}

fn charts(text: &mut String, plan: &Plan, changes: &[&Change], room: &mut usize) {
    let mut seen = BTreeSet::new();
    let charts = changes.iter().filter_map(|change| {
        let outlook = outlook_of(plan, change)?;
        seen.insert((&outlook.overlay, &outlook.workload)).then(|| chart(outlook, changes))
    });
    let more = fill(text, room, usize::MAX, charts);
    count(text, more, "chart", "there is no room for them here");
}

/// One workload's day behind and day ahead.
fn chart(outlook: &Outlook, changes: &[&Change]) -> String {
    let (history, ahead) = sparkline::pair(&outlook.history, &outlook.ahead);
    let unit = match &outlook.signal {
        Signal::Promql(_) => "demand",
        signal => signal.unit(),
    };
    let mut past: Vec<f64> = Vec::new();
    for value in &outlook.history {
        // A gap is drawn as what was before it.
        past.push(value.or(past.last().copied()).unwrap_or(0.0));
    }
    let is_floor = |change: &&&Change| {
        (&change.overlay, &change.workload) == (&outlook.overlay, &outlook.workload)
            && matches!(change.field, Field::Replicas | Field::MinReplicas | Field::MinReplicaCount)
    };
    let then = changes.iter().find(is_floor).and_then(|change| if let Value::Count(to) = change.to { Some(to) } else { None });
    let floor = |replicas: u32| f64::from(replicas) * outlook.capacity;
    let floors = past.iter().map(|_| floor(outlook.now)).chain(outlook.ahead.iter().map(|_| floor(then.unwrap_or(outlook.now))));
    let most = past.iter().chain(&outlook.ahead).copied().chain(floors.clone()).fold(0.0, f64::max);
    let list = |values: &mut dyn Iterator<Item = f64>| values.map(|value| message::trimmed(round(value), 6)).collect::<Vec<_>>().join(", ");
    let bars = list(&mut past.iter().copied().chain(outlook.ahead.iter().map(|_| 0.0)));
    let line = list(&mut past.iter().chain(&outlook.ahead).copied());
    let floors = list(&mut floors.into_iter());
    let capacity = message::amount(outlook.capacity, &outlook.signal);
    let told = outlook.hindsight.map(message::hindsight).into_iter().chain(outlook.study.as_ref().map(message::study));
    let told = told.map(|told| sentence(&told)).collect::<Vec<_>>().join("\n\n");
    let accuracy = if told.is_empty() { String::new() } else { format!("\n{told}\n") };
    format!(
        "<details><summary>{name}: {history} → {ahead}</summary>\n\nBars: measured, by the hour. Lines: what is expected ({model}), and what \
         the floor carries ({now} → {then} replicas, {capacity} each).\n\n```mermaid\nxychart-beta\n  x-axis \"hours from now\" -{hours} --> \
         {forward}\n  y-axis \"{unit}\" 0 --> {top}\n  bar [{bars}]\n  line [{line}]\n  line [{floors}]\n```\n{accuracy}\n</details>\n",
        name = cell(&outlook.workload.to_string()),
        model = outlook.model,
        now = outlook.now,
        then = then.unwrap_or(outlook.now),
        hours = past.len().max(1),
        forward = outlook.ahead.len().max(1),
        top = message::trimmed(round(most * 1.1).max(1e-6), 6),
    )
}

fn foot(facts: &Facts) -> String {
    let box_of = |name: &str, words: &str| format!("- [ ] {} {words}\n", mark("box", name));
    format!(
        "### How to decide\n\nMerge it, and Argo CD syncs it; to undo it then, revert the merge. Close it, and these changes are not proposed \
         again until what they are made from has moved by {} %, or {} have passed. Commits of yours on this branch are never overwritten: \
         Prescale then leaves it to you. The lead time counted on is {} minutes from the decision to ready pods.\n\n{}{}{}\n",
        message::trimmed(facts.patience.band * 100.0, 0),
        message::span(facts.patience.span),
        (facts.plan.window.from - facts.plan.at).num_minutes(),
        box_of("rebase", "make it anew on the newest base"),
        box_of("hold", "leave it as it is"),
        box_of("explain", "say more, as a comment"),
    )
}

/// Says how many had no room.
fn count(text: &mut String, more: usize, what: &str, where_: &str) {
    if more > 0 {
        let s = if more == 1 { "" } else { "s" };
        let _ = writeln!(text, "\n… and {more} {what}{s} more: {where_}.");
    }
}

fn outlook_of<'a>(plan: &'a Plan, change: &Change) -> Option<&'a Outlook> {
    let is_of = |outlook: &&Outlook| (&outlook.overlay, &outlook.workload) == (&change.overlay, &change.workload);
    // Of several signals the largest need wins.
    plan.outlooks.iter().filter(is_of).max_by_key(|outlook| outlook.floor)
}

fn percent(share: f64) -> String {
    format!("{} %", message::trimmed(share * 100.0, usize::from(share < 0.1)))
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut text = format!("{}.", text.trim_end_matches('.'));
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// Three digits are enough to draw.
fn round(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10_f64.powi(2 - value.log10().floor() as i32);
    (value * scale).round() / scale
}

/// As words in Markdown: nothing in it is a line break, a bar of a table, markup, a remark of ours or somebody's name.
fn cell(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => plain.push(' '),
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '@' => plain.push_str("&#64;"),
            '#' => plain.push_str("&#35;"),
            '\\' | '|' | '`' | '*' | '_' | '~' | '[' | ']' => plain.extend(['\\', c]),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests;
