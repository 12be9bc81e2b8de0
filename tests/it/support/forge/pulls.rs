//! Pull requests: listed, opened, edited, closed and opened again, and given reviewers.

use serde_json::{Value as Json, json};

use super::json as shown;
use super::log::Logged;
use super::rest::{fits, is_member, page};
use super::state::{Pull, State, is_within, tips};
use super::tokens::Caller;
use super::{OWNER, Reply, Site, TEAM};

impl State {
    pub(super) fn on_pull(&mut self, site: &Site, caller: &Caller, request: (&str, u64, &[&str]), body: &Json) -> Result<Reply, Reply> {
        let (method, number, rest) = request;
        let status = match (method, rest) {
            ("GET", []) => 200,
            ("PATCH", []) => {
                caller.may_write(&["pull_requests"])?;
                self.edit(site, number, "PullRequest", body)?;
                200
            }
            ("POST", ["requested_reviewers"]) => {
                caller.may_write(&["pull_requests"])?;
                self.request_reviews(number, body)?;
                201
            }
            _ => return Err(Reply::untaught()),
        };
        let pull = self.pull(number).unwrap().clone();
        let shown = if rest.is_empty() { shown::pull(site, self, &pull) } else { shown::pull_simple(site, self, &pull) };
        Ok(Reply::new(status, shown))
    }

    pub(super) fn list(&self, site: &Site, asked: &Logged) -> Reply {
        let state = asked.parameter("state").unwrap_or("open");
        let base = asked.parameter("base");
        // As on GitHub, a head without its owner filters nothing.
        let head = asked.parameter("head").filter(|head| head.contains(':'));
        let mut found: Vec<&Pull> = self.pulls.iter().collect();
        found.retain(|pull| state == "all" || pull.open == (state == "open"));
        found.retain(|pull| base.is_none_or(|base| pull.base == base));
        found.retain(|pull| head.is_none_or(|head| head == format!("{OWNER}:{}", pull.head)));
        let sort = asked.parameter("sort").unwrap_or("created");
        match sort {
            "updated" => found.sort_by_key(|pull| (pull.updated_at, pull.number)),
            "popularity" => found.sort_by_key(|pull| (pull.comments.len(), pull.number)),
            _ => found.sort_by_key(|pull| pull.number),
        }
        if asked.parameter("direction").unwrap_or(if sort == "created" { "desc" } else { "asc" }) == "desc" {
            found.reverse();
        }
        page(site, asked, found.into_iter().map(|pull| shown::pull_simple(site, self, pull)).collect())
    }

    pub(super) fn create(&mut self, site: &Site, caller: &Caller, body: &Json) -> Result<Reply, Reply> {
        caller.may_write(&["pull_requests"])?;
        let text = |field: &str| {
            let missing = || Reply::invalid(json!({"resource": "PullRequest", "code": "missing_field", "field": field}));
            body[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned).ok_or_else(missing)
        };
        let (title, head, base) = (text("title")?, text("head")?, text("base")?);
        fits("PullRequest", body)?;
        let head = head.strip_prefix(&format!("{OWNER}:")).unwrap_or(&head).to_owned();
        let tips = tips(&site.bare);
        let tip = |field: &str, branch: &str| {
            let unknown = || Reply::invalid(json!({"resource": "PullRequest", "field": field, "code": "invalid"}));
            tips.get(branch).cloned().ok_or_else(unknown)
        };
        let (head_sha, base_sha) = (tip("head", &head)?, tip("base", &base)?);
        self.may_open(site, (&head, &head_sha), (&base, &base_sha))?;
        let pull = Pull {
            number: self.pulls.len() as u64 + 1,
            title,
            body: body["body"].as_str().map(str::to_owned),
            author: caller.login.clone(),
            draft: body["draft"] == true,
            open: true,
            head,
            head_sha,
            base,
            base_sha,
            labels: Vec::new(),
            assignees: Vec::new(),
            reviewers: Vec::new(),
            team_reviewers: Vec::new(),
            milestone: None,
            comments: Vec::new(),
            auto_merge: None,
            queued: false,
            merged: None,
            created_at: self.now,
            updated_at: self.now,
            closed_at: None,
            mergeable_state: "blocked",
        };
        self.pulls.push(pull.clone());
        let mut reply = Reply::new(201, shown::pull(site, self, &pull));
        reply.headers.push(("location", format!("{}/pulls/{}", site.repository(), pull.number)));
        Ok(reply)
    }

    /// Refuses what GitHub does not open: a second pull request between two branches, and one without commits.
    fn may_open(&self, site: &Site, head: (&str, &str), base: (&str, &str)) -> Result<(), Reply> {
        let refuse = |said: String| Err(Reply::invalid(json!({"resource": "PullRequest", "code": "custom", "message": said})));
        if self.between(head.0, base.0).is_some() {
            return refuse(format!("A pull request already exists for {OWNER}:{}.", head.0));
        }
        if is_within(&site.bare, head.1, base.1) {
            return refuse(format!("No commits between {} and {}", base.0, head.0));
        }
        Ok(())
    }

    /// What an edit of a pull request and of its issue have in common.
    pub(super) fn edit(&mut self, site: &Site, number: u64, resource: &str, body: &Json) -> Result<(), Reply> {
        fits(resource, body)?;
        if body["title"].as_str().is_some_and(str::is_empty) {
            return Err(Reply::invalid(json!({"resource": resource, "code": "missing_field", "field": "title"})));
        }
        if let Some(base) = body["base"].as_str() {
            self.retarget(site, number, base)?;
        }
        let open = self.pull(number).unwrap().open;
        match body["state"].as_str() {
            Some("open") if !open => self.reopen(site, number).map_or(Ok(()), Err)?,
            Some("closed") if open => {
                let now = self.now;
                self.pull(number).unwrap().close(now);
            }
            _ => {}
        }
        let (now, pull) = (self.now, self.pull(number).unwrap());
        if let Some(title) = body["title"].as_str() {
            title.clone_into(&mut pull.title);
        }
        if let Some(text) = body.get("body") {
            pull.body = text.as_str().map(str::to_owned);
        }
        pull.updated_at = now;
        Ok(())
    }

    fn retarget(&mut self, site: &Site, number: u64, base: &str) -> Result<(), Reply> {
        let pull = self.pull(number).unwrap().clone();
        if pull.base == base {
            return Ok(());
        }
        let unknown = || Reply::invalid(json!({"resource": "PullRequest", "field": "base", "code": "invalid"}));
        let tip = tips(&site.bare).remove(base).ok_or_else(unknown)?;
        if !pull.open {
            let said = "Cannot change the base branch of a closed pull request.";
            return Err(Reply::invalid(json!({"resource": "PullRequest", "code": "custom", "field": "base", "message": said})));
        }
        self.may_open(site, (&pull.head, &pull.head_sha), (base, &tip))?;
        let pull = self.pull(number).unwrap();
        base.clone_into(&mut pull.base);
        pull.base_sha = tip;
        Ok(())
    }

    /// Opens a pull request again, or tells why not.
    pub(super) fn reopen(&mut self, site: &Site, number: u64) -> Option<Reply> {
        let pull = self.pull(number).unwrap_or_else(|| panic!("there is no pull request {number}")).clone();
        let refuse = |said: &str| {
            let message = format!("state cannot be changed. {said}");
            Some(Reply::invalid(json!({"resource": "PullRequest", "field": "state", "code": "invalid", "message": message})))
        };
        let tips = tips(&site.bare);
        if pull.merged.is_some() {
            return refuse("The pull request cannot be reopened.");
        }
        let Some(head) = tips.get(&pull.head) else { return refuse(&format!("The {} branch has been deleted.", pull.head)) };
        let Some(base) = tips.get(&pull.base) else { return refuse(&format!("The {} branch has been deleted.", pull.base)) };
        if !is_within(&site.bare, &pull.head_sha, head) {
            return refuse(&format!("The {} branch was force-pushed or recreated.", pull.head));
        }
        if self.between(&pull.head, &pull.base).is_some() {
            return refuse(&format!("There is already an open pull request from {} to {}.", pull.head, pull.base));
        }
        if is_within(&site.bare, head, base) {
            return refuse(&format!("There are no new commits on the {} branch.", pull.head));
        }
        let (now, pull) = (self.now, self.pull(number).unwrap());
        pull.open = true;
        pull.closed_at = None;
        pull.updated_at = now;
        pull.head_sha.clone_from(head);
        pull.base_sha.clone_from(base);
        None
    }

    fn request_reviews(&mut self, number: u64, body: &Json) -> Result<(), Reply> {
        let names = |field: &str| {
            let list = body[field].as_array().cloned().unwrap_or_default();
            list.iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        };
        let (users, teams) = (names("reviewers"), names("team_reviewers"));
        let (now, pull) = (self.now, self.pull(number).unwrap());
        if users.contains(&pull.author) {
            return Err(Reply::error(422, "Review cannot be requested from pull request author."));
        }
        if !users.iter().all(|login| is_member(login)) || teams.iter().any(|slug| slug != TEAM) {
            let said = "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a collaborator \
                        of the shop/config repository.";
            return Err(Reply::error(422, said));
        }
        for (known, added) in [(&mut pull.reviewers, users), (&mut pull.team_reviewers, teams)] {
            known.extend(added);
            known.sort();
            known.dedup();
        }
        pull.updated_at = now;
        Ok(())
    }
}
