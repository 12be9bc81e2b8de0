//! What the window needs at a price of shortfall.

use crate::model::Forecast;

/// The demand to be ready for, and the replicas that carry it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    /// The quantile of the window maximum that pays.
    pub quantile: f64,
    /// The window maximum at that quantile, in the signal's unit.
    pub demand: f64,
    /// The least count that carries it; at least one.
    pub replicas: u32,
}

/// The need at a `price` of shortfall (replica-minutes for a minute short), where one replica carries `capacity`.
pub fn need(forecast: &Forecast, price: f64, capacity: f64) -> Need {
    let quantile = paying_quantile(price);
    let demand = forecast.quantile(quantile);
    Need { quantile, demand, replicas: replicas_for(demand, capacity) }
}

/// The quantile of the window maximum at which one replica more costs what it saves. A replica costs its minutes in the window; being short
/// costs the price for each minute of it. So it pays while `price × P(maximum > capacity) > 1`: the newsvendor's critical ratio `1 − 1/price`.
fn paying_quantile(price: f64) -> f64 {
    1.0 - 1.0 / price.max(1.0)
}

/// The least count whose capacity holds `demand`; at least one.
fn replicas_for(demand: f64, capacity: f64) -> u32 {
    (demand / capacity - 1e-9).ceil().clamp(1.0, f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_a_quantile_and_a_quantile_a_count() {
        let forecast = Forecast::new("test", 50.0, (1..=99).map(f64::from).collect(), vec![]).unwrap();
        for (price, quantile, demand, replicas) in
            [(0.5, 0.0, 1.0, 1), (1.0, 0.0, 1.0, 1), (2.0, 0.5, 50.0, 5), (4.0, 0.75, 75.0, 8), (10.0, 0.9, 90.0, 9)]
        {
            assert_eq!(need(&forecast, price, 10.0), Need { quantile, demand, replicas }, "{price}");
        }
    }
}
