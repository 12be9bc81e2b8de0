//! The embedded default: a config repository with four weeks of history in a folder, and the real pipeline run on it.

mod folder;
mod generator;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::deliver::Published;
use crate::model::{Rhythm, Signal, Value, WorkloadId};
use crate::run::{self, Planned, World};

pub use folder::{Folder, HISTORY, START, make};
pub use generator::{Minute, SHOP, Shape, minutes};

/// One run on the demo's folder.
pub struct Once {
    /// What was planned.
    pub planned: Planned,
    /// What was delivered.
    pub published: Vec<Published>,
    /// Each commit's message and diff.
    pub commits: Vec<(String, String)>,
}

/// Runs once, at the end of the history.
pub async fn once(folder: &Folder) -> anyhow::Result<Once> {
    let world = World::open(folder.config()?).await?;
    let run::Ran { planned, published, failure } = run::run(&world, folder.now()).await?;
    failure.map_or(Ok(()), Err)?;
    let mut commits = Vec::new();
    for (commit, base) in published.iter().filter_map(|done| Some((done.commit?, done.base))) {
        let message = world.repository().commit_of(commit)?.message;
        commits.push((format!("commit {commit}\n\n{message}"), world.repository().diff(base, commit)?));
    }
    Ok(Once { planned, published, commits })
}

/// A day of hourly runs, with what then happened.
pub struct Day {
    /// How many runs.
    pub hours: u32,
    /// When the last one was.
    pub last: DateTime<Utc>,
    /// How many commits they made.
    pub commits: usize,
    /// The workloads whose requests drive them, in production.
    pub workloads: Vec<WorkloadDay>,
}

/// One workload's day.
pub struct WorkloadDay {
    /// Which one.
    pub id: WorkloadId,
    /// What drives it.
    pub signal: Signal,
    /// Hour by hour.
    pub hours: Vec<Hour>,
    /// Mean absolute error of the expected peaks, and the share of the peaks' variance that they explain (R²).
    pub errors: Option<(f64, f64)>,
}

/// One decision and what then happened in its window.
pub struct Hour {
    /// The first instant of the window.
    pub at: DateTime<Utc>,
    /// The greatest demand in it; absent where nothing was measured.
    pub demand: Option<f64>,
    /// The point forecast of it.
    pub expected: Option<f64>,
    /// The quantile that was prepared for.
    pub prepared: Option<f64>,
    /// The floor in Git after the decision.
    pub replicas: Option<u32>,
    /// Whether the floor alone was short of the demand.
    pub short: bool,
}

/// Moves a clock through `hours` from the end of the history on, one run an hour; `tick` is called after each.
pub async fn day(folder: &Folder, hours: u32, tick: impl Fn()) -> anyhow::Result<Day> {
    let world = World::open(folder.config()?).await?;
    let mut commits = 0;
    let mut days: BTreeMap<WorkloadId, WorkloadDay> = BTreeMap::new();
    for hour in 0..hours {
        let now = folder.now() + TimeDelta::hours(i64::from(hour));
        let run::Ran { planned, published, failure } = run::run(&world, now).await?;
        failure.map_or(Ok(()), Err)?;
        commits += published.iter().filter(|done| done.commit.is_some()).count();
        let window = planned.plan.window;
        for outlook in planned.plan.outlooks.iter().filter(|o| o.signal == Signal::Requests && o.workload.namespace == folder::PROD) {
            let written = published.iter().filter(|done| done.commit.is_some()).flat_map(|done| done.group.proven.changes());
            let floor = written
                .filter(|(sited, _)| sited.change.workload == outlook.workload && sited.change.field.rhythm() == Rhythm::Floor)
                .find_map(|(sited, _)| match sited.change.to {
                    Value::Count(count) => Some(count),
                    _ => None,
                })
                .unwrap_or(outlook.now);
            let demand = folder.peak_requests(&outlook.workload, window);
            let day = days.entry(outlook.workload.clone()).or_insert_with(|| WorkloadDay {
                id: outlook.workload.clone(),
                signal: outlook.signal.clone(),
                hours: Vec::new(),
                errors: None,
            });
            day.hours.push(Hour {
                at: window.from,
                demand,
                expected: Some(outlook.expected),
                prepared: Some(outlook.peak),
                replicas: Some(floor),
                short: demand.is_some_and(|demand| demand > f64::from(floor) * outlook.capacity),
            });
        }
        tick();
    }
    let workloads = days.into_values().map(|day| WorkloadDay { errors: errors(&day.hours), ..day }).collect();
    let last = folder.now() + TimeDelta::hours(i64::from(hours.saturating_sub(1)));
    Ok(Day { hours, last, commits, workloads })
}

/// Mean absolute error and R² of the expected peaks; `None` where the peaks do not vary.
fn errors(hours: &[Hour]) -> Option<(f64, f64)> {
    let pairs: Vec<(f64, f64)> = hours.iter().filter_map(|hour| Some((hour.demand?, hour.expected?))).collect();
    let n = pairs.len() as f64;
    let mean = pairs.iter().map(|(demand, _)| demand).sum::<f64>() / n;
    let spread: f64 = pairs.iter().map(|(demand, _)| (demand - mean).powi(2)).sum();
    let missed: f64 = pairs.iter().map(|(demand, expected)| (demand - expected).powi(2)).sum();
    let mae = pairs.iter().map(|(demand, expected)| (demand - expected).abs()).sum::<f64>() / n;
    (spread > 0.0).then(|| (mae, 1.0 - missed / spread))
}
