//! The difference of two renders, leaf by leaf.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize as _;
use serde_json::Value;

use super::planned::{self, Objects, Planned};
use crate::model::{Moved, ObjectRef};

/// One leaf of one object that differs. An item of a list goes by its `name` where all items have one, else by its index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    pub(super) object: ObjectRef,
    pub(super) path: Vec<String>,
    /// The leaf before, a scalar as text and anything else as JSON; absent where it is new.
    pub(super) from: Option<String>,
    /// The leaf after; absent where it is gone.
    pub(super) to: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_nothing = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{} {}: {} -> {}", self.object, self.path.join("."), or_nothing(&self.from), or_nothing(&self.to))
    }
}

/// Whether two renders differ in the planned fields and nowhere else; if not, every deviation in words.
pub(super) fn compare(before: &str, after: &str, changes: &[Moved]) -> Result<(), Vec<String>> {
    let (old, new) = (objects(before).map_err(|e| vec![e])?, objects(after).map_err(|e| vec![e])?);
    let (missing, mut deviations) = deviations(old, new, changes);
    deviations.extend(missing);
    if deviations.is_empty() { Ok(()) } else { Err(deviations) }
}

/// Whether two renders of an overlay that reads an edited file differ in planned fields at most; if not, every deviation in words.
pub(super) fn compare_reader(before: &str, after: &str, changes: &[Moved]) -> Result<(), Vec<String>> {
    let (old, new) = (objects(before).map_err(|e| vec![e])?, objects(after).map_err(|e| vec![e])?);
    let moves = |change: &&Moved| old.get(&change.object) != new.get(&change.object);
    let moving: Vec<Moved> = changes.iter().filter(moves).cloned().collect();
    let (_, deviations) = deviations(old, new, &moving);
    if deviations.is_empty() { Ok(()) } else { Err(deviations) }
}

/// What of the plan does not show in two renders, and what does that is not planned, in words.
fn deviations(mut old: Objects, mut new: Objects, changes: &[Moved]) -> (Vec<String>, Vec<String>) {
    let mut unplanned: Vec<String> = planned::take_schedules(changes, &mut old, &mut new);
    let planned = Planned::new(changes, &new);
    let found: BTreeSet<Difference> = differences(&old, &new).into_iter().map(|found| planned.reworded(found)).collect();
    let planned: BTreeSet<Difference> = planned.differences();
    unplanned.extend(found.difference(&planned).map(|difference| format!("not planned: {difference}")));
    let missing = planned.difference(&found).map(|difference| format!("planned but absent: {difference}"));
    (missing.collect(), unplanned)
}

/// The objects of a render by identity. Two with one identity are an error: neither could be told from the other.
fn objects(render: &str) -> Result<BTreeMap<ObjectRef, Value>, String> {
    let mut objects = BTreeMap::new();
    for document in serde_yaml::Deserializer::from_str(render) {
        let object = Value::deserialize(document).map_err(|e| format!("the render is not readable: {e}"))?;
        if object.is_null() {
            continue;
        }
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
        let id = ObjectRef {
            group: ObjectRef::group_of(&text("/apiVersion")).to_owned(),
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
        };
        if objects.insert(id.clone(), object).is_some() {
            return Err(format!("the render holds {id} twice"));
        }
    }
    Ok(objects)
}

fn differences(old: &BTreeMap<ObjectRef, Value>, new: &BTreeMap<ObjectRef, Value>) -> BTreeSet<Difference> {
    let mut found = BTreeSet::new();
    for object in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        walk(object, &mut Vec::new(), old.get(object), new.get(object), &mut found);
    }
    found
}

fn walk(object: &ObjectRef, path: &mut Vec<String>, old: Option<&Value>, new: Option<&Value>, found: &mut BTreeSet<Difference>) {
    // Kubernetes reads a null as an absent key, and a merge patch drops it anywhere in the object that it touches.
    let (old, new) = (old.filter(|value| !value.is_null()), new.filter(|value| !value.is_null()));
    if old == new {
        return;
    }
    let fields = |value: Option<&Value>| -> Option<BTreeMap<String, Value>> {
        match value {
            Some(Value::Object(map)) => Some(map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),
            Some(Value::Array(items)) => Some(items.iter().enumerate().map(|(i, item)| (item_name(items, i), item.clone())).collect()),
            _ => None,
        }
    };
    let empty = |value: Option<&Value>| {
        matches!(value, Some(Value::Object(map)) if map.is_empty()) || matches!(value, Some(Value::Array(items)) if items.is_empty())
    };
    let (inside_old, inside_new) = (fields(old), fields(new));
    let comparable = match (old, new) {
        (Some(Value::Object(_)), Some(Value::Object(_)) | None) | (None, Some(Value::Object(_))) => true,
        (Some(Value::Array(a)), Some(Value::Array(b))) => a.len() == b.len() && (0..a.len()).all(|i| item_name(a, i) == item_name(b, i)),
        _ => false,
    };
    if !comparable || empty(old) && new.is_none() || empty(new) && old.is_none() {
        found.insert(Difference { object: object.clone(), path: path.clone(), from: old.map(text), to: new.map(text) });
        return;
    }
    let (inside_old, inside_new) = (inside_old.unwrap_or_default(), inside_new.unwrap_or_default());
    for key in inside_old.keys().chain(inside_new.keys()).collect::<BTreeSet<_>>() {
        path.push(key.clone());
        walk(object, path, inside_old.get(key), inside_new.get(key), found);
        path.pop();
    }
}

/// What an item of a list goes by.
pub(super) fn item_name(items: &[Value], i: usize) -> String {
    let name = |item: &Value| item.get("name").and_then(Value::as_str).map(ToOwned::to_owned);
    let names: Option<BTreeSet<String>> = items.iter().map(name).collect();
    match names {
        Some(names) if names.len() == items.len() => name(&items[i]).unwrap_or_default(),
        _ => i.to_string(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(old: &str, new: &str) -> Vec<String> {
        differences(&objects(old).unwrap(), &objects(new).unwrap()).iter().map(ToString::to_string).collect()
    }

    const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  replicas: 2\n  template: {spec: {containers: [{name: a}, {name: b}]}}\n";

    #[test]
    fn leaves_are_found_by_name() {
        let new = WEB.replace("replicas: 2", "replicas: 5").replace("{name: b}", "{name: b, resources: {requests: {cpu: 100m}}}");
        assert_eq!(
            found(WEB, &new),
            [
                "shop/Deployment/web spec.replicas: 2 -> 5",
                "shop/Deployment/web spec.template.spec.containers.b.resources.requests.cpu: nothing -> 100m"
            ]
        );
    }

    #[test]
    fn a_reader_moves_by_the_plan_or_not_at_all() {
        let object = ObjectRef { group: "apps".into(), kind: "Deployment".into(), namespace: "shop".into(), name: "web".into() };
        let count = crate::model::Value::Count;
        let changes = [Moved { object, field: crate::model::Field::Replicas, from: Some(count(2)), to: count(5) }];
        let new = WEB.replace("replicas: 2", "replicas: 5");
        assert_eq!(compare(WEB, &new, &changes), Ok(()));
        assert!(compare(WEB, WEB, &changes).is_err(), "the edited overlay must move");
        for (old, new, fine) in [
            (WEB.to_owned(), WEB.to_owned(), true),
            (WEB.to_owned(), new.clone(), true),
            (WEB.replace("replicas: 2", "replicas: 3"), new.clone(), false),
            (WEB.to_owned(), WEB.replace("replicas: 2", "replicas: 6"), false),
            (WEB.replace("name: web", "name: web-eu"), new.replace("name: web", "name: web-eu"), false),
            (WEB.to_owned(), new.replace("{name: a}", "{name: a, image: x}"), false),
        ] {
            assert_eq!(compare_reader(&old, &new, &changes).is_ok(), fine, "{old}{new}");
        }
    }

    #[test]
    fn nothing_slips_through() {
        let more = format!("{WEB}---\napiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop}}\n");
        assert_eq!(found(WEB, &more).len(), 4, "each leaf of a new object");
        assert_eq!(found(WEB, &WEB.replace(", {name: b}", "")).len(), 1, "a list that lost an item");
        assert_eq!(found(WEB, &WEB.replace("{name: a}, {name: b}", "{name: b}, {name: a}")).len(), 1, "a list in another order");
        assert_eq!(found(WEB, &WEB.replace("namespace: shop", "namespace: other")).len(), 2 * found("", WEB).len());
        assert_eq!(
            found(WEB, &WEB.replace("replicas: 2", "replicas: 2\n  strategy: {}")),
            ["shop/Deployment/web spec.strategy: nothing -> {}"]
        );
        assert_eq!(found(&WEB.replace("replicas: 2", "replicas: 2\n  paused:"), WEB), Vec::<String>::new(), "a null is an absent key");
        assert!(objects(&format!("{WEB}---\n{WEB}")).is_err());
    }
}
