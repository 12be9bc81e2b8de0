//! The scaling policies that govern each workload: those beside the overlay that renders it, those that stand for all workloads of a folder or
//! namespace, and those of the cluster.

mod read;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::origin::{Origin, Origins};
use crate::model::snapshot::Amiss;
use crate::model::{HoldReason, Refusal, Rendered, RenderedWorkload, RepoPath, ScalingPolicy, Tree, WorkloadId, WorkloadKind};
use crate::overlay;
use read::{DEFAULT, Found, merged};

/// A policy and the workload that it governs.
#[derive(Clone, Debug)]
pub struct Governed {
    /// The overlay that renders it.
    pub overlay: RepoPath,
    /// What the overlay says of the workload.
    pub rendered: RenderedWorkload,
    /// The policy, with what stands for all workloads of its folder or namespace.
    pub policy: ScalingPolicy,
    /// Who says each of its fields.
    pub origins: Origins,
}

/// Pairs every policy under `folders` with its workload; what leads to no pair is told. `cluster` are the policies of the cluster, as it answers
/// them.
///
/// A workload's own policy stands in a YAML file of the overlay's own folder, or in the cluster, where Git has none. One with the name `default`
/// and without a target stands for all workloads that are deployed from its folder or one below it, with a namespace only for those in it;
/// what stands nearer wins, field by field. An overlay is read only where a policy may be about it.
pub fn governed(tree: &Tree, folders: &[RepoPath], cluster: &[serde_json::Value]) -> (Vec<Governed>, Vec<Amiss>) {
    let cluster: Vec<Found> = cluster.iter().filter_map(read::of_cluster).collect();
    let mut policies = Policies::of(tree, &cluster);
    // Only what someone deploys is meant by a policy that names no overlay.
    let unnamed = policies.for_all().next().is_some() || !cluster.is_empty();
    let leaves: BTreeSet<RepoPath> = if unnamed { overlay::leaves(tree, folders).into_iter().collect() } else { BTreeSet::new() };
    if cluster.iter().any(|found| found.is_default) {
        policies.several = several(tree, &leaves);
    }
    let (mut governed, mut amiss) = (Vec::new(), Vec::new());
    let mut claims: BTreeMap<usize, Vec<Claim>> = BTreeMap::new();
    let overlays = overlay::overlays(tree, folders);
    for folder in &overlays {
        let own = policies.beside(folder);
        let is_meant = leaves.contains(folder) && (!cluster.is_empty() || policies.above(folder).next().is_some());
        if own.is_empty() && !is_meant {
            continue;
        }
        let rendered = overlay::survey(tree, folder);
        let mut one = Overlay { folder, policies: &policies, rendered: &rendered, governed: Vec::new(), amiss: Vec::new() };
        one.by_own(&own);
        // Of a folder with a file that nobody can read, nobody can say what it leaves to others.
        if is_meant && !own.iter().any(|found| found.is_unreadable) {
            for (n, found) in cluster.iter().enumerate().filter(|(_, found)| !found.is_default) {
                let claim = one.claim(found);
                claims.entry(n).or_default().extend(claim);
            }
            one.by_default();
        }
        governed.append(&mut one.governed);
        amiss.append(&mut one.amiss);
    }
    amiss.extend(policies.astray(&overlays, folders));
    for (n, found) in cluster.iter().enumerate().filter(|(_, found)| !found.is_default) {
        let claims = claims.remove(&n).unwrap_or_default();
        // Where Git has one for the workload in some overlay, that is the one that this cluster runs.
        let in_git = policies.by_folder.values().flatten().any(|own| is_named(own, &found.target));
        let unreadable = || policies.by_folder.values().flatten().any(|own| own.is_unreadable);
        if in_git || claims.is_empty() && unreadable() {
            continue; // that one tells of itself
        }
        settle(found, claims, &mut governed, &mut amiss);
    }
    governed.sort_by(|a, b| (&a.overlay, &a.rendered.id).cmp(&(&b.overlay, &b.rendered.id)));
    (governed, amiss)
}

/// The workloads that more than one overlay renders.
fn several(tree: &Tree, leaves: &BTreeSet<RepoPath>) -> BTreeSet<WorkloadId> {
    let (mut once, mut more) = (BTreeSet::new(), BTreeSet::new());
    for rendered in leaves.iter().filter_map(|folder| overlay::survey(tree, folder).ok()) {
        for workload in rendered.workloads {
            if !once.insert(workload.id.clone()) {
                more.insert(workload.id);
            }
        }
    }
    more
}

/// All policies that were found.
struct Policies<'a> {
    by_folder: BTreeMap<RepoPath, Vec<Found>>,
    /// Those of Git that stand for all workloads of a folder: few, and looked through for each workload.
    for_all: Vec<(RepoPath, Found)>,
    cluster: &'a [Found],
    /// Workloads that several overlays render, so that nobody knows which of them the cluster runs.
    several: BTreeSet<WorkloadId>,
}

impl<'a> Policies<'a> {
    fn of(tree: &Tree, cluster: &'a [Found]) -> Self {
        let mut by_folder: BTreeMap<RepoPath, Vec<Found>> = BTreeMap::new();
        for (path, _) in tree.iter() {
            let Some(bytes) = tree.bytes(path).filter(|_| [".yaml", ".yml"].iter().any(|ending| path.file_name().ends_with(ending))) else {
                continue;
            };
            let text = String::from_utf8_lossy(bytes);
            // Cheap first: most files hold no policy, and one that does not parse is the editor's to refuse, not ours.
            if text.contains("ScalingPolicy") {
                by_folder.entry(path.parent()).or_default().extend(read::documents(path, &text));
            }
        }
        let mut for_all = Vec::new();
        for (folder, found) in &mut by_folder {
            for_all.extend(found.extract_if(.., |found| found.is_default).map(|found| (folder.clone(), found)));
        }
        Self { by_folder, for_all, cluster, several: BTreeSet::new() }
    }

    /// Those that name a workload of the overlay of a folder.
    fn beside(&self, folder: &RepoPath) -> Vec<&Found> {
        self.by_folder.get(folder).into_iter().flatten().collect()
    }

    /// Those that name a workload where there is no overlay that could render it.
    fn astray(&self, overlays: &[RepoPath], folders: &[RepoPath]) -> impl Iterator<Item = Amiss> {
        let is_overlay = |folder: &RepoPath| overlays.binary_search(folder).is_ok();
        let is_looked_at = |folder: &RepoPath| folders.iter().any(|above| folder.is_under(above));
        let astray = self.by_folder.iter().filter(move |(folder, _)| is_looked_at(folder) && !is_overlay(folder));
        astray.flat_map(|(folder, found)| found.iter().map(move |found| (folder, found))).map(|(folder, found)| {
            let why = found.read.as_ref().err().map_or("stands beside no overlay: nothing is done by it", String::as_str);
            let why = HoldReason::PolicyInvalid { detail: format!("{}: {why}", found.origin) };
            Amiss { workload: found.target.clone(), overlay: folder.clone(), why }
        })
    }

    /// Those that stand for all workloads of a folder or namespace.
    fn for_all(&self) -> impl Iterator<Item = &Found> {
        self.for_all.iter().map(|(_, found)| found).chain(self.cluster.iter().filter(|found| found.is_default))
    }

    /// Those of them that stand in a folder or above it.
    fn above(&self, folder: &RepoPath) -> impl Iterator<Item = (&RepoPath, &Found)> {
        self.for_all.iter().filter(move |(above, _)| folder.is_under(above)).map(|(folder, found)| (folder, found))
    }

    /// Those of them that are about a workload, the strongest first: with a namespace before those without, the nearest folder first, and those of
    /// the cluster last.
    ///
    /// # Errors
    /// Two that are as strong: nobody can tell which is meant.
    fn about(&self, folder: &RepoPath, id: &WorkloadId) -> Result<Vec<&Found>, String> {
        let namespace = id.namespace.as_str();
        let is_about = |found: &Found| found.target.namespace.is_empty() || found.target.namespace == namespace;
        let mut found: Vec<_> = self.above(folder).filter(|(_, found)| is_about(found)).collect();
        let rank = |(folder, found): &(&RepoPath, &Found)| (!found.target.namespace.is_empty(), folder.as_str().len());
        found.sort_by_key(rank);
        if let Some([(_, one), (_, other)]) = found.windows(2).find(|pair| rank(&pair[0]) == rank(&pair[1])) {
            return Err(format!("{} and {} stand for the same workloads: keep one of them", one.origin, other.origin));
        }
        let is_ours = |found: &&Found| found.is_default && found.target.namespace == namespace && !self.several.contains(id);
        let in_cluster = self.cluster.iter().filter(is_ours);
        Ok(found.into_iter().rev().map(|(_, found)| found).chain(in_cluster).collect())
    }
}

/// One overlay, and who governs its workloads.
struct Overlay<'a> {
    folder: &'a RepoPath,
    policies: &'a Policies<'a>,
    rendered: &'a Result<Rendered, Refusal>,
    governed: Vec<Governed>,
    amiss: Vec<Amiss>,
}

/// What a policy of the cluster may be about.
type Claim = (RepoPath, Result<Governed, Box<Amiss>>);

impl Overlay<'_> {
    /// By the policies beside it.
    fn by_own(&mut self, own: &[&Found]) {
        let mut pairs: BTreeMap<WorkloadId, Vec<(Origin, Governed)>> = BTreeMap::new();
        for found in own {
            match self.pair(found) {
                Ok(pair) => pairs.entry(pair.rendered.id.clone()).or_default().push((found.origin.clone(), pair)),
                Err(trouble) => self.amiss.push(*trouble),
            }
        }
        for (workload, mut claims) in pairs {
            match claims.pop() {
                Some((_, only)) if claims.is_empty() => self.governed.push(only),
                last => {
                    let places: BTreeSet<Origin> = claims.into_iter().chain(last).map(|(origin, _)| origin).collect();
                    let why = HoldReason::PolicyOverlap { places: places.into_iter().collect() };
                    self.amiss.push(Amiss { workload, overlay: self.folder.clone(), why });
                }
            }
        }
    }

    /// By a policy of the cluster, where Git has none; nothing where the overlay does not render what it names.
    fn claim(&self, found: &Found) -> Option<Claim> {
        let rendered = self.rendered.as_ref().ok()?;
        let is_it = |workload: &&RenderedWorkload| is_named(found, &workload.id);
        let workload = rendered.workloads.iter().find(is_it)?;
        (!self.is_claimed(&workload.id)).then(|| (self.folder.clone(), self.pair(found)))
    }

    /// By what stands for all: every workload that no other policy names.
    fn by_default(&mut self) {
        let rendered = match self.rendered {
            Ok(rendered) => rendered,
            Err(refusal) => {
                // Whoever counts on it is told, once.
                let unnamed = WorkloadId { namespace: String::new(), kind: WorkloadKind::Deployment, name: DEFAULT.to_owned() };
                let why = HoldReason::Refused(refusal.clone());
                let stands = self.policies.above(self.folder).next().is_some();
                self.amiss.extend(stands.then(|| Amiss { workload: unnamed, overlay: self.folder.clone(), why }));
                return;
            }
        };
        let claimed: BTreeSet<WorkloadId> = self.governed.iter().map(|one| one.rendered.id.clone()).collect();
        for workload in &rendered.workloads {
            let id = &workload.id;
            let layers = self.policies.about(self.folder, id);
            let in_cluster = self.policies.cluster.iter().any(|found| !found.is_default && is_named(found, id));
            if layers.as_ref().is_ok_and(Vec::is_empty) || in_cluster || claimed.contains(id) || self.is_amiss(id) {
                continue;
            }
            match layers.and_then(|layers| merged(&layers, id)) {
                Ok((policy, origins)) => {
                    self.governed.push(Governed { overlay: self.folder.clone(), rendered: workload.clone(), policy, origins });
                }
                Err(detail) => {
                    let why = HoldReason::PolicyInvalid { detail };
                    self.amiss.push(Amiss { workload: id.clone(), overlay: self.folder.clone(), why });
                }
            }
        }
    }

    /// Whether a policy beside it names a workload, well or badly.
    fn is_claimed(&self, id: &WorkloadId) -> bool {
        self.governed.iter().any(|one| one.rendered.id == *id) || self.is_amiss(id)
    }

    /// Whether a policy beside it names a workload badly.
    fn is_amiss(&self, id: &WorkloadId) -> bool {
        let is_it = |named: &WorkloadId| {
            (named.kind, &named.name) == (id.kind, &id.name) && (named.namespace.is_empty() || named.namespace == id.namespace)
        };
        self.amiss.iter().any(|amiss| is_it(&amiss.workload))
    }

    fn pair(&self, found: &Found) -> Result<Governed, Box<Amiss>> {
        let named = &found.target;
        let amiss = |why| Box::new(Amiss { workload: named.clone(), overlay: self.folder.clone(), why });
        let invalid = |detail: String| amiss(HoldReason::PolicyInvalid { detail });
        if let Err(detail) = &found.read {
            return Err(invalid(format!("{}: {detail}", found.origin)));
        }
        let rendered = self.rendered.as_ref().map_err(|refusal| amiss(HoldReason::Refused(refusal.clone())));
        // What is wrong with the policy itself is told first, whatever the overlay is like.
        merged(&[found], named).map_err(invalid)?;
        let rendered = rendered?;
        let matching: Vec<&RenderedWorkload> = rendered.workloads.iter().filter(|workload| is_named(found, &workload.id)).collect();
        let [only] = matching[..] else {
            if matching.is_empty() {
                let why = rendered.unread.first().map_or(HoldReason::WorkloadAbsent, |refusal| HoldReason::Refused(refusal.clone()));
                return Err(amiss(why));
            }
            let origin = &found.origin;
            return Err(invalid(format!("{origin}: the overlay renders {named} in several namespaces; name one as `metadata.namespace`")));
        };
        let mut layers = vec![found];
        layers.extend(self.policies.about(self.folder, &only.id).map_err(invalid)?);
        let (policy, origins) = merged(&layers, &only.id).map_err(invalid)?;
        Ok(Governed { overlay: self.folder.clone(), rendered: only.clone(), policy, origins })
    }
}

/// Whether a policy names a workload. Of an overlay that sets no namespace whoever applies it says where it runs.
fn is_named(found: &Found, id: &WorkloadId) -> bool {
    let named = &found.target;
    let is_there = named.namespace.is_empty() || id.namespace.is_empty() || named.namespace == id.namespace;
    (id.kind, &id.name) == (named.kind, &named.name) && is_there
}

/// A policy of the cluster governs the one overlay that renders its workload.
fn settle(found: &Found, mut claims: Vec<Claim>, governed: &mut Vec<Governed>, amiss: &mut Vec<Amiss>) {
    let overlays: Vec<String> = claims.iter().map(|(folder, _)| format!("`{folder}`")).collect();
    match claims.pop() {
        Some((_, Ok(only))) if claims.is_empty() => {
            let same = |other: &Governed| (&other.overlay, &other.rendered.id) == (&only.overlay, &only.rendered.id);
            let is_amiss = amiss.iter().any(|amiss| (&amiss.overlay, &amiss.workload) == (&only.overlay, &only.rendered.id));
            match governed.iter().position(same) {
                None if is_amiss => {}
                None => governed.push(only),
                Some(other) => {
                    let Governed { overlay, rendered, .. } = governed.swap_remove(other);
                    let detail = format!("several policies of the cluster name it, {} among them: keep one", found.origin);
                    amiss.push(Amiss { workload: rendered.id, overlay, why: HoldReason::PolicyInvalid { detail } });
                }
            }
        }
        Some((_, Err(trouble))) if claims.is_empty() => amiss.push(*trouble),
        Some((overlay, _)) => {
            let detail = format!(
                "{}: {} render {}, and it does not say which is meant: let the policy stand in Git beside the overlay",
                found.origin,
                overlays.join(" and "),
                found.target
            );
            amiss.push(Amiss { workload: found.target.clone(), overlay, why: HoldReason::PolicyInvalid { detail } });
        }
        None => amiss.push(Amiss { workload: found.target.clone(), overlay: RepoPath::root(), why: HoldReason::WorkloadAbsent }),
    }
}
