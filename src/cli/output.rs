//! What a person, or a machine, reads of a plan.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::deliver::{Published, Standing, message, sparkline};
use crate::demo;
use crate::model::plan::Outlook;
use crate::model::{Held, Plan, Proof, Sited, Window};
use crate::run::{Explained, Explanation, Planned};
use crate::simulate::{self, Score};

use super::Format;
use super::backtest::{Outcome, Skipped, Tried};
use super::terminal::{print, styled, width};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();

/// A plan and what came of it: the shape of `--output json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    at: DateTime<Utc>,
    window: Window,
    outlooks: Vec<Outlook>,
    changes: Vec<Shown>,
    held: Vec<Held>,
    #[serde(skip)]
    elsewhere: usize,
    notices: Vec<String>,
    commits: Vec<Committed>,
    pulls: Vec<Standing>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    #[serde(flatten)]
    sited: Sited,
    #[serde(flatten)]
    proof: Proof,
    /// Why, in words.
    because: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Committed {
    id: String,
    changes: usize,
    tries: u32,
}

impl Report {
    pub(super) fn new(planned: Planned, published: Vec<Published>) -> Self {
        let Plan { at, window, outlooks, mut held, .. } = planned.plan;
        // What was written says more than what was planned, where the branch had moved.
        let mut groups = planned.groups;
        let (mut commits, mut pulls) = (Vec::new(), Vec::new());
        for done in published {
            if let Some(commit) = done.commit {
                commits.push(Committed { id: commit.to_string(), changes: done.group.proven.changes().count(), tries: done.tries });
            }
            pulls.extend(done.standing);
            if let Some(group) = groups.iter_mut().find(|group| (group.route, group.rhythm) == (done.group.route, done.group.rhythm)) {
                held.extend(done.group.proven.held.iter().filter(|held| !group.proven.held.contains(held)).cloned());
                *group = done.group;
            }
        }
        let shown = |(sited, proof): (&Sited, &Proof)| Shown {
            sited: sited.clone(),
            proof: proof.clone(),
            because: sited.change.reasons.iter().map(message::reason).collect(),
        };
        let changes = groups.iter().flat_map(|group| group.proven.changes().map(shown).collect::<Vec<_>>()).collect();
        Self { at, window, outlooks, changes, held, elsewhere: planned.elsewhere, notices: planned.notices, commits, pulls }
    }

    /// Whether something is held because of an error.
    pub(super) fn has_errors(&self) -> bool {
        self.held.iter().any(|held| held.why.is_error())
    }

    pub(super) fn render(&self, format: Format) -> anyhow::Result<String> {
        Ok(match format {
            Format::Json => format!("{}\n", serde_json::to_string_pretty(self)?),
            // Through JSON: YAML would write enums as tags.
            Format::Yaml => serde_yaml::to_string(&serde_json::to_value(self)?)?,
            Format::Table => self.text(),
            Format::Markdown => self.markdown(),
        })
    }

    /// The workload, with the signal where it has several.
    fn named(&self, outlook: &Outlook) -> String {
        let same = self.outlooks.iter().filter(|other| (&other.workload, &other.overlay) == (&outlook.workload, &outlook.overlay));
        if same.count() > 1 { format!("{} ({})", outlook.workload, outlook.signal) } else { outlook.workload.to_string() }
    }

    /// Whose demand was not always measured in full.
    fn cut_short(&self) -> impl Iterator<Item = String> {
        let some = self.outlooks.iter().filter(|outlook| outlook.censored > 0.0);
        some.map(|outlook| {
            let percent = message::trimmed(outlook.censored * 100.0, 1);
            format!("{}: demand was cut short in {percent} % of the last week, of which only rises are learned", self.named(outlook))
        })
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n", styled(BOLD, &self.heading()));
        if !self.outlooks.is_empty() {
            let mut table = table(["WORKLOAD", "LAST 24 H", "NEXT 24 H", "PEAK", "ONE REPLICA", "NEEDS"]);
            for outlook in &self.outlooks {
                let (history, ahead) = sparkline::pair(&outlook.history, &outlook.ahead);
                table.add_row([
                    self.named(outlook),
                    history,
                    ahead,
                    message::amount(outlook.peak, &outlook.signal),
                    message::amount(outlook.capacity, &outlook.signal),
                    outlook.floor.to_string(),
                ]);
            }
            let _ = writeln!(text, "\n{}", trim(&table));
            for line in self.cut_short() {
                let _ = writeln!(text, "{}", styled(DIM, &line));
            }
        }
        if !self.changes.is_empty() {
            let mut table = table(["CHANGE", "FIELD", "NOW", "PLAN", "ROUTE", "WHERE", "WHY"]);
            for Shown { sited, because, .. } in &self.changes {
                let change = &sited.change;
                table.add_row([
                    change.workload.to_string(),
                    change.field.to_string(),
                    change.from.as_ref().map_or("-".to_owned(), ToString::to_string),
                    styled(GREEN, &change.to.to_string()),
                    change.route.to_string(),
                    message::site(&sited.site),
                    because.join("; "),
                ]);
            }
            let _ = writeln!(text, "\n{}", trim(&table));
        }
        if !self.held.is_empty() {
            let mut table = table(["HELD", "FIELD", "WANTED", "WHY"]);
            for held in &self.held {
                let style = if held.why.is_error() { YELLOW } else { DIM };
                table.add_row([
                    held.workload.to_string(),
                    held.field.as_ref().map_or("-".to_owned(), ToString::to_string),
                    held.wanted.as_ref().map_or("-".to_owned(), ToString::to_string),
                    styled(style, &message::held(&held.why)),
                ]);
            }
            let _ = writeln!(text, "\n{}", trim(&table));
        }
        if !self.notices.is_empty() {
            text.push('\n');
        }
        for notice in &self.notices {
            let _ = writeln!(text, "{} {notice}", styled(YELLOW, "note:"));
        }
        let _ = writeln!(text, "\n{}", self.summary());
        text
    }

    fn markdown(&self) -> String {
        let mut text = format!("## {}\n", self.heading());
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        if !self.outlooks.is_empty() {
            text.push_str("\n| workload | last 24 h | next 24 h | peak | one replica | needs |\n|---|---|---|---|---|---|\n");
            for outlook in &self.outlooks {
                let (history, ahead) = sparkline::pair(&outlook.history, &outlook.ahead);
                let (peak, capacity) = (message::amount(outlook.peak, &outlook.signal), message::amount(outlook.capacity, &outlook.signal));
                let _ = writeln!(text, "| {} | `{history}` | `{ahead}` | {peak} | {capacity} | {} |", self.named(outlook), outlook.floor);
            }
            for line in self.cut_short() {
                let _ = writeln!(text, "\n{line}");
            }
        }
        if !self.changes.is_empty() {
            text.push_str("\n| change | field | now | plan | route | where | why |\n|---|---|---|---|---|---|---|\n");
            for Shown { sited, because, .. } in &self.changes {
                let change = &sited.change;
                let from = change.from.as_ref().map_or("-".to_owned(), ToString::to_string);
                let (site, because) = (cell(&message::site(&sited.site)), cell(&because.join("; ")));
                let _ = writeln!(
                    text,
                    "| {} | {} | {from} | **{}** | {} | {site} | {because} |",
                    change.workload, change.field, change.to, change.route
                );
            }
        }
        if !self.held.is_empty() {
            text.push_str("\n| held | field | wanted | why |\n|---|---|---|---|\n");
            for held in &self.held {
                let (field, wanted) = (
                    held.field.as_ref().map_or("-".to_owned(), ToString::to_string),
                    held.wanted.as_ref().map_or("-".to_owned(), ToString::to_string),
                );
                let _ = writeln!(text, "| {} | {field} | {wanted} | {} |", held.workload, cell(&message::held(&held.why)));
            }
        }
        for notice in &self.notices {
            let _ = writeln!(text, "\n> {notice}");
        }
        let _ = writeln!(text, "\n{}", self.summary());
        text
    }

    fn heading(&self) -> String {
        let Window { from, to } = self.window;
        format!("Plan of {}, for {} to {}", self.at.format("%Y-%m-%d %H:%M UTC"), from.format("%H:%M"), to.format("%H:%M"))
    }

    fn summary(&self) -> String {
        if self.outlooks.is_empty() && self.changes.is_empty() && self.held.is_empty() {
            if self.elsewhere > 0 {
                return format!("None of the {} governed workloads is of this shard: nothing to do.", self.elsewhere);
            }
            return "No ScalingPolicy was found beside an overlay: nothing to do. `policies/README.md` shows how to write one.".to_owned();
        }
        let proof = match self.changes.first() {
            None => String::new(),
            Some(first) if self.changes.iter().all(|shown| matches!(shown.proof, Proof::Rendered { .. })) => format!(", {}", first.proof),
            Some(_) => {
                let why = self.changes.iter().find(|shown| !matches!(shown.proof, Proof::Rendered { .. }));
                why.map_or(String::new(), |shown| format!(", {}", shown.proof))
            }
        };
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut summary = format!("{}{proof}; {} held.", plural(self.changes.len(), "change"), self.held.len());
        for Committed { id, changes, .. } in &self.commits {
            let _ = write!(summary, "\nPushed commit {} with {}.", &id[..id.len().min(12)], plural(*changes, "change"));
        }
        for line in self.pulls.iter().filter_map(message::standing) {
            let _ = write!(summary, "\n{line}");
        }
        summary
    }
}

/// Who owns what.
pub(super) fn explained(explained: &[Explained], format: Format) -> anyhow::Result<String> {
    let value = serde_json::to_value(explained)?;
    Ok(match format {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&value)?),
        Format::Yaml => serde_yaml::to_string(&value)?,
        Format::Table => explained.iter().map(|one| explanation(one, &|text| styled(BOLD, text), &|text| format!("  {text}"))).collect(),
        Format::Markdown => {
            explained.iter().map(|one| explanation(one, &|text| format!("### {text}"), &|text| format!("- {text}"))).collect()
        }
    })
}

fn explanation(one: &Explained, heading: &dyn Fn(&str) -> String, item: &dyn Fn(&str) -> String) -> String {
    let mut text = format!("{}\n", heading(&format!("{} in {}", one.workload, one.overlay)));
    if !one.governed {
        let _ = writeln!(text, "{}", item("no policy beside the overlay names it: nothing is done"));
    }
    for held in &one.held {
        let _ = writeln!(text, "{}", item(&format!("held: {}", message::held(&held.why))));
    }
    if let Some(lead) = message::lead(&one.lead) {
        let _ = writeln!(text, "{}", item(&lead));
    }
    for study in &one.studies {
        let _ = writeln!(text, "{}", item(&message::study(study)));
    }
    if let Some(why) = &one.unstudied {
        let _ = writeln!(text, "{}", item(&format!("not studied: {}", message::unstudied(why))));
    }
    for Explanation { ownership, change, held } in &one.fields {
        let value = ownership.value.as_ref().map_or("unset".to_owned(), ToString::to_string);
        let _ = writeln!(text, "{}", item(&format!("{} = {value}", ownership.field)));
        for (i, setter) in ownership.setters.iter().enumerate() {
            let wins = if i + 1 == ownership.setters.len() { "owned by" } else { "overridden:" };
            let _ = writeln!(text, "      {wins} {}", message::site(setter));
        }
        if let Some(sited) = change {
            let because: Vec<String> = sited.change.reasons.iter().map(message::reason).collect();
            let _ = writeln!(
                text,
                "      would become {} at {} ({}): {}",
                sited.change.to,
                message::site(&sited.site),
                sited.change.route,
                because.join("; ")
            );
        }
        if let Some(held) = held {
            let wanted = held.wanted.as_ref().map(|wanted| format!(" at {wanted}")).unwrap_or_default();
            let _ = writeln!(text, "      held{wanted}: {}", message::held(&held.why));
        }
    }
    text.push('\n');
    text
}

/// The demo's one run: plan, commit, diff, and what to try next.
pub(super) fn demo(once: demo::Once, folder: &demo::Folder) -> anyhow::Result<()> {
    let mut text = Report::new(once.planned, once.published).text();
    for (log, diff) in &once.commits {
        let _ = write!(text, "\n{}\n{}", styled(BOLD, log.trim_end()), coloured(diff));
    }
    print(&text)?;
    print(&next_steps(folder, folder.now(), false)).map_err(Into::into)
}

fn next_steps(folder: &demo::Folder, last: DateTime<Utc>, hourly: bool) -> String {
    let (dir, at) = (folder.path().display(), last.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    // As it was started: `cargo run` puts nothing on the PATH.
    let program = std::env::args().next().unwrap_or_else(|| "prescale".to_owned());
    let mut steps = vec![
        (format!("{program} plan --config {dir}/prescale.yaml --at {at}"), "the next plan: nothing is left to commit by itself"),
        (format!("{program} explain frontend --config {dir}/prescale.yaml --at {at}"), "who owns each field of the frontend"),
        (format!("git -C {dir}/config.git log -p"), "what Argo CD would sync"),
        (format!("$EDITOR {dir}/prescale.yaml"), "the configuration to start your own from"),
    ];
    if !hourly {
        steps.insert(0, (format!("{program} demo --dir {dir} --hours 24"), "a day, hour by hour"));
    }
    steps.iter().fold(format!("\n{}\n", styled(BOLD, "Try next")), |mut text, (command, what)| {
        let _ = writeln!(text, "  # {what}\n  {command}");
        text
    })
}

/// The demo's day: hour by hour, with the forecast's errors.
pub(super) fn day(day: &demo::Day, folder: &demo::Folder) -> anyhow::Result<()> {
    let mut text = String::new();
    for workload in &day.workloads {
        let _ = writeln!(text, "{}", styled(BOLD, &workload.id.to_string()));
        let mut table = table(["HOUR", "DEMAND", "EXPECTED", "PREPARED FOR", "REPLICAS", "SHORT"]);
        for hour in &workload.hours {
            let amount = |value: Option<f64>| value.map_or("-".to_owned(), |value| message::amount(value, &workload.signal));
            table.add_row([
                hour.at.format("%a %H:%M").to_string(),
                amount(hour.demand),
                amount(hour.expected),
                amount(hour.prepared),
                hour.replicas.map_or("-".to_owned(), |n| n.to_string()),
                if hour.short { styled(YELLOW, "short") } else { String::new() },
            ]);
        }
        let _ = writeln!(text, "{}", trim(&table));
        if let Some((mae, r2)) = workload.errors {
            let _ = writeln!(text, "forecast of each hour's peak: MAE {}, R² {r2:.3}\n", message::amount(mae, &workload.signal));
        }
    }
    let _ = writeln!(text, "{} commits in {} hours.", day.commits, day.hours);
    print(&text)?;
    print(&next_steps(folder, day.last, true)).map_err(Into::into)
}

/// A backtest, trace by trace, and the means of each aim over all traces.
pub(super) fn backtest(outcome: &Outcome) -> String {
    let mut rows = table(["TRACE", "AIM", "HPA", "COST", "SHORT", "CHANGES A DAY", "FLOOR ALONE", "SHORT", "CHANGES A DAY"]);
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let aim = |result: &simulate::Backtest| match result.objective {
        Some(share) => format!("{} %", share * 100.0),
        None => format!("price {}", result.price.unwrap_or_default()),
    };
    let scores = |score: Score| [format!("{:.2}", score.cost), percent(score.violation), format!("{:.0}", score.churn_per_day)];
    for tried in &outcome.traces {
        let hpa = tried.result.hpa.map_or("-".to_owned(), |hpa| format!("{:.0} %, {} min", hpa.target * 100.0, hpa.stabilize_minutes));
        let [cost, short, changes] = scores(tried.score());
        let [floor_cost, floor_short, floor_changes] = scores(tried.result.scores.floor);
        rows.add_row([tried.trace.clone(), aim(&tried.result), hpa, cost, short, changes, floor_cost, floor_short, floor_changes]);
    }
    let names: BTreeSet<&str> = outcome.traces.iter().map(|tried| tried.trace.as_str()).collect();
    let aims = outcome.traces.len() / names.len().max(1);
    for i in (0..aims).filter(|_| names.len() > 1) {
        let of_aim: Vec<_> = outcome.traces.iter().skip(i).step_by(aims).collect();
        let mean = |figure: &dyn Fn(&Tried) -> f64| of_aim.iter().map(|tried| figure(tried)).sum::<f64>() / of_aim.len() as f64;
        let both = |score: &dyn Fn(&Tried) -> Score| {
            [
                format!("{:.2}", mean(&|tried| score(tried).cost)),
                percent(mean(&|tried| score(tried).violation)),
                format!("{:.0}", mean(&|tried| score(tried).churn_per_day)),
            ]
        };
        let [cost, short, changes] = both(&Tried::score);
        let [floor_cost, floor_short, floor_changes] = both(&|tried| tried.result.scores.floor);
        let aim = match of_aim[0].result.objective {
            Some(share) => format!("{} %", share * 100.0),
            None => aim(&of_aim[0].result),
        };
        let row = [format!("mean of {}", of_aim.len()), aim, String::new(), cost, short, changes, floor_cost, floor_short, floor_changes];
        rows.add_row(row.map(|cell| styled(BOLD, &cell)));
    }
    let mut text = trim(&rows) + "\n";
    for Skipped { trace, why } in &outcome.skipped {
        let _ = writeln!(text, "{} {trace}: {why}", styled(YELLOW, "skipped"));
    }
    text
}

fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(width());
    table.set_header(head.map(|title| styled(BOLD, title)));
    table
}

fn trim(table: &Table) -> String {
    table.trim_fmt()
}

pub(super) fn coloured(diff: &str) -> String {
    let (red, cyan) = (AnsiColor::Red.on_default(), AnsiColor::Cyan.on_default());
    diff.lines().fold(String::new(), |mut text, line| {
        let style = match line.as_bytes().first() {
            _ if line.starts_with("+++") || line.starts_with("---") => BOLD,
            Some(b'+') => GREEN,
            Some(b'-') => red,
            Some(b'@') => cyan,
            _ => Style::new(),
        };
        let _ = writeln!(text, "{}", styled(style, line));
        text
    })
}
