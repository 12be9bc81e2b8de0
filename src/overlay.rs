//! Kustomize overlays: what they render, who owns each value, and edits that change the intended bytes and no others.
//!
//! [`survey`] reads an overlay as Kustomize would render it, in memory; [`owners`] says who sets each field; [`edit`] finds the site of
//! each change, splices it, and checks by rendering again in memory that the planned values and nothing else moved. All of it is pure.
//!
//! The site of a value is the statement that wins in Kustomize's order of application. Where that stands in a file that belongs to the
//! overlay alone, it is edited there. Elsewhere the value goes to the Component that Prescale owns, `<overlay>/prescale/`, which runs after
//! everything that the overlay is built on and before what the overlay itself sets. A base that several overlays share is never edited.
//!
//! What is *shared*: an edit reaches every overlay that reads a touched file. Each of them must render as before, or render the very object
//! that is planned (group, kind, namespace and name) with the planned field moved from the same old to the same new value, and nothing
//! else moved. A folder that only lists the edited overlay, among others, is such a reader; so is a stack of overlays, each on the one
//! before. But where two readers that move are variants beside each other (each with patches, images, names of its own), the edited
//! folder is a base that they share, and the change is refused: it is planned for them. The proof renders every reader and holds it to
//! the same rule.

mod argo;
mod build;
mod component;
mod edit;
mod eject;
mod fields;
mod files;
mod graph;
mod json_patch;
mod kustomization;
mod merge;
mod node;
mod object;
mod owners;
mod patch;
mod readers;
mod reference;
mod replacement;
mod salvage;
mod schedule;
mod select;
mod site;
mod still;
mod survey;
mod transform;
pub mod yaml;

pub use crate::model::edit::{Edited, NewFile, OverlayEdit, Sited};
pub use edit::{Scope, edit, mend};
pub use eject::eject;
pub use owners::{Ownership, owners};
pub use still::still_as_planned;
pub use survey::{leaves, overlays, reads, survey};
