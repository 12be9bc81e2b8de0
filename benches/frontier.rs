//! The frontier of cost against violation on recorded demand: our floors and HPAs beside everything that needs no forecast, what remains
//! when parts are left out, and what a limit on changes costs.
//!
//! `cargo bench --bench frontier -- FOLDER [--svg FILE]`: a folder of traces with an `index.csv`.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use prescale::collect::traces;
use prescale::model::on_all_cores;
use prescale::simulate::baseline::Judged;
use prescale::simulate::{self, Above, Aim, Cadence, Recipe, Settings, Trace, hull, percentile};

/// Prices of shortfall, in replica-minutes for a minute short.
const PRICES: [f64; 8] = [3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0];
/// Prices of violation against cost, both as scored, at which an HPA is tuned.
const HPA_PRICES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// Mean costs at which families are compared.
const COSTS: [f64; 6] = [1.2, 1.3, 1.45, 1.7, 2.0, 2.5];

/// What is tried: a name, a model, what stands above the floor, a limit on changes a day, and the floor's stabilization in minutes.
const VARIANTS: [(&str, &str, Above, Option<usize>, usize); 12] = [
    ("**Prescale**", "forest", Above::Tuned, None, 0),
    ("with the policies' stabilization of 30 minutes", "forest", Above::Tuned, None, 30),
    ("at most 24 changes a day", "forest", Above::Tuned, Some(24), 0),
    ("at most 12 changes a day", "forest", Above::Tuned, Some(12), 0),
    ("at most 6 changes a day", "forest", Above::Tuned, Some(6), 0),
    ("without likeness: a ridge and its recent errors", "linear", Above::Tuned, None, 0),
    ("without calibration: a ridge and normal errors", "normal", Above::Tuned, None, 0),
    ("points instead of the window: its first five minutes", "pointwise", Above::Tuned, None, 0),
    ("without a forecast: the last half hour and its recent errors", "recent", Above::Tuned, None, 0),
    ("without a season's help: yesterday and its recent errors", "seasonal-naive", Above::Tuned, None, 0),
    ("without HPA tuning: 90 % for all", "forest", Above::Target(0.9), None, 0),
    ("without an HPA", "forest", Above::Nothing, None, 0),
];

/// Mean cost and violation of each member of a family.
type Family = Vec<(f64, f64)>;

/// What one series came to.
#[derive(Clone, Copy)]
struct Point {
    cost: f64,
    violation: f64,
    changes: f64,
}

/// A recorded series with the capacity of a replica.
struct Recorded {
    name: String,
    trace: Trace,
    unit: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let svg = arguments.iter().position(|argument| argument == "--svg").and_then(|at| arguments.get(at + 1)).cloned();
    let folder = arguments.first().filter(|argument| !argument.starts_with("--"));
    let Some(folder) = folder.map(PathBuf::from).filter(|folder| folder.join("index.csv").is_file()) else {
        println!("nothing was measured: give a folder of traces with an index.csv");
        return;
    };
    let series = series(&folder);
    println!("{} series; share of minutes short of capacity, in %, at a mean cost of\n", series.len());
    println!("| | {} | changes a day |", COSTS.map(|cost| format!("{cost:.2}")).join(" | "));
    println!("|---|{}", "---|".repeat(COSTS.len() + 1));
    let (mut drawn, tuned) = baselines(&series);
    for (name, family) in &drawn {
        row(name, family, "");
    }
    let mut ours = Vec::new();
    for (name, model, above, most, stabilize) in VARIANTS {
        let tried = variant(&series, model, above, (most, stabilize), &PRICES.map(Aim::Price));
        let points: Vec<Point> = (0..PRICES.len()).map(|price| mean(tried.iter().map(|points| points[price]))).collect();
        let family: Family = points.iter().map(|point| (point.cost, point.violation)).collect();
        let changes: Vec<String> = points.iter().map(|point| format!("{:.0}", point.changes)).collect();
        row(name, &family, &format!("{}–{}", changes[1], changes[changes.len() - 1]));
        if name == VARIANTS[0].0 {
            for cost in [1.45, 2.0] {
                println!("| – changes a day at {cost:.2}: {:.0} |", changes_at(&points, cost));
            }
            drawn.push(("Prescale", family));
            ours = tried;
        }
    }
    losses(&series, &ours, &tuned);
    objective(&series);
    if let Some(path) = svg {
        std::fs::write(&path, picture(&drawn)).expect("the picture is written");
        println!("\nDrawn to {path}.");
    }
}

/// Changes a day at a mean cost, between those of the two nearest prices.
fn changes_at(points: &[Point], cost: f64) -> f64 {
    let pair = points.windows(2).find(|pair| (pair[0].cost..=pair[1].cost).contains(&cost));
    pair.map_or(f64::NAN, |pair| {
        pair[0].changes + (pair[1].changes - pair[0].changes) * (cost - pair[0].cost) / (pair[1].cost - pair[0].cost)
    })
}

fn row(name: &str, family: &Family, changes: &str) {
    let figures = COSTS.map(|cost| match hull::at_cost(family, cost) {
        share if share.is_finite() => format!("{:.2}", share * 100.0),
        _ => "–".to_owned(),
    });
    println!("| {name} | {} | {changes} |", figures.join(" | "));
}

/// The series that can be judged, one of each entity, with the capacity of a replica: the 99th percentile of the history needs 8 to 40.
fn series(folder: &Path) -> Vec<Recorded> {
    let mut groups = std::collections::BTreeSet::new();
    let mut series = Vec::new();
    for recorded in traces::find(folder).expect("an index of traces") {
        if groups.contains(&recorded.group) {
            continue;
        }
        let samples = traces::samples(&recorded.path).expect("a trace");
        let Some(trace) = Trace::new(samples).filter(Trace::is_telling) else { continue };
        groups.insert(recorded.group);
        let replicas = f64::from(8 + crc32fast::hash(recorded.name.as_bytes()) % 33);
        let high = percentile(&trace.demand()[..trace.judged_from()], 99.0).unwrap_or(0.0);
        series.push(Recorded { name: recorded.name, trace, unit: high.max(1e-9) / replicas });
    }
    series
}

/// What needs no forecast, by family; and the tuned HPAs of each series.
fn baselines(series: &[Recorded]) -> (Vec<(&'static str, Family)>, Vec<Family>) {
    let scores = on_all_cores(series, |recorded| {
        let Recorded { trace, unit, .. } = recorded;
        let judged = Judged { demand: trace.demand(), unit: *unit, from: trace.judged_from() };
        let mut scores = judged.all();
        for price in HPA_PRICES {
            scores.extend(judged.tuned_hpa(price).map(|score| (format!("tuned {price}"), score)));
        }
        scores
    });
    let is_tuned = |(name, score): &(String, simulate::Score)| name.starts_with("tuned").then_some((score.cost, score.violation));
    let tuned = scores.iter().map(|scores| scores.iter().filter_map(is_tuned).collect()).collect();
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (name, score) in scores.into_iter().flatten() {
        let sum = sums.entry(name).or_default();
        *sum = (sum.0 + score.cost, sum.1 + score.violation);
    }
    let n = series.len() as f64;
    let family = |is: &dyn Fn(&str) -> bool| -> Family {
        sums.iter().filter(|(name, _)| is(name)).map(|(_, (cost, violation))| (cost / n, violation / n)).collect()
    };
    let families = vec![
        ("HPA, any target, default stabilization", family(&|name| name.starts_with("hpa") && name.ends_with("/5m"))),
        ("HPA, one target and stabilization for all", family(&|name| name.starts_with("hpa"))),
        ("HPA tuned for each workload", family(&|name| name.starts_with("tuned"))),
        ("recent maximum under an HPA at 90 %", family(&|name| name.starts_with("recent") && name.ends_with("hpa90"))),
        ("as VPA or KRR would, under an HPA at 90 %", family(&|name| name.contains("-like") && name.ends_with("hpa90"))),
        ("Holt-Winters on replica counts, as PHPA", family(&|name| name.starts_with("phpa"))),
        ("knows the future, a change every 10 minutes", family(&|name| name == "clairvoyant 10m")),
    ];
    (families, tuned)
}

/// Our decisions on each series at each aim.
fn variant(
    series: &[Recorded],
    model: &str,
    above: Above,
    (most_changes, stabilize): (Option<usize>, usize),
    aims: &[Aim],
) -> Vec<Vec<Point>> {
    let recipe = Recipe::named(model).expect("a model");
    on_all_cores(series, |recorded| {
        let Recorded { trace, unit: capacity, .. } = recorded;
        let from = trace.at(trace.judged_from());
        let settings = Settings {
            capacity: *capacity,
            cadence: Cadence::default(),
            aims: aims.to_vec(),
            above,
            most_changes,
            stabilize,
            recipe,
            from,
        };
        let tried = simulate::backtest(trace, &settings).expect("a trace that can be tried");
        let score = |result: &simulate::Backtest| result.scores.under_hpa.unwrap_or(result.scores.floor);
        let changes = |result: &simulate::Backtest| result.scores.floor.churn_per_day;
        tried
            .iter()
            .map(|result| Point { cost: score(result).cost, violation: score(result).violation, changes: changes(result) })
            .collect()
    })
}

fn mean(points: impl Iterator<Item = Point>) -> Point {
    let points: Vec<Point> = points.collect();
    let mean = |of: &dyn Fn(&Point) -> f64| points.iter().map(of).sum::<f64>() / points.len().max(1) as f64;
    Point { cost: mean(&|point| point.cost), violation: mean(&|point| point.violation), changes: mean(&|point| point.changes) }
}

/// The series on which a tuned HPA does better at equal cost.
fn losses(series: &[Recorded], ours: &[Vec<Point>], tuned: &[Family]) {
    let worst = |(points, tuned): (&Vec<Point>, &Family)| {
        let beyond = points.iter().map(|point| (point.violation - hull::at_cost(tuned, point.cost), point.cost));
        beyond.filter(|(beyond, _)| beyond.is_finite()).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0.0))
    };
    let mut worst: Vec<(f64, f64, &str)> = ours
        .iter()
        .zip(tuned)
        .map(worst)
        .zip(series)
        .map(|((beyond, cost), recorded)| (beyond, cost, recorded.name.as_str()))
        .filter(|(beyond, ..)| *beyond > 0.001)
        .collect();
    worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("\nMore than 0.1 points of minutes short above the HPA tuned for it, at equal cost, on {} of {}:", worst.len(), series.len());
    for (beyond, cost, name) in worst {
        println!("- {name}: {:.2} points at {cost:.2}", beyond * 100.0);
    }
}

/// Floors alone, where a share of minutes short is asked for.
fn objective(series: &[Recorded]) {
    let tried = variant(series, "forest", Above::Nothing, (None, 0), &[Aim::Objective(0.005)]);
    let shares: Vec<f64> = tried.iter().map(|points| points[0].violation).collect();
    let cost = mean(tried.iter().map(|points| points[0])).cost;
    let beyond = shares.iter().filter(|share| **share > 0.015).count();
    let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    println!(
        "\nAsked for 0.5 % without an HPA: {:.3} % on average at a mean cost of {cost:.2}, above 1.5 % on {beyond} of {}.",
        mean * 100.0,
        shares.len()
    );
}

/// Families as lines: mean cost to the right, the share of minutes short upwards on a logarithmic scale.
fn picture(families: &[(&str, Family)]) -> String {
    const LINES: [(&str, &str, f64); 5] = [
        ("HPA, any target, default stabilization", "#9ca3af", 1.5),
        ("HPA, one target and stabilization for all", "#4b5563", 1.5),
        ("recent maximum under an HPA at 90 %", "#0284c7", 1.5),
        ("HPA tuned for each workload", "#d97706", 2.5),
        ("Prescale", "#15803d", 3.0),
    ];
    let x = |cost: f64| 60.0 + (cost - 1.1) / 1.5 * 640.0;
    let y = |share: f64| 30.0 + (5.0_f64 / (share * 100.0)).ln() / 50.0_f64.ln() * 340.0;
    let mut svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 430\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"720\" height=\"430\" fill=\"white\"/>\n"
        .to_owned();
    for share in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0] {
        let y = y(share / 100.0);
        let _ = writeln!(svg, "<line x1=\"60\" x2=\"700\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#e5e7eb\"/>");
        let _ = writeln!(svg, "<text x=\"52\" y=\"{:.1}\" text-anchor=\"end\">{share} %</text>", y + 4.5);
    }
    for cost in [1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6] {
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"390\" text-anchor=\"middle\">{cost}</text>", x(cost));
    }
    svg += "<text x=\"380\" y=\"415\" text-anchor=\"middle\">replica-minutes, as a multiple of what demand needed</text>\n";
    svg += "<text x=\"60\" y=\"20\">share of minutes short of capacity</text>\n";
    for (name, colour, width) in LINES {
        let Some((_, family)) = families.iter().find(|(family, _)| *family == name) else { continue };
        let points = (0..=150).map(|step| 1.1 + f64::from(step) / 100.0);
        let points = points.map(|cost| (cost, hull::at_cost(family, cost))).filter(|(_, share)| (0.001..=0.05).contains(share));
        let line: Vec<String> = points.map(|(cost, share)| format!("{:.1},{:.1}", x(cost), y(share))).collect();
        let _ = writeln!(svg, "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" points=\"{}\"/>", line.join(" "));
    }
    svg += "<rect x=\"64\" y=\"276\" width=\"300\" height=\"92\" fill=\"white\"/>\n";
    for (i, (name, colour, width)) in LINES.into_iter().enumerate() {
        let top = 286.0 + 18.0 * i as f64;
        let _ = writeln!(svg, "<line x1=\"70\" x2=\"98\" y1=\"{top}\" y2=\"{top}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>");
        let _ = writeln!(svg, "<text x=\"106\" y=\"{}\">{name}</text>", top + 4.5);
    }
    svg + "</svg>\n"
}
