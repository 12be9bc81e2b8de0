//! The simulator gives the figures of an independent one, which stands beside the repository with real traces: `../shared/judge` and
//! `../shared/traces`. Their licences keep them out of it; where they are absent, small figures that were taken from it once are held to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prescale::collect::traces;
use prescale::simulate::baseline::{Judged, STABILIZATIONS, TARGETS};
use prescale::simulate::{Cadence, DAY, Hpa, Score, Trace, hull, percentile, replay};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::support::shop::{Ran, prescale};

/// The reference simulator and the traces, where they are.
fn shared() -> Option<(PathBuf, PathBuf)> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let (judge, traces) = (shared.join("judge"), shared.join("traces"));
    let found = judge.join("sim.py").is_file() && traces.join("index.csv").is_file();
    if !found {
        eprintln!("{} holds no judge and traces: the simulator is held to its committed figures only", shared.display());
    }
    found.then_some((judge, traces))
}

/// What the reference makes of cases.
fn referee(judge: &Path, cases: &[Value]) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/judge_oracle.py");
    let mut child = Command::new("python3")
        .arg(script)
        .arg(judge)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed, with numpy: see tests/requirements.txt");
    child.stdin.take().unwrap().write_all(Value::from(cases).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the reference failed; is numpy there? see tests/requirements.txt");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Fails unless two numbers are equal to 1e-9, relative to the larger.
fn same(ours: f64, theirs: f64, what: &str) {
    assert!((ours - theirs).abs() <= 1e-9 * ours.abs().max(theirs.abs()).max(1.0), "{what}: {ours} where the reference has {theirs}");
}

fn same_score(ours: Score, theirs: &Value, what: &str) {
    let figures = [("cost", ours.cost), ("violation", ours.violation), ("unserved", ours.unserved), ("churn_per_day", ours.churn_per_day)];
    for (name, figure) in figures {
        same(figure, theirs[name].as_f64().unwrap(), &format!("{what}: {name}"));
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

/// The capacity that the reference gives a replica, by the series' name.
fn unit_of(name: &str, history: &[f64]) -> f64 {
    let replicas = 8 + crc32fast::hash(name.as_bytes()) % 33;
    percentile(history, 99.0).unwrap().max(1e-9) / f64::from(replicas)
}

/// The judged series: their figures in the reference's own baseline, and the traces.
fn judged(judge: &Path, folder: &Path) -> Vec<(String, Value, PathBuf, Trace)> {
    let text = std::fs::read_to_string(judge.join("base_dev.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let paths: BTreeMap<String, PathBuf> = traces::find(folder).unwrap().into_iter().map(|r| (r.name, r.path)).collect();
    let found = rows.into_iter().map(|row| {
        let name = row["series"].as_str().unwrap().to_owned();
        let path = paths[&name].clone();
        let trace = Trace::new(traces::samples(&path).unwrap()).unwrap();
        (name, row, path, trace)
    });
    // Spread over the datasets, which stand one after the other.
    let found: Vec<_> = if crate::support::is_full() { found.collect() } else { found.step_by(7).collect() };
    assert!(found.len() >= 10);
    found
}

#[test]
fn random_decisions_score_as_in_the_reference() {
    let Some((judge, folder)) = shared() else { return };
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let hpas: Vec<(f64, usize)> = TARGETS.iter().flat_map(|target| STABILIZATIONS.map(|minutes| (*target, minutes))).collect();
    let mut cases = Vec::new();
    let mut ours = Vec::new();
    for (name, _, path, trace) in judged(&judge, &folder) {
        let from = trace.judged_from();
        let (warm, to) = (from - DAY / 2, (from + DAY).min(trace.demand().len()));
        let unit = unit_of(&name, &trace.demand()[..from]);
        let first = trace.at(warm) / 600 * 600;
        let decisions: Vec<(i64, u32)> =
            (0..250).map(|k| (first + k * 600 + 60 * random.random_range(0..10), random.random_range(1..45))).collect();
        let settings: Vec<Value> = hpas.iter().enumerate().map(|(i, (target, minutes))| json!([target, minutes, i % 2 == 0])).collect();
        cases.push(json!({"path": path, "from": from, "to": to, "warm": warm, "unit": unit, "decisions": decisions, "hpas": settings}));
        ours.push((name, trace, from, warm, to, unit, decisions));
    }
    for ((name, trace, from, warm, to, unit, decisions), theirs) in ours.into_iter().zip(referee(&judge, &cases)) {
        assert_eq!(json!(trace.start()), theirs["start"], "{name}");
        let demand = numbers(&theirs["demand"]);
        assert_eq!(format!("{:?}", trace.demand()), format!("{demand:?}"), "{name}: demand");
        let floor = replay(demand.len(), trace.start(), &decisions, Cadence::default()).unwrap();
        let as_numbers = |ready: &[u32]| ready.iter().map(|r| f64::from(*r)).collect::<Vec<_>>();
        assert_eq!(as_numbers(&floor), numbers(&theirs["floor"]), "{name}: floor");
        same_score(Score::of(&demand[from..to], &floor[from..to], unit).unwrap(), &theirs["alone"], &name);
        for (i, (target, minutes)) in hpas.iter().enumerate() {
            let what = format!("{name} under an HPA of {target} and {minutes} min");
            let ready = Hpa::new(*target, *minutes).ready(&demand[warm..to], unit, (i % 2 == 0).then_some(&floor[warm..to]));
            assert_eq!(as_numbers(&ready), numbers(&theirs["under"][i]["ready"]), "{what}");
            same_score(Score::of(&demand[from..to], &ready[from - warm..], unit).unwrap(), &theirs["under"][i]["score"], &what);
        }
    }
}

#[test]
fn the_baselines_are_those_of_the_reference() {
    let Some((judge, folder)) = shared() else { return };
    for (name, row, _, trace) in judged(&judge, &folder) {
        let from = trace.judged_from();
        let judged = Judged { demand: trace.demand(), unit: unit_of(&name, &trace.demand()[..from]), from };
        let ours: BTreeMap<String, Score> = judged.all().into_iter().collect();
        // Its figures are kept with four digits.
        let rounded = |ours: f64, theirs: &Value, what: &str| {
            let theirs = theirs.as_f64().unwrap();
            assert!((ours - theirs).abs() <= 6e-4 * theirs.abs() + 1e-12, "{name}, {what}: {ours} where the reference has {theirs}");
        };
        rounded(judged.unit, &row["unit"], "unit");
        let scalers = row["scalers"].as_object().unwrap();
        assert!(scalers.len() > 70);
        for (scaler, theirs) in scalers {
            let score = match scaler.strip_prefix("tuned hpa, price ") {
                Some(price) => judged.tuned_hpa(price.parse().unwrap()).unwrap(),
                None => *ours.get(scaler).unwrap_or_else(|| panic!("no {scaler} among {:?}", ours.keys())),
            };
            rounded(score.cost, &theirs["cost"], &format!("{scaler}: cost"));
            rounded(score.violation, &theirs["violation"], &format!("{scaler}: violation"));
            rounded(score.unserved, &theirs["unserved"], &format!("{scaler}: unserved"));
            rounded(score.churn_per_day, &theirs["churn_per_day"], &format!("{scaler}: changes"));
        }
    }
}

/// Three days of five-minute samples that come up to 14 s late, with a gap of 40 samples.
fn synthetic() -> Vec<(i64, f64)> {
    let value = |i: i64| 40.0 + ((i % 288) * (288 - i % 288)) as f64 / 400.0 + (i * 7919 % 1009) as f64 / 20.0;
    (0..900).filter(|i| !(400..440).contains(i)).map(|i| (1_700_000_100 + i * 300 + i % 3 * 7, value(i))).collect()
}

#[test]
fn the_committed_figures_of_the_reference_hold() {
    let trace = Trace::new(synthetic()).unwrap();
    let demand = trace.demand();
    let measured: Vec<f64> = demand.iter().copied().filter(|v| !v.is_nan()).collect();
    assert_eq!((trace.start(), demand.len(), demand.len() - measured.len()), (1_700_000_100, 4500, 175));
    same(measured.iter().sum(), 424_859.08, "demand");
    same(percentile(demand, 99.0).unwrap(), 138.3209, "p99");
    same(unit_of("golden/series", &demand[..2000]), 13.832_899_999_999_999, "unit");

    let decisions: Vec<(i64, u32)> = (0..420).map(|k| (1_700_000_400 + 600 * k, 8 + (k * 31 % 17) as u32)).collect();
    let floor = replay(demand.len(), trace.start(), &decisions, Cadence::default()).unwrap();
    let figures = |ready: &[u32], sum: u32, cost: f64, violation: f64, unserved: f64, churn: f64| {
        assert_eq!(ready.iter().sum::<u32>(), sum);
        let theirs = json!({"cost": cost, "violation": violation, "unserved": unserved, "churn_per_day": churn});
        same_score(Score::of(&demand[1440..], &ready[1440..], 7.5).unwrap(), &theirs, &format!("{sum} replica-minutes"));
    };
    figures(&floor, 69_762, 1.133_419_023_136_246_9, 0.366_377_816_291_161_2, 0.096_076_040_099_934_94, 129.774_696_707_105_7);
    let hpa = |target, minutes, floor| Hpa::new(target, minutes).ready(demand, 7.5, floor);
    let (alone, above, slow) = (hpa(0.7, 5, None), hpa(0.9, 30, Some(&floor[..])), hpa(1.0, 180, Some(&floor[..])));
    figures(&alone, 92_211, 1.498_354_755_784_061_7, 0.040_554_592_720_970_54, 0.003_898_232_188_487_526_5, 183.681_109_185_441_93);
    figures(&above, 96_637, 1.572_030_848_329_048_8, 0.001_039_861_351_819_757_4, 4.322_938_676_072_808e-5, 63.389_948_006_932_41);
    figures(&slow, 106_005, 1.739_100_257_069_408_7, 0.004_506_065_857_885_615, 0.000_308_182_831_913_363_34, 2.994_800_693_240_901_3);

    let points = [(2.0, 0.04), (1.1, 0.2), (1.5, 0.1), (1.3, 0.17), (3.0, 0.01)];
    assert_eq!(hull::envelope(&points), [(1.1, 0.2), (1.5, 0.1), (2.0, 0.04), (3.0, 0.01)]);
    for (cost, violation) in [(1.2, 0.175), (1.7, 0.076), (9.0, 0.01)] {
        same(hull::at_cost(&points, cost), violation, "on the hull");
    }
}

#[test]
fn the_command_tells_decisions_that_anyone_can_score_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.csv");
    // Four times three days, so that there is a week to tune on.
    let mut text = "timestamp,value\n".to_owned();
    for repeat in 0..4 {
        for (at, value) in synthetic() {
            writeln!(text, "{},{value}", at + repeat * 900 * 300).unwrap();
        }
    }
    std::fs::write(&path, text).unwrap();
    let file = path.to_str().unwrap();
    let from = 1_700_000_100 + 10 * 86_400;
    let common = ["backtest", "--traces", file, "--capacity-per-replica", "7.5", "--from"];
    let run = |from: &str, more: &[&str]| Ran::of(prescale(&common).arg(from).args(more));

    let aims = ["--shortfall-price", "10", "--shortfall-price", "300", "--objective", "1%", "--output", "json"];
    let ran = run(&from.to_string(), &aims);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.out, run("2023-11-24T22:15:00Z", &aims).out, "the same instant, and the same bytes");
    let json = ran.json();
    let tried = json["traces"].as_array().unwrap();
    assert_eq!(tried.len(), 3);
    assert_eq!((&tried[0]["trace"], &tried[1]["price"], &tried[2]["objective"]), (&json!("web"), &json!(300.0), &json!(0.01)));

    let trace = Trace::new(traces::samples(&path).unwrap()).unwrap();
    let first = trace.minute_of(from);
    let mut cases = Vec::new();
    for tried in tried {
        let made: Vec<(i64, u32)> = tried["decisions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|decision| {
                let at = decision["at"].as_i64().unwrap();
                assert_eq!((at % 600, decision["effective_at"].as_i64().unwrap()), (0, at + 360));
                assert!(at >= from && !decision["reasons"].as_array().unwrap().is_empty());
                (at, decision["replicas"].as_u64().unwrap().try_into().unwrap())
            })
            .collect();
        let (target, minutes) = (tried["hpa"]["target"].as_f64().unwrap(), tried["hpa"]["stabilize_minutes"].as_u64().unwrap());
        let floor = replay(trace.demand().len(), trace.start(), &made, Cadence::default()).unwrap();
        same_score(Score::of(&trace.demand()[first..], &floor[first..], 7.5).unwrap(), &tried["scores"]["floor"], "floor");
        cases.push(json!({"path": file, "from": first, "to": trace.demand().len(), "warm": first - DAY, "unit": 7.5, "decisions": made,
            "hpas": [[target, minutes, true]]}));
    }
    if let Some((judge, _)) = shared() {
        for (tried, theirs) in tried.iter().zip(referee(&judge, &cases)) {
            let ours = |which: &str| {
                let figure = |name: &str| tried["scores"][which][name].as_f64().unwrap();
                Score {
                    cost: figure("cost"),
                    violation: figure("violation"),
                    unserved: figure("unserved"),
                    churn_per_day: figure("churn_per_day"),
                }
            };
            same_score(ours("floor"), &theirs["alone"], "the command's floor");
            same_score(ours("under_hpa"), &theirs["under"][0]["score"], "the command's floor under its HPA");
        }
    }

    run(&from.to_string(), &["--hpa", "none"]).says(0, &["TRACE", "web", "price 100"]);
    let of = |model: &str| run(&from.to_string(), &["--hpa", "none", "--output", "json", "--model", model]);
    let champion = of("champion").json();
    let model = champion["traces"][0]["decisions"][0]["reasons"][0]["model"].as_str().unwrap().to_owned();
    assert_eq!(champion, of(&model).json(), "it is one of them");
    let whole = Ran::of(&mut prescale(&["backtest", "--traces", folder.path().to_str().unwrap(), "--hpa", "80%"]));
    whole.says(0, &["web", "80 %, 5 min"]);
    Ran::of(&mut prescale(&["backtest", "--traces", file])).says(2, &["`--capacity-per-replica` is missing"]);
    Ran::of(&mut prescale(&["backtest", "--traces", "/nowhere"])).says(1, &["/nowhere cannot be read"]);
    run("0", &[]).says(1, &["web: nothing to learn from"]);
    for wrong in [["--objective", "0"], ["--shortfall-price", "0.1"], ["--every", "90s"], ["--hpa", "high"], ["--from", "noon"]] {
        assert_eq!(run("0", &wrong).code, 2, "{wrong:?}");
    }
}
