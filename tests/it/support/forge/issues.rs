//! What a pull request has as an issue: labels, assignees, a milestone and comments.

use serde_json::{Value as Json, json};

use super::json as shown;
use super::log::Logged;
use super::rest::{fits, is_member, page};
use super::state::{Comment, State};
use super::tokens::Caller;
use super::{MILESTONE, Reply, Site};

impl State {
    pub(super) fn on_issue(
        &mut self,
        site: &Site,
        caller: &Caller,
        of: (&str, u64, &[&str]),
        asked: &Logged,
        body: &Json,
    ) -> Result<Reply, Reply> {
        let (method, number, rest) = of;
        if method != "GET" {
            caller.may_write(&["issues", "pull_requests"])?;
        }
        let names = |field: &str| {
            let list = body[field].as_array().or(body.as_array()).cloned().unwrap_or_default();
            let name = |item: &Json| item.as_str().or(item["name"].as_str()).unwrap_or_default().to_owned();
            list.iter().map(name).collect::<Vec<_>>()
        };
        match (method, rest) {
            ("GET", []) => {}
            ("PATCH", []) => self.edit_issue(site, number, body, &names)?,
            ("POST", ["labels"]) => {
                self.add_labels(number, &names("labels"));
                return Ok(self.labels_of(site, number));
            }
            ("DELETE", ["labels", label]) => {
                let (now, pull) = (self.now, self.pull(number).unwrap());
                let had = pull.labels.len();
                pull.labels.retain(|known| known != label);
                if pull.labels.len() == had {
                    return Err(Reply::error(404, "Label does not exist"));
                }
                pull.updated_at = now;
                return Ok(self.labels_of(site, number));
            }
            ("POST", ["assignees"]) => {
                let (now, added) = (self.now, names("assignees"));
                let pull = self.pull(number).unwrap();
                // As on GitHub, who cannot be assigned is passed over in silence here.
                let added: Vec<String> = added.into_iter().filter(|login| is_member(login) && !pull.assignees.contains(login)).collect();
                pull.assignees.extend(added);
                pull.updated_at = now;
                let pull = pull.clone();
                return Ok(Reply::new(201, shown::issue(site, self, &pull)));
            }
            ("GET", ["comments"]) => {
                let comments: Vec<Json> =
                    self.pull(number).unwrap().comments.iter().map(|comment| shown::comment(site, number, comment)).collect();
                return Ok(page(site, asked, comments));
            }
            ("POST", ["comments"]) => return self.comment(site, caller, number, body),
            _ => return Err(Reply::untaught()),
        }
        let pull = self.pull(number).unwrap().clone();
        Ok(Reply::new(200, shown::issue(site, self, &pull)))
    }

    fn labels_of(&mut self, site: &Site, number: u64) -> Reply {
        let labels = self.pull(number).unwrap().labels.clone();
        Reply::new(200, shown::labels(site, self, &labels))
    }

    /// Adds labels; those that the repository does not have are made.
    pub(super) fn add_labels(&mut self, number: u64, names: &[String]) {
        let now = self.now;
        for name in names {
            if !self.labels.contains(name) {
                self.labels.push(name.clone());
            }
            let pull = self.pull(number).unwrap_or_else(|| panic!("there is no pull request {number}"));
            if !pull.labels.contains(name) {
                pull.labels.push(name.clone());
            }
            pull.updated_at = now;
        }
    }

    fn edit_issue(&mut self, site: &Site, number: u64, body: &Json, names: &dyn Fn(&str) -> Vec<String>) -> Result<(), Reply> {
        let invalid = |field: &str| Reply::invalid(json!({"resource": "Issue", "field": field, "code": "invalid", "value": body[field]}));
        if names("assignees").iter().any(|login| !is_member(login)) && body["assignees"].is_array() {
            return Err(invalid("assignees"));
        }
        if !body["milestone"].is_null() && body["milestone"] != 1 && body["milestone"] != MILESTONE {
            return Err(invalid("milestone"));
        }
        self.edit(site, number, "Issue", body)?;
        if body["labels"].is_array() {
            self.pull(number).unwrap().labels.clear();
            self.add_labels(number, &names("labels"));
        }
        let pull = self.pull(number).unwrap();
        if body["assignees"].is_array() {
            pull.assignees = names("assignees");
        }
        if let Some(milestone) = body.get("milestone") {
            pull.milestone = (!milestone.is_null()).then_some(1);
        }
        Ok(())
    }

    fn comment(&mut self, site: &Site, caller: &Caller, number: u64, body: &Json) -> Result<Reply, Reply> {
        let Some(text) = body["body"].as_str().filter(|text| !text.trim().is_empty()) else {
            return Err(Reply::invalid(json!({"resource": "IssueComment", "code": "missing_field", "field": "body"})));
        };
        fits("IssueComment", body)?;
        let (id, now) = (self.next_comment, self.now);
        self.next_comment += 1;
        let comment = Comment { id, author: caller.login.clone(), body: text.to_owned(), created_at: now, updated_at: now };
        let reply = Reply::new(201, shown::comment(site, number, &comment));
        let pull = self.pull(number).unwrap();
        pull.comments.push(comment);
        pull.updated_at = now;
        Ok(reply)
    }

    pub(super) fn edit_comment(&mut self, site: &Site, caller: &Caller, id: &str, body: &Json) -> Result<Reply, Reply> {
        caller.may_write(&["issues", "pull_requests"])?;
        fits("IssueComment", body)?;
        let now = self.now;
        let comments = self.pulls.iter_mut().flat_map(|pull| pull.comments.iter_mut().map(|comment| (pull.number, comment)));
        let (number, comment) = comments.into_iter().find(|(_, comment)| comment.id.to_string() == id).ok_or_else(Reply::not_found)?;
        body["body"].as_str().unwrap_or_default().clone_into(&mut comment.body);
        comment.updated_at = now;
        Ok(Reply::new(200, shown::comment(site, number, comment)))
    }
}
