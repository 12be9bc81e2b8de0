//! YAML values that remember where they were written.
//!
//! A render moves values from patches into objects; each keeps the file, the document and the path that it came from, so
//! that the winner of a merge is also the place to edit.

use std::rc::Rc;

use serde_json::Number;

use crate::model::{Place, RepoPath};

/// One step of a path into a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(Rc<str>),
    Index(usize),
}

impl Step {
    pub(super) fn key(key: &str) -> Self {
        Self::Key(key.into())
    }
}

/// A document of a file, or a document inside a scalar of one.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: RepoPath,
    pub(super) document: usize,
    /// Where the scalar stands that holds the document, and which document in it, when it is embedded.
    pub(super) inside: Option<(Vec<Step>, usize)>,
    /// The nodes in preorder.
    spots: Vec<Spot>,
}

#[derive(Debug)]
struct Spot {
    parent: u32,
    step: Step,
    line: usize,
}

impl Source {
    pub(super) fn new(path: RepoPath, document: usize, inside: Option<(Vec<Step>, usize)>) -> Self {
        Self { path, document, inside, spots: Vec::new() }
    }

    /// Notes the next node in preorder and gives its number.
    pub(super) fn note(&mut self, parent: u32, step: Step, line: usize) -> u32 {
        self.spots.push(Spot { parent, step, line });
        u32::try_from(self.spots.len() - 1).unwrap_or(u32::MAX)
    }
}

/// Where a node was written.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) source: Rc<Source>,
    node: u32,
}

impl Origin {
    pub(super) fn new(source: Rc<Source>, node: u32) -> Self {
        Self { source, node }
    }

    pub(super) fn file(&self) -> &RepoPath {
        &self.source.path
    }

    pub(super) fn line(&self) -> usize {
        self.source.spots[self.node as usize].line
    }

    pub(super) fn place(&self) -> Place {
        Place { path: self.source.path.clone(), line: Some(self.line()) }
    }

    /// The path from the document's root.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut node = self.node;
        while node != 0 {
            let spot = &self.source.spots[node as usize];
            steps.push(spot.step.clone());
            node = spot.parent;
        }
        steps.reverse();
        steps
    }
}

/// A value and its origin; absent for what a transformer made up.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) data: Data,
    pub(super) origin: Option<Origin>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Rc<Node>>),
    Map(Vec<(Rc<str>, Rc<Node>)>),
}

/// Equal values, wherever they were written. The order of a map's keys means nothing, and neither does a key without a value.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        let count = |entries: &[(Rc<str>, Rc<Node>)]| entries.iter().filter(|(_, value)| !value.is_null()).count();
        match (&self.data, &other.data) {
            (Data::Map(a), Data::Map(b)) => {
                count(a) == count(b) && a.iter().all(|(key, value)| value.is_null() || other.get(key).is_some_and(|theirs| value == theirs))
            }
            (a, b) => a == b,
        }
    }
}

impl Node {
    pub(super) fn new(data: Data) -> Rc<Self> {
        Rc::new(Self { data, origin: None })
    }

    pub(super) fn text(text: &str) -> Rc<Self> {
        Self::new(Data::Text(text.to_owned()))
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.data, Data::Null)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A scalar as the text that YAML shows; `None` for null, lists and maps.
    pub(super) fn shown(&self) -> Option<String> {
        match &self.data {
            Data::Text(text) => Some(text.clone()),
            Data::Number(number) => Some(number.to_string()),
            Data::Bool(flag) => Some(flag.to_string()),
            Data::Null | Data::List(_) | Data::Map(_) => None,
        }
    }

    pub(super) fn as_u32(&self) -> Option<u32> {
        match &self.data {
            Data::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
            _ => None,
        }
    }

    pub(super) fn items(&self) -> &[Rc<Node>] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn entries(&self) -> &[(Rc<str>, Rc<Node>)] {
        match &self.data {
            Data::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Rc<Node>> {
        self.entries().iter().find_map(|(name, value)| (**name == *key).then_some(value))
    }

    /// What stands at a path of keys.
    pub(super) fn at(&self, keys: &[&str]) -> Option<&Rc<Node>> {
        let (first, rest) = keys.split_first()?;
        let next = self.get(first)?;
        if rest.is_empty() { Some(next) } else { next.at(rest) }
    }

    /// The text at a path of keys, or nothing.
    pub(super) fn text_at(&self, keys: &[&str]) -> &str {
        self.at(keys).and_then(|node| node.as_text()).unwrap_or_default()
    }

    pub(super) fn child(&self, step: &Step) -> Option<&Rc<Node>> {
        match step {
            Step::Key(key) => self.get(key),
            Step::Index(index) => self.items().get(*index),
        }
    }

    pub(super) fn resolve<'a>(self: &'a Rc<Self>, steps: &[Step]) -> Option<&'a Rc<Node>> {
        steps.iter().try_fold(self, |node, step| node.child(step))
    }

    /// Puts `value` at a path of keys, with the maps on the way; `None` takes it away.
    pub(super) fn put(self: &mut Rc<Self>, keys: &[&str], value: Option<Rc<Node>>) {
        let Some((first, rest)) = keys.split_first() else {
            if let Some(value) = value {
                *self = value;
            }
            return;
        };
        let node = Rc::make_mut(self);
        if !matches!(node.data, Data::Map(_)) {
            if value.is_none() {
                return;
            }
            node.data = Data::Map(Vec::new());
        }
        let Data::Map(entries) = &mut node.data else { return };
        let found = entries.iter().position(|(name, _)| **name == **first);
        match (found, rest.is_empty(), value) {
            (Some(index), true, None) => {
                entries.remove(index);
            }
            (Some(index), _, value) => entries[index].1.put(rest, value),
            (None, _, None) => {}
            (None, _, Some(value)) => {
                let mut inner = Node::new(Data::Map(Vec::new()));
                inner.put(rest, Some(value));
                entries.push(((*first).into(), inner));
            }
        }
    }

    /// The place of this node, or of the first node in it that has one.
    pub(super) fn place(&self) -> Option<Place> {
        if let Some(origin) = &self.origin {
            return Some(origin.place());
        }
        self.items().iter().chain(self.entries().iter().map(|(_, value)| value)).find_map(|node| node.place())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{Entry, FileMode, Tree};
    use crate::overlay::files::Files;

    /// A document as a tree.
    pub(in crate::overlay) fn tree(text: &str) -> Rc<Node> {
        let path = RepoPath::parse("a.yaml").unwrap();
        let entry = Entry::File { mode: FileMode::Plain, bytes: text.as_bytes().into() };
        let files: Tree = [(path.clone(), entry)].into_iter().collect();
        Files::new(&files).documents(&path).unwrap()[0].clone()
    }

    /// A tree in flow style.
    pub(in crate::overlay) fn show(node: &Node) -> String {
        match &node.data {
            Data::Map(entries) => {
                let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}: {}", show(value))).collect();
                format!("{{{}}}", entries.join(", "))
            }
            Data::List(items) => format!("[{}]", items.iter().map(|item| show(item)).collect::<Vec<_>>().join(", ")),
            Data::Text(text) if text.contains(':') => format!("'{text}'"),
            _ => node.shown().unwrap_or_else(|| "null".to_owned()),
        }
    }

    #[test]
    fn a_node_knows_its_line_and_its_path() {
        let node = tree("a:\n  - b\n  - c:\n      d: 1\n");
        let found = node.get("a").unwrap().items()[1].at(&["c", "d"]).unwrap();
        let origin = found.origin.as_ref().unwrap();
        assert_eq!(origin.line(), 4);
        assert_eq!(origin.steps(), [Step::key("a"), Step::Index(1), Step::key("c"), Step::key("d")]);
    }

    #[test]
    fn aliases_and_merge_keys_are_followed() {
        let node = tree("a: &x {b: 1, c: 2}\nd: *x\ne:\n  <<: *x\n  c: 3\n");
        assert_eq!(show(node.get("d").unwrap()), "{b: 1, c: 2}");
        assert_eq!(show(node.get("e").unwrap()), "{c: 3, b: 1}");
        assert_eq!(node.at(&["d", "b"]).unwrap().origin.as_ref().unwrap().steps(), [Step::key("d")]);
    }

    #[test]
    fn the_order_of_keys_means_nothing_and_that_of_items_does() {
        assert_eq!(tree("{a: 1, b: 2}"), tree("{b: 2, a: 1}"));
        assert_ne!(tree("[1, 2]"), tree("[2, 1]"));
        assert_ne!(tree("{a: 1}"), tree("{a: 1, b: 2}"));
    }

    #[test]
    fn values_are_put_with_the_maps_on_the_way() {
        let mut node = tree("{a: {b: 1}}");
        node.put(&["a", "c", "d"], Some(Node::text("x")));
        node.put(&["a", "b"], None);
        assert_eq!(show(&node), "{a: {c: {d: x}}}");
    }
}
