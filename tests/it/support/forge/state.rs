//! What the forge knows: pull requests, which follow the branches of the real repository.

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, TimeZone, Utc};

use super::limits::Limits;
use super::tokens::Issued;
use crate::support::git::{git, git_command};

/// A pull request as it is.
#[derive(Clone, Debug)]
pub(crate) struct Pull {
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) body: Option<String>,
    pub(crate) author: String,
    pub(crate) draft: bool,
    pub(crate) open: bool,
    /// The branch to be merged, and its last tip while this was open.
    pub(crate) head: String,
    pub(crate) head_sha: String,
    /// The branch to merge into, and its last tip while this was open.
    pub(crate) base: String,
    pub(crate) base_sha: String,
    pub(crate) labels: Vec<String>,
    pub(crate) assignees: Vec<String>,
    pub(crate) reviewers: Vec<String>,
    pub(crate) team_reviewers: Vec<String>,
    pub(crate) milestone: Option<u64>,
    pub(crate) comments: Vec<Comment>,
    /// The method by which it is merged once it may be, in GraphQL's words.
    pub(crate) auto_merge: Option<String>,
    /// Whether it is in the merge queue.
    pub(crate) queued: bool,
    pub(crate) merged: Option<Merged>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) closed_at: Option<DateTime<Utc>>,
    /// What it waits for, in GitHub's word.
    pub(super) mergeable_state: &'static str,
}

/// How a pull request was merged.
#[derive(Clone, Debug)]
pub(crate) struct Merged {
    pub(crate) at: DateTime<Utc>,
    pub(crate) by: String,
    pub(crate) commit: String,
}

/// A comment on a pull request.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) body: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl Pull {
    pub(super) fn close(&mut self, now: DateTime<Utc>) {
        self.open = false;
        self.queued = false;
        self.auto_merge = None;
        self.closed_at = Some(now);
        self.updated_at = now;
    }

    pub(super) fn merge(&mut self, now: DateTime<Utc>, by: &str, commit: &str) {
        self.close(now);
        self.merged = Some(Merged { at: now, by: by.to_owned(), commit: commit.to_owned() });
    }

    /// As what GraphQL and webhooks know it.
    pub(super) fn node(&self) -> String {
        format!("PR_kwDOABCDEc4{:06}", self.number)
    }
}

pub(super) struct State {
    pub(super) now: DateTime<Utc>,
    pub(super) pulls: Vec<Pull>,
    /// All labels that were ever used.
    pub(super) labels: Vec<String>,
    pub(super) tokens: Vec<Issued>,
    pub(super) limits: Limits,
    /// Whether the repository lets pull requests merge by themselves.
    pub(super) auto_merge: bool,
    pub(super) next_comment: u64,
}

impl State {
    pub(super) fn new() -> Self {
        let now = Utc.with_ymd_and_hms(2026, 11, 2, 0, 0, 0).unwrap();
        Self { now, pulls: Vec::new(), labels: Vec::new(), tokens: Vec::new(), limits: Limits::new(now), auto_merge: true, next_comment: 1 }
    }

    pub(super) fn pull(&mut self, number: u64) -> Option<&mut Pull> {
        self.pulls.iter_mut().find(|pull| pull.number == number)
    }

    /// An open pull request between two branches.
    pub(super) fn between(&self, head: &str, base: &str) -> Option<&Pull> {
        self.pulls.iter().find(|pull| pull.open && pull.head == head && pull.base == base)
    }

    /// Sees what became of the branches. As on GitHub, an open pull request is closed when a branch is gone or its head is set back to what
    /// its base has, and is merged when its base gets its commits in any other way.
    pub(super) fn refresh(&mut self, bare: &Path) {
        if self.pulls.iter().all(|pull| !pull.open) {
            return;
        }
        let tips = tips(bare);
        for pull in self.pulls.iter_mut().filter(|pull| pull.open) {
            let (Some(head), Some(onto)) = (tips.get(&pull.head), tips.get(&pull.base)) else {
                pull.close(self.now);
                continue;
            };
            let pushed = *head != pull.head_sha;
            if !pushed && *onto == pull.base_sha {
                continue;
            }
            pull.head_sha.clone_from(head);
            pull.base_sha.clone_from(onto);
            if pushed {
                pull.updated_at = self.now;
            }
            match (is_within(bare, head, onto), pushed) {
                (true, true) => pull.close(self.now),
                (true, false) => pull.merge(self.now, super::PERSON, head),
                (false, _) => {}
            }
        }
    }
}

/// The branches and their tips.
pub(super) fn tips(bare: &Path) -> HashMap<String, String> {
    let refs = git(bare, &["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"]);
    refs.lines().map(|line| line.split_once(' ').unwrap()).map(|(tip, name)| (name.to_owned(), tip.to_owned())).collect()
}

/// Whether one commit is another, or one of those before it.
pub(super) fn is_within(bare: &Path, old: &str, new: &str) -> bool {
    git_command(bare).args(["merge-base", "--is-ancestor", old, new]).status().unwrap().success()
}

/// The tree that a merge of two commits has; none where they conflict.
pub(super) fn merged_tree(bare: &Path, onto: &str, head: &str) -> Option<String> {
    let output = git_command(bare).args(["merge-tree", "--write-tree", onto, head]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| text.lines().next().unwrap().to_owned())
}
