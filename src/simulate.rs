//! A world to try decisions in: a trace of real demand on a one-minute grid, the HPA's own formula, and what a minute of each cost. Pure.
//!
//! | word | what it is |
//! |---|---|
//! | [`Trace`] | demand by the minute; a sample holds until the next one, a long gap is a gap |
//! | [`replay()`] | decisions, a lead time later, as ready replicas by the minute |
//! | [`Hpa`] | what the Kubernetes HPA makes of the same minutes, with or without a floor under it |
//! | [`Score`] | cost beside the perfect scaler's, and the share of minutes short of capacity |
//! | [`hull`] | what a family of scalers reaches at a mean cost |
//! | [`baseline`] | the scalers that need no forecast, and the ones that know the future |
//! | [`backtest()`] | our own decisions, each from what was known, and the scores of them |
//! | [`study`] | what a rolling replay says is best for one workload: model, price, settings of its HPA |
//!
//! A sample stamped `s` with step `p` describes `[s, s + p)`: a decision at `t` may use it only when `s + p <= t`.

pub mod backtest;
pub mod baseline;
mod histogram;
pub mod hull;
mod known;
mod percentile;
mod pilot;
pub mod replay;
mod rolling;
pub mod score;
pub mod study;
pub mod trace;

pub use crate::decide::Hpa;
pub use crate::forecast::{RECIPES, Recipe};
pub use crate::model::Aim;
pub use backtest::{Above, Backtest, Settings, Why, backtest};
pub use known::Known;
pub use percentile::percentile;
pub use replay::{Cadence, ReplayError, replay};
pub use score::Score;
pub use trace::Trace;

/// Seconds a minute: the grid.
pub const MINUTE: i64 = 60;
/// Minutes a day.
pub const DAY: usize = 1440;
