//! `prescale eject`: leave, and leave the values in place.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::terminal::{print, styled};
use super::{FAILED, Format, Progress, Settings, output};
use crate::run::{self, Ejected};

#[derive(Debug, Args)]
pub(super) struct Eject {
    #[command(flatten)]
    settings: Settings,
    /// Push it to the branch as one commit, instead of only showing it
    #[arg(long)]
    write: bool,
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t = Format::Table, overrides_with = "output")]
    output: Format,
}

impl Eject {
    pub(super) async fn execute(self, progress: &Progress) -> anyhow::Result<ExitCode> {
        let (config, now) = self.settings.load()?;
        let ejected = progress.during("Reading", run::eject(&config, now, self.write)).await?;
        print(&match self.output {
            Format::Json => serde_json::to_string_pretty(&machine(&ejected))? + "\n",
            Format::Yaml => serde_yaml::to_string(&machine(&ejected))?,
            Format::Table | Format::Markdown => people(&ejected, self.write),
        })?;
        Ok(if ejected.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
    }
}

fn machine(ejected: &Ejected) -> serde_json::Value {
    let Ejected { overlays, refused, diff, commit } = ejected;
    json!({
        "overlays": overlays.iter().map(|one| json!({"overlay": one.edit.overlay, "proof": one.proof})).collect::<Vec<_>>(),
        "refused": refused.iter().map(|(overlay, why)| json!({"overlay": overlay, "why": why})).collect::<Vec<_>>(),
        "diff": diff,
        "commit": commit.map(|commit| commit.to_string()),
    })
}

fn people(ejected: &Ejected, write: bool) -> String {
    let Ejected { overlays, refused, diff, commit } = ejected;
    let mut text = String::new();
    for one in overlays {
        let _ = writeln!(text, "{}: its component becomes patches of its own ({})", one.edit.overlay, one.proof);
    }
    for (overlay, why) in refused {
        let _ = writeln!(text, "{}: {why}", styled(output::YELLOW, &format!("{overlay} stays as it is")));
    }
    let _ = match commit {
        Some(commit) => writeln!(text, "Pushed commit {:.12}.", commit.to_string()),
        None if overlays.is_empty() && refused.is_empty() => {
            writeln!(text, "No overlay has a component of Prescale's: there is nothing to do.")
        }
        None if overlays.is_empty() => Ok(()),
        None if write => writeln!(text, "The branch holds all of it already."),
        None => writeln!(
            text,
            "\n{}\nNothing is written. `prescale eject --write` pushes this to the branch.",
            output::coloured(diff).trim_end()
        ),
    };
    text
}
