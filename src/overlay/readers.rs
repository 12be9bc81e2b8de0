//! Other overlays that read an edited file: what an edit may do to them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::build::{Additions, Build, build};
use super::fields;
use super::files::Files;
use super::graph::Graph;
use super::kustomization::{self, Kustomization};
use crate::model::{Field, ObjectRef, Place, Refusal, RefusalCode, RepoPath, Value};

/// One planned field: what may move in another overlay too.
pub(super) struct Move<'a> {
    pub(super) object: &'a ObjectRef,
    pub(super) field: &'a Field,
    pub(super) from: Option<&'a Value>,
    pub(super) to: &'a Value,
}

/// Checks the overlays that read a touched file. Each must render as before, or the same objects with the planned fields moved from the
/// same old values to the same new ones; and those that move by it must be no variants beside each other. Gives each, and whether it moves.
pub(super) fn check(
    (before, after): (&Files<'_>, &Files<'_>),
    graph: &Graph,
    overlay: &RepoPath,
    plan: &[Move<'_>],
    touched: &[&RepoPath],
) -> Result<BTreeMap<RepoPath, bool>, Refusal> {
    let refuse = |reader: &RepoPath, detail: String| {
        let leads = |path: &RepoPath| path == overlay || graph.reached(overlay).contains(path) || touched.contains(&path);
        Refusal { code: RefusalCode::Shared, place: Some(entry(before, reader, leads)), detail }
    };
    let mut others: BTreeSet<RepoPath> = touched.iter().flat_map(|path| graph.reached(path)).collect();
    others.remove(overlay);
    touched.iter().copied().chain([overlay]).chain(&others).try_for_each(|path| graph.not_linked(path))?;
    // What only lists folders renders what they render: there is nothing to find out but whether one of them moves.
    let (lists, others): (BTreeSet<_>, BTreeSet<_>) =
        others.into_iter().partition(|reader| !graph.is_variant(reader) && !touched.iter().any(|path| graph.names(reader, path)));
    let mut reached = BTreeMap::new();
    for reader in others {
        let moves = match (build(before, &reader, &Additions::default()), build(after, &reader, &Additions::default())) {
            (Ok(old), Ok(new)) => follows(&old, &new, plan).map_err(|object| {
                let detail = format!(
                    "`{reader}` builds on `{overlay}`, and the edit would change its {object} otherwise than planned: plan the change for \
                     `{reader}`, or set the value there first"
                );
                refuse(&reader, detail)
            })?,
            // What Kustomize refused before is not broken by the edit; what a mended overlay broke renders again.
            (Err(old), Err(new)) if old == new && matches!(old.code, RefusalCode::DoesNotRender | RefusalCode::NoTarget) => continue,
            (Err(old), Ok(_)) if old.code == RefusalCode::DoesNotRender => continue,
            (_, new) => {
                let why = new.err().map_or_else(String::new, |refusal| format!(": {}", refusal.detail));
                return Err(refuse(&reader, format!("`{reader}` builds on `{overlay}`, and would no longer render{why}")));
            }
        };
        reached.insert(reader, moves);
    }
    let variants: Vec<&RepoPath> =
        reached.iter().filter(|(reader, moves)| **moves && graph.is_variant(reader)).map(|(reader, _)| reader).collect();
    for (index, one) in variants.iter().enumerate() {
        if let Some(other) = variants[..index].iter().find(|other| !graph.stacked(one, other)) {
            let detail =
                format!("`{overlay}` is a base of both `{other}` and `{one}`: plan the change for them, each gets a value of its own");
            return Err(refuse(one, detail));
        }
    }
    reached.extend(lists.iter().map(|list| (list.clone(), false)));
    let mut settled = false;
    while !settled {
        let moving: Vec<&RepoPath> = reached.iter().filter(|(_, moves)| **moves).map(|(reader, _)| reader).chain([overlay]).collect();
        let more: Vec<RepoPath> =
            lists.iter().filter(|list| !reached[*list] && moving.iter().any(|folder| graph.names(list, folder))).cloned().collect();
        settled = more.is_empty();
        reached.extend(more.into_iter().map(|list| (list, true)));
    }
    Ok(reached)
}

/// Where a reader names what leads to an edit.
fn entry(files: &Files<'_>, reader: &RepoPath, leads: impl Fn(&RepoPath) -> bool) -> Place {
    let named = Kustomization::load(files, reader).ok().and_then(|kustomization| {
        let entries = kustomization.resources().chain(kustomization.list("components"));
        let mut there = entries.filter(|entry| entry.as_text().and_then(|text| reader.join(text)).is_some_and(|path| leads(&path)));
        there.next().and_then(|entry| entry.place())
    });
    named.unwrap_or_else(|| Place { path: kustomization::file_of(files, reader).unwrap_or_else(|| reader.clone()), line: None })
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
            let read = |tree| fields::find(planned.field, tree).and_then(|node| fields::read(planned.field, &node));
            if read(&old.tree).as_ref() == planned.from
                && read(&new.tree).as_ref() == Some(planned.to)
                && let Some(value) = fields::find(planned.field, &new.tree)
            {
                fields::put(&mut expected, planned.field, &value);
                fields::put(&mut found, planned.field, &value);
            }
        }
        if expected != found {
            return Err(id.to_string());
        }
    }
    Ok(any)
}

/// The folders that must be there to render an overlay, found once each.
#[derive(Default)]
pub(super) struct Roots(RefCell<BTreeMap<RepoPath, Arc<BTreeSet<RepoPath>>>>);

impl Roots {
    pub(super) fn of(&self, files: &Files<'_>, overlay: &RepoPath) -> Arc<BTreeSet<RepoPath>> {
        let found = || {
            let build = build(files, overlay, &Additions::default());
            build.map_or_else(|_| BTreeSet::from([overlay.clone()]), |build| build.roots).into()
        };
        self.0.borrow_mut().entry(overlay.clone()).or_insert_with(found).clone()
    }
}
