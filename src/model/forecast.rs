//! What a forecast says: the distribution of the *maximum* of demand over a window.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

/// The span that one decision must cover: from now + lead time to the next decision + lead time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// Its end, which it does not contain.
    pub to: DateTime<Utc>,
}

impl Window {
    /// The window of a decision at `now`: `lead` until its effect, `every` until the next one's.
    pub fn of_decision(now: DateTime<Utc>, lead: TimeDelta, every: TimeDelta) -> Self {
        Self { from: now + lead, to: now + lead + every }
    }

    /// How long it is.
    pub fn length(&self) -> TimeDelta {
        self.to - self.from
    }
}

/// The distribution of the maximum of demand over a window, and the expected path around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The model that made it.
    pub model: &'static str,
    /// The point forecast of the window maximum, in the signal's unit.
    pub point: f64,
    /// Equally likely values of the window maximum, ascending: the point forecast moved by each of its past errors. Never empty.
    sample: Vec<f64>,
    /// Hourly expected maxima from now on, for the eye.
    pub ahead: Vec<f64>,
}

impl Forecast {
    /// A forecast from equally likely outcomes, in any order. `None` unless the point and at least one outcome are finite.
    pub fn new(model: &'static str, point: f64, mut sample: Vec<f64>, ahead: Vec<f64>) -> Option<Self> {
        sample.retain(|v| v.is_finite());
        sample.sort_by(f64::total_cmp);
        (point.is_finite() && !sample.is_empty()).then_some(Self { model, point, sample, ahead })
    }

    /// The least value that the window maximum stays at or under with probability `p`: the `(n + 1) p`-th order statistic of the
    /// sample, which covers `p` of exchangeable outcomes (split conformal: Lei et al. 2018, doi:10.1080/01621459.2017.1307116).
    /// Beyond what the sample can tell (`p > n / (n + 1)`) it is the largest.
    pub fn quantile(&self, p: f64) -> f64 {
        let n = self.sample.len();
        let rank = ((n as f64 + 1.0) * p.clamp(0.0, 1.0)).ceil() as usize;
        self.sample[rank.clamp(1, n) - 1]
    }

    /// The probability that the window maximum exceeds `demand`.
    pub fn exceedance(&self, demand: f64) -> f64 {
        let at_most = self.sample.partition_point(|v| *v <= demand);
        (self.sample.len() - at_most) as f64 / self.sample.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_order_statistics() {
        let forecast = Forecast::new("test", 5.0, (1..=9).map(f64::from).rev().collect(), vec![]).unwrap();
        assert_eq!([0.0, 0.1, 0.5, 0.9, 1.0].map(|p| forecast.quantile(p)), [1.0, 1.0, 5.0, 9.0, 9.0]);
        assert_eq!(forecast.exceedance(9.0), 0.0);
        assert!((forecast.exceedance(3.0) - 6.0 / 9.0).abs() < 1e-12);
        assert!(Forecast::new("test", f64::NAN, vec![1.0], vec![]).is_none());
        assert!(Forecast::new("test", 1.0, vec![f64::NAN], vec![]).is_none());
    }
}
