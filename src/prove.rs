//! Proven, not hoped: each overlay is rendered before and after its edit, and the renders must differ in the planned fields and nowhere else.

mod diff;
mod planned;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sha2::{Digest, Sha256};

use crate::clients::git::{CommitId, Repository};
use crate::clients::kustomize::{Kustomize, RenderError};
use crate::model::{Edited, Held, HoldReason, NewFile, OverlayEdit, Proof, Proven, ProvenEdit, Refusal, RefusalCode, RepoPath};

/// Overlays that are seen to at a time, at most.
const MOST_AT_ONCE: usize = 8;

/// Proves each overlay's edit against the commit that it was made on. What fails is held, with all that moved besides the plan.
///
/// An error is one of this machine (no space for the files), never of an overlay.
pub async fn render(edited: Edited, repository: &Repository, base: CommitId, kustomize: Option<&Kustomize>) -> anyhow::Result<Proven> {
    let mut proven = Proven { overlays: Vec::new(), held: edited.held };
    let at_once = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_AT_ONCE);
    let proofs = stream::iter(edited.overlays).map(async |edit| {
        let Some(kustomize) = kustomize else {
            return Ok((edit, Ok(Proof::NotRendered { why: "no kustomize found".to_owned() })));
        };
        let proof = overlay(&edit, repository, base, kustomize).await?;
        anyhow::Ok((edit, proof))
    });
    let mut proofs = std::pin::pin!(proofs.buffered(at_once));
    while let Some((edit, proof)) = proofs.try_next().await? {
        match proof {
            Ok(proof) => proven.overlays.push(ProvenEdit { edit, proof }),
            Err(refusal) if edit.changes.is_empty() => {
                tracing::warn!(overlay = %edit.overlay, %refusal, "Prescale's component does not apply, and cannot be written anew");
            }
            Err(refusal) => proven.held.extend(edit.changes.into_iter().map(|sited| Held {
                workload: sited.change.workload,
                overlay: sited.change.overlay,
                field: Some(sited.change.field),
                wanted: Some(sited.change.to),
                why: HoldReason::Refused(refusal.clone()),
            })),
        }
    }
    Ok(proven)
}

/// Renders one overlay, and those that read its touched files, before and after. The others may move by the plan too, or not at all.
pub async fn overlay(
    edit: &OverlayEdit,
    repository: &Repository,
    base: CommitId,
    kustomize: &Kustomize,
) -> anyhow::Result<Result<Proof, Refusal>> {
    let before = tempfile::tempdir().context("cannot make a folder to render in")?;
    let after = tempfile::tempdir().context("cannot make a folder to render in")?;
    let roots: BTreeSet<RepoPath> =
        edit.roots.iter().chain(edit.reaches.iter().flat_map(|reached| reached.roots.iter())).cloned().collect();
    for folder in [before.path(), after.path()] {
        repository.export(base, &roots, folder)?;
    }
    if let Some(mend) = &edit.mend {
        write(&mend.without, before.path())?;
    }
    write(&edit.files, after.path())?;

    let (old, new) = match both(&edit.overlay, before.path(), after.path(), kustomize).await {
        (Ok(old), Ok(new)) => (old, new),
        (Err(error), _) | (_, Err(error)) => return Ok(Err(does_not_render(&edit.overlay, &error))),
    };
    if let Err(unplanned) = diff::compare(&old, &new, &edit.moved()) {
        return Ok(Err(failed(&edit.overlay, &unplanned)));
    }
    let (mut along, mut unrendered) = (Vec::new(), Vec::new());
    for reached in &edit.reaches {
        match both(&reached.overlay, before.path(), after.path(), kustomize).await {
            (Ok(old), Ok(new)) if old == new => {}
            (Ok(old), Ok(new)) => {
                if let Err(unplanned) = diff::compare_reader(&old, &new, &edit.moved()) {
                    return Ok(Err(failed(&reached.overlay, &unplanned)));
                }
                along.push(reached.overlay.clone());
            }
            // What did not render before is not broken by the edit.
            (Err(RenderError::Failed { .. }), Err(RenderError::Failed { .. })) => unrendered.push(reached.overlay.clone()),
            (Err(RenderError::Failed { .. }), Ok(_)) if edit.mend.is_some() => {}
            (Err(error), _) | (_, Err(error)) => return Ok(Err(does_not_render(&reached.overlay, &error))),
        }
    }
    Ok(Ok(Proof::Rendered { before: digest(&old), after: digest(&new), by: kustomize.name(), along, unrendered }))
}

/// An overlay before and after.
async fn both(
    overlay: &RepoPath,
    before: &Path,
    after: &Path,
    kustomize: &Kustomize,
) -> (Result<String, RenderError>, Result<String, RenderError>) {
    tokio::join!(kustomize.build(before, overlay.as_str()), kustomize.build(after, overlay.as_str()))
}

fn write(files: &BTreeMap<RepoPath, Option<NewFile>>, folder: &Path) -> anyhow::Result<()> {
    for (path, file) in files {
        let target = folder.join(path.as_str());
        let Some(file) = file else {
            std::fs::remove_file(&target).with_context(|| format!("cannot remove `{path}` to render without it"))?;
            continue;
        };
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make a folder for `{path}` to render it"))?;
        }
        std::fs::write(&target, &file.bytes).with_context(|| format!("cannot write `{path}` to render it"))?;
    }
    Ok(())
}

fn does_not_render(overlay: &RepoPath, error: &RenderError) -> Refusal {
    Refusal::at(RefusalCode::DoesNotRender, overlay, None, error.to_string())
}

fn failed(overlay: &RepoPath, unplanned: &[String]) -> Refusal {
    let mut detail = format!("the renders before and after differ from the plan in {}:", unplanned.len());
    for difference in unplanned.iter().take(5) {
        let _ = write!(detail, " {difference};");
    }
    Refusal::at(RefusalCode::ProofFailed, overlay, None, detail.trim_end_matches(';'))
}

fn digest(render: &str) -> String {
    Sha256::digest(render.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
