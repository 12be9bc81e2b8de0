//! JSON patches (RFC 6902), as Kustomize applies them.

use std::rc::Rc;

use super::node::{Data, Node, Step};

/// Applies the operations of `patch` to `target` in their order.
///
/// # Errors
/// The operation that does not apply, and why.
pub(super) fn apply(target: &Rc<Node>, patch: &Node) -> Result<Rc<Node>, (Rc<Node>, String)> {
    let mut document = target.clone();
    for operation in patch.items() {
        step(&mut document, operation).map_err(|why| (operation.clone(), why))?;
    }
    Ok(document)
}

/// Whether a document has the shape of a JSON patch.
pub(super) fn is_patch(node: &Node) -> bool {
    matches!(&node.data, Data::List(items) if items.iter().all(|item| item.get("op").is_some()))
}

/// The parts of a JSON pointer. What stands before the first `/` is passed over, as Kustomize does.
pub(super) fn parts(pointer: &str) -> Option<Vec<String>> {
    let (_, rest) = pointer.split_once('/')?;
    Some(rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
}

/// The JSON pointer of a path.
pub(super) fn pointer(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        text.push('/');
        match step {
            Step::Key(key) => text.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => text.push_str(&index.to_string()),
        }
    }
    text
}

fn step(document: &mut Rc<Node>, operation: &Node) -> Result<(), String> {
    let path = operation.text_at(&["path"]);
    let at = parts(path).ok_or_else(|| format!("the path `{path}` is not a JSON pointer"))?;
    let value = || operation.get("value").cloned().unwrap_or_else(|| Node::new(Data::Null));
    let from = || {
        let from = operation.text_at(&["from"]);
        let parts = parts(from).ok_or_else(|| format!("`from: {from}` is not a JSON pointer"))?;
        let node = find(document, &parts).ok_or_else(|| format!("nothing stands at `{from}`"))?;
        Ok::<_, String>((parts, node.clone()))
    };
    match operation.text_at(&["op"]) {
        "add" => add(document, &at, &value()),
        "remove" => remove(document, &at),
        "replace" => replace(document, &at, &value()),
        "copy" => {
            let (_, node) = from()?;
            add(document, &at, &node)
        }
        "move" => {
            let (parts, node) = from()?;
            remove(document, &parts)?;
            add(document, &at, &node)
        }
        "test" => {
            let (wanted, found) = (value(), find(document, &at));
            let equal = found.map_or(wanted.is_null(), |found| *found == wanted);
            if equal { Ok(()) } else { Err(format!("the test of `{path}` fails")) }
        }
        other => Err(format!("`{other}` is not an operation of a JSON patch")),
    }
}

/// An index into a list of this length; negative ones count from its end.
fn index(part: &str, length: usize) -> Option<usize> {
    let index: i64 = part.parse().ok()?;
    let index = if index < 0 { index.checked_add(i64::try_from(length).ok()?)? } else { index };
    usize::try_from(index).ok().filter(|index| *index < length)
}

fn find<'a>(node: &'a Rc<Node>, parts: &[String]) -> Option<&'a Rc<Node>> {
    parts.iter().try_fold(node, |node, part| match &node.data {
        Data::Map(_) => node.get(part),
        Data::List(items) => items.get(index(part, items.len())?),
        _ => None,
    })
}

/// Gives the parent of a path to `with`, which sees its last part.
fn descend(node: &mut Rc<Node>, parts: &[String], with: &mut dyn FnMut(&mut Data, &str) -> Option<()>) -> Option<()> {
    let node = Rc::make_mut(node);
    let (first, rest) = parts.split_first()?;
    if rest.is_empty() {
        return with(&mut node.data, first);
    }
    match &mut node.data {
        Data::Map(entries) => descend(&mut entries.iter_mut().find(|(key, _)| **key == **first)?.1, rest, with),
        Data::List(items) => {
            let index = index(first, items.len())?;
            descend(&mut items[index], rest, with)
        }
        _ => None,
    }
}

fn add(document: &mut Rc<Node>, parts: &[String], value: &Rc<Node>) -> Result<(), String> {
    descend(document, parts, &mut |parent, last| {
        match parent {
            Data::Map(entries) => match entries.iter_mut().find(|(key, _)| **key == *last) {
                Some((_, old)) => *old = value.clone(),
                None => entries.push((last.into(), value.clone())),
            },
            Data::List(items) if last == "-" => items.push(value.clone()),
            Data::List(items) => {
                let index = index(last, items.len() + 1)?;
                items.insert(index, value.clone());
            }
            _ => return None,
        }
        Some(())
    })
    .ok_or_else(|| format!("nothing can be added at `/{}`: its parent is missing", parts.join("/")))
}

/// Kustomize's library lets `replace` add a key that is missing, though not an item.
fn replace(document: &mut Rc<Node>, parts: &[String], value: &Rc<Node>) -> Result<(), String> {
    descend(document, parts, &mut |parent, last| {
        match parent {
            Data::Map(entries) => match entries.iter_mut().find(|(key, _)| **key == *last) {
                Some((_, old)) => *old = value.clone(),
                None => entries.push((last.into(), value.clone())),
            },
            Data::List(items) => {
                let at = index(last, items.len())?;
                items[at] = value.clone();
            }
            _ => return None,
        }
        Some(())
    })
    .ok_or_else(|| format!("nothing stands at `/{}`", parts.join("/")))
}

fn remove(document: &mut Rc<Node>, parts: &[String]) -> Result<(), String> {
    descend(document, parts, &mut |parent, last| {
        match parent {
            Data::Map(entries) => drop(entries.remove(entries.iter().position(|(key, _)| **key == *last)?)),
            Data::List(items) => drop(items.remove(index(last, items.len())?)),
            _ => return None,
        }
        Some(())
    })
    .ok_or_else(|| format!("nothing stands at `/{}`", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::node::tests::{show, tree};

    fn applied(target: &str, patch: &str) -> String {
        match apply(&tree(target), &tree(patch)) {
            Ok(node) => show(&node),
            Err((_, why)) => format!("!{why}"),
        }
    }

    #[test]
    fn operations_apply_as_rfc_6902_says() {
        for (target, patch, expected) in [
            ("{a: 1}", "[{op: add, path: /b, value: 2}]", "{a: 1, b: 2}"),
            ("{a: 1}", "[{op: add, path: /a, value: 2}]", "{a: 2}"),
            ("{a: [1, 3]}", "[{op: add, path: /a/1, value: 2}]", "{a: [1, 2, 3]}"),
            ("{a: [1]}", "[{op: add, path: /a/-, value: 2}]", "{a: [1, 2]}"),
            ("{a: [{b: 1}]}", "[{op: replace, path: /a/0/b, value: 2}]", "{a: [{b: 2}]}"),
            ("{a: 1, b: 2}", "[{op: remove, path: /a}]", "{b: 2}"),
            ("{a: 1}", "[{op: move, from: /a, path: /b}]", "{b: 1}"),
            ("{a: 1}", "[{op: copy, from: /a, path: /b}]", "{a: 1, b: 1}"),
            ("{a/b: 1, c~d: 2}", "[{op: replace, path: /a~1b, value: 3}, {op: remove, path: /c~0d}]", "{a/b: 3}"),
            ("{a: {b: [1]}}", "[{op: test, path: /a, value: {b: [1]}}, {op: add, path: /c, value: 1}]", "{a: {b: [1]}, c: 1}"),
            ("{a: 1}", "[{op: test, path: /b, value: null}]", "{a: 1}"),
            ("{a: 1}", "[{op: test, path: /a, value: 2}]", "!the test of `/a` fails"),
            ("{a: 1}", "[{op: replace, path: /b, value: 2}]", "{a: 1, b: 2}"),
            ("{a: 1}", "[{op: replace, path: /b/c, value: 2}]", "!nothing stands at `/b/c`"),
            ("{a: [1]}", "[{op: replace, path: /a/1, value: 2}]", "!nothing stands at `/a/1`"),
            ("{a: [1, 2]}", "[{op: remove, path: /a/-1}]", "{a: [1]}"),
            ("{a: [1]}", "[{op: remove, path: /a/1}]", "!nothing stands at `/a/1`"),
            ("{a: 1}", "[{op: add, path: /b/c, value: 2}]", "!nothing can be added at `/b/c`: its parent is missing"),
            ("{a: 1}", "[{op: move, from: /c, path: /b}]", "!nothing stands at `/c`"),
            ("{a: 1}", "[{op: put, path: /b}]", "!`put` is not an operation of a JSON patch"),
            ("{a: 1}", "[{op: add, path: b, value: 1}]", "!the path `b` is not a JSON pointer"),
        ] {
            assert_eq!(applied(target, patch), expected, "{target} + {patch}");
        }
    }

    #[test]
    fn pointers_escape_what_they_must() {
        let steps = [Step::key("a/b"), Step::Index(2), Step::key("c~d")];
        assert_eq!(pointer(&steps), "/a~1b/2/c~0d");
        assert_eq!(parts(&pointer(&steps)).unwrap(), ["a/b", "2", "c~d"]);
    }
}
