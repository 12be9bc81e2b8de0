//! The living pull request of a group: one at most, brought up to date in place.
//!
//! What stands is read, then the one next step is chosen by `next`, a pure function, so that a run that died at any point is taken up by
//! the next one. Our branch holds one commit on the tracked branch, and moves by compare-and-swap on its exact tip. A branch that holds a
//! commit of someone else is theirs.

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::task::block_in_place;

use super::body::{self, Boxes, Facts};
use super::proposed::told;
use super::{MOST_TRIES, Owners, Published, PullRequest, Settings, edits, message, pause, proposal};
use crate::clients::git::{CommitId, Identity, Pushed, Repository};
use crate::clients::github::{Dress, Github, GithubError, NewPull, Pull, PullEdit, State, Trouble};
use crate::model::edit::Group;
use crate::model::record::RecordedChange;
use crate::model::{Change, Patience, Plan, Proposal, Proposed, Proven, Rhythm};

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

/// A pull request as a run left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Our branch.
    pub branch: String,
    /// Its number; absent without a forge.
    pub number: Option<u64>,
    /// Where people look at it.
    pub url: Option<String>,
    /// What was done.
    pub did: Did,
    /// What people read of it where there is no forge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
}

/// What was done for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Did {
    /// Nothing: it is as it should be.
    Nothing,
    /// Nothing, for a reason.
    Stayed(Stay),
    /// It was opened.
    Opened,
    /// It was brought up to date.
    Updated,
    /// It was closed, since there is nothing left to change.
    Withdrawn,
}

/// What is known of a group's branch and pull request.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Our branch's tip.
    tip: Option<Tip>,
    /// Whether a pull request is open.
    open: Option<Open>,
    /// Whether anything is to be changed.
    wanted: bool,
}

/// The tip of our branch.
#[derive(Clone, Copy, Debug)]
struct Tip {
    /// Whether it is one commit of ours on the tracked branch.
    ours: bool,
    /// Whether it makes the wanted changes to files that the tracked branch still has as they were.
    current: bool,
}

/// The open pull request.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Whether its text is ours.
    ours: bool,
    boxes: Boxes,
    /// Whether its text is about the branch's tip and what it is made from now, and its labels are there.
    told: bool,
}

/// The one next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
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

fn next(seen: Seen) -> Step {
    match (seen.tip, seen.open, seen.wanted) {
        (Some(Tip { ours: false, .. }), ..) => Step::Stay(Stay::Foreign),
        (_, Some(Open { ours: false, .. }), _) => Step::Stay(Stay::Theirs),
        (_, Some(Open { boxes: Boxes { hold: true, .. }, .. }), _) => Step::Stay(Stay::Held),
        (None, None, false) => Step::Rest,
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

/// The branch of a group.
pub fn branch(repository: &Repository, rhythm: Rhythm) -> String {
    format!("{}{}/{rhythm}", repository.prefix(), repository.branch())
}

/// What a group's delivery needs besides the group.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The plan that the group is of.
    pub plan: &'a Plan,
    /// How we commit.
    pub settings: &'a Settings,
    /// What a pull request looks like.
    pub look: &'a PullRequest,
    /// The config repository.
    pub repository: &'a Repository,
    /// GitHub; without it there is a branch, and a report beside it.
    pub forge: Option<&'a Github>,
    /// When vetoes end.
    pub patience: Patience,
    /// Who reviews which file.
    pub owners: &'a Owners,
}

/// Brings the group's branch and pull request to where they should be. `pulls` is what the forge holds for the branch; without them, since they
/// could not be read, nothing is proposed. Where GitHub's rate limits end first, the next run goes on from what stands then.
pub async fn propose(
    group: Group,
    base: CommitId,
    pulls: anyhow::Result<&[Pull]>,
    desk: Desk<'_>,
    rebuild: impl AsyncFn(&Group, CommitId) -> anyhow::Result<Proven>,
) -> anyhow::Result<Published> {
    let branch = branch(desk.repository, group.rhythm);
    let done = match pulls {
        Ok(pulls) => bring_up_to_date(group.clone(), base, pulls, desk, rebuild).await,
        Err(error) => Err(error),
    };
    done.or_else(|error| {
        let did = Did::Stayed(Stay::of(&error).ok_or(error)?);
        let standing = Standing { branch, number: None, url: None, did, report: None };
        Ok(Published { group, commit: None, base, tries: 0, standing: Some(standing) })
    })
}

async fn bring_up_to_date(
    mut group: Group,
    mut base: CommitId,
    pulls: &[Pull],
    desk: Desk<'_>,
    rebuild: impl AsyncFn(&Group, CommitId) -> anyhow::Result<Proven>,
) -> anyhow::Result<Published> {
    let Desk { repository, forge, .. } = desk;
    let branch = branch(repository, group.rhythm);
    let mut pulls = pulls.to_vec();
    let mut looked_again = false;
    for tries in 1..=MOST_TRIES {
        let open = pulls.iter().find(|pull| pull.state == State::Open).cloned();
        let commit = desk.commit(&group, base)?;
        let tip = block_in_place(|| repository.branches())?.get(&branch).copied();
        let seen = Seen {
            tip: tip.map(|tip| desk.look(tip, commit, base, &pulls)).transpose()?,
            open: open.as_ref().map(|pull| Open {
                ours: body::is_ours(&pull.body),
                boxes: body::boxes(&pull.body),
                told: !body::is_new(&pull.body)
                    && body::head(&pull.body) == tip.map(|tip| tip.to_string()).as_deref()
                    && told(pull, repository).is_none_or(|told| is_near(&told, &group, desk.patience)),
            }),
            wanted: commit.is_some(),
        };
        let mut step = next(seen);
        let at = |did, pull: Option<&Pull>| Standing {
            branch: branch.clone(),
            number: pull.map(|pull| pull.number),
            url: pull.map(|pull| pull.html_url.clone()),
            did,
            report: None,
        };
        // Forecasts took their time: what people did meanwhile is looked at before anything is changed.
        if let (Step::Push | Step::Open | Step::Tell | Step::Withdraw, Some(forge), false) = (step, forge, looked_again) {
            looked_again = true;
            let now = forge.pulls(&branch, repository.branch()).await?;
            if is_overtaken(&pulls, &now) {
                let standing = Some(at(Did::Stayed(Stay::Overtaken), open.as_ref()));
                return Ok(Published { group, commit: None, base, tries, standing });
            }
            if now != pulls {
                pulls = now;
                continue;
            }
        }
        if let (Step::Push | Step::Tell | Step::Withdraw, Some(open), Some(forge)) = (step, &open, forge)
            && forge.is_queued(open).await?
        {
            step = Step::Stay(Stay::Queued);
        }
        tracing::debug!(branch, ?seen, ?step, "looked at the pull request");
        let done = |group, standing| Published { group, commit: None, base, tries, standing: Some(standing) };
        let mut held = tip;
        match (step, commit) {
            (Step::Rest, _) => return Ok(done(group, at(Did::Nothing, open.as_ref()))),
            (Step::Stay(stay), _) => return Ok(done(group, at(Did::Stayed(stay), open.as_ref()))),
            (Step::Withdraw, _) => {
                desk.withdraw(&branch, tip, open.as_ref()).await?;
                return Ok(done(group, at(Did::Withdrawn, open.as_ref())));
            }
            (Step::Push, Some(commit)) => match block_in_place(|| repository.move_branch(&branch, tip, Some(commit)))? {
                Pushed::Done => held = Some(commit),
                Pushed::Refused { why } => bail!(
                    "the push to `{branch}` of `{}` was refused: {why}; let this user or token push to branches under `{}`",
                    repository.label(),
                    repository.prefix()
                ),
                Pushed::Lost { .. } => {
                    tracing::info!(tries, branch, "the branch moved; looking again");
                    tokio::time::sleep(pause(tries, desk.plan.at, commit)).await;
                    if let Some(forge) = forge {
                        let now = forge.pulls(&branch, repository.branch()).await?;
                        if is_overtaken(&pulls, &now) {
                            return Ok(done(group, at(Did::Stayed(Stay::Overtaken), open.as_ref())));
                        }
                        pulls = now;
                    }
                    base = block_in_place(|| repository.fetch())?;
                    group.proven = rebuild(&group, base).await?;
                    continue;
                }
            },
            _ => {}
        }
        let tip_now = held.context("a step that needs a commit has one")?;
        // A branch that was left as it is stands on an older base than the newest one.
        let under = block_in_place(|| repository.commit_of(tip_now))?.parents.first().copied().unwrap_or(base);
        let facts = |before| desk.facts(&group, tip_now, under, before);
        let Some(forge) = forge else {
            let did = match (step, tip) {
                (Step::Open, _) => Did::Nothing,
                (_, Some(_)) => Did::Updated,
                (_, None) => Did::Opened,
            };
            let report = Some(body::body(&facts(None)));
            return Ok(done(group.clone(), Standing { report, ..at(did, None) }));
        };
        let before = open.as_ref().and_then(|pull| told(pull, repository));
        let (did, pull) = desk.tell(facts(before.as_ref()), &branch, open.as_ref(), forge).await?;
        return Ok(done(group.clone(), at(did, Some(&pull))));
    }
    bail!("`{branch}` of `{}` moved {MOST_TRIES} times while this run tried to push to it; the next run will try again", repository.label())
}

impl Desk<'_> {
    /// The commit that carries the group; `None` where the base holds all of it.
    fn commit(&self, group: &Group, base: CommitId) -> anyhow::Result<Option<CommitId>> {
        let files = edits(group);
        if files.is_empty() {
            return Ok(None);
        }
        let Settings { name, email, .. } = self.settings;
        let author = Identity { name: name.clone(), email: email.clone() };
        let text = message::commit(group, self.plan, self.settings.signs_off().as_deref());
        let text = message::with_trailer(&text, message::PROPOSAL, &proposal(group, base).to_word());
        Ok(block_in_place(|| self.repository.commit(base, &files, &text, &author, self.plan.at))?)
    }

    /// What our branch's tip is, beside the commit that we would make on `base`.
    fn look(&self, tip: CommitId, wanted: Option<CommitId>, base: CommitId, pulls: &[Pull]) -> anyhow::Result<Tip> {
        let repository = self.repository;
        // What was merged is no longer anybody's to lose.
        if pulls.iter().any(|pull| pull.merged_at.is_some() && pull.head.sha == tip.to_string()) {
            return Ok(Tip { ours: true, current: false });
        }
        let found = block_in_place(|| repository.commit_of(tip))?;
        let ours = found.committer.email == self.settings.email && message::trailer(&found.message, message::PROPOSAL).is_some();
        let &[parent] = found.parents.as_slice() else { return Ok(Tip { ours: false, current: false }) };
        // On top of a commit of someone else it is theirs, unless that is the tracked branch's.
        let on = message::trailer(&found.message, message::PROPOSAL).and_then(Proposal::from_word).map(|proposal| proposal.base);
        let ours = ours && on == Some(parent.to_string());
        let current = match wanted {
            Some(wanted) if ours => block_in_place(|| same_change(repository, (parent, tip), (base, wanted)))?,
            _ => false,
        };
        Ok(Tip { ours, current })
    }

    /// Closes the pull request, and removes the branch.
    async fn withdraw(&self, branch: &str, tip: Option<CommitId>, open: Option<&Pull>) -> anyhow::Result<()> {
        // First the words: a branch that is gone closes the pull request, which would be a veto without them.
        if let (Some(open), Some(forge)) = (open, self.forge) {
            let text = body::withdrawn(&open.body);
            forge.edit(open.number, &PullEdit { body: Some(&text), state: Some(State::Closed), title: None }).await?;
        }
        if let Some(tip) = tip
            && let Pushed::Refused { why } = block_in_place(|| self.repository.move_branch(branch, Some(tip), None))?
        {
            bail!("the branch `{branch}` of `{}` could not be removed: {why}; remove it by hand", self.repository.label());
        }
        Ok(())
    }

    /// What the pull request's text is made from.
    fn facts<'b>(&'b self, group: &'b Group, head: CommitId, base: CommitId, before: Option<&'b Proposal>) -> Facts<'b> {
        let (target, prices) = (self.repository.branch(), self.look.prices.as_ref());
        Facts { group, plan: self.plan, head, base, target, before, patience: self.patience, prices, is_new: false }
    }

    /// Opens the pull request, or brings its text up to date.
    async fn tell(&self, facts: Facts<'_>, branch: &str, open: Option<&Pull>, forge: &Github) -> anyhow::Result<(Did, Pull)> {
        let (look, group) = (self.look, facts.group);
        let (title, text) = (body::title(group), body::body(&facts));
        if let Some(open) = open.filter(|open| !body::is_new(&open.body)) {
            let pull = forge.edit(open.number, &PullEdit { title: Some(&title), body: Some(&text), state: None }).await?;
            // The box is unticked by then: a run that dies in between says nothing, rather than the same twice.
            if body::boxes(&open.body).explain {
                forge.comment(open.number, &body::explanation(group, self.plan)).await?;
            }
            return Ok((Did::Updated, pull));
        }
        let pull = if let Some(open) = open {
            open.clone()
        } else {
            let first = body::body(&Facts { is_new: true, ..facts });
            let new = NewPull { title: &title, body: &first, head: branch, base: self.repository.branch(), draft: look.draft };
            match forge.create(&new).await {
                Err(error) if error.trouble == Trouble::Exists => {
                    let pulls = forge.pulls(branch, self.repository.branch()).await?;
                    let theirs = pulls.into_iter().find(|pull| pull.state == State::Open);
                    return Ok((Did::Nothing, theirs.context("GitHub says that the branch has a pull request, and shows none")?));
                }
                created => created?,
            }
        };
        let files: Vec<_> = group.proven.files().into_keys().cloned().collect();
        let (people, teams) = self.owners.of(&files);
        if look.reviewers
            && !(people.is_empty() && teams.is_empty())
            && let Err(error) = forge.request_reviewers(pull.number, &people, &teams).await
        {
            tracing::warn!(error = error.to_string(), "the owners of the files could not be asked to review");
        }
        if let (Some(method), false) = (look.auto_merge, look.draft)
            && let Err(error) = forge.auto_merge(&pull, method).await
        {
            tracing::warn!(error = error.to_string(), "auto-merge could not be switched on");
        }
        let dress = Dress { body: &text, labels: &look.labels, assignees: &look.assignees, milestone: look.milestone };
        match forge.dress(pull.number, &dress).await {
            Err(error) if error.trouble == Trouble::Refused => {
                tracing::warn!(
                    error = error.to_string(),
                    "look at `pullRequest.labels`, `.assignees` and `.milestone`: they were not given"
                );
                forge.edit(pull.number, &PullEdit { title: None, body: Some(&text), state: None }).await?;
            }
            dressed => dressed?,
        }
        Ok((Did::Opened, pull))
    }
}

/// Whether a pull request was closed or merged between two looks.
fn is_overtaken(before: &[Pull], now: &[Pull]) -> bool {
    let was_closed = |pull: &Pull| before.iter().any(|old| old.number == pull.number && old.state == State::Closed);
    now.iter().any(|pull| pull.state == State::Closed && !was_closed(pull))
}

/// Whether what a group is made from is about what a text says: whoever closes it then declines what they read.
fn is_near(told: &Proposal, group: &Group, patience: Patience) -> bool {
    let is_told = |change: &Change| {
        let is_it = |old: &&Proposed| {
            let RecordedChange { overlay, object, field, .. } = &old.change;
            (overlay, object, field) == (&change.overlay, &change.object, &change.field)
        };
        told.changes.iter().find(is_it).is_none_or(|old| patience.is_near(old.input, change.input()))
    };
    group.proven.changes().all(|(sited, _)| is_told(&sited.change))
}

/// Whether two commits change the same files of their parents to the same content.
fn same_change(repository: &Repository, a: (CommitId, CommitId), b: (CommitId, CommitId)) -> anyhow::Result<bool> {
    let (paths, others) = (repository.changed(a.0, a.1)?, repository.changed(b.0, b.1)?);
    if paths != others {
        return Ok(false);
    }
    for path in &paths {
        if repository.file(a.1, path)? != repository.file(b.1, path)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(tip: Option<(bool, bool)>, open: Option<(Boxes, bool)>, wanted: bool) -> Step {
        let tip = tip.map(|(ours, current)| Tip { ours, current });
        next(Seen { tip, open: open.map(|(boxes, told)| Open { ours: true, boxes, told }), wanted })
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
        for wanted in [false, true] {
            assert_eq!(step(old, Some((hold, true)), wanted), Step::Stay(Stay::Held));
            for open in [None, Some((none, true)), Some((rebase, true)), Some((hold, false))] {
                assert_eq!(step(Some((false, false)), open, wanted), Step::Stay(Stay::Foreign), "people win");
            }
        }
    }
}
