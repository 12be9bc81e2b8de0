//! What people took back: a value that was written and is no longer there, since someone reverted its commit or edited it by hand.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use tokio::task::block_in_place;

use super::{Published, message, proposed};
use crate::clients::git::{Commit, CommitId, GitError, Repository};
use crate::clients::github::Pull;
use crate::model::{Change, Patience, Plan, Proposal, Route, Veto, Vetoed, VetoedBy, Written};

/// What is known of values that reached the tracked branch, and of those that are no longer there.
#[derive(Debug, Default)]
pub struct Undone {
    /// The vetoes of those who took them back.
    pub vetoes: Vec<Veto>,
    /// What was written, as merged pull requests and the commits of late have it.
    pub written: Vec<Written>,
}

impl Undone {
    /// Looks where a planned change is not from the value that was last written there, by a commit of ours or a merged pull request. The commit
    /// since then that made it another one is a veto, if it is someone else's.
    ///
    /// What was written is known from the state (`kept`), from merged pull requests and, since a run may have died before it kept anything, from
    /// the commits themselves. `still` tells which changes' fields hold, at a commit, what they are to be changed from.
    pub fn look(
        plan: &Plan,
        kept: &[Written],
        pulls: &[Pull],
        ours: &str,
        patience: Patience,
        repository: &Repository,
        still: impl Fn(CommitId, Vec<Change>) -> Result<Vec<Change>, GitError>,
    ) -> Result<Self, GitError> {
        let mut written: Vec<Written> = pulls.iter().filter_map(|pull| merged(pull, repository)).flatten().collect();
        if plan.changes.iter().all(|change| change.route == Route::Observe) {
            return Ok(Self { vetoes: Vec::new(), written }); // nothing is to be written, and nothing need be fetched for it
        }
        let history = block_in_place(|| repository.history(plan.at - patience.span))?;
        written.extend(history.iter().filter_map(|commit| committed(commit, repository)).flatten());

        let mut last = BTreeMap::new();
        for one in kept.iter().chain(&written) {
            last.entry(one.key())
                .and_modify(|known: &mut &Written| {
                    if known.at <= one.at {
                        *known = one;
                    }
                })
                .or_insert(one);
        }
        let disputed: Vec<(Change, &Written)> = plan
            .changes
            .iter()
            .filter_map(|change| {
                let last = *last.get(&(&change.overlay, &change.object, &change.field))?;
                let as_written = Change { from: Some(last.what.change.to.clone()), ..change.clone() };
                (change.from != as_written.from).then_some((as_written, last))
            })
            .collect();
        let places: HashMap<String, usize> = history.iter().enumerate().map(|(place, commit)| (commit.id.to_string(), place)).collect();
        let mut seen: BTreeMap<CommitId, Vec<Change>> = BTreeMap::new();
        let mut vetoes = Vec::new();
        for (as_written, was) in &disputed {
            let had = |commit: CommitId| {
                let found = match seen.entry(commit) {
                    Entry::Occupied(found) => found.into_mut(),
                    Entry::Vacant(unseen) => {
                        let asked = disputed.iter().map(|(change, _)| change.clone()).collect();
                        unseen.insert(block_in_place(|| still(commit, asked))?)
                    }
                };
                Ok(found.contains(as_written))
            };
            // What is not among these commits was written before them.
            let since = places.get(&was.commit).map_or(&history[..], |place| &history[..*place]);
            if let Some(commit) = taken_back(since, had)?.filter(|commit| commit.committer.email != ours) {
                let (overlay, object, field) = was.key();
                let (overlay, object, field) = (overlay.clone(), object.clone(), field.clone());
                let what = Vetoed::Field { overlay, object, field, basis: Box::new(was.what.basis()) };
                vetoes.push(Veto { what, by: VetoedBy::Changed { written: was.what.change.to.clone() }, at: commit.at });
            }
        }
        Ok(Self { vetoes, written })
    }
}

/// What a group wrote to the tracked branch.
pub fn published(done: &Published, plan: &Plan) -> Vec<Written> {
    let Some(commit) = done.commit else { return Vec::new() };
    let proposal = super::proposal(&done.group, done.base);
    proposal.changes.into_iter().map(|what| Written { at: plan.at, commit: commit.to_string(), what }).collect()
}

/// What a merged pull request brought.
fn merged(pull: &Pull, repository: &Repository) -> Option<Vec<Written>> {
    let (at, commit) = (pull.merged_at?, pull.merge_commit_sha.clone().unwrap_or_default());
    let proposal = proposed::merged(pull, repository)?;
    Some(proposal.changes.into_iter().map(|what| Written { at, commit: commit.clone(), what }).collect())
}

/// What a commit on the tracked branch brought: one of ours, one that merged ours, or one that squashed ours and repeats its words.
fn committed(commit: &Commit, repository: &Repository) -> Option<Vec<Written>> {
    let said = |commit: &Commit| Proposal::from_word(message::trailer(&commit.message, message::PROPOSAL)?);
    let brought = || said(&block_in_place(|| repository.commit_of(*commit.parents.get(1)?).ok())?);
    let proposal = said(commit).or_else(brought)?;
    Some(proposal.changes.into_iter().map(|what| Written { at: commit.at, commit: commit.id.to_string(), what }).collect())
}

/// The commit, of these, the newest first, before which a value was there and after which it was not, by bisection; `had` tells at which commits
/// it was. None where it was not there even before them.
fn taken_back(since: &[Commit], mut had: impl FnMut(CommitId) -> Result<bool, GitError>) -> Result<Option<&Commit>, GitError> {
    let Some(before) = since.last().and_then(|first| first.parents.first()) else { return Ok(None) };
    match had(*before) {
        Ok(true) => {}
        Ok(false) | Err(GitError::NoCommit { .. }) => return Ok(None), // or else the server's own history begins there
        Err(error) => return Err(error),
    }
    // It is not there at the newest, which is the tip.
    let (mut newer, mut older) = (0, since.len());
    while older - newer > 1 {
        let middle = usize::midpoint(newer, older);
        *(if had(since[middle].id)? { &mut older } else { &mut newer }) = middle;
    }
    Ok(since.get(newer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::git::Identity;
    use chrono::DateTime;

    fn id(n: usize) -> CommitId {
        format!("{n:040x}").parse().unwrap()
    }

    #[test]
    fn who_took_a_value_back_is_found_by_few_looks() {
        let who = Identity { name: "Someone".into(), email: "someone@example.com".into() };
        // Commit n is made on commit n - 1; the tip comes first.
        let commit = |n| Commit {
            id: id(n),
            parents: vec![id(n - 1)],
            author: who.clone(),
            committer: who.clone(),
            at: DateTime::UNIX_EPOCH,
            message: String::new(),
        };
        for length in 0..40_usize {
            let since: Vec<Commit> = (1..=length).rev().map(commit).collect();
            for back in 0..=length {
                let mut looks = 0;
                let found = taken_back(&since, |commit| {
                    looks += 1;
                    Ok((0..back).any(|n| id(n) == commit))
                });
                let expected = (back > 0).then(|| id(back));
                assert_eq!(found.unwrap().map(|commit| commit.id), expected, "{back} of {length}");
                assert!(looks <= 7, "{looks} looks at {length} commits");
            }
        }
    }
}
