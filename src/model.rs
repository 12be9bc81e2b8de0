//! The vocabulary that every stage shares. No I/O, no clock, no outside system.
//!
//! | word | type |
//! |---|---|
//! | workload | [`WorkloadId`], as rendered; [`RenderedWorkload`] is what an overlay says of it |
//! | demand | [`Series`] of a [`Signal`]; [`Demand`] is the same by the minute |
//! | cut short | [`Censored`]: when demand was at least what was measured |
//! | policy | [`ScalingPolicy`]; [`Windows`] and [`Freeze`]s say when it lets changes be written, [`origin`] who says which field |
//! | cluster | [`cluster`]: what it says beside Git; [`Deploys`] is how [Argo CD](argocd) deploys an overlay, and [`NotNow`] what it has against a change |
//! | lead time | [`Lead`], measured by stage |
//! | forecast | [`Forecast`] of the maximum over a [`Window`] |
//! | study | [`Study`]: what a replay says is best for a workload |
//! | plan | [`Plan`]: [`Change`]s and [`Held`]s, each with typed reasons |
//! | site | [`Site`]: where a value lives in a file |
//! | veto | [`Veto`]: what people decided against |
//! | refusal | [`Refusal`]: what cannot be edited safely, with a stable code, a file and a line |

pub mod argocd;
pub mod calendar;
mod capacity;
pub mod censored;
pub mod cluster;
mod cores;
pub mod demand;
pub mod deploys;
pub mod edit;
pub mod field;
pub mod forecast;
pub mod lead;
mod learned;
pub mod nearest;
pub mod origin;
pub mod plan;
pub mod policy;
mod price;
mod proposal;
pub mod quantity;
pub mod reason;
pub mod record;
pub mod refusal;
pub mod rendered;
pub mod schedule;
mod seconds;
pub mod series;
mod shard;
pub mod share;
pub mod snapshot;
pub mod study;
pub mod tree;
pub mod value;
mod veto;
pub mod windows;
pub mod workload;

pub use calendar::Calendar;
pub use capacity::{CpuCost, Knee, LearnedCapacity, OfVersion};
pub use censored::{Cause, Censored};
pub use cores::{BATCH, on_all_cores};
pub use demand::Demand;
pub use deploys::{Deploys, NotNow, Settled};
pub use edit::{Edited, Group, Mend, Moved, NewFile, OverlayEdit, Proven, ProvenEdit, Reached, Sited};
pub use field::{Direction, Field, Mark, Metric, Part, Rhythm};
pub use forecast::{Analogue, Borrowed, Forecast, Foreseen, Window};
pub use lead::Lead;
pub use learned::Learned;
pub use plan::{Change, Held, Plan, Proof, Route, Site, SiteKind};
pub use policy::{ScalingPolicy, Signal};
pub use price::{Prices, Rates};
pub use proposal::{Proposal, Proposed};
pub use quantity::{Bytes, Millicores, Resource};
pub use reason::{HoldReason, Limit, Reason};
pub use record::{Record, Written};
pub use refusal::{Place, Refusal, RefusalCode};
pub use rendered::{Container, Hpa, HpaMetric, Rendered, RenderedWorkload, ScaledObject, Scaler};
pub use schedule::{CronWindow, Pinned, Schedule, TriggerName};
pub use series::Series;
pub use shard::Shard;
pub use share::Share;
pub use snapshot::{Observed, Snapshot};
pub use study::{Aim, HpaSetting, NoStudy, Study, Subject, Tuning};
pub use tree::{Entry, FileMode, RepoPath, Tree};
pub use value::{Percent, Quantity, Stabilization, Value, ValueType};
pub use veto::{Basis, Input, Patience, Veto, Vetoed, VetoedBy};
pub use windows::{Freeze, Weekly, Windows};
pub use workload::{ObjectRef, WorkloadId, WorkloadKind};
