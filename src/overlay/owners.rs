//! Who sets each field, in the order in which Kustomize applies them.

use serde::Serialize;

use super::build::{Additions, COMPONENT, build};
use super::fields;
use super::files::Files;
use super::object::{By, Object, Setter};
use super::survey::{scalers, workload_id};
use crate::model::{Field, ObjectRef, RepoPath, Site, SiteKind, Tree, Value, WorkloadId};

/// One field of a workload or of its autoscaler, and who sets it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ownership {
    /// The object that holds the field.
    pub object: ObjectRef,
    /// The field.
    pub field: Field,
    /// Its value as rendered; absent where nothing sets it.
    pub value: Option<Value>,
    /// Who sets it, in the order of application: the last one wins.
    pub setters: Vec<Site>,
}

/// Who owns each field of a workload and its autoscalers; nothing when the overlay does not render or does not hold it.
pub fn owners(tree: &Tree, overlay: &RepoPath, workload: &WorkloadId) -> Vec<Ownership> {
    let files = Files::new(tree);
    let Ok(build) = build(&files, overlay, &Additions::default()) else { return Vec::new() };
    let own = build.objects.iter().filter(|object| workload_id(object).as_ref() == Some(workload));
    own.chain(scalers(workload, &build)).flat_map(|object| of_object(object, overlay)).collect()
}

fn of_object(object: &Object, overlay: &RepoPath) -> Vec<Ownership> {
    let Some(shape) = object.shape else { return Vec::new() };
    fields::all(shape, &object.tree)
        .into_iter()
        .map(|field| Ownership {
            object: object.id.object_ref(),
            value: fields::find(&field, &object.tree).and_then(|node| fields::read(&field, node)),
            setters: object.setters.get(&field).into_iter().flatten().filter_map(|setter| site(setter, overlay)).collect(),
            field,
        })
        .collect()
}

/// Where a setter stands.
pub(super) fn site(setter: &Setter, overlay: &RepoPath) -> Option<Site> {
    let place = setter.place()?;
    let kind = match setter.by {
        _ if overlay.join(COMPONENT).is_some_and(|folder| place.path.is_under(&folder)) => SiteKind::Component,
        By::Manifest => SiteKind::Manifest,
        By::Merge => SiteKind::StrategicMerge,
        By::Json => SiteKind::Json6902,
        By::Replicas(_) => SiteKind::ReplicasTransformer,
        By::Fixed(_) => SiteKind::Foreign,
    };
    Some(Site { place, kind })
}
