//! What an overlay renders of workloads.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{Additions, Build, build};
use super::fields::{self, Shape};
use super::files::{Files, Found};
use super::graph::Graph;
use super::kustomization::{self, Kustomization};
use super::node::Node;
use super::object::Object;
use crate::model::{
    Container, Field, Hpa, HpaMetric, ObjectRef, Refusal, Rendered, RenderedWorkload, RepoPath, Resource, ScaledObject, Scaler, Tree,
    Value, WorkloadId,
};

/// What the overlay at a folder renders of workloads, as far as Prescale reads it.
///
/// What could not be followed (remote bases, generators, transformers) is in [`Rendered::unread`]; what Kustomize itself would
/// refuse is an error.
pub fn survey(tree: &Tree, overlay: &RepoPath) -> Result<Rendered, Refusal> {
    let build = build(&Files::new(tree), overlay, &Additions::default())?;
    Ok(rendered(overlay, &build))
}

/// The folders that a build of this one reads, itself included; none where it cannot be built.
pub fn reads(tree: &Tree, folder: &RepoPath) -> BTreeSet<RepoPath> {
    build(&Files::new(tree), folder, &Additions::default()).map(|build| build.roots).unwrap_or_default()
}

/// The folders with a kustomization under the given ones, Components excepted, in the order of their paths.
pub fn overlays(tree: &Tree, under: &[RepoPath]) -> Vec<RepoPath> {
    let files = Files::new(tree);
    tree.iter()
        .filter(|(path, _)| kustomization::NAMES.contains(&path.file_name()))
        .map(|(path, _)| path.parent())
        .filter(|folder| under.iter().any(|above| folder.is_under(above)))
        .filter(|folder| !is_component(&files, folder))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Those of [`overlays`] that someone deploys, as far as Git tells: nothing but lists of folders builds on them, and they are none themselves.
pub fn leaves(tree: &Tree, under: &[RepoPath]) -> Vec<RepoPath> {
    Graph::new(&Files::new(tree)).leaves(&overlays(tree, under))
}

/// Whether a folder holds a Component. The file is parsed only when it speaks of one.
fn is_component(files: &Files<'_>, folder: &RepoPath) -> bool {
    let Some(file) = kustomization::file_of(files, folder) else { return false };
    files.find(&file) == Found::File
        && files.bytes(&file).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok_and(|text| text.contains("Component")))
        && Kustomization::load(files, folder).is_ok_and(|kustomization| kustomization.is_component())
}

pub(super) fn rendered(overlay: &RepoPath, build: &Build) -> Rendered {
    let mut workloads: Vec<RenderedWorkload> = build
        .objects
        .iter()
        .filter_map(|object| Some((workload_id(object)?, object)))
        .map(|(id, object)| workload(id, object, build))
        .collect();
    workloads.sort_by(|a, b| a.id.cmp(&b.id));
    Rendered { overlay: overlay.clone(), workloads, unread: build.unread.clone() }
}

pub(super) fn workload_id(object: &Object) -> Option<WorkloadId> {
    if object.shape != Some(Shape::Workload) {
        return None;
    }
    let kind = object.id.kind.parse().ok()?;
    Some(WorkloadId { namespace: object.id.namespace.clone(), kind, name: object.id.name.clone() })
}

fn workload(id: WorkloadId, object: &Object, build: &Build) -> RenderedWorkload {
    let containers = fields::containers(&object.tree).iter().map(|node| container(node)).collect();
    let annotations = object.tree.at(&["metadata", "annotations"]).map_or_else(BTreeMap::new, |map| {
        map.entries().iter().map(|(key, value)| (key.to_string(), value.shown().unwrap_or_default())).collect()
    });
    let fields = std::iter::once(object).chain(scalers(&id, build)).flat_map(values).collect();
    let scaler = scaler(&id, build);
    RenderedWorkload { id, replicas: count(object, &Field::Replicas), containers, scaler, annotations, fields }
}

/// Each field of an object that holds a value.
fn values(object: &Object) -> Vec<(Field, Value)> {
    let fields = object.shape.map_or_else(Vec::new, |shape| fields::all(shape, &object.tree));
    let value = |field: Field| Some((field.clone(), fields::read(&field, &*fields::find(&field, &object.tree)?)?));
    fields.into_iter().filter_map(value).collect()
}

fn container(node: &Node) -> Container {
    let text = |of: &str, resource: Resource| node.at(&["resources", of, resource.as_str()]).and_then(|value| value.shown());
    let cpu = |of| text(of, Resource::Cpu).and_then(|text| text.parse().ok());
    let memory = |of| text(of, Resource::Memory).and_then(|text| text.parse().ok());
    Container {
        name: node.text_at(&["name"]).to_owned(),
        cpu_request: cpu("requests"),
        memory_request: memory("requests"),
        cpu_limit: cpu("limits"),
        memory_limit: memory("limits"),
    }
}

fn count(object: &Object, field: &Field) -> Option<u32> {
    match fields::read(field, &*fields::find(field, &object.tree)?)? {
        Value::Count(count) => Some(count),
        _ => None,
    }
}

/// The autoscalers that target a workload.
pub(super) fn scalers<'a>(id: &'a WorkloadId, build: &'a Build) -> impl Iterator<Item = &'a Object> {
    build.objects.iter().filter(move |object| {
        let target = |key| object.tree.text_at(&["spec", "scaleTargetRef", key]);
        let kind = match (object.shape, target("kind")) {
            (Some(Shape::ScaledObject), "") => "Deployment",
            (Some(Shape::Hpa | Shape::ScaledObject), kind) => kind,
            _ => return false,
        };
        kind == id.kind.as_str() && target("name") == id.name && object.id.namespace == id.namespace
    })
}

fn scaler(id: &WorkloadId, build: &Build) -> Scaler {
    let found: Vec<&Object> = scalers(id, build).collect();
    match found[..] {
        [] => Scaler::None,
        [object] if object.shape == Some(Shape::Hpa) => Scaler::Hpa(hpa(object)),
        [object] => Scaler::Keda(ScaledObject {
            object: object.id.object_ref(),
            min: count(object, &Field::MinReplicaCount),
            max: count(object, &Field::MaxReplicaCount),
            paused: is_paused(object),
        }),
        _ => Scaler::Several(found.iter().map(|object| object.id.object_ref()).collect::<Vec<ObjectRef>>()),
    }
}

/// KEDA's annotations that stop scaling: present and not `false`.
fn is_paused(object: &Object) -> bool {
    [
        "autoscaling.keda.sh/paused",
        "autoscaling.keda.sh/paused-replicas",
        "autoscaling.keda.sh/paused-scale-in",
        "autoscaling.keda.sh/paused-scale-out",
    ]
    .iter()
    .any(|key| object.tree.at(&["metadata", "annotations", key]).is_some_and(|node| node.shown().as_deref() != Some("false")))
}

fn hpa(object: &Object) -> Hpa {
    let old = object
        .tree
        .at(&["spec", "targetCPUUtilizationPercentage"])
        .map(|node| HpaMetric { name: "cpu".to_owned(), utilization: node.as_u32() });
    let metrics = object.tree.at(&["spec", "metrics"]).map_or(&[][..], |list| list.items()).iter().map(|metric| metric_of(metric));
    Hpa {
        object: object.id.object_ref(),
        min: count(object, &Field::MinReplicas),
        max: count(object, &Field::MaxReplicas),
        metrics: old.into_iter().chain(metrics).collect(),
    }
}

/// A metric of `autoscaling/v2`, or of `v2beta1`, where the target has no map of its own.
fn metric_of(metric: &Node) -> HpaMetric {
    let kind = metric.text_at(&["type"]);
    let body = match kind {
        "Resource" => metric.get("resource"),
        "ContainerResource" => metric.get("containerResource"),
        _ => None,
    };
    let Some(body) = body else { return HpaMetric { name: kind.to_owned(), utilization: None } };
    let utilization = body.at(&["target", "averageUtilization"]).or_else(|| body.get("targetAverageUtilization"));
    HpaMetric { name: body.text_at(&["name"]).to_owned(), utilization: utilization.and_then(|node| node.as_u32()) }
}
