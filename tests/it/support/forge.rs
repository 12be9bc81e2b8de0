//! GitHub's API on loopback, as a GitHub Enterprise Server has it, over a real bare repository: pull requests with their state, the people
//! who act on them, faults, limits, a clock and a log. What was asked of it is held to GitHub's own description of its API.

mod graphql;
mod issues;
mod json;
mod limits;
mod log;
mod openapi;
mod people;
mod pulls;
mod rest;
mod state;
mod tokens;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Extracted};
use axum::http::HeaderValue;
use axum::response::Response;
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

pub(crate) use log::Logged;
pub(crate) use people::People;

use state::State;

/// Who owns the only repository.
pub(crate) const OWNER: &str = "shop";
/// The only repository.
pub(crate) const REPOSITORY: &str = "config";
/// A token that is always good; it acts as [`BOT`].
pub(crate) const TOKEN: &str = "github_pat_11CANARY0_4c1d9e7ab2";
/// Whose [`TOKEN`] is.
pub(crate) const BOT: &str = "prescale-bot";
/// The app, as which installation tokens act.
pub(crate) const APP: &str = "prescale-app";
/// The app's installation on the repository.
pub(crate) const INSTALLATION: u64 = 4242;
/// Who does what [`People`] does.
pub(crate) const PERSON: &str = "someone-else";
/// Who may be assigned or asked for a review, besides those above.
pub(crate) const COLLABORATORS: [&str; 3] = ["ann", "ben", "cleo"];
/// The only team.
pub(crate) const TEAM: &str = "platform";
/// The only milestone's title; its number is 1.
pub(crate) const MILESTONE: &str = "Peak season";

/// What goes wrong, for requests whose method and path, as in `POST /repos/shop/config/pulls?x=y`, hold the text.
pub(crate) enum Fault {
    /// This status, with these headers and this body, and nothing is done.
    Status(u16, &'static [(&'static str, &'static str)], &'static str),
    /// The connection is closed before anything is done.
    DropBefore,
    /// All is done, and the connection is closed before it can be told.
    DropAfter,
    /// Nothing is ever answered, nor done.
    Hang,
    /// People do something, once, before the request is seen to.
    First(Box<dyn FnOnce(&People) + Send>),
}

/// A running fake. When it is dropped it stops, and fails the test if GitHub would not have understood what was asked of it.
pub(crate) struct Forge {
    people: People,
    runtime: Option<tokio::runtime::Runtime>,
}

/// Where everything is.
#[derive(Debug)]
struct Site {
    bare: PathBuf,
    host: String,
}

impl Site {
    fn api(&self) -> String {
        format!("{}{REST}", self.host)
    }

    fn repository(&self) -> String {
        format!("{}/repos/{OWNER}/{REPOSITORY}", self.api())
    }

    fn web(&self) -> String {
        format!("{}/{OWNER}/{REPOSITORY}", self.host)
    }
}

/// Under which path the REST API is.
const REST: &str = "/api/v3";
/// The path of the GraphQL API.
const GRAPHQL: &str = "/api/graphql";

struct Shared {
    site: Site,
    state: Mutex<State>,
    log: Mutex<Vec<Logged>>,
    faults: Mutex<Vec<Planned>>,
    broken: Mutex<Vec<String>>,
}

/// A fault that waits for its requests.
struct Planned {
    part: &'static str,
    times: Option<usize>,
    fault: Fault,
}

/// What is answered.
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Json,
}

impl Reply {
    fn new(status: u16, body: Json) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    /// An error in GitHub's words.
    fn error(status: u16, message: &str) -> Self {
        let body = json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string()});
        Self::new(status, body)
    }

    fn not_found() -> Self {
        Self::error(404, "Not Found")
    }

    /// GitHub may know it, but the fake does not.
    fn untaught() -> Self {
        Self::error(501, openapi::UNTAUGHT)
    }

    /// A refusal of what was sent, for one reason.
    #[expect(clippy::needless_pass_by_value, reason = "it is made where it is passed")]
    fn invalid(error: Json) -> Self {
        let mut reply = Self::error(422, "Validation Failed");
        reply.body["errors"] = json!([error]);
        reply
    }
}

impl Forge {
    /// Serves a bare repository as `shop/config`.
    pub(crate) fn start(bare: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let host = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let shared = Shared {
            site: Site { bare: bare.to_owned(), host },
            state: Mutex::new(State::new()),
            log: Mutex::default(),
            faults: Mutex::default(),
            broken: Mutex::default(),
        };
        let people = People(Arc::new(shared));
        let router = Router::new().fallback(answer).with_state(people.clone());
        runtime.spawn(async move { axum::serve(TcpListener::from_std(listener).unwrap(), router).await });
        Self { people, runtime: Some(runtime) }
    }
}

/// What a person can do, a test can do on the forge.
impl std::ops::Deref for Forge {
    type Target = People;

    fn deref(&self) -> &People {
        &self.people
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        // It may be dropped within a test's own runtime, where none may be waited for.
        self.runtime.take().unwrap().shutdown_background();
        if !std::thread::panicking() {
            self.check();
        }
    }
}

/// What a test sees and sets.
impl People {
    /// The address of the REST API.
    pub(crate) fn api(&self) -> String {
        self.0.site.api()
    }

    /// The address of the GraphQL API.
    pub(crate) fn graphql(&self) -> String {
        format!("{}{GRAPHQL}", self.0.site.host)
    }

    /// From now on, requests that fit go wrong. A status and a hang stay until [`People::heal`]; all else happens once.
    pub(crate) fn fault(&self, part: &'static str, fault: Fault) {
        let times = if matches!(fault, Fault::Status(..) | Fault::Hang) { None } else { Some(1) };
        self.0.faults.lock().unwrap().push(Planned { part, times, fault });
    }

    /// As [`People::fault`], for so many requests.
    pub(crate) fn fault_times(&self, part: &'static str, times: usize, fault: Fault) {
        self.0.faults.lock().unwrap().push(Planned { part, times: Some(times), fault });
    }

    /// All goes well again.
    pub(crate) fn heal(&self) {
        self.0.faults.lock().unwrap().clear();
    }

    /// All requests so far.
    pub(crate) fn log(&self) -> Vec<Logged> {
        self.0.log.lock().unwrap().clone()
    }

    /// The requests so far that were to change something: tokens and GraphQL queries are none of them.
    pub(crate) fn mutations(&self) -> Vec<Logged> {
        self.log().into_iter().filter(Logged::is_mutation).collect()
    }

    /// Forgets all requests so far, wrong ones too.
    pub(crate) fn forget(&self) {
        self.0.log.lock().unwrap().clear();
    }

    /// What GitHub would not have understood so far, and what the fake answered otherwise than GitHub would.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found = self.0.broken.lock().unwrap().clone();
        found.extend(self.log().iter().flat_map(openapi::violations));
        found
    }

    /// Fails if there are [`People::violations`].
    pub(crate) fn check(&self) {
        let found = self.violations();
        assert!(found.is_empty(), "not as GitHub's API has it:\n{}", found.join("\n"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.state.lock().unwrap();
        state.refresh(&self.0.site.bare);
        state
    }

    fn take_fault(&self, request: &str) -> Option<Fault> {
        let mut faults = self.0.faults.lock().unwrap();
        let index = faults.iter().position(|planned| request.contains(planned.part))?;
        let planned = &mut faults[index];
        let last = planned.times.is_some_and(|times| times <= 1);
        planned.times = planned.times.map(|times| times.saturating_sub(1));
        match &planned.fault {
            _ if last => Some(faults.remove(index).fault),
            Fault::Status(status, headers, body) => Some(Fault::Status(*status, headers, body)),
            Fault::DropBefore => Some(Fault::DropBefore),
            Fault::DropAfter => Some(Fault::DropAfter),
            Fault::Hang => Some(Fault::Hang),
            Fault::First(_) => Some(faults.remove(index).fault),
        }
    }

    /// Answers a request that nothing befell.
    fn reply(&self, asked: &Logged) -> Reply {
        let mut state = self.state();
        let mut reply = if asked.headers.get("user-agent").is_none_or(HeaderValue::is_empty) {
            let said = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.";
            Reply::new(403, Json::String(said.to_owned()))
        } else {
            state.answer(&self.0.site, asked)
        };
        reply.headers.extend(state.limits.headers());
        reply
    }
}

async fn answer(Extracted(people): Extracted<People>, request: Request) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let asked = Logged::new(&parts, &body);
    let serial = asked.serial;
    people.0.log.lock().unwrap().push(asked.clone());
    let fault = people.take_fault(&asked.line());
    let drop_after = matches!(fault, Some(Fault::DropAfter));
    match fault {
        Some(Fault::DropBefore) => std::panic::resume_unwind(Box::new("dropped")),
        Some(Fault::Hang) => tokio::time::sleep(Duration::from_secs(3600)).await,
        Some(Fault::First(action)) => {
            let acting = people.clone();
            if let Err(e) = tokio::task::spawn_blocking(move || action(&acting)).await {
                people.0.broken.lock().unwrap().push(format!("what people did broke: {e}"));
            }
        }
        Some(Fault::Status(status, headers, body)) => {
            people.note(serial, status, None);
            let response =
                headers.iter().fold(Response::builder().status(status), |response, (name, value)| response.header(*name, *value));
            return Ok(response.body(Body::from(body)).unwrap());
        }
        Some(Fault::DropAfter) | None => {}
    }
    let worker = people.clone();
    let reply = match tokio::task::spawn_blocking(move || worker.reply(&asked)).await {
        Ok(reply) => reply,
        Err(e) => {
            people.0.broken.lock().unwrap().push(format!("the fake itself broke: {e}"));
            Reply::error(500, "the fake itself broke")
        }
    };
    if drop_after {
        std::panic::resume_unwind(Box::new("dropped"));
    }
    let response = Response::builder().status(reply.status);
    let response = reply.headers.into_iter().fold(response, |response, (name, value)| response.header(name, value));
    let (kind, text) = match &reply.body {
        Json::String(text) => ("text/html; charset=utf-8", text.clone()),
        body => ("application/json; charset=utf-8", body.to_string()),
    };
    people.note(serial, reply.status, (!reply.body.is_string()).then_some(reply.body));
    Ok(response.header("content-type", kind).body(Body::from(text)).unwrap())
}
