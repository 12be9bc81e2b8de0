//! Rows as they are kept between runs.

use serde::{Deserialize, Serialize};

use super::{Features, Rows, Shape, column};
use crate::forecast::kept::Column;
use crate::model::{Calendar, Demand};

/// All of the rows that no calendar or demand tells again.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::forecast) struct Kept {
    offset: f64,
    outcomes: Column<f32>,
    past: usize,
    period: Option<usize>,
    origin: Column<f32>,
    /// Of the rows whose window has not passed, one row after the other.
    features: Column<f32>,
}

impl Rows {
    /// What is kept of them, once nothing more is fitted on them.
    pub(in crate::forecast) fn keep(&self) -> Kept {
        Kept {
            offset: self.offset,
            outcomes: Column(self.outcomes.clone()),
            past: self.past,
            period: self.period,
            origin: Column(self.origin.to_vec()),
            features: Column(self.features[self.past - self.forgotten..].as_flattened().to_vec()),
        }
    }

    /// The rows again, at these minutes, each with the minutes that were known. `None` where those are others.
    pub(in crate::forecast) fn recall(
        kept: Kept,
        shape: Shape,
        spacing: usize,
        calendar: &Calendar,
        demand: &Demand,
        instants: impl Iterator<Item = (usize, usize)>,
    ) -> Option<Self> {
        let (at, known): (Vec<usize>, Vec<usize>) = instants.unzip();
        let features: Vec<Features> = kept.features.0.chunks_exact(column::ALL).filter_map(|row| row.try_into().ok()).collect();
        let is_whole = at.len() == kept.outcomes.0.len() && kept.past.checked_add(features.len()) == Some(at.len());
        is_whole.then_some(Self {
            walls: at.iter().map(|at| calendar.wall(demand.at(*at))).collect(),
            at,
            known,
            features,
            forgotten: kept.past,
            origin: kept.origin.0.try_into().ok()?,
            outcomes: kept.outcomes.0,
            past: kept.past,
            days: None,
            period: kept.period,
            offset: kept.offset,
            ..Self::new(shape, spacing, demand, 0).by(calendar)
        })
    }
}
