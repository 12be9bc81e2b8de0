//! What an edit of the overlays comes to: sites, new files, and what had to be refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::{Change, Field, FileMode, Held, ObjectRef, Proof, Refusal, RepoPath, Rhythm, Route, Site, Value};

/// A change with the place that was found for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sited {
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// The place that holds its value, by the line it has after the edit.
    pub site: Site,
}

/// The whole new content of a touched or created file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Its mode: that of the file it replaces.
    pub mode: FileMode,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// All that an edit does for one overlay.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlayEdit {
    /// The overlay.
    pub overlay: RepoPath,
    /// The changes that found their site.
    pub changes: Vec<Sited>,
    /// The files that they touch or create; absent is the content of one that goes.
    pub files: BTreeMap<RepoPath, Option<NewFile>>,
    /// The folders that must be there to render the overlay.
    pub roots: BTreeSet<RepoPath>,
    /// Other overlays that read a touched file: their renders may change by these changes and in nothing else, or not at all.
    pub reaches: Vec<Reached>,
    /// Set where the overlay did not render before, since Prescale's Component no longer applied, and does now.
    pub mend: Option<Mend>,
}

/// How an overlay is mended whose Component of Prescale's no longer applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Mend {
    /// What did not apply, and why.
    pub why: Refusal,
    /// Files in the place of those that no longer apply, so that the overlay renders without their values.
    pub without: BTreeMap<RepoPath, Option<NewFile>>,
    /// What moves between the render without them and the one after the edit.
    pub moved: Vec<Moved>,
}

/// A field that moves between two renders.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// The object that holds it.
    pub object: ObjectRef,
    /// The field.
    pub field: Field,
    /// Its value before; absent where nothing sets it.
    pub from: Option<Value>,
    /// Its value after.
    pub to: Value,
}

impl OverlayEdit {
    /// What moves between the renders that prove it.
    pub fn moved(&self) -> Vec<Moved> {
        let of = |Sited { change, .. }: &Sited| Moved {
            object: change.object.clone(),
            field: change.field.clone(),
            from: change.from.clone(),
            to: change.to.clone(),
        };
        self.mend.as_ref().map_or_else(|| self.changes.iter().map(of).collect(), |mend| mend.moved.clone())
    }
}

/// An overlay that reads a touched file of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The overlay.
    pub overlay: RepoPath,
    /// The folders that must be there to render it; many edits may reach one overlay.
    pub roots: Arc<BTreeSet<RepoPath>>,
    /// Whether it renders the same objects, so that they move there too.
    pub moves: bool,
}

/// The edits of a set of changes, by overlay, and the changes that were refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edited {
    /// One entry an overlay, in the order of their paths.
    pub overlays: Vec<OverlayEdit>,
    /// What could not be edited safely.
    pub held: Vec<Held>,
}

/// An overlay's edit and what its renders say.
#[derive(Clone, Debug, PartialEq)]
pub struct ProvenEdit {
    /// The edit.
    pub edit: OverlayEdit,
    /// The proof.
    pub proof: Proof,
}

/// Edits that are proven, or for which it was said why they could not be, and the changes that failed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proven {
    /// One entry an overlay, in the order of their paths.
    pub overlays: Vec<ProvenEdit>,
    /// What was refused on the way here.
    pub held: Vec<Held>,
}

/// What travels together: one repository and branch, one route, one rhythm.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Which way.
    pub route: Route,
    /// How it moves.
    pub rhythm: Rhythm,
    /// The edits, and what was refused on the way.
    pub proven: Proven,
}

impl Group {
    /// Every kind of group, in the order in which they are delivered.
    pub const KINDS: [(Route, Rhythm); 6] = [
        (Route::Commit, Rhythm::Floor),
        (Route::Commit, Rhythm::Template),
        (Route::PullRequest, Rhythm::Floor),
        (Route::PullRequest, Rhythm::Template),
        (Route::Observe, Rhythm::Floor),
        (Route::Observe, Rhythm::Template),
    ];

    /// How many shortfalls within the window its changes are expected to prevent.
    pub fn risk_removed(&self) -> f64 {
        self.proven.changes().filter_map(|(sited, _)| sited.change.risk()).map(|(before, after)| before - after).sum()
    }
}

impl Proven {
    /// The changes, in the order of overlays.
    pub fn changes(&self) -> impl Iterator<Item = (&Sited, &Proof)> {
        self.overlays.iter().flat_map(|overlay| overlay.edit.changes.iter().map(|sited| (sited, &overlay.proof)))
    }

    /// The files of all overlays; absent is the content of one that goes.
    pub fn files(&self) -> BTreeMap<&RepoPath, Option<&NewFile>> {
        self.overlays.iter().flat_map(|overlay| &overlay.edit.files).map(|(path, file)| (path, file.as_ref())).collect()
    }
}
