//! What people do to pull requests and branches while the bot is not looking.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::state::{Pull, State, merged_tree};
use super::{PERSON, Shared};
use crate::support::git::{self, git, git_command};

/// A way to act on the forge that can be handed on.
#[derive(Clone)]
pub(crate) struct People(pub(super) Arc<Shared>);

impl People {
    /// Sets the clock; until then it stands at the start of November 2nd, 2026.
    pub(crate) fn at(&self, now: DateTime<Utc>) {
        self.0.state.lock().unwrap().now = now;
    }

    /// All pull requests as they are now.
    pub(crate) fn pulls(&self) -> Vec<Pull> {
        self.state().pulls.clone()
    }

    /// One of them.
    pub(crate) fn pull(&self, number: u64) -> Pull {
        self.change(number, |pull, _| pull.clone())
    }

    /// Merges with a merge commit, and returns it.
    pub(crate) fn merge(&self, number: u64) -> String {
        self.land(number, true)
    }

    /// Merges as one new commit on the base, and returns it.
    pub(crate) fn squash(&self, number: u64) -> String {
        self.land(number, false)
    }

    /// Merges by making its one commit anew on the base, as who merges it; returns that.
    pub(crate) fn rebase(&self, number: u64) -> String {
        let bare = &self.0.site.bare;
        let message = git(bare, &["show", "-s", "--format=%B", &self.pull(number).head_sha]);
        self.put(number, false, &message)
    }

    fn land(&self, number: u64, with_head: bool) -> String {
        let title = self.pull(number).title;
        self.put(number, with_head, &format!("{title} (#{number})"))
    }

    fn put(&self, number: u64, with_head: bool, message: &str) -> String {
        let bare = &self.0.site.bare;
        self.change(number, |pull, now| {
            assert!(pull.open, "{pull:?} is not open");
            let tree = merged_tree(bare, &pull.base_sha, &pull.head_sha).unwrap_or_else(|| panic!("{pull:?} conflicts"));
            let mut args = vec!["commit-tree", &tree, "-m", message, "-p", &pull.base_sha];
            if with_head {
                args.extend(["-p", &pull.head_sha]);
            }
            let made = git_command(bare).env("GIT_COMMITTER_DATE", now.to_rfc3339()).args(&args).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            let commit = String::from_utf8(made.stdout).unwrap().trim().to_owned();
            git(bare, &["update-ref", &format!("refs/heads/{}", pull.base), &commit, &pull.base_sha]);
            pull.merge(now, PERSON, &commit);
            commit
        })
    }

    /// Whether it cannot be merged as it is.
    pub(crate) fn conflicts(&self, number: u64) -> bool {
        let bare = &self.0.site.bare;
        self.change(number, |pull, _| merged_tree(bare, &pull.base_sha, &pull.head_sha).is_none())
    }

    /// Closes without merging.
    pub(crate) fn close(&self, number: u64) {
        self.change(number, Pull::close);
    }

    /// Opens again, where GitHub lets them.
    pub(crate) fn try_reopen(&self, number: u64) -> bool {
        self.state().reopen(&self.0.site, number).is_none()
    }

    /// Opens again.
    pub(crate) fn reopen(&self, number: u64) {
        let reply = self.state().reopen(&self.0.site, number);
        assert!(reply.is_none(), "cannot reopen: {}", reply.unwrap().body);
    }

    /// Writes another description.
    pub(crate) fn edit_body(&self, number: u64, edit: impl FnOnce(&str) -> String) {
        self.change(number, |pull, now| {
            pull.body = Some(edit(pull.body.as_deref().unwrap_or_default()));
            pull.updated_at = now;
        });
    }

    /// Puts it into the merge queue.
    pub(crate) fn queue(&self, number: u64) {
        self.change(number, |pull, now| {
            assert!(pull.open, "{pull:?} is not open");
            pull.queued = true;
            pull.updated_at = now;
        });
    }

    /// Turns it to another branch.
    pub(crate) fn retarget(&self, number: u64, branch: &str) {
        let tip = git(&self.0.site.bare, &["rev-parse", &format!("refs/heads/{branch}")]);
        self.change(number, |pull, now| {
            pull.base_sha.clone_from(&tip);
            branch.clone_into(&mut pull.base);
            pull.updated_at = now;
        });
    }

    /// Adds a label.
    pub(crate) fn label(&self, number: u64, label: &str) {
        self.state().add_labels(number, &[label.to_owned()]);
    }

    /// Takes a label away.
    pub(crate) fn unlabel(&self, number: u64, label: &str) {
        self.change(number, |pull, now| {
            pull.labels.retain(|known| known != label);
            pull.updated_at = now;
        });
    }

    /// What it waits for, in GitHub's word: `blocked` at first, as where checks or reviews are asked for; `clean` where nothing is.
    pub(crate) fn waits_for(&self, number: u64, mergeable_state: &'static str) {
        self.change(number, |pull, _| pull.mergeable_state = mergeable_state);
    }

    /// Whether the repository lets pull requests merge by themselves; at first it does.
    pub(crate) fn allow_auto_merge(&self, allowed: bool) {
        self.state().auto_merge = allowed;
    }

    /// Deletes a branch.
    pub(crate) fn delete_branch(&self, branch: &str) {
        // What it last was is seen before.
        drop(self.state());
        git(&self.0.site.bare, &["update-ref", "-d", &format!("refs/heads/{branch}")]);
        drop(self.state());
    }

    /// A person's commit of one file on a branch, which begins at `main` if there is none. Returns it.
    pub(crate) fn commit_on(&self, branch: &str, path: &str, text: &str) -> String {
        git::commit_on(&self.0.site.bare, branch, path, text)
    }

    fn change<T>(&self, number: u64, act: impl FnOnce(&mut Pull, DateTime<Utc>) -> T) -> T {
        let mut state = self.state();
        let State { pulls, now, .. } = &mut *state;
        let pull = pulls.iter_mut().find(|pull| pull.number == number).unwrap_or_else(|| panic!("there is no pull request {number}"));
        act(pull, *now)
    }
}
