//! From what stands to the one next step. Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::body::Boxes;
use crate::clients::github::{GithubError, Trouble};

/// What stands between us and a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Stay {
    /// Someone committed to our branch: it is theirs until it is merged or gone.
    Foreign,
    /// Its box `hold` is ticked.
    Held,
    /// It waits in a merge queue.
    Queued,
    /// Its text is not Prescale's: someone opened it, or wrote it anew.
    Theirs,
    /// Its branch proposes changes to overlays that this configuration does not have: another Prescale works there.
    Elsewhere,
    /// What is left of it cannot be proven just now.
    Unproven,
    /// Someone closed or merged it while this run was at work.
    Overtaken,
    /// GitHub's rate limits are used up.
    Limited {
        /// When they let go on.
        until: DateTime<Utc>,
    },
}

impl Stay {
    /// What an error means that says so.
    pub fn of(error: &anyhow::Error) -> Option<Self> {
        match error.downcast_ref::<GithubError>()?.trouble {
            Trouble::Limited { until } => Some(Self::Limited { until }),
            _ => None,
        }
    }
}

/// What is known of a group's branch and pull request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Our branch's tip.
    pub(super) tip: Option<Tip>,
    /// Whether a pull request is open.
    pub(super) open: Option<Open>,
    /// Whether anything is to be changed.
    pub(super) wanted: bool,
    /// Whether something that our branch proposes was planned again, and does not render just now.
    pub(super) unproven: bool,
}

/// The tip of our branch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tip {
    /// Whether it is one commit of ours on the tracked branch.
    pub(super) ours: bool,
    /// Whether it is all about overlays that we may write.
    pub(super) within: bool,
    /// Whether merging it gives just what is wanted.
    pub(super) current: bool,
}

/// The open pull request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    /// Whether its text is ours.
    pub(super) ours: bool,
    pub(super) boxes: Boxes,
    /// Whether its text is about the branch's tip and what it is made from now, and its labels are there.
    pub(super) told: bool,
}

/// The one next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Rest,
    Stay(Stay),
    /// Move the branch to the new commit, then open or edit.
    Push,
    /// The branch is as it should be: open a pull request.
    Open,
    /// Only the text is not.
    Tell,
    /// Close what is open, and remove the branch.
    Withdraw,
}

impl Step {
    /// Whether it changes the branch or, where there is a forge, what people read.
    pub(super) fn changes(self, forge: bool) -> bool {
        match self {
            Self::Push | Self::Withdraw => true,
            Self::Open | Self::Tell => forge,
            Self::Rest | Self::Stay(_) => false,
        }
    }
}

/// The step that fits.
pub(super) fn next(seen: Seen) -> Step {
    match (seen.tip, seen.open, seen.wanted) {
        (Some(Tip { ours: false, .. }), ..) => Step::Stay(Stay::Foreign),
        (Some(Tip { within: false, .. }), ..) => Step::Stay(Stay::Elsewhere),
        (_, Some(Open { ours: false, .. }), _) => Step::Stay(Stay::Theirs),
        (_, Some(Open { boxes: Boxes { hold: true, .. }, .. }), _) => Step::Stay(Stay::Held),
        (None, None, false) => Step::Rest,
        (_, _, false) if seen.unproven => Step::Stay(Stay::Unproven),
        (_, _, false) => Step::Withdraw,
        (Some(Tip { current: true, .. }), None, true) => Step::Open,
        (Some(Tip { current: true, .. }), Some(Open { boxes, told, .. }), true) if !boxes.rebase => {
            if told && !boxes.explain {
                Step::Rest
            } else {
                Step::Tell
            }
        }
        (_, _, true) => Step::Push,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(tip: Option<(bool, bool)>, open: Option<(Boxes, bool)>, wanted: bool) -> Step {
        let tip = tip.map(|(ours, current)| Tip { ours, within: true, current });
        next(Seen { tip, open: open.map(|(boxes, told)| Open { ours: true, boxes, told }), wanted, unproven: false })
    }

    #[test]
    fn each_state_has_one_next_step() {
        let none = Boxes::default();
        let (rebase, hold, explain) = (Boxes { rebase: true, ..none }, Boxes { hold: true, ..none }, Boxes { explain: true, ..none });
        let (ours, old) = (Some((true, true)), Some((true, false)));
        assert_eq!(step(None, None, false), Step::Rest);
        assert_eq!(step(None, None, true), Step::Push);
        assert_eq!(step(ours, None, true), Step::Open, "a run died between the push and the pull request");
        assert_eq!(step(ours, Some((none, true)), true), Step::Rest);
        assert_eq!(step(ours, Some((none, false)), true), Step::Tell, "a run died between the push and the text");
        assert_eq!(step(ours, Some((explain, true)), true), Step::Tell);
        assert_eq!(step(ours, Some((rebase, true)), true), Step::Push);
        assert_eq!(step(old, Some((none, true)), true), Step::Push);
        assert_eq!(step(old, None, true), Step::Push, "merged, and there is more");
        assert_eq!(step(old, None, false), Step::Withdraw, "merged or closed: the branch is left over");
        assert_eq!(step(old, Some((none, true)), false), Step::Withdraw);
        assert_eq!(step(None, Some((none, true)), false), Step::Withdraw, "a run died between the branch and its words");
        let of =
            |wanted| next(Seen { tip: old.map(|_| Tip { ours: true, within: true, current: false }), open: None, wanted, unproven: true });
        assert_eq!((of(false), of(true)), (Step::Stay(Stay::Unproven), Step::Push), "what can be proven goes on");
        let elsewhere = Seen { tip: Some(Tip { ours: true, within: false, current: false }), ..Seen::default() };
        assert_eq!(next(elsewhere), Step::Stay(Stay::Elsewhere));
        for wanted in [false, true] {
            assert_eq!(step(old, Some((hold, true)), wanted), Step::Stay(Stay::Held));
            for open in [None, Some((none, true)), Some((rebase, true)), Some((hold, false))] {
                assert_eq!(step(Some((false, false)), open, wanted), Step::Stay(Stay::Foreign), "people win");
            }
        }
    }
}
