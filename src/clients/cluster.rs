//! The Kubernetes API, read only: lists, page by page. Nothing here can write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use crate::model::policy::duration;

/// So often a list that fails for now is asked for.
const TRIES: u32 = 3;
/// So long is waited before the second try, and twice as long before the next.
const PAUSE: Duration = Duration::from_millis(250);
/// Objects a page at the last try.
const LARGEST_PAGE: u32 = 5000;
/// So often a list is begun anew whose pages became too old on the way.
const RESTARTS: u32 = 3;
/// What every pod finds in its environment: the API server of the cluster that it runs in.
const HOST: &str = "KUBERNETES_SERVICE_HOST";
/// Where a pod has the token of its ServiceAccount, if it mounts one.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How to reach a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// `auto` (in a pod with a token of its ServiceAccount, the cluster around it), `kubeconfig` (as kubectl finds it), or `none`. Default: `auto`.
    pub from: Access,
    /// Which file, instead of where kubectl looks. Default: none.
    pub kubeconfig: Option<PathBuf>,
    /// Which context of the kubeconfig. Default: the current one.
    pub context: Option<String>,
    /// Where Argo CD keeps its Applications. Default: all namespaces, or where that is not granted, `argocd`.
    pub argocd_namespace: Option<String>,
    /// Objects a page. Default: 500.
    pub page_size: u32,
    /// How long one page may take. Default: 30s.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

/// Where the credentials come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// In a pod the token of its ServiceAccount; elsewhere, and where none is mounted, no cluster is read.
    #[default]
    Auto,
    /// A kubeconfig.
    Kubeconfig,
    /// No cluster is read.
    None,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            from: Access::Auto,
            kubeconfig: None,
            context: None,
            argocd_namespace: None,
            page_size: 500,
            timeout: Duration::from_secs(30),
        }
    }
}

/// A cluster that can be asked.
pub struct Cluster {
    client: Client,
    server: String,
    settings: Settings,
}

/// What is listed: the group and version (`v1`, `apps/v1`), and the plural.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// `v1`, or the group and its version.
    pub api: &'static str,
    /// The plural, as in a Role.
    pub plural: &'static str,
    /// Which of them, as a field selector. Absent for all.
    pub fields: Option<&'static str>,
}

/// A list that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There are no credentials, or they are of no use.
    #[error("no cluster can be reached: {0}; correct `cluster`, or set `cluster.from: none`")]
    NoAccess(String),
    /// A pod's own credentials are there, and of no use.
    #[error(
        "the cluster around this pod cannot be reached with the mounted token of its ServiceAccount: {0}; mend what is in \
         /var/run/secrets/kubernetes.io/serviceaccount (`token`, `ca.crt` and `namespace`), or set `cluster.from: none`"
    )]
    NoAccount(String),
    /// This may not be read.
    #[error("may not list {what}{}: grant the verb `list` in the Role or ClusterRole of Prescale", within(namespace.as_deref()))]
    Forbidden {
        /// The plural and its group.
        what: String,
        /// In which namespace; absent for all.
        namespace: Option<String>,
    },
    /// There is no such kind in the cluster.
    #[error("the cluster does not know {what}")]
    Unknown {
        /// The plural and its group.
        what: String,
    },
    /// The token or certificate is not accepted.
    #[error("{server} does not accept the credentials (401): they may have expired; renew those of {by}")]
    Unauthorized {
        /// The API server.
        server: String,
        /// The kubeconfig, or the ServiceAccount.
        by: &'static str,
    },
    /// It does not answer.
    #[error("{server} does not answer: {why}; is it the right address, and reachable from here?")]
    Gone {
        /// The API server.
        server: String,
        /// Why.
        why: String,
    },
    /// It failed otherwise.
    #[error("cannot list {what} of {server}: {why}")]
    Failed {
        /// The plural and its group.
        what: String,
        /// The API server.
        server: String,
        /// Why.
        why: String,
    },
}

fn within(namespace: Option<&str>) -> String {
    namespace.map_or_else(|| " in all namespaces".to_owned(), |namespace| format!(" in namespace {namespace}"))
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

/// What became of one request.
enum Answer {
    Page(String),
    /// The continue token is too old.
    Expired,
}

impl Kind {
    /// As a Role names it.
    pub fn name(self) -> String {
        self.api.split_once('/').map_or_else(|| self.plural.to_owned(), |(group, _)| format!("{}.{group}", self.plural))
    }

    fn path(self, namespace: Option<&str>) -> String {
        let root = if self.api.contains('/') { "apis" } else { "api" };
        let within = namespace.map_or_else(String::new, |namespace| format!("namespaces/{namespace}/"));
        format!("/{root}/{}/{within}{}", self.api, self.plural)
    }
}

impl Cluster {
    /// The cluster that the settings name; `None` where none is to be read. It is not asked anything yet.
    pub async fn connect(settings: &Settings) -> Result<Option<Self>, ClusterError> {
        let no_access = |error: &dyn std::error::Error| ClusterError::NoAccess(chain(error));
        let mut config = match (settings.from, &settings.kubeconfig) {
            (Access::None, _) => return Ok(None),
            (Access::Auto, None) if settings.context.is_none() => {
                if !is_within(std::env::var_os(HOST).is_some_and(|host| !host.is_empty()), Path::new(ACCOUNT)) {
                    return Ok(None);
                }
                Config::incluster().map_err(|error| ClusterError::NoAccount(chain(&error)))?
            }
            (_, file) => {
                let options = KubeConfigOptions { context: settings.context.clone(), ..KubeConfigOptions::default() };
                let config = match file {
                    Some(file) => {
                        let file = Kubeconfig::read_from(file).map_err(|error| no_access(&error))?;
                        Config::from_custom_kubeconfig(file, &options).await
                    }
                    None => Config::from_kubeconfig(&options).await,
                };
                config.map_err(|error| no_access(&error))?
            }
        };
        config.read_timeout = Some(settings.timeout);
        // Whoever puts a password into an address does not want to read it in a log.
        let address = config.cluster_url.authority().map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default().to_owned());
        let server = format!("{}://{}", config.cluster_url.scheme_str().unwrap_or("https"), address.unwrap_or_default());
        let is_account = config.auth_info.token_file.as_deref().is_some_and(|file| Path::new(file).starts_with(ACCOUNT));
        let client = Client::try_from(config).map_err(|error| {
            let why = chain(&error);
            if is_account { ClusterError::NoAccount(why) } else { ClusterError::NoAccess(why) }
        })?;
        Ok(Some(Self { client, server, settings: settings.clone() }))
    }

    /// The address of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// How it is reached.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes every object of a kind, of one namespace or of all, a page at a time. One that does not have the expected form is counted and passed
    /// over; `begin` is called whenever the list begins anew.
    pub async fn list<T: DeserializeOwned>(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        mut begin: impl FnMut(),
        mut each: impl FnMut(T),
    ) -> Result<usize, ClusterError> {
        for restart in 0..=RESTARTS {
            begin();
            // What does not come in time comes in fewer pages.
            let limit = if restart < RESTARTS { self.settings.page_size } else { LARGEST_PAGE };
            let (mut next, mut odd) = (None::<String>, 0);
            loop {
                let Answer::Page(text) = self.page(kind, namespace, limit, next.as_deref()).await? else { break };
                let page: Page<'_> = serde_json::from_str(&text).map_err(|error| self.failed(kind, &error))?;
                for item in page.items.unwrap_or_default() {
                    match serde_json::from_str(item.get()) {
                        Ok(item) => each(item),
                        Err(error) => {
                            tracing::debug!(kind = kind.plural, %error, "passing over an object of another form");
                            odd += 1;
                        }
                    }
                }
                next = page.metadata.next.filter(|token| !token.is_empty());
                if next.is_none() {
                    return Ok(odd);
                }
            }
            tracing::debug!(kind = kind.plural, "the list became too old on the way, and begins anew");
        }
        let why = "its pages became too old each time; raise `cluster.pageSize`".to_owned();
        Err(ClusterError::Failed { what: kind.name(), server: self.server.clone(), why })
    }

    /// Whether a kind may be listed, in a namespace or in all of them.
    pub async fn probe(&self, kind: Kind, namespace: Option<&str>) -> Result<(), ClusterError> {
        self.page(kind, namespace, 1, None).await.map(|_| ())
    }

    async fn page(&self, kind: Kind, namespace: Option<&str>, limit: u32, next: Option<&str>) -> Result<Answer, ClusterError> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &limit.to_string());
        if let Some(fields) = kind.fields {
            query.append_pair("fieldSelector", fields);
        }
        if let Some(next) = next {
            query.append_pair("continue", next);
        }
        let address = format!("{}?{}", kind.path(namespace), query.finish());
        let mut pause = PAUSE;
        let mut tried = 0;
        loop {
            tried += 1;
            let request = Request::get(&address).body(Vec::new()).map_err(|error| self.failed(kind, &error))?;
            let failure = match timeout(self.settings.timeout, self.client.request_text(request)).await {
                Ok(Ok(text)) => return Ok(Answer::Page(text)),
                Ok(Err(kube::Error::Api(status))) => {
                    let what = kind.name();
                    match status.code {
                        401 => return Err(ClusterError::Unauthorized { server: self.server.clone(), by: self.credentials() }),
                        403 => return Err(ClusterError::Forbidden { what, namespace: namespace.map(ToOwned::to_owned) }),
                        404 => return Err(ClusterError::Unknown { what }),
                        410 if next.is_some() => return Ok(Answer::Expired),
                        408 | 429 | 500.. => self.failed_with(kind, format!("{} {}", status.code, status.message)),
                        code => return Err(self.failed_with(kind, format!("{code} {}", status.message))),
                    }
                }
                // A plugin's error may hold what it printed: the token.
                Ok(Err(kube::Error::Auth(_))) => {
                    self.gone("the credentials of the kubeconfig cannot be had: try them with kubectl".to_owned())
                }
                Ok(Err(error)) => self.gone(chain(&error)),
                Err(_) => self.gone(format!("no answer within {} s", self.settings.timeout.as_secs())),
            };
            if tried >= TRIES {
                return Err(failure);
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    fn credentials(&self) -> &'static str {
        if self.settings.from == Access::Auto && self.settings.kubeconfig.is_none() { "the ServiceAccount" } else { "the kubeconfig" }
    }

    fn failed(&self, kind: Kind, error: &dyn std::error::Error) -> ClusterError {
        self.failed_with(kind, chain(error))
    }

    fn gone(&self, why: String) -> ClusterError {
        ClusterError::Gone { server: self.server.clone(), why }
    }

    fn failed_with(&self, kind: Kind, why: String) -> ClusterError {
        ClusterError::Failed { what: kind.name(), server: self.server.clone(), why }
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Whether this is a pod that is to read its cluster: one that mounts no token is not.
fn is_within(has_host: bool, account: &Path) -> bool {
    has_host && account.exists()
}

/// An error and what it came from, told once each.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !told.contains(&more) {
            told = format!("{told}: {more}");
        }
        source = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_without_a_token_reads_no_cluster() {
        let mounted = tempfile::tempdir().unwrap();
        let absent = mounted.path().join("serviceaccount");
        assert!(is_within(true, mounted.path()));
        assert!(!is_within(true, &absent) && !is_within(false, mounted.path()));
    }

    #[test]
    fn what_is_missing_of_a_token_is_told() {
        let error = ClusterError::NoAccount("failed to read a certificate bundle".to_owned()).to_string();
        assert!(error.contains("failed to read a certificate bundle; mend what is in"), "{error}");
        assert!(error.contains(ACCOUNT) && error.contains("cluster.from: none"), "{error}");
    }
}
