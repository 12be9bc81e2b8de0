//! Standard output and error: colours and progress on a terminal only, and a closed pipe is no error.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::EnvFilter;

use super::{Colour, Global, LogFormat};
use crate::config::ConfigError;

/// Prints to standard output. A reader that went away (`prescale plan | head`) ends the output quietly.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints an error to standard error.
pub(super) fn complain(text: &str) {
    let red = AnsiColor::Red.on_default().bold();
    // Nothing can be done where even this fails.
    let _ = writeln!(anstream::stderr(), "{red}error:{red:#} {text}");
}

/// Wraps a text in a style; the streams of this module strip it where it cannot be shown.
pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

pub(super) fn choose_colours(choice: Colour) {
    match choice {
        Colour::Auto => anstream::ColorChoice::Auto,
        Colour::Always => anstream::ColorChoice::Always,
        Colour::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// Starts logging to standard error; a filter in `PRESCALE_LOG` that does not parse is an error.
pub(super) fn start_logging(global: &Global) -> Result<(), ConfigError> {
    let level = match (global.quiet, global.verbose) {
        // What kube logs as an error is told in our own words.
        (true, _) => "error,kube_client=off",
        (false, 0) => "warn,kube_client=off",
        (false, 1) => "info,prescale=debug",
        (false, _) => "debug,prescale=trace",
    };
    let asked = std::env::var_os("PRESCALE_LOG").map(|filter| filter.to_string_lossy().into_owned());
    let filter = EnvFilter::try_new(asked.as_deref().unwrap_or(level))
        .map_err(|error| ConfigError(format!("`PRESCALE_LOG` is no filter ({error}): write for instance `prescale=debug`")))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match global.log_format {
        LogFormat::Json => lines.json().init(),
        LogFormat::Text => lines.with_target(false).with_ansi(io::stderr().is_terminal()).init(),
    }
    Ok(())
}

/// How wide tables may be: the terminal, or what a log viewer shows.
pub(super) fn width() -> u16 {
    terminal_size::terminal_size().map_or(160, |(terminal_size::Width(columns), _)| columns.clamp(80, 200))
}

/// Progress on standard error, where that is a terminal.
pub(super) struct Progress {
    shown: bool,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        Self { shown: !quiet && io::stderr().is_terminal() }
    }

    /// A spinner while `work` goes on.
    pub(super) async fn during<T>(&self, what: &'static str, work: impl Future<Output = T>) -> T {
        if !self.shown {
            return work.await;
        }
        let spinner = ProgressBar::new_spinner().with_message(what);
        spinner.enable_steady_tick(Duration::from_millis(100));
        let result = work.await;
        spinner.finish_and_clear();
        result
    }

    /// A bar of `steps`.
    pub(super) fn bar(&self, what: &'static str, steps: u64) -> ProgressBar {
        if !self.shown {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{msg} {bar:32} {pos}/{len} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(steps).with_message(what).with_style(style)
    }
}
