//! `prescale backtest`: our decisions replayed over recorded demand, and what they were worth.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use chrono::DateTime;
use clap::{Args, ValueEnum, ValueHint};
use serde::Serialize;

use crate::collect::traces::{self, Recorded};
use crate::config::ConfigError;
use crate::model::on_all_cores;
use crate::simulate::study::champion_before;
use crate::simulate::{self, Above, Aim, Cadence, RECIPES, Recipe, Score, Trace, percentile};

use super::output;
use super::terminal::{Progress, print};

/// The price of shortfall where none is given: the policies' default.
const DEFAULT_PRICE: f64 = 100.0;
/// How many replicas the history's 99th percentile needs where no capacity is given.
const DEFAULT_REPLICAS: f64 = 20.0;

#[derive(Debug, Args)]
pub(super) struct Backtest {
    /// A CSV file of `timestamp,value` (also .csv.gz), or a folder of them, with or without an index.csv
    #[arg(long, value_name = "FILE|DIR", value_hint = ValueHint::AnyPath)]
    traces: PathBuf,
    /// Demand that one replica carries [default for a DIR: a twentieth of the 99th percentile before the first decision]
    #[arg(long, value_name = "X", value_parser = positive)]
    capacity_per_replica: Option<f64>,
    /// Time between two decisions, in whole minutes
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = minutes)]
    every: usize,
    /// From a decision to Ready pods, in whole minutes
    #[arg(long, value_name = "DURATION", default_value = "6m", value_parser = minutes)]
    lead: usize,
    /// What a minute short costs, in replica-minutes; repeat it for a frontier [default: 100]
    #[arg(long, value_name = "P", value_parser = price)]
    shortfall_price: Vec<f64>,
    /// The share of minutes that may be short, as 0.5% or 0.005; repeat it for a frontier
    #[arg(long, value_name = "SHARE", value_parser = share)]
    objective: Vec<f64>,
    /// What stands above the floor: an HPA tuned for each series, none, or an HPA with this target (70% or 0.7)
    #[arg(long, value_name = "tuned|none|TARGET", default_value = "tuned", value_parser = above)]
    hpa: Above,
    /// The most changes of the floor in any 24 hours
    #[arg(long, value_name = "N")]
    max_changes_per_day: Option<usize>,
    /// For how long what was wanted keeps the floor from falling: 30m is the policies' default
    #[arg(long, value_name = "DURATION", default_value = "0m", value_parser = minutes_or_none)]
    stabilization: usize,
    /// The first decision, in epoch seconds or RFC 3339 [default: the last 30 %, two weeks at most, never the first week]
    #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
    from: Option<i64>,
    /// The model that forecasts; `champion` is the one that did best before the first decision
    #[arg(long, value_name = "MODEL", default_value = "forest", value_parser = model)]
    model: Model,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Clone, Copy, Debug)]
enum Model {
    Named(&'static Recipe),
    Champion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// The shape of `--output json`.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// Each trace with each aim, in order.
    pub(super) traces: Vec<Tried>,
    /// What could not be tried.
    pub(super) skipped: Vec<Skipped>,
}

#[derive(Debug, Serialize)]
pub(super) struct Tried {
    pub(super) trace: String,
    /// The first judged minute, in epoch seconds.
    from: i64,
    #[serde(flatten)]
    pub(super) result: simulate::Backtest,
}

#[derive(Debug, Serialize)]
pub(super) struct Skipped {
    pub(super) trace: String,
    pub(super) why: String,
}

impl Tried {
    /// The score of what would have run: the HPA on the floor, or the floor alone.
    pub(super) fn score(&self) -> Score {
        self.result.scores.under_hpa.unwrap_or(self.result.scores.floor)
    }
}

impl Backtest {
    pub(super) fn execute(&self, progress: &Progress) -> anyhow::Result<ExitCode> {
        let single = self.traces.is_file();
        if single && self.capacity_per_replica.is_none() {
            let why = "`--capacity-per-replica` is missing: what one replica carries, in the unit of the file";
            return Err(ConfigError(why.to_owned()).into());
        }
        let outcome = self.outcome(single, progress)?;
        if let (true, Some(Skipped { trace, why })) = (outcome.traces.is_empty(), outcome.skipped.first()) {
            return Err(anyhow!("{trace}: {why}"));
        }
        match self.output {
            Format::Json => print(&(serde_json::to_string_pretty(&outcome)? + "\n"))?,
            Format::Table => print(&output::backtest(&outcome))?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn outcome(&self, single: bool, progress: &Progress) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome { traces: Vec::new(), skipped: Vec::new() };
        let (mut groups, mut chosen) = (BTreeSet::new(), Vec::new());
        for Recorded { name, path, group } in traces::find(&self.traces)? {
            if groups.contains(&group) {
                continue;
            }
            match Trace::new(traces::samples(&path)?) {
                Some(trace) if single || trace.is_telling() => {
                    groups.insert(group);
                    chosen.push((name, trace));
                }
                Some(_) => {
                    outcome.skipped.push(Skipped { trace: name, why: "more than a fifth is missing, or there is no demand".to_owned() });
                }
                None => outcome.skipped.push(Skipped { trace: name, why: "fewer than two samples, or over a decade".to_owned() }),
            }
        }
        let bar = progress.bar("Replaying", chosen.len() as u64);
        let tried = on_all_cores(&chosen, |(name, trace)| {
            let tried = self.tried(name, trace);
            bar.inc(1);
            tried
        });
        bar.finish_and_clear();
        for ((name, _), tried) in chosen.iter().zip(tried) {
            match tried {
                Ok(tried) => outcome.traces.extend(tried),
                Err(error) => outcome.skipped.push(Skipped { trace: name.clone(), why: format!("{error:#}") }),
            }
        }
        Ok(outcome)
    }

    fn tried(&self, name: &str, trace: &Trace) -> anyhow::Result<Vec<Tried>> {
        let from = self.from.unwrap_or_else(|| trace.at(trace.judged_from()));
        let capacity = match self.capacity_per_replica {
            Some(capacity) => capacity,
            None => usual_capacity(trace, from).context("no demand before the first decision tells the capacity of a replica")?,
        };
        let prices =
            if self.shortfall_price.is_empty() && self.objective.is_empty() { &[DEFAULT_PRICE] } else { &self.shortfall_price[..] };
        let aims = prices.iter().map(|price| Aim::Price(*price)).chain(self.objective.iter().map(|share| Aim::Objective(*share)));
        let settings = simulate::Settings {
            capacity,
            cadence: Cadence { every: self.every, lead: self.lead },
            aims: aims.collect(),
            above: self.hpa,
            most_changes: self.max_changes_per_day,
            stabilize: self.stabilization,
            recipe: match self.model {
                Model::Named(recipe) => recipe,
                Model::Champion => Recipe::usual(),
            },
            from,
        };
        let results = match self.model {
            Model::Named(_) => simulate::backtest(trace, &settings)?,
            Model::Champion => champions(trace, &settings)?,
        };
        let from = trace.at(trace.minute_of(from));
        Ok(results.into_iter().map(|result| Tried { trace: name.to_owned(), from, result }).collect())
    }
}

/// Each aim with its own champion.
fn champions(trace: &Trace, settings: &simulate::Settings) -> anyhow::Result<Vec<simulate::Backtest>> {
    let mut results = Vec::new();
    for aim in &settings.aims {
        let recipe = champion_before(trace, settings, *aim);
        results.extend(simulate::backtest(trace, &simulate::Settings { aims: vec![*aim], recipe, ..settings.clone() })?);
    }
    Ok(results)
}

/// A capacity of which the history before `from` needs [`DEFAULT_REPLICAS`] at its 99th percentile.
fn usual_capacity(trace: &Trace, from: i64) -> Option<f64> {
    let demand = percentile(&trace.demand()[..trace.minute_of(from)], 99.0)?;
    Some(demand / DEFAULT_REPLICAS).filter(|capacity| *capacity > 0.0)
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| "not a number".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    number(text).and_then(|number| if number > 0.0 { Ok(number) } else { Err("must be above zero".to_owned()) })
}

fn price(text: &str) -> Result<f64, String> {
    let least = "must be at least 1, since a minute short never costs less than a replica-minute";
    number(text).and_then(|number| if number >= 1.0 { Ok(number) } else { Err(least.to_owned()) })
}

/// A share as `0.5%` or `0.005`.
fn proportion(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%') {
        Some(percent) => number(percent.trim_end()).map(|percent| percent / 100.0),
        None => number(text),
    }
}

fn share(text: &str) -> Result<f64, String> {
    proportion(text).and_then(|share| if share > 0.0 && share < 1.0 { Ok(share) } else { Err("must lie between 0 % and 100 %".to_owned()) })
}

fn above(text: &str) -> Result<Above, String> {
    match text {
        "tuned" => Ok(Above::Tuned),
        "none" => Ok(Above::Nothing),
        _ => match proportion(text) {
            Ok(target) if (0.01..=2.0).contains(&target) => Ok(Above::Target(target)),
            _ => Err("expected `tuned`, `none` or a target between 1% and 200%".to_owned()),
        },
    }
}

fn model(text: &str) -> Result<Model, String> {
    if text == "champion" {
        return Ok(Model::Champion);
    }
    Recipe::named(text).map(Model::Named).ok_or_else(|| {
        let names: Vec<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
        format!("expected `champion`, or one of {}", names.join(", "))
    })
}

fn minutes(text: &str) -> Result<usize, String> {
    minutes_or_none(text).ok().filter(|minutes| *minutes > 0).ok_or_else(|| "must be whole minutes, from 1m to 1d".to_owned())
}

fn minutes_or_none(text: &str) -> Result<usize, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let minutes = duration.as_secs() / 60;
    let whole = duration == Duration::from_secs(minutes * 60);
    if whole && minutes <= 1440 { Ok(minutes as usize) } else { Err("must be whole minutes, at most 1d".to_owned()) }
}

fn instant(text: &str) -> Result<i64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.abs() < 1e11 => Ok(seconds.floor() as i64),
        Ok(_) => Err("beyond the year 5000: seconds are expected, not milliseconds".to_owned()),
        Err(_) => DateTime::parse_from_rfc3339(text)
            .map(|at| at.timestamp())
            .map_err(|_| "neither epoch seconds nor RFC 3339 (`2026-11-02T10:00:00Z`)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_people_write_them() {
        assert_eq!((share("0.5%"), share("0.005")), (Ok(0.005), Ok(0.005)));
        assert_eq!(
            (above("tuned"), above("none"), above("70%"), above("0.7")),
            (Ok(Above::Tuned), Ok(Above::Nothing), Ok(Above::Target(0.7)), Ok(Above::Target(0.7)))
        );
        assert_eq!((minutes("10m"), minutes("1h")), (Ok(10), Ok(60)));
        assert_eq!(
            (instant("1700000000"), instant("1700000000.5"), instant("2023-11-14T22:13:20Z")),
            (Ok(1_700_000_000), Ok(1_700_000_000), Ok(1_700_000_000))
        );
        for wrong in [share("0"), share("100%"), share("NaN"), price("0.5"), price("inf"), positive("0"), positive("x")] {
            assert!(wrong.is_err());
        }
        assert!(
            above("high").is_err()
                && minutes("90s").is_err()
                && minutes("0m").is_err()
                && instant("noon").is_err()
                && instant("1700000000000").is_err()
        );
    }
}
