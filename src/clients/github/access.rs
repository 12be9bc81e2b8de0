//! Who we are on GitHub: a token as given, or one that an App is lent for an hour.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use octocrab::Octocrab;
use octocrab::models::AppId;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::{GithubError, Settings, Slug, call};
use crate::clients::clock;
use crate::clients::secret::Secret;

/// How long GitHub may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A token that ends sooner is asked for anew.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

/// The clients of both APIs.
#[derive(Clone, Debug)]
struct Session {
    rest: Octocrab,
    graph: Octocrab,
    token: Secret,
    until: Option<DateTime<Utc>>,
}

/// How a token is had.
#[derive(Debug)]
enum Source {
    Token(Secret),
    App { app: Box<Octocrab>, installation: Option<u64>, slug: Slug },
}

/// Who we are.
#[derive(Debug)]
pub(super) struct Access {
    url: String,
    source: Source,
    session: Mutex<Option<Session>>,
}

/// What an App is lent.
#[derive(Deserialize)]
struct Lent {
    token: Secret,
    expires_at: DateTime<Utc>,
}

/// An App's installation, and what it was permitted.
#[derive(Deserialize)]
struct Installation {
    id: u64,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
}

impl Access {
    pub(super) fn open(settings: &Settings, slug: &Slug) -> Result<Self, GithubError> {
        let source = match (&settings.token, &settings.token_file, &settings.app) {
            (Some(token), None, None) => Source::Token(token.clone()),
            (None, Some(file), None) => Source::Token(Secret::read(file).map_err(|error| GithubError::settings(error.to_string()))?),
            (None, None, Some(app)) => Source::App {
                app: Box::new(app_client(&settings.url, app.id, &app.private_key_file)?),
                installation: app.installation,
                slug: slug.clone(),
            },
            (None, None, None) => {
                return Err(GithubError::settings("no credentials: set `github.tokenFile` or `github.app`".to_owned()));
            }
            _ => return Err(GithubError::settings("`github.token`, `github.tokenFile` and `github.app`: keep one of them".to_owned())),
        };
        Ok(Self { url: settings.url.trim_end_matches('/').to_owned(), source, session: Mutex::new(None) })
    }

    pub(super) async fn rest(&self) -> Result<Octocrab, GithubError> {
        Ok(self.session().await?.rest)
    }

    pub(super) async fn graph(&self) -> Result<Octocrab, GithubError> {
        Ok(self.session().await?.graph)
    }

    pub(super) async fn token(&self) -> Result<Secret, GithubError> {
        Ok(self.session().await?.token)
    }

    async fn session(&self) -> Result<Session, GithubError> {
        let mut session = self.session.lock().await;
        if let Some(session) = session.as_ref().filter(|session| session.until.is_none_or(|until| until - MARGIN > clock::now())) {
            return Ok(session.clone());
        }
        let (token, until) = match &self.source {
            Source::Token(token) => (token.clone(), None),
            Source::App { app, installation, slug } => {
                let lent = lend(app, *installation, slug).await?;
                (lent.token, Some(lent.expires_at))
            }
        };
        // On GitHub Enterprise the two APIs lie side by side.
        let graph = self.url.strip_suffix("/v3").unwrap_or(&self.url);
        let opened = Session { rest: client(&self.url, Some(&token))?, graph: client(graph, Some(&token))?, token: token.clone(), until };
        *session = Some(opened.clone());
        Ok(opened)
    }
}

/// Asks for a token of the App's installation on the repository.
async fn lend(app: &Octocrab, installation: Option<u64>, slug: &Slug) -> Result<Lent, GithubError> {
    let doing = "get a token for the GitHub App";
    let path = installation.map_or_else(|| format!("/repos/{slug}/installation"), |id| format!("/app/installations/{id}"));
    let Installation { id, permissions } = call(app, doing, "GET", &path, None::<&()>).await?;
    // No more than this repository, and no more than is needed there: teams are asked to review by who may see them.
    let mut wanted =
        json!({"repositories": [slug.name], "permissions": {"contents": "write", "pull_requests": "write", "metadata": "read"}});
    if permissions.contains_key("members") {
        wanted["permissions"]["members"] = "read".into();
    }
    call(app, doing, "POST", &format!("/app/installations/{id}/access_tokens"), Some(&wanted)).await
}

fn app_client(url: &str, id: u64, key: &Path) -> Result<Octocrab, GithubError> {
    let failed = |why: String| {
        GithubError::settings(format!(
            "the key of the GitHub App, {}, cannot be used: {why}; mount the PEM file that GitHub gave there (in a cluster: the Secret `prescale-github-app`, \
             key `private-key.pem`)",
            key.display()
        ))
    };
    let pem = std::fs::read(key).map_err(|error| failed(error.to_string()))?;
    let builder = builder(url)?.app_from_rsa_pem(AppId(id), pem).map_err(|error| failed(error.to_string()))?;
    builder.build().map_err(|error| GithubError::settings(format!("GitHub's client cannot be made: {error}")))
}

fn client(url: &str, token: Option<&Secret>) -> Result<Octocrab, GithubError> {
    let builder = builder(url)?;
    let builder = if let Some(token) = token { builder.personal_token(token.expose()) } else { builder };
    builder.build().map_err(|error| GithubError::settings(format!("GitHub's client cannot be made: {error}")))
}

type Builder =
    octocrab::OctocrabBuilder<octocrab::NoSvc, octocrab::DefaultOctocrabBuilderConfig, octocrab::NoAuth, octocrab::NotLayerReady>;

fn builder(url: &str) -> Result<Builder, GithubError> {
    let wrong = || GithubError::settings(format!("`github.url` is no address of an API: `{url}`"));
    let parsed = url::Url::parse(url).ok().filter(|url| url.has_host() && url.username().is_empty() && url.password().is_none());
    let local = parsed.as_ref().and_then(url::Url::host_str).is_some_and(|host| host == "localhost" || host == "127.0.0.1");
    match parsed.as_ref().map(url::Url::scheme) {
        Some("https") => {}
        Some("http") if local => {}
        Some("http") => return Err(GithubError::settings("`github.url` must be https: a token would travel in the clear".to_owned())),
        _ => return Err(wrong()),
    }
    let builder = Octocrab::builder().base_uri(url).map_err(|_| wrong())?;
    Ok(builder.set_connect_timeout(Some(PATIENCE)).set_read_timeout(Some(PATIENCE)).set_write_timeout(Some(PATIENCE)))
}
