//! Pods of a Deployment, as its ReplicaSet and the kubelet have them.

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use super::{digest, time, uid, yaml};

/// The letters of Kubernetes' random words.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// How many words of five letters there are.
const WORDS: u64 = 27_u64.pow(5);

/// The hash of the pod template of a Deployment.
pub(crate) fn template_hash(workload: &str) -> String {
    word(digest(workload), 10)
}

/// The name of the ReplicaSet of a Deployment.
pub(crate) fn replica_set_name(workload: &str) -> String {
    format!("{workload}-{}", template_hash(workload))
}

/// The name of a pod of a Deployment by its number.
pub(crate) fn pod_name(workload: &str, index: usize) -> String {
    // The factor has nothing in common with the number of words, so that no two are the same.
    let suffix = (digest(workload) % WORDS + index as u64 * 5_800_079) % WORDS;
    format!("{}-{}", replica_set_name(workload), word(suffix, 5))
}

fn word(number: u64, length: usize) -> String {
    let digits = std::iter::successors(Some(number), |number| Some(number / 27)).take(length);
    digits.map(|digit| char::from(LETTERS[(digit % 27) as usize])).collect()
}

/// What the ReplicaSet's controller owns of a pod.
const FIELDS: &str = r#"{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:pod-template-hash":{}},
    "f:ownerReferences":{".":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:env":{".":{},
    "k:{\"name\":\"POD_NAME\"}":{".":{},"f:name":{},"f:valueFrom":{}},"k:{\"name\":\"LOG_LEVEL\"}":{".":{},"f:name":{},"f:value":{}}},
    "f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:ports":{},"f:readinessProbe":{},"f:resources":{".":{},"f:limits":{},
    "f:requests":{}},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},
    "f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}"#;

/// What the kubelet owns of it.
const STATUS_FIELDS: &str = r#"{"f:status":{"f:conditions":{
    "k:{\"type\":\"ContainersReady\"}":{".":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},
    "k:{\"type\":\"Initialized\"}":{".":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},
    "k:{\"type\":\"PodReadyToStartContainers\"}":{".":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},
    "k:{\"type\":\"Ready\"}":{".":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}},
    "f:containerStatuses":{},"f:hostIP":{},"f:hostIPs":{},"f:observedGeneration":{},"f:phase":{},"f:podIP":{},"f:podIPs":{},
    "f:startTime":{}}}"#;

/// A pod of a Deployment by its number, that was only created.
fn created_pod(namespace: &str, workload: &str, index: usize, created: &str) -> Json {
    let (name, owner_name, hash) = (pod_name(workload, index), replica_set_name(workload), template_hash(workload));
    let owner = uid("ReplicaSet", namespace, &owner_name);
    yaml(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  generateName: {owner_name}-
  namespace: {namespace}
  generation: 1
  creationTimestamp: "{created}"
  labels: {{app: {workload}, pod-template-hash: "{hash}"}}
  ownerReferences:
  - {{apiVersion: apps/v1, blockOwnerDeletion: true, controller: true, kind: ReplicaSet, name: {owner_name}, uid: {owner}}}
  managedFields:
  - apiVersion: v1
    fieldsType: FieldsV1
    fieldsV1: {FIELDS}
    manager: kube-controller-manager
    operation: Update
    time: "{created}"
spec:
  containers:
  - name: app
    env:
    - name: POD_NAME
      valueFrom: {{fieldRef: {{apiVersion: v1, fieldPath: metadata.name}}}}
    - {{name: LOG_LEVEL, value: info}}
    image: registry.example.com/shop/{workload}:1.42.0
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
    volumeMounts:
    - {{mountPath: /var/run/secrets/kubernetes.io/serviceaccount, name: kube-api-access-x7k2p, readOnly: true}}
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
  preemptionPolicy: PreemptLowerPriority
  priority: 0
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {{}}
  serviceAccount: default
  serviceAccountName: default
  terminationGracePeriodSeconds: 30
  tolerations:
  - {{effect: NoExecute, key: node.kubernetes.io/not-ready, operator: Exists, tolerationSeconds: 300}}
  - {{effect: NoExecute, key: node.kubernetes.io/unreachable, operator: Exists, tolerationSeconds: 300}}
  volumes:
  - name: kube-api-access-x7k2p
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken: {{expirationSeconds: 3607, path: token}}
      - configMap: {{items: [{{key: ca.crt, path: ca.crt}}], name: kube-root-ca.crt}}
      - downwardAPI: {{items: [{{fieldRef: {{apiVersion: v1, fieldPath: metadata.namespace}}, path: namespace}}]}}
"#
    ))
}

/// A running pod of a Deployment by its number, that was created, scheduled, started and ready at these instants.
pub(crate) fn pod(namespace: &str, workload: &str, index: usize, times: [DateTime<Utc>; 4]) -> Json {
    let [created, scheduled, started, ready] = times.map(time);
    let (node, address) = (index % 3 + 1, format!("10.244.{}.{}", index / 200 % 256, index % 200 + 2));
    let mut object = created_pod(namespace, workload, index, &created);
    object["metadata"]["managedFields"].as_array_mut().unwrap().push(yaml(&format!(
        r#"
apiVersion: v1
fieldsType: FieldsV1
fieldsV1: {STATUS_FIELDS}
manager: kubelet
operation: Update
subresource: status
time: "{ready}"
"#
    )));
    object["spec"]["nodeName"] = format!("node-{node}").into();
    object["status"] = yaml(&format!(
        r#"
conditions:
- {{lastProbeTime: null, lastTransitionTime: "{started}", observedGeneration: 1, status: "True", type: PodReadyToStartContainers}}
- {{lastProbeTime: null, lastTransitionTime: "{scheduled}", observedGeneration: 1, status: "True", type: Initialized}}
- {{lastProbeTime: null, lastTransitionTime: "{ready}", observedGeneration: 1, status: "True", type: Ready}}
- {{lastProbeTime: null, lastTransitionTime: "{ready}", observedGeneration: 1, status: "True", type: ContainersReady}}
- {{lastProbeTime: null, lastTransitionTime: "{scheduled}", observedGeneration: 1, status: "True", type: PodScheduled}}
containerStatuses:
- allocatedResources: {{cpu: 250m, memory: 512Mi}}
  containerID: containerd://6d7a1c8e5f0b4c92ad3e7f1b6c8d9e0f2a4b6c8d0e1f3a5b7c9d1e3f5a7b9c1d
  image: registry.example.com/shop/{workload}:1.42.0
  imageID: registry.example.com/shop/app@sha256:9b1c5d7e3f2a4b6c8d0e1f3a5b7c9d1e3f5a7b9c1d6d7a1c8e5f0b4c92ad3e7f
  lastState: {{}}
  name: app
  ready: true
  resources:
    limits: {{memory: 512Mi}}
    requests: {{cpu: 250m, memory: 512Mi}}
  restartCount: 0
  started: true
  state: {{running: {{startedAt: "{started}"}}}}
  user: {{linux: {{gid: 0, supplementalGroups: [0], uid: 0}}}}
  volumeMounts:
  - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    name: kube-api-access-x7k2p
    readOnly: true
    recursiveReadOnly: Disabled
hostIP: 10.89.0.{node}
hostIPs: [{{ip: 10.89.0.{node}}}]
observedGeneration: 1
phase: Running
podIP: {address}
podIPs: [{{ip: {address}}}]
qosClass: Burstable
resources:
  requests: {{cpu: 250m, memory: 512Mi}}
startTime: "{scheduled}"
"#
    ));
    object
}

/// A pod of a Deployment by its number, for which there is no room on any node.
pub(crate) fn pending_pod(namespace: &str, workload: &str, index: usize, created: DateTime<Utc>) -> Json {
    let created = time(created);
    let mut object = created_pod(namespace, workload, index, &created);
    object["status"] = yaml(&format!(
        r#"
conditions:
- lastProbeTime: null
  lastTransitionTime: "{created}"
  message: "0/3 nodes are available: 3 Insufficient cpu."
  observedGeneration: 1
  reason: Unschedulable
  status: "False"
  type: PodScheduled
observedGeneration: 1
phase: Pending
qosClass: Burstable
"#
    ));
    object
}
