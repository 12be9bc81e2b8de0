//! From changes to new files: finds the site of each, splices it, and checks the outcome by rendering it again in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

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
use super::schedule;
use super::site::{Decision, Known};
use super::yaml::{self, NewNode, Operation, Target};
use crate::model::edit::{Edited, Mend, Moved, NewFile, OverlayEdit, Reached, Sited};
use crate::model::{Change, Entry, Field, FileMode, Held, HoldReason, Refusal, RefusalCode, RepoPath, Site, Tree, Value};

/// What may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The folders under which files may be changed.
    pub allowed: Vec<RepoPath>,
}

impl Scope {
    /// Whether a file or folder may be changed.
    pub(super) fn has(&self, path: &RepoPath) -> bool {
        self.allowed.iter().any(|folder| path.is_under(folder))
    }
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

/// Writes the Component of each of these overlays anew where it no longer applies, though nothing is to change; or says why not.
pub fn mend(overlays: &[RepoPath], tree: &Tree, scope: &Scope) -> Vec<Result<OverlayEdit, Refusal>> {
    let files = Files::new(tree);
    let broken = |overlay: &RepoPath| {
        let before = build(&files, overlay, &Additions::default()).ok()?;
        (!before.broken.is_empty()).then_some(before)
    };
    let broken: Vec<(&RepoPath, Build)> = overlays.iter().filter_map(|overlay| Some((overlay, broken(overlay)?))).collect();
    if broken.is_empty() {
        return Vec::new();
    }
    let (graph, overrides, roots) = (Graph::new(&files), Overrides::default(), Roots::default());
    let mend = |(overlay, before): (&RepoPath, Build)| {
        let editor = Editor { files: &files, graph: &graph, overrides: &overrides, roots: &roots, scope, overlay, held: Vec::new() };
        editor.attempt(&before, &[]).map(|outcome| editor.finish(&[], outcome))
    };
    broken.into_iter().map(mend).collect()
}

/// The edit of one overlay.
pub(super) struct Editor<'a> {
    pub(super) files: &'a Files<'a>,
    pub(super) graph: &'a Graph,
    pub(super) overrides: &'a Overrides,
    pub(super) roots: &'a Roots,
    pub(super) scope: &'a Scope,
    pub(super) overlay: &'a RepoPath,
    pub(super) held: Vec<Held>,
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

/// The files that an edit touches or creates; absent is the content of one that goes.
pub(super) type NewFiles = BTreeMap<RepoPath, Option<NewFile>>;

/// What an edit came to, once it is checked.
struct Outcome {
    files: NewFiles,
    /// Where each change stands now.
    sites: Vec<Site>,
    roots: BTreeSet<RepoPath>,
    /// Other overlays that read a touched file, and whether they move.
    reaches: BTreeMap<RepoPath, bool>,
    mend: Option<Mend>,
}

impl<'a> Editor<'a> {
    fn hold(&mut self, change: &Change, why: HoldReason) {
        self.held.push(Held {
            workload: change.workload.clone(),
            overlay: change.overlay.clone(),
            field: Some(change.field.clone()),
            wanted: Some(change.to.clone()),
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
                if alone.is_err() && one.decision.only_adds() {
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
            Ok(outcome) => Some(self.finish(&planned, outcome)),
            Err(refusal) => {
                for one in planned {
                    self.hold(one.change, HoldReason::Refused(refusal.clone()));
                }
                None
            }
        }
    }

    fn finish(&self, planned: &[Planned<'_>], outcome: Outcome) -> OverlayEdit {
        let Outcome { files, sites, roots, reaches, mend } = outcome;
        let changes = planned.iter().zip(sites).map(|(one, site)| Sited { change: one.change.clone(), site }).collect();
        OverlayEdit { changes, mend, ..self.edit_of(files, roots, reaches) }
    }

    /// An edit that makes no change.
    pub(super) fn edit_of(&self, files: NewFiles, roots: BTreeSet<RepoPath>, reaches: BTreeMap<RepoPath, bool>) -> OverlayEdit {
        let reader = |(overlay, moves)| Reached { roots: self.roots.of(self.files, &overlay), overlay, moves };
        let reaches = reaches.into_iter().map(reader).collect();
        OverlayEdit { overlay: self.overlay.clone(), changes: Vec::new(), files, roots, reaches, mend: None }
    }

    fn decide(&self, change: &'a Change, before: &Build) -> Result<Planned<'a>, HoldReason> {
        let found = before.objects.iter().find(|object| object.id.object_ref() == change.object);
        let object = found.ok_or_else(|| HoldReason::Refused(self.absent(change, before)))?;
        let value = fields::find(&change.field, &object.tree).and_then(|node| fields::read(&change.field, &node));
        if value.as_ref() == Some(&change.to) {
            return Err(HoldReason::Unchanged);
        }
        self.overrides.check(self.files, self.overlay, object, &change.field).map_err(HoldReason::Refused)?;
        let known = Known { graph: self.graph, overlay: self.overlay, before, scope: self.scope };
        let decision = known.decide(object, change).map_err(HoldReason::Refused)?;
        if let Decision::Splice(splices) = &decision {
            let place = object.setters.get(&change.field).and_then(|setters| setters.last()).and_then(Setter::place);
            for (file, _) in splices {
                let line = place.as_ref().filter(|place| place.path == *file).and_then(|place| place.line);
                self.writable(file, line).map_err(HoldReason::Refused)?;
            }
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
        let over = new.iter().map(|(path, file)| (path.clone(), file.as_ref().map(|file| file.bytes.clone().into()))).collect();
        let files = self.files.with(over);
        let after = build(&files, self.overlay, &Additions::default()).map_err(|refusal| Refusal {
            detail: format!("after the edit, {}", refusal.detail),
            code: RefusalCode::OracleFailed,
            ..refusal
        })?;
        let sites = check(before, &after, planned, self.overlay)?;
        let mend = before.broken.first().map(|why| self.mended(why, before, &after)).transpose()?;
        let moves: Vec<Move<'_>> = planned
            .iter()
            .map(|Planned { change, from, .. }| Move { object: &change.object, field: &change.field, from: from.as_ref(), to: &change.to })
            .collect();
        let reaches = readers::check((self.files, &files), self.graph, self.overlay, &moves, &new.keys().collect::<Vec<_>>())?;
        Ok(Outcome { files: new, sites, roots: after.roots, reaches, mend })
    }

    /// What the Component that no longer applied, and now does, sets: the difference to the overlay without those of its patches.
    fn mended(&self, why: &Refusal, before: &Build, after: &Build) -> Result<Mend, Refusal> {
        let mut without = NewFiles::new();
        for path in before.broken.iter().filter_map(|refusal| Some(refusal.place.as_ref()?.path.clone())) {
            let idle = before.at_component.values().find_map(|tree| component::idle(tree, path.file_name())).ok_or_else(|| why.clone())?;
            without.insert(path, Some(NewFile { mode: FileMode::Plain, bytes: idle.into_bytes() }));
        }
        let over = without.iter().map(|(path, file)| (path.clone(), file.as_ref().map(|file| file.bytes.clone().into()))).collect();
        let files = self.files.with(over);
        let bare = build(&files, self.overlay, &Additions::default())?;
        let mut moved = Vec::new();
        for (old, new) in bare.objects.iter().zip(&after.objects) {
            for field in new.shape.map_or_else(Vec::new, |shape| fields::all(shape, &new.tree)) {
                let value = |object: &Object| fields::find(&field, &object.tree).and_then(|node| fields::read(&field, &node));
                if let (from, Some(to)) = (value(old), value(new))
                    && from.as_ref() != Some(&to)
                {
                    moved.push(Moved { object: new.id.object_ref(), field: field.clone(), from, to });
                }
            }
        }
        Ok(Mend { why: why.clone(), without, moved })
    }

    /// The new files.
    fn draft(&self, before: &Build, planned: &[Planned<'_>]) -> Result<NewFiles, Refusal> {
        let mut operations: BTreeMap<RepoPath, Vec<Operation>> = BTreeMap::new();
        let mut owned: BTreeMap<usize, BTreeMap<Field, Value>> = BTreeMap::new();
        for one in planned {
            match &one.decision {
                Decision::Splice(splices) => {
                    for (file, operation) in splices {
                        merge_operation(operations.entry(file.clone()).or_default(), operation);
                    }
                }
                Decision::Component => {
                    owned.entry(one.serial).or_default().insert(one.change.field.clone(), one.change.to.clone());
                }
            }
        }
        let mut files = BTreeMap::new();
        if !owned.is_empty() || !before.broken.is_empty() {
            self.component(before, &owned, &mut files, &mut operations)?;
        }
        for (path, operations) in operations {
            self.writable(&path, None)?;
            let Some(Entry::File { mode, bytes }) = self.files.tree().get(&path) else {
                return Err(Refusal::at(RefusalCode::NotAFile, &path, None, format!("`{path}` is no file that can be edited")));
            };
            let edited = yaml::edit(bytes, &operations).map_err(|error| refusal(&path, error))?;
            files.insert(path, Some(NewFile { mode: *mode, bytes: edited.bytes }));
        }
        Ok(files)
    }

    pub(super) fn writable(&self, path: &RepoPath, line: Option<usize>) -> Result<(), Refusal> {
        if self.scope.has(path) {
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
        files: &mut NewFiles,
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
            // No trigger at all needs no statement, unless there are some to take away.
            let none = |value: &Value| matches!(value, Value::Schedule(schedule) if schedule.is_empty());
            values.retain(|_, value| !none(value) || !schedule::own(tree).items().is_empty());
            if !values.is_empty() {
                owned.push(Owned { tree: tree.clone(), values });
            }
        }
        let texts = component::write(&owned);
        // What is written for nothing any more goes.
        for (path, _) in self.files.tree().under(&folder).filter(|(path, _)| !texts.contains_key(path.file_name())) {
            if let Some(unread) = before.unread.first() {
                return Err(unread.clone());
            }
            self.writable(path, None)?;
            files.insert(path.clone(), None);
        }
        let is_empty = texts.is_empty();
        for (name, text) in texts {
            let path = folder.join(&name).unwrap_or_default();
            self.writable(&path, None)?;
            if self.files.bytes(&path).is_none_or(|bytes| **bytes != *text.as_bytes()) {
                files.insert(path, Some(NewFile { mode: FileMode::Plain, bytes: text.into_bytes() }));
            }
        }
        if let Some((path, operation)) = self.join(&folder, is_empty)? {
            operations.entry(path).or_default().push(operation);
        }
        Ok(())
    }

    /// The folder of the Component must be free, or Prescale's own.
    pub(super) fn check_component(&self, folder: &RepoPath) -> Result<(), Refusal> {
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

    /// The operation that adds the Component to the overlay's `components:`, or takes it away; none where there is nothing to do.
    pub(super) fn join(&self, folder: &RepoPath, leave: bool) -> Result<Option<(RepoPath, Operation)>, Refusal> {
        let kustomization = Kustomization::load(self.files, self.overlay)?;
        let list = kustomization.list("components");
        let there = |entry: &Rc<Node>| entry.as_text().and_then(|text| self.overlay.join(text)).as_ref() == Some(folder);
        let found = list.iter().position(there);
        if found.is_some() != leave {
            return Ok(None);
        }
        if !self.graph.belongs_to(&kustomization.file, self.overlay) {
            let detail = "the kustomization is read by other overlays too";
            return Err(Refusal::at(RefusalCode::Shared, &kustomization.file, None, detail));
        }
        let value = NewNode::Scalar(yaml::Scalar::Text(COMPONENT.to_owned()));
        let at = |path: Vec<yaml::Step>| Target { document: 0, path, inner: None };
        let key = kustomization.spelling("components").map(ToOwned::to_owned);
        let operation = match (key, found) {
            (Some(key), Some(_)) if list.len() == 1 => Operation::Remove { at: at(vec![yaml::Step::Key(key)]) },
            (Some(key), Some(index)) => Operation::Remove { at: at(vec![yaml::Step::Key(key), yaml::Step::Index(index)]) },
            (Some(key), None) => Operation::Append { at: at(vec![yaml::Step::Key(key)]), value },
            (None, _) => Operation::Insert { at: at(Vec::new()), key: "components".to_owned(), value: NewNode::Sequence(vec![value]) },
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
            let value = fields::find(field, &found);
            let winner = new.setters.get(field).and_then(|setters| setters.last());
            // What was taken away stands where it stood.
            let last = winner.or_else(|| old.setters.get(field).and_then(|setters| setters.last()));
            let (Some(value), Some(site)) = (value, last.and_then(|setter| owners::site(setter, overlay))) else {
                return Err(loses(winner));
            };
            if fields::read(field, &value).as_ref() != Some(&one.change.to) {
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
