//! The fields that Prescale writes: where each stands in its object, and what type of value it holds.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Resource, ValueType};

/// A field that Prescale writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Field {
    /// `spec.replicas` of the workload.
    Replicas,
    /// `spec.minReplicas` of its HPA.
    MinReplicas,
    /// `spec.maxReplicas` of its HPA.
    MaxReplicas,
    /// `spec.minReplicaCount` of its ScaledObject.
    MinReplicaCount,
    /// `spec.maxReplicaCount` of its ScaledObject.
    MaxReplicaCount,
    /// `resources.requests` of a container.
    Request {
        /// The container's name.
        container: String,
        /// Which resource.
        resource: Resource,
    },
    /// `resources.limits` of a container.
    Limit {
        /// The container's name.
        container: String,
        /// Which resource.
        resource: Resource,
    },
    /// The average utilization, in percent of requests, that its HPA keeps a resource at.
    TargetUtilization(Metric),
    /// The average use of a resource, by pod, that its HPA keeps.
    TargetValue(Metric),
    /// `spec.behavior.<direction>.stabilizationWindowSeconds` of its HPA.
    Stabilization(Direction),
    /// The same under `spec.advanced.horizontalPodAutoscalerConfig` of its ScaledObject.
    AdvancedStabilization(Direction),
    /// The cron triggers of its ScaledObject that Prescale owns; those of people are none of its business.
    Schedule,
    /// An annotation of the workload's pod template.
    PodAnnotation {
        /// Its key.
        key: String,
    },
}

/// A metric of an HPA that is about a resource of the pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metric {
    /// Which resource.
    pub resource: Resource,
    /// The one container that counts; all of them where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// Which way an autoscaler moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Fewer replicas.
    ScaleDown,
    /// More replicas.
    ScaleUp,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::ScaleDown, Self::ScaleUp];

    /// The key under `behavior`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScaleDown => "scaleDown",
            Self::ScaleUp => "scaleUp",
        }
    }
}

/// A part of the path to a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A key of a map.
    Key(Cow<'static, str>),
    /// The one item of a list in which all of this holds.
    Item(Vec<Mark>),
}

/// What tells an item of a list from the others: the text that stands at a path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The path, from the item on.
    pub at: &'static [&'static str],
    /// The text there.
    pub is: Cow<'static, str>,
}

impl Mark {
    fn new(at: &'static [&'static str], is: impl Into<Cow<'static, str>>) -> Self {
        Self { at, is: is.into() }
    }
}

fn keys<const N: usize>(keys: [&'static str; N]) -> Vec<Part> {
    keys.map(|key| Part::Key(Cow::Borrowed(key))).to_vec()
}

impl Field {
    /// How this kind of change moves.
    pub fn rhythm(&self) -> Rhythm {
        match self {
            Self::Replicas | Self::MinReplicas | Self::MaxReplicas | Self::MinReplicaCount | Self::MaxReplicaCount | Self::Schedule => {
                Rhythm::Floor
            }
            Self::Request { .. }
            | Self::Limit { .. }
            | Self::TargetUtilization(_)
            | Self::TargetValue(_)
            | Self::Stabilization(_)
            | Self::AdvancedStabilization(_)
            | Self::PodAnnotation { .. } => Rhythm::Template,
        }
    }

    /// What it holds.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Replicas | Self::MinReplicas | Self::MaxReplicas | Self::MinReplicaCount | Self::MaxReplicaCount => ValueType::Count,
            Self::Request { resource, .. } | Self::Limit { resource, .. } | Self::TargetValue(Metric { resource, .. }) => match resource {
                Resource::Cpu => ValueType::Cpu,
                Resource::Memory => ValueType::Memory,
            },
            Self::TargetUtilization(_) => ValueType::Percent,
            Self::Stabilization(_) | Self::AdvancedStabilization(_) => ValueType::Stabilization,
            Self::Schedule => ValueType::Schedule,
            Self::PodAnnotation { .. } => ValueType::Text,
        }
    }

    /// Where it stands in an object of an `apiVersion`; `None` where that has no such field. For [`Field::Schedule`] it is the list
    /// that Prescale's triggers share with others.
    pub fn parts(&self, api_version: &str) -> Option<Vec<Part>> {
        let spec = |key: &'static str| keys(["spec", key]);
        let resources = |container: &String, group: &'static str, resource: &Resource| {
            let mut parts = keys(["spec", "template", "spec", "containers"]);
            parts.push(Part::Item(vec![Mark::new(&["name"], container.clone())]));
            parts.extend(keys(["resources", group, resource.as_str()]));
            parts
        };
        Some(match self {
            Self::Replicas => spec("replicas"),
            Self::MinReplicas => spec("minReplicas"),
            Self::MaxReplicas => spec("maxReplicas"),
            Self::MinReplicaCount => spec("minReplicaCount"),
            Self::MaxReplicaCount => spec("maxReplicaCount"),
            Self::Request { container, resource } => resources(container, "requests", resource),
            Self::Limit { container, resource } => resources(container, "limits", resource),
            Self::TargetUtilization(metric) if api_version == "autoscaling/v1" => {
                (*metric == Metric { resource: Resource::Cpu, container: None }).then(|| spec("targetCPUUtilizationPercentage"))?
            }
            Self::TargetUtilization(metric) => metric.parts(api_version, "averageUtilization", "targetAverageUtilization")?,
            Self::TargetValue(metric) => metric.parts(api_version, "averageValue", "targetAverageValue")?,
            // `v1` carries a behavior in an annotation, as JSON, and `v2beta1` has none.
            Self::Stabilization(_) if matches!(api_version, "autoscaling/v1" | "autoscaling/v2beta1") => return None,
            Self::Stabilization(direction) => keys(["spec", "behavior", direction.as_str(), "stabilizationWindowSeconds"]),
            Self::AdvancedStabilization(direction) => {
                keys(["spec", "advanced", "horizontalPodAutoscalerConfig", "behavior", direction.as_str(), "stabilizationWindowSeconds"])
            }
            Self::Schedule => spec("triggers"),
            Self::PodAnnotation { key } => {
                let mut parts = keys(["spec", "template", "metadata", "annotations"]);
                parts.push(Part::Key(Cow::Owned(key.clone())));
                parts
            }
        })
    }
}

impl Metric {
    /// The path to a target, which stood right beside the resource's name in `v2beta1`.
    fn parts(&self, api_version: &str, key: &'static str, old_key: &'static str) -> Option<Vec<Part>> {
        let resource = Cow::Borrowed(self.resource.as_str());
        let (body, marks) = match &self.container {
            None => ("resource", vec![Mark::new(&["type"], "Resource"), Mark::new(&["resource", "name"], resource)]),
            Some(container) => (
                "containerResource",
                vec![
                    Mark::new(&["type"], "ContainerResource"),
                    Mark::new(&["containerResource", "name"], resource),
                    Mark::new(&["containerResource", "container"], container.clone()),
                ],
            ),
        };
        let mut parts = keys(["spec", "metrics"]);
        parts.push(Part::Item(marks));
        match api_version {
            "autoscaling/v1" => return None,
            "autoscaling/v2beta1" => parts.extend(keys([body, old_key])),
            _ => parts.extend(keys([body, "target", key])),
        }
        Some(parts)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.container {
            None => write!(f, "{}", self.resource),
            Some(container) => write!(f, "{container} {}", self.resource),
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replicas => f.pad("replicas"),
            Self::MinReplicas => f.pad("minReplicas"),
            Self::MaxReplicas => f.pad("maxReplicas"),
            Self::MinReplicaCount => f.pad("minReplicaCount"),
            Self::MaxReplicaCount => f.pad("maxReplicaCount"),
            Self::Request { container, resource } => f.pad(&format!("{container} requests.{resource}")),
            Self::Limit { container, resource } => f.pad(&format!("{container} limits.{resource}")),
            Self::TargetUtilization(metric) => f.pad(&format!("{metric} averageUtilization")),
            Self::TargetValue(metric) => f.pad(&format!("{metric} averageValue")),
            Self::Stabilization(direction) | Self::AdvancedStabilization(direction) => {
                f.pad(&format!("{} stabilizationWindowSeconds", direction.as_str()))
            }
            Self::Schedule => f.pad("cron triggers"),
            Self::PodAnnotation { key } => f.pad(&format!("pod annotation {key}")),
        }
    }
}

/// How a kind of change moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Rhythm {
    /// Often; restarts nothing.
    Floor,
    /// Rarely: a change of the pod template restarts every pod, and one of an HPA's target moves its scale point.
    Template,
}

impl fmt::Display for Rhythm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Floor => "floors",
            Self::Template => "templates",
        })
    }
}
