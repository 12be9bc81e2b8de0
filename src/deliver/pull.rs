//! The living pull request of a group: one at most, brought up to date in place.
//!
//! What stands is read, then the one next step is chosen by `next`, a pure function, so that a run that died at any point is taken up by
//! the next one. Our branch holds one commit on the tracked branch, and moves by compare-and-swap on its exact tip. A branch that holds a
//! commit of someone else is theirs.

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio::task::block_in_place;

use super::body::{self, Facts};
use super::proposed::{committed, told};
pub use super::step::Stay;
use super::step::{Open, Seen, Step, Tip, next};
use super::{MOST_TRIES, Owners, Published, PullRequest, Settings, edits, message, pause, proposal};
use crate::clients::git::{CommitId, Identity, Pushed, Repository};
use crate::clients::github::{Dress, Github, NewPull, Pull, PullEdit, State, Trouble};
use crate::clients::store::Store;
use crate::model::edit::Group;
use crate::model::record::RecordedChange;
use crate::model::{Change, Held, HoldReason, Patience, Plan, Proposal, Proposed, Proven, RefusalCode, RepoPath, Rhythm};

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
    /// Where reports on branches are, without a forge.
    pub store: &'a Store,
    /// When vetoes end.
    pub patience: Patience,
    /// Who reviews which file.
    pub owners: &'a Owners,
    /// The folders that may be written.
    pub overlays: &'a [RepoPath],
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
        let View { tip, open, commit, seen } = desk.view(&branch, &group, base, &pulls)?;
        let mut step = next(seen);
        let at = |did, pull: Option<&Pull>| Standing {
            branch: branch.clone(),
            number: pull.map(|pull| pull.number),
            url: pull.map(|pull| pull.html_url.clone()),
            did,
            report: None,
        };
        let done = |group, standing| Published { group, commit: None, base, tries, standing: Some(standing) };
        // Forecasts took their time: what people did meanwhile is looked at before anything is changed.
        if !looked_again && step.changes(forge.is_some()) {
            looked_again = true;
            let now = desk.look_again(&branch, &pulls).await?;
            let is_deleted = forge.is_none() && tip.is_some() && desk.tip(&branch)?.is_none(); // which says no
            if is_overtaken(&pulls, &now) || is_deleted {
                return Ok(done(group, at(Did::Stayed(Stay::Overtaken), open.as_ref())));
            }
            if now != pulls || desk.tip(&branch)? != tip {
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
        let mut stands = tip;
        match (step, commit) {
            (Step::Rest, _) => return Ok(done(group, at(Did::Nothing, open.as_ref()))),
            (Step::Stay(stay), _) => return Ok(done(group, at(Did::Stayed(stay), open.as_ref()))),
            (Step::Withdraw, _) => {
                desk.withdraw(&branch, tip, open.as_ref()).await?;
                return Ok(done(group, at(Did::Withdrawn, open.as_ref())));
            }
            (Step::Push, Some(commit)) => match block_in_place(|| repository.move_branch(&branch, tip, Some(commit)))? {
                Pushed::Done => stands = Some(commit),
                Pushed::Refused { why } => bail!(
                    "the push to `{branch}` of `{}` was refused: {why}; let this user or token push to branches under `{}`",
                    repository.label(),
                    repository.prefix()
                ),
                Pushed::Lost { .. } => {
                    tracing::info!(tries, branch, "the branch moved; looking again");
                    tokio::time::sleep(pause(tries, desk.plan.at, commit)).await;
                    base = block_in_place(|| repository.fetch())?;
                    group.proven = rebuild(&group, base).await?;
                    looked_again = false;
                    continue;
                }
            },
            _ => {}
        }
        let head = stands.context("a step that needs a commit has one")?;
        // A branch that was left as it is stands on an older base than the newest one.
        let under = block_in_place(|| repository.commit_of(head))?.parents.first().copied().unwrap_or(base);
        let facts = |before| desk.facts(&group, head, under, before);
        let Some(forge) = forge else {
            let did = match (step, tip) {
                (Step::Open, _) => Did::Nothing,
                (_, Some(_)) => Did::Updated,
                (_, None) => Did::Opened,
            };
            let report = Some(body::body(&facts(None)));
            return Ok(done(group.clone(), Standing { report, ..at(did, None) }));
        };
        let before = open.as_ref().and_then(|pull| told(&pull.body, repository));
        let (did, pull) = desk.tell(facts(before.as_ref()), &branch, open.as_ref(), forge).await?;
        return Ok(done(group.clone(), at(did, Some(&pull))));
    }
    bail!("`{branch}` of `{}` moved {MOST_TRIES} times while this run tried to push to it; the next run will try again", repository.label())
}

/// What a run sees of a group's branch and pull request, and what it would make of them.
struct View {
    tip: Option<CommitId>,
    open: Option<Pull>,
    commit: Option<CommitId>,
    seen: Seen,
}

impl Desk<'_> {
    fn view(&self, branch: &str, group: &Group, base: CommitId, pulls: &[Pull]) -> anyhow::Result<View> {
        let target = self.repository.branch();
        let open = open_of(pulls, target).cloned();
        let commit = self.commit(group, base)?;
        let tip = self.tip(branch)?;
        let proposal = open.as_ref().and_then(|pull| body::proposal(&pull.body));
        let is_merged = |tip: &CommitId| pulls.iter().any(|pull| pull.merged_at.is_some() && pull.head.sha == tip.to_string());
        let standing = tip.filter(|tip| !is_merged(tip)).and_then(|tip| committed(self.repository, &tip.to_string()));
        let seen = Seen {
            tip: tip.map(|tip| self.look(tip, commit, base, pulls, proposal.is_none().then_some(group))).transpose()?,
            open: open.as_ref().map(|pull| Open {
                ours: body::is_ours(&pull.body) && pull.base.name == target,
                boxes: body::boxes(&pull.body),
                told: !body::is_new(&pull.body)
                    && body::head(&pull.body) == tip.map(|tip| tip.to_string()).as_deref()
                    && proposal.as_ref().is_none_or(|told| is_near(told, group, self.patience)),
            }),
            wanted: commit.is_some(),
            unproven: standing.is_some_and(|standing| is_unproven(&standing, group)),
        };
        Ok(View { tip, open, commit, seen })
    }

    /// Our branch's tip, as it was last fetched.
    fn tip(&self, branch: &str) -> anyhow::Result<Option<CommitId>> {
        Ok(block_in_place(|| self.repository.branches())?.get(branch).copied())
    }

    /// Reads GitHub again, and then Git.
    async fn look_again(&self, branch: &str, pulls: &[Pull]) -> anyhow::Result<Vec<Pull>> {
        let now = match self.forge {
            Some(forge) => forge.pulls(branch, None).await?,
            None => pulls.to_vec(),
        };
        block_in_place(|| self.repository.fetch())?;
        Ok(now)
    }

    /// The commit that carries the group; `None` where the base holds all of it.
    fn commit(&self, group: &Group, base: CommitId) -> anyhow::Result<Option<CommitId>> {
        let files = edits(&group.proven);
        if files.is_empty() {
            return Ok(None);
        }
        let Settings { name, email, .. } = self.settings;
        let author = Identity { name: name.clone(), email: email.clone() };
        let text = message::commit(group, self.plan, self.settings.signs_off().as_deref());
        let text = message::with_trailer(&text, message::PROPOSAL, &proposal(group, base).to_word());
        Ok(block_in_place(|| self.repository.commit(base, &files, &text, &author, self.plan.at))?)
    }

    /// What our branch's tip is, beside the commit that we would make on `base`. Where no text tells what it is made from, its commit does, and
    /// is made anew when `untold` is made from something else.
    fn look(&self, tip: CommitId, wanted: Option<CommitId>, base: CommitId, pulls: &[Pull], untold: Option<&Group>) -> anyhow::Result<Tip> {
        let repository = self.repository;
        // What was merged is no longer anybody's to lose.
        if pulls.iter().any(|pull| pull.merged_at.is_some() && pull.head.sha == tip.to_string()) {
            return Ok(Tip { ours: true, within: true, current: false });
        }
        let theirs = Tip { ours: false, within: true, current: false };
        let found = block_in_place(|| repository.commit_of(tip))?;
        let (&[parent], Some(proposal)) = (found.parents.as_slice(), committed(repository, &tip.to_string())) else { return Ok(theirs) };
        // On top of a commit of someone else it is theirs, unless that is the tracked branch's.
        if found.committer.email != self.settings.email || proposal.base != parent.to_string() {
            return Ok(theirs);
        }
        // What is no longer there, or was closed, is nobody's.
        let stands = self.forge.is_none() || pulls.iter().any(|pull| pull.state == State::Open);
        let mut within = true;
        for of in proposal.changes.iter().filter(|_| stands) {
            let overlay = &of.change.overlay;
            within &= self.overlays.iter().any(|folder| overlay.is_under(folder)) || !self.is_there(overlay, base)?;
        }
        let current = match wanted {
            Some(wanted) => block_in_place(|| repository.merges_to(tip, parent, base, wanted))?,
            None => false,
        };
        let near = untold.is_none_or(|group| is_near(&proposal, group, self.patience));
        Ok(Tip { ours: true, within, current: current && near })
    }

    /// Whether a commit has an overlay.
    fn is_there(&self, overlay: &RepoPath, at: CommitId) -> anyhow::Result<bool> {
        for name in ["kustomization.yaml", "kustomization.yml", "Kustomization"] {
            if let Some(path) = overlay.join(name)
                && self.repository.file(at, &path)?.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Closes the pull request, and removes the branch.
    async fn withdraw(&self, branch: &str, tip: Option<CommitId>, open: Option<&Pull>) -> anyhow::Result<()> {
        // First the words: a branch that is gone closes the pull request, which would be a veto without them.
        if let (Some(open), Some(forge)) = (open, self.forge) {
            let text = body::withdrawn(&open.body);
            forge.edit(open.number, &PullEdit { body: Some(&text), state: Some(State::Closed), title: None }).await?;
        }
        if self.forge.is_none() {
            // A branch that is gone while its report is there was deleted by people.
            self.store.put_report(branch, None).await?;
        }
        let Some(tip) = tip else { return Ok(()) };
        match block_in_place(|| self.repository.move_branch(branch, Some(tip), None))? {
            Pushed::Done => Ok(()),
            Pushed::Refused { why } => {
                bail!("the branch `{branch}` of `{}` could not be removed: {why}; remove it by hand", self.repository.label())
            }
            // Someone committed to it at the last moment: it is theirs.
            Pushed::Lost { .. } => {
                if let (Some(open), Some(forge)) = (open, self.forge) {
                    forge.edit(open.number, &PullEdit { body: Some(&open.body), state: Some(State::Open), title: None }).await?;
                }
                bail!("someone committed to `{branch}` of `{}` while it was being removed: it is theirs now", self.repository.label())
            }
        }
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
                    let pulls = forge.pulls(branch, None).await?;
                    let theirs = open_of(&pulls, self.repository.branch()).cloned();
                    return Ok((Did::Nothing, theirs.context("GitHub says that the branch has a pull request, and shows none")?));
                }
                created => created?,
            }
        };
        let files: Vec<_> = group.proven.files().into_keys().cloned().collect();
        if look.reviewers {
            ask_owners(forge, pull.number, self.owners.of(&files)).await;
        }
        if let (Some(method), false) = (look.auto_merge, look.draft)
            && let Err(error) = forge.auto_merge(&pull, method).await
        {
            tracing::warn!(error = error.to_string(), "auto-merge could not be switched on");
        }
        // Whatever it was given meanwhile stays: GitHub takes these lists as a whole.
        let with = |ours: &[String], theirs: Vec<String>| -> Vec<String> {
            ours.iter().cloned().chain(theirs.into_iter().filter(|one| !ours.contains(one))).collect()
        };
        let labels = with(&look.labels, pull.labels.iter().map(|label| label.name.clone()).collect());
        let assignees = with(&look.assignees, pull.assignees.iter().map(|person| person.login.clone()).collect());
        let dress = Dress { body: &text, labels: &labels, assignees: &assignees, milestone: look.milestone };
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

/// Asks people and teams to review. GitHub refuses all of them where one may not read the repository, or is who opened it: then each is asked
/// alone. A pull request without reviewers is one all the same.
async fn ask_owners(forge: &Github, number: u64, (people, teams): (Vec<String>, Vec<String>)) {
    if people.is_empty() && teams.is_empty() {
        return;
    }
    let refused = match forge.request_reviewers(number, &people, &teams).await {
        Ok(()) => return,
        Err(error) => error,
    };
    let one_by_one = refused.trouble == Trouble::Refused && people.len() + teams.len() > 1;
    if !one_by_one {
        tracing::warn!(error = refused.to_string(), "the owners of the files could not be asked to review");
        return;
    }
    let alone = people.iter().map(|person| (std::slice::from_ref(person), &[][..]));
    for (people, teams) in alone.chain(teams.iter().map(|team| (&[][..], std::slice::from_ref(team)))) {
        if let Err(error) = forge.request_reviewers(number, people, teams).await {
            tracing::warn!(error = error.to_string(), ?people, ?teams, "an owner of the files could not be asked to review");
        }
    }
}

/// Whether a pull request was closed or merged between two looks.
fn is_overtaken(before: &[Pull], now: &[Pull]) -> bool {
    let was_closed = |pull: &Pull| before.iter().any(|old| old.number == pull.number && old.state == State::Closed);
    now.iter().any(|pull| pull.state == State::Closed && !was_closed(pull))
}

/// The open pull request into the tracked branch, or else one of ours that someone turned to another one.
fn open_of<'a>(pulls: &'a [Pull], target: &str) -> Option<&'a Pull> {
    let mut open = pulls.iter().filter(|pull| pull.state == State::Open);
    open.clone().find(|pull| pull.base.name == target).or_else(|| open.find(|pull| body::is_ours(&pull.body)))
}

/// Whether something that stands proposed was planned again, and does not render just now: its base may be elsewhere, or someone broke it.
fn is_unproven(standing: &Proposal, group: &Group) -> bool {
    let passes = |held: &&Held| matches!(&held.why, HoldReason::Refused(refusal) if refusal.code == RefusalCode::DoesNotRender);
    let mut unproven = group.proven.held.iter().filter(passes);
    unproven.any(|held| standing.changes().any(|change| held.is_of(&change)))
}

/// Whether what a group is made from is about what a text says: whoever closes it then declines what they read.
fn is_near(told: &Proposal, group: &Group, patience: Patience) -> bool {
    let is_told = |change: &Change| {
        let is_it = |old: &&Proposed| {
            let RecordedChange { overlay, object, field, .. } = &old.change;
            (overlay, object, field) == (&change.overlay, &change.object, &change.field)
        };
        told.changes.iter().find(is_it).is_none_or(|old| patience.is_near(&old.basis(), &change.basis()))
    };
    group.proven.changes().all(|(sited, _)| is_told(&sited.change))
}
