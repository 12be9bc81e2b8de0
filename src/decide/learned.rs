//! What one replica carries, learned where the policy does not say: from the CPU that its demand cost, and from where its latency turns up.
//!
//! CPU is about an idle share and so much for each unit of demand ([`cost`]). A replica then carries what its CPU request times the utilization
//! aimed at leaves for demand, and never more than the knee of its latency ([`knee`]), where a histogram tells one. Where CPU tells nothing, as for
//! what waits more than it computes, the knee alone does.
//!
//! Both are of the images that run now. While these are too young, they are of those before, times what the new ones cost beside them.

mod cost;
mod knee;

use crate::model::snapshot::{Driven, Effort};
use crate::model::{CpuCost, Knee, LearnedCapacity, Observed, OfVersion, Resource, Series};

use super::replicas::{requested, target_share};
use cost::Of;

/// Points are means over so long, in seconds.
const GRID: i64 = 300;
/// Points of an hour, and of a day, in which demand rises and falls: what is learned needs so many.
const HOUR: usize = 12;
const DAY: usize = 24 * HOUR;
/// Demand must vary by this factor between its tenth and ninetieth percentile, or its cost cannot be told from what is idle.
const SPREAD: f64 = 1.5;
/// What is learned moves in steps of this factor, so that it does not change with each sample.
const STEP: f64 = 1.05;

/// What one replica carries of a signal, or why that cannot be learned.
pub(super) fn learn(workload: &Observed, driven: &Driven) -> Result<LearnedCapacity, String> {
    let cpu = of_cpu(workload, driven);
    let version = cpu.as_ref().ok().and_then(|cpu| cpu.version.as_ref()).and_then(|version| version.factor);
    let knee = of_latency(&workload.effort, driven, version.unwrap_or(1.0));
    let by_cpu = cpu.as_ref().map(|cpu| (cpu.usable - cpu.idle) / cpu.each);
    let exact = match (by_cpu, &knee) {
        (Ok(by_cpu), Some(knee)) => by_cpu.min(knee.load),
        (Ok(by_cpu), None) => by_cpu,
        (Err(_), Some(knee)) => knee.load,
        (Err(why), None) => return Err(why.clone()),
    };
    Ok(LearnedCapacity { capacity: STEP.powf((exact.ln() / STEP.ln()).floor()), cpu: cpu.ok(), knee })
}

fn of_cpu(workload: &Observed, driven: &Driven) -> Result<CpuCost, String> {
    let effort = &workload.effort;
    let (Some(cpu), Ok(demand)) = (&effort.cpu, &driven.demand) else { return Err("its CPU was not measured".to_owned()) };
    let usable = requested(workload, Resource::Cpu).filter(|cores| *cores > 0.0);
    let usable = usable.ok_or("not every container requests CPU")? * target_share(workload);
    let points: Vec<cost::Point> = joined([demand, cpu]).into_iter().map(|(at, [demand, cpu])| cost::Point { at, demand, cpu }).collect();
    let fitted = cost::fitted(&points, effort.version.as_ref().and_then(|version| version.since))?;
    let now = || f64::from(workload.live.as_ref().and_then(|live| live.ready).or(workload.rendered.replicas).unwrap_or(1));
    let pods = effort.ready.as_ref().and_then(mean).unwrap_or_else(now).max(1.0);
    let images = || effort.version.iter().flat_map(|version| version.images.iter().cloned()).collect();
    let version = match fitted.of {
        Of::All => None,
        Of::Version => Some(OfVersion { images: images(), hours: hours(fitted.points), factor: None }),
        Of::Before { factor, points } => Some(OfVersion { images: images(), hours: hours(points), factor: Some(factor) }),
    };
    let idle = fitted.base.max(0.0) / pods;
    if idle >= usable {
        return Err("an idle replica already takes what it may use of its CPU request".to_owned());
    }
    Ok(CpuCost { each: fitted.each, idle, usable, explained: fitted.explained, hours: hours(fitted.points), version })
}

/// The knee at which a unit of demand costs `factor` times what it did before this version.
fn of_latency(effort: &Effort, driven: &Driven, factor: f64) -> Option<Knee> {
    let (Some(ready), Some(latency), Ok(demand)) = (&effort.ready, &effort.latency, &driven.demand) else { return None };
    let served = joined([demand, ready, latency])
        .into_iter()
        .filter(|(_, [demand, ready, latency])| *demand > 0.0 && *ready > 0.0 && *latency > 0.0);
    let loads: Vec<(i64, knee::Load)> =
        served.map(|(at, [total, ready, latency])| (at, knee::Load { each: total / ready, total, latency })).collect();
    let since = effort.version.as_ref().and_then(|version| version.since).unwrap_or(i64::MIN);
    let own = loads.partition_point(|(at, _)| *at < since);
    let is_own = loads.len() - own >= DAY;
    let loads: Vec<knee::Load> = loads[if is_own { own } else { 0 }..].iter().map(|(_, load)| *load).collect();
    let knee = knee::knee(&loads)?;
    Some(if is_own { knee } else { Knee { load: knee.load / factor, ..knee } })
}

/// Means over the same five minutes, where all were measured, with the time when each begins.
fn joined<const N: usize>(series: [&Series; N]) -> Vec<(i64, [f64; N])> {
    let from = series.iter().map(|series| series.start()).max().unwrap_or(0).div_euclid(GRID) + 1;
    let to = series.iter().map(|series| series.end()).min().unwrap_or(0).div_euclid(GRID);
    let over = |series: &Series, slot: i64| {
        let first = (slot * GRID - series.start()).div_euclid(series.step());
        let values = (0..(GRID / series.step()).max(1)).filter_map(|i| series.get(usize::try_from(first + i).ok()?));
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        (count > 0.0).then(|| sum / count)
    };
    let all = |slot: i64| {
        let mut values = [0.0; N];
        for (value, series) in values.iter_mut().zip(series) {
            *value = over(series, slot)?;
        }
        Some((slot * GRID, values))
    };
    (from..to).filter_map(all).collect()
}

fn mean(series: &Series) -> Option<f64> {
    let measured = series.values().iter().filter(|value| value.is_finite());
    let (sum, count) = measured.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

fn hours(points: usize) -> u32 {
    (points / HOUR) as u32
}

/// Whether the values vary enough for anything to be learned of them.
fn varies(values: impl Iterator<Item = f64>) -> bool {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    values.len() >= DAY && at(0.9) >= SPREAD * at(0.1).max(1e-9)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
