//! `prescale doctor`: each part that a run needs, tried out, with what to do about each trouble.

use std::collections::BTreeSet;
use std::path::Path;

use anstyle::{AnsiColor, Style};

use crate::clients::cluster::Cluster;
use crate::clients::git::{self, CommitId, GitError, Repository};
use crate::clients::github::Github;
use crate::clients::kustomize::Kustomize;
use crate::collect::{self, Governed, Source};
use crate::config::{Config, DEFAULT_FILE};
use crate::deliver::message;
use crate::model::Tree;
use crate::run;

use super::terminal::{print, styled};

const OK: Style = AnsiColor::Green.on_default();
const WARN: Style = AnsiColor::Yellow.on_default();
const FAIL: Style = AnsiColor::Red.on_default().bold();

/// Tries each part of what this file, or the default one, configures, and prints what it found. Tells whether a run can do its work.
pub(super) async fn examine(config: Config, file: Option<&Path>) -> anyhow::Result<bool> {
    let mut healthy = true;
    let mut say = |outcome: Outcome, what: &str, detail: &str| -> std::io::Result<()> {
        let mark = match outcome {
            Outcome::Ok => styled(OK, "ok  "),
            Outcome::Warn => styled(WARN, "warn"),
            Outcome::Fail => styled(FAIL, "fail"),
        };
        healthy &= outcome != Outcome::Fail;
        print(&format!("{mark}  {what:<14}{detail}\n"))
    };

    let file = file.or_else(|| Some(Path::new(DEFAULT_FILE)).filter(|file| file.exists()));
    let read = file.map_or_else(
        || format!("no {DEFAULT_FILE} here, and no --config: only the environment and flags"),
        |file| file.display().to_string(),
    );
    say(Outcome::Ok, "configuration", &read)?;
    if config.paused {
        say(Outcome::Warn, "configuration", "paused: nothing will be written")?;
    }

    match config.store() {
        Ok(store) => match store.probe().await {
            Ok(()) => say(Outcome::Ok, "state", store.label())?,
            Err(error) => say(Outcome::Fail, "state", &format!("{error:#}"))?,
        },
        Err(error) => say(Outcome::Fail, "state", &format!("{error:#}"))?,
    }

    match config.gate().and_then(|gate| gate.packages()) {
        Ok(packages) => say(Outcome::Ok, "gate", &format!("{} policies", packages.len()))?,
        Err(error) => say(Outcome::Fail, "gate", &error.to_string())?,
    }

    match Kustomize::find(&config.render).await {
        Ok(Some(kustomize)) => say(Outcome::Ok, "render", &kustomize.name())?,
        Ok(None) => {
            say(Outcome::Warn, "render", "no kustomize or kubectl on the PATH: plans will say `not rendered`; install one of them")?;
        }
        Err(error) => say(Outcome::Fail, "render", &error.to_string())?,
    }

    match Source::open(&config.metrics) {
        Err(error) => say(Outcome::Fail, "metrics", &format!("{error:#}"))?,
        Ok(source) => match source.health().await {
            Ok((server, warnings)) => {
                say(Outcome::Ok, "metrics", &server)?;
                for warning in warnings {
                    say(Outcome::Warn, "metrics", &warning)?;
                }
            }
            Err(error) => say(Outcome::Fail, "metrics", &format!("{error:#}"))?,
        },
    }

    let settings = match config.repository() {
        Ok(settings) => settings,
        Err(error) => {
            for (outcome, detail) in cluster(&config, &BTreeSet::new()).await {
                say(outcome, "cluster", &detail)?;
            }
            say(Outcome::Fail, "repository", &error.to_string())?;
            return Ok(false);
        }
    };
    let forge = forge(&config);
    let lender = forge.as_ref().ok().and_then(|forge| Some(&forge.as_ref()?.0));
    let opened = match run::lent(settings, lender).await {
        Err(_) => Err("not tried without the token that GitHub lends, see `github`".to_owned()),
        Ok(settings) => tokio::task::block_in_place(|| tip(&settings, &config)).map_err(|error| match forge {
            Err(_) => format!("mend `github` first, whose token Git may take: {error}"),
            Ok(_) => error.to_string(),
        }),
    };
    let mut within = BTreeSet::new();
    match opened {
        Err(error) => say(Outcome::Fail, "repository", &error)?,
        Ok((tree, head)) => {
            let found = format!("branch `{}` at {:.12}; whether a push is let in is not tried", settings.branch, head.to_string());
            say(Outcome::Ok, "repository", &found)?;
            let (governed, told) = policies(&config, &tree);
            within = namespaces(&governed);
            for (outcome, detail) in told {
                say(outcome, "policies", &detail)?;
            }
        }
    }
    for (outcome, detail) in cluster(&config, &within).await {
        say(outcome, "cluster", &detail)?;
    }
    match forge {
        Ok(None) => {}
        Err(error) => say(Outcome::Fail, "github", &format!("{error:#}"))?,
        Ok(Some((forge, found))) => match forge.pulls(&settings.branch, None).await {
            Ok(_) => say(Outcome::Ok, "github", &format!("{found}; whether pull requests may be opened is not tried"))?,
            Err(error) => say(Outcome::Fail, "github", &error.to_string())?,
        },
    }
    Ok(healthy)
}

/// The newest commit of the tracked branch.
fn tip(settings: &git::Settings, config: &Config) -> Result<(Tree, CommitId), GitError> {
    let repository = Repository::open(settings, &config.cache())?;
    let head = repository.fetch()?;
    Ok((repository.tree(head)?, head))
}

/// GitHub, where pull requests are opened there, and what to call it.
fn forge(config: &Config) -> anyhow::Result<Option<(Github, String)>> {
    let Some((github, slug)) = config.github()? else { return Ok(None) };
    let called = format!("{slug} at {}", github.url);
    Ok(Some((Github::open(github, slug, config.store()?.whole())?, called)))
}

/// The workloads that policies in Git govern, and what there is to say of the policies and of where they are looked for.
fn policies(config: &Config, tree: &Tree) -> (Vec<Governed>, Vec<(Outcome, String)>) {
    let (governed, amiss) = collect::governed(tree, &config.overlays.0, &[]);
    let none = "no ScalingPolicy in Git: only those of a cluster would count; see `policies/README.md`";
    let found = match (governed.len(), amiss.len()) {
        (0, 0) => (Outcome::Warn, none.to_owned()),
        (n, _) => (Outcome::Ok, format!("{n} workload{} governed", if n == 1 { "" } else { "s" })),
    };
    let absent = config.overlays.0.iter().filter(|folder| !tree.is_folder(folder));
    let absent = absent.map(|folder| (Outcome::Fail, format!("the repository has no folder `{folder}`: correct `overlays`")));
    let troubles = amiss.iter().map(|trouble| (Outcome::Fail, format!("{}: {}", trouble.workload, message::held(&trouble.why))));
    let told = std::iter::once(found).chain(absent).chain(troubles).collect();
    (governed, told)
}

/// Where the workloads run that policies in Git govern, as far as these say.
fn namespaces(governed: &[Governed]) -> BTreeSet<String> {
    let rendered = governed.iter().map(|one| one.rendered.id.namespace.clone());
    let named = governed.iter().filter_map(|one| one.policy.metadata.namespace.clone());
    rendered.chain(named).filter(|namespace| !namespace.is_empty()).collect()
}

/// What is read of a cluster, and what may not be: in all namespaces, or else in these.
async fn cluster(config: &Config, namespaces: &BTreeSet<String>) -> Vec<(Outcome, String)> {
    let cluster = match Cluster::connect(&config.cluster).await {
        Ok(Some(cluster)) => cluster,
        Ok(None) => return vec![(Outcome::Ok, "none is read: all that is known comes from metrics and Git".to_owned())],
        Err(error) => return vec![(Outcome::Fail, error.to_string())],
    };
    match collect::unseen(&cluster, namespaces).await {
        Ok(unseen) => {
            let told = unseen.iter().map(|one| (Outcome::Warn, one.to_string()));
            [(Outcome::Ok, cluster.server().to_owned())].into_iter().chain(told).collect()
        }
        Err(error) => vec![(Outcome::Fail, error.to_string())],
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ok,
    Warn,
    Fail,
}
