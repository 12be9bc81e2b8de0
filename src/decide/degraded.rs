//! A change of ours that an Application did not bear is taken back at once, and not made again for now.

use crate::model::{Basis, Change, Field, Plan, Reason, RepoPath, Route, Snapshot, Veto, Vetoed, VetoedBy, Written};

use super::{Settings, paused_by};

/// Where an Application became Degraded after it deployed commits of ours, and these alone, the inverse of what they changed takes the place
/// of whatever else was planned for these fields. It goes by pull request, or is only observed where the policy has it so: people look at it,
/// whatever else goes by commit. `last` are the values that were written last to each field.
///
/// Gives the vetoes of what was taken back before.
pub fn take_back<'a>(plan: &mut Plan, snapshot: &Snapshot, settings: &Settings, last: impl Iterator<Item = &'a Written>) -> Vec<Veto> {
    let last: Vec<&Written> = last.collect();
    for workload in &snapshot.workloads {
        if paused_by(workload, settings).is_some() {
            continue;
        }
        let unwell = workload.deploys.iter().find_map(|deploys| Some((deploys, deploys.degraded_by()?)));
        let Some((deploys, (since, brought))) = unwell else { continue };
        // What else came may as well be the cause.
        if !brought.iter().all(|commit| last.iter().any(|written| written.commit == *commit)) {
            continue;
        }
        let is_here = |written: &&&Written| {
            written.what.change.overlay == workload.overlay && written.what.workload == workload.rendered.id && !written.what.is_inverse()
        };
        for written in last.iter().filter(is_here).filter(|written| brought.contains(&written.commit)) {
            let done = &written.what.change;
            let Some(before) = done.from.clone().filter(|_| workload.rendered.value(&done.field) == Some(&done.to)) else {
                continue;
            };
            let is_it = |overlay: &RepoPath, field: Option<&Field>| overlay == &done.overlay && field == Some(&done.field);
            plan.changes.retain(|change| !(is_it(&change.overlay, Some(&change.field)) && change.object == done.object));
            plan.held.retain(|held| !(held.workload == workload.rendered.id && is_it(&held.overlay, held.field.as_ref())));
            plan.changes.push(Change {
                workload: workload.rendered.id.clone(),
                object: done.object.clone(),
                overlay: done.overlay.clone(),
                field: done.field.clone(),
                from: Some(done.to.clone()),
                to: before,
                reasons: vec![Reason::TakenBack { application: deploys.name(), commit: written.commit.clone(), since }],
                route: workload.policy.route(done.field.rhythm()).min(Route::PullRequest),
            });
        }
    }
    last.iter().filter(|written| written.what.is_inverse()).filter_map(|written| veto(written)).collect()
}

/// What was taken back is not to be made again.
fn veto(written: &Written) -> Option<Veto> {
    let done = &written.what.change;
    let basis = Box::new(Basis { input: None, to: done.from.clone()? });
    let what = Vetoed::Field { overlay: done.overlay.clone(), object: done.object.clone(), field: done.field.clone(), basis };
    Some(Veto { what, by: VetoedBy::Degraded, at: written.at })
}
