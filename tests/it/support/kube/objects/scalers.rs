//! Autoscalers of Deployments, of all three kinds.

use serde_json::{Value as Json, json};

use super::{AT, yaml};

/// An autoscaler of a Deployment by its CPU, at rest at its minimum.
pub(crate) fn hpa(namespace: &str, name: &str, target: &str, min: u64, max: u64) -> Json {
    yaml(&format!(
        r#"
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {name}
  namespace: {namespace}
spec:
  maxReplicas: {max}
  metrics:
  - resource:
      name: cpu
      target: {{averageUtilization: 70, type: Utilization}}
    type: Resource
  minReplicas: {min}
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {target}}}
status:
  conditions:
  - lastTransitionTime: "{AT}"
    message: recommended size matches current size
    reason: ReadyForNewScale
    status: "True"
    type: AbleToScale
  - lastTransitionTime: "{AT}"
    message: the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)
    reason: ValidMetricFound
    status: "True"
    type: ScalingActive
  - lastTransitionTime: "{AT}"
    message: the desired count is within the acceptable range
    reason: DesiredWithinRange
    status: "False"
    type: ScalingLimited
  currentMetrics:
  - resource:
      current: {{averageUtilization: 52, averageValue: 130m}}
      name: cpu
    type: Resource
  currentReplicas: {min}
  desiredReplicas: {min}
  lastScaleTime: "{AT}"
"#
    ))
}

/// The same where no metrics come.
pub(crate) fn hpa_without_metrics(namespace: &str, name: &str, target: &str, min: u64, max: u64) -> Json {
    let mut object = hpa(namespace, name, target, min, max);
    object["status"] = yaml(&format!(
        r#"
conditions:
- lastTransitionTime: "{AT}"
  message: the HPA controller was able to get the target's current scale
  reason: SucceededGetScale
  status: "True"
  type: AbleToScale
- lastTransitionTime: "{AT}"
  message: "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: \
    no metrics returned from resource metrics API"
  reason: FailedGetResourceMetric
  status: "False"
  type: ScalingActive
currentMetrics:
- type: ""
currentReplicas: {min}
desiredReplicas: 0
"#
    ));
    object
}

/// A ScaledObject of a Deployment, by Prometheus; it may be paused by its annotation.
pub(crate) fn scaled_object(namespace: &str, name: &str, target: &str, min: u64, paused: bool) -> Json {
    let mut object = yaml(&format!(
        r#"
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {name}
  namespace: {namespace}
  generation: 1
  finalizers: [finalizer.keda.sh]
  labels: {{scaledobject.keda.sh/name: {name}}}
  annotations: {{scaledobject.keda.sh/transfer-hpa-ownership: "true"}}
spec:
  cooldownPeriod: 300
  maxReplicaCount: 20
  minReplicaCount: {min}
  pollingInterval: 30
  scaleTargetRef: {{name: {target}}}
  triggers:
  - metadata: {{query: "sum(rate(http_requests_total[2m]))", serverAddress: "http://prometheus.monitoring:9090", threshold: "100"}}
    metricType: AverageValue
    type: prometheus
status:
  authenticationsTypes: ""
  conditions:
  - {{message: ScaledObject is defined correctly and is ready for scaling, reason: ScaledObjectReady, status: "True", type: Ready}}
  - {{message: Scaling is performed because triggers are active, reason: ScalerActive, status: "True", type: Active}}
  - {{message: No fallbacks are active on this scaled object, reason: NoFallbackFound, status: "False", type: Fallback}}
  - {{status: Unknown, type: Paused}}
  externalMetricNames: [s0-prometheus]
  hpaName: keda-hpa-{name}
  lastActiveTime: "{AT}"
  originalReplicaCount: 1
  scaleTargetGVKR: {{group: apps, kind: Deployment, resource: deployments, version: v1}}
  scaleTargetKind: apps/v1.Deployment
  triggersTypes: prometheus
"#
    ));
    if paused {
        object["metadata"]["annotations"]["autoscaling.keda.sh/paused"] = "true".into();
        object["status"]["conditions"][3] =
            json!({"message": "ScaledObject is paused", "reason": "ScaledObjectPaused", "status": "True", "type": "Paused"});
    }
    object
}

/// A VerticalPodAutoscaler of a Deployment, with a recommendation, in an update mode such as `Off`.
pub(crate) fn vpa(namespace: &str, name: &str, target: &str, mode: &str) -> Json {
    yaml(&format!(
        r#"
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata:
  name: {name}
  namespace: {namespace}
  generation: 1
spec:
  resourcePolicy:
    containerPolicies: [{{containerName: "*", controlledResources: [cpu, memory]}}]
  targetRef: {{apiVersion: apps/v1, kind: Deployment, name: {target}}}
  updatePolicy: {{updateMode: "{mode}"}}
status:
  conditions:
  - {{lastTransitionTime: "{AT}", status: "True", type: RecommendationProvided}}
  recommendation:
    containerRecommendations:
    - containerName: app
      lowerBound: {{cpu: 126m, memory: "262144k"}}
      target: {{cpu: 247m, memory: "380258472"}}
      uncappedTarget: {{cpu: 247m, memory: "380258472"}}
      upperBound: {{cpu: "1", memory: 1Gi}}
"#
    ))
}
