//! Argo CD's Applications, with the projects and sets that they belong to.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::super::kinds::KINDS;
use super::{AT, time, uid, yaml};

/// The namespace in which Argo CD is.
const ARGOCD: &str = "argocd";

/// An Application in the making. What names its sources comes before what happened to them.
#[derive(Clone)]
pub(crate) struct Application(Json);

/// An Application of a folder at a branch, that is healthy and was never compared nor synced.
pub(crate) fn application(name: &str, repo_url: &str, path: &str, target_revision: &str) -> Application {
    let source = json!({"path": path, "repoURL": repo_url, "targetRevision": target_revision});
    let destination = json!({"namespace": name, "server": "https://kubernetes.default.svc"});
    Application(json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": ARGOCD, "generation": 1, "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
        "spec": {"destination": destination, "project": "default", "source": source},
        "status": {
            "controllerNamespace": ARGOCD,
            "health": {"lastTransitionTime": AT, "status": "Healthy"},
            "reconciledAt": AT,
            "resourceHealthSource": "appTree",
            "sourceHydrator": {},
            "sourceType": "Kustomize",
            "summary": {"images": [format!("registry.example.com/shop/{name}:1.42.0")]},
            "sync": {"comparedTo": {"destination": destination, "source": source}, "status": "Unknown"},
        },
    }))
}

impl Application {
    pub(crate) fn project(mut self, name: &str) -> Self {
        self.0["spec"]["project"] = name.into();
        self
    }

    pub(crate) fn destination(mut self, server: &str, namespace: &str) -> Self {
        let destination = json!({"namespace": namespace, "server": server});
        self.0["status"]["sync"]["comparedTo"]["destination"] = destination.clone();
        self.0["spec"]["destination"] = destination;
        self
    }

    /// Syncs by itself.
    pub(crate) fn automated(mut self, prune: bool, self_heal: bool) -> Self {
        self.0["spec"]["syncPolicy"] = json!({"automated": {"prune": prune, "selfHeal": self_heal}});
        self
    }

    /// Has several sources, a list of `{repoURL, path, targetRevision}`, instead of one.
    pub(crate) fn sources(mut self, sources: &Json) -> Self {
        self.remove("spec", "source");
        self.remove("status", "sourceType");
        self.0["spec"]["sources"] = sources.clone();
        self.0["status"]["sourceTypes"] = sources.as_array().unwrap().iter().map(|_| "Kustomize").collect();
        let compared = &mut self.0["status"]["sync"]["comparedTo"];
        compared["source"] = json!({"repoURL": ""});
        compared["sources"] = sources.clone();
        self
    }

    /// Is hydrated: what its source gives at the dry commit was written to a branch and path, and is synced from there.
    pub(crate) fn hydrated(mut self, branch: &str, path: &str, dry: &str, hydrated: &str) -> Self {
        let source = self.remove("spec", "source");
        let hydrator = json!({"drySource": source, "syncSource": {"path": path, "targetBranch": branch}});
        let compared = &mut self.0["status"]["sync"]["comparedTo"];
        compared["source"] = json!({"path": path, "repoURL": source["repoURL"], "targetRevision": branch});
        self.0["status"]["sourceHydrator"] = json!({
            "currentOperation": {
                "drySHA": dry, "finishedAt": AT, "hydratedSHA": hydrated, "message": "successfully hydrated", "phase": "Hydrated",
                "sourceHydrator": hydrator, "startedAt": AT,
            },
            "lastSuccessfulOperation": {"drySHA": dry, "hydratedSHA": hydrated, "sourceHydrator": hydrator},
        });
        self.0["spec"]["sourceHydrator"] = hydrator;
        self
    }

    /// The outcome of the last comparison, and the commits that were compared, one of each source.
    pub(crate) fn sync(mut self, status: &str, revisions: &[&str]) -> Self {
        let sync = &mut self.0["status"]["sync"];
        sync["status"] = status.into();
        match revisions {
            [one] => sync["revision"] = (*one).into(),
            all => sync["revisions"] = json!(all),
        }
        self
    }

    pub(crate) fn health(mut self, status: &str) -> Self {
        self.0["status"]["health"]["status"] = status.into();
        self
    }

    /// Adds to the history that commits, one of each source, were deployed.
    pub(crate) fn deployed(mut self, id: u64, revisions: &[&str], started: DateTime<Utc>, finished: DateTime<Utc>) -> Self {
        let mut entry = json!({
            "deployStartedAt": time(started), "deployedAt": time(finished), "id": id, "initiatedBy": {"automated": true},
        });
        self.name_sources(&mut entry, revisions);
        let history = &mut self.0["status"]["history"];
        if history.is_null() {
            *history = json!([]);
        }
        history.as_array_mut().unwrap().push(entry);
        self
    }

    /// The last sync, of one commit of each source, in a phase such as `Succeeded`; without an end it still runs.
    pub(crate) fn operation(
        mut self,
        phase: &str,
        message: &str,
        revisions: &[&str],
        started: DateTime<Utc>,
        finished: Option<DateTime<Utc>>,
    ) -> Self {
        let mut operation = json!({"initiatedBy": {"automated": true}, "retry": {"limit": 5}, "sync": {"prune": true}});
        name_revisions(&mut operation["sync"], self.has_sources(), revisions);
        let mut result = json!({"resources": [], "revision": ""});
        self.name_sources(&mut result, revisions);
        self.0["status"]["operationState"] = json!({
            "message": message, "operation": operation, "phase": phase, "startedAt": time(started), "syncResult": result,
        });
        match finished {
            Some(at) => self.0["status"]["operationState"]["finishedAt"] = time(at).into(),
            None => self.0["operation"] = operation,
        }
        self
    }

    /// Adds an object that it manages, with the status of its sync.
    pub(crate) fn resource(mut self, kind: &str, namespace: &str, name: &str, status: &str) -> Self {
        let known = KINDS.iter().find(|known| known.name == kind).unwrap_or_else(|| panic!("no kind is known as {kind}"));
        let mut resource = json!({"kind": kind, "name": name, "namespace": namespace, "status": status, "version": known.version});
        if !known.group.is_empty() {
            resource["group"] = known.group.into();
        }
        let resources = &mut self.0["status"]["resources"];
        if resources.is_null() {
            *resources = json!([]);
        }
        resources.as_array_mut().unwrap().push(resource);
        self
    }

    /// Was made by an ApplicationSet.
    pub(crate) fn owned_by(mut self, set: &str) -> Self {
        self.0["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "argoproj.io/v1alpha1", "blockOwnerDeletion": true, "controller": true, "kind": "ApplicationSet", "name": set,
            "uid": uid("ApplicationSet", ARGOCD, set),
        }]);
        self
    }

    fn has_sources(&self) -> bool {
        self.0["spec"]["sources"].is_array()
    }

    /// Writes the sources, and the commit of each, into a part of the status.
    fn name_sources(&self, part: &mut Json, revisions: &[&str]) {
        let compared = &self.0["status"]["sync"]["comparedTo"];
        part["source"] = compared["source"].clone();
        if self.has_sources() {
            part["sources"] = compared["sources"].clone();
        }
        name_revisions(part, self.has_sources(), revisions);
    }

    fn remove(&mut self, part: &str, field: &str) -> Json {
        self.0[part].as_object_mut().unwrap().shift_remove(field).unwrap()
    }
}

impl From<Application> for Json {
    fn from(application: Application) -> Self {
        application.0
    }
}

fn name_revisions(part: &mut Json, several: bool, revisions: &[&str]) {
    if several {
        part["revisions"] = json!(revisions);
    } else {
        let [revision] = revisions else { panic!("one source has one revision: {revisions:?}") };
        part["revision"] = (*revision).into();
    }
}

/// A project with sync windows, as a YAML list such as `[{kind: deny, schedule: 0 22 * * *, duration: 8h, applications: ["*"]}]`.
pub(crate) fn project(name: &str, sync_windows: &str) -> Json {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": name, "namespace": ARGOCD, "generation": 1},
        "spec": {
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            "destinations": [{"namespace": "*", "server": "*"}],
            "sourceRepos": ["*"],
            "syncWindows": yaml(sync_windows),
        },
        "status": {},
    })
}

/// An ApplicationSet that makes one Application, named as its last folder, of each folder that a pattern such as `overlays/*` finds.
pub(crate) fn application_set(name: &str, repo_url: &str, target_revision: &str, directories: &str) -> Json {
    let (generated, made) = ("Successfully generated parameters for all Applications", "All applications have been generated successfully");
    let conditions = [
        ("ErrorOccurred", "ApplicationSetUpToDate", generated, "False"),
        ("ParametersGenerated", "ParametersGenerated", generated, "True"),
        ("ResourcesUpToDate", "ApplicationSetUpToDate", made, "True"),
    ];
    let conditions = conditions.map(|(type_, reason, message, status)| {
        json!({"lastTransitionTime": AT, "message": message, "reason": reason, "status": status, "type": type_})
    });
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": {"name": name, "namespace": ARGOCD, "generation": 1},
        "spec": {
            "generators": [{"git": {
                "directories": [{"path": directories}], "repoURL": repo_url, "revision": target_revision,
                "template": {"metadata": {}, "spec": {"destination": {}, "project": ""}},
            }}],
            "goTemplate": true,
            "goTemplateOptions": ["missingkey=error"],
            "template": {
                "metadata": {"name": "{{.path.basename}}"},
                "spec": {
                    "destination": {"namespace": "{{.path.basename}}", "server": "https://kubernetes.default.svc"},
                    "project": "default",
                    "source": {"path": "{{.path.path}}", "repoURL": repo_url, "targetRevision": target_revision},
                    "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
                },
            },
        },
        "status": {"conditions": conditions},
    })
}
