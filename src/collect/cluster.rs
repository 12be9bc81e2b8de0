//! What the cluster says. It is only read; what may not be read, is not there, or fails, is told and gone without.

mod bounds;
mod objects;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::clients::cluster::{Cluster as Client, ClusterError, Kind};
use crate::model::argocd::{Application, ApplicationSet, Project, Seen};
use crate::model::cluster::{ArgoCd, Autoscaler, Cluster, Disruption, Live, Nodes, Start, Unseen, Vpa};
use crate::model::{WorkloadId, WorkloadKind};
use bounds::{available, quota, range, size};
use objects::{
    BudgetSpec, BudgetStatus, Event, HpaSpec, HpaStatus, Metadata, Nothing, Object, PodStatus, QuotaSpec, QuotaStatus, RangeSpec,
    Reference, ScaledSpec, VpaSpec, WorkloadSpec, WorkloadStatus, condition,
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
    QUOTAS = "v1" "resourcequotas", "a floor or a request may rise above what a quota lets run";
    RANGES = "v1" "limitranges", "a request may be written that a limit range refuses";
    NODES = "v1" "nodes", "a request may be written that no node can hold";
    APPLICATIONS = "argoproj.io/v1alpha1" "applications", "the state of Argo CD holds nothing";
    PROJECTS = "argoproj.io/v1alpha1" "appprojects", "sync windows hold nothing";
    SETS = "argoproj.io/v1alpha1" "applicationsets", "Applications that are generated are known by themselves alone";
    ARGOCD_CM = "v1" "configmaps" where "metadata.name=argocd-cm", "whether the proof renders as Argo CD does is not known";
    POLICIES = "prescale.dev/v1alpha1" "scalingpolicies", "only the policies in Git count";
}

/// Asks for one object of each kind, in all namespaces or where that is not granted in these: what may not be read.
///
/// # Errors
/// Why the cluster does not answer at all; nothing more is asked then.
pub async fn unseen(client: &Client, namespaces: &BTreeSet<String>) -> Result<Vec<Unseen>, ClusterError> {
    let mut reader = Reader::new(client);
    for wanted in ALL {
        let Err(error) = reader.probe(*wanted, namespaces).await else {
            reader.answers = true;
            continue;
        };
        reader.failed(*wanted, &error);
        if reader.gone.is_some() {
            return Err(error);
        }
    }
    Ok(reader.cluster.unseen)
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
    /// Whether it answered what it was asked last.
    answers: bool,
    /// Why it is not asked any more.
    gone: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, cluster: Cluster::default(), answers: false, gone: None }
    }

    /// Its scaling policies, and what Argo CD deploys: both tell what there is to be asked for.
    pub(super) async fn overview(&mut self) {
        let nowhere = BTreeSet::new();
        self.cluster.policies = self.list(POLICIES, &nowhere, Some).await;
        let application = |document: Json| Application::read(&typed(document, "Application"), Seen::Cluster);
        let applications = self.list(APPLICATIONS, &nowhere, application).await;
        let projects = self.list(PROJECTS, &nowhere, |document: Json| Project::read(&typed(document, "AppProject"))).await;
        let set = |document: Json| ApplicationSet::read(&typed(document, "ApplicationSet"), Seen::Cluster);
        let sets = self.list(SETS, &nowhere, set).await;
        let mut build_options = None;
        if !applications.is_empty() {
            let settings = |map: Json| Some(map["data"]["kustomize.buildOptions"].as_str().unwrap_or("").to_owned());
            build_options = self.list(ARGOCD_CM, &nowhere, settings).await.pop();
        }
        self.cluster.argocd = ArgoCd { applications, projects, sets, build_options };
    }

    /// Where a kind is looked for: in one namespace or (absent) in all of them, and where that is not granted in each of those that come next.
    fn places(&self, wanted: Wanted, namespaces: &BTreeSet<String>) -> (Option<String>, BTreeSet<String>) {
        let named = self.client.settings().argocd_namespace.clone();
        let is = |kinds: &[Wanted]| kinds.iter().any(|one| one.kind == wanted.kind);
        if is(&[ARGOCD_CM]) {
            return (named.or_else(|| Some(ARGOCD.to_owned())), BTreeSet::new());
        }
        if is(&[APPLICATIONS, PROJECTS, SETS]) {
            let usual = if named.is_some() { BTreeSet::new() } else { BTreeSet::from([ARGOCD.to_owned()]) };
            return (named, usual);
        }
        // Nodes are in no namespace, and what policies there are elsewhere nobody knows.
        (None, if is(&[NODES, POLICIES]) { BTreeSet::new() } else { namespaces.clone() })
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
        // What holds changes comes before the lists that are long, and those without which nothing is held come last.
        self.bounds(&namespaces).await;
        self.pods(&namespaces).await;
        self.warnings(&namespaces).await;
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
            // What may be away leaves each number of replicas one that is enough.
            let (Some(selector), Some((least, share))) = (spec.selector, spec.min_available.as_ref().and_then(available)) else { continue };
            let allowed = status.disruptions_allowed;
            for (id, labels) in by_namespace.get(budget.metadata.namespace.as_str()).into_iter().flatten() {
                let Some(live) = self.cluster.workloads.get_mut(id).filter(|_| selector.selects(labels)) else { continue };
                let new = Disruption { name: budget.metadata.name.clone(), least, min_available_share: share, allowed };
                let replicas = live.replicas.unwrap_or(1);
                live.disruption = Some(match live.disruption.take() {
                    Some(known) => known.with(new, replicas),
                    None => new,
                });
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
        let nodes = self.list(NODES, &BTreeSet::new(), size).await;
        if self.cluster.unseen.len() == asked {
            // Where all keep pods away, those that run tolerate it.
            let all = nodes.iter().all(|(is_tainted, _)| *is_tainted);
            self.cluster.nodes = Some(Nodes::of(nodes.into_iter().filter(|(is_tainted, _)| all || !is_tainted).map(|(_, size)| size)));
        }
    }

    /// The workload that an autoscaler scales.
    fn target(&mut self, scaler: &Metadata, target: &Reference) -> Option<&mut Live> {
        // KEDA takes a Deployment where no kind is given.
        let kind = if target.kind.is_empty() { WorkloadKind::Deployment } else { target.kind.parse().ok()? };
        let id = WorkloadId { namespace: scaler.namespace.clone(), kind, name: target.name.clone() };
        self.cluster.workloads.get_mut(&id)
    }

    /// A list of where a kind is looked for.
    async fn list<T: DeserializeOwned, K>(
        &mut self,
        wanted: Wanted,
        namespaces: &BTreeSet<String>,
        keep: impl Fn(T) -> Option<K>,
    ) -> Vec<K> {
        if let Some(why) = self.gone.clone() {
            self.unseen(wanted, why);
            return Vec::new();
        }
        let (first, rest) = self.places(wanted, namespaces);
        match self.ask(wanted.kind, first.as_deref(), &keep).await {
            Ok(found) => return found,
            Err(ClusterError::Forbidden { .. }) if !rest.is_empty() => {}
            Err(error) => {
                self.failed(wanted, &error);
                return Vec::new();
            }
        }
        let (mut all, mut refused) = (Vec::new(), None);
        for namespace in &rest {
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

    /// Whether a kind may be read, where [`Reader::list`] reads it.
    async fn probe(&self, wanted: Wanted, namespaces: &BTreeSet<String>) -> Result<(), ClusterError> {
        let (first, rest) = self.places(wanted, namespaces);
        match self.client.probe(wanted.kind, first.as_deref()).await {
            Err(ClusterError::Forbidden { .. }) if !rest.is_empty() => {}
            answer => return answer,
        }
        for namespace in &rest {
            self.client.probe(wanted.kind, Some(namespace)).await?;
        }
        Ok(())
    }

    async fn ask<T: DeserializeOwned, K>(
        &mut self,
        kind: Kind,
        namespace: Option<&str>,
        keep: impl Fn(T) -> Option<K>,
    ) -> Result<Vec<K>, ClusterError> {
        // Pages that were taken before the list began anew do not count.
        let found = std::cell::RefCell::new(Vec::new());
        let begin = || found.borrow_mut().clear();
        let odd = self.client.list(kind, namespace, begin, |object| found.borrow_mut().extend(keep(object))).await?;
        self.answers = true;
        if odd > 0 {
            tracing::warn!(kind = kind.name(), odd, "objects of another form than expected were passed over");
        }
        Ok(found.into_inner())
    }

    fn failed(&mut self, wanted: Wanted, error: &ClusterError) {
        let is_silent = matches!(error, ClusterError::Gone { .. });
        // Events hold nothing: what becomes of them switches nothing off.
        if wanted.kind != EVENTS.kind {
            // One list may be too long for its time. A cluster is gone that leaves its first one without an answer, or two in a row.
            let is_gone = is_silent && !self.answers || matches!(error, ClusterError::Unauthorized { .. });
            self.gone = is_gone.then(|| error.to_string());
            self.answers = !is_silent;
        }
        match error {
            // What is not there has nothing to say.
            ClusterError::Unknown { .. } => {}
            // Nobody needs to grant it: the plan is the same without.
            ClusterError::Forbidden { .. } if wanted.kind == ARGOCD_CM.kind => {}
            _ => self.unseen(wanted, error.to_string()),
        }
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
