//! One workload under the glass: who owns each of its fields, who overrides whom, and what Prescale would do.

use anyhow::bail;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{World, blocking, plan};
use crate::model::{Held, Lead, NoStudy, RepoPath, Sited, Study, WorkloadId};
use crate::overlay::{self, Ownership};

/// A workload in one overlay.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The workload, as rendered.
    pub workload: WorkloadId,
    /// The overlay that renders it.
    pub overlay: RepoPath,
    /// Its fields and those of its autoscaler.
    pub fields: Vec<Explanation>,
    /// What holds the workload as a whole.
    pub held: Vec<Held>,
    /// What a replay says is best for each of its signals.
    pub studies: Vec<Study>,
    /// Why nothing does.
    pub unstudied: Option<NoStudy>,
    /// What was measured of the way from a commit to Ready pods.
    pub lead: Lead,
    /// Whether a policy names it.
    pub governed: bool,
}

/// One field.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Who sets it.
    #[serde(flatten)]
    pub ownership: Ownership,
    /// What would be written, and where.
    pub change: Option<Sited>,
    /// Why nothing is.
    pub held: Option<Held>,
}

/// Explains every workload that `name` means: `name`, `namespace/name` or `namespace/Kind/name`.
pub async fn explain(world: &World, now: DateTime<Utc>, name: &str) -> anyhow::Result<Vec<Explained>> {
    let planned = plan(world, now).await?;
    let tree = blocking(|| world.repository.tree(planned.base))?;
    let mut explained = Vec::new();
    let mut known = Vec::new();
    for folder in overlay::overlays(&tree, &world.config.overlays.0) {
        let rendered = match overlay::survey(&tree, &folder) {
            Ok(rendered) => rendered,
            Err(refusal) => {
                tracing::warn!(%refusal, "passing over an overlay that cannot be read");
                continue;
            }
        };
        for workload in rendered.workloads {
            if !means(name, &workload.id) {
                known.push(workload.id.to_string());
                continue;
            }
            // A policy that could not be followed may not know the namespace that the overlay renders.
            let named = |id: &WorkloadId| {
                (id.kind, &id.name) == (workload.id.kind, &workload.id.name)
                    && (id.namespace.is_empty() || id.namespace == workload.id.namespace)
            };
            let here = |held: &&Held| named(&held.workload) && held.overlay == folder;
            let held: Vec<Held> = planned.plan.held.iter().filter(here).cloned().collect();
            let changes: Vec<Sited> = planned
                .groups
                .iter()
                .flat_map(|group| group.proven.changes())
                .map(|(sited, _)| sited.clone())
                .filter(|sited| sited.change.workload == workload.id && sited.change.overlay == folder)
                .collect();
            let fate = |ownership: Ownership| Explanation {
                change: changes
                    .iter()
                    .find(|sited| sited.change.field == ownership.field && sited.change.object == ownership.object)
                    .cloned(),
                held: held.iter().find(|held| held.field.as_ref() == Some(&ownership.field)).cloned(),
                ownership,
            };
            let mut fields: Vec<Explanation> = overlay::owners(&tree, &folder, &workload.id).into_iter().map(fate).collect();
            // What would be set for the first time has no owner yet.
            for sited in &changes {
                let is_it =
                    |known: &Explanation| (&known.ownership.field, &known.ownership.object) == (&sited.change.field, &sited.change.object);
                if !fields.iter().any(is_it) {
                    fields.push(fate(Ownership {
                        object: sited.change.object.clone(),
                        field: sited.change.field.clone(),
                        value: None,
                        setters: Vec::new(),
                    }));
                }
            }
            let outlooks = planned.plan.outlooks.iter().filter(|one| one.workload == workload.id && one.overlay == folder);
            explained.push(Explained {
                studies: outlooks.clone().filter_map(|outlook| outlook.study.clone()).collect(),
                unstudied: outlooks.clone().find_map(|outlook| outlook.unstudied.clone()),
                lead: outlooks.clone().next().map(|outlook| outlook.lead).unwrap_or_default(),
                governed: !held.is_empty() || !changes.is_empty(),
                held: held.into_iter().filter(|held| held.field.is_none()).collect(),
                workload: workload.id,
                overlay: folder.clone(),
                fields,
            });
        }
    }
    if explained.is_empty() {
        known.sort();
        known.dedup();
        known.truncate(20);
        bail!("no overlay renders a workload `{name}`; there are: {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") });
    }
    Ok(explained)
}

fn means(name: &str, id: &WorkloadId) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        [name] => id.name == name,
        [namespace, name] => (id.namespace.as_str(), id.name.as_str()) == (namespace, name),
        [namespace, kind, name] => {
            (id.namespace.as_str(), id.name.as_str()) == (namespace, name) && id.kind.as_str().eq_ignore_ascii_case(kind)
        }
        _ => false,
    }
}
