//! The demo's folder: a bare repository, the history, and a configuration that joins them.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Config;
use crate::model::{Window, WorkloadId};

use super::generator::{Minute, SHOP, minutes};

/// The namespace in which the demo may write.
pub(super) const PROD: &str = "shop-prod";
/// When the history ends and the demo's clock begins: a Monday morning, before the rush.
pub const START: DateTime<Utc> = DateTime::from_timestamp(1_794_812_400, 0).unwrap();
/// How much history there is.
pub const HISTORY: TimeDelta = TimeDelta::days(28);
/// A file that tells a demo's folder from one that must not be touched.
const MARKER: &str = ".prescale-demo";

/// What a file of the history holds of a minute.
type Column<'a> = &'a dyn Fn(&Minute) -> f64;

/// The config repository's files.
const FILES: [(&str, &str); 18] = [
    ("README.md", include_str!("../../manifests/demo/README.md")),
    ("base/kustomization.yaml", include_str!("../../manifests/demo/base/kustomization.yaml")),
    ("base/frontend.yaml", include_str!("../../manifests/demo/base/frontend.yaml")),
    ("base/backend.yaml", include_str!("../../manifests/demo/base/backend.yaml")),
    ("base/redis.yaml", include_str!("../../manifests/demo/base/redis.yaml")),
    ("base/site/index.html", include_str!("../../manifests/demo/base/site/index.html")),
    ("base/site/default.conf", include_str!("../../manifests/demo/base/site/default.conf")),
    ("components/backend-hpa/kustomization.yaml", include_str!("../../manifests/demo/components/backend-hpa/kustomization.yaml")),
    ("components/backend-hpa/hpa.yaml", include_str!("../../manifests/demo/components/backend-hpa/hpa.yaml")),
    ("components/backend-keda/kustomization.yaml", include_str!("../../manifests/demo/components/backend-keda/kustomization.yaml")),
    ("components/backend-keda/scaledobject.yaml", include_str!("../../manifests/demo/components/backend-keda/scaledobject.yaml")),
    ("components/podmonitor/kustomization.yaml", include_str!("../../manifests/demo/components/podmonitor/kustomization.yaml")),
    ("components/podmonitor/podmonitor.yaml", include_str!("../../manifests/demo/components/podmonitor/podmonitor.yaml")),
    ("overlays/prod/kustomization.yaml", include_str!("../../manifests/demo/overlays/prod/kustomization.yaml")),
    ("overlays/prod/frontend-floor.yaml", include_str!("../../manifests/demo/overlays/prod/frontend-floor.yaml")),
    ("overlays/prod/scaling.yaml", include_str!("../../manifests/demo/overlays/prod/scaling.yaml")),
    ("overlays/staging/kustomization.yaml", include_str!("../../manifests/demo/overlays/staging/kustomization.yaml")),
    ("overlays/staging/scaling.yaml", include_str!("../../manifests/demo/overlays/staging/scaling.yaml")),
];

/// A demo's folder on disk.
pub struct Folder {
    path: PathBuf,
    /// What was generated, by namespace and workload: what will then happen.
    truth: BTreeMap<(&'static str, &'static str), Vec<Minute>>,
}

/// Makes the folder anew, with `hours` of demand beyond [`START`] that only the demo's clock will come to know.
///
/// A folder that is not a demo's is never touched.
pub fn make(path: &Path, seed: u64, hours: u32) -> anyhow::Result<Folder> {
    if path.exists() {
        let empty = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if !empty && !path.join(MARKER).exists() {
            bail!("`{}` exists and is not a folder of the demo: name another one with --dir", path.display());
        }
        fs::remove_dir_all(path).with_context(|| format!("cannot remove the demo's old folder `{}`", path.display()))?;
    }
    let cannot = |what: &str| format!("cannot write {what} of the demo in `{}`: is there space, and may this user write?", path.display());
    fs::create_dir_all(path).with_context(|| cannot("the folder"))?;
    fs::write(path.join(MARKER), "This folder was made by `prescale demo`, which makes it anew each time.\n")
        .with_context(|| cannot("a marker"))?;
    let path = path.canonicalize().with_context(|| cannot("the folder"))?;

    bare_repository(&path.join("config.git")).with_context(|| cannot("the repository"))?;

    let mut truth = BTreeMap::new();
    for shape in &SHOP {
        let minutes = minutes(shape, START - HISTORY, START + TimeDelta::hours(i64::from(hours) + 2), seed);
        let folder = path.join("history").join(shape.namespace).join(shape.workload);
        fs::create_dir_all(&folder).with_context(|| cannot("the history"))?;
        let cpu = |m: &Minute| m.pod_cpu * f64::from(m.pods);
        let (pod_cpu, pod_memory) = (format!("cpu.{}", shape.container), format!("memory.{}", shape.container));
        let columns: [(&str, Column<'_>); 4] =
            [("requests", &|m| m.requests), ("cpu", &cpu), (&pod_cpu, &|m| m.pod_cpu), (&pod_memory, &|m| m.pod_memory.round())];
        for (signal, value) in columns {
            let mut csv = String::from("timestamp,value\n");
            for minute in &minutes {
                let _ = writeln!(csv, "{},{:.4}", minute.at.timestamp(), value(minute));
            }
            fs::write(folder.join(format!("{signal}.csv")), csv).with_context(|| cannot("the history"))?;
        }
        truth.insert((shape.namespace, shape.workload), minutes);
    }

    let every = if hours > 0 { "1h" } else { "10m" };
    let root = path.display();
    let config = format!(
        "# What `prescale demo` runs with: the place to start your own configuration from.\n\
         repository:\n  url: file://{root}/config.git\n  branch: main\noverlays: [overlays]\n\
         metrics:\n  files: {root}/history # in production: prometheus: {{url: http://prometheus:9090}}\n\
         decision:\n  every: {every}\n  leadTime: 6m\n\
         gate: # until the sale is over, nothing is taken away\n  settings:\n    freezes:\n      - from: 2026-11-16T06:00\n        to: 2026-11-16T08:00\n        \
         why: a sale runs\n        overlays: [overlays/prod]\n        allow: [rise]\nstate:\n  path: {root}/state\n"
    );
    fs::write(path.join("prescale.yaml"), config).with_context(|| cannot("the configuration"))?;
    Ok(Folder { path, truth })
}

/// A bare repository whose one commit holds the shop's files; the same each time.
fn bare_repository(path: &Path) -> Result<(), git2::Error> {
    let repository = git2::Repository::init_opts(path, git2::RepositoryInitOptions::new().bare(true).initial_head("main"))?;
    let empty = repository.find_tree(repository.treebuilder(None)?.write()?)?;
    let mut update = git2::build::TreeUpdateBuilder::new();
    for (name, text) in FILES {
        update.upsert(name, repository.blob(text.as_bytes())?, git2::FileMode::Blob);
    }
    let tree = repository.find_tree(update.create_updated(&repository, &empty)?)?;
    let author = git2::Signature::new("Shop team", "shop@localhost", &git2::Time::new((START - HISTORY).timestamp(), 0))?;
    repository.commit(Some("refs/heads/main"), &author, &author, "Describe the shop\n", &tree, &[])?;
    Ok(())
}

impl Folder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The demo's present.
    pub fn now(&self) -> DateTime<Utc> {
        START
    }

    /// Its configuration, the environment left out.
    pub fn config(&self) -> anyhow::Result<Config> {
        Ok(Config::load(Some(&self.path.join("prescale.yaml")), HashMap::new(), &[])?)
    }

    /// The greatest requests a second that the workload sees in a window; `None` where nothing is measured.
    pub(super) fn peak_requests(&self, workload: &WorkloadId, window: Window) -> Option<f64> {
        let minutes = self.truth.get(&(workload.namespace.as_str(), workload.name.as_str()))?;
        minutes.iter().filter(|m| (window.from..window.to).contains(&m.at)).map(|m| m.requests).reduce(f64::max)
    }
}
