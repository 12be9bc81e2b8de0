//! `prescale gate test`: runs the tests of Rego policies, as `opa test` would, on the engine that runs use.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::bail;
use clap::{Args, Subcommand, ValueHint};

use super::FAILED;
use super::terminal::{print, styled};
use crate::collect;
use crate::gate::{self, Gate, Policy, Settings};

const OK: Style = AnsiColor::Green.on_default();
const FAIL: Style = AnsiColor::Red.on_default().bold();

/// How long one test may take.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct GateArgs {
    #[command(subcommand)]
    command: GateCommand,
}

#[derive(Debug, Subcommand)]
enum GateCommand {
    /// Run the tests of policies: rules whose names begin with `test_`, beside the shipped policies
    Test {
        /// The folder of .rego files
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath, required = true)]
        folders: Vec<PathBuf>,
    },
}

impl GateArgs {
    pub(super) fn execute(&self) -> anyhow::Result<ExitCode> {
        let GateCommand::Test { folders } = &self.command;
        let mut policies = Vec::new();
        for folder in folders {
            policies.extend(collect::rego(folder, true)?.into_iter().map(|(path, text)| Policy { path, text }));
        }
        let tests = tests_of(&policies)?;
        if tests.is_empty() {
            bail!(
                "no rule begins with `test_` in {}",
                folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
            );
        }
        let gate = Gate::new(&gate::beside_shipped(policies.clone()), Settings::over(&serde_json::json!({}))?, LIMIT)?;
        let mut failed = 0;
        for (path, rule) in &tests {
            let outcome = gate.holds(rule);
            let (mark, why) = match &outcome {
                Ok(true) => (styled(OK, "ok  "), String::new()),
                Ok(false) => (styled(FAIL, "fail"), String::new()),
                Err(error) => (styled(FAIL, "fail"), format!(": {error}")),
            };
            failed += usize::from(outcome != Ok(true));
            print(&format!("{mark}  {}  ({path}){why}\n", rule.trim_start_matches("data.")))?;
        }
        print(&format!("{} passed, {failed} failed\n", tests.len() - failed))?;
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}

/// The tests, by file.
fn tests_of(policies: &[Policy]) -> anyhow::Result<Vec<(&str, String)>> {
    let mut tests: Vec<(&str, String)> = Vec::new();
    for policy in policies {
        for test in policy.tests()? {
            if !tests.iter().any(|(_, known)| *known == test) {
                tests.push((policy.path.as_str(), test));
            }
        }
    }
    Ok(tests)
}
