//! The command line: what was typed, what it means, what is printed and how it exits. The only place that prints and reads the clock.

mod backtest;
mod doctor;
mod eject;
mod gate;
mod output;
mod terminal;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum, ValueHint};
use tokio::signal::unix::{SignalKind, signal};

use crate::clients::git::GitError;
use crate::config::{Config, ConfigError};
use crate::demo;
use crate::run::{self, World};
use output::Report;
use terminal::Progress;

/// Exit code where something failed.
const FAILED: u8 = 1;
/// Exit code of a usage or configuration error; clap's own is the same.
const USAGE: u8 = 2;
/// Exit code under `--strict` where something is held because of an error.
const HELD: u8 = 3;

/// How long a run that is stopped may take to clean up after itself.
const GRACE: Duration = Duration::from_secs(2);

/// Forecasts what every Kubernetes workload will need and writes it into Kustomize overlays, through Git.
#[derive(Debug, Parser)]
#[command(
    name = "prescale",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, or nothing to do; 1 failed; 2 usage or configuration; 3 with --strict, where something is held because of an error.\n\
        Configuration: defaults < prescale.yaml < PRESCALE__SECTION__KEY < flags. Start with `prescale demo`."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Global {
    /// Print more of what is going on, to standard error; twice for all of it
    #[arg(short, long, action = clap::ArgAction::Count, global = true, conflicts_with = "quiet")]
    verbose: u8,
    /// Print errors only
    #[arg(short, long, global = true)]
    quiet: bool,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true, env = "PRESCALE_LOG_FORMAT")]
    log_format: LogFormat,
    /// When to use colours
    #[arg(long, value_enum, default_value_t = Colour::Auto, global = true)]
    color: Colour,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what would change and why; write nothing to Git
    Plan(Planning),
    /// Plan, then commit and push, or open pull requests, as the policies say
    Run(Planning),
    /// Show for each field of a workload who owns it, who overrides it, and what would be done
    Explain(Explain),
    /// Replay our decisions over recorded demand: what they would have cost, and how often they were short
    Backtest(backtest::Backtest),
    /// Make a config repository with four weeks of history in a folder, and run on it
    Demo(Demo),
    /// Take Prescale's components out of the overlays, and leave their values in place
    Eject(eject::Eject),
    /// Work on the gate's policies
    Gate(gate::GateArgs),
    /// Check configuration, metrics, Git and policies; say what to do about each trouble
    Doctor(Settings),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Where settings come from, and the ones that are often given by hand.
#[derive(Debug, Args)]
struct Settings {
    /// The configuration file [default: prescale.yaml, if it is there]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, env = "PRESCALE_CONFIG")]
    config: Option<PathBuf>,
    /// The config repository (sets repository.url)
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
    /// The branch that Argo CD tracks (sets repository.branch)
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,
    /// Only these folders of the repository (sets overlays)
    #[arg(long, value_name = "FOLDER", value_delimiter = ',')]
    overlay: Vec<String>,
    /// The metrics server (sets metrics.prometheus.url)
    #[arg(long, value_name = "URL", conflicts_with = "history")]
    prometheus: Option<String>,
    /// A folder of CSV or OpenMetrics files instead of a metrics server (sets metrics.files)
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    history: Option<PathBuf>,
    /// Decide as of this instant (RFC 3339) instead of now
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
struct Planning {
    #[command(flatten)]
    settings: Settings,
    /// How the plan is printed
    #[arg(short, long, value_enum, default_value_t = Format::Table, overrides_with = "output")]
    output: Format,
    /// Exit with 3 where something is held because of an error
    #[arg(long)]
    strict: bool,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Yaml,
    Markdown,
}

#[derive(Debug, Args)]
struct Explain {
    /// The workload: `name`, `namespace/name` or `namespace/Kind/name`
    workload: String,
    #[command(flatten)]
    settings: Settings,
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t = Format::Table, overrides_with = "output")]
    output: Format,
}

#[derive(Debug, Args)]
struct Demo {
    /// The folder to make
    #[arg(long, value_name = "FOLDER", default_value = "prescale-demo", value_hint = ValueHint::DirPath)]
    dir: PathBuf,
    /// Move a clock through this many hours, one run an hour
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=168))]
    hours: Option<u32>,
    /// The seed of the generated history
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the command line; the returned code is the process's.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::choose_colours(cli.global.color);
    if let Err(error) = terminal::start_logging(&cli.global) {
        return failed(&error.into());
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    let (tell, told) = tokio::sync::oneshot::channel();
    runtime.spawn(async {
        let code = stopped().await;
        terminal::complain("stopped by a signal: what was pushed by then stands, and the next run goes on from there");
        let _ = tell.send(code);
        // What computes, or waits for a server, does not look up.
        tokio::time::sleep(GRACE).await;
        std::process::exit(code.into());
    });
    let code = runtime.block_on(async {
        tokio::select! {
            done = cli.command.execute(&cli.global) => done.unwrap_or_else(|error| failed(&error)),
            Ok(code) = told => ExitCode::from(code),
        }
    });
    // What a conversation with a server holds up is left behind.
    runtime.shutdown_background();
    code
}

/// Ends with the exit code of SIGINT or SIGTERM once one is told. As the first process of a container, nobody else would heed it.
async fn stopped() -> u8 {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut told) => told.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => 130,
        _ = terminated => 143,
    }
}

impl Command {
    async fn execute(self, global: &Global) -> anyhow::Result<ExitCode> {
        let progress = Progress::new(global.quiet);
        match self {
            Self::Plan(planning) => {
                let (config, now) = planning.settings.load()?;
                let world = World::open(config).await?;
                let planned = progress.during("Planning", run::plan(&world, now)).await?;
                planning.finish(&Report::new(planned, Vec::new()))
            }
            Self::Run(planning) => {
                let (config, now) = planning.settings.load()?;
                let world = World::open(config).await?;
                let ran = progress.during("Running", run::run(&world, now)).await?;
                let code = planning.finish(&Report::new(ran.planned, ran.published))?;
                ran.failure.map_or(Ok(code), Err)
            }
            Self::Explain(explain) => {
                let (config, now) = explain.settings.load()?;
                let world = World::open(config).await?;
                let explained = progress.during("Reading", run::explain(&world, now, &explain.workload)).await?;
                terminal::print(&output::explained(&explained, explain.output)?)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Backtest(backtest) => tokio::task::block_in_place(|| backtest.execute(&progress)),
            Self::Demo(demo) => {
                let folder = progress
                    .during("Making four weeks of history", async { demo::make(&demo.dir, demo.seed, demo.hours.unwrap_or(0)) })
                    .await?;
                match demo.hours {
                    None => output::demo(demo::once(&folder).await?, &folder)?,
                    Some(hours) => {
                        let bar = progress.bar("Running hour by hour", u64::from(hours));
                        let day = demo::day(&folder, hours, || bar.inc(1)).await?;
                        bar.finish_and_clear();
                        output::day(&day, &folder)?;
                    }
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Eject(eject) => eject.execute(&progress).await,
            Self::Gate(gate) => tokio::task::block_in_place(|| gate.execute()),
            Self::Doctor(settings) => {
                let healthy = doctor::examine(settings.load()?.0, settings.config.as_deref()).await?;
                Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
            }
            Self::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "prescale", &mut script);
                terminal::print(&String::from_utf8_lossy(&script))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Planning {
    fn finish(&self, report: &Report) -> anyhow::Result<ExitCode> {
        terminal::print(&report.render(self.output)?)?;
        Ok(if self.strict && report.has_errors() { ExitCode::from(HELD) } else { ExitCode::SUCCESS })
    }
}

impl Settings {
    /// The configuration, and the instant to decide at.
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
    fn load(&self) -> anyhow::Result<(Config, DateTime<Utc>)> {
        let mut flags = Vec::new();
        // One source of history replaces the other.
        flags.extend(self.prometheus.as_ref().map(|_| ("metrics.files", None)));
        flags.extend(self.history.as_ref().map(|_| ("metrics.prometheus", None)));
        for (key, value) in
            [("repository.url", &self.repository), ("repository.branch", &self.branch), ("metrics.prometheus.url", &self.prometheus)]
        {
            flags.extend(value.clone().map(|value| (key, Some(value))));
        }
        if !self.overlay.is_empty() {
            flags.push(("overlays", Some(self.overlay.join(","))));
        }
        if let Some(path) = &self.history {
            let path = path.to_str().context("the path given as --history is not UTF-8")?;
            flags.push(("metrics.files", Some(path.to_owned())));
        }
        let config = Config::load(self.config.as_deref(), environment()?, &flags)?;
        Ok((config, self.at.unwrap_or_else(Utc::now)))
    }
}

/// The variables that are ours, as text.
fn environment() -> Result<HashMap<String, String>, ConfigError> {
    let ours = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok().filter(|name| name.starts_with("PRESCALE__"))?, value)));
    ours.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(ConfigError(format!("the environment variable `{name}` is not UTF-8"))),
    })
    .collect()
}

/// An instant within the centuries that calendars are sure of.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let at: DateTime<Utc> = text.parse().map_err(|e| format!("{e}: write for instance 2026-11-16T07:00:00Z"))?;
    if (1971..2500).contains(&chrono::Datelike::year(&at)) { Ok(at) } else { Err("give a year between 1971 and 2499".to_owned()) }
}

/// Prints an error with its causes, and tells the exit code.
fn failed(error: &anyhow::Error) -> ExitCode {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.dedup_by(|inner, outer| outer.contains(inner.as_str())); // many libraries repeat their source
    terminal::complain(&causes.join("\n  because: "));
    let is_settings = error.is::<ConfigError>() || matches!(error.downcast_ref(), Some(GitError::Settings { .. }));
    ExitCode::from(if is_settings { USAGE } else { FAILED })
}
