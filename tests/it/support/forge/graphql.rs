//! As much of the GraphQL API as nothing else offers: the merge queue, merging by itself, drafts. A request is known by its words, and is
//! answered with those known fields that it names.

use serde_json::{Value as Json, json};

use super::json::{time, user};
use super::openapi::UNTAUGHT;
use super::state::{Pull, State};
use super::{OWNER, REPOSITORY, Reply, Site};

/// The mutations that are known.
const MUTATIONS: [&str; 6] = [
    "enablePullRequestAutoMerge",
    "disablePullRequestAutoMerge",
    "enqueuePullRequest",
    "dequeuePullRequest",
    "markPullRequestReadyForReview",
    "convertPullRequestToDraft",
];

impl State {
    pub(super) fn graphql(&mut self, site: &Site, body: &Json) -> Reply {
        let query = body["query"].as_str().unwrap_or_default();
        let answer =
            if query.trim_start().starts_with("mutation") { self.mutate(site, query, body) } else { self.query(site, query, body) };
        Reply::new(200, answer.unwrap_or_else(|error| json!({"data": null, "errors": [error]})))
    }

    fn query(&mut self, site: &Site, query: &str, body: &Json) -> Result<Json, Json> {
        let variables = &body["variables"];
        let mut values = variables.as_object().into_iter().flat_map(|variables| variables.values());
        if query.contains("node(") {
            let id = values.find_map(|value| self.pulls.iter().find(|pull| *value == pull.node()));
            let pull = id.ok_or_else(|| error("NOT_FOUND", "Could not resolve to a node with the global id."))?;
            return Ok(json!({"data": {"node": fields(site, pull, query)}}));
        }
        if !query.contains("pullRequest(") {
            return Err(error("undefinedField", UNTAUGHT));
        }
        if ["owner", "name", "repo"].iter().any(|name| variables[*name].as_str().is_some_and(|value| value != OWNER && value != REPOSITORY))
        {
            return Err(error("NOT_FOUND", "Could not resolve to a Repository with the name."));
        }
        let within = query.split("pullRequest(").nth(1).and_then(|rest| rest.split(')').next()).unwrap_or_default();
        let number = values.find_map(Json::as_u64).or_else(|| within.trim_start_matches("number:").trim().parse().ok());
        let pull = number.and_then(|number| self.pull(number));
        let pull = pull.ok_or_else(|| error("NOT_FOUND", "Could not resolve to a PullRequest with the number."))?;
        Ok(json!({"data": {"repository": {"pullRequest": fields(site, pull, query)}}}))
    }

    fn mutate(&mut self, site: &Site, query: &str, body: &Json) -> Result<Json, Json> {
        let mutation = MUTATIONS.into_iter().find(|name| query.contains(name));
        let mutation = mutation.ok_or_else(|| error("undefinedField", UNTAUGHT))?;
        let variables = body["variables"].to_string();
        let named = |text: &str| query.contains(text) || variables.contains(text);
        let (now, allowed) = (self.now, self.auto_merge);
        let pull = self.pulls.iter_mut().find(|pull| named(&pull.node()));
        let pull = pull.ok_or_else(|| error("NOT_FOUND", "Could not resolve to a node with the global id."))?;
        let refuse = |why: &str| Err(error("UNPROCESSABLE", &format!("Pull request {why}")));
        if !pull.open {
            return refuse("is closed");
        }
        match mutation {
            "enablePullRequestAutoMerge" if !allowed => return refuse("Auto merge is not allowed for this repository"),
            "enablePullRequestAutoMerge" if pull.mergeable_state == "clean" => return refuse("Pull request is in clean status"),
            "enablePullRequestAutoMerge" => {
                let method = ["SQUASH", "REBASE"].into_iter().find(|method| named(method)).unwrap_or("MERGE");
                pull.auto_merge = Some(method.to_owned());
            }
            "disablePullRequestAutoMerge" => pull.auto_merge = None,
            "enqueuePullRequest" => pull.queued = true,
            "dequeuePullRequest" => pull.queued = false,
            "markPullRequestReadyForReview" => pull.draft = false,
            _ => pull.draft = true,
        }
        pull.updated_at = now;
        Ok(json!({"data": {mutation: {"clientMutationId": null, "pullRequest": fields(site, pull, query)}}}))
    }
}

fn error(kind: &str, message: &str) -> Json {
    json!({"type": kind, "path": [], "locations": [{"line": 1, "column": 1}], "message": message})
}

/// The fields of a pull request that a query names.
fn fields(site: &Site, pull: &Pull, query: &str) -> Json {
    let state = match (pull.open, &pull.merged) {
        (true, _) => "OPEN",
        (false, Some(_)) => "MERGED",
        (false, None) => "CLOSED",
    };
    let auto_merge = pull.auto_merge.as_ref().map(|method| {
        json!({"enabledAt": time(pull.updated_at), "mergeMethod": method, "enabledBy": {"login": user(site, &pull.author)["login"]}})
    });
    let mut shown = json!({
        "id": pull.node(), "number": pull.number, "title": pull.title, "body": pull.body.clone().unwrap_or_default(), "state": state,
        "isDraft": pull.draft, "isInMergeQueue": pull.queued, "autoMergeRequest": auto_merge, "headRefName": pull.head,
        "headRefOid": pull.head_sha, "baseRefName": pull.base, "baseRefOid": pull.base_sha, "merged": pull.merged.is_some(),
        "mergeStateStatus": pull.mergeable_state.to_uppercase(), "url": format!("{}/pull/{}", site.web(), pull.number),
    });
    let named: Vec<&str> = query.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    shown.as_object_mut().unwrap().retain(|name, _| named.contains(&name.as_str()));
    shown
}
