//! Other overlays that read an edited file: what an edit may do to them.

use std::collections::BTreeSet;

use super::build::{Additions, Build, build};
use super::fields;
use super::files::Files;
use super::graph::Graph;
use super::kustomization;
use crate::model::edit::Reached;
use crate::model::{Field, ObjectRef, Refusal, RefusalCode, RepoPath, Value};

/// One planned field: what may move in another overlay too.
pub(super) struct Move<'a> {
    pub(super) object: &'a ObjectRef,
    pub(super) field: &'a Field,
    pub(super) from: Option<Value>,
    pub(super) to: Value,
}

/// Checks the overlays that read a touched file. Each must render as before, or the same objects with the planned fields moved from the
/// same old values to the same new ones; and those that move by it must be no variants beside each other.
pub(super) fn check(
    (before, after): (&Files<'_>, &Files<'_>),
    graph: &Graph,
    overlay: &RepoPath,
    plan: &[Move<'_>],
    others: BTreeSet<RepoPath>,
) -> Result<Vec<Reached>, Refusal> {
    let refuse = |reader: &RepoPath, detail: String| {
        let file = kustomization::file_of(before, reader).unwrap_or_else(|| reader.clone());
        Refusal::at(RefusalCode::Shared, &file, None, detail)
    };
    let mut reached = Vec::new();
    for reader in others {
        let pair = (build(before, &reader, &Additions::default()), build(after, &reader, &Additions::default()));
        reached.push(match pair {
            (Ok(old), Ok(new)) => {
                let moves = follows(&old, &new, plan).map_err(|object| {
                    let detail = format!(
                        "`{reader}` builds on `{overlay}`, and the edit would change its {object} otherwise than planned: plan the change for \
                         `{reader}`, or set the value there first"
                    );
                    refuse(&reader, detail)
                })?;
                Reached { overlay: reader, roots: new.roots, moves }
            }
            // What Kustomize refused before is not broken by the edit.
            (Err(old), Err(new)) if old == new && matches!(old.code, RefusalCode::DoesNotRender | RefusalCode::NoTarget) => continue,
            (_, new) => {
                let why = new.err().map_or_else(String::new, |refusal| format!(": {}", refusal.detail));
                return Err(refuse(&reader, format!("`{reader}` builds on `{overlay}`, and would no longer render{why}")));
            }
        });
    }
    let variants: Vec<&RepoPath> =
        reached.iter().filter(|reached| reached.moves).map(|reached| &reached.overlay).filter(|reader| graph.is_variant(reader)).collect();
    for (index, one) in variants.iter().enumerate() {
        if let Some(other) = variants[..index].iter().find(|other| !graph.stacked(one, other)) {
            let detail =
                format!("`{overlay}` is a base of both `{other}` and `{one}`: plan the change for them, each gets a value of its own");
            return Err(refuse(one, detail));
        }
    }
    Ok(reached)
}

/// Whether a reader moves at all; the error is an object that moves in another way than planned.
fn follows(before: &Build, after: &Build, plan: &[Move<'_>]) -> Result<bool, String> {
    if before.objects.len() != after.objects.len() {
        return Err("number of objects".to_owned());
    }
    let mut any = false;
    for (old, new) in before.objects.iter().zip(&after.objects) {
        if old.tree == new.tree {
            continue;
        }
        any = true;
        let id = new.id.object_ref();
        let (mut expected, mut found) = (old.tree.clone(), new.tree.clone());
        for planned in plan.iter().filter(|planned| *planned.object == id) {
            let read = |tree| fields::find(planned.field, tree).and_then(|node| fields::read(planned.field, node));
            if read(&old.tree) == planned.from
                && read(&new.tree) == Some(planned.to)
                && let Some(value) = fields::find(planned.field, &new.tree)
            {
                fields::put(&mut expected, planned.field, value);
                fields::put(&mut found, planned.field, value);
            }
        }
        if expected != found {
            return Err(id.to_string());
        }
    }
    Ok(any)
}
