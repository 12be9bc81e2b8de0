//! The studies of a run: those that are known, and those whose turn it is.

use anyhow::Result;

use super::{World, blocking};
use crate::model::{Observed, Snapshot, Study};
use crate::simulate::study;

/// Gives each signal its study; returns those that were made anew.
pub(super) async fn attach(world: &World, snapshot: &mut Snapshot) -> Result<Vec<Study>> {
    let known = world.store.studies().await?;
    let (settings, most) = (world.config.forecast(), world.config.decision.studies_per_run);
    let tick = |workload: &Observed, study: &Result<Study, _>| {
        let (overlay, workload) = (&workload.overlay, &workload.rendered.id);
        match study {
            Ok(Study { model, price, gain, .. }) => tracing::info!(%workload, %overlay, model, price, gain, "studied"),
            Err(why) => tracing::info!(%workload, %overlay, ?why, "could not be studied"),
        }
    };
    let study::Studies { each, made } = blocking(|| study::studies(snapshot, &known, &settings, most, tick));
    let signals = snapshot.workloads.iter_mut().flat_map(|workload| &mut workload.signals);
    for (driven, study) in signals.zip(each) {
        driven.study = study;
    }
    Ok(made)
}
