//! The kinds that are known, and the paths at which they are.

use serde_json::Value as Json;

/// A kind as the API server has it.
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) resource: &'static str,
    pub(super) name: &'static str,
    namespaced: bool,
}

/// All that are known.
pub(super) static KINDS: &[Kind] = &[
    Kind::new("", "v1", "pods", "Pod"),
    Kind::new("", "v1", "resourcequotas", "ResourceQuota"),
    Kind::new("", "v1", "limitranges", "LimitRange"),
    Kind::new("", "v1", "events", "Event"),
    Kind::new("", "v1", "configmaps", "ConfigMap"),
    Kind { namespaced: false, ..Kind::new("", "v1", "nodes", "Node") },
    Kind { namespaced: false, ..Kind::new("", "v1", "namespaces", "Namespace") },
    Kind::new("apps", "v1", "deployments", "Deployment"),
    Kind::new("apps", "v1", "statefulsets", "StatefulSet"),
    Kind::new("apps", "v1", "replicasets", "ReplicaSet"),
    Kind::new("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    Kind::new("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    Kind::new("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject"),
    Kind::new("autoscaling.k8s.io", "v1", "verticalpodautoscalers", "VerticalPodAutoscaler"),
    Kind::new("argoproj.io", "v1alpha1", "rollouts", "Rollout"),
    Kind::new("argoproj.io", "v1alpha1", "applications", "Application"),
    Kind::new("argoproj.io", "v1alpha1", "applicationsets", "ApplicationSet"),
    Kind::new("argoproj.io", "v1alpha1", "appprojects", "AppProject"),
    Kind::new("prescale.dev", "v1alpha1", "scalingpolicies", "ScalingPolicy"),
];

impl Kind {
    const fn new(group: &'static str, version: &'static str, resource: &'static str, name: &'static str) -> Self {
        Self { group, version, resource, name, namespaced: true }
    }

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether it is defined by a custom resource.
    pub(super) fn is_custom(&self) -> bool {
        self.group.contains('.')
    }

    /// As errors call it.
    pub(super) fn in_errors(&self) -> String {
        if self.group.is_empty() { self.resource.to_owned() } else { format!("{}.{}", self.resource, self.group) }
    }

    /// What errors tell about it, and the object.
    pub(super) fn details(&self, name: Option<&str>) -> Json {
        let fields = [("name", name.unwrap_or_default()), ("group", self.group), ("kind", self.resource)];
        fields.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The kind of an object, and its namespace and name. Fails if that is none.
    pub(super) fn of(object: &Json) -> (&'static Self, (String, String)) {
        let (api_version, kind) = (&object["apiVersion"], &object["kind"]);
        let known = KINDS.iter().find(|known| *kind == known.name && *api_version == known.api_version());
        let known = known.unwrap_or_else(|| panic!("no kind is known as {api_version} {kind}"));
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = (text("namespace"), text("name"));
        assert!(!key.1.is_empty() && key.0.is_empty() != known.namespaced, "no such {kind} can be: {:?}", object["metadata"]);
        (known, key)
    }
}

/// What a path leads to.
pub(super) struct Target {
    pub(super) kind: &'static Kind,
    pub(super) namespace: Option<String>,
    /// None for a list.
    pub(super) name: Option<String>,
}

impl Target {
    pub(super) fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, resource, name) = match rest {
            [resource] => (None, *resource, None),
            [resource, name] => (None, *resource, Some(*name)),
            ["namespaces", namespace, resource] => (Some(*namespace), *resource, None),
            ["namespaces", namespace, resource, name] => (Some(*namespace), *resource, Some(*name)),
            _ => return None,
        };
        let kind = KINDS.iter().find(|kind| kind.group == group && kind.version == version && kind.resource == resource)?;
        let fits = if kind.namespaced { namespace.is_some() || name.is_none() } else { namespace.is_none() };
        fits.then(|| Self { kind, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) })
    }

    /// The namespace whose roles count; a namespace is its own.
    pub(super) fn scope(&self) -> Option<&str> {
        let scope = if self.kind.resource == "namespaces" { &self.name } else { &self.namespace };
        scope.as_deref()
    }
}
