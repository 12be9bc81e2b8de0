//! Strategic merge, as Kustomize does it: lists of known kinds merge by key, others are replaced.

use std::rc::Rc;

use super::node::{Data, Node};

/// How the lists of an object merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lists {
    /// By the keys of a schema.
    Keyed,
    /// Replaced as a whole: a kind that Kustomize has no schema of.
    Replaced,
}

impl Lists {
    /// How the lists of a kind merge by Kustomize's built-in schema.
    pub(super) fn of(api_version: &str, kind: &str) -> Self {
        let known = matches!(
            (api_version, kind),
            ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
                | ("v1", _)
                | ("batch/v1", "Job" | "CronJob")
                | ("batch/v1beta1", "CronJob")
                | ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration")
        );
        if known { Self::Keyed } else { Self::Replaced }
    }

    fn keys(self, field: &str) -> Option<&'static [&'static str]> {
        if self == Self::Replaced {
            return None;
        }
        Some(match field {
            "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "env" | "imagePullSecrets" | "secrets" | "webhooks" => {
                &["name"]
            }
            "volumeMounts" => &["mountPath"],
            "volumeDevices" => &["devicePath"],
            "ports" => &["containerPort", "port", "protocol"],
            "hostAliases" => &["ip"],
            "topologySpreadConstraints" => &["topologyKey", "whenUnsatisfiable"],
            _ => return None,
        })
    }
}

/// What a patch does to what it meets.
enum Directive {
    Merge,
    Replace,
    Delete,
}

const DIRECTIVE: &str = "$patch";

/// Merges `patch` into `target`; `None` when the patch deletes it.
///
/// # Errors
/// The key under which a map meets a list or a scalar.
pub(super) fn merge(target: &Rc<Node>, patch: &Rc<Node>, lists: Lists) -> Result<Option<Rc<Node>>, String> {
    walk(Some(target), patch, lists, "")
}

fn walk(target: Option<&Rc<Node>>, patch: &Rc<Node>, lists: Lists, field: &str) -> Result<Option<Rc<Node>>, String> {
    let Some(target) = target.filter(|node| !node.is_null()) else { return Ok(adopt(patch, lists, field)) };
    match (&target.data, &patch.data) {
        (_, Data::Null) => Ok(None),
        (Data::Map(mine), Data::Map(theirs)) => match directive(theirs)? {
            Directive::Delete => Ok(None),
            Directive::Replace => Ok(adopt(patch, lists, field)),
            Directive::Merge => {
                let mut merged = Vec::with_capacity(mine.len() + theirs.len());
                for (key, value) in mine {
                    match patch.get(key) {
                        None => merged.push((key.clone(), value.clone())),
                        Some(theirs) => merged.extend(walk(Some(value), theirs, lists, key)?.map(|node| (key.clone(), node))),
                    }
                }
                for (key, value) in theirs {
                    if target.get(key).is_none() && **key != *DIRECTIVE {
                        merged.extend(adopt(value, lists, key).map(|node| (key.clone(), node)));
                    }
                }
                Ok(Some(Rc::new(Node { data: Data::Map(merged), origin: target.origin.clone() })))
            }
        },
        (Data::List(mine), Data::List(theirs)) => match lists.keys(field) {
            None => Ok(Some(patch.clone())),
            Some(keys) => merge_lists(target, mine, patch, theirs, keys, lists),
        },
        (Data::Map(_) | Data::List(_), _) | (_, Data::Map(_) | Data::List(_)) => Err(field.to_owned()),
        _ => Ok(Some(patch.clone())),
    }
}

fn merge_lists(
    target: &Rc<Node>,
    mine: &[Rc<Node>],
    patch: &Rc<Node>,
    theirs: &[Rc<Node>],
    keys: &[&str],
    lists: Lists,
) -> Result<Option<Rc<Node>>, String> {
    // An element that holds the directive alone speaks of the whole list.
    for item in theirs {
        if let (Data::Map(entries), Some(_)) = (&item.data, item.get(DIRECTIVE))
            && entries.len() == 1
        {
            match directive(entries)? {
                Directive::Delete => return Ok(None),
                Directive::Replace => {
                    let rest: Vec<_> =
                        theirs.iter().filter(|other| !Rc::ptr_eq(other, item)).filter_map(|other| adopt(other, lists, "")).collect();
                    return Ok(Some(Rc::new(Node { data: Data::List(rest), origin: patch.origin.clone() })));
                }
                Directive::Merge => {}
            }
        }
    }
    // Patched elements come first, in the patch's order; then the others.
    let mut merged: Vec<Rc<Node>> = Vec::with_capacity(mine.len() + theirs.len());
    let mut taken = vec![false; mine.len()];
    for item in theirs {
        let partner = mine.iter().position(|other| same_key(other, item, keys));
        if let Some(partner) = partner {
            taken[partner] = true;
        }
        merged.extend(walk(partner.map(|index| &mine[index]), item, lists, "")?);
    }
    merged.extend(mine.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(item, _)| item.clone()));
    Ok(Some(Rc::new(Node { data: Data::List(merged), origin: target.origin.clone() })))
}

/// Whether two elements agree in every merge key that both have, and share at least one.
fn same_key(a: &Node, b: &Node, keys: &[&str]) -> bool {
    let mut shared = false;
    for key in keys {
        if let (Some(a), Some(b)) = (a.get(key), b.get(key)) {
            if a.shown() != b.shown() {
                return false;
            }
            shared = true;
        }
    }
    shared
}

/// A patch that meets nothing: itself without directives and nulls.
fn adopt(patch: &Rc<Node>, lists: Lists, field: &str) -> Option<Rc<Node>> {
    match &patch.data {
        Data::Null => None,
        Data::Map(entries) => {
            if matches!(directive(entries), Ok(Directive::Delete)) {
                return None;
            }
            if !holds_directives(patch) {
                return Some(patch.clone());
            }
            let kept = entries
                .iter()
                .filter(|(key, _)| **key != *DIRECTIVE)
                .filter_map(|(key, value)| Some((key.clone(), adopt(value, lists, key)?)))
                .collect();
            Some(Rc::new(Node { data: Data::Map(kept), origin: patch.origin.clone() }))
        }
        Data::List(items) if lists.keys(field).is_some() && holds_directives(patch) => {
            let kept = items.iter().filter_map(|item| adopt(item, lists, "")).collect();
            Some(Rc::new(Node { data: Data::List(kept), origin: patch.origin.clone() }))
        }
        _ => Some(patch.clone()),
    }
}

fn holds_directives(node: &Node) -> bool {
    match &node.data {
        Data::Null => true,
        Data::Map(entries) => entries.iter().any(|(key, value)| **key == *DIRECTIVE || holds_directives(value)),
        Data::List(items) => items.iter().any(|item| holds_directives(item)),
        _ => false,
    }
}

fn directive(entries: &[(Rc<str>, Rc<Node>)]) -> Result<Directive, String> {
    match entries.iter().find(|(key, _)| **key == *DIRECTIVE).map(|(_, value)| value.as_text()) {
        None | Some(Some("merge")) => Ok(Directive::Merge),
        Some(Some("replace")) => Ok(Directive::Replace),
        Some(Some("delete")) => Ok(Directive::Delete),
        Some(_) => Err(DIRECTIVE.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::node::tests::{show, tree};

    /// The merge as Kustomize 5.5 does it, or `!` and the field of a type clash.
    fn merged(target: &str, patch: &str, lists: Lists) -> String {
        match merge(&tree(target), &tree(patch), lists) {
            Ok(Some(node)) => show(&node),
            Ok(None) => "deleted".to_owned(),
            Err(field) => format!("!{field}"),
        }
    }

    #[test]
    fn maps_merge_and_nulls_delete() {
        for (target, patch, expected) in [
            ("{a: 1, b: 2}", "{b: 3, c: 4}", "{a: 1, b: 3, c: 4}"),
            ("{a: 1, b: {c: 1, d: 2}}", "{b: {c: null}}", "{a: 1, b: {d: 2}}"),
            ("{a: 1}", "{a: null, b: {c: null, d: 1}}", "{b: {d: 1}}"),
            ("{a: {b: 1}}", "{a: {$patch: replace, c: 1}}", "{a: {c: 1}}"),
            ("{a: {b: 1}, c: 1}", "{a: {$patch: delete}}", "{c: 1}"),
            ("{a: 1}", "{$patch: delete}", "deleted"),
            ("{a: null}", "{a: {b: 1}}", "{a: {b: 1}}"),
            ("{a: [1]}", "{a: {b: 1}}", "!a"),
            ("{a: 1}", "{a: [1]}", "!a"),
        ] {
            assert_eq!(merged(target, patch, Lists::Keyed), expected, "{target} + {patch}");
        }
    }

    #[test]
    fn lists_merge_by_key_where_there_is_a_schema() {
        let target = "{containers: [{name: a, x: 1}, {name: b}, {name: c}]}";
        for (patch, expected) in [
            // What is patched comes first, in the patch's order.
            ("{containers: [{name: c, y: 1}, {name: a, x: 2}]}", "{containers: [{name: c, y: 1}, {name: a, x: 2}, {name: b}]}"),
            ("{containers: [{name: d}]}", "{containers: [{name: d}, {name: a, x: 1}, {name: b}, {name: c}]}"),
            ("{containers: [{name: b, $patch: delete}]}", "{containers: [{name: a, x: 1}, {name: c}]}"),
            ("{containers: [{$patch: replace}, {name: d}]}", "{containers: [{name: d}]}"),
            ("{args: [{name: a}]}", "{containers: [{name: a, x: 1}, {name: b}, {name: c}], args: [{name: a}]}"),
        ] {
            assert_eq!(merged(target, patch, Lists::Keyed), expected, "{patch}");
        }
        assert_eq!(merged(target, "{containers: [{name: c}]}", Lists::Replaced), "{containers: [{name: c}]}");
        assert_eq!(merged("{command: [a, b]}", "{command: [c]}", Lists::Keyed), "{command: [c]}");
    }

    #[test]
    fn a_merged_value_keeps_its_place() {
        let result = merge(&tree("{a: 1,\n b: 2}"), &tree("\n\n{b: 3}"), Lists::Keyed).unwrap().unwrap();
        assert_eq!(result.get("a").unwrap().place().unwrap().line, Some(1));
        assert_eq!(result.get("b").unwrap().place().unwrap().line, Some(3));
    }
}
