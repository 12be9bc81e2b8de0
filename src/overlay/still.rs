//! Whether a plan still holds on another commit: people win.

use std::collections::BTreeMap;

use super::survey::survey;
use crate::model::{Change, Held, HoldReason, Refusal, RefusalCode, Tree, Value};

/// Parts changes whose field still holds what it held when they were planned from those that someone else was quicker to change.
pub fn still_as_planned(changes: impl Iterator<Item = Change>, tree: &Tree) -> (Vec<Change>, Vec<Held>) {
    let mut surveys = BTreeMap::new();
    let (mut still, mut held) = (Vec::new(), Vec::new());
    for change in changes {
        let rendered = surveys.entry(change.overlay.clone()).or_insert_with(|| survey(tree, &change.overlay));
        let now = match rendered {
            Ok(rendered) => rendered
                .workloads
                .iter()
                .find(|workload| workload.id == change.workload)
                .map(|workload| workload.value(&change.field).cloned()),
            Err(_) => None,
        };
        if now.as_ref() == Some(&change.from) {
            still.push(change);
            continue;
        }
        let words = |value: Option<&Value>| value.map_or("unset".to_owned(), ToString::to_string);
        let is = now.as_ref().map_or("gone".to_owned(), |now| words(now.as_ref()));
        let detail = format!(
            "{} was {} when the plan was made, and is {is} now: what someone else set stays",
            change.field,
            words(change.from.as_ref())
        );
        held.push(Held {
            workload: change.workload,
            why: HoldReason::Refused(Refusal::at(RefusalCode::ChangedMeanwhile, &change.overlay, None, detail)),
            overlay: change.overlay,
            field: Some(change.field),
            wanted: Some(change.to),
        });
    }
    (still, held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entry, Field, FileMode, Metric, ObjectRef, RepoPath, Resource, Route, WorkloadId, WorkloadKind};

    fn tree(target: u32, triggers: &str) -> Tree {
        let files = [
            ("kustomization.yaml", "resources: [a.yaml, b.yaml, c.yaml, d.yaml]\n".to_owned()),
            ("a.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n".to_owned()),
            (
                "b.yaml",
                format!(
                    "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: web}}\nspec:\n  scaleTargetRef: {{kind: Deployment, \
                     name: web}}\n  metrics: [{{type: Resource, resource: {{name: cpu, target: {{averageUtilization: {target}}}}}}}]\n"
                ),
            ),
            ("c.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: work}\n".to_owned()),
            (
                "d.yaml",
                format!(
                    "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: work}}\nspec: {{scaleTargetRef: {{name: work}}, triggers: \
                     [{triggers}]}}\n"
                ),
            ),
        ];
        let entry = |text: &str| Entry::File { mode: FileMode::Plain, bytes: text.as_bytes().into() };
        files.iter().map(|(path, text)| (RepoPath::parse(path).unwrap(), entry(text))).collect()
    }

    fn change(name: &str, kind: &str, field: Field, from: serde_json::Value) -> Change {
        let value = field.value_type().read(from).unwrap();
        Change {
            workload: WorkloadId { namespace: String::new(), kind: WorkloadKind::Deployment, name: name.to_owned() },
            object: ObjectRef { group: String::new(), kind: kind.to_owned(), namespace: String::new(), name: name.to_owned() },
            overlay: RepoPath::root(),
            field,
            from: Some(value.clone()),
            to: value,
            reasons: Vec::new(),
            route: Route::Commit,
        }
    }

    #[test]
    fn a_target_and_a_schedule_that_moved_meanwhile_are_theirs() {
        let own =
            "{type: cron, name: prescale-1, metadata: {timezone: Etc/UTC, start: 0 8 25 11 *, end: 0 9 25 11 *, desiredReplicas: '4'}}";
        let window = serde_json::json!([
            {"name": "prescale-1", "timezone": "Etc/UTC", "start": "0 8 25 11 *", "end": "0 9 25 11 *", "desiredReplicas": 4}
        ]);
        let target = Field::TargetUtilization(Metric { resource: Resource::Cpu, container: None });
        let changes = || {
            [
                change("web", "HorizontalPodAutoscaler", target.clone(), 80.into()),
                change("work", "ScaledObject", Field::Schedule, window.clone()),
            ]
            .into_iter()
        };
        let held = |tree: &Tree| still_as_planned(changes(), tree).1.into_iter().map(|held| held.field.unwrap()).collect::<Vec<_>>();
        assert_eq!(held(&tree(80, own)), []);
        assert_eq!(held(&tree(70, own)), std::slice::from_ref(&target));
        assert_eq!(held(&tree(80, "")), [Field::Schedule]);
        // A trigger of people is none of the plan's business.
        assert_eq!(held(&tree(80, &format!("{{type: cpu, metadata: {{value: '60'}}}}, {own}"))), []);
    }
}
