//! The REST API: what is asked for by which method and path, and what comes of it.

use serde_json::{Value as Json, json};

use super::json as shown;
use super::log::Logged;
use super::state::State;
use super::{BOT, COLLABORATORS, GRAPHQL, INSTALLATION, OWNER, PERSON, REPOSITORY, Reply, Site, tokens};

/// How long texts may be.
const MOST: [(&str, usize); 2] = [("title", 256), ("body", 65_536)];

impl State {
    /// Answers any request.
    pub(super) fn answer(&mut self, site: &Site, asked: &Logged) -> Reply {
        self.try_answer(site, asked).unwrap_or_else(|refusal| refusal)
    }

    fn try_answer(&mut self, site: &Site, asked: &Logged) -> Result<Reply, Reply> {
        let segments = asked.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let method = asked.method.as_str();
        let body = asked.body.clone().unwrap_or_else(|| json!({}));
        if body.is_string() {
            return Err(Reply::error(400, "Problems parsing JSON"));
        }
        match (method, path.as_slice()) {
            ("GET", ["app"]) => return tokens::app(asked).map(|()| Reply::new(200, shown::app(site))),
            ("POST", ["app", "installations", id, "access_tokens"]) => {
                return tokens::app(asked).map(|()| self.issue_token(site, id, &body));
            }
            ("GET", ["app", "installations", id]) if *id == INSTALLATION.to_string() => {
                return tokens::app(asked).map(|()| Reply::new(200, shown::installation(site)));
            }
            ("GET", ["repos", OWNER, REPOSITORY, "installation"]) => {
                return tokens::app(asked).map(|()| Reply::new(200, shown::installation(site)));
            }
            _ => {}
        }
        let caller = self.caller(asked)?;
        if path == ["rate_limit"] {
            return Ok(Reply::new(200, self.limits.overview()));
        }
        if let Some(refusal) = self.limits.count(self.now, asked.is_mutation()) {
            return Err(refusal);
        }
        if method == "POST" && asked.path == GRAPHQL {
            return Ok(self.graphql(site, &body));
        }
        let ["repos", OWNER, REPOSITORY, rest @ ..] = path.as_slice() else { return Err(Reply::not_found()) };
        match (method, rest) {
            ("GET", []) => Ok(Reply::new(200, shown::full_repository(site, self))),
            ("GET", ["pulls"]) => Ok(self.list(site, asked)),
            ("POST", ["pulls"]) => self.create(site, &caller, &body),
            (_, ["pulls", number, rest @ ..]) => self.on_pull(site, &caller, (method, self.known(number)?, rest), &body),
            ("PATCH", ["issues", "comments", id]) => self.edit_comment(site, &caller, id, &body),
            (_, ["issues", number, rest @ ..]) => self.on_issue(site, &caller, (method, self.known(number)?, rest), asked, &body),
            _ => Err(Reply::untaught()),
        }
    }

    /// The number of a pull request that exists.
    fn known(&self, number: &str) -> Result<u64, Reply> {
        let number = number.parse().ok().filter(|number| self.pulls.iter().any(|pull| pull.number == *number));
        number.ok_or_else(Reply::not_found)
    }
}

/// Whether someone may be assigned or asked.
pub(super) fn is_member(login: &str) -> bool {
    [BOT, PERSON].into_iter().chain(COLLABORATORS).any(|known| known == login)
}

/// Refuses texts that are too long.
pub(super) fn fits(resource: &str, body: &Json) -> Result<(), Reply> {
    for (field, most) in MOST {
        if body[field].as_str().is_some_and(|text| text.chars().count() > most) {
            let message = format!("{field} is too long (maximum is {most} characters)");
            return Err(Reply::invalid(json!({"resource": resource, "code": "custom", "field": field, "message": message})));
        }
    }
    Ok(())
}

/// One page of a list, and the way to the others.
pub(super) fn page(site: &Site, asked: &Logged, all: Vec<Json>) -> Reply {
    let number = |name: &str, default: usize| asked.parameter(name).and_then(|text| text.parse().ok()).unwrap_or(default).max(1);
    let (most, page) = (number("per_page", 30).min(100), number("page", 1));
    let pages = all.len().div_ceil(most).max(1);
    let link = |to: usize, relation: &str| {
        // GitHub's links name the repository by its number.
        let rest = asked.segments()[3..].join("/");
        let mut url = url::Url::parse(&format!("{}/repositories/{}/{rest}", site.api(), shown::REPOSITORY_ID)).unwrap();
        let others = asked.query.iter().filter(|(name, _)| name != "page");
        url.query_pairs_mut().extend_pairs(others).append_pair("page", &to.to_string());
        format!("<{url}>; rel=\"{relation}\"")
    };
    let mut links = Vec::new();
    if page > 1 {
        links.extend([link((page - 1).min(pages), "prev"), link(1, "first")]);
    }
    if page < pages {
        links.extend([link(page + 1, "next"), link(pages, "last")]);
    }
    let mut reply = Reply::new(200, all.into_iter().skip((page - 1) * most).take(most).collect());
    if !links.is_empty() {
        reply.headers.push(("link", links.join(", ")));
    }
    reply
}
