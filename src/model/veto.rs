//! What people decided against. A veto is read from GitHub and from Git; it ends by itself.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Change, Field, ObjectRef, Reason, RepoPath, Rhythm, Signal, Value};

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
        /// What was declined.
        basis: Box<Basis>,
    },
    /// All that moves in this rhythm: what was declined cannot be read any more.
    All(Rhythm),
}

/// What a change was made from: the demand of a floor, of others the value itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// How much.
    pub value: f64,
    /// Of which signal; absent for what is no demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Signal>,
}

/// What tells whether a change is still the one that was declined.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    /// What it was made from; absent where that is not known or no number.
    pub input: Option<Input>,
    /// The value to write.
    pub to: Value,
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
    /// Its branch, which had no pull request, was deleted, and not merged.
    Deleted,
    /// What was written is no longer there: it was reverted, or edited by hand.
    Changed {
        /// The value that was written.
        written: Value,
    },
    /// It was taken back, since Argo CD's Application became Degraded by it.
    Degraded,
}

impl fmt::Display for VetoedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { pull } => write!(f, "pull request #{pull} was closed"),
            Self::Deleted => write!(f, "the branch that proposed it was deleted unmerged"),
            Self::Degraded => write!(f, "its Application became Degraded by it, and it was taken back"),
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
    /// Whether a change is still about what it was: by what it is made from or, where that is of another signal, was nothing or is not known, by the
    /// value to write.
    pub fn is_near(self, then: &Basis, now: &Basis) -> bool {
        let within = |then: f64, now: f64| (now - then).abs() <= self.band * then.abs();
        match (&then.input, &now.input) {
            (Some(then), Some(now)) if then.signal == now.signal && then.value != 0.0 => within(then.value, now.value),
            _ => then.to.number().zip(now.to.number()).is_none_or(|(then, now)| within(then, now)),
        }
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
            Vetoed::Field { overlay, object, field, basis } => {
                let is_it = (overlay, object, field) == (&change.overlay, &change.object, &change.field);
                is_it && patience.is_near(basis, &change.basis())
            }
        }
    }
}

impl Change {
    /// What it was made from. Absent for text and schedules.
    pub fn input(&self) -> Option<Input> {
        let told = self.reasons.iter().find_map(|reason| match reason {
            Reason::PeakDemand { demand, signal, .. } => Some(Some(Input { value: *demand, signal: Some(signal.clone()) })),
            Reason::Kept { input } => Some(input.clone()),
            Reason::TakenBack { .. } => Some(None),
            _ => None,
        });
        told.unwrap_or_else(|| self.to.number().map(|value| Input { value, signal: None }))
    }

    /// Whether it takes back what an Application did not bear: a number that was made from nothing, be it of this run or kept from one before.
    pub fn is_inverse(&self) -> bool {
        self.input().is_none() && self.to.number().is_some()
    }

    /// What tells whether it is still the one that was declined.
    pub fn basis(&self) -> Basis {
        Basis { input: self.input(), to: self.to.clone() }
    }
}
