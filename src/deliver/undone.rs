//! What people took back: a value that was written and is no longer there, since someone reverted its commit or edited it by hand.

use chrono::{DateTime, Utc};
use tokio::task::block_in_place;

use super::{message, proposed};
use crate::clients::git::{GitError, Repository};
use crate::clients::github::Pull;
use crate::model::record::RecordedChange;
use crate::model::{Change, Patience, Plan, Proposal, Reason, Record, Route, Veto, Vetoed, VetoedBy};

/// A value that reached the tracked branch.
struct Written<'a> {
    at: DateTime<Utc>,
    change: &'a RecordedChange,
    input: Option<f64>,
}

/// The vetoes on a plan's changes that rest on Git: where the value to change is not the one that was last written there, by a commit of ours
/// or a merged pull request, someone else's last commit in that overlay says when it was taken back. What our commits wrote is known from the
/// records and, since a run may have died before it recorded them, from the commits themselves.
pub fn vetoes(
    plan: &Plan,
    past: &[Record],
    pulls: &[Pull],
    ours: &str,
    patience: Patience,
    repository: &Repository,
) -> Result<Vec<Veto>, GitError> {
    if plan.changes.iter().all(|change| change.route == Route::Observe) {
        return Ok(Vec::new()); // nothing is to be written, and nothing need be fetched for it
    }
    let committed = past.iter().filter(|record| record.commit.is_some());
    let committed =
        committed.flat_map(|record| record.changed.iter().map(|change| Written { at: record.at, change, input: input(change) }));
    let merged: Vec<_> = pulls.iter().filter_map(|pull| Some((pull.merged_at?, proposed::told(pull, repository)?))).collect();
    let history = block_in_place(|| repository.history(plan.at - patience.span))?;
    let unrecorded = history.iter().filter(|commit| commit.committer.email == ours);
    let unrecorded: Vec<_> = unrecorded
        .filter_map(|commit| Some((commit.at, Proposal::from_word(message::trailer(&commit.message, message::PROPOSAL)?)?)))
        .collect();
    let proposed = merged.iter().chain(&unrecorded).flat_map(|(at, proposal)| {
        proposal.changes.iter().map(|proposed| Written { at: *at, change: &proposed.change, input: proposed.input })
    });
    let written: Vec<Written> = committed.chain(proposed).collect();
    let disputed: Vec<(&Change, &Written)> = plan
        .changes
        .iter()
        .filter_map(|change| {
            let is_it = |written: &&Written| {
                let Written { change: was, .. } = written;
                (&was.overlay, &was.object, &was.field) == (&change.overlay, &change.object, &change.field)
            };
            let last = written.iter().filter(is_it).max_by_key(|written| written.at)?;
            (change.from.as_ref() != Some(&last.change.to)).then_some((change, last))
        })
        .collect();
    if disputed.is_empty() {
        return Ok(Vec::new());
    }
    let mut vetoes = Vec::new();
    for (change, Written { at, change: was, input }) in disputed {
        for commit in history.iter().filter(|commit| commit.committer.email != ours && commit.at >= *at) {
            let Some(parent) = commit.parents.first() else { continue };
            let touched = block_in_place(|| repository.changed(*parent, commit.id))?;
            if touched.iter().any(|path| path.is_under(&change.overlay)) {
                let (overlay, object, field) = (change.overlay.clone(), change.object.clone(), change.field.clone());
                let what = Vetoed::Field { overlay, object, field, input: *input };
                vetoes.push(Veto { what, by: VetoedBy::Changed { written: was.to.clone() }, at: commit.at });
                break;
            }
        }
    }
    Ok(vetoes)
}

/// What a recorded change was made from, as [`Change::input`] has it.
fn input(change: &RecordedChange) -> Option<f64> {
    let demand = |reason: &Reason| if let Reason::PeakDemand { demand, .. } = reason { Some(*demand) } else { None };
    change.reasons.iter().find_map(demand).or_else(|| change.to.number())
}
