//! What Argo CD says: its Applications, ApplicationSets and AppProjects, as far as they tell what is deployed from where, and how that went.
//!
//! They are read leniently, from the API server or from manifests in Git: what is absent, null or of an unknown value never fails. Texts that are
//! absent are empty, unless a field says otherwise. The words are Argo CD's own.

mod set;
mod windows;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ObjectRef, Place, RepoPath};

pub use set::ApplicationSet;
pub use windows::{Frozen, SyncWindow, WindowKind, frozen};

/// What a source without a `targetRevision` follows: the repository's default branch.
const HEAD: &str = "HEAD";

/// An Application: what is deployed where, and how that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The AppProject that it belongs to. Default: `default`.
    pub project: String,
    /// What it deploys. With a source hydrator the dry source alone, which is the one to edit.
    pub sources: Vec<Source>,
    /// Where its hydrated manifests go, which only Argo CD writes; absent without a source hydrator.
    pub hydrated: Option<HydrateTo>,
    /// Where it is deployed.
    pub destination: Destination,
    /// Whether Argo CD syncs it without being asked to. Default: false.
    pub auto_sync: bool,
    /// Whether it then also takes back what others change in the cluster. Default: false.
    pub self_heal: bool,
    /// Whether it leaves `spec.replicas` of some object to others, at a sync too. Default: false.
    pub ignores_replicas: bool,
    /// The name of the ApplicationSet that made it; absent where none did.
    pub owner: Option<String>,
    /// How it is; absent where that is not known, as in Git.
    pub status: Option<Status>,
    /// Where it was read.
    pub seen: Seen,
}

/// Where a document was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// In the cluster.
    Cluster,
    /// In a file of the repository.
    Git(Place),
}

/// Where manifests come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address of the repository: `repoURL`.
    pub repo: String,
    /// The folder in it; absent where none is given.
    pub path: Option<String>,
    /// The branch, tag, commit or range of versions that it follows: `targetRevision`. Default: `HEAD`.
    pub revision: String,
    /// Whether it is a Helm chart of a repository of charts. Default: false.
    pub chart: bool,
    /// The name by which other sources take files from it; absent where none is given.
    pub ref_name: Option<String>,
    /// Whether its `kustomize` section sets replicas, patches or components after the overlay.
    pub overrides: bool,
}

/// Where a source hydrator puts what it renders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HydrateTo {
    /// The address of the repository. Default: the dry source's.
    pub repo: String,
    /// The branch that is synced: `syncSource.targetBranch`.
    pub branch: String,
    /// The branch that is written instead, for people to merge: `hydrateTo.targetBranch`; absent where it is the one that is synced.
    pub staging: Option<String>,
    /// The folder: `syncSource.path`.
    pub path: String,
}

/// Where an Application is deployed. Either the server or the name of the cluster is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The address of the cluster.
    pub server: String,
    /// The name of the cluster.
    pub name: String,
    /// The namespace of what names none itself.
    pub namespace: String,
}

/// How an Application is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether the cluster is as Git says. Default: unknown.
    pub sync: Sync,
    /// The commits that it was compared with, one a source.
    pub revisions: Vec<String>,
    /// Whether what runs is well. Default: unknown.
    pub health: Health,
    /// Since when; absent where that is not known.
    pub health_since: Option<DateTime<Utc>>,
    /// How far the last sync is; absent where there was none.
    pub phase: Option<Phase>,
    /// The commits that it syncs to, one a source.
    pub phase_revisions: Vec<String>,
    /// When it ended; absent until then.
    pub finished_at: Option<DateTime<Utc>>,
    /// What it says.
    pub message: String,
    /// When Argo CD last compared with Git; absent where it never did.
    pub reconciled_at: Option<DateTime<Utc>>,
    /// What was deployed, the oldest first.
    pub history: Vec<Deployed>,
    /// Objects that differ from Git: their kinds and names.
    pub out_of_sync: Vec<(String, String)>,
    /// What is wrong, as type and message: errors, and resources that two Applications or two sources claim.
    pub conditions: Vec<(String, String)>,
    /// What was hydrated last; absent where nothing was.
    pub hydration: Option<Hydration>,
}

/// Whether the cluster is as Git says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sync {
    /// It is.
    Synced,
    /// It is not.
    OutOfSync,
    /// That is not known.
    #[default]
    Unknown,
}

/// Whether what runs is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// It is.
    Healthy,
    /// It is not yet, and may still be.
    Progressing,
    /// It is not.
    Degraded,
    /// It waits for someone.
    Suspended,
    /// It is not there.
    Missing,
    /// That is not known.
    #[default]
    Unknown,
}

/// How far a sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It runs.
    Running,
    /// It is being stopped.
    Terminating,
    /// It went well.
    Succeeded,
    /// Something was not applied.
    Failed,
    /// It could not be done.
    Error,
}

/// A sync that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The commits, one a source.
    pub revisions: Vec<String>,
    /// When it began; absent where that is not known.
    pub started: Option<DateTime<Utc>>,
    /// Whether Argo CD began it by itself.
    pub automated: bool,
    /// When it ended.
    pub deployed: DateTime<Utc>,
}

/// A commit of the dry source, and what was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hydration {
    /// The commit of the dry source.
    pub dry: String,
    /// The commit with its hydrated manifests, which is the one that a sync names.
    pub hydrated: String,
}

/// An AppProject: when its Applications may be synced.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its sync windows, those that cannot be read too.
    pub windows: Vec<SyncWindow>,
}

/// What an Application makes of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// It follows it.
    Tracked,
    /// It stays at a tag, a commit or a range of versions, whatever the branch says.
    Pinned {
        /// Which.
        revision: String,
    },
    /// It follows another branch.
    OtherBranch {
        /// Which.
        revision: String,
    },
    /// Its source hydrator writes the branch: the dry source is the one to edit.
    Hydrated {
        /// The folder that it writes.
        path: String,
    },
}

impl Application {
    /// Reads a document; `None` for what is no Application.
    pub fn read(document: &Value, seen: Seen) -> Option<Self> {
        if !is(document, "Application") {
            return None;
        }
        let (metadata, spec) = (&document["metadata"], &document["spec"]);
        let automated = &spec["syncPolicy"]["automated"];
        let auto_sync = automated.is_object() && automated["enabled"].as_bool().unwrap_or(true);
        let owner = items(&metadata["ownerReferences"]).iter().find(|owner| owner["kind"] == "ApplicationSet");
        Some(Self {
            name: owned(&metadata["name"]),
            namespace: owned(&metadata["namespace"]),
            project: text(&spec["project"]).unwrap_or("default").to_owned(),
            sources: sources(spec),
            hydrated: HydrateTo::read(&spec["sourceHydrator"]),
            destination: Destination {
                server: owned(&spec["destination"]["server"]),
                name: owned(&spec["destination"]["name"]),
                namespace: owned(&spec["destination"]["namespace"]),
            },
            auto_sync,
            self_heal: auto_sync && automated["selfHeal"].as_bool().unwrap_or_default(),
            ignores_replicas: ignores_replicas(spec),
            owner: owner.map(|owner| owned(&owner["name"])),
            status: Status::read(&document["status"]),
            seen,
        })
    }

    /// What it makes of a branch, by the first of its sources that renders this folder of this repository; `None` where none does.
    ///
    /// `HEAD` counts as the branch. Without the repository's references a branch that is named like a tag, `1.2` for instance, counts as one.
    pub fn deploys(&self, repo: &str, branch: &str, folder: &RepoPath) -> Option<Tracking> {
        let source = self.sources.iter().find(|source| {
            let renders = !source.chart && (source.path.is_some() || source.ref_name.is_none());
            let is_there = |path: &str| RepoPath::parse(path).is_some_and(|path| path == *folder);
            renders && is_there(source.path.as_deref().unwrap_or_default()) && same_repository(&source.repo, repo)
        })?;
        let revision = &source.revision;
        let followed = revision.strip_prefix("refs/heads/").unwrap_or(revision);
        Some(if [branch, HEAD, ""].contains(&followed) {
            Tracking::Tracked
        } else if is_pin(revision) {
            Tracking::Pinned { revision: revision.clone() }
        } else {
            Tracking::OtherBranch { revision: revision.clone() }
        })
    }
}

impl Destination {
    /// Whether that is the cluster which Argo CD itself runs in.
    pub fn is_here(&self) -> bool {
        matches!(self.server.as_str(), "" | "https://kubernetes.default.svc") && matches!(self.name.as_str(), "" | "in-cluster")
    }
}

impl Project {
    /// Reads a document; `None` for what is no AppProject.
    pub fn read(document: &Value) -> Option<Self> {
        is(document, "AppProject").then(|| Self {
            name: owned(&document["metadata"]["name"]),
            namespace: owned(&document["metadata"]["namespace"]),
            windows: items(&document["spec"]["syncWindows"]).iter().filter(|window| window.is_object()).map(SyncWindow::read).collect(),
        })
    }
}

impl Source {
    fn read(source: &Value) -> Self {
        // YAML takes an unquoted version for a number.
        let revision = match &source["targetRevision"] {
            Value::Number(number) => number.to_string(),
            revision => text(revision).unwrap_or(HEAD).to_owned(),
        };
        Self {
            repo: owned(&source["repoURL"]),
            path: text(&source["path"]).map(str::to_owned),
            revision,
            chart: text(&source["chart"]).is_some(),
            ref_name: text(&source["ref"]).map(str::to_owned),
            overrides: overrides(&source["kustomize"]),
        }
    }
}

impl HydrateTo {
    fn read(hydrator: &Value) -> Option<Self> {
        let (dry, synced) = (&hydrator["drySource"], &hydrator["syncSource"]);
        hydrator.is_object().then(|| Self {
            repo: text(&synced["repoURL"]).unwrap_or_else(|| text(&dry["repoURL"]).unwrap_or_default()).to_owned(),
            branch: owned(&synced["targetBranch"]),
            staging: text(&hydrator["hydrateTo"]["targetBranch"]).map(str::to_owned),
            path: owned(&synced["path"]),
        })
    }
}

impl Status {
    fn read(status: &Value) -> Option<Self> {
        if status.as_object().is_none_or(serde_json::Map::is_empty) {
            return None;
        }
        let operation = &status["operationState"];
        let result = revisions(&operation["syncResult"]);
        let mut history: Vec<Deployed> = items(&status["history"]).iter().filter_map(Deployed::read).collect();
        history.sort_by_key(|deployed| deployed.deployed);
        let is_wrong = |kind: &str| kind.ends_with("Error") || ["SharedResourceWarning", "RepeatedResourceWarning"].contains(&kind);
        let conditions = items(&status["conditions"]).iter();
        let conditions = conditions.map(|condition| (owned(&condition["type"]), owned(&condition["message"])));
        let hydration = &status["sourceHydrator"]["lastSuccessfulOperation"];
        Some(Self {
            sync: Sync::deserialize(&status["sync"]["status"]).unwrap_or_default(),
            revisions: revisions(&status["sync"]),
            health: Health::deserialize(&status["health"]["status"]).unwrap_or_default(),
            health_since: time(&status["health"]["lastTransitionTime"]),
            phase: Phase::deserialize(&operation["phase"]).ok(),
            phase_revisions: if result.is_empty() { revisions(&operation["operation"]["sync"]) } else { result },
            finished_at: time(&operation["finishedAt"]),
            message: owned(&operation["message"]),
            reconciled_at: time(&status["reconciledAt"]),
            history,
            out_of_sync: items(&status["resources"])
                .iter()
                .filter(|resource| resource["status"] == "OutOfSync")
                .map(|resource| (owned(&resource["kind"]), owned(&resource["name"])))
                .collect(),
            conditions: conditions.filter(|(kind, _)| is_wrong(kind)).collect(),
            hydration: text(&hydration["drySHA"]).map(|dry| Hydration { dry: dry.to_owned(), hydrated: owned(&hydration["hydratedSHA"]) }),
        })
    }
}

impl Deployed {
    fn read(entry: &Value) -> Option<Self> {
        let deployed = time(&entry["deployedAt"])?;
        let automated = entry["initiatedBy"]["automated"].as_bool().unwrap_or_default();
        Some(Self { automated, revisions: revisions(entry), started: time(&entry["deployStartedAt"]), deployed })
    }
}

/// Whether two addresses name one Git repository, by whichever protocol it is reached.
///
/// As with Argo CD neither case nor a trailing `.git` counts. Nor do the scheme, the user, the scheme's default port and a trailing `/`, for it may
/// be read by ssh and written by https. Paths on this machine differ by case.
pub fn same_repository(a: &str, b: &str) -> bool {
    let a = location(a);
    a.is_some() && a == location(b)
}

/// The host of an address, which is empty on this machine, and the path there.
fn location(address: &str) -> Option<(String, String)> {
    let address = address.trim();
    let host_of = |authority: &str| authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_lowercase();
    let is_scp = address.split('/').next().is_some_and(|first| first.contains(':'));
    let (host, path) = match address.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => (String::new(), rest.strip_prefix("localhost").unwrap_or(rest)),
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (scheme, host) = (scheme.to_lowercase(), host_of(authority));
            let port = match scheme.as_str() {
                "https" => ":443",
                "http" => ":80",
                "ssh" | "git+ssh" | "ssh+git" => ":22",
                "git" => ":9418",
                // Not Git, such as a registry of images.
                _ => return Some((format!("{scheme}://{host}"), path.to_owned())),
            };
            (host.strip_suffix(port).unwrap_or(&host).to_owned(), path)
        }
        None => match address.split_once(':') {
            Some((authority, path)) if is_scp => (host_of(authority), path),
            _ => (String::new(), address),
        },
    };
    let path = if host.is_empty() { path.to_owned() } else { path.trim_start_matches('/').to_lowercase() };
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/').replace("%20", " ");
    (!host.is_empty() || !path.is_empty()).then_some((host, path))
}

/// Whether a revision looks like a tag, a commit or a range of versions rather than a branch.
fn is_pin(revision: &str) -> bool {
    let is_commit = revision.len() >= 7 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_range = revision.contains(['*', '^', '~', ' ']) || revision.starts_with(['<', '>', '=', '!']);
    let version = revision.strip_prefix('v').unwrap_or(revision).split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| matches!(part, "x" | "X") || !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = version.contains('.') && version.split('.').all(is_number);
    is_commit || is_range || is_version || revision.starts_with("refs/tags/")
}

/// Whether a document is of Argo CD and of this kind.
fn is(document: &Value, kind: &str) -> bool {
    let group = document["apiVersion"].as_str().map(ObjectRef::group_of);
    group == Some("argoproj.io") && document["kind"] == kind
}

/// The sources of a spec: a hydrator wins over `sources`, and that over `source`.
fn sources(spec: &Value) -> Vec<Source> {
    let (hydrator, several, one) = (&spec["sourceHydrator"], items(&spec["sources"]), &spec["source"]);
    if hydrator.is_object() {
        vec![Source::read(&hydrator["drySource"])]
    } else if several.is_empty() {
        one.is_object().then(|| Source::read(one)).into_iter().collect()
    } else {
        several.iter().map(Source::read).collect()
    }
}

/// Whether a `kustomize` section may set what Prescale writes: replicas, patches, components.
fn overrides(kustomize: &Value) -> bool {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    };
    ["replicas", "patches", "components"].into_iter().any(|key| says(&kustomize[key]))
}

/// Whether `spec.replicas` of some object is left to others, at a sync too.
fn ignores_replicas(spec: &Value) -> bool {
    let holds = |list: &Value, word: &str| items(list).iter().any(|item| item.as_str().is_some_and(|text| text.trim() == word));
    let ignored = |entry: &Value| holds(&entry["jsonPointers"], "/spec/replicas") || holds(&entry["jqPathExpressions"], ".spec.replicas");
    holds(&spec["syncPolicy"]["syncOptions"], "RespectIgnoreDifferences=true") && items(&spec["ignoreDifferences"]).iter().any(ignored)
}

/// The kinds of generators, each before those within it.
fn generators(list: &Value) -> Vec<String> {
    let mut kinds = Vec::new();
    for (kind, generator) in items(list).iter().filter_map(Value::as_object).flatten() {
        if kind != "selector" && !generator.is_null() {
            kinds.push(kind.clone());
            kinds.extend(generators(&generator["generators"]));
        }
    }
    kinds
}

/// The `revisions`, or else the one `revision`. They keep their places, for they are told apart by them.
fn revisions(of: &Value) -> Vec<String> {
    let several: Vec<String> = items(&of["revisions"]).iter().map(owned).collect();
    if several.is_empty() { text(&of["revision"]).map(str::to_owned).into_iter().collect() } else { several }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[][..], Vec::as_slice)
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

fn owned(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(spec: &Value) -> Application {
        let document = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "shop"}, "spec": spec});
        Application::read(&document, Seen::Cluster).unwrap()
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn source(repo: &str, path: Option<&str>, revision: &str) -> Source {
        let path = path.map(str::to_owned);
        Source { repo: repo.to_owned(), path, revision: revision.to_owned(), chart: false, ref_name: None, overrides: false }
    }

    #[test]
    fn an_application_as_the_api_server_gives_it() {
        let [zero, one, two] = ["0", "1", "2"].map(|digit| digit.repeat(40));
        let document = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {
                "name": "shop-prod", "namespace": "argocd", "uid": "5b0c", "generation": 812, "finalizers": ["resources-finalizer.argocd.argoproj.io"],
                "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "name": "shop", "uid": "9d1e", "controller": true}],
            },
            "spec": {
                "project": "shop",
                "source": {
                    "repoURL": "https://github.com/acme/shop.git", "path": "overlays/prod", "targetRevision": "main",
                    "kustomize": {"version": "v5.4.3", "images": ["shop=acme/shop:1.2"]},
                },
                "destination": {"server": "https://kubernetes.default.svc", "namespace": "shop"},
                "syncPolicy": {
                    "automated": {"prune": true, "selfHeal": true},
                    "syncOptions": ["CreateNamespace=true", "RespectIgnoreDifferences=true"],
                    "retry": {"limit": 5, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "3m"}},
                },
                "ignoreDifferences": [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}],
            },
            "status": {
                "controllerNamespace": "argocd",
                "sync": {
                    "status": "OutOfSync", "revision": two,
                    "comparedTo": {"destination": {"namespace": "shop"}, "source": {"repoURL": "https://github.com/acme/shop.git"}},
                },
                "health": {"status": "Progressing", "lastTransitionTime": "2026-11-20T10:00:07Z"},
                "reconciledAt": "2026-11-20T10:01:00Z",
                "sourceType": "Kustomize",
                "summary": {"images": ["acme/shop:1.2"]},
                "resources": [{"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "shop", "name": "web", "status": "OutOfSync"}],
                "operationState": {
                    "phase": "Succeeded", "message": "successfully synced (all tasks run)",
                    "startedAt": "2026-11-20T10:00:00Z", "finishedAt": "2026-11-20T10:00:05Z",
                    "operation": {"sync": {"revision": "0000"}, "initiatedBy": {"automated": true}, "retry": {"limit": 5}},
                    "syncResult": {"revision": one, "resources": []},
                },
                "history": [
                    {"id": 7, "revision": one, "deployStartedAt": "2026-11-20T10:00:00Z",
                     "deployedAt": "2026-11-20T10:00:05Z", "initiatedBy": {"automated": true}, "source": {}},
                    {"id": 6, "revision": zero, "deployedAt": "2026-11-19T10:00:05Z"},
                    {"id": 5, "revision": "of no time"},
                ],
                "conditions": [
                    {"type": "SyncError", "message": "Failed last sync attempt", "lastTransitionTime": "2026-11-20T10:00:05Z"},
                    {"type": "OrphanedResourceWarning", "message": "Application has 1 orphaned resources"},
                    {"type": "SharedResourceWarning", "message": "Deployment/web is part of applications a and b"},
                ],
            },
        });
        let status = Status {
            sync: Sync::OutOfSync,
            revisions: vec![two],
            health: Health::Progressing,
            health_since: Some(utc("2026-11-20T10:00:07Z")),
            phase: Some(Phase::Succeeded),
            phase_revisions: vec![one.clone()],
            finished_at: Some(utc("2026-11-20T10:00:05Z")),
            message: "successfully synced (all tasks run)".to_owned(),
            reconciled_at: Some(utc("2026-11-20T10:01:00Z")),
            history: vec![
                Deployed { revisions: vec![zero], automated: false, started: None, deployed: utc("2026-11-19T10:00:05Z") },
                Deployed {
                    revisions: vec![one],
                    automated: true,
                    started: Some(utc("2026-11-20T10:00:00Z")),
                    deployed: utc("2026-11-20T10:00:05Z"),
                },
            ],
            out_of_sync: vec![("Deployment".to_owned(), "web".to_owned())],
            conditions: vec![
                ("SyncError".to_owned(), "Failed last sync attempt".to_owned()),
                ("SharedResourceWarning".to_owned(), "Deployment/web is part of applications a and b".to_owned()),
            ],
            hydration: None,
        };
        let expected = Application {
            name: "shop-prod".to_owned(),
            namespace: "argocd".to_owned(),
            project: "shop".to_owned(),
            sources: vec![source("https://github.com/acme/shop.git", Some("overlays/prod"), "main")],
            hydrated: None,
            destination: Destination {
                server: "https://kubernetes.default.svc".to_owned(),
                name: String::new(),
                namespace: "shop".to_owned(),
            },
            auto_sync: true,
            self_heal: true,
            ignores_replicas: true,
            owner: Some("shop".to_owned()),
            status: Some(status),
            seen: Seen::Cluster,
        };
        assert_eq!(Application::read(&document, Seen::Cluster).unwrap(), expected);
    }

    #[test]
    fn an_application_in_git_has_no_status_and_defaults() {
        let place = Place { path: RepoPath::parse("apps/shop.yaml").unwrap(), line: Some(3) };
        for status in [json!(null), json!({}), json!("odd")] {
            let document = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "spec": {"source": {}}, "status": status});
            let application = Application::read(&document, Seen::Git(place.clone())).unwrap();
            assert_eq!((application.project.as_str(), application.status, application.owner), ("default", None, None));
            assert_eq!(application.sources, [source("", None, "HEAD")]);
            assert_eq!((application.auto_sync, application.ignores_replicas), (false, false));
            assert_eq!(application.seen, Seen::Git(place.clone()));
        }
    }

    #[test]
    fn several_sources_win_over_one() {
        let chart = json!({"repoURL": "https://charts.example.com", "chart": "shop", "targetRevision": "1.*", "helm": {"valueFiles": ["$values/v.yaml"]}});
        let values = json!({"repoURL": "https://github.com/acme/shop", "ref": "values", "targetRevision": "main"});
        let overlay = json!({"repoURL": "git@github.com:acme/shop.git", "path": "./overlays/prod/"});
        let application = read(&json!({"source": {"repoURL": "ignored"}, "sources": [chart, values, overlay]}));
        assert_eq!(
            application.sources,
            [
                Source { chart: true, ..source("https://charts.example.com", None, "1.*") },
                Source { ref_name: Some("values".to_owned()), ..source("https://github.com/acme/shop", None, "main") },
                source("git@github.com:acme/shop.git", Some("./overlays/prod/"), "HEAD"),
            ]
        );
        let deploys = |folder: &str| application.deploys("https://github.com/acme/shop", "main", &RepoPath::parse(folder).unwrap());
        assert_eq!((deploys("overlays/prod"), deploys("overlays"), deploys("")), (Some(Tracking::Tracked), None, None));
        assert_eq!(read(&json!({"source": {"repoURL": "one"}, "sources": []})).sources, [source("one", None, "HEAD")]);

        let document =
            json!({"sync": {"revisions": ["a", "", "c"]}, "operationState": {"operation": {"sync": {"revisions": ["d", "e", "f"]}}}});
        let status = Status::read(&document).unwrap();
        assert_eq!((status.revisions.join(","), status.phase_revisions.join(",")), ("a,,c".to_owned(), "d,e,f".to_owned()));
    }

    #[test]
    fn the_dry_source_of_a_hydrator_is_the_one_to_edit() {
        let application = read(&json!({
            "sources": [{"repoURL": "ignored"}],
            "sourceHydrator": {
                "drySource": {"repoURL": "https://github.com/acme/shop", "path": "overlays/prod", "targetRevision": "main"},
                "syncSource": {"targetBranch": "environments/prod", "path": "shop"},
                "hydrateTo": {"targetBranch": "environments/prod-next"},
            },
        }));
        assert_eq!(application.sources, [source("https://github.com/acme/shop", Some("overlays/prod"), "main")]);
        let hydrated = application.hydrated.unwrap();
        assert_eq!((hydrated.repo.as_str(), hydrated.branch.as_str()), ("https://github.com/acme/shop", "environments/prod"));
        assert_eq!((hydrated.staging.as_deref(), hydrated.path.as_str()), (Some("environments/prod-next"), "shop"));
        let status = Status::read(&json!({
            "sourceHydrator": {"lastSuccessfulOperation": {"drySHA": "aaaaaaa", "hydratedSHA": "bbbbbbb"}, "currentOperation": {"phase": "Hydrated"}},
        }));
        assert_eq!(status.unwrap().hydration, Some(Hydration { dry: "aaaaaaa".to_owned(), hydrated: "bbbbbbb".to_owned() }));
    }

    #[test]
    fn odd_values_never_fail() {
        let odd = json!({
            "sync": {"status": "Later", "revision": 7}, "health": "fine", "operationState": {"phase": "Pondering", "finishedAt": "yesterday"},
            "history": [null, {"deployedAt": 3}], "conditions": {"type": "SyncError"}, "reconciledAt": null,
        });
        let status = Status::read(&odd).unwrap();
        assert_eq!((status.sync, status.health, status.phase), (Sync::Unknown, Health::Unknown, None));
        assert_eq!((status.revisions.len(), status.history.len(), status.conditions.len()), (0, 0, 0));
        assert_eq!((status.finished_at, status.reconciled_at), (None, None));

        let automated = |automated: Value| {
            let application = read(&json!({"syncPolicy": {"automated": automated}}));
            (application.auto_sync, application.self_heal)
        };
        assert_eq!(automated(json!(null)), (false, false));
        assert_eq!(automated(json!({})), (true, false));
        assert_eq!(automated(json!({"enabled": null, "selfHeal": "yes"})), (true, false));
        assert_eq!(automated(json!({"enabled": false, "selfHeal": true})), (false, false));

        for (kustomize, expected) in [
            (json!(null), false),
            (json!({}), false),
            (json!({"version": "v5", "forceCommonLabels": true, "patches": [], "namePrefix": ""}), false),
            (json!({"replicas": [{"name": "web", "count": 3}]}), true),
            (json!({"namePrefix": "eu-", "images": ["web=web:2"]}), false),
            (json!({"patches": [{"path": "x.yaml"}]}), true),
            (json!({"components": ["../x"]}), true),
        ] {
            assert_eq!(overrides(&kustomize), expected, "{kustomize}");
        }

        let ignored = json!([{"kind": "Deployment", "jqPathExpressions": [".spec.replicas"]}]);
        assert!(
            read(&json!({"syncPolicy": {"syncOptions": ["RespectIgnoreDifferences=true"]}, "ignoreDifferences": ignored})).ignores_replicas
        );
        assert!(!read(&json!({"syncPolicy": {"syncOptions": []}, "ignoreDifferences": ignored})).ignores_replicas);

        for document in [
            json!(null),
            json!([]),
            json!("Application"),
            json!({"kind": "Application"}),
            json!({"apiVersion": "app.k8s.io/v1beta1", "kind": "Application"}),
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}),
        ] {
            assert_eq!(Application::read(&document, Seen::Cluster), None);
            assert_eq!(ApplicationSet::read(&document, Seen::Cluster), None);
            assert!(Project::read(&document).is_none());
        }
    }

    #[test]
    fn an_application_set_keeps_its_templates() {
        let document = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "ApplicationSet",
            "metadata": {"name": "shop", "namespace": "argocd"},
            "spec": {
                "goTemplate": true,
                "generators": [
                    {"matrix": {"generators": [{"git": {"repoURL": "r", "directories": [{"path": "overlays/*"}]}}, {"clusters": {}}]}},
                    {"list": {"elements": []}, "selector": {"matchLabels": {"a": "b"}}, "git": null},
                    "odd",
                ],
                "template": {"metadata": {"name": "shop-{{.path.basename}}"}, "spec": {"source": {"repoURL": "r", "path": "{{.path.path}}"}}},
            },
        });
        let set = ApplicationSet::read(&document, Seen::Cluster).unwrap();
        assert_eq!((set.name.as_str(), set.namespace.as_str()), ("shop", "argocd"));
        assert_eq!(set.sources, [source("r", Some("{{.path.path}}"), "HEAD")]);
        assert_eq!(set.generators, ["matrix", "git", "clusters", "list"]);
    }

    #[test]
    fn a_branch_is_followed_or_not() {
        let pinned = |revision: &str| Tracking::Pinned { revision: revision.to_owned() };
        let other = |revision: &str| Tracking::OtherBranch { revision: revision.to_owned() };
        let deploys = |revision: Value, path: &str, folder: &str| {
            let application = read(&json!({"source": {"repoURL": "https://host/a.git", "path": path, "targetRevision": revision}}));
            application.deploys("git@host:a", "main", &RepoPath::parse(folder).unwrap())
        };
        for revision in [json!(null), json!(""), json!("HEAD"), json!("main"), json!("refs/heads/main")] {
            assert_eq!(deploys(revision, "apps/shop", "apps/shop"), Some(Tracking::Tracked));
        }
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for revision in [
            "v1.2.3",
            "1.2.3",
            "v1.2",
            "1.2.3-rc.1+b5",
            "refs/tags/prod",
            "1.2.*",
            "1.x",
            "v1.x.x",
            "*",
            "^1.2",
            "~1.2.3",
            ">=1.0.0 <2.0.0",
            commit,
            &commit[..7],
        ] {
            assert_eq!(deploys(json!(revision), "apps/shop", "apps/shop"), Some(pinned(revision)), "{revision}");
        }
        assert_eq!(deploys(json!(1.2), "apps/shop", "apps/shop"), Some(pinned("1.2")));
        for revision in ["develop", "release-1.2", "release/1.2.3", "v1", "feed", "refs/heads/v1.2.3", "main2", "Main"] {
            assert_eq!(deploys(json!(revision), "apps/shop", "apps/shop"), Some(other(revision)), "{revision}");
        }
        for (path, folder, is_it) in [
            (".", "", true),
            ("", "", true),
            ("./", "", true),
            ("./apps/shop/", "apps/shop", true),
            ("apps//shop", "apps/shop", true),
            ("apps/shop", "apps", false),
            ("../apps/shop", "apps/shop", false),
            ("/apps/shop", "apps/shop", false),
        ] {
            assert_eq!(deploys(json!("main"), path, folder).is_some(), is_it, "{path} {folder}");
        }
    }

    #[test]
    fn addresses_of_one_repository() {
        for (a, b, same) in [
            ("https://github.com/acme/shop", "https://GitHub.com/acme/shop.git/", true),
            ("https://github.com/Acme/Shop", "https://github.com/acme/shop", true),
            ("git@github.com:acme/shop.git", "ssh://git@github.com/acme/shop", true),
            ("https://github.com/acme/shop", " git@github.com:acme/shop ", true),
            ("https://user:secret@host:443/a/b", "http://host:80/a/b.git", true),
            ("ssh://git@host:22/a/b.git", "host:/a/b", true),
            ("git://host:9418/a", "HTTPS://host/a", true),
            ("https://host/my%20shop", "https://host/my shop", true),
            ("file:///srv/a.git", "/srv/a/", true),
            ("file://localhost/srv/a%20b", "/srv/a b", true),
            ("./a:b", "./a:b", true),
            ("https://host/a/b", "https://host/a", false),
            ("https://host/a", "https://elsewhere/a", false),
            ("ssh://git@host:2222/a", "ssh://git@host/a", false),
            ("https://host:8443/a", "https://host:443/a", false),
            ("oci://host/a", "https://host/a", false),
            ("/srv/a", "/srv/A", false),
            ("/srv/a", "srv/a", false),
            ("/srv/a", "https://srv/a", false),
            ("", "", false),
        ] {
            assert_eq!((same_repository(a, b), same_repository(b, a)), (same, same), "{a} {b}");
        }
    }
}
