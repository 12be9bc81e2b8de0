//! Forecasts on recorded demand: how far off they are, and how often demand is above what it was to stay under, beside the last value with
//! its own past errors.
//!
//! `cargo bench --bench forecast -- FOLDER [--every N] [--models a,b] [--horizons all] [--part errors|coverage]`: a folder of traces with
//! an `index.csv`; `--every 3` takes every third series.
//!
//! **Errors**: 5-minute means, 20 origins over the last 30 % of each series, at most 28 days of history. A gap holds the last value and is
//! not scored. The scale of a series is the mean change from one day to the next over the first 70 % (28 days of it at most). `rM` and `rQ`
//! are geometric means over series of the mean absolute error and of the pinball loss at 0.95, relative to the last value; a peak is the
//! maximum over the next 3 or 12 steps. **Coverage**: every decision of the judged part of every series that drives replicas.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use prescale::collect::traces;
use prescale::forecast::{Learner, RECIPES, Recipe, Shape};
use prescale::model::{Demand, on_all_cores};
use prescale::simulate::{Known, Trace};
use serde::Deserialize;

/// Minutes of a step.
const STEP: usize = 5;
/// Steps a day.
const DAY: usize = 1440 / STEP;
/// The history that an origin may look at, in steps.
const HISTORY: usize = 28 * DAY;
/// Origins a series.
const ORIGINS: usize = 20;
/// Minutes between two decisions: rows are as far apart.
const SPACING: usize = 10;
/// The quantile that is looked at.
const LEVEL: f64 = 0.95;
/// Peaks over so many steps.
const PEAKS: [usize; 2] = [3, 12];
/// The longest horizon, in steps.
const AHEAD: usize = 12;

/// What was tried: series by dataset, in the order of the index, with a word that the name must hold.
const TRIED: [(&str, &str, usize); 13] = [
    ("nab_aws_cloudwatch", "", 8),
    ("nab_known_cause", "", 1),
    ("nab_tweets", "", 5),
    ("ms_cloud_monitoring", "", 5),
    ("nasa_http", "", 1),
    ("twitter_production", "", 1),
    ("internet_traffic_a5m", "", 1),
    ("google2019_cell", "", 2),
    ("azure_v1_vm", "_avg_", 12),
    ("azure_v1_vm", "_max_", 3),
    ("bitbrains_rnd", "_cpu", 4),
    ("bitbrains_rnd", "_mem", 5),
    ("smd_servers", "", 8),
];

#[derive(Debug, Deserialize)]
struct Row {
    dataset: String,
    series: String,
    path: PathBuf,
    step_seconds: i64,
    split: String,
}

struct Arguments {
    folder: PathBuf,
    every: usize,
    models: Vec<&'static Recipe>,
    horizons: Vec<usize>,
    part: Option<String>,
}

impl Arguments {
    fn read() -> Self {
        let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
        let option = |name: &str| given.iter().position(|argument| argument == name).and_then(|at| given.get(at + 1)).cloned();
        let folder = given.first().filter(|argument| !argument.starts_with("--"));
        let models = option("--models");
        let wanted = |recipe: &&Recipe| models.as_ref().is_none_or(|models| models.split(',').any(|name| name == recipe.name));
        Self {
            folder: folder.map(PathBuf::from).unwrap_or_default(),
            every: option("--every").and_then(|every| every.parse().ok()).unwrap_or(1),
            models: RECIPES.iter().filter(wanted).collect(),
            horizons: if option("--horizons").is_some_and(|all| all == "all") { (1..=AHEAD).collect() } else { vec![1, 3, 6, 12] },
            part: option("--part"),
        }
    }

    fn wants(&self, part: &str) -> bool {
        self.part.as_ref().is_none_or(|wanted| wanted == part)
    }
}

fn main() {
    let arguments = Arguments::read();
    let folder = &arguments.folder;
    if !folder.join("index.csv").is_file() {
        println!("nothing was measured: give a folder of traces with an index.csv");
        return;
    }
    if arguments.wants("errors") {
        errors(&arguments);
    }
    if arguments.wants("coverage") {
        coverage(&arguments);
    }
}

/// Means of five minutes; a gap is NaN.
struct Series {
    name: String,
    values: Vec<f64>,
    demand: Demand,
}

impl Series {
    fn of(name: String, path: &Path) -> Self {
        let mut samples = traces::samples(path).expect("a trace");
        samples.sort_by_key(|(at, _)| *at);
        let first = samples.first().map_or(0, |(at, _)| *at);
        let mut sums: Vec<(f64, f64)> = Vec::new();
        for (at, value) in samples {
            let bin = (at - first) as usize / (60 * STEP);
            sums.resize(sums.len().max(bin + 1), (0.0, 0.0));
            sums[bin] = (sums[bin].0 + value, sums[bin].1 + 1.0);
        }
        let values: Vec<f64> = sums.into_iter().map(|(sum, n)| sum / n).collect();
        let mut demand = Demand::starting(first.div_euclid(60) * 60);
        for value in &values {
            (0..STEP).for_each(|_| demand.push(*value));
        }
        Self { name, values, demand }
    }

    /// With gaps filled by the last value.
    fn held(&self, step: usize) -> f64 {
        self.demand.held()[step * STEP]
    }

    /// The steps at which forecasts are made from what is before; on the grid of decisions.
    fn origins(&self) -> Vec<usize> {
        let n = self.values.len();
        let (first, grid) = (n * 7 / 10, SPACING / STEP);
        (0..ORIGINS).map(|i| (first + i * (n - first - AHEAD) / ORIGINS).div_ceil(grid) * grid).collect()
    }

    /// The mean change from one day to the next.
    fn scale(&self) -> f64 {
        let end = self.values.len() * 7 / 10;
        let first = end.saturating_sub(HISTORY).max(DAY);
        let changes = (first..end).map(|step| (self.held(step) - self.held(step - DAY)).abs());
        (changes.sum::<f64>() / (end - first) as f64).max(1e-9)
    }

    /// The greatest of some measured steps; none where any is a gap.
    fn peak(&self, from: usize, steps: usize) -> Option<f64> {
        let values = &self.values[from..from + steps];
        values.iter().all(|v| !v.is_nan()).then(|| values.iter().copied().fold(0.0, f64::max))
    }
}

/// Forecasts that were scored.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    n: f64,
    absolute: f64,
    pinball: f64,
    covered: f64,
}

impl Tally {
    fn add(&mut self, truth: f64, point: f64, quantile: f64, scale: f64) {
        self.n += 1.0;
        self.absolute += (truth - point).abs() / scale;
        self.pinball += pinball(truth, quantile) / scale;
        self.covered += f64::from(u8::from(truth <= quantile * (1.0 + 1e-6) + 1e-12));
    }

    fn merged(self, other: Self) -> Self {
        Self {
            n: self.n + other.n,
            absolute: self.absolute + other.absolute,
            pinball: self.pinball + other.pinball,
            covered: self.covered + other.covered,
        }
    }
}

fn pinball(truth: f64, quantile: f64) -> f64 {
    let above = truth - quantile;
    if above > 0.0 { LEVEL * above } else { (LEVEL - 1.0) * above }
}

/// One model on one series: all horizons together, and each peak.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    steps: Tally,
    peaks: [Tally; 2],
}

/// The last value, and the order statistics of what it was off by. A peak is covered by the greatest of its steps' quantiles.
fn last_value(series: &Series, horizons: &[usize]) -> Outcome {
    let mut outcome = Outcome::default();
    let scale = series.scale();
    for origin in series.origins() {
        let last = series.held(origin - 1);
        let first = origin.saturating_sub(HISTORY).max(1);
        let quantiles: Vec<f64> = (1..=AHEAD)
            .map(|ahead| {
                let mut off: Vec<f64> = (first..=origin - ahead).map(|t| series.held(t + ahead - 1) - series.held(t - 1)).collect();
                off.sort_by(f64::total_cmp);
                let rank = ((off.len() + 1) as f64 * LEVEL).ceil() as usize;
                last + off[rank.clamp(1, off.len()) - 1]
            })
            .collect();
        for ahead in horizons {
            if let Some(truth) = series.peak(origin + ahead - 1, 1) {
                outcome.steps.add(truth, last, quantiles[ahead - 1], scale);
            }
        }
        for (tally, steps) in outcome.peaks.iter_mut().zip(PEAKS) {
            if let Some(truth) = series.peak(origin, steps) {
                tally.add(truth, last, quantiles[..steps].iter().copied().fold(0.0, f64::max), scale);
            }
        }
    }
    outcome
}

/// A model, for one window.
fn model(series: &Series, recipe: &'static Recipe, first: usize, steps: usize) -> Tally {
    let shape = Shape { lead: first * STEP, length: steps * STEP };
    let (origins, scale, demand) = (series.origins(), series.scale(), &series.demand);
    let mut tally = Tally::default();
    let mut known = demand.clone();
    known.truncate(origins[0] * STEP);
    let mut learner = Learner::new(recipe, shape, SPACING, &known, known.len());
    let mut origins = origins.into_iter().peekable();
    let begin = (known.len().saturating_sub(HISTORY * STEP)).max(SPACING);
    for at in (begin.div_ceil(SPACING) * SPACING..).step_by(SPACING) {
        let Some(origin) = origins.peek() else { break };
        learner.advance(demand, at, at);
        if at < origin * STEP {
            continue;
        }
        if let (Some(truth), Some(forecast)) = (series.peak(origin + first, steps), learner.forecast(demand)) {
            tally.add(truth, forecast.point(), forecast.high(), scale);
        }
        origins.next();
    }
    tally
}

fn errors(arguments: &Arguments) {
    let mut left = TRIED;
    let rows = csv::Reader::from_path(arguments.folder.join("index.csv")).expect("an index").into_deserialize();
    let rows = rows.map(|row: Result<Row, _>| row.expect("a row of the index"));
    let chosen: Vec<Row> = rows
        .filter(|row| {
            let of = |(dataset, word, _): &&mut (&str, &str, usize)| row.dataset == *dataset && row.series.contains(*word);
            let quota = left.iter_mut().find(of).map(|(_, _, quota)| quota);
            let fits = row.split == "dev" && row.step_seconds <= 300;
            quota.filter(|quota| fits && **quota > 0).map(|quota| *quota -= 1).is_some()
        })
        .collect();
    let series: Vec<Series> = chosen
        .into_iter()
        .step_by(arguments.every)
        .map(|row| Series::of(format!("{}/{}", row.dataset, row.series), &arguments.folder.join(row.path)))
        .collect();
    let names: Vec<String> = arguments.horizons.iter().map(|ahead| (ahead * STEP).to_string()).collect();
    println!("{} series, {ORIGINS} origins each; horizons of {} minutes\n", series.len(), names.join(", "));
    println!(
        "| model | rM | rQ | MASE | pl95 | covered | worst decile | 15 min: covered | pl95 median | mean | 60 min: covered | pl95 median | mean | rQ |"
    );
    println!("|---|{}", "---|".repeat(13));
    let reference = on_all_cores(&series, |series| last_value(series, &arguments.horizons));
    line("last value", &reference, &reference);
    for recipe in &arguments.models {
        let outcomes = on_all_cores(&series, |series| {
            let steps = arguments.horizons.iter().map(|ahead| model(series, recipe, ahead - 1, 1));
            Outcome { steps: steps.fold(Tally::default(), Tally::merged), peaks: PEAKS.map(|steps| model(series, recipe, 0, steps)) }
        });
        line(recipe.name, &outcomes, &reference);
        if std::env::var_os("BENCH_EACH").is_some() {
            for (series, (outcome, reference)) in series.iter().zip(outcomes.iter().zip(&reference)) {
                println!(
                    "{} {:.3} {:.3}",
                    series.name,
                    outcome.steps.absolute / reference.steps.absolute,
                    outcome.steps.pinball / reference.steps.pinball
                );
            }
        }
    }
}

fn line(name: &str, outcomes: &[Outcome], reference: &[Outcome]) {
    let ratio = |of: &dyn Fn(&Outcome) -> f64| {
        let logs: Vec<f64> = outcomes.iter().zip(reference).map(|(ours, last)| (of(ours).max(1e-9) / of(last).max(1e-9)).ln()).collect();
        (logs.iter().sum::<f64>() / logs.len() as f64).exp()
    };
    let all = |of: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(of).filter(|v| v.is_finite()).collect::<Vec<_>>();
    let steps = [
        ratio(&|outcome| outcome.steps.absolute / outcome.steps.n),
        ratio(&|outcome| outcome.steps.pinball / outcome.steps.n),
        quantile(all(&|outcome| outcome.steps.absolute / outcome.steps.n), 0.5),
        mean(&all(&|outcome| outcome.steps.pinball / outcome.steps.n)),
        all(&|outcome| outcome.steps.covered).iter().sum::<f64>() / all(&|outcome| outcome.steps.n).iter().sum::<f64>(),
        quantile(all(&|outcome| outcome.steps.covered / outcome.steps.n), 0.1),
    ];
    let peaks = [0, 1].map(|peak| {
        let losses = all(&|outcome| outcome.peaks[peak].pinball / outcome.peaks[peak].n);
        let covered =
            all(&|outcome| outcome.peaks[peak].covered).iter().sum::<f64>() / all(&|outcome| outcome.peaks[peak].n).iter().sum::<f64>();
        [covered, quantile(losses.clone(), 0.5), mean(&losses)]
    });
    let figures: Vec<String> = steps.iter().chain(peaks.iter().flatten()).map(|figure| format!("{figure:.3}")).collect();
    println!("| {name} | {} | {:.3} |", figures.join(" | "), ratio(&|outcome| outcome.peaks[1].pinball / outcome.peaks[1].n));
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn quantile(mut values: Vec<f64>, p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = p * (values.len().max(1) - 1) as f64;
    let (below, above) = (values.get(at.floor() as usize), values.get(at.ceil() as usize));
    below.zip(above).map_or(f64::NAN, |(below, above)| below + (above - below) * at.fract())
}

/// Each decision of the judged parts: how often the window's peak stayed at or under what it was to stay under.
fn coverage(arguments: &Arguments) {
    let mut groups = BTreeSet::new();
    let traces: Vec<Trace> = traces::find(&arguments.folder)
        .expect("an index of traces")
        .into_iter()
        .filter_map(|recorded| {
            if groups.contains(&recorded.group) {
                return None;
            }
            let trace = Trace::new(traces::samples(&recorded.path).expect("a trace")).filter(Trace::is_telling)?;
            groups.insert(recorded.group);
            Some(trace)
        })
        .step_by(arguments.every)
        .collect();
    println!("\n{} series; every decision of their judged parts, {SPACING} minutes apart\n", traces.len());
    println!(
        "| model | window | covered, as it comes | worst decile | pl95 mean | median | covered, adapted | worst decile | pl95 mean | median |"
    );
    println!("|---|{}", "---|".repeat(9));
    for recipe in &arguments.models {
        for minutes in PEAKS.map(|steps| steps * STEP) {
            let tallies = on_all_cores(&traces, |trace| judged(trace, recipe, minutes));
            let figures = [0, 1].map(|adapted| {
                let of = |of: &dyn Fn(&Tally) -> f64| tallies.iter().map(|tally| of(&tally[adapted])).collect::<Vec<_>>();
                let covered = of(&|tally| tally.covered).iter().sum::<f64>() / of(&|tally| tally.n).iter().sum::<f64>();
                let losses = of(&|tally| tally.pinball / tally.n);
                let worst = quantile(of(&|tally| tally.covered / tally.n), 0.1);
                format!("{covered:.4} | {worst:.3} | {:.4} | {:.4}", mean(&losses), quantile(losses.clone(), 0.5))
            });
            println!("| {} | {minutes} min | {} |", recipe.name, figures.join(" | "));
        }
    }
}

/// One series: its quantiles as they come, and adapted to how often they held.
fn judged(trace: &Trace, recipe: &'static Recipe, length: usize) -> [Tally; 2] {
    let (from, demand) = (trace.judged_from(), trace.demand());
    let day = 1440;
    let changes = (day..from).map(|minute| (demand[minute] - demand[minute - day]).abs()).filter(|v| v.is_finite());
    let scale = mean(&changes.collect::<Vec<_>>()).max(1e-9);
    let mut known = Known::new(trace.samples(), trace.step());
    let mut tallies = [Tally::default(); 2];
    let mut learner: Option<Learner> = None;
    let begin = from.saturating_sub(HISTORY * STEP).max(60);
    let grid = SPACING as i64 * 60;
    let first = trace.at(begin).div_euclid(grid) * grid + grid;
    for at in (first..trace.at(demand.len() - length)).step_by(grid as usize) {
        let known = known.at(at);
        let minute = ((at - trace.start()) / 60) as usize;
        let learner = learner.get_or_insert_with(|| Learner::new(recipe, Shape { lead: 0, length }, SPACING, known, known.len()));
        learner.advance(known, minute, known.len());
        if minute < from {
            continue;
        }
        let truth = demand[minute..minute + length].iter().copied().filter(|v| !v.is_nan()).reduce(f64::max);
        if let (Some(truth), Some(forecast)) = (truth, learner.forecast(known)) {
            tallies[0].add(truth, forecast.point(), forecast.quantile(LEVEL), scale);
            tallies[1].add(truth, forecast.point(), forecast.high(), scale);
        }
    }
    tallies
}
