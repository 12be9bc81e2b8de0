//! What people declined where there is no forge to say so: they deleted our branch, and did not merge it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{World, blocking};
use crate::deliver::{proposed, pull};
use crate::model::{Change, Patience, Proposal, Rhythm, Tree, Veto};
use crate::overlay;

/// What was declined, and what of it was not known before.
#[derive(Default)]
pub(super) struct Declined {
    pub(super) vetoes: Vec<Veto>,
    noticed: Vec<(String, Proposal)>,
}

impl Declined {
    /// Looks for reports whose branch is gone while the fields still hold what they held then. With a forge it is asked instead.
    pub(super) async fn look(world: &World, tree: &Tree, now: DateTime<Utc>) -> anyhow::Result<Self> {
        let mut declined = Self::default();
        if world.forge.is_some() {
            return Ok(declined);
        }
        for (at, word) in world.store.declined().await? {
            declined.vetoes.extend(Proposal::from_word(&word).into_iter().flat_map(|proposal| proposed::deleted(at, proposal)));
        }
        let branches = blocking(|| world.repository.branches())?;
        for branch in [Rhythm::Floor, Rhythm::Template].map(|rhythm| pull::branch(&world.repository, rhythm)) {
            let Some(report) = world.store.report(&branch).await?.filter(|_| !branches.contains_key(&branch)) else { continue };
            let Some(mut proposal) = proposed::told(&report, &world.repository) else { continue };
            let still: Vec<Change> = overlay::still_as_planned(proposal.changes(), tree).0;
            let still: BTreeSet<_> = still.iter().map(|change| (&change.overlay, &change.object, &change.field)).collect();
            proposal.changes.retain(|of| still.contains(&(&of.change.overlay, &of.change.object, &of.change.field)));
            declined.vetoes.extend(proposed::deleted(now, proposal.clone()));
            declined.noticed.push((branch, proposal));
        }
        Ok(declined)
    }

    /// Keeps what was noticed as long as it may hold.
    pub(super) async fn keep(&self, world: &World, now: DateTime<Utc>, Patience { span, .. }: Patience) -> anyhow::Result<()> {
        for (branch, proposal) in &self.noticed {
            if !proposal.changes.is_empty() {
                tracing::info!(branch, "our branch was deleted unmerged: what it proposed is not proposed again for now");
                world.store.decline(now, &proposal.to_word(), now - span).await?;
            }
            world.store.put_report(branch, None).await?;
        }
        Ok(())
    }
}
