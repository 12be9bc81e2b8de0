//! What a JSON patch of Prescale's own Component meant, where what it is for has changed so that it no longer applies.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::json_patch;
use super::node::{Data, Node};

/// What must hold in an item of a list: the text at a path in it.
type Marks = Vec<(Vec<String>, String)>;

/// Carries out what the operations of a patch meant: an item of a list is the one that they tested, wherever it stands now, and maps on
/// the way come into being. What was meant for an item that is gone is left out.
pub(super) fn apply(target: &Rc<Node>, patch: &Node) -> Rc<Node> {
    let mut marks: BTreeMap<Vec<String>, Marks> = BTreeMap::new();
    let path_of = |operation: &Node| json_patch::parts(operation.text_at(&["path"])).unwrap_or_default();
    for operation in patch.items().iter().filter(|operation| operation.text_at(&["op"]) == "test") {
        let at = path_of(operation);
        if let Some(index) = at.iter().rposition(|part| is_index(part)) {
            let is = operation.get("value").and_then(|value| value.shown()).unwrap_or_default();
            marks.entry(at[..=index].to_vec()).or_default().push((at[index + 1..].to_vec(), is));
        }
    }
    let mut document = target.clone();
    for operation in patch.items() {
        let Some(at) = moved(&path_of(operation), &document, &marks) else { continue };
        match (operation.text_at(&["op"]), operation.get("value")) {
            ("add", Some(value)) => put(&mut document, &at, value),
            ("remove", _) => remove(&mut document, &at),
            _ => {}
        }
    }
    document
}

fn is_index(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit())
}

/// A path with the present places of the items that it leads through; `None` when one is gone.
fn moved(path: &[String], document: &Rc<Node>, marks: &BTreeMap<Vec<String>, Marks>) -> Option<Vec<String>> {
    let (mut found, mut node) = (Vec::new(), Some(document));
    for (depth, part) in path.iter().enumerate() {
        let Some(marks) = marks.get(&path[..=depth]) else {
            node = node.and_then(|node| node.get(part));
            found.push(part.clone());
            continue;
        };
        let holds = |item: &Rc<Node>| {
            let at = |keys: &[String]| keys.iter().try_fold(item, |node, key| node.get(key)).and_then(|node| node.shown());
            marks.iter().all(|(keys, is)| at(keys).as_ref() == Some(is))
        };
        let items = node?.items();
        let index = items.iter().position(holds)?;
        node = items.get(index);
        found.push(index.to_string());
    }
    Some(found)
}

/// Puts a value at a path. What it does not speak of stays.
fn put(node: &mut Rc<Node>, path: &[String], value: &Rc<Node>) {
    let Some((first, rest)) = path.split_first() else {
        match &value.data {
            Data::Map(entries) if matches!(node.data, Data::Map(_)) => {
                for (key, value) in entries {
                    put(node, &[key.to_string()], value);
                }
            }
            Data::List(items) if items.is_empty() && matches!(node.data, Data::List(_)) => {}
            _ => *node = value.clone(),
        }
        return;
    };
    let data = &mut Rc::make_mut(node).data;
    match data {
        Data::List(items) if first == "-" => items.push(value.clone()),
        Data::List(items) => {
            if let Some(item) = first.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                put(item, rest, value);
            }
        }
        _ => {
            if !matches!(data, Data::Map(_)) {
                *data = if first == "-" { Data::List(Vec::new()) } else { Data::Map(Vec::new()) };
                return put(node, path, value);
            }
            let Data::Map(entries) = data else { return };
            let index = entries.iter().position(|(key, _)| **key == **first).unwrap_or_else(|| {
                entries.push((first.as_str().into(), Node::new(Data::Null)));
                entries.len() - 1
            });
            put(&mut entries[index].1, rest, value);
        }
    }
}

fn remove(node: &mut Rc<Node>, path: &[String]) {
    let Some((first, rest)) = path.split_first() else { return };
    match (&mut Rc::make_mut(node).data, first.parse::<usize>()) {
        (Data::List(items), Ok(index)) if index < items.len() && rest.is_empty() => drop(items.remove(index)),
        (Data::List(items), Ok(index)) if index < items.len() => remove(&mut items[index], rest),
        (Data::Map(entries), _) => {
            if let Some((_, child)) = entries.iter_mut().find(|(key, _)| **key == **first) {
                remove(child, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::node::tests::{show, tree};

    #[test]
    fn values_find_their_items_and_nothing_else_goes() {
        let patch = "[{op: test, path: /a/1/name, value: app}, {op: add, path: /a/1/resources, value: {requests: {cpu: 1}}}, \
                     {op: add, path: /a/1/resources/requests/memory, value: 2}]";
        for (target, expected) in [
            ("{a: [{name: app}, {name: proxy}]}", "{a: [{name: app, resources: {requests: {cpu: 1, memory: 2}}}, {name: proxy}]}"),
            (
                "{a: [{name: x}, {name: y}, {name: app, resources: {limits: {cpu: 9}}}]}",
                "{a: [{name: x}, {name: y}, {name: app, resources: {limits: {cpu: 9}, requests: {cpu: 1, memory: 2}}}]}",
            ),
            ("{a: [{name: other}]}", "{a: [{name: other}]}"),
            ("{b: 1}", "{b: 1}"),
        ] {
            assert_eq!(show(&apply(&tree(target), &tree(patch))), expected);
        }
    }

    #[test]
    fn triggers_and_missing_maps_come_back() {
        let patch = "[{op: test, path: /spec/triggers/2/name, value: p-1}, {op: remove, path: /spec/triggers/2}, \
                     {op: add, path: /spec/triggers/-, value: {name: p-2}}, {op: add, path: /spec/behavior/scaleUp, value: {s: 3}}]";
        assert_eq!(
            show(&apply(&tree("{spec: {triggers: [{name: p-1}, {type: cpu}]}}"), &tree(patch))),
            "{spec: {triggers: [{type: cpu}, {name: p-2}], behavior: {scaleUp: {s: 3}}}}"
        );
        assert_eq!(show(&apply(&tree("{spec: {}}"), &tree(patch))), "{spec: {triggers: [{name: p-2}], behavior: {scaleUp: {s: 3}}}}");
        let empty = "[{op: add, path: /spec/triggers, value: []}]";
        assert_eq!(show(&apply(&tree("{spec: {triggers: [{type: cpu}]}}"), &tree(empty))), "{spec: {triggers: [{type: cpu}]}}");
    }
}
