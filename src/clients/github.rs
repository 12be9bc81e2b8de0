//! Pull requests on GitHub and GitHub Enterprise. One call a method, without decisions.

mod access;
mod budget;
mod error;
mod settings;

use chrono::{DateTime, Utc};
use octocrab::Octocrab;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::access::Access;
use self::budget::Budget;
pub use self::error::{GithubError, Trouble};
pub use self::settings::{App, Settings, Slug};
use crate::clients::clock;
use crate::clients::secret::Secret;
use crate::clients::store::Store;
use crate::model::policy::delta;

/// How many pull requests GitHub tells at once.
const PAGE: usize = 100;
/// How often a reading call is made that fails for reasons of the moment.
const READS: u32 = 3;
/// How often a call is made that GitHub puts off.
const ASKED: u32 = 3;

/// A repository on GitHub.
#[derive(Debug)]
pub struct Github {
    settings: Settings,
    slug: Slug,
    access: Access,
    budget: Budget,
}

/// A pull request, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// Its id in GraphQL.
    pub node_id: String,
    /// Where people look at it.
    pub html_url: String,
    /// Whether it is open.
    pub state: State,
    /// What people read.
    #[serde(default, deserialize_with = "or_empty")]
    pub body: String,
    /// When anything about it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was merged.
    pub merged_at: Option<DateTime<Utc>>,
    /// The commit on the other branch that merged it; before that, one that tries it out.
    pub merge_commit_sha: Option<String>,
    /// When it was closed, merged or not.
    pub closed_at: Option<DateTime<Utc>>,
    /// Its branch.
    pub head: Head,
    /// The branch that it is to be merged into.
    pub base: Head,
    /// Its labels.
    pub labels: Vec<Label>,
    /// Who is to see to it.
    #[serde(default)]
    pub assignees: Vec<Login>,
}

/// Whether a pull request is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits.
    Open,
    /// It was closed or merged.
    Closed,
}

/// How a pull request is merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MergeMethod {
    /// By a merge commit.
    Merge,
    /// As one commit.
    #[default]
    Squash,
    /// Commit by commit.
    Rebase,
}

/// A branch of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// Its name.
    #[serde(rename = "ref")]
    pub name: String,
    /// Its tip.
    pub sha: String,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// Its name.
    pub name: String,
}

/// Someone on GitHub.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Login {
    /// Their name there.
    pub login: String,
}

/// A pull request to open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewPull<'a> {
    /// Its title, of at most 256 characters.
    pub title: &'a str,
    /// What people read, of at most 65,536 characters.
    pub body: &'a str,
    /// Our branch.
    pub head: &'a str,
    /// The branch that it is to be merged into.
    pub base: &'a str,
    /// Whether it is a draft.
    pub draft: bool,
}

/// What an edit changes of a pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PullEdit<'a> {
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    /// What people read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<&'a str>,
    /// Whether it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
}

/// What a new pull request is given besides its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dress<'a> {
    /// Its text from then on.
    pub body: &'a str,
    /// Labels, made where they are missing.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub labels: &'a [String],
    /// Who is to see to it.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub assignees: &'a [String],
    /// The number of a milestone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milestone: Option<u64>,
}

impl Github {
    /// Reads the credentials. Nothing is asked yet. What is asked is counted in the state, so that the runs that share it keep to GitHub's
    /// rate limits together.
    pub fn open(settings: &Settings, slug: Slug, store: Store) -> Result<Self, GithubError> {
        let budget = Budget::new(store, delta(settings.patience));
        Ok(Self { settings: settings.clone(), access: Access::open(settings, &slug)?, slug, budget })
    }

    /// The repository's owner and name.
    pub fn slug(&self) -> &Slug {
        &self.slug
    }

    /// The host that git speaks to.
    pub fn host(&self) -> Option<String> {
        let host = url::Url::parse(&self.settings.url).ok()?.host_str()?.to_owned();
        // GitHub's own, and GitHub Enterprise Cloud with data residency.
        let api = host.strip_prefix("api.").filter(|rest| *rest == "github.com" || rest.ends_with(".ghe.com"));
        Some(api.map_or_else(|| host.clone(), str::to_owned))
    }

    /// A token that git can use as a password over https.
    pub async fn token(&self) -> Result<Secret, GithubError> {
        self.access.token().await
    }

    /// The pull requests from a branch of this repository into whichever, open or not: the hundred that moved last, and all that moved since.
    pub async fn pulls(&self, branch: &str, since: Option<DateTime<Utc>>) -> Result<Vec<Pull>, GithubError> {
        let Slug { owner, .. } = &self.slug;
        let head: String = url::form_urlencoded::byte_serialize(format!("{owner}:{branch}").as_bytes()).collect();
        let path = format!("{}/pulls?state=all&sort=updated&direction=desc&per_page={PAGE}&head={head}", self.repository());
        let doing = format!("list the pull requests of `{branch}`");
        let mut pulls: Vec<Pull> = self.read(&doing, &path).await?;
        let mut page = 1;
        while pulls.len() == PAGE * page && since.zip(pulls.last()).is_some_and(|(since, last)| last.updated_at >= since) {
            page += 1;
            pulls.extend(self.read::<Vec<Pull>>(&doing, &format!("{path}&page={page}")).await?);
        }
        pulls.retain(|pull| pull.head.name == branch);
        Ok(pulls)
    }

    /// Opens a pull request. [`Trouble::Exists`] where the branch has one.
    pub async fn create(&self, pull: &NewPull<'_>) -> Result<Pull, GithubError> {
        self.write("open a pull request", "POST", &format!("{}/pulls", self.repository()), pull).await
    }

    /// Changes a pull request's text, or closes it.
    pub async fn edit(&self, number: u64, edit: &PullEdit<'_>) -> Result<Pull, GithubError> {
        self.write(&format!("edit pull request #{number}"), "PATCH", &format!("{}/pulls/{number}", self.repository()), edit).await
    }

    /// Gives a pull request labels, assignees, a milestone and its text.
    pub async fn dress(&self, number: u64, dress: &Dress<'_>) -> Result<(), GithubError> {
        let path = format!("{}/issues/{number}", self.repository());
        self.write(&format!("label pull request #{number}"), "PATCH", &path, dress).await.map(|_: Value| ())
    }

    /// Asks people and teams to review.
    pub async fn request_reviewers(&self, number: u64, people: &[String], teams: &[String]) -> Result<(), GithubError> {
        let path = format!("{}/pulls/{number}/requested_reviewers", self.repository());
        let body = json!({"reviewers": people, "team_reviewers": teams});
        self.write(&format!("ask for reviews of pull request #{number}"), "POST", &path, &body).await.map(|_: Value| ())
    }

    /// Writes a comment on a pull request.
    pub async fn comment(&self, number: u64, text: &str) -> Result<(), GithubError> {
        let path = format!("{}/issues/{number}/comments", self.repository());
        self.write(&format!("comment on pull request #{number}"), "POST", &path, &json!({"body": text})).await.map(|_: Value| ())
    }

    /// Whether a pull request waits in a merge queue.
    pub async fn is_queued(&self, pull: &Pull) -> Result<bool, GithubError> {
        let query = "query($id: ID!) { node(id: $id) { ... on PullRequest { isInMergeQueue } } }";
        let doing = format!("ask whether pull request #{} is in a merge queue", pull.number);
        let told = self.graphql(&doing, query, json!({"id": pull.node_id})).await?;
        Ok(told["node"]["isInMergeQueue"].as_bool().unwrap_or(false))
    }

    /// Has a pull request merged once its checks and reviews allow it.
    pub async fn auto_merge(&self, pull: &Pull, method: MergeMethod) -> Result<(), GithubError> {
        let query = "mutation($id: ID!, $method: PullRequestMergeMethod!) { enablePullRequestAutoMerge(input: {pullRequestId: $id, \
                     mergeMethod: $method}) { clientMutationId } }";
        let method = match method {
            MergeMethod::Merge => "MERGE",
            MergeMethod::Squash => "SQUASH",
            MergeMethod::Rebase => "REBASE",
        };
        let doing = format!("switch on auto-merge of pull request #{}", pull.number);
        self.graphql(&doing, query, json!({"id": pull.node_id, "method": method})).await.map(|_| ())
    }

    fn repository(&self) -> String {
        let Slug { owner, name } = &self.slug;
        format!("/repos/{owner}/{name}")
    }

    async fn graphql(&self, doing: &str, query: &str, variables: Value) -> Result<Value, GithubError> {
        let graph = self.access.graph().await?;
        let body = json!({"query": query, "variables": variables});
        let writes = query.starts_with("mutation");
        let answer: Value = self.ask(&graph, doing, ("POST", "/graphql"), Some(&body), writes).await?;
        match answer["errors"].as_array().filter(|errors| !errors.is_empty()) {
            Some(errors) => {
                let said: Vec<&str> = errors.iter().filter_map(|error| error["message"].as_str()).collect();
                // GraphQL says so with a status of success.
                if errors.iter().any(|error| error["type"] == "RATE_LIMITED") {
                    let until = clock::now() + error::REST;
                    self.budget.rest(until).await;
                    return Err(GithubError::resting(doing, until));
                }
                Err(GithubError::refused(doing, said.join("; ")))
            }
            None => Ok(answer["data"].clone()),
        }
    }

    /// A call that changes nothing, and so may be made again.
    async fn read<T: DeserializeOwned>(&self, doing: &str, path: &str) -> Result<T, GithubError> {
        let rest = self.access.rest().await?;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.ask(&rest, doing, ("GET", path), None::<&Value>, false).await {
                Err(error) if error.is_passing() && tries < READS => {
                    tracing::debug!(%error, tries, "asking GitHub again");
                    tokio::time::sleep(self.settings.pause * tries).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// A call that changes something: it is made once. What became of one that broke is for the caller to read.
    async fn write<T: DeserializeOwned>(&self, doing: &str, method: &str, path: &str, body: &impl Serialize) -> Result<T, GithubError> {
        self.ask(&self.access.rest().await?, doing, (method, path), Some(body), true).await
    }

    /// Asks within the budget. What GitHub puts off it has not done, so that it is asked again.
    async fn ask<T: DeserializeOwned>(
        &self,
        client: &Octocrab,
        doing: &str,
        (method, path): (&str, &str),
        body: Option<&(impl Serialize + ?Sized)>,
        writes: bool,
    ) -> Result<T, GithubError> {
        let mut tries = 0;
        loop {
            tries += 1;
            self.budget.admit(doing, writes).await?;
            let outcome = call(client, doing, method, path, body).await;
            let Err(error) = &outcome else { return outcome };
            let Trouble::Limited { until } = error.trouble else { return outcome };
            self.budget.rest(until).await;
            if tries == ASKED {
                return outcome;
            }
        }
    }
}

/// One request and its answer.
async fn call<T: DeserializeOwned>(
    client: &Octocrab,
    doing: &str,
    method: &str,
    path: &str,
    body: Option<&(impl Serialize + ?Sized)>,
) -> Result<T, GithubError> {
    let broken = |error: octocrab::Error| GithubError::unreachable(doing, &error);
    let request = http::Request::builder().method(method).uri(path).header("x-github-api-version", "2022-11-28");
    let request = client.build_request(request, body).map_err(broken)?;
    let answer = client.execute(request).await.map_err(broken)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let text = client.body_to_string(answer).await.map_err(broken)?;
    tracing::debug!(method, path, status = status.as_u16(), "asked GitHub");
    if !status.is_success() {
        return Err(GithubError::answered(doing, status, &headers, &text, clock::now()));
    }
    serde_json::from_str(&text).map_err(|error| GithubError::unreadable(doing, &error))
}

/// `null` is the empty text.
fn or_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
