//! A config repository with one workload under a policy, its history in files, and the built binary run on it as time goes by.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;
use tempfile::TempDir;

use super::git::{commit_at, git};
use super::shop::{Ran, prescale};

/// `shop/web`, a Deployment whose policy stands beside it.
pub(crate) struct Small {
    root: TempDir,
}

/// As of when the first run decides.
pub(crate) fn start() -> DateTime<Utc> {
    "2026-11-16T07:00:00Z".parse().unwrap()
}

const KUSTOMIZATION: &str = "resources: [web.yaml]\n";

impl Small {
    /// The workload with this many replicas and a policy of this spec, in flow style. Changes travel by commit.
    pub(crate) fn new(replicas: u32, spec: &str) -> Self {
        Self::by("commit", replicas, spec)
    }

    /// As [`Small::new`], where changes travel by this route.
    pub(crate) fn by(delivery: &str, replicas: u32, spec: &str) -> Self {
        let small = Self { root: tempfile::tempdir().unwrap() };
        let root = small.root.path();
        git(root, &["init", "-q", "--bare", "-b", "main", "config.git"]);
        git(root, &["clone", "-q", "config.git", "work"]);
        let workload = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: shop}}\nspec:\n  replicas: {replicas}\n  selector: {{matchLabels: {{app: web}}}}\n  \
             template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{containers: [{{name: app, image: app:1}}]}}\n"
        );
        let policy = format!(
            "apiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {{name: web}}\nspec: {{target: {{name: web}}, requests: {{enabled: false}}, delivery: {delivery}, {spec}}}\n"
        );
        for (file, text) in [("kustomization.yaml", KUSTOMIZATION), ("web.yaml", &workload), ("scaling.yaml", &policy)] {
            let file = root.join("work/overlays/prod").join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        git(&root.join("work"), &["add", "-A"]);
        git(&root.join("work"), &["commit", "-qm", "One workload"]);
        git(&root.join("work"), &["push", "-q", "origin", "HEAD:main"]);
        let config = format!(
            "repository: {{url: 'file://{0}/config.git'}}\nstate: {{path: '{0}/state'}}\nmetrics: {{files: '{0}/history'}}\nrender: {{program: none}}\ngate: {{shipped: false}}\n",
            root.display()
        );
        std::fs::write(root.join("prescale.yaml"), config).unwrap();
        small
    }

    /// Its history of this name, by the minute from two days before the start to a day after it: the value of each so many minutes from
    /// the start.
    pub(crate) fn history(&self, name: &str, value: impl Fn(i64) -> f64) -> &Self {
        self.history_around(0, name, value)
    }

    /// As [`Small::history`], around so many minutes after the start.
    pub(crate) fn history_around(&self, now: i64, name: &str, value: impl Fn(i64) -> f64) -> &Self {
        let mut text = String::new();
        for minute in now - 2 * 1440..now + 1440 {
            writeln!(text, "{},{}", start().timestamp() + minute * 60, value(minute)).unwrap();
        }
        let folder = self.root.path().join("history/shop/web");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.csv")), text).unwrap();
        self
    }

    /// The folder of all of it.
    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// The bare repository.
    pub(crate) fn bare(&self) -> PathBuf {
        self.path().join("config.git")
    }

    /// Someone sets the replicas by hand, so many minutes after the start.
    pub(crate) fn set(&self, minutes: i64, replicas: u32) -> String {
        let file = git(&self.bare(), &["show", "main:overlays/prod/web.yaml"]) + "\n";
        let set = file.replace(&format!("replicas: {}\n", self.replicas()), &format!("replicas: {replicas}\n"));
        commit_at(&self.bare(), "main", "overlays/prod/web.yaml", &set, start() + TimeDelta::minutes(minutes))
    }

    /// Has the repository reached by this, in flow style.
    pub(crate) fn reached_by(&self, repository: &str) {
        let file = self.path().join("prescale.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        std::fs::write(file, format!("repository: {{{repository}}}\n{rest}")).unwrap();
    }

    /// Adds YAML to the configuration.
    pub(crate) fn configure(&self, more: &str) {
        let file = self.path().join("prescale.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, text + more).unwrap();
    }

    /// A command so many minutes after the start.
    pub(crate) fn command(&self, verb: &str, minutes: i64) -> Command {
        let config: PathBuf = self.root.path().join("prescale.yaml");
        let at = (start() + TimeDelta::minutes(minutes)).to_rfc3339();
        prescale(&[verb, "--config", config.to_str().unwrap(), "--at", &at])
    }

    fn at(&self, verb: &str, minutes: i64, more: &[&str]) -> Ran {
        Ran::of(self.command(verb, minutes).args(more))
    }

    /// Runs so many minutes after the start; what it reports.
    pub(crate) fn run(&self, minutes: i64) -> Json {
        let ran = self.at("run", minutes, &["--output", "json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json()
    }

    /// What a plan so many minutes after the start says to people.
    pub(crate) fn plan(&self, minutes: i64) -> Ran {
        self.at("plan", minutes, &["--output", "markdown"])
    }

    /// What a plan so many minutes after the start reports.
    pub(crate) fn plan_json(&self, minutes: i64) -> Json {
        let ran = self.at("plan", minutes, &["--output", "json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json()
    }

    /// The replicas in Git.
    pub(crate) fn replicas(&self) -> u32 {
        let text = git(&self.root.path().join("config.git"), &["show", "main:overlays/prod/web.yaml"]);
        text.lines().find_map(|line| line.trim().strip_prefix("replicas: ")).unwrap().parse().unwrap()
    }
}

/// The codes of what a report holds.
pub(crate) fn held(report: &Json) -> Vec<String> {
    let code = |held: &Json| held["why"]["reason"].as_str().unwrap().to_owned();
    report["held"].as_array().unwrap().iter().map(code).collect()
}
