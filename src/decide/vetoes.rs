//! What people decided against is held.

use crate::model::{Held, HoldReason, Patience, Plan, Veto};

/// Holds the changes of a plan that a veto is about.
pub fn hold(plan: &mut Plan, vetoes: &[Veto], patience: Patience) {
    let at = plan.at;
    for change in std::mem::take(&mut plan.changes) {
        // The one that lasts longest.
        let veto = vetoes.iter().filter(|veto| veto.holds(&change, at, patience)).max_by_key(|veto| veto.at);
        match veto {
            None => plan.changes.push(change),
            Some(veto) => plan.held.push(Held {
                workload: change.workload,
                overlay: change.overlay,
                field: Some(change.field),
                wanted: Some(change.to),
                why: HoldReason::Vetoed { by: veto.by.clone(), band: patience.band, until: veto.at + patience.span },
            }),
        }
    }
}
