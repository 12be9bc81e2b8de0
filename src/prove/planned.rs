//! The differences that a plan makes, in the words of a comparison of renders.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::diff::{Difference, item_name};
use crate::model::schedule::OWN_TRIGGER;
use crate::model::{Bytes, CronWindow, Field, Mark, Millicores, Moved, ObjectRef, Part, Schedule, Value, ValueType};

/// The objects of a render.
pub(super) type Objects = BTreeMap<ObjectRef, Json>;

/// The planned difference of each move that sets one value.
pub(super) struct Planned(Vec<(Difference, ValueType)>);

impl Planned {
    /// Finds the fields of the changes in a render.
    pub(super) fn new(changes: &[Moved], render: &Objects) -> Self {
        let one = |change: &Moved| {
            let difference = Difference {
                object: change.object.clone(),
                path: path(change, render.get(&change.object)),
                from: change.from.as_ref().map(ToString::to_string),
                to: Some(change.to.to_string()),
            };
            (difference, change.to.value_type())
        };
        Self(changes.iter().filter(|change| change.field != Field::Schedule).map(one).collect())
    }

    /// A difference in the words of the plan, where it is about a planned field: `0.5` and `500m` are one quantity.
    pub(super) fn reworded(&self, mut found: Difference) -> Difference {
        let value_type =
            self.0.iter().find(|(planned, _)| (&planned.object, &planned.path) == (&found.object, &found.path)).map(|(_, t)| *t);
        for leaf in [&mut found.from, &mut found.to].into_iter().flatten() {
            let quantity = match value_type {
                Some(ValueType::Cpu) => leaf.parse::<Millicores>().ok().map(|cpu| cpu.to_string()),
                Some(ValueType::Memory) => leaf.parse::<Bytes>().ok().map(|memory| memory.to_string()),
                Some(ValueType::Text) => Some(Value::Text(leaf.clone()).to_string()),
                _ => None,
            };
            *leaf = quantity.unwrap_or_else(|| leaf.clone());
        }
        found
    }

    pub(super) fn differences(self) -> BTreeSet<Difference> {
        self.0.into_iter().map(|(difference, _)| difference).collect()
    }
}

/// Where a field stands in an object, items of lists by what a comparison calls them.
fn path(change: &Moved, object: Option<&Json>) -> Vec<String> {
    let api_version = object.and_then(|object| object["apiVersion"].as_str()).unwrap_or_default();
    let (mut path, mut node) = (Vec::new(), object);
    for part in change.field.parts(api_version).unwrap_or_default() {
        match part {
            Part::Key(key) => {
                node = node.and_then(|node| node.get(&*key));
                path.push(key.into_owned());
            }
            Part::Item(marks) => {
                let items = node.and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
                let index = items.iter().position(|item| marks.iter().all(|mark| holds(item, mark)));
                path.push(index.map_or("?".to_owned(), |index| item_name(items, index)));
                node = index.map(|index| &items[index]);
            }
        }
    }
    path
}

fn holds(item: &Json, mark: &Mark) -> bool {
    mark.at.iter().try_fold(item, |node, key| node.get(key)).and_then(Json::as_str) == Some(&*mark.is)
}

/// Takes Prescale's own triggers out of the objects whose schedule is to change, so that what is left must be the same before and
/// after. Gives what is not as planned.
pub(super) fn take_schedules(changes: &[Moved], old: &mut Objects, new: &mut Objects) -> Vec<String> {
    let mut deviations = Vec::new();
    for change in changes {
        let Value::Schedule(to) = &change.to else { continue };
        let from = match &change.from {
            Some(Value::Schedule(from)) => from.clone(),
            _ => Schedule::default(),
        };
        for (objects, planned, when) in [(&mut *old, &from, "before"), (&mut *new, to, "after")] {
            let found = objects.get_mut(&change.object).and_then(own);
            if found.as_ref() != Some(planned) {
                let found = found.map_or("something else".to_owned(), |found| found.to_string());
                deviations.push(format!("{} {} {when} the edit: planned {planned}, found {found}", change.object, change.field));
            }
        }
    }
    deviations
}

/// Takes the own triggers out of an object; `None` when they are none that Prescale would write.
fn own(object: &mut Json) -> Option<Schedule> {
    let Some(triggers) = object.pointer_mut("/spec/triggers").and_then(Json::as_array_mut) else { return Some(Schedule::default()) };
    let is_own = |trigger: &Json| trigger["name"].as_str().is_some_and(|name| name.starts_with(OWN_TRIGGER));
    let taken: Vec<Json> = triggers.iter().filter(|trigger| is_own(trigger)).cloned().collect();
    triggers.retain(|trigger| !is_own(trigger));
    let windows: Option<Vec<CronWindow>> = taken.iter().map(window).collect();
    windows?.try_into().ok()
}

fn window(trigger: &Json) -> Option<CronWindow> {
    let metadata = trigger["metadata"].as_object()?;
    let window = json!({
        "name": trigger["name"],
        "timezone": metadata.get("timezone")?,
        "start": metadata.get("start")?,
        "end": metadata.get("end")?,
        "desiredReplicas": metadata.get("desiredReplicas")?.as_str()?.parse::<u32>().ok()?,
    });
    let nothing_else = metadata.len() == 4 && trigger.as_object()?.len() == 3 && trigger["type"] == "cron";
    nothing_else.then(|| serde_json::from_value(window).ok())?
}

#[cfg(test)]
mod tests {
    use crate::model::{Direction, Field, Metric, Moved, ObjectRef, Resource};
    use crate::prove::diff::compare;

    fn change(kind: &str, field: Field, from: Option<serde_json::Value>, to: serde_json::Value) -> Moved {
        let group = if kind == "ScaledObject" { "keda.sh" } else { "autoscaling" };
        let object = ObjectRef { group: group.into(), kind: kind.into(), namespace: String::new(), name: "web".into() };
        let value = |json| field.value_type().read(json).unwrap();
        Moved { object, from: from.map(value), to: value(to), field }
    }

    fn hpa(cpu: u32, memory: &str, window: u32) -> String {
        format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: web}}\nspec:\n  metrics:\n    - {{type: Pods, pods: \
             {{metric: {{name: q}}}}}}\n    - {{type: Resource, resource: {{name: memory, target: {{averageValue: {memory}}}}}}}\n    - {{type: \
             Resource, resource: {{name: cpu, target: {{averageUtilization: {cpu}}}}}}}\n  behavior: {{scaleDown: {{stabilizationWindowSeconds: \
             {window}}}}}\n"
        )
    }

    #[test]
    fn targets_are_found_by_their_metric() {
        let metric = |resource| Metric { resource, container: None };
        let of = |field, from: serde_json::Value, to| change("HorizontalPodAutoscaler", field, Some(from), to);
        let all = [
            of(Field::TargetUtilization(metric(Resource::Cpu)), 80.into(), 65.into()),
            of(Field::TargetValue(metric(Resource::Memory)), "512Mi".into(), "1Gi".into()),
            of(Field::Stabilization(Direction::ScaleDown), 300.into(), 60.into()),
        ];
        let (old, new) = (hpa(80, "512Mi", 300), hpa(65, "1024Mi", 60));
        assert_eq!(compare(&old, &new, &all), Ok(()));
        assert_eq!(compare(&old, &new, &all[1..]).unwrap_err().len(), 1, "one that is not planned");
        assert_eq!(compare(&old, &hpa(65, "512Mi", 60), &all).unwrap_err().len(), 1, "one that did not move");
        assert_eq!(compare(&old, &new.replace("name: q", "name: p"), &all).unwrap_err().len(), 1, "another metric moved");
        let old_version = |utilization: u32| {
            format!(
                "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {{name: web}}\nspec: {{targetCPUUtilizationPercentage: {utilization}}}\n"
            )
        };
        assert_eq!(compare(&old_version(80), &old_version(65), &all[..1]), Ok(()));
    }

    #[test]
    fn a_schedule_moves_and_the_triggers_of_people_do_not() {
        let window = |name: &str, hour: u32, replicas: u32| {
            serde_json::json!({"name": name, "timezone": "Etc/UTC", "start": format!("0 {hour} 25 11 *"), "end": "30 23 25 11 *",
                "desiredReplicas": replicas})
        };
        let trigger = |name: &str, hour: u32, replicas: u32| {
            format!(
                "    - {{type: cron, name: {name}, metadata: {{timezone: Etc/UTC, start: 0 {hour} 25 11 *, end: 30 23 25 11 *, \
                 desiredReplicas: \"{replicas}\"}}}}\n"
            )
        };
        let object = |triggers: &[String]| {
            format!("apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: web}}\nspec:\n  triggers:\n{}", triggers.concat())
        };
        let people = "    - {type: cpu, metadata: {value: \"60\"}}\n".to_owned();
        let (a, b, c) = (trigger("prescale-a", 8, 4), trigger("prescale-b", 12, 9), trigger("prescale-b", 12, 10));
        let to = serde_json::json!([window("prescale-b", 12, 9)]);
        let planned = [change("ScaledObject", Field::Schedule, Some(serde_json::json!([window("prescale-a", 8, 4)])), to)];
        let old = object(&[a.clone(), people.clone()]);
        assert_eq!(compare(&old, &object(&[people.clone(), b.clone()]), &planned), Ok(()));
        for (new, why) in [
            (object(&[people.clone(), c]), "another number"),
            (object(&[people.clone(), a, b.clone()]), "one that should have gone"),
            (object(std::slice::from_ref(&b)), "the trigger of people is gone"),
            (object(&[people.replace("60", "70"), b.clone()]), "the trigger of people moved"),
            (object(&[people.clone(), b.replace("type: cron", "type: cron, useCachedMetrics: true")]), "one that says more"),
        ] {
            assert!(compare(&old, &new, &planned).is_err(), "{why}");
        }
        assert!(
            compare(&object(std::slice::from_ref(&people)), &object(&[people, b]), &planned).is_err(),
            "it did not hold what was planned from"
        );
    }
}
