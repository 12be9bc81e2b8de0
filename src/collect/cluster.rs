//! What the cluster says. It is only read; what may not be read, is not there, or fails, is told and gone without.

mod objects;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::clients::cluster::{Cluster as Client, ClusterError, Kind};
use crate::model::argocd::{Application, ApplicationSet, Project, Seen};
use crate::model::cluster::{ArgoCd, Autoscaler, Cluster, Disruption, LimitRange, Live, Nodes, Quota, Start, Unseen, Vpa};
use crate::model::{Bytes, Millicores, Resource, WorkloadId, WorkloadKind};
use objects::{
    BudgetSpec, BudgetStatus, Event, HpaSpec, HpaStatus, Metadata, NodeSpec, NodeStatus, Nothing, Object, PodStatus, QuotaSpec,
    QuotaStatus, RangeSpec, Reference, ScaledSpec, VpaSpec, WorkloadSpec, WorkloadStatus, condition,
};

/// Where Argo CD lives unless someone says otherwise.
const ARGOCD: &str = "argocd";
/// The annotations by which people pause a ScaledObject.
const KEDA_PAUSES: [&str; 4] = [
    "autoscaling.keda.sh/paused",
    "autoscaling.keda.sh/paused-replicas",
    "autoscaling.keda.sh/paused-scale-in",
    "autoscaling.keda.sh/paused-scale-out",
];
/// A pod that took longer was Ready before: its condition tells the last time only.
const LONGEST_START: i64 = 30 * 60;
/// So many starts of a workload are kept, the latest ones.
const STARTS: usize = 50;
/// So many warnings of a workload are kept.
const WARNINGS: usize = 3;

macro_rules! kinds {
    ($($name:ident = $api:literal $plural:literal $(where $fields:literal)?, $without:literal;)+) => {
        $(const $name: Wanted = Wanted {
            kind: Kind { api: $api, plural: $plural, fields: kinds!(@ $($fields)?) },
            without: $without,
        };)+

        /// Everything that is read of a cluster, as a Role names it, and what goes without it.
        pub const READ: &[(&str, &str, &str)] = &[$(($api, $plural, $without)),+];
        const ALL: &[Wanted] = &[$($name),+];
    };
    (@) => { None };
    (@ $fields:literal) => { Some($fields) };
}

kinds! {
    DEPLOYMENTS = "apps/v1" "deployments", "policies do not know how many of their replicas are Ready";
    STATEFUL_SETS = "apps/v1" "statefulsets", "policies do not know how many of their replicas are Ready";
    ROLLOUTS = "argoproj.io/v1alpha1" "rollouts", "policies do not know how many of their replicas are Ready";
    HPAS = "autoscaling/v2" "horizontalpodautoscalers", "replicas may be written that an autoscaler owns of which Git knows nothing";
    SCALED_OBJECTS = "keda.sh/v1alpha1" "scaledobjects", "a pause that was set in the cluster alone is not heeded";
    VPAS = "autoscaling.k8s.io/v1" "verticalpodautoscalers", "requests that an autoscaler owns may be written";
    BUDGETS = "policy/v1" "poddisruptionbudgets", "a floor may fall to what a disruption budget wants available";
    PODS = "v1" "pods", "the time from a pod's creation to Ready is known from metrics alone";
    EVENTS = "v1" "events" where "type=Warning", "policies do not know what the cluster warns of";
    QUOTAS = "v1" "resourcequotas", "a floor may rise above what a quota lets run";
    RANGES = "v1" "limitranges", "a request may be written that a limit range refuses";
    NODES = "v1" "nodes", "a request may be written that no node can hold";
    APPLICATIONS = "argoproj.io/v1alpha1" "applications", "the state of Argo CD holds nothing";
    PROJECTS = "argoproj.io/v1alpha1" "appprojects", "sync windows hold nothing";
    SETS = "argoproj.io/v1alpha1" "applicationsets", "Applications that are generated are known by themselves alone";
    ARGOCD_CM = "v1" "configmaps" where "metadata.name=argocd-cm", "whether the proof renders as Argo CD does is not known";
    POLICIES = "prescale.dev/v1alpha1" "scalingpolicies", "only the policies in Git count";
}

/// Asks for one object of each kind, in all namespaces: what may not be read.
pub async fn unseen(client: &Client) -> Vec<Unseen> {
    let mut reader = Reader::new(client);
    for wanted in ALL {
        if let Some(why) = &reader.gone {
            reader.unseen(*wanted, why.clone());
        } else if let Err(error) = client.probe(wanted.kind, reader.home(*wanted)).await {
            reader.failed(*wanted, &error);
        }
    }
    reader.cluster.unseen
}

/// The labels of a workload's pods.
type Labels = BTreeMap<String, String>;

/// What is read, and what goes without it.
#[derive(Clone, Copy)]
struct Wanted {
    kind: Kind,
    without: &'static str,
}

/// A cluster while it is read.
pub(super) struct Reader<'a> {
    client: &'a Client,
    /// What is known so far.
    pub(super) cluster: Cluster,
    /// Why it is not asked any more.
    gone: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, cluster: Cluster::default(), gone: None }
    }

    /// Its scaling policies, and what Argo CD deploys: both tell what there is to be asked for.
    pub(super) async fn overview(&mut self) {
        self.cluster.policies = self.list(POLICIES, &BTreeSet::new(), Some).await;
        let argocd: BTreeSet<String> = self.client.settings().argocd_namespace.clone().into_iter().collect();
        let application = |document: Json| Application::read(&typed(document, "Application"), Seen::Cluster);
        let applications = self.within(APPLICATIONS, &argocd, application).await;
        let projects = self.within(PROJECTS, &argocd, |document| Project::read(&typed(document, "AppProject"))).await;
        let set = |document: Json| ApplicationSet::read(&typed(document, "ApplicationSet"), Seen::Cluster);
        let sets = self.within(SETS, &argocd, set).await;
        let mut build_options = None;
        if !applications.is_empty() {
            let argocd = BTreeSet::from([self.argocd().to_owned()]);
            let settings =
                self.within(ARGOCD_CM, &argocd, |map| Some(map["data"]["kustomize.buildOptions"].as_str().unwrap_or("").to_owned()));
            build_options = settings.await.pop();
        }
        self.cluster.argocd = ArgoCd { applications, projects, sets, build_options };
    }

    /// The namespace of Argo CD itself.
    fn argocd(&self) -> &'a str {
        self.client.settings().argocd_namespace.as_deref().unwrap_or(ARGOCD)
    }

    /// The one namespace in which something is looked for; absent where it is all.
    fn home(&self, wanted: Wanted) -> Option<&'a str> {
        (wanted.kind == ARGOCD_CM.kind).then(|| self.argocd())
    }

    /// The state of these workloads, and what bounds them.
    pub(super) async fn workloads(&mut self, wanted: &BTreeSet<WorkloadId>) {
        if wanted.is_empty() {
            return;
        }
        let namespaces: BTreeSet<String> = wanted.iter().map(|id| id.namespace.clone()).filter(|name| !name.is_empty()).collect();
        let mut labels = BTreeMap::new();
        for (listed, kind) in
            [(DEPLOYMENTS, WorkloadKind::Deployment), (STATEFUL_SETS, WorkloadKind::StatefulSet), (ROLLOUTS, WorkloadKind::Rollout)]
        {
            if wanted.iter().any(|id| id.kind == kind) {
                self.states(listed, kind, wanted, &namespaces, &mut labels).await;
            }
        }
        self.autoscalers(&namespaces).await;
        self.disruptions(&namespaces, &labels).await;
        self.pods(&namespaces).await;
        self.warnings(&namespaces).await;
        self.bounds(&namespaces).await;
    }

    async fn states(
        &mut self,
        listed: Wanted,
        kind: WorkloadKind,
        wanted: &BTreeSet<WorkloadId>,
        namespaces: &BTreeSet<String>,
        labels: &mut BTreeMap<WorkloadId, Labels>,
    ) {
        let keep = |object: Object<WorkloadSpec, WorkloadStatus>| {
            let id = id_of(&object.metadata, kind);
            wanted.contains(&id).then_some((id, object))
        };
        for (id, object) in self.list(listed, namespaces, keep).await {
            let spec = object.spec.unwrap_or_default();
            // Without a controller, nobody counted.
            let counted = object.status.filter(|status| status.observed_generation.is_some() || status.ready_replicas.is_some());
            let ready = counted.map(|status| status.ready_replicas.unwrap_or(0));
            labels.insert(id.clone(), spec.template.metadata.labels);
            self.cluster.workloads.insert(id, Live { replicas: spec.replicas, ready, ..Live::default() });
        }
    }

    async fn autoscalers(&mut self, namespaces: &BTreeSet<String>) {
        let hpas = self.list(HPAS, namespaces, |hpa: Object<HpaSpec, HpaStatus>| Some(hpa)).await;
        for hpa in hpas {
            let (spec, status) = (hpa.spec.unwrap_or_default(), hpa.status.unwrap_or_default());
            let Some(live) = self.target(&hpa.metadata, &spec.scale_target_ref) else { continue };
            live.autoscaler = Some(Autoscaler {
                kind: "HorizontalPodAutoscaler",
                name: hpa.metadata.name,
                min: spec.min_replicas,
                max: spec.max_replicas,
                // Nought is what it says while it has no metrics.
                desired: status.desired_replicas.filter(|desired| *desired > 0),
                paused_by: None,
            });
        }
        let scaled = self.list(SCALED_OBJECTS, namespaces, |object: Object<ScaledSpec, Nothing>| Some(object)).await;
        for object in scaled {
            let spec = object.spec.unwrap_or_default();
            let paused = KEDA_PAUSES.into_iter().find(|key| object.metadata.annotations.get(*key).is_some_and(|value| value != "false"));
            let Some(live) = self.target(&object.metadata, &spec.scale_target_ref) else { continue };
            // It owns an HPA of its own, which is not the one to ask.
            live.autoscaler = Some(Autoscaler {
                kind: "ScaledObject",
                name: object.metadata.name,
                min: spec.min_replica_count,
                max: spec.max_replica_count,
                desired: live.autoscaler.take().and_then(|hpa| hpa.desired),
                paused_by: paused.map(ToOwned::to_owned),
            });
        }
        let vpas = self.list(VPAS, namespaces, |object: Object<VpaSpec, Nothing>| Some(object)).await;
        for vpa in vpas {
            let spec = vpa.spec.unwrap_or_default();
            // The mode is `Auto` where none is given.
            let mode = spec.update_policy.and_then(|policy| policy.update_mode).unwrap_or_else(|| "Auto".to_owned());
            let Some(live) = self.target(&vpa.metadata, &spec.target_ref).filter(|_| mode != "Off") else { continue };
            live.vpas.push(Vpa { name: vpa.metadata.name, mode });
        }
    }

    async fn disruptions(&mut self, namespaces: &BTreeSet<String>, labels: &BTreeMap<WorkloadId, Labels>) {
        let mut by_namespace: BTreeMap<&str, Vec<(&WorkloadId, &Labels)>> = BTreeMap::new();
        for (id, labels) in labels {
            by_namespace.entry(&id.namespace).or_default().push((id, labels));
        }
        for budget in self.list(BUDGETS, namespaces, |budget: Object<BudgetSpec, BudgetStatus>| Some(budget)).await {
            let status = budget.status.unwrap_or_default();
            let spec = budget.spec.unwrap_or_default();
            // A share, and what may be away, grow and shrink with the replicas: only a number bounds them.
            let least = spec.min_available.and_then(|least| u32::try_from(least.as_u64()?).ok());
            let (Some(selector), Some(least)) = (spec.selector, least) else { continue };
            for (id, labels) in by_namespace.get(budget.metadata.namespace.as_str()).into_iter().flatten() {
                let Some(live) = self.cluster.workloads.get_mut(id).filter(|_| selector.selects(labels)) else { continue };
                if live.disruption.as_ref().is_none_or(|known| known.least < least) {
                    live.disruption = Some(Disruption { name: budget.metadata.name.clone(), least, allowed: status.disruptions_allowed });
                }
            }
        }
    }

    async fn pods(&mut self, namespaces: &BTreeSet<String>) {
        let known: BTreeSet<WorkloadId> = self.cluster.workloads.keys().cloned().collect();
        let keep = |pod: Object<Nothing, PodStatus>| {
            let id = owner(&pod.metadata).filter(|id| known.contains(id))?;
            let status = pod.status.unwrap_or_default();
            let scheduled = condition(&status.conditions, "PodScheduled");
            let unschedulable = scheduled.filter(|condition| condition.status == "False" && condition.reason == "Unschedulable");
            Some((id, start(&pod.metadata, &status), unschedulable.map(|condition| condition.message.clone())))
        };
        for (id, start, unschedulable) in self.list(PODS, namespaces, keep).await {
            let Some(live) = self.cluster.workloads.get_mut(&id) else { continue };
            live.starts.extend(start);
            live.pending += u32::from(unschedulable.is_some());
            live.unschedulable = live.unschedulable.take().or(unschedulable);
        }
        for live in self.cluster.workloads.values_mut() {
            live.starts.sort();
            let surplus = live.starts.len().saturating_sub(STARTS);
            live.starts.drain(..surplus);
        }
    }

    async fn warnings(&mut self, namespaces: &BTreeSet<String>) {
        let mut events = self.list(EVENTS, namespaces, |event: Event| Some(event)).await;
        events.sort_by_key(|event| std::cmp::Reverse(event.last_timestamp.or(event.time)));
        let mut by_namespace: BTreeMap<&str, Vec<(&WorkloadId, &mut Live)>> = BTreeMap::new();
        for (id, live) in &mut self.cluster.workloads {
            by_namespace.entry(&id.namespace).or_default().push((id, live));
        }
        for Event { metadata, involved_object: about, reason, message, .. } in events {
            let is_it = |(id, live): &&mut (&WorkloadId, &mut Live)| match about.kind.as_str() {
                "ReplicaSet" => about.name.rsplit_once('-').is_some_and(|(name, _)| name == id.name),
                "Pod" if id.kind == WorkloadKind::StatefulSet => about.name.rsplit_once('-').is_some_and(|(name, _)| name == id.name),
                "Pod" => about.name.rsplitn(3, '-').nth(2).is_some_and(|name| name == id.name),
                "HorizontalPodAutoscaler" | "ScaledObject" => live.autoscaler.as_ref().is_some_and(|scaler| scaler.name == about.name),
                kind => kind == id.kind.as_str() && about.name == id.name,
            };
            let here = by_namespace.get_mut(metadata.namespace.as_str());
            if let Some((_, live)) = here.and_then(|here| here.iter_mut().find(is_it))
                && live.warnings.len() < WARNINGS
            {
                live.warnings.push(format!("{reason}: {message}"));
            }
        }
    }

    /// Quotas, limit ranges and nodes.
    async fn bounds(&mut self, namespaces: &BTreeSet<String>) {
        // One with scopes is about some pods only.
        let plain = |quota: Object<QuotaSpec, QuotaStatus>| {
            let scoped = quota.spec.as_ref().is_some_and(|spec| !spec.scopes.is_empty() || spec.scope_selector.is_some());
            (!scoped).then_some(quota)
        };
        let quotas = self.list(QUOTAS, namespaces, plain).await;
        self.cluster.quotas = quotas.into_iter().filter(|quota| namespaces.contains(&quota.metadata.namespace)).map(quota).collect();
        let ranges = self.list(RANGES, namespaces, |range: Object<RangeSpec, Nothing>| Some(range)).await;
        self.cluster.ranges = ranges.into_iter().filter(|range| namespaces.contains(&range.metadata.namespace)).map(range).collect();
        let asked = self.cluster.unseen.len();
        let ready = |node: Object<NodeSpec, NodeStatus>| {
            let status = node.status.unwrap_or_default();
            let is_ready = condition(&status.conditions, "Ready").is_none_or(|condition| condition.status == "True");
            (is_ready && !node.spec.unwrap_or_default().unschedulable).then_some(status.allocatable)
        };
        let nodes = self.list(NODES, &BTreeSet::new(), ready).await;
        if self.cluster.unseen.len() == asked && self.gone.is_none() {
            self.cluster.nodes = Some(nodes.iter().fold(Nodes::default(), |all, allocatable| {
                let amount = |resource| allocatable.get(resource).and_then(|text: &String| amount(resource, text)).unwrap_or(0.0);
                let (cpu, memory) = (amount("cpu"), amount("memory"));
                Nodes { count: all.count + 1, largest: (all.largest.0.max(cpu), all.largest.1.max(memory)) }
            }));
        }
    }

    /// The workload that an autoscaler scales.
    fn target(&mut self, scaler: &Metadata, target: &Reference) -> Option<&mut Live> {
        // KEDA takes a Deployment where no kind is given.
        let kind = if target.kind.is_empty() { WorkloadKind::Deployment } else { target.kind.parse().ok()? };
        let id = WorkloadId { namespace: scaler.namespace.clone(), kind, name: target.name.clone() };
        self.cluster.workloads.get_mut(&id)
    }

    /// A list of all namespaces, or where that is not granted of those that are wanted.
    async fn list<T: DeserializeOwned, K>(
        &mut self,
        wanted: Wanted,
        namespaces: &BTreeSet<String>,
        keep: impl Fn(T) -> Option<K>,
    ) -> Vec<K> {
        if let Some(why) = &self.gone {
            self.unseen(wanted, why.clone());
            return Vec::new();
        }
        match self.ask(wanted.kind, None, &keep).await {
            Ok(found) => found,
            Err(ClusterError::Forbidden { .. }) if !namespaces.is_empty() => {
                let (mut all, mut refused) = (Vec::new(), None);
                for namespace in namespaces {
                    match self.ask(wanted.kind, Some(namespace), &keep).await {
                        Ok(found) => all.extend(found),
                        Err(error) => {
                            // What is worse than a refusal is told instead.
                            let is_last = !matches!(error, ClusterError::Forbidden { .. });
                            if is_last || refused.is_none() {
                                refused = Some(error);
                            }
                            if is_last {
                                break;
                            }
                        }
                    }
                }
                if let Some(error) = refused {
                    self.failed(wanted, &error);
                }
                all
            }
            Err(error) => {
                self.failed(wanted, &error);
                Vec::new()
            }
        }
    }

    async fn ask<T: DeserializeOwned, K>(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        keep: impl Fn(T) -> Option<K>,
    ) -> Result<Vec<K>, ClusterError> {
        // Pages that were taken before the list began anew do not count.
        let found = std::cell::RefCell::new(Vec::new());
        let begin = || found.borrow_mut().clear();
        let odd = self.client.list(kind, namespace, begin, |object| found.borrow_mut().extend(keep(object))).await?;
        if odd > 0 {
            tracing::warn!(kind = kind.name(), odd, "objects of another form than expected were passed over");
        }
        Ok(found.into_inner())
    }

    /// Objects of Argo CD: of the namespace that was named, or of all, or of the usual one.
    async fn within<K>(&mut self, wanted: Wanted, named: &BTreeSet<String>, keep: impl Fn(Json) -> Option<K>) -> Vec<K> {
        let Some(namespace) = named.first() else { return self.list(wanted, &BTreeSet::from([ARGOCD.to_owned()]), keep).await };
        if let Some(why) = &self.gone {
            self.unseen(wanted, why.clone());
            return Vec::new();
        }
        match self.ask(wanted.kind, Some(namespace), keep).await {
            Ok(found) => found,
            Err(error) => {
                self.failed(wanted, &error);
                Vec::new()
            }
        }
    }

    fn failed(&mut self, wanted: Wanted, error: &ClusterError) {
        match error {
            // What is not there has nothing to say.
            ClusterError::Unknown { .. } => return,
            // Nobody needs to grant it: the plan is the same without.
            ClusterError::Forbidden { .. } if wanted.kind == ARGOCD_CM.kind => return,
            ClusterError::Unauthorized { .. } | ClusterError::Gone { .. } => self.gone = Some(error.to_string()),
            _ => {}
        }
        self.unseen(wanted, error.to_string());
    }

    fn unseen(&mut self, wanted: Wanted, why: String) {
        self.cluster.unseen.push(Unseen { what: wanted.kind.name(), why, without: wanted.without.to_owned() });
    }
}

fn id_of(metadata: &Metadata, kind: WorkloadKind) -> WorkloadId {
    WorkloadId { namespace: metadata.namespace.clone(), kind, name: metadata.name.clone() }
}

/// Items of a list may lack what the list says of them.
fn typed(mut document: Json, kind: &str) -> Json {
    if let Some(map) = document.as_object_mut() {
        map.entry("kind").or_insert_with(|| kind.into());
        map.entry("apiVersion").or_insert_with(|| "argoproj.io/v1alpha1".into());
    }
    document
}

/// The workload whose pod this is. A ReplicaSet is named after its Deployment or Rollout and the hash of its pods.
fn owner(pod: &Metadata) -> Option<WorkloadId> {
    let owner = pod.owner_references.first()?;
    let id = |kind, name: &str| Some(WorkloadId { namespace: pod.namespace.clone(), kind, name: name.to_owned() });
    let before = |hash: Option<&String>| owner.name.strip_suffix(hash?.as_str())?.strip_suffix('-');
    match owner.kind.as_str() {
        "StatefulSet" => id(WorkloadKind::StatefulSet, &owner.name),
        "ReplicaSet" => match before(pod.labels.get("rollouts-pod-template-hash")) {
            Some(name) => id(WorkloadKind::Rollout, name),
            None => id(WorkloadKind::Deployment, before(pod.labels.get("pod-template-hash"))?),
        },
        _ => None,
    }
}

/// How a pod came up, where it is Ready and never restarted.
fn start(metadata: &Metadata, status: &PodStatus) -> Option<Start> {
    let since = |of| condition(&status.conditions, of).filter(|condition| condition.status == "True")?.last_transition_time;
    if status.phase != "Running" || status.container_statuses.iter().any(|container| container.restart_count > 0) {
        return None;
    }
    let started = status.container_statuses.iter().filter_map(|container| container.state.running.as_ref()?.started_at).max()?;
    let (created, ready) = (metadata.creation_timestamp?, since("Ready")?);
    let scheduled = since("PodScheduled").unwrap_or(created);
    let is_first = (0..=LONGEST_START).contains(&(ready - started).num_seconds());
    is_first.then_some(Start { created, scheduled, started, ready })
}

fn quota(quota: Object<QuotaSpec, QuotaStatus>) -> Quota {
    let status = quota.status.unwrap_or_default();
    let left = status.hard.iter().filter_map(|(resource, hard)| {
        let used = status.used.get(resource).and_then(|used| amount(resource, used)).unwrap_or(0.0);
        Some((resource.clone(), (amount(resource, hard)? - used).max(0.0)))
    });
    Quota { left: left.collect(), namespace: quota.metadata.namespace, name: quota.metadata.name }
}

fn range(range: Object<RangeSpec, Nothing>) -> LimitRange {
    let mut bounds: BTreeMap<Resource, (Option<f64>, Option<f64>)> = BTreeMap::new();
    for item in range.spec.unwrap_or_default().limits.iter().filter(|item| item.of == "Container") {
        for resource in [Resource::Cpu, Resource::Memory] {
            let name = resource.as_str();
            let of = |map: &BTreeMap<String, String>| map.get(name).and_then(|text| amount(name, text));
            let known = bounds.entry(resource).or_default();
            let least = [known.0, of(&item.min)].into_iter().flatten().reduce(f64::max);
            let most = [known.1, of(&item.max)].into_iter().flatten().reduce(f64::min);
            *known = (least, most);
        }
    }
    LimitRange { bounds, namespace: range.metadata.namespace, name: range.metadata.name }
}

/// A quantity in cores, bytes or objects.
fn amount(resource: &str, text: &str) -> Option<f64> {
    if resource.ends_with("cpu") { text.parse().ok().map(Millicores::cores) } else { text.parse().ok().map(|bytes: Bytes| bytes.0 as f64) }
}
