//! From changes to new files: finds the site of each, splices it, and checks the outcome by rendering it again in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::argo::Overrides;
use super::build::{Additions, Build, COMPONENT, build};
use super::component::{self, Owned};
use super::fields;
use super::files::{Files, Found, refusal};
use super::graph::Graph;
use super::kustomization::{self, Kustomization};
use super::node::{Node, Step};
use super::object::{Object, Setter};
use super::owners;
use super::readers::{self, Move, Roots};
use super::site::{Decision, Known};
use super::yaml::{self, NewNode, Operation, Target};
use crate::model::edit::{Edited, NewFile, OverlayEdit, Reached, Sited};
use crate::model::{Change, Entry, Field, FileMode, Held, HoldReason, Refusal, RefusalCode, RepoPath, Site, Tree, Value};

/// What may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The folders under which files may be changed.
    pub allowed: Vec<RepoPath>,
}

/// Finds the site of each change and splices it. What cannot be edited safely is held.
pub fn edit(changes: &[Change], tree: &Tree, scope: &Scope) -> Edited {
    let files = Files::new(tree);
    let graph = Graph::new(&files);
    let overrides = Overrides::new(&files);
    let mut by_overlay: BTreeMap<&RepoPath, Vec<&Change>> = BTreeMap::new();
    for change in changes {
        by_overlay.entry(&change.overlay).or_default().push(change);
    }
    let roots = Roots::default();
    let mut edited = Edited::default();
    for (overlay, changes) in by_overlay {
        let mut editor = Editor { files: &files, graph: &graph, overrides: &overrides, roots: &roots, scope, overlay, held: Vec::new() };
        edited.overlays.extend(editor.edit(changes));
        edited.held.extend(editor.held);
    }
    edited
}

/// The edit of one overlay.
struct Editor<'a> {
    files: &'a Files<'a>,
    graph: &'a Graph,
    overrides: &'a Overrides,
    roots: &'a Roots,
    scope: &'a Scope,
    overlay: &'a RepoPath,
    held: Vec<Held>,
}

/// A change with the decision of where it goes.
struct Planned<'a> {
    change: &'a Change,
    /// The number of its object in the build.
    serial: usize,
    /// What the field holds now.
    from: Option<Value>,
    decision: Decision,
}

/// What an edit came to, once it is checked.
struct Outcome {
    files: BTreeMap<RepoPath, NewFile>,
    /// Where each change stands now.
    sites: Vec<Site>,
    roots: BTreeSet<RepoPath>,
    /// Other overlays that read a touched file, and whether they move.
    reaches: BTreeMap<RepoPath, bool>,
}

impl<'a> Editor<'a> {
    fn hold(&mut self, change: &Change, why: HoldReason) {
        self.held.push(Held {
            workload: change.workload.clone(),
            overlay: change.overlay.clone(),
            field: Some(change.field.clone()),
            wanted: Some(change.to),
            why,
        });
    }

    fn edit(&mut self, changes: Vec<&'a Change>) -> Option<OverlayEdit> {
        let before = match build(self.files, self.overlay, &Additions::default()) {
            Ok(build) => build,
            Err(refusal) => {
                for change in changes {
                    self.hold(change, HoldReason::Refused(refusal.clone()));
                }
                return None;
            }
        };
        let mut planned: Vec<Planned<'a>> = Vec::new();
        for change in changes {
            match self.decide(change, &before) {
                Ok(one) if planned.iter().any(|other| other.serial == one.serial && other.change.field == change.field) => {
                    let refusal = Refusal::new(RefusalCode::Unsupported, "another change of this run sets the same field");
                    self.hold(change, HoldReason::Refused(refusal));
                }
                Ok(one) => planned.push(one),
                Err(why) => self.hold(change, why),
            }
        }
        if planned.is_empty() {
            return None;
        }
        let mut outcome = self.attempt(&before, &planned);
        if outcome.is_err() {
            // Something is wrong with at least one: keep those that stand alone.
            let mut good = Vec::new();
            for mut one in planned {
                let mut alone = self.attempt(&before, std::slice::from_ref(&one));
                if alone.is_err() && matches!(one.decision, Decision::Splice { operation: Operation::Insert { .. }, .. }) {
                    // What cannot be added to the overlay's own statement may win in the Component.
                    one.decision = Decision::Component;
                    alone = self.attempt(&before, std::slice::from_ref(&one));
                }
                match alone {
                    Ok(_) => good.push(one),
                    Err(refusal) => self.hold(one.change, HoldReason::Refused(refusal)),
                }
            }
            planned = good;
            outcome = self.attempt(&before, &planned);
        }
        match outcome {
            Ok(_) if planned.is_empty() => None,
            Ok(Outcome { files, sites, roots, reaches }) => {
                let changes = planned.iter().zip(sites).map(|(one, site)| Sited { change: one.change.clone(), site }).collect();
                let reaches =
                    reaches.into_iter().map(|(overlay, moves)| Reached { roots: self.roots.of(self.files, &overlay), overlay, moves });
                Some(OverlayEdit { overlay: self.overlay.clone(), changes, files, roots, reaches: reaches.collect() })
            }
            Err(refusal) => {
                for one in planned {
                    self.hold(one.change, HoldReason::Refused(refusal.clone()));
                }
                None
            }
        }
    }

    fn decide(&self, change: &'a Change, before: &Build) -> Result<Planned<'a>, HoldReason> {
        let found = before.objects.iter().find(|object| object.id.object_ref() == change.object);
        let object = found.ok_or_else(|| HoldReason::Refused(self.absent(change, before)))?;
        let value = fields::find(&change.field, &object.tree).and_then(|node| fields::read(&change.field, node));
        if value == Some(change.to) {
            return Err(HoldReason::Unchanged);
        }
        self.overrides.check(self.files, self.overlay, object, &change.field).map_err(HoldReason::Refused)?;
        let known = Known { graph: self.graph, overlay: self.overlay, before };
        let decision = known.decide(object, change).map_err(HoldReason::Refused)?;
        if let Decision::Splice { file, .. } = &decision {
            let place = object.setters.get(&change.field).and_then(|setters| setters.last()).and_then(Setter::place);
            let line = place.filter(|place| place.path == *file).and_then(|place| place.line);
            self.writable(file, line).map_err(HoldReason::Refused)?;
        }
        Ok(Planned { change, serial: object.serial, from: value, decision })
    }

    /// Why an object is not there: perhaps because it could not be seen.
    fn absent(&self, change: &Change, before: &Build) -> Refusal {
        let file = kustomization::file_of(self.files, self.overlay).unwrap_or_default();
        let missing = format!("the overlay renders no {} {}", change.object.kind, change.object.name);
        match before.unread.first() {
            Some(unread) => Refusal { detail: format!("{missing} that can be seen: {}", unread.detail), ..unread.clone() },
            None => Refusal::at(RefusalCode::NoTarget, &file, None, missing),
        }
    }

    /// Makes the files for some changes and checks them.
    fn attempt(&self, before: &Build, planned: &[Planned<'_>]) -> Result<Outcome, Refusal> {
        let new = self.draft(before, planned)?;
        let over: BTreeMap<RepoPath, Arc<[u8]>> = new.iter().map(|(path, file)| (path.clone(), file.bytes.clone().into())).collect();
        let files = self.files.with(over);
        let after = build(&files, self.overlay, &Additions::default()).map_err(|refusal| Refusal {
            detail: format!("after the edit, {}", refusal.detail),
            code: RefusalCode::OracleFailed,
            ..refusal
        })?;
        let sites = check(before, &after, planned, self.overlay)?;
        let moves: Vec<Move<'_>> = planned
            .iter()
            .map(|Planned { change, from, .. }| Move { object: &change.object, field: &change.field, from: *from, to: change.to })
            .collect();
        let reaches = readers::check((self.files, &files), self.graph, self.overlay, &moves, &new.keys().collect::<Vec<_>>())?;
        Ok(Outcome { files: new, sites, roots: after.roots, reaches })
    }

    /// The new files.
    fn draft(&self, before: &Build, planned: &[Planned<'_>]) -> Result<BTreeMap<RepoPath, NewFile>, Refusal> {
        let mut operations: BTreeMap<RepoPath, Vec<Operation>> = BTreeMap::new();
        let mut owned: BTreeMap<usize, BTreeMap<Field, Value>> = BTreeMap::new();
        for one in planned {
            match &one.decision {
                Decision::Splice { file, operation } => merge_operation(operations.entry(file.clone()).or_default(), operation),
                Decision::Component => {
                    owned.entry(one.serial).or_default().insert(one.change.field.clone(), one.change.to);
                }
            }
        }
        let mut files = BTreeMap::new();
        if !owned.is_empty() {
            self.component(before, &owned, &mut files, &mut operations)?;
        }
        for (path, operations) in operations {
            self.writable(&path, None)?;
            let Some(Entry::File { mode, bytes }) = self.files.tree().get(&path) else {
                return Err(Refusal::at(RefusalCode::NotAFile, &path, None, format!("`{path}` is no file that can be edited")));
            };
            let edited = yaml::edit(bytes, &operations).map_err(|error| refusal(&path, error))?;
            files.insert(path, NewFile { mode: *mode, bytes: edited.bytes });
        }
        Ok(files)
    }

    fn writable(&self, path: &RepoPath, line: Option<usize>) -> Result<(), Refusal> {
        if self.scope.allowed.iter().any(|folder| path.is_under(folder)) {
            return Ok(());
        }
        let detail = format!("`{path}` lies outside the folders that may be edited: allow its folder, or set the value by hand");
        Err(Refusal::at(RefusalCode::OutsideScope, path, line, detail))
    }

    /// Writes the Component anew with what it holds and what is to come, and joins it to the overlay.
    fn component(
        &self,
        before: &Build,
        wanted: &BTreeMap<usize, BTreeMap<Field, Value>>,
        files: &mut BTreeMap<RepoPath, NewFile>,
        operations: &mut BTreeMap<RepoPath, Vec<Operation>>,
    ) -> Result<(), Refusal> {
        let folder = self.overlay.join(COMPONENT).unwrap_or_default();
        self.check_component(&folder)?;
        let mut owned = Vec::new();
        for object in &before.objects {
            let Some(tree) = before.at_component.get(&object.serial) else { continue };
            let mut values: BTreeMap<Field, Value> = object
                .setters
                .iter()
                .filter_map(|(field, setters)| {
                    let mine = setters.iter().rev().find(|setter| setter.place().is_some_and(|place| place.path.is_under(&folder)))?;
                    Some((field.clone(), fields::read(field, mine.node.as_ref()?)?))
                })
                .collect();
            values.extend(wanted.get(&object.serial).cloned().unwrap_or_default());
            if !values.is_empty() {
                owned.push(Owned { tree: tree.clone(), values });
            }
        }
        for (name, text) in component::write(&owned) {
            let path = folder.join(&name).unwrap_or_default();
            self.writable(&path, None)?;
            if self.files.bytes(&path).is_none_or(|bytes| **bytes != *text.as_bytes()) {
                files.insert(path, NewFile { mode: FileMode::Plain, bytes: text.into_bytes() });
            }
        }
        if let Some((path, operation)) = self.join(&folder)? {
            operations.entry(path).or_default().push(operation);
        }
        Ok(())
    }

    /// The folder of the Component must be free, or Prescale's own.
    fn check_component(&self, folder: &RepoPath) -> Result<(), Refusal> {
        let foreign = |path: &RepoPath| {
            let detail = format!("`{path}` was not written by Prescale, which keeps its Component in `{folder}`: move it elsewhere");
            Err(Refusal::at(RefusalCode::Unsupported, path, None, detail))
        };
        match self.files.find(folder) {
            Found::Nothing => Ok(()),
            Found::Folder => {
                for (path, entry) in self.files.tree().under(folder) {
                    match entry {
                        Entry::File { bytes, .. } if bytes.starts_with(component::HEADER.as_bytes()) => {}
                        Entry::File { .. } | Entry::Unread => return foreign(path),
                        Entry::Symlink { .. } | Entry::Submodule => return Err(kustomization::not_a_file(self.files, path)),
                    }
                }
                Ok(())
            }
            Found::File | Found::Unread => foreign(folder),
            Found::Symlink | Found::Submodule => Err(kustomization::not_a_file(self.files, folder)),
        }
    }

    /// The operation that adds the Component to the overlay's `components:`, unless it is there.
    fn join(&self, folder: &RepoPath) -> Result<Option<(RepoPath, Operation)>, Refusal> {
        let kustomization = Kustomization::load(self.files, self.overlay)?;
        let there = |entry: &Rc<Node>| entry.as_text().and_then(|text| self.overlay.join(text)).as_ref() == Some(folder);
        if kustomization.list("components").iter().any(there) {
            return Ok(None);
        }
        if !self.graph.belongs_to(&kustomization.file, self.overlay) {
            let detail = "the kustomization is read by other overlays too";
            return Err(Refusal::at(RefusalCode::Shared, &kustomization.file, None, detail));
        }
        let value = NewNode::Scalar(yaml::Scalar::Text(COMPONENT.to_owned()));
        let at = |path: Vec<yaml::Step>| Target { document: 0, path, inner: None };
        let operation = match kustomization.spelling("components") {
            Some(key) => Operation::Append { at: at(vec![yaml::Step::Key(key.to_owned())]), value },
            None => Operation::Insert { at: at(Vec::new()), key: "components".to_owned(), value: NewNode::Sequence(vec![value]) },
        };
        Ok(Some((kustomization.file, operation)))
    }
}

/// Adds an operation; two that make the same missing map become one.
fn merge_operation(operations: &mut Vec<Operation>, new: &Operation) {
    if let Operation::Insert { at, key, value } = new {
        for old in &mut *operations {
            if let Operation::Insert { at: old_at, key: old_key, value: old_value } = old
                && old_at == at
                && old_key == key
            {
                merge_nodes(old_value, value);
                return;
            }
        }
    }
    operations.push(new.clone());
}

fn merge_nodes(old: &mut NewNode, new: &NewNode) {
    if let (NewNode::Mapping(old), NewNode::Mapping(new)) = (old, new) {
        for (key, value) in new {
            match old.iter_mut().find(|(name, _)| name == key) {
                Some((_, inner)) => merge_nodes(inner, value),
                None => old.push((key.clone(), value.clone())),
            }
        }
    }
}

/// The render after an edit must be the render before with the planned values in place, and nothing else. Gives where each stands.
fn check(before: &Build, after: &Build, planned: &[Planned<'_>], overlay: &RepoPath) -> Result<Vec<Site>, Refusal> {
    let odd = |object: Option<&Object>, detail: String| {
        let place = object.and_then(|object| object.tree.place());
        Refusal { code: RefusalCode::OracleFailed, place, detail }
    };
    if before.objects.len() != after.objects.len() {
        return Err(odd(None, "the edit adds or removes objects".to_owned()));
    }
    let mut sites = BTreeMap::new();
    for (old, new) in before.objects.iter().zip(&after.objects) {
        let (mut expected, mut found) = (old.tree.clone(), new.tree.clone());
        for (index, one) in planned.iter().enumerate().filter(|(_, one)| one.serial == old.serial) {
            let field = &one.change.field;
            let value = fields::find(field, &found).cloned();
            let winner = new.setters.get(field).and_then(|setters| setters.last());
            let (Some(value), Some(site)) = (value, winner.and_then(|winner| owners::site(winner, overlay))) else {
                return Err(loses(winner));
            };
            if fields::read(field, &value) != Some(one.change.to) {
                return Err(loses(winner));
            }
            // Quantities may be written in several ways: the same node on both sides.
            fields::put(&mut expected, field, &value);
            fields::put(&mut found, field, &value);
            sites.insert(index, site);
        }
        if expected != found {
            return Err(odd(Some(new), format!("the edit also changes other fields of {} {}", old.id.kind, old.id.name)));
        }
    }
    Ok(sites.into_values().collect())
}

/// Who keeps an edit from having effect.
fn loses(winner: Option<&Setter>) -> Refusal {
    let place = winner.and_then(Setter::place);
    let detail = match &place {
        Some(place) => format!("the value would have no effect: `{place}` sets or removes it later"),
        None => "the value would have no effect".to_owned(),
    };
    Refusal { code: RefusalCode::WouldNotWin, place, detail }
}

/// The target of a node in its file.
pub(super) fn target(node: &Node) -> Option<Target> {
    let origin = node.origin.as_ref()?;
    let convert = |steps: &[Step]| -> Vec<yaml::Step> {
        steps
            .iter()
            .map(|step| match step {
                Step::Key(key) => yaml::Step::Key(key.to_string()),
                Step::Index(index) => yaml::Step::Index(*index),
            })
            .collect()
    };
    let steps = convert(&origin.steps());
    Some(match &origin.source.inside {
        None => Target { document: origin.source.document, path: steps, inner: None },
        Some((outer, document)) => Target { document: origin.source.document, path: convert(outer), inner: Some((*document, steps)) },
    })
}
