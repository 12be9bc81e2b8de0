//! Configuration in layers: defaults < file < `PRESCALE__SECTION__KEY` < flags. Each section is the [`Settings`](crate::decide::Settings) of
//! the stage that reads it; this module only composes them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Case, Environment, File, FileFormat};
use serde::{Deserialize, Deserializer, Serialize};

use crate::clients::store::Store;
use crate::clients::{cluster, git, github, kustomize, store};
use crate::gate::{Gate, GateError, Policy};
use crate::model::nearest::with_nearest;
use crate::model::policy::{delta, duration};
use crate::model::{Patience, RepoPath, Shard, Share};
use crate::{collect, deliver, gate};

/// The file that is read from the working folder when none is named.
pub const DEFAULT_FILE: &str = "prescale.yaml";

/// All settings of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// The kill switch: everything is planned, nothing is written. Default: false.
    pub paused: bool,
    /// The config repository. `plan` and `run` need it.
    pub repository: Option<git::Settings>,
    /// Which folders of the repository are looked at, and which alone may be written. Default: all.
    pub overlays: Folders,
    /// Where history comes from.
    pub metrics: collect::Settings,
    /// Which cluster is read, beside Git and metrics.
    pub cluster: cluster::Settings,
    /// When decisions are made and when they take effect.
    pub decision: Decision,
    /// Which policies decide on routes.
    pub gate: GateSettings,
    /// How overlays are rendered for the proof.
    pub render: kustomize::Settings,
    /// What earlier runs recorded.
    pub state: store::Settings,
    /// Which share of the workloads is this one's, where several Prescales take turns on one repository.
    pub shard: Shard,
    /// Who commits.
    pub commit: deliver::Settings,
    /// What a pull request looks like.
    pub pull_request: deliver::PullRequest,
    /// How to reach GitHub. Without it, a pull request is a branch and a report beside it.
    pub github: Option<github::Settings>,
}

/// Folders of the repository; in the environment, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Folders(pub Vec<RepoPath>);

/// When decisions are made and when they take effect.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Decision {
    /// Time between two runs: the CronJob's schedule. Default: 10m.
    #[serde(with = "duration")]
    pub every: Duration,
    /// From a decision to Ready pods: run, merge, Argo CD's refresh and sync, start-up. Default: 6m.
    #[serde(with = "duration")]
    pub lead_time: Duration,
    /// How many workloads a run studies: replays the last two weeks for them. Default: 20.
    pub studies_per_run: usize,
    /// A closed pull request, a revert or an edit by hand holds a change until what it is made from has moved by this share. Default: 20%.
    pub veto_band: Share,
    /// And for no longer than this. Default: 7d.
    #[serde(with = "duration")]
    pub veto_for: Duration,
}

/// Which Rego policies decide on routes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GateSettings {
    /// Whether those that come with Prescale are asked. Default: true.
    pub shipped: bool,
    /// Folders of your own. Default: none.
    pub policies: Vec<PathBuf>,
    /// What policies find as `data.prescale.settings`, laid over the shipped ones. Default: nothing.
    pub settings: serde_json::Value,
    /// How long the policies may take for one change. Default: 1s.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

/// A configuration that cannot be used: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl Default for Folders {
    fn default() -> Self {
        Self(vec![RepoPath::root()])
    }
}

impl Default for Decision {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(600),
            lead_time: Duration::from_secs(360),
            studies_per_run: 20,
            veto_band: Share(0.2),
            veto_for: Duration::from_secs(7 * 86_400),
        }
    }
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            shipped: true,
            policies: Vec::new(),
            settings: serde_json::Value::Object(serde_json::Map::new()),
            timeout: Duration::from_secs(1),
        }
    }
}

impl<'de> Deserialize<'de> for Folders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            List(Vec<RepoPath>),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::List(folders) => Ok(Self(folders)),
            Form::Text(text) => {
                let parse = |folder: &str| RepoPath::try_from(folder.trim().to_owned()).map_err(serde::de::Error::custom);
                text.split(',').map(parse).collect::<Result<_, _>>().map(Self)
            }
        }
    }
}

impl Config {
    /// Reads the layers. `file` must exist when it is named; [`DEFAULT_FILE`] need not. `environment` is the process's; `flags` are keys
    /// with dots and their values; one without unsets its key.
    pub fn load(file: Option<&Path>, environment: HashMap<String, String>, flags: &[(&str, Option<String>)]) -> Result<Self, ConfigError> {
        let source = match file {
            Some(file) => File::from(file).format(FileFormat::Yaml).required(true),
            None => File::from(Path::new(DEFAULT_FILE)).format(FileFormat::Yaml).required(false),
        };
        let environment = Environment::with_prefix("PRESCALE")
            .prefix_separator("__")
            .separator("__")
            .convert_case(Case::Camel)
            .ignore_empty(true)
            .source(Some(environment));
        let shown = file.unwrap_or(Path::new(DEFAULT_FILE)).display().to_string();
        let layers = config::Config::builder().add_source(source).add_source(environment);
        let layers = flags.iter().try_fold(layers, |layers, (key, value)| layers.set_override(*key, value.clone()));
        let mut config: Self = layers
            .and_then(config::ConfigBuilder::<config::builder::DefaultState>::build)
            .and_then(config::Config::try_deserialize)
            .map_err(|error| {
                ConfigError(format!(
                    "the configuration cannot be used (`{shown}` and PRESCALE__… variables): {}",
                    with_nearest(&error.to_string())
                ))
            })?;
        config.check()?;
        // Each shard has branches of its own.
        if let Some(repository) = config.repository.as_mut().filter(|_| !config.shard.is_whole()) {
            let _ = write!(repository.branch_prefix, "{}/", config.shard);
        }
        Ok(config)
    }

    /// The config repository, or what to do where none is named.
    pub fn repository(&self) -> Result<&git::Settings, ConfigError> {
        self.repository.as_ref().ok_or_else(|| {
            ConfigError("no config repository: set `repository.url`, for instance to https://…, ssh://… or file:///…".to_owned())
        })
    }

    /// What no single key can tell is wrong.
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |problem: &str| Err(ConfigError(problem.to_owned()));
        let collect::Settings { prometheus, files, history, step } = &self.metrics;
        if prometheus.is_some() && files.is_some() {
            return wrong("`metrics.prometheus` and `metrics.files` are both set: keep one of them");
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(step) {
            return wrong("`metrics.step` must lie between 1s and 1h");
        }
        if !(Duration::from_secs(86_400)..=Duration::from_secs(400 * 86_400)).contains(history) {
            return wrong("`metrics.history` must lie between 1d and 400d");
        }
        if !(Duration::from_secs(60)..=Duration::from_secs(7 * 86_400)).contains(&self.decision.every) {
            return wrong("`decision.every` must lie between 1m and 7d");
        }
        if self.decision.lead_time > Duration::from_secs(86_400) {
            return wrong("`decision.leadTime` must be at most 1d");
        }
        if !(1..=5000).contains(&self.cluster.page_size) {
            return wrong("`cluster.pageSize` must lie between 1 and 5000");
        }
        let Shard { index, count } = self.shard;
        if !(1..=1000).contains(&count) || index >= count {
            return wrong(&format!("`shard.index` is {index} and `shard.count` {count}: there are 1 to 1000 shards, counted from 0"));
        }
        if self.overlays.0.is_empty() {
            return wrong("`overlays` is empty: name at least one folder, or leave it out for all");
        }
        Ok(())
    }

    /// What forecasts need.
    pub fn forecast(&self) -> crate::forecast::Settings {
        crate::forecast::Settings { every: delta(self.decision.every), lead: delta(self.decision.lead_time) }
    }

    /// What decisions need.
    pub fn decide(&self) -> crate::decide::Settings {
        crate::decide::Settings { paused: self.paused, every: delta(self.decision.every), lead: delta(self.decision.lead_time) }
    }

    /// The repository on GitHub, where pull requests are opened there.
    pub fn github(&self) -> Result<Option<(&github::Settings, github::Slug)>, ConfigError> {
        let Some(github) = &self.github else { return Ok(None) };
        let url = self.repository()?.url.to_string();
        let slug = github::Slug::parse(github.repository.as_deref().unwrap_or(&url));
        let slug =
            slug.ok_or_else(|| ConfigError(format!("no owner and name can be read from `{url}`: set `github.repository` to owner/name")))?;
        Ok(Some((github, slug)))
    }

    /// The gate's policies, compiled.
    pub fn gate(&self) -> Result<Gate, GateError> {
        let GateSettings { shipped, policies, settings, timeout } = &self.gate;
        let mut own = Vec::new();
        for folder in policies {
            let found = collect::rego(folder, false).map_err(|error| GateError::new(format!("{error:#}")))?;
            if found.is_empty() {
                return Err(GateError::new(format!("`gate.policies`: no file in `{}` ends in .rego", folder.display())));
            }
            own.extend(found.into_iter().map(|(path, text)| Policy { path, text }));
        }
        let all = if *shipped { gate::beside_shipped(own) } else { own };
        Gate::new(&all, gate::Settings::over(settings)?, *timeout)
    }

    /// When vetoes end.
    pub fn patience(&self) -> Patience {
        Patience { band: self.decision.veto_band.0, span: delta(self.decision.veto_for) }
    }

    /// The state, opened: each shard has its own part.
    pub fn store(&self) -> anyhow::Result<Store> {
        let store = self.state.open()?;
        Ok(if self.shard.is_whole() { store } else { store.part(&format!("shards/{}", self.shard)) })
    }

    /// The folder of the bare clone.
    pub fn cache(&self) -> PathBuf {
        let folder = &self.state.path;
        if self.shard.is_whole() { folder.join("cache") } else { folder.join("shards").join(self.shard.to_string()).join("cache") }
    }
}
