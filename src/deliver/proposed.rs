//! What stands proposed: by whom it was declined, what of it is still wanted, and what is not worth asking again.

use chrono::{DateTime, Utc};
use tokio::task::block_in_place;

use super::pull::branch;
use super::{body, message};
use crate::clients::git::{GitError, Repository};
use crate::clients::github::Pull;
use crate::model::{Change, Held, Plan, Proposal, Proposed, Reason, Rhythm, Route, Value, Veto, Vetoed, VetoedBy};

/// What people decided by closing pull requests of these. `committed` tells what a commit of ours proposes, where it is still there: a text has
/// no room for a great many changes.
pub fn vetoes(pulls: &[Pull], rhythm: Rhythm, committed: impl Fn(&str) -> Option<Proposal>) -> Vec<Veto> {
    let declined = pulls.iter().filter_map(|pull| Some((pull, declined_at(pull)?)));
    let each = |(pull, at): (&Pull, DateTime<Utc>)| {
        let by = VetoedBy::Closed { pull: pull.number };
        let veto = move |what| Veto { what, by: by.clone(), at };
        match proposal_of(&pull.body, &committed) {
            None => vec![veto(Vetoed::All(rhythm))],
            Some(proposal) => proposal.changes.into_iter().map(field).map(veto).collect(),
        }
    };
    declined.flat_map(each).collect()
}

/// What of a proposal is vetoed by declining one change.
fn field(proposed: Proposed) -> Vetoed {
    let (basis, Proposed { change, .. }) = (proposed.basis(), proposed);
    Vetoed::Field { overlay: change.overlay, object: change.object, field: change.field, basis: Box::new(basis) }
}

/// What people decided by deleting, at an instant, a branch that proposed this.
pub fn deleted(at: DateTime<Utc>, proposal: Proposal) -> impl Iterator<Item = Veto> {
    proposal.changes.into_iter().map(move |proposed| Veto { what: field(proposed), by: VetoedBy::Deleted, at })
}

/// What a pull request's text proposes, by itself or by the commit that it speaks of.
fn proposal_of(text: &str, committed: impl Fn(&str) -> Option<Proposal>) -> Option<Proposal> {
    body::proposal(text).or_else(|| committed(body::head(text)?))
}

/// What a pull request's text proposes, by itself or by the commit that it speaks of, where that is at hand.
pub fn told(text: &str, repository: &Repository) -> Option<Proposal> {
    proposal_of(text, |commit| committed(repository, commit))
}

/// What a merged pull request brought: its last commit counts, since a run may have died before it told the text.
pub fn merged(pull: &Pull, repository: &Repository) -> Option<Proposal> {
    let told = || body::proposal(&pull.body);
    if body::head(&pull.body) == Some(&pull.head.sha) {
        told().or_else(|| committed(repository, &pull.head.sha))
    } else {
        committed(repository, &pull.head.sha).or_else(told)
    }
}

/// When someone closed it unmerged.
fn declined_at(pull: &Pull) -> Option<DateTime<Utc>> {
    pull.closed_at.filter(|_| pull.merged_at.is_none() && !body::is_withdrawn(&pull.body))
}

/// What a commit of ours proposes.
pub fn committed(repository: &Repository, commit: &str) -> Option<Proposal> {
    let found = block_in_place(|| repository.commit_of(commit.parse().ok()?).ok())?;
    Proposal::from_word(message::trailer(&found.message, message::PROPOSAL)?)
}

/// What our branch proposes.
pub fn standing(rhythm: Rhythm, repository: &Repository) -> Result<Option<Proposal>, GitError> {
    let tip = block_in_place(|| repository.branches())?.remove(&branch(repository, rhythm));
    Ok(tip.and_then(|tip| committed(repository, &tip.to_string())))
}

/// What is proposed of workloads of which this run knows nothing, where it may still be: it stays as it is.
pub fn kept(plan: &Plan, proposed: &Proposal, may: impl Fn(&Change) -> bool) -> Vec<Change> {
    let is_unknown = |change: &Change| {
        let is_planned = plan.changes.iter().any(|other| is_same_field(other, change));
        let of_workload = |held: &&Held| (&held.overlay, &held.workload) == (&change.overlay, &change.workload);
        let is_about = |held: &&Held| held.field.as_ref().is_none_or(|field| *field == change.field);
        let mut verdicts = plan.held.iter().filter(of_workload).filter(is_about).peekable();
        // Where the demand is not known, no more is said of the fields besides the floor.
        let is_silent = verdicts.peek().is_none() && plan.held.iter().filter(of_workload).any(|held| held.why.is_error());
        !is_planned && (is_silent || verdicts.any(|held| held.why.is_for_now()))
    };
    let changes = proposed.changes().zip(&proposed.changes).filter(|(change, _)| is_unknown(change) && may(change));
    changes.map(|(change, of)| Change { reasons: vec![Reason::Kept { input: of.input.clone() }], ..change }).collect()
}

/// Leaves a proposed count that is enough, and hardly more than that, as it is, where it may be as much: people are not to be asked again for a
/// replica less.
pub fn rest(plan: &mut Plan, proposed: &Proposal, band: f64, most: impl Fn(&Plan, &Change) -> u32) {
    for old in proposed.changes() {
        let by_pull = |change: &Change| change.route == Route::PullRequest && change.from == old.from && is_same_field(change, &old);
        let Some(place) = plan.changes.iter().position(by_pull) else { continue };
        let most = most(plan, &plan.changes[place]);
        let change = &mut plan.changes[place];
        if let (Value::Count(stands), Value::Count(wanted)) = (&old.to, &change.to)
            && stands > wanted
            && *stands <= most
            && f64::from(stands - wanted) <= (band * f64::from(*wanted)).max(1.0)
        {
            change.reasons.push(Reason::Rests { wanted: *wanted });
            change.to = old.to;
        }
    }
}

fn is_same_field(a: &Change, b: &Change) -> bool {
    (&a.overlay, &a.object, &a.field) == (&b.overlay, &b.object, &b.field)
}
