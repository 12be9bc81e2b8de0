//! From what was measured of each cause to when demand was cut short.

use std::collections::BTreeMap;

use crate::model::{Cause, Censored, Series};

/// The share of CPU periods beyond which throttling counts.
const THROTTLED: f64 = 0.25;
/// The share of requests that fail beyond which a rise counts.
const FAILING: f64 = 0.01;
/// How many times its mean of the day before the share of failing requests must be.
const RISEN: f64 = 2.0;
/// Seconds a day.
const DAY: i64 = 86_400;

/// When demand was cut short, from the measures: whether the HPA was at its maximum, pods that found no node, the share of CPU periods throttled,
/// and the share of requests that failed.
pub(super) fn censored(measured: BTreeMap<Cause, Series>) -> Censored {
    let marked = measured.into_iter().map(|(cause, series)| {
        let marks = match cause {
            Cause::AtMaximum | Cause::Pending => series,
            Cause::Throttled => marks(&series, |_, share| share > THROTTLED),
            Cause::Errors => risen(&series),
        };
        (cause, marks)
    });
    Censored::new(marked.collect())
}

/// Where the HPA asked for its maximum; one whose bounds are equal is no autoscaler.
pub(super) fn at_maximum(desired: Option<&Series>, min: Option<&Series>, max: Option<&Series>) -> Option<Series> {
    let (desired, max) = (desired?, max?);
    let at = |series: &Series, instant: i64| usize::try_from((instant - series.start()) / series.step()).ok().and_then(|i| series.get(i));
    Some(marks(desired, |i, wanted| {
        let instant = desired.start() + desired.step() * i as i64;
        let least = min.and_then(|min| at(min, instant)).unwrap_or(1.0);
        at(max, instant).is_some_and(|most| wanted >= most && most > least)
    }))
}

/// Where the share of failing requests is well above its mean of the day before.
fn risen(shares: &Series) -> Series {
    let day = (DAY / shares.step()).max(1) as usize;
    let (mut sum, mut measured) = (0.0, 0_u32);
    let mut add = |i: Option<usize>, sign: f64| {
        if let Some(share) = i.and_then(|i| shares.get(i)) {
            sum += sign * share;
            measured = if sign > 0.0 { measured + 1 } else { measured - 1 };
        }
        sum / f64::from(measured.max(1))
    };
    marks(shares, |i, share| {
        add(i.checked_sub(1), 1.0);
        let mean = add(i.checked_sub(day + 1), -1.0);
        share > FAILING && share > RISEN * mean
    })
}

/// One where a point is marked, zero where it is not; a gap stays one.
fn marks(series: &Series, mut is_marked: impl FnMut(usize, f64) -> bool) -> Series {
    let marked = series.values().iter().enumerate().map(|(i, &value)| {
        let marked = is_marked(i, value);
        if value.is_nan() { value } else { f64::from(u8::from(marked)) }
    });
    Series::new(series.start(), series.step(), marked.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_counts_beyond_a_quarter_and_failures_where_they_rise() {
        let hourly = |values: &[f64]| Series::new(0, 3600, values.iter().copied());
        let marked = |cause, values: &[f64]| {
            let stretches: Vec<i64> = censored([(cause, hourly(values))].into()).stretches().map(|(_, from, _)| from / 3600).collect();
            stretches
        };
        assert_eq!(marked(Cause::Throttled, &[0.25, 0.3, f64::NAN, 0.0]), [1]);
        assert_eq!(marked(Cause::Pending, &[0.0, 1.0, f64::NAN, 3.0]), [1, 3]);
        let mut shares = vec![0.02; 48];
        (shares[30], shares[31], shares[40]) = (0.039, 0.2, f64::NAN);
        shares.extend([0.005; 30]);
        shares[70] = 0.0099;
        assert_eq!(marked(Cause::Errors, &shares), [0, 31], "nothing is known before the first hour");
    }

    #[test]
    fn an_hpa_is_at_its_maximum_only_where_it_has_a_choice() {
        let series = |start, values: &[f64]| Series::new(start, 300, values.iter().copied());
        let desired = series(300, &[3.0, 10.0, 10.0, 12.0]);
        let max = series(0, &[10.0, 10.0, 10.0, 20.0, 12.0]);
        let found = |min: Option<&Series>| at_maximum(Some(&desired), min, Some(&max)).unwrap().values().to_vec();
        assert_eq!(found(None), [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(found(Some(&series(0, &[2.0, 2.0, 10.0, 2.0, 2.0]))), [0.0, 0.0, 0.0, 1.0]);
        assert!(at_maximum(None, None, Some(&max)).is_none());
    }
}
