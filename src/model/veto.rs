//! What people decided against. A veto is read from GitHub and from Git; it ends by itself.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Change, Field, ObjectRef, Reason, RepoPath, Rhythm, Value};

/// Something that is not to be written again for now.
#[derive(Clone, Debug, PartialEq)]
pub struct Veto {
    /// What.
    pub what: Vetoed,
    /// How it was said.
    pub by: VetoedBy,
    /// When it was said.
    pub at: DateTime<Utc>,
}

/// What a veto covers.
#[derive(Clone, Debug, PartialEq)]
pub enum Vetoed {
    /// One field.
    Field {
        /// The overlay that renders it.
        overlay: RepoPath,
        /// The object that holds it.
        object: ObjectRef,
        /// The field.
        field: Field,
        /// What the change was made from, see [`Change::input`]; absent where it is not known or no number.
        input: Option<f64>,
    },
    /// All that moves in this rhythm: what was declined cannot be read any more.
    All(Rhythm),
}

/// How a veto was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "veto", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum VetoedBy {
    /// Its pull request was closed, and not merged.
    Closed {
        /// The pull request's number.
        pull: u64,
    },
    /// What was written is no longer there: it was reverted, or edited by hand.
    Changed {
        /// The value that was written.
        written: Value,
    },
}

impl fmt::Display for VetoedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { pull } => write!(f, "pull request #{pull} was closed"),
            Self::Changed { written } => write!(f, "someone took back the {written} that was written"),
        }
    }
}

/// When a veto ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// The share by which what a change is made from must move.
    pub band: f64,
    /// The time after which it ends in any case.
    pub span: TimeDelta,
}

impl Patience {
    /// Whether what a change is made from is still about what it was. What is not known is.
    pub fn is_near(self, then: Option<f64>, now: Option<f64>) -> bool {
        then.zip(now).is_none_or(|(then, now)| (now - then).abs() <= self.band * then.abs())
    }
}

impl Veto {
    /// Whether it holds a change at `now`.
    pub fn holds(&self, change: &Change, now: DateTime<Utc>, patience: Patience) -> bool {
        if now >= self.at + patience.span {
            return false;
        }
        match &self.what {
            Vetoed::All(rhythm) => change.field.rhythm() == *rhythm,
            Vetoed::Field { overlay, object, field, input } => {
                let is_it = (overlay, object, field) == (&change.overlay, &change.object, &change.field);
                is_it && patience.is_near(*input, change.input())
            }
        }
    }
}

impl Change {
    /// What it was made from, as one number: the demand of a floor, of others the value itself. Absent for text and schedules.
    pub fn input(&self) -> Option<f64> {
        let told = self.reasons.iter().find_map(|reason| match reason {
            Reason::PeakDemand { demand, .. } => Some(Some(*demand)),
            Reason::Kept { input } => Some(*input),
            _ => None,
        });
        told.unwrap_or_else(|| self.to.number())
    }
}
