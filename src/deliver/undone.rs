//! What people took back: a value that was written and is no longer there, since someone reverted its commit or edited it by hand.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;
use tokio::task::block_in_place;

use super::{Published, message, proposed};
use crate::clients::git::{Commit, CommitId, GitError, Repository};
use crate::clients::github::Pull;
use crate::model::{Change, Patience, Plan, Proposal, Route, Veto, Vetoed, VetoedBy, Written};

/// So far may a commit's date be off.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::hours(1);
/// So many commits are looked at to find the one that brought a value by someone's merge.
const MOST_LOOKS: usize = 16;
/// So many commits of people on top of ours are looked through for what a merge brought.
const MOST_BROUGHT: usize = 16;

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
    /// the commits themselves. Those are looked at as well where something is `unwell`, that we may have brought. `still` tells which changes' fields hold, at a commit, what they are to be changed from.
    pub fn look(
        (plan, unwell): (&Plan, bool),
        kept: &[Written],
        pulls: &[Pull],
        ours: &str,
        patience: Patience,
        repository: &Repository,
        still: impl Fn(CommitId, Vec<Change>) -> Result<Vec<Change>, GitError>,
    ) -> Result<Self, GitError> {
        let merged: Vec<Written> = pulls.iter().filter_map(|pull| merged(pull, repository)).flatten().collect();
        if !unwell && plan.changes.iter().all(|change| change.route == Route::Observe) {
            return Ok(Self { vetoes: Vec::new(), written: merged }); // nothing is to be written, and nothing need be fetched for it
        }
        let history = block_in_place(|| repository.history(plan.at - patience.span))?;
        let places: HashMap<String, usize> = history.iter().enumerate().map(|(place, commit)| (commit.id.to_string(), place)).collect();
        let is_tracked = |commit: CommitId| places.contains_key(&commit.to_string());
        // Of one instant, the newest commit counts.
        let mut written: Vec<Written> =
            history.iter().rev().filter_map(|commit| committed(commit, repository, is_tracked)).flatten().collect();
        written.extend(merged);

        let last = Written::last(kept.iter().chain(&written));
        let disputed: Vec<(Change, &Written)> = plan
            .changes
            .iter()
            .filter(|change| change.route != Route::Observe)
            .filter_map(|change| {
                let last = *last.get(&(&change.overlay, &change.object, &change.field))?;
                let as_written = Change { from: Some(last.what.change.to.clone()), ..change.clone() };
                (change.from != as_written.from).then_some((as_written, last))
            })
            .collect();
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
            let by = match places.get(&was.commit) {
                Some(place) => taken_back(&history[..=*place], Since::Written, had)?,
                // It was written before these commits, or came with a merge of someone's.
                None if was.at < plan.at - patience.span => taken_back(&history, Since::Later, had)?,
                None => {
                    let since = history.iter().rposition(|commit| commit.at >= was.at - CLOCKS_DIFFER).map_or(0, |place| place + 1);
                    taken_back(&history[..since], Since::Around, had)?
                }
            };
            if let Some(commit) = by.filter(|commit| commit.committer.email != ours) {
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

/// What a commit on the tracked branch brought: one of ours, one that merged ours, be it with commits of people on top, or one that squashed ours
/// and repeats its words.
fn committed(commit: &Commit, repository: &Repository, is_tracked: impl Fn(CommitId) -> bool) -> Option<Vec<Written>> {
    let said = |commit: &Commit| Proposal::from_word(message::trailer(&commit.message, message::PROPOSAL)?);
    let brought = || {
        let mut next = commit.parents.get(1).copied();
        for _ in 0..MOST_BROUGHT {
            let found = block_in_place(|| repository.commit_of(next.filter(|next| !is_tracked(*next))?).ok())?;
            if let Some(proposal) = said(&found) {
                return Some(proposal);
            }
            next = found.parents.first().copied();
        }
        None
    };
    let proposal = said(commit).or_else(brought)?;
    Some(proposal.changes.into_iter().map(|what| Written { at: commit.at, commit: commit.id.to_string(), what }).collect())
}

/// How commits lie to the one that wrote a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// The first of them did.
    Written,
    /// One of the first did, by its date.
    Around,
    /// They all are later.
    Later,
}

/// The commit, of these, the newest first, before which a value was there and after which it was not, by bisection; `had` tells at which commits
/// it was. Who was to bring it, and brought another one, took it back as well.
fn taken_back(
    commits: &[Commit],
    since: Since,
    mut had: impl FnMut(CommitId) -> Result<bool, GitError>,
) -> Result<Option<&Commit>, GitError> {
    let Some(first) = commits.last() else { return Ok(None) };
    let before = match first.parents.first().map(|before| had(*before)).transpose() {
        Ok(before) => before.unwrap_or(false),
        Err(GitError::NoCommit { .. }) => false, // the server's own history begins here
        Err(error) => return Err(error),
    };
    let mut older = commits.len();
    if !before {
        let looks = match since {
            Since::Written => 1,
            Since::Around => MOST_LOOKS,
            Since::Later => 0,
        };
        let mut came = None;
        for (place, commit) in commits.iter().enumerate().rev().take(looks) {
            if had(commit.id)? {
                came = Some(place);
                break;
            }
        }
        match came {
            Some(place) => older = place,
            None => return Ok((since == Since::Written).then_some(first)),
        }
    }
    // It is not there at the newest, which is the tip.
    let mut newer = 0;
    while older - newer > 1 {
        let middle = usize::midpoint(newer, older);
        *(if had(commits[middle].id)? { &mut older } else { &mut newer }) = middle;
    }
    Ok(commits.get(newer).filter(|_| older > newer))
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
        let found = |length: usize, since, there: std::ops::Range<usize>| {
            let commits: Vec<Commit> = (1..=length).rev().map(commit).collect();
            let mut looks = 0;
            let found = taken_back(&commits, since, |commit| {
                looks += 1;
                Ok(there.clone().any(|n| id(n) == commit))
            });
            assert!(looks <= 8 || since == Since::Around, "{looks} looks at {length} commits");
            found.unwrap().map(|commit| commit.id)
        };
        for length in 1..40_usize {
            for back in 1..=length {
                assert_eq!(found(length, Since::Later, 0..back), Some(id(back)), "there before, {back} of {length}");
                assert_eq!(found(length, Since::Written, 1..back), Some(id(back)), "written by the first, {back} of {length}");
            }
            assert_eq!(found(length, Since::Later, 0..0), None, "it was taken back before");
            assert_eq!(found(length, Since::Around, 0..0), None);
        }
        assert_eq!(found(9, Since::Around, 3..6), Some(id(6)), "it came with the third");
        assert_eq!(found(0, Since::Later, 0..0), None);
    }
}
