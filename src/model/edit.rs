//! What an edit of the overlays comes to: sites, new files, and what had to be refused.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Change, FileMode, Held, Proof, RepoPath, Rhythm, Route, Site};

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
    /// Other overlays that read a touched file: their renders must not change at all.
    pub reaches: Vec<Reached>,
}

/// An overlay that reads a touched file of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The overlay.
    pub overlay: RepoPath,
    /// The folders that must be there to render it.
    pub roots: BTreeSet<RepoPath>,
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
    pub const KINDS: [(Route, Rhythm); 4] = [
        (Route::Commit, Rhythm::Floor),
        (Route::Commit, Rhythm::Template),
        (Route::Observe, Rhythm::Floor),
        (Route::Observe, Rhythm::Template),
    ];
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
