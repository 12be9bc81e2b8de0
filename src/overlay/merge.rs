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
        );
        if known { Self::Keyed } else { Self::Replaced }
    }

    fn keys(self, field: &str) -> Option<&'static [&'static str]> {
        if self == Self::Replaced {
            return None;
        }
        Some(match field {
            "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "env" | "imagePullSecrets" | "secrets" => &["name"],
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
