//! From a proven group to a commit on the tracked branch, or to a pull request. A push is compare-and-swap on the exact base; a lost race is
//! rebuilt from the plan on the new base, never merged as text.

pub mod body;
pub mod message;
mod owners;
pub mod proposed;
pub mod pull;
pub mod sparkline;
mod step;
pub mod undone;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::task::block_in_place;

use crate::clients::git::{CommitId, Edits, Identity, Pushed, Repository};
use crate::clients::github::MergeMethod;
use crate::model::edit::Group;
use crate::model::{FileMode, NewFile, Plan, Prices, Proposal, Proven};
pub use owners::{Owners, PLACES};
pub use pull::{Did, Standing, Stay};

/// Who commits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The author's and committer's name. Default: `Prescale`.
    pub name: String,
    /// Their address. Default: `prescale@localhost`.
    pub email: String,
    /// Whether a `Signed-off-by` trailer is added. Default: false.
    pub sign_off: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { name: "Prescale".to_owned(), email: "prescale@localhost".to_owned(), sign_off: false }
    }
}

impl Settings {
    /// The trailer's value, where one is wanted.
    pub(crate) fn signs_off(&self) -> Option<String> {
        self.sign_off.then(|| format!("{} <{}>", self.name, self.email))
    }
}

/// What a pull request looks like.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PullRequest {
    /// Whether it is opened as a draft. Default: false.
    pub draft: bool,
    /// Its labels. Default: `prescale`.
    pub labels: Vec<String>,
    /// Whether the owners of its files, by `CODEOWNERS`, are asked to review. Default: true.
    pub reviewers: bool,
    /// Who it is assigned to. Default: nobody.
    pub assignees: Vec<String>,
    /// The number of its milestone. Default: none.
    pub milestone: Option<u64>,
    /// How GitHub is to merge it once its checks and reviews allow it: `merge`, `squash` or `rebase`. Default: people merge it.
    pub auto_merge: Option<MergeMethod>,
    /// What a core and a gibibyte cost, to tell what a change costs a month. Default: not told.
    pub prices: Option<Prices>,
}

impl Default for PullRequest {
    fn default() -> Self {
        Self {
            draft: false,
            labels: vec!["prescale".to_owned()],
            reviewers: true,
            assignees: Vec::new(),
            milestone: None,
            auto_merge: None,
            prices: None,
        }
    }
}

/// What a group came to.
#[derive(Clone, Debug)]
pub struct Published {
    /// The group as it was committed: rebuilt, where the branch had moved.
    pub group: Group,
    /// The commit that carries it; absent when the tree already held all of it.
    pub commit: Option<CommitId>,
    /// The commit that it was made on.
    pub base: CommitId,
    /// How often it was pushed.
    pub tries: u32,
    /// Its pull request, or its branch where there is no forge; absent for a group that travels by commit.
    pub standing: Option<Standing>,
}

/// How often a lost race is run again.
const MOST_TRIES: u32 = 8;

/// Commits the group's files on `base` and pushes; where someone else was first, `rebuild` makes the edits anew on what they left.
///
/// An equal tree makes no commit and no push.
pub async fn publish(
    mut group: Group,
    mut base: CommitId,
    plan: &Plan,
    settings: &Settings,
    repository: &Repository,
    rebuild: impl AsyncFn(&Group, CommitId) -> anyhow::Result<Proven>,
) -> anyhow::Result<Published> {
    let author = Identity { name: settings.name.clone(), email: settings.email.clone() };
    let sign_off = settings.signs_off();
    for tries in 1..=MOST_TRIES {
        let files = edits(&group.proven);
        let message = message::commit(&group, plan, sign_off.as_deref());
        let message = message::with_trailer(&message, message::PROPOSAL, &proposal(&group, base).to_word());
        let commit = if files.is_empty() { None } else { block_in_place(|| repository.commit(base, &files, &message, &author, plan.at))? };
        let Some(commit) = commit else { return Ok(Published { group, commit: None, base, tries: tries - 1, standing: None }) };
        match block_in_place(|| repository.push(commit, base))? {
            Pushed::Done => return Ok(Published { group, commit: Some(commit), base, tries, standing: None }),
            Pushed::Refused { why } => bail!(
                "the push to `{}` was refused: {why}; let this user or token push to the branch, or look at the server's rules for it",
                repository.label()
            ),
            Pushed::Lost { .. } => {
                tracing::info!(tries, "the branch moved; rebuilding on its new head");
                tokio::time::sleep(pause(tries, plan.at, commit)).await;
                base = block_in_place(|| repository.fetch())?;
                group.proven = rebuild(&group, base).await?;
            }
        }
    }
    bail!(
        "the branch of `{}` moved {MOST_TRIES} times while this run tried to push; these changes were not written, the next run will try again",
        repository.label()
    )
}

/// What a group says for machines.
fn proposal(group: &Group, base: CommitId) -> Proposal {
    Proposal::of(group.rhythm, base.to_string(), group.proven.changes().map(|(sited, _)| sited))
}

/// What edits do to the files of their base.
pub(crate) fn edits(proven: &Proven) -> Edits {
    let one = |file: Option<&NewFile>| file.map_or((FileMode::Plain, None), |file| (file.mode, Some(file.bytes.clone())));
    proven.files().into_iter().map(|(path, file)| (path.clone(), one(file))).collect::<BTreeMap<_, _>>()
}

/// A pause that doubles with the tries, so that many writers come to take turns, and differs between two that lost the same race: its jitter comes
/// from their commits.
fn pause(tries: u32, at: DateTime<Utc>, commit: CommitId) -> Duration {
    let seed = commit.to_string().bytes().fold(at.timestamp() as u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let half = 25_u64 << tries.min(7);
    Duration::from_millis(half + (seed >> 16) % half)
}
