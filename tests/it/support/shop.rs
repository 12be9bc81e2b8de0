//! The demo's folder as a world of its own, and the built binary run on it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use prescale::demo;
use serde_json::Value as Json;
use tempfile::TempDir;

use super::git::{git, git_command};

/// The built binary, without any configuration of this machine.
pub(crate) fn prescale(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prescale"));
    command.args(args).env_remove("PRESCALE_CONFIG").env_remove("PRESCALE_LOG");
    command
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }

    /// What `--output json` printed.
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    /// Fails unless it ended with `code` and its errors, or else its output, say all of these words.
    pub(crate) fn says(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        let said = format!("{}{}", self.err, self.out);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(said.contains(word), "`{word}` is not in: {said}");
        }
    }
}

/// A demo folder made anew.
pub(crate) struct Shop {
    root: TempDir,
}

/// As of when the demo decides.
pub(crate) fn now() -> String {
    demo::START.to_rfc3339()
}

impl Shop {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        demo::make(&root.path().join("demo"), 1, 0).unwrap();
        Self { root }
    }

    /// The folder that holds `config.git` and `history`.
    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join("demo")
    }

    /// The bare repository.
    pub(crate) fn bare(&self) -> PathBuf {
        self.path().join("config.git")
    }

    pub(crate) fn tip(&self) -> String {
        git(&self.bare(), &["rev-parse", "main"])
    }

    /// Writes a configuration: the repository at `url`, then `more` YAML. History comes from the files unless `more` says `metrics:`, and
    /// nothing is
    /// studied unless it says `decision:`, and no policy is asked unless it says `gate:`.
    pub(crate) fn configure(&self, repository: &str, more: &str) -> String {
        let mut text =
            format!("repository:\n{repository}overlays: [overlays]\nstate: {{path: {}}}\n{more}", self.path().join("state").display());
        if !more.contains("metrics:") {
            let _ = writeln!(text, "metrics: {{files: {}}}", self.path().join("history").display());
        }
        if !more.contains("decision:") {
            text.push_str("decision: {studiesPerRun: 0}\n");
        }
        if !more.contains("gate:") {
            text.push_str("gate: {shipped: false}\n");
        }
        let file = self.root.path().join("prescale.yaml");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// The configuration for the repository as a file.
    pub(crate) fn local(&self, more: &str) -> String {
        self.configure(&format!("  url: file://{}\n", self.bare().display()), more)
    }

    /// Runs a command with this configuration, as of the demo's present.
    pub(crate) fn run(&self, verb: &str, config: &str, more: &[&str]) -> Ran {
        Ran::of(prescale(&[verb, "--config", config, "--at", &now(), "--output", "json"]).args(more).current_dir(self.root.path()))
    }

    /// As [`Shop::run`], with variables.
    pub(crate) fn run_with(&self, verb: &str, config: &str, environment: &[(&str, usize)]) -> Ran {
        let mut command = prescale(&[verb, "--config", config, "--at", &now(), "--output", "json"]);
        command.envs(environment.iter().map(|(name, value)| (name, value.to_string())));
        Ran::of(command.current_dir(self.root.path()))
    }

    /// Changes files of the repository as a person would; `None` removes one.
    pub(crate) fn commit(&self, files: &[(&str, Option<&str>)]) {
        self.commit_at("2026-01-01T00:00:00Z", files);
    }

    /// As [`Shop::commit`], at an instant.
    pub(crate) fn commit_at(&self, at: &str, files: &[(&str, Option<&str>)]) {
        let work = self.root.path().join("work");
        git(self.root.path(), &["clone", "-q", self.bare().to_str().unwrap(), work.to_str().unwrap()]);
        for (path, text) in files {
            let path = work.join(path);
            match text {
                Some(text) => {
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(path, text).unwrap();
                }
                None => std::fs::remove_file(path).unwrap(),
            }
        }
        git(&work, &["add", "-A"]);
        let commit = git_command(&work).env("GIT_COMMITTER_DATE", at).args(["commit", "-qm", "Change the shop by hand"]).status();
        assert!(commit.unwrap().success());
        git(&work, &["push", "-q", "origin", "HEAD:main"]);
        std::fs::remove_dir_all(work).unwrap();
    }

    /// A file of the repository as it is now.
    pub(crate) fn file(&self, path: &str) -> String {
        git(&self.bare(), &["show", &format!("main:{path}")]) + "\n"
    }

    /// Checks a commit's files out into a folder.
    pub(crate) fn checkout(&self, commit: &str, into: &Path) {
        std::fs::create_dir_all(into).unwrap();
        git(&self.bare(), &[&format!("--work-tree={}", into.display()), "checkout", "-q", "-f", commit, "--", "."]);
        std::fs::remove_file(self.bare().join("index")).unwrap();
    }
}
