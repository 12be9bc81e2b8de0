//! Objects in the full shape in which Kubernetes 1.36, KEDA, the vertical autoscaler and Argo CD 3 have them once their controllers have
//! seen them.

mod argo;
mod pods;
mod scalers;

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value as Json, json};

pub(crate) use argo::{Application, application, application_set, project};
pub(crate) use pods::{pending_pod, pod, pod_name, replica_set_name, template_hash};
pub(crate) use scalers::{hpa, hpa_without_metrics, scaled_object, vpa};

/// When all that has no other time came to be as it is: an hour before the demo's present.
pub(crate) const AT: &str = "2026-11-16T06:00:00Z";

/// An instant as Kubernetes writes it.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The identity that an object gets unless it has one.
pub(crate) fn uid(kind: &str, namespace: &str, name: &str) -> String {
    let [a, b] = ["a", "b"].map(|salt| digest(&format!("{salt}/{kind}/{namespace}/{name}")));
    format!("{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff, b >> 52, b & 0xffff_ffff_ffff)
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn yaml(text: &str) -> Json {
    serde_yaml::from_str(text).unwrap_or_else(|e| panic!("no YAML ({e}): {text}"))
}

/// A namespace.
pub(crate) fn namespace(name: &str) -> Json {
    yaml(&format!(
        r"
apiVersion: v1
kind: Namespace
metadata:
  name: {name}
  labels: {{kubernetes.io/metadata.name: {name}}}
spec: {{finalizers: [kubernetes]}}
status: {{phase: Active}}
"
    ))
}

/// A Deployment that no controller saw yet.
pub(crate) fn deployment_unseen(namespace: &str, name: &str, replicas: u64) -> Json {
    yaml(&format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  namespace: {namespace}
  generation: 1
  labels: {{app: {name}}}
  annotations: {{"argocd.argoproj.io/tracking-id": "{name}:apps/Deployment:{namespace}/{name}"}}
  managedFields:
  - apiVersion: apps/v1
    fieldsType: FieldsV1
    fieldsV1: {{"f:metadata": {{"f:labels": {{"f:app": {{}}}}}}, "f:spec": {{"f:replicas": {{}}, "f:selector": {{}}, "f:template": {{}}}}}}
    manager: argocd-controller
    operation: Apply
    time: "{AT}"
spec:
  progressDeadlineSeconds: 600
  replicas: {replicas}
  revisionHistoryLimit: 10
  selector: {{matchLabels: {{app: {name}}}}}
  strategy:
    rollingUpdate: {{maxSurge: 25%, maxUnavailable: 25%}}
    type: RollingUpdate
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
      - name: app
        image: registry.example.com/shop/{name}:1.42.0
        imagePullPolicy: IfNotPresent
        ports: [{{containerPort: 8080, name: http, protocol: TCP}}]
        readinessProbe:
          failureThreshold: 3
          httpGet: {{path: /readyz, port: http, scheme: HTTP}}
          periodSeconds: 5
          successThreshold: 1
          timeoutSeconds: 1
        resources:
          limits: {{memory: 512Mi}}
          requests: {{cpu: 250m, memory: 512Mi}}
        terminationMessagePath: /dev/termination-log
        terminationMessagePolicy: File
      dnsPolicy: ClusterFirst
      restartPolicy: Always
      schedulerName: default-scheduler
      securityContext: {{}}
      terminationGracePeriodSeconds: 30
status: {{}}
"#
    ))
}

/// A Deployment, with so many of its pods ready.
pub(crate) fn deployment(namespace: &str, name: &str, replicas: u64, ready: u64) -> Json {
    let mut object = deployment_unseen(namespace, name, replicas);
    object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1".into();
    let (available, minimum) = if ready * 4 >= replicas * 3 { ("True", "Available") } else { ("False", "Unavailable") };
    let does = if available == "True" { "has" } else { "does not have" };
    let replica_set = replica_set_name(name);
    object["status"] = yaml(&format!(
        r#"
conditions:
- lastTransitionTime: "{AT}"
  lastUpdateTime: "{AT}"
  message: Deployment {does} minimum availability.
  reason: MinimumReplicas{minimum}
  status: "{available}"
  type: Available
- lastTransitionTime: "{AT}"
  lastUpdateTime: "{AT}"
  message: ReplicaSet "{replica_set}" has successfully progressed.
  reason: NewReplicaSetAvailable
  status: "True"
  type: Progressing
observedGeneration: 1
terminatingReplicas: 0
"#
    ));
    // As Go leaves zeros out.
    let counts = [
        ("replicas", replicas),
        ("updatedReplicas", replicas),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
        ("unavailableReplicas", replicas.saturating_sub(ready)),
    ];
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        object["status"][field] = count.into();
    }
    object
}

/// The ReplicaSet of a Deployment, all of whose pods are ready.
pub(crate) fn replica_set(namespace: &str, workload: &str, replicas: u64) -> Json {
    let (name, hash) = (replica_set_name(workload), template_hash(workload));
    let mut template = deployment_unseen(namespace, workload, replicas)["spec"]["template"].take();
    template["metadata"]["labels"]["pod-template-hash"] = hash.as_str().into();
    let mut object = yaml(&format!(
        r#"
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: {name}
  namespace: {namespace}
  generation: 1
  labels: {{app: {workload}, pod-template-hash: "{hash}"}}
  annotations:
    deployment.kubernetes.io/desired-replicas: "{replicas}"
    deployment.kubernetes.io/revision: "1"
  ownerReferences:
  - {{apiVersion: apps/v1, blockOwnerDeletion: true, controller: true, kind: Deployment, name: {workload}, uid: {owner}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {workload}, pod-template-hash: "{hash}"}}}}
status:
  availableReplicas: {replicas}
  fullyLabeledReplicas: {replicas}
  observedGeneration: 1
  readyReplicas: {replicas}
  replicas: {replicas}
  terminatingReplicas: 0
"#,
        owner = uid("Deployment", namespace, workload)
    ));
    object["spec"]["template"] = template;
    object
}

/// A budget of the pods of an app, so many of which are healthy.
pub(crate) fn pdb(namespace: &str, name: &str, app: &str, min_available: u64, healthy: u64) -> Json {
    let allowed = healthy.saturating_sub(min_available);
    let (status, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    yaml(&format!(
        r#"
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {name}
  namespace: {namespace}
  generation: 1
spec:
  minAvailable: {min_available}
  selector: {{matchLabels: {{app: {app}}}}}
status:
  conditions:
  - {{lastTransitionTime: "{AT}", message: "", observedGeneration: 1, reason: {reason}, status: "{status}", type: DisruptionAllowed}}
  currentHealthy: {healthy}
  desiredHealthy: {min_available}
  disruptionsAllowed: {allowed}
  expectedPods: {healthy}
  observedGeneration: 1
"#
    ))
}

/// A quota: resources, such as `requests.cpu`, with how much there may be and how much there is.
pub(crate) fn quota(namespace: &str, resources: &[(&str, &str, &str)]) -> Json {
    let hard: Json = resources.iter().map(|(resource, hard, _)| (*resource, *hard)).collect();
    let used: Json = resources.iter().map(|(resource, _, used)| (*resource, *used)).collect();
    json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota", "namespace": namespace},
        "spec": {"hard": hard}, "status": {"hard": hard, "used": used},
    })
}

/// Limits of a namespace, as a YAML list such as `[{type: Container, defaultRequest: {cpu: 100m}}]`.
pub(crate) fn limit_range(namespace: &str, limits: &str) -> Json {
    json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits", "namespace": namespace}, "spec": {"limits": yaml(limits)},
    })
}

/// A node with so much for pods; it may be cordoned.
pub(crate) fn node(name: &str, cpu: &str, memory: &str, unschedulable: bool) -> Json {
    let condition = |type_: &str, status: &str, reason: &str, message: &str| {
        json!({
            "lastHeartbeatTime": AT, "lastTransitionTime": AT, "message": message, "reason": reason, "status": status, "type": type_,
        })
    };
    let mut object = yaml(&format!(
        r#"
apiVersion: v1
kind: Node
metadata:
  name: {name}
  labels:
    kubernetes.io/arch: amd64
    kubernetes.io/hostname: {name}
    kubernetes.io/os: linux
    topology.kubernetes.io/zone: zone-a
spec:
  podCIDR: 10.244.1.0/24
  podCIDRs: [10.244.1.0/24]
  providerID: kind://podman/kind/{name}
status:
  addresses:
  - {{address: 10.89.0.4, type: InternalIP}}
  - {{address: {name}, type: Hostname}}
  allocatable: {{cpu: "{cpu}", ephemeral-storage: 100Gi, hugepages-2Mi: "0", memory: "{memory}", pods: "110"}}
  capacity: {{cpu: "{cpu}", ephemeral-storage: 100Gi, hugepages-2Mi: "0", memory: "{memory}", pods: "110"}}
  daemonEndpoints: {{kubeletEndpoint: {{Port: 10250}}}}
  images: [{{names: ["registry.k8s.io/pause:3.10.1"], sizeBytes: 320448}}]
  nodeInfo:
    architecture: amd64
    bootID: 1c0e6a6b-3b3e-4f0b-9a3e-2f1d1f2b7c55
    containerRuntimeVersion: containerd://2.2.1
    kernelVersion: 6.12.48
    kubeProxyVersion: ""
    kubeletVersion: v1.36.0
    machineID: 6f2d7d3c0b8b4c9c8d5f4f7a9e0b1c2d
    operatingSystem: linux
    osImage: Debian GNU/Linux 13 (trixie)
    systemUUID: 0b6f6c1e-8d7a-4e55-8f0e-7a2b9c3d4e5f
"#
    ));
    object["status"]["conditions"] = json!([
        condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]);
    if unschedulable {
        object["spec"]["unschedulable"] = true.into();
        object["spec"]["taints"] = json!([{"effect": "NoSchedule", "key": "node.kubernetes.io/unschedulable", "timeAdded": AT}]);
    }
    object
}

/// An event about an object; a warning if its reason is one of a failure.
pub(crate) fn event(namespace: &str, kind: &str, name: &str, reason: &str, message: &str) -> Json {
    let warns = ["Failed", "BackOff", "Unhealthy", "Evicted", "Preempted"].iter().any(|begin| reason.starts_with(begin));
    let component = match kind {
        "Pod" if reason == "FailedScheduling" => "default-scheduler",
        "Pod" => "kubelet",
        "HorizontalPodAutoscaler" => "horizontal-pod-autoscaler",
        _ => "deployment-controller",
    };
    let serial = digest(&format!("{kind}/{name}/{reason}/{message}"));
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{name}.{serial:016x}"), "namespace": namespace},
        "involvedObject": {"kind": kind, "name": name, "namespace": namespace, "uid": uid(kind, namespace, name)},
        "reason": reason, "message": message, "source": {"component": component}, "type": if warns { "Warning" } else { "Normal" },
        "firstTimestamp": AT, "lastTimestamp": AT, "count": 1, "eventTime": null,
        "reportingComponent": component, "reportingInstance": "",
    })
}
