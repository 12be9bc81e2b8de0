//! The real Kustomize, as a program: what a render says is what Argo CD will apply.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::sync::Semaphore;

/// Renders at a time, at most: each takes 70 MiB, and a large one some 150.
const MOST_AT_ONCE: usize = 8;

/// How overlays are rendered for the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// `auto` (the first of `kustomize` and `kubectl` on the PATH), `none`, or the path of one of the two. Default: `auto`.
    pub program: String,
    /// Further arguments of the build, as in Argo CD's `kustomize.buildOptions`. Default: none.
    pub build_options: Vec<String>,
    /// How long one render may take. Default: 60s.
    #[serde(with = "crate::model::policy::duration")]
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { program: "auto".to_owned(), build_options: Vec::new(), timeout: Duration::from_secs(60) }
    }
}

/// A program that renders.
#[derive(Clone, Debug)]
pub struct Kustomize {
    program: PathBuf,
    /// `kubectl` takes the build as a subcommand.
    subcommand: &'static str,
    build_options: Vec<String>,
    timeout: Duration,
    version: String,
    slots: Arc<Semaphore>,
}

/// A render that failed.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The program was named but does not run.
    #[error("cannot run `{program}`: {source}; correct `render.program`, or leave it at `auto`")]
    NoProgram {
        /// Its path.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It runs, but tells no version of Kustomize.
    #[error("`{program}` does not say which version of Kustomize it is; correct `render.program`, or leave it at `auto`")]
    NotKustomize {
        /// Its path.
        program: String,
    },
    /// It answered with an error.
    #[error("{folder} does not render: {message}")]
    Failed {
        /// The folder.
        folder: String,
        /// What it wrote to standard error, shortened.
        message: String,
    },
    /// It did not answer.
    #[error("{folder} did not render within {} s; raise `render.timeout` if its remote bases are slow", timeout.as_secs())]
    TimedOut {
        /// The folder.
        folder: String,
        /// The limit.
        timeout: Duration,
    },
}

impl Kustomize {
    /// The program that the settings name, or the first one found; `None` when there is none, or none is wanted.
    pub async fn find(settings: &Settings) -> Result<Option<Self>, RenderError> {
        let candidates: &[&str] = match settings.program.as_str() {
            "none" => &[],
            "auto" => &["kustomize", "kubectl"],
            program => &[program],
        };
        for candidate in candidates {
            let kubectl = Path::new(candidate).file_name().is_some_and(|name| name.to_string_lossy().starts_with("kubectl"));
            let (subcommand, version) = if kubectl { ("kustomize", &["version", "--client"][..]) } else { ("build", &["version"][..]) };
            let mut probe = command(candidate);
            probe.args(version);
            let output = match tokio::time::timeout(settings.timeout, probe.output()).await {
                Ok(Ok(output)) => output,
                Ok(Err(source)) if settings.program == "auto" && source.kind() == std::io::ErrorKind::NotFound => continue,
                Ok(Err(source)) => return Err(RenderError::NoProgram { program: (*candidate).to_owned(), source }),
                Err(_) => return Err(RenderError::NotKustomize { program: (*candidate).to_owned() }),
            };
            let said = String::from_utf8_lossy(&output.stdout);
            let version = said.lines().find_map(|line| line.strip_prefix("Kustomize Version: ")).or(said.lines().next());
            return match version.map(str::trim).filter(|version| output.status.success() && version.contains(|c: char| c.is_ascii_digit()))
            {
                Some(version) => Ok(Some(Self {
                    program: candidate.into(),
                    subcommand,
                    build_options: settings.build_options.clone(),
                    timeout: settings.timeout,
                    version: version.to_owned(),
                    slots: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from).min(MOST_AT_ONCE))),
                })),
                None => Err(RenderError::NotKustomize { program: (*candidate).to_owned() }),
            };
        }
        Ok(None)
    }

    /// What proofs and `doctor` call it.
    pub fn name(&self) -> String {
        let program = self.program.file_name().unwrap_or_default().to_string_lossy();
        if self.subcommand == "build" { format!("{program} {}", self.version) } else { format!("{program}, Kustomize {}", self.version) }
    }

    /// The rendered YAML of the folder `label` of a checkout at `root`; messages name paths as the repository does.
    pub async fn build(&self, root: &Path, label: &str) -> Result<String, RenderError> {
        let folder = root.join(label);
        let mut command = command(&self.program);
        command.arg(self.subcommand).args(&self.build_options).arg(&folder);
        command.env("GIT_TERMINAL_PROMPT", "0"); // a remote base that asks for a password must not hang
        // Collecting garbage is a fifth of a short render; a large one begins to collect at the limit.
        command.env("GOGC", "off").env("GOMEMLIMIT", "150MiB");
        let _slot = self.slots.acquire().await; // it is never closed
        let output = tokio::time::timeout(self.timeout, command.output())
            .await
            .map_err(|_| RenderError::TimedOut { folder: label.to_owned(), timeout: self.timeout })?
            .map_err(|source| RenderError::NoProgram { program: self.program.display().to_string(), source })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        // The checkout is a temporary one.
        let said = String::from_utf8_lossy(&output.stderr);
        let message = said.replace(&format!("{}/", root.display()), "").replace(&root.display().to_string(), ".");
        Err(RenderError::Failed { folder: label.to_owned(), message: message.trim().chars().take(600).collect() })
    }
}

/// A program that is told nothing that is ours: it needs no secret.
fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        if ["PRESCALE__", "AWS_"].iter().any(|ours| name.as_encoded_bytes().starts_with(ours.as_bytes())) {
            command.env_remove(name);
        }
    }
    command
}
