//! 10,000 workloads with 28 days of five-minute samples each, forecast and decided by the model that is dearest, twice: with nothing at hand, and ten
//! minutes later with what that run learned. The promise is less than 60 s and less than 5 s on two cores, and less than 512 MiB beyond the data.
//!
//! `cargo bench --bench fleet -- [WORKLOADS]`
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta};
use prescale::clients::store::Store;
use prescale::model::Lead;
use prescale::model::origin::Origins;
use prescale::model::policy::API_VERSION;
use prescale::model::snapshot::{Driven, Effort};
use prescale::model::{
    Censored, Container, Hpa, HpaMetric, Learned, Millicores, NoStudy, ObjectRef, Observed, Plan, RenderedWorkload, RepoPath, Route,
    Scaler, Series, Signal, Snapshot, WorkloadId, WorkloadKind, on_all_cores,
};
use prescale::{decide, forecast, gate};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const SAMPLES: usize = 28 * 288;
const END: i64 = 1_790_000_100;

fn main() {
    let workloads = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let numbers: Vec<u64> = (0..workloads).collect();
    let mut snapshot = Snapshot {
        now: DateTime::from_timestamp(END, 0).expect("an instant"),
        workloads: on_all_cores(&numbers, |number| observed(*number)),
        amiss: vec![],
        ..Snapshot::default()
    };
    let folder = tempfile::tempdir().expect("a folder for the state");
    let store = Store::open(folder.path()).expect("a state");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!("{workloads} workloads on {cores} cores");
    run("nothing at hand", &snapshot, &store, &runtime);
    // Ten minutes later, by the same hours of the day.
    snapshot.now += TimeDelta::minutes(10);
    for (workload, number) in snapshot.workloads.iter_mut().zip(&numbers) {
        workload.signals[0].demand = Ok(history(*number).since(END - (SAMPLES as i64 - 2) * 300));
    }
    run("ten minutes later", &snapshot, &store, &runtime);
}

fn run(name: &str, snapshot: &Snapshot, store: &Store, runtime: &tokio::runtime::Runtime) {
    let (workloads, cores) = (snapshot.workloads.len(), std::thread::available_parallelism().map_or(1, usize::from));
    let data = memory("VmRSS");
    let (every, lead) = (TimeDelta::minutes(10), TimeDelta::minutes(6));
    let start = Instant::now();
    let learned = AtomicUsize::new(0);
    let recall = |name: &str| runtime.block_on(store.learned(name));
    let keep = |new: &Learned| {
        learned.fetch_add(new.bytes.len(), Ordering::Relaxed);
        runtime.block_on(store.keep_learned(new)).expect("space for what was learned");
    };
    let outlook = forecast::all(snapshot, forecast::Settings { every, lead }, recall, keep);
    let plan = decide::plan(snapshot, outlook, &decide::Settings { paused: false, every, lead });
    let took = start.elapsed().as_secs_f64();
    judged(snapshot, plan.clone());
    println!(
        "{name}: {took:.1} s ({:.2} ms of a core each), {} floors, {} changes; {:.0} MiB of data, {:.0} MiB beyond it at most; {:.0} MiB learned anew",
        took * 1e3 * cores as f64 / workloads as f64,
        plan.outlooks.len(),
        plan.changes.len(),
        data,
        memory("VmHWM") - data,
        learned.into_inner() as f64 / f64::from(1 << 20),
    );
}

/// How long the gate takes for each change, as if all were to be committed.
fn judged(snapshot: &Snapshot, mut plan: Plan) {
    plan.changes.iter_mut().for_each(|change| change.route = Route::Commit);
    let settings = gate::Settings::over(&serde_json::json!({})).expect("the shipped settings");
    let policies = gate::Gate::new(&gate::shipped(), settings, std::time::Duration::from_secs(1)).expect("the shipped policies");
    let (changes, start) = (plan.changes.len(), Instant::now());
    gate::route(&mut plan, Ok(&policies), snapshot, None).expect("an answer");
    println!("gate: {changes} changes in {:.2} s, {} held", start.elapsed().as_secs_f64(), plan.held.len());
}

/// A figure of this process's memory, in MiB; NaN where the system does not tell.
fn memory(figure: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.split_whitespace().nth(1)?.parse::<f64>().ok());
    line.map_or(f64::NAN, |kib| kib / 1024.0)
}

/// A workload on CPU; every other one under an HPA.
fn observed(number: u64) -> Observed {
    let demand = history(number);
    let unit = demand.values().iter().copied().fold(0.0, f64::max) / 20.0;
    let name = format!("web-{number}");
    let policy = format!("apiVersion: {API_VERSION}\nkind: ScalingPolicy\nmetadata: {{name: web}}\nspec: {{target: {{name: {name}}}}}\n");
    let object =
        ObjectRef { group: "autoscaling".into(), kind: "HorizontalPodAutoscaler".into(), namespace: "shop".into(), name: name.clone() };
    let cpu = HpaMetric { name: "cpu".into(), utilization: Some(80) };
    let scaler = match number % 2 {
        0 => Scaler::None,
        _ => Scaler::Hpa(Hpa { object, min: Some(2), max: Some(200), metrics: vec![cpu] }),
    };
    let path = |path: &str| RepoPath::parse(path).expect("a path");
    Observed {
        overlay: path("overlays/prod"),
        rendered: RenderedWorkload {
            id: WorkloadId { namespace: "shop".into(), kind: WorkloadKind::Deployment, name },
            replicas: Some(3),
            containers: vec![Container { name: "app".into(), cpu_request: Some(Millicores::from_cores(unit)), ..Container::default() }],
            scaler,
            annotations: BTreeMap::new(),
            fields: vec![],
        },
        policy: serde_yaml::from_str(&policy).expect("a policy"),
        origins: Origins::default(),
        signals: vec![Driven { signal: Signal::Cpu, capacity: None, demand: Ok(demand.known_at(END)), study: Err(NoStudy::NotYet) }],
        usage: BTreeMap::new(),
        censored: Censored::default(),
        restarts: None,
        troubles: vec![],
        startup: None,
        effort: Effort::default(),
        namespace: "shop".into(),
        error_budget: None,
        lead: Lead::default(),
        live: None,
        deploys: vec![],
    }
}

/// A daily rhythm with a week's, noise, and a burst now and then.
fn history(seed: u64) -> Series {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (level, swing, phase) = (random.random_range(10.0..1000.0), random.random_range(0.0..0.8), random.random_range(0.0..1.0));
    let mut burst = 0;
    let values: Vec<f64> = (0..SAMPLES + 2)
        .map(|i| {
            let day = (i as f64 / 288.0 + phase).fract();
            let weekend = if i / 288 % 7 >= 5 { 0.7 } else { 1.0 };
            if random.random_range(0..400) == 0 {
                burst = 6;
            }
            burst = usize::saturating_sub(burst, 1);
            let noise = 1.0 + 0.2 * (random.random_range(0.0..1.0) - 0.5);
            level * weekend * noise * (1.0 + swing * (std::f64::consts::TAU * day).sin()) * if burst > 0 { 1.6 } else { 1.0 }
        })
        .collect();
    Series::new(END - SAMPLES as i64 * 300, 300, values)
}
