//! `replacements:`: values copied from one object into others, after every patch.

use std::rc::Rc;

use super::kustomization::Kustomization;
use super::node::{Data, Node};
use super::object::{By, Id, Object};
use super::select::Selector;
use crate::model::{Refusal, RefusalCode};

/// Carries out one replacement; `None` when its source is not there.
///
/// # Errors
/// What makes Kustomize fail.
pub(super) fn apply(kustomization: &Kustomization, entry: &Rc<Node>, objects: &mut [Object]) -> Result<Option<()>, Refusal> {
    let fail = |detail: String| kustomization.refuse(RefusalCode::DoesNotRender, entry, detail);
    let value = match (entry.get("sourceValue"), entry.get("source")) {
        (Some(value), None) => value.clone(),
        (None, Some(source)) => match source_value(source, objects).map_err(&fail)? {
            Some(value) => value,
            None => return Ok(None),
        },
        _ => return Err(fail("a replacement needs one source".to_owned())),
    };
    let by = By::Fixed(kustomization.refuse(RefusalCode::Replaced, entry, "a replacement sets this field after every patch"));
    for target in entry.get("targets").map_or(&[][..], |list| list.items()) {
        let select = target.get("select").ok_or_else(|| fail("a target of a replacement needs `select`".to_owned()))?;
        let wanted = Selector::new(select).map_err(&fail)?;
        let rejects = target.get("reject").map_or(&[][..], |list| list.items()).iter().map(|reject| Selector::new(reject));
        let rejects = rejects.collect::<Result<Vec<_>, _>>().map_err(&fail)?;
        let paths: Vec<String> = match target.get("fieldPaths") {
            Some(paths) => paths.items().iter().filter_map(|path| path.shown()).collect(),
            None => vec!["metadata.name".to_owned()],
        };
        for object in objects.iter_mut() {
            if !wanted.matches_any(object) || rejects.iter().any(|reject| reject.matches_any(object)) {
                continue;
            }
            let mut tree = object.tree.clone();
            for path in &paths {
                let hit = set(&mut tree, &split(path), &value, target.get("options"));
                if !hit && !value.is_null() {
                    return Err(fail(format!("a replacement finds no `{path}` in {} {}", object.id.kind, object.id.name)));
                }
            }
            object.replace(tree, &by, entry.place().as_ref());
        }
    }
    Ok(Some(()))
}

fn source_value(source: &Node, objects: &[Object]) -> Result<Option<Rc<Node>>, String> {
    let same = |key: &str, text: &str| matches!(source.text_at(&[key]), wanted if wanted.is_empty() || wanted == text);
    let fits = |id: &Id| {
        same("group", id.group())
            && same("version", id.version())
            && same("kind", &id.kind)
            && same("name", &id.name)
            && same("namespace", id.effective_namespace())
    };
    let mut found = objects.iter().filter(|object| object.any_id(fits));
    let Some(object) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err("the source of a replacement matches several objects".to_owned());
    }
    let path = source.get("fieldPath").and_then(|node| node.shown()).unwrap_or_else(|| "metadata.name".to_owned());
    let missing = || format!("the source of a replacement has no `{path}`");
    let Some(node) = look_up(&object.tree, &split(&path)) else {
        // What a generator reads from files is not seen.
        let generated = object.tree.origin.is_none();
        return if generated { Ok(Some(Node::new(Data::Null))) } else { Err(missing()) };
    };
    let delimiter = source.text_at(&["options", "delimiter"]);
    if delimiter.is_empty() {
        return Ok(Some(Rc::new(Node { data: node.data.clone(), origin: None })));
    }
    let index = source.at(&["options", "index"]).and_then(|node| node.as_u32()).unwrap_or(0) as usize;
    let text = node.shown().ok_or_else(missing)?;
    text.split(delimiter).nth(index).map(|part| Some(Node::text(part))).ok_or_else(missing)
}

/// The parts of a field path: `a.b.[name=x.y].c`, with `\.` for a dot.
fn split(path: &str) -> Vec<String> {
    let (mut parts, mut part, mut inside, mut escaped) = (Vec::new(), String::new(), false, false);
    for c in path.chars() {
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '.' if !escaped && !inside => parts.push(std::mem::take(&mut part)),
            c => {
                if part.is_empty() && c == '[' {
                    inside = true;
                } else if inside && c == ']' {
                    inside = false;
                }
                part.push(c);
            }
        }
        escaped = false;
    }
    parts.push(part);
    for part in &mut parts {
        // `[key]` without a match is the key itself.
        if !part.contains('=') {
            *part = part.trim_matches(['[', ']']).to_owned();
        }
    }
    parts
}

fn picks(part: &str, index: usize, item: &Node) -> bool {
    if part == "*" || part.parse() == Ok(index) {
        return true;
    }
    let Some((key, value)) = part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).and_then(|rest| rest.split_once('=')) else {
        return false;
    };
    let found = if key.is_empty() { item.shown() } else { item.get(key).and_then(|node| node.shown()) };
    found.as_deref() == Some(value)
}

fn look_up<'a>(node: &'a Rc<Node>, parts: &[String]) -> Option<&'a Rc<Node>> {
    let Some((first, rest)) = parts.split_first() else { return Some(node) };
    let next = match &node.data {
        Data::List(items) => items.iter().enumerate().find(|(index, item)| picks(first, *index, item)).map(|(_, item)| item),
        _ => node.get(first),
    }?;
    look_up(next, rest)
}

/// Puts the value wherever the path leads; whether it leads anywhere.
fn set(node: &mut Rc<Node>, parts: &[String], value: &Rc<Node>, options: Option<&Rc<Node>>) -> bool {
    let Some((first, rest)) = parts.split_first() else {
        *node = refined(node, value, options);
        return true;
    };
    let create = options.is_some_and(|options| options.get("create").is_some_and(|flag| flag.data == Data::Bool(true)));
    let mut hit = false;
    match &mut Rc::make_mut(node).data {
        Data::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                if picks(first, index, item) {
                    hit |= set(item, rest, value, options);
                }
            }
        }
        Data::Map(entries) => {
            if create && !entries.iter().any(|(key, _)| **key == **first) {
                entries.push((first.as_str().into(), Node::new(if rest.is_empty() { Data::Null } else { Data::Map(Vec::new()) })));
            }
            if let Some((_, child)) = entries.iter_mut().find(|(key, _)| **key == **first) {
                hit |= set(child, rest, value, options);
            }
        }
        _ => {}
    }
    hit
}

/// The value as the target takes it: a part of a text, or a scalar of the type that stands there.
fn refined(old: &Rc<Node>, value: &Rc<Node>, options: Option<&Rc<Node>>) -> Rc<Node> {
    let delimiter = options.map_or("", |options| options.text_at(&["delimiter"]));
    if !delimiter.is_empty() {
        let index = options
            .and_then(|options| options.get("index"))
            .and_then(|node| node.shown())
            .and_then(|text| text.parse::<i64>().ok())
            .unwrap_or(0);
        let (text, new) = (old.shown().unwrap_or_default(), value.shown().unwrap_or_default());
        let mut parts: Vec<&str> = text.split(delimiter).collect();
        match usize::try_from(index) {
            Err(_) => parts.insert(0, &new),
            Ok(index) if index >= parts.len() => parts.push(&new),
            Ok(index) => parts[index] = &new,
        }
        return Node::text(&parts.join(delimiter));
    }
    if value.is_null() {
        // A value that is not known: no field reads it.
        return Node::text("");
    }
    let number = value.shown().and_then(|text| text.parse::<i64>().ok());
    let data = match (&old.data, number) {
        (Data::Number(_), Some(number)) => Data::Number(number.into()),
        (Data::Text(_), _) => value.shown().map_or_else(|| value.data.clone(), Data::Text),
        _ => value.data.clone(),
    };
    Node::new(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::node::tests::{show, tree};

    #[test]
    fn field_paths_split_at_their_dots() {
        assert_eq!(split("spec.containers.[name=a.b].image"), ["spec", "containers", "[name=a.b]", "image"]);
        assert_eq!(split("metadata.annotations.example\\.org/size"), ["metadata", "annotations", "example.org/size"]);
        assert_eq!(split("metadata.annotations.[example.org/size]"), ["metadata", "annotations", "example.org/size"]);
    }

    #[test]
    fn values_go_where_the_path_leads() {
        let set = |target: &str, path: &str, value: &str, options: &str| {
            let mut node = tree(target);
            let options = tree(options);
            set(&mut node, &split(path), &tree(value), Some(&options)).then(|| show(&node))
        };
        assert_eq!(set("{a: {b: 1}}", "a.b", "'2'", "{}").unwrap(), "{a: {b: 2}}");
        assert_eq!(
            set("{a: [{name: x, b: 1}, {name: y, b: 1}]}", "a.[name=y].b", "5", "{}").unwrap(),
            "{a: [{name: x, b: 1}, {name: y, b: 5}]}"
        );
        assert_eq!(set("{a: [{b: 1}, {b: 1}]}", "a.*.b", "5", "{}").unwrap(), "{a: [{b: 5}, {b: 5}]}");
        assert_eq!(set("{a: [{b: 1}, {b: 1}]}", "a.1.b", "5", "{}").unwrap(), "{a: [{b: 1}, {b: 5}]}");
        assert_eq!(set("{a: {}}", "a.b.c", "5", "{}"), None);
        assert_eq!(set("{a: {}}", "a.b.c", "5", "{create: true}").unwrap(), "{a: {b: {c: 5}}}");
        assert_eq!(set("{a: x:1}", "a", "'2'", "{delimiter: ':', index: 1}").unwrap(), "{a: 'x:2'}");
    }
}
