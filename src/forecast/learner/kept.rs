//! What was learned, as it is kept between runs.

use serde::{Deserialize, Serialize};

use super::{Base, Learner};
use crate::forecast::calibration::Calibration;
use crate::forecast::forest::{self, Forest};
use crate::forecast::kept::Column;
use crate::forecast::linear::{self, FittedLinear};
use crate::forecast::naive::Reading;
use crate::forecast::recipe::Recipe;
use crate::forecast::rows::{self, Rows, Shape};
use crate::forecast::{Fitted, Forecaster};
use crate::model::{Calendar, Demand};

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Of all that it was learned from.
    fingerprint: u64,
    rows: rows::Kept,
    bases: Vec<KeptBase>,
    calibration: Calibration,
    most: f32,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptBase {
    fitted: Option<KeptFitted>,
    forecasts: Column<f32>,
    forest: Option<forest::Kept>,
}

/// A fitted forecaster as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptFitted(Kind);

#[derive(Debug, Serialize, Deserialize)]
enum Kind {
    /// Reads a feature.
    Reading {
        /// Which.
        column: usize,
    },
    /// A regression.
    Linear(linear::Kept),
}

impl KeptFitted {
    /// One that reads a feature.
    pub(in crate::forecast) fn reading(column: usize) -> Self {
        Self(Kind::Reading { column })
    }

    /// A regression.
    pub(in crate::forecast) fn linear(kept: linear::Kept) -> Self {
        Self(Kind::Linear(kept))
    }

    fn recall(self, forecaster: &dyn Forecaster) -> Option<Box<dyn Fitted>> {
        Some(match self.0 {
            Kind::Reading { column } => Box::new(Reading::of(forecaster.name(), column)?),
            Kind::Linear(kept) => Box::new(FittedLinear::recall(kept)?),
        })
    }
}

impl Learner {
    /// What was learned up to the last row, for [`Self::recall`], under a fingerprint of all that it was learned from. Right after
    /// [`Self::settle`]; `None` where one of the bases cannot be kept.
    pub(in crate::forecast) fn keep(&self, fingerprint: u64) -> Option<Vec<u8>> {
        let keep = |base: &Base| {
            let fitted = base.fitted.as_ref().map(|fitted| fitted.keep());
            // A base that was not fitted is kept as that; one that cannot be kept is not.
            let fitted = if let Some(kept) = fitted { Some(kept?) } else { None };
            Some(KeptBase { fitted, forecasts: Column(base.forecasts.clone()), forest: base.forest.as_ref().map(Forest::keep) })
        };
        let bases: Option<Vec<KeptBase>> = self.bases.iter().map(keep).collect();
        let kept = Kept { fingerprint, rows: self.rows.keep(), bases: bases?, calibration: self.calibration, most: self.most };
        let mut bytes = postcard::to_stdvec(&kept).ok()?;
        bytes.extend(checksum(&bytes).to_le_bytes());
        Some(bytes)
    }

    /// What was learned from that of which this is the fingerprint, settled, with rows at these minutes. `None` where `kept` is anything else.
    pub(in crate::forecast) fn recall(
        kept: &[u8],
        fingerprint: u64,
        recipe: &'static Recipe,
        (shape, spacing): (Shape, usize),
        calendar: &Calendar,
        demand: &Demand,
        instants: impl Iterator<Item = (usize, usize)>,
    ) -> Option<Self> {
        let (kept, sum) = kept.split_last_chunk()?;
        // The fingerprint stands in front, so that what is of something else need not be read.
        let (of, _) = postcard::take_from_bytes::<u64>(kept).ok()?;
        let kept: Kept = (of == fingerprint && checksum(kept) == u32::from_le_bytes(*sum)).then(|| postcard::from_bytes(kept).ok())??;
        let rows = Rows::recall(kept.rows, shape, spacing, calendar, demand, instants)?;
        let past = rows.past();
        let recall = |(kept, forecaster): (KeptBase, &&'static dyn Forecaster)| {
            let forecasts = Some(kept.forecasts.0).filter(|forecasts| forecasts.len() == rows.len())?;
            let errors = forecasts[..past].iter().enumerate();
            Some(Base {
                fitted: if let Some(fitted) = kept.fitted { Some(fitted.recall(*forecaster)?) } else { None },
                errors: errors.map(|(row, forecast)| rows.outcome(row).map_or(f32::NAN, |outcome| outcome - forecast)).collect(),
                forecasts,
                spread: f64::NAN,
                forest: if let Some(forest) = kept.forest { Some(Forest::recall(forest, past)?) } else { None },
            })
        };
        let is_whole = kept.bases.len() == recipe.bases.len();
        let bases: Option<Vec<Base>> = kept.bases.into_iter().zip(recipe.bases).map(recall).collect();
        let (calibration, most) = (kept.calibration, kept.most);
        let bases = bases.filter(|_| is_whole)?;
        Some(Self { recipe, rows, bases, entered: past, grown: None, calibration, scored: past, most, settled: true })
    }
}

/// What tells that bytes are no longer those that were written.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}
