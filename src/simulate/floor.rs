//! The floor that a backtest tries: what was known of demand in, replicas at each price out.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::{self, Need};
use crate::forecast::Champion;
use crate::model::{HoldReason, Series, Window};

/// After this a champion is chosen and fitted anew.
const FIT_EVERY: TimeDelta = TimeDelta::hours(2);

/// What is kept from one decision to the next.
#[derive(Default)]
pub struct Memory {
    /// The champions, by how far ahead of the last known sample the window starts and ends, in seconds: each such shape is learned apart.
    champions: BTreeMap<(i64, i64), (DateTime<Utc>, Champion)>,
}

/// What a floor is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// When it is decided.
    pub now: DateTime<Utc>,
    /// What it must cover.
    pub window: Window,
    /// Prices of shortfall, in replica-minutes for a minute short.
    pub prices: &'a [f64],
    /// Demand that one replica carries.
    pub capacity: f64,
}

/// The model and, for each price in order, what the window needs; or why nothing can be said. `known` holds nothing from `ask.now` on.
pub fn floors(memory: &mut Memory, known: &Series, ask: &Ask) -> Result<(&'static str, Vec<Need>), HoldReason> {
    let end = known.end();
    let shape = (ask.window.from.timestamp() - end, ask.window.to.timestamp() - end);
    let current = memory.champions.get(&shape).filter(|(fitted, _)| ask.now - *fitted < FIT_EVERY);
    if current.is_none() {
        memory.champions.insert(shape, (ask.now, Champion::choose(known, ask.now, ask.window)?));
    }
    let forecast = memory.champions[&shape].1.forecast(known, ask.now, ask.window)?;
    Ok((forecast.model, ask.prices.iter().map(|price| decide::need(&forecast, *price, ask.capacity)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_price_never_needs_less() {
        let demand = (0..10 * 1440).map(|i| 50.0 + 40.0 * (f64::from(i) / 1440.0 * std::f64::consts::TAU).sin() + f64::from(i * 7 % 13));
        let known = Series::new(0, 60, demand);
        let now = DateTime::from_timestamp(known.end(), 0).unwrap();
        let window = Window::of_decision(now, TimeDelta::minutes(6), TimeDelta::minutes(10));
        let ask = Ask { now, window, prices: &[1.0, 2.0, 10.0, 100.0], capacity: 2.0 };
        let mut memory = Memory::default();
        let (_, needs) = floors(&mut memory, &known, &ask).unwrap();
        assert!(needs.is_sorted_by(|a, b| a.demand <= b.demand && a.replicas <= b.replicas), "{needs:?}");
        assert!(needs[3].replicas > needs[0].replicas);
        assert_eq!(floors(&mut memory, &known, &ask).unwrap().1, needs, "the fitted champion says the same again");
        let short = Series::new(0, 60, [1.0; 60]);
        assert!(matches!(floors(&mut memory, &short, &ask), Err(HoldReason::ShortHistory { .. })));
    }
}
