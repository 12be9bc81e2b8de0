//! What a unit of demand costs in CPU: `cpu = base + each · demand`, fitted by least squares (`linfa-linear`) and made robust by leaving out, three
//! times, what lies beyond three scaled median absolute deviations ([Rousseeuw & Leroy 1987](https://doi.org/10.1002/0471725382), chapter 1:
//! reweighted least squares). The fit is of the days since the cost last changed for good, as [`since_change`] tells from a fit of each day.

use linfa::Dataset;
use linfa::traits::Fit;
use linfa_linear::LinearRegression;
use ndarray::Array1;

use crate::model::lead::since_change;

use super::{DAY, HOUR, median, varies};

/// The share of CPU's variance that demand must explain.
const EXPLAINED: f64 = 0.5;
/// Normal noise has this many median absolute deviations to a standard deviation.
const SCALE: f64 = 1.4826;
/// A new version that costs no more than this factor more or less costs the same.
const SAME: f64 = 1.1;

/// Five minutes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// When they begin, in epoch seconds.
    pub(super) at: i64,
    pub(super) demand: f64,
    /// In cores.
    pub(super) cpu: f64,
}

/// A line through the points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fitted {
    /// CPU without demand, of all pods, in cores.
    pub(super) base: f64,
    /// CPU of a unit of demand, in cores.
    pub(super) each: f64,
    /// The share of CPU's variance that demand explains.
    pub(super) explained: f64,
    /// How many points stand behind it.
    pub(super) points: usize,
    pub(super) of: Of,
}

/// Which versions a fit is of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Of {
    /// All that there were, one or more.
    All,
    /// That which runs now.
    Version,
    /// Those before it, and in so many points its CPU was that many times theirs.
    Before { factor: f64, points: usize },
}

/// The cost now, where since `since` (epoch seconds) only the present version runs.
pub(super) fn fitted(points: &[Point], since: Option<i64>) -> Result<Fitted, String> {
    let (before, own) = points.split_at(since.map_or(0, |since| points.partition_point(|point| point.at < since)));
    if before.is_empty() {
        return steady(own);
    }
    if let Ok(fitted) = steady(own) {
        return Ok(Fitted { of: Of::Version, ..fitted });
    }
    let Ok(earlier) = steady(before) else { return steady(points) };
    let beside = |point: &Point| point.cpu / (earlier.base + earlier.each * point.demand).max(1e-9);
    let factor = if own.len() < HOUR { 1.0 } else { median(own.iter().map(beside).collect()) };
    let factor = if (1.0 / SAME..=SAME).contains(&factor) || factor <= 0.0 { 1.0 } else { factor };
    let of = Of::Before { factor, points: own.len() };
    Ok(Fitted { base: earlier.base * factor, each: earlier.each * factor, of, ..earlier })
}

/// The fit of the days since the cost last changed.
fn steady(points: &[Point]) -> Result<Fitted, String> {
    if points.len() < DAY {
        let (there, needed) = (points.len() / HOUR, DAY / HOUR);
        return Err(format!("only {there} h of it were measured together with CPU, and {needed} h are needed"));
    }
    let points = &points[since_new_cost(points)..];
    if !varies(points.iter().map(|point| point.demand)) {
        return Err("its demand varied too little, since its cost last changed, to tell what it costs from what is idle".to_owned());
    }
    let (base, each, explained) = line(points).ok_or("its CPU does not follow its demand")?;
    if explained < EXPLAINED {
        return Err(format!("its demand explains but {:.0} % of its CPU's variance", explained.max(0.0) * 100.0));
    }
    Ok(Fitted { base, each, explained, points: points.len(), of: Of::All })
}

/// Where the days begin that cost as much as the last one.
fn since_new_cost(points: &[Point]) -> usize {
    let costs: Option<Vec<f64>> = points.chunks_exact(DAY).map(|day| line(day).map(|(_, each, _)| each)).collect();
    let Some(costs) = costs.filter(|costs| !costs.is_empty()) else { return 0 };
    let usual = median(costs.clone());
    since_change(&costs.iter().map(|cost| cost / usual).collect::<Vec<_>>()) * DAY
}

/// The base and the cost of a unit, and the share of variance that they explain.
fn line(points: &[Point]) -> Option<(f64, f64, f64)> {
    let mut kept = points.to_vec();
    let mut fitted = None;
    for _ in 0..=3 {
        let records = Array1::from_iter(kept.iter().map(|point| point.demand)).insert_axis(ndarray::Axis(1));
        let targets = Array1::from_iter(kept.iter().map(|point| point.cpu));
        let model = LinearRegression::new().fit(&Dataset::new(records, targets)).ok()?;
        let (base, each) = (model.intercept(), *model.params().first()?);
        let residual = |point: &Point| point.cpu - base - each * point.demand;
        let limit = 3.0 * SCALE * median(kept.iter().map(|point| residual(point).abs()).collect());
        let middle = kept.iter().map(|point| point.cpu).sum::<f64>() / kept.len() as f64;
        let left: f64 = kept.iter().map(|point| residual(point).powi(2)).sum();
        let all: f64 = kept.iter().map(|point| (point.cpu - middle).powi(2)).sum();
        fitted = (each > 0.0 && all > 0.0).then(|| (base, each, 1.0 - left / all));
        let before = kept.len();
        kept.retain(|point| residual(point).abs() <= limit.max(1e-9));
        if kept.len() == before || kept.len() < DAY / 2 {
            break;
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five-minute points of so many days from a day on: demand by day and night, and CPU of it, with an outlier each so often.
    fn days(from: usize, count: usize, each: f64, base: f64) -> Vec<Point> {
        let point = |i: usize| {
            let demand = 100.0 + 60.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin();
            let noise = ((i * 7919) % 101) as f64 / 101.0 - 0.5;
            let burst = if i.is_multiple_of(50) { 3.0 } else { 0.0 };
            Point { at: i as i64 * 300, demand, cpu: base + each * demand * (1.0 + 0.04 * noise) + burst }
        };
        (from * DAY..(from + count) * DAY).map(point).collect()
    }

    #[test]
    fn outliers_do_not_count() {
        let (base, cost, explained) = line(&days(0, 3, 0.02, 0.4)).unwrap();
        assert!((base - 0.4).abs() < 0.05 && (cost - 0.02).abs() < 0.0005 && explained > 0.95, "{base} {cost} {explained}");
        assert_eq!(since_new_cost(&days(0, 3, 0.02, 0.4)), 0);
        let changed: Vec<Point> = [days(0, 3, 0.02, 0.4), days(3, 3, 0.03, 0.4)].concat();
        assert_eq!(since_new_cost(&changed), 3 * DAY);
        assert!(line(&days(0, 3, 0.0, 1.0)).is_none_or(|(_, _, explained)| explained < EXPLAINED), "noise explains nothing");
    }

    #[test]
    fn a_version_is_told_from_the_one_before() {
        let since = 3 * 86_400;
        let all = |each| [days(0, 3, 0.02, 0.4), days(3, 2, each, 0.4 * each / 0.02)].concat();
        let near = |value: f64, told: f64| (value / told - 1.0).abs() < 0.05;
        // Two days of its own tell; three hours tell how much more it is than what was before; five minutes tell nothing.
        let own = fitted(&all(0.04), Some(since)).unwrap();
        assert!(own.of == Of::Version && near(own.each, 0.04) && own.points == 2 * DAY, "{own:?}");
        let young = fitted(&all(0.04)[..3 * DAY + 36], Some(since)).unwrap();
        let Of::Before { factor, points: 36 } = young.of else { panic!("{young:?}") };
        assert!(near(factor, 2.0) && near(young.each, 0.04) && near(young.base, 0.8), "{young:?}");
        let newborn = fitted(&all(0.04)[..=3 * DAY], Some(since)).unwrap();
        assert!(newborn.of == Of::Before { factor: 1.0, points: 1 } && near(newborn.each, 0.02), "{newborn:?}");
        let same = fitted(&all(0.021)[..3 * DAY + 36], Some(since)).unwrap();
        assert!(matches!(same.of, Of::Before { factor: 1.0, .. }), "{same:?}");
        // Neither is enough by itself.
        let both = fitted(&all(0.02)[2 * DAY + 36..4 * DAY - 36], Some(since)).unwrap();
        assert!(both.of == Of::All && both.points == 2 * DAY - 72, "{both:?}");
    }
}
