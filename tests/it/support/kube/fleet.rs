//! A large fleet, of which only the shapes are kept: an object is made when it is asked for.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value as Json;

use super::kinds::Kind;
use super::objects;
use super::state::{Key, without_kind};

/// How many workloads share a namespace.
const PER_NAMESPACE: usize = 100;

/// What stands in a shape for a namespace.
const NAMESPACE: &str = "~namespace~";
/// What stands in a shape for a workload's name.
const WORKLOAD: &str = "~workload~";

pub(super) struct Fleet {
    pods_each: usize,
    /// By resource, the text of an object in parts: every second one names what is to be in its place.
    shapes: BTreeMap<&'static str, Vec<String>>,
}

impl Fleet {
    /// All objects have one version and, but for the pods, are of one time.
    pub(super) fn new(pods_each: usize, version: u64, created: &str) -> Self {
        let replicas = pods_each as u64;
        let times = [0, 1, 4, 12].map(|seconds| created.parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds));
        let shapes = [
            ("deployments", objects::deployment(NAMESPACE, WORKLOAD, replicas, replicas)),
            ("replicasets", objects::replica_set(NAMESPACE, WORKLOAD, replicas)),
            ("horizontalpodautoscalers", objects::hpa(NAMESPACE, WORKLOAD, WORKLOAD, replicas.max(1), replicas.max(1) * 3)),
            ("pods", objects::pod(NAMESPACE, WORKLOAD, 0, times)),
        ];
        let shapes = shapes.into_iter().map(|(resource, object)| (resource, shape(object, version, created))).collect();
        Self { pods_each, shapes }
    }

    pub(super) fn namespaces(workloads: usize) -> impl Iterator<Item = String> {
        (0..workloads).step_by(PER_NAMESPACE).map(namespace)
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = &'static str> {
        self.shapes.keys().copied()
    }

    /// The namespace and name of an object by its number.
    pub(super) fn key(&self, resource: &str, index: usize) -> Key {
        let (workload, pod) = self.workload(resource, index);
        let name = workload_name(workload);
        let name = match resource {
            "pods" => objects::pod_name(&name, pod),
            "replicasets" => objects::replica_set_name(&name),
            _ => name,
        };
        (namespace(workload), name)
    }

    /// An object by its number, as lists show it.
    pub(super) fn text(&self, kind: &Kind, index: usize) -> String {
        let workload = workload_name(self.workload(kind.resource, index).0);
        let (namespace, name) = self.key(kind.resource, index);
        let uid = objects::uid(kind.name, &namespace, &name);
        let owner = match kind.resource {
            "pods" => objects::uid("ReplicaSet", &namespace, &objects::replica_set_name(&workload)),
            _ => objects::uid("Deployment", &namespace, &workload),
        };
        let hash = objects::template_hash(&workload);
        let part = |(at, part): (usize, &String)| match (at % 2, part.as_str()) {
            (0, _) => part.clone(),
            (_, "namespace") => namespace.clone(),
            (_, "workload") => workload.clone(),
            (_, "hash") => hash.clone(),
            (_, "uid") => uid.clone(),
            (_, "owner") => owner.clone(),
            _ => name.clone(),
        };
        self.shapes[kind.resource].iter().enumerate().map(part).collect()
    }

    /// The number of the workload of an object, and that of a pod within it.
    fn workload(&self, resource: &str, index: usize) -> (usize, usize) {
        if resource == "pods" { (index / self.pods_each, index % self.pods_each) } else { (index, 0) }
    }
}

fn namespace(workload: usize) -> String {
    format!("fleet-{:03}", workload / PER_NAMESPACE)
}

fn workload_name(workload: usize) -> String {
    format!("app-{workload:05}")
}

/// The text of an object in parts.
fn shape(mut object: Json, version: u64, created: &str) -> Vec<String> {
    let metadata = &mut object["metadata"];
    metadata["uid"] = "~uid~".into();
    metadata["resourceVersion"] = version.to_string().into();
    if metadata["creationTimestamp"].is_null() {
        metadata["creationTimestamp"] = created.into();
    }
    let text = without_kind(object).to_string();
    let text = text
        .replace(&objects::uid("ReplicaSet", NAMESPACE, &objects::replica_set_name(WORKLOAD)), "~owner~")
        .replace(&objects::uid("Deployment", NAMESPACE, WORKLOAD), "~owner~")
        .replace(&objects::pod_name(WORKLOAD, 0), "~pod~")
        .replace(&objects::template_hash(WORKLOAD), "~hash~");
    text.split('~').map(str::to_owned).collect()
}
