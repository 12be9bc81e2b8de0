//! Leaving: the Components are taken out of the overlays, and their values stay.

use anyhow::bail;
use chrono::{DateTime, Utc};

use super::{blocking, lent};
use crate::clients::git::{CommitId, Identity, Pushed, Repository};
use crate::clients::github::Github;
use crate::clients::kustomize::Kustomize;
use crate::config::{Config, ConfigError};
use crate::deliver::{edits, message};
use crate::model::{Proof, Proven, ProvenEdit, Refusal, RepoPath};
use crate::{overlay, prove};

/// How often a lost race is run again.
const MOST_TRIES: u32 = 8;

/// What leaving comes to.
pub struct Ejected {
    /// The overlays whose Component becomes patches, with their proofs.
    pub overlays: Vec<ProvenEdit>,
    /// The overlays whose Component stays, and why.
    pub refused: Vec<(RepoPath, Refusal)>,
    /// What it does to the files, for people.
    pub diff: String,
    /// The commit that was pushed; absent where nothing was to be written.
    pub commit: Option<CommitId>,
}

/// Takes Prescale's Components out of the overlays and leaves their values in place as patches of the overlays, each proven by a render that
/// stays the same. Where `write` is set, this is pushed to the branch as one commit.
pub async fn eject(config: &Config, now: DateTime<Utc>, write: bool) -> anyhow::Result<Ejected> {
    if write && config.paused {
        bail!("`paused` is set, so that nothing is written; for this command alone, set PRESCALE__PAUSED=false");
    }
    let kustomize = Kustomize::find(&config.render).await.map_err(|error| ConfigError(error.to_string()))?;
    if write && kustomize.is_none() {
        bail!("no kustomize or kubectl on the PATH: nothing is written that is not proven; install one of them");
    }
    let repository = &open(config).await?;
    let author = Identity { name: config.commit.name.clone(), email: config.commit.email.clone() };
    for _ in 0..MOST_TRIES {
        let base = blocking(|| repository.fetch())?;
        let (proven, refused) = proven(config, repository, kustomize.as_ref(), base).await?;
        let files = edits(&proven);
        let message = message::ejected(&proven, config.commit.signs_off().as_deref());
        let commit = if files.is_empty() { None } else { blocking(|| repository.commit(base, &files, &message, &author, now))? };
        let diff = commit.map_or_else(|| Ok(String::new()), |commit| blocking(|| repository.diff(base, commit)))?;
        let ejected = |commit| Ejected { overlays: proven.overlays, refused, diff, commit };
        let Some(commit) = commit.filter(|_| write) else { return Ok(ejected(None)) };
        match blocking(|| repository.push(commit, base))? {
            Pushed::Done => return Ok(ejected(Some(commit))),
            Pushed::Refused { why } => bail!("the push to `{}` was refused: {why}", repository.label()),
            Pushed::Lost { .. } => tracing::info!("the branch moved; beginning anew on its new head"),
        }
    }
    bail!("the branch of `{}` moved {MOST_TRIES} times meanwhile; nothing was written, try again", repository.label())
}

/// The repository alone: whoever leaves may have neither metrics nor a cluster at hand, and GitHub's App only where it is the way to Git.
async fn open(config: &Config) -> anyhow::Result<Repository> {
    let settings = config.repository()?;
    let forge = config.github()?.filter(|_| settings.password.is_none() && settings.password_file.is_none());
    let forge = forge
        .map(|(settings, slug)| {
            Ok::<_, anyhow::Error>(Github::open(settings, slug, config.store()?.whole()).map_err(|error| ConfigError(error.to_string()))?)
        })
        .transpose()?;
    let settings = lent(settings, forge.as_ref()).await?;
    Ok(blocking(|| Repository::open(&settings, &config.cache()))?)
}

/// The edits that leave every render as it is, and those that cannot be.
async fn proven(
    config: &Config,
    repository: &Repository,
    kustomize: Option<&Kustomize>,
    base: CommitId,
) -> anyhow::Result<(Proven, Vec<(RepoPath, Refusal)>)> {
    let tree = blocking(|| repository.tree(base))?;
    let scope = overlay::Scope { allowed: config.overlays.0.clone() };
    let (mut proven, mut refused) = (Proven::default(), Vec::new());
    for (overlay, edit) in overlay::eject(&tree, &scope) {
        let proof = match (&edit, kustomize) {
            (Err(refusal), _) => Err(refusal.clone()),
            (Ok(edit), Some(kustomize)) => prove::overlay(edit, repository, base, kustomize).await?,
            (Ok(_), None) => Ok(Proof::NotRendered { why: "no kustomize found".to_owned() }),
        };
        match (edit, proof) {
            (Ok(edit), Ok(proof)) => proven.overlays.push(ProvenEdit { edit, proof }),
            (Err(refusal), _) | (_, Err(refusal)) => refused.push((overlay, refusal)),
        }
    }
    Ok((proven, refused))
}
