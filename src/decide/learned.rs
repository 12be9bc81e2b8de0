//! What one replica carries, learned where the policy does not say: from the CPU that a workload used against what was asked of it.
//!
//! CPU is about an idle share and so much for each unit of demand: `cpu = idle + cost · demand`, fitted by least squares (`linfa-linear`) and made
//! robust by leaving out, three times, what lies beyond three scaled median absolute deviations
//! ([Rousseeuw & Leroy 1987](https://doi.org/10.1002/0471725382), chapter 1: reweighted least squares). A replica then carries what its CPU
//! request times the utilization aimed at leaves for demand. A new version of the workload may cost more or less: the fit is of the days since the
//! cost last changed for good, as [`since_change`] tells from a fit of each day.

use linfa::Dataset;
use linfa::traits::Fit;
use linfa_linear::LinearRegression;
use ndarray::Array1;

use crate::model::lead::since_change;
use crate::model::snapshot::Driven;
use crate::model::{Observed, Resource, Series};

use super::replicas::{requested, target_share};

/// Points are means over so long, in seconds.
const GRID: i64 = 300;
/// A fit needs so many: a day, in which demand rises and falls.
const DAY: usize = 288;
/// Demand must vary by this factor between its tenth and ninetieth percentile, or its cost cannot be told from what is idle.
const SPREAD: f64 = 1.5;
/// The share of CPU's variance that demand must explain.
const EXPLAINED: f64 = 0.5;
/// What is learned moves in steps of this factor, so that it does not change with each sample.
const STEP: f64 = 1.05;
/// Normal noise has this many median absolute deviations to a standard deviation.
const SCALE: f64 = 1.4826;

/// What was learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Learned {
    /// What one replica carries.
    pub(super) capacity: f64,
    /// CPU that a unit of demand costs, in cores.
    pub(super) cost: f64,
    /// CPU that an idle replica takes, in cores.
    pub(super) idle: f64,
    /// What a replica may use of its request, in cores.
    pub(super) usable: f64,
    /// The share of CPU's variance that demand explains.
    pub(super) explained: f64,
    /// How long a time stands behind it, in hours.
    pub(super) hours: u32,
}

/// What one replica carries of a signal, or why that cannot be learned.
pub(super) fn learn(workload: &Observed, driven: &Driven) -> Result<Learned, String> {
    let (Some(cpu), Ok(demand)) = (&workload.cpu, &driven.demand) else { return Err("its CPU was not measured".to_owned()) };
    let usable = requested(workload, Resource::Cpu).filter(|cores| *cores > 0.0);
    let usable = usable.ok_or("not every container requests CPU")? * target_share(workload);
    let points = points(demand, cpu);
    if points.len() < DAY {
        return Err(format!("only {} h of it were measured together with CPU, and {} h are needed", points.len() / 12, DAY / 12));
    }
    let points = &points[since_new_cost(&points)..];
    let mut demands: Vec<f64> = points.iter().map(|point| point.0).collect();
    demands.sort_by(f64::total_cmp);
    let at = |share: f64| demands[((demands.len() - 1) as f64 * share) as usize];
    if points.len() < DAY || at(0.9) < SPREAD * at(0.1).max(1e-9) {
        return Err("its demand varied too little, since its cost last changed, to tell what it costs from what is idle".to_owned());
    }
    let (base, cost, explained) = fit(points).ok_or("its CPU does not follow its demand")?;
    if explained < EXPLAINED {
        return Err(format!("its demand explains but {:.0} % of its CPU's variance", explained.max(0.0) * 100.0));
    }
    let now = || f64::from(workload.live.as_ref().and_then(|live| live.ready).or(workload.rendered.replicas).unwrap_or(1));
    let idle = base.max(0.0) / workload.pods.unwrap_or_else(now).max(1.0);
    let exact = (usable - idle) / cost;
    if !(exact.is_finite() && exact > 0.0) {
        return Err("an idle replica already takes what it may use of its CPU request".to_owned());
    }
    let capacity = STEP.powf((exact.ln() / STEP.ln()).floor());
    Ok(Learned { capacity, cost, idle, usable, explained, hours: (points.len() / 12) as u32 })
}

/// Demand and CPU, as means over the same five minutes, where both were measured.
fn points(demand: &Series, cpu: &Series) -> Vec<(f64, f64)> {
    let from = demand.start().max(cpu.start()).div_euclid(GRID) + 1;
    let to = demand.end().min(cpu.end()).div_euclid(GRID);
    let over = |series: &Series, slot: i64| {
        let first = (slot * GRID - series.start()).div_euclid(series.step());
        let values = (0..(GRID / series.step()).max(1)).filter_map(|i| series.get(usize::try_from(first + i).ok()?));
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
        (count > 0.0).then(|| sum / count)
    };
    (from..to).filter_map(|slot| Some((over(demand, slot)?, over(cpu, slot)?))).collect()
}

/// Where the days begin that cost as much as the last one.
fn since_new_cost(points: &[(f64, f64)]) -> usize {
    let costs: Option<Vec<f64>> = points.chunks_exact(DAY).map(|day| fit(day).map(|(_, cost, _)| cost)).collect();
    let Some(costs) = costs.filter(|costs| !costs.is_empty()) else { return 0 };
    let mut sorted = costs.clone();
    sorted.sort_by(f64::total_cmp);
    let usual = sorted[sorted.len() / 2];
    since_change(&costs.iter().map(|cost| cost / usual).collect::<Vec<_>>()) * DAY
}

/// The base and the cost of a unit, and the share of variance that they explain.
fn fit(points: &[(f64, f64)]) -> Option<(f64, f64, f64)> {
    let mut kept = points.to_vec();
    let mut fitted = None;
    for _ in 0..=3 {
        let records = Array1::from_iter(kept.iter().map(|point| point.0)).insert_axis(ndarray::Axis(1));
        let targets = Array1::from_iter(kept.iter().map(|point| point.1));
        let model = LinearRegression::new().fit(&Dataset::new(records, targets)).ok()?;
        let (base, cost) = (model.intercept(), *model.params().first()?);
        let residual = |point: &(f64, f64)| point.1 - base - cost * point.0;
        let mut apart: Vec<f64> = kept.iter().map(|point| residual(point).abs()).collect();
        apart.sort_by(f64::total_cmp);
        let limit = 3.0 * SCALE * apart[apart.len() / 2];
        let middle = mean(&kept, |point| point.1);
        let left: f64 = kept.iter().map(|point| residual(point).powi(2)).sum();
        let all: f64 = kept.iter().map(|point| (point.1 - middle).powi(2)).sum();
        fitted = (cost > 0.0 && all > 0.0).then(|| (base, cost, 1.0 - left / all));
        let before = kept.len();
        kept.retain(|point| residual(point).abs() <= limit.max(1e-9));
        if kept.len() == before || kept.len() < DAY / 2 {
            break;
        }
    }
    fitted
}

fn mean(points: &[(f64, f64)], of: impl Fn(&(f64, f64)) -> f64) -> f64 {
    points.iter().map(of).sum::<f64>() / points.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five-minute points of three days: demand by day and night, and CPU of it, with an outlier each so often.
    fn days(cost: impl Fn(usize) -> f64, base: f64) -> Vec<(f64, f64)> {
        let point = |i: usize| {
            let demand = 100.0 + 60.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin();
            let noise = ((i * 7919) % 101) as f64 / 101.0 - 0.5;
            let burst = if i.is_multiple_of(50) { 3.0 } else { 0.0 };
            (demand, base + cost(i) * demand * (1.0 + 0.04 * noise) + burst)
        };
        (0..3 * 288).map(point).collect()
    }

    #[test]
    fn outliers_do_not_count() {
        let (base, cost, explained) = fit(&days(|_| 0.02, 0.4)).unwrap();
        assert!((base - 0.4).abs() < 0.05 && (cost - 0.02).abs() < 0.0005 && explained > 0.95, "{base} {cost} {explained}");
        assert_eq!(since_new_cost(&days(|_| 0.02, 0.4)), 0);
        let changed: Vec<(f64, f64)> = [days(|_| 0.02, 0.4), days(|_| 0.03, 0.4)].concat();
        assert_eq!(since_new_cost(&changed), 3 * DAY);
        assert!(fit(&days(|_| 0.0, 1.0)).is_none_or(|(_, _, explained)| explained < EXPLAINED), "noise explains nothing");
    }
}
