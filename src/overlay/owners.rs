//! Who sets each field, in the order in which Kustomize applies them.

use serde::Serialize;

use super::argo::Overrides;
use super::build::{Additions, COMPONENT, build};
use super::fields;
use super::files::Files;
use super::object::{By, Object, Setter};
use super::survey::{scalers, workload_id};
use crate::model::{Field, ObjectRef, RepoPath, Site, SiteKind, Tree, Value, WorkloadId};

/// One field of a workload or of its autoscaler, and who sets it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ownership {
    /// The object that holds the field.
    pub object: ObjectRef,
    /// The field.
    pub field: Field,
    /// Its value as rendered; absent where nothing sets it.
    pub value: Option<Value>,
    /// Who sets it, in the order of application: the last one wins.
    pub setters: Vec<Site>,
}

/// Who owns each field of a workload and its autoscalers; nothing when the overlay does not render or does not hold it.
pub fn owners(tree: &Tree, overlay: &RepoPath, workload: &WorkloadId) -> Vec<Ownership> {
    let files = Files::new(tree);
    let Ok(build) = build(&files, overlay, &Additions::default()) else { return Vec::new() };
    let own = build.objects.iter().filter(|object| workload_id(object).as_ref() == Some(workload));
    let overrides = Overrides::new(&files);
    let mut owners = Vec::new();
    for object in own.chain(scalers(workload, &build)) {
        for mut owner in of_object(object, overlay) {
            // What Argo CD sets comes after all that Kustomize does.
            let theirs = overrides.check(&files, overlay, object, &owner.field).err().and_then(|refusal| refusal.place);
            owner.setters.extend(theirs.map(|place| Site { place, kind: SiteKind::Foreign }));
            owners.push(owner);
        }
    }
    owners
}

fn of_object(object: &Object, overlay: &RepoPath) -> Vec<Ownership> {
    let Some(shape) = object.shape else { return Vec::new() };
    fields::all(shape, &object.tree)
        .into_iter()
        .map(|field| Ownership {
            object: object.id.object_ref(),
            value: fields::find(&field, &object.tree).and_then(|node| fields::read(&field, &node)),
            setters: object.setters.get(&field).into_iter().flatten().filter_map(|setter| site(setter, overlay)).collect(),
            field,
        })
        .collect()
}

/// Where a setter stands.
pub(super) fn site(setter: &Setter, overlay: &RepoPath) -> Option<Site> {
    let place = setter.place()?;
    let kind = match setter.by {
        _ if overlay.join(COMPONENT).is_some_and(|folder| place.path.is_under(&folder)) => SiteKind::Component,
        By::Manifest => SiteKind::Manifest,
        By::Merge => SiteKind::StrategicMerge,
        By::Json => SiteKind::Json6902,
        By::Replicas(_) => SiteKind::ReplicasTransformer,
        By::CommonAnnotations | By::Fixed(_) => SiteKind::Foreign,
    };
    Some(Site { place, kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entry, FileMode, WorkloadKind};

    fn tree(files: &[(&str, &str)]) -> Tree {
        let file = |text: &str| Entry::File { mode: FileMode::Plain, bytes: text.as_bytes().into() };
        files.iter().map(|(path, text)| (RepoPath::parse(path).unwrap(), file(text))).collect()
    }

    const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 1\n  template:\n    spec:\n      \
                              containers:\n        - name: app\n";

    #[test]
    fn setters_stand_in_the_order_of_application() {
        let tree = tree(&[
            ("base/kustomization.yaml", "resources: [web.yaml, hpa.yaml]\n"),
            ("base/web.yaml", DEPLOYMENT),
            (
                "base/hpa.yaml",
                "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {scaleTargetRef: {kind: Deployment, name: web}, \
                 maxReplicas: 9}\n",
            ),
            (
                "prod/kustomization.yaml",
                "resources: [../base]\nreplicas:\n  - name: web\n    count: 4\npatches:\n  - path: size.yaml\n  - target: {kind: Deployment}\n    patch: \
                 |-\n      - op: replace\n        path: /spec/replicas\n        value: 3\n",
            ),
            ("prod/size.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n"),
        ]);
        let workload = WorkloadId { namespace: String::new(), kind: WorkloadKind::Deployment, name: "web".to_owned() };
        let owners = owners(&tree, &RepoPath::parse("prod").unwrap(), &workload);
        let shown: Vec<String> = owners
            .iter()
            .filter(|owner| owner.value.is_some())
            .map(|owner| {
                let setters: Vec<String> = owner.setters.iter().map(|site| format!("{:?} {}", site.kind, site.place)).collect();
                format!("{} {}: {}", owner.field, owner.value.as_ref().unwrap(), setters.join(", "))
            })
            .collect();
        let replicas = "replicas 4: Manifest base/web.yaml:5, StrategicMerge prod/size.yaml:5, Json6902 prod/kustomization.yaml:11, \
                        ReplicasTransformer prod/kustomization.yaml:4";
        assert_eq!(shown, [replicas, "maxReplicas 9: Manifest base/hpa.yaml:4"]);
        assert!(owners.iter().any(|owner| owner.field == Field::MinReplicas && owner.value.is_none() && owner.setters.is_empty()));
    }

    #[test]
    fn each_field_that_an_object_has_a_place_for_is_listed() {
        let tree = tree(&[
            ("prod/kustomization.yaml", "resources: [web.yaml, scaler.yaml, hpa.yaml]\n"),
            ("prod/web.yaml", &DEPLOYMENT.replace("template:\n", "template:\n    metadata: {annotations: {a/b: c}}\n")),
            (
                "prod/scaler.yaml",
                "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: web}\nspec:\n  scaleTargetRef: {name: web}\n  triggers:\n    - \
                 {type: cpu, metadata: {value: '60'}}\n    - {type: cron, name: prescale-1, metadata: {timezone: Etc/UTC, start: 0 8 25 11 *, end: 0 9 \
                 25 11 *, desiredReplicas: '4'}}\n",
            ),
            (
                "prod/hpa.yaml",
                "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec:\n  scaleTargetRef: {kind: Deployment, name: \
                 web}\n  metrics:\n    - {type: Resource, resource: {name: cpu, target: {averageUtilization: 80}}}\n",
            ),
        ]);
        let workload = WorkloadId { namespace: String::new(), kind: WorkloadKind::Deployment, name: "web".to_owned() };
        let owners = owners(&tree, &RepoPath::parse("prod").unwrap(), &workload);
        let shown: Vec<String> = owners
            .iter()
            .filter(|owner| !matches!(owner.field, Field::Request { .. } | Field::Limit { .. }))
            .map(|owner| {
                let value = owner.value.as_ref().map_or("unset".to_owned(), ToString::to_string);
                let setters: Vec<String> = owner.setters.iter().map(|site| site.place.to_string()).collect();
                format!("{} {}: {value} {}", owner.object.kind, owner.field, setters.join(", ")).trim_end().to_owned()
            })
            .collect();
        assert_eq!(
            shown,
            [
                "Deployment replicas: 1 prod/web.yaml:5",
                "Deployment pod annotation a/b: c prod/web.yaml:7",
                "ScaledObject minReplicaCount: unset",
                "ScaledObject maxReplicaCount: unset",
                "ScaledObject scaleDown stabilizationWindowSeconds: unset",
                "ScaledObject scaleUp stabilizationWindowSeconds: unset",
                "ScaledObject cron triggers: 4 from 11-25 08:00 to 11-25 09:00 Etc/UTC prod/scaler.yaml:8",
                "HorizontalPodAutoscaler minReplicas: unset",
                "HorizontalPodAutoscaler maxReplicas: unset",
                "HorizontalPodAutoscaler cpu averageUtilization: 80 prod/hpa.yaml:7",
                "HorizontalPodAutoscaler scaleDown stabilizationWindowSeconds: unset",
                "HorizontalPodAutoscaler scaleUp stabilizationWindowSeconds: unset",
            ]
        );
    }

    #[test]
    fn overlays_are_kustomizations_that_are_no_components() {
        let tree = tree(&[
            ("a/kustomization.yaml", "resources: []\n"),
            ("a/b/Kustomization", "# Component? No.\nresources: []\n"),
            ("a/c/kustomization.yml", "kind: Component\nresources: []\n"),
            ("d/kustomization.yaml", "resources: []\n"),
            ("a-b/kustomization.yaml", "resources: []\n"),
        ]);
        let found = crate::overlay::overlays(&tree, &[RepoPath::parse("a").unwrap()]);
        assert_eq!(found.iter().map(RepoPath::as_str).collect::<Vec<_>>(), ["a", "a/b"]);
    }
}
