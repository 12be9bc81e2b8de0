//! From operations to splices: finds each target, and refuses what is not safe to touch.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    NewNode, Operation, Scalar, Step, Stream, Style, Target, YamlError, block, embedded, ending, flow, lines,
    splice::{self, Splice},
    tree::{Content, Node, duplicated},
    value::is_merge,
    write::{self, Habits, Place},
};
use crate::model::RefusalCode::{Anchored, DuplicateKey, NoTarget, Templated, Unsupported};

/// The way from the root to a node: the nodes passed, root first, and the node itself last.
pub(super) type Trail<'n> = Vec<&'n Node>;

/// What is to change in one mapping or sequence.
pub(super) struct Rework<'n> {
    pub(super) trail: Trail<'n>,
    pub(super) habits: Habits,
    pub(super) place: Place,
    /// Which entries or items go.
    pub(super) removed: BTreeSet<usize>,
    /// What comes after the last one; with a key in a mapping.
    pub(super) added: Vec<(Option<&'n str>, &'n NewNode)>,
}

impl<'n> Rework<'n> {
    /// The mapping or sequence.
    pub(super) fn node(&self) -> &'n Node {
        self.trail[self.trail.len() - 1]
    }

    /// What holds it.
    pub(super) fn parent(&self) -> Option<&'n Node> {
        self.trail.len().checked_sub(2).map(|index| self.trail[index])
    }

    /// Whether it is, or is to become, a mapping.
    pub(super) fn is_mapping(&self) -> bool {
        self.node().is_mapping() || self.added.first().is_some_and(|(key, _)| key.is_some())
    }

    /// A splice of this node's depth.
    pub(super) fn splice(&self, start: usize, end: usize, text: impl Into<String>) -> Splice {
        Splice { span: start..end, text: text.into(), depth: self.trail.len() }
    }

    /// A refusal at this node.
    pub(super) fn unsupported(&self, detail: impl Into<String>) -> YamlError {
        YamlError::new(Unsupported, self.node().line(), detail)
    }
}

/// Plans all operations on a text: sorted splices that do not overlap.
///
/// Planning is on whole lines: a text without a final break is given one, and what is planned is then fitted to its true end.
pub(super) fn plan(text: &str, stream: &Stream, operations: &[&Operation]) -> Result<Vec<Splice>, YamlError> {
    let full = lines::whole(text);
    let mut planner = Planner { text: &full, stream, habits: BTreeMap::new(), splices: Vec::new(), reworks: BTreeMap::new() };
    let mut embedded: BTreeMap<(usize, &[Step]), Vec<Operation>> = BTreeMap::new();
    for operation in operations {
        let at = operation.at();
        match &at.inner {
            Some((document, path)) => {
                let inside = Target { document: *document, path: path.clone(), inner: None };
                embedded.entry((at.document, &at.path)).or_default().push(operation.moved(inside));
            }
            None => planner.plan(operation, at)?,
        }
    }
    planner.plan_reworks()?;
    let goes_on = planner.splices.iter().any(|splice| splice.span.start == full.len());
    for ((document, path), operations) in embedded {
        planner.splices.extend(embedded::plan(&full, &planner.find(document, path)?, &operations)?);
    }
    let mut splices = planner.splices;
    splices.extend(ending::unfinished(text, stream).filter(|fix| goes_on && !splices.iter().any(|it| it.span.contains(&fix.span.start))));
    splice::sort(&mut splices);
    splices.dedup();
    if let Some(at) = splice::overlap(&splices) {
        return Err(YamlError::new(Unsupported, lines::number(full.as_bytes(), at), "two operations change the same place"));
    }
    ending::fit(text, &full, stream, &mut splices);
    Ok(splices)
}

struct Planner<'n> {
    text: &'n str,
    stream: &'n Stream,
    habits: BTreeMap<usize, Habits>,
    splices: Vec<Splice>,
    reworks: BTreeMap<(usize, &'n [Step]), Rework<'n>>,
}

impl<'n> Planner<'n> {
    fn plan(&mut self, operation: &'n Operation, at: &'n Target) -> Result<(), YamlError> {
        match operation {
            Operation::Set { to, .. } => {
                let trail = self.find(at.document, &at.path)?;
                if let Some(node) = trail.last().filter(|node| node.as_str().is_some_and(|text| text.contains("{{"))) {
                    return Err(YamlError::new(Templated, node.line(), "the value is a `{{ }}` template; edit what it is rendered from"));
                }
                self.splices.extend(set(self.text, &trail, to)?);
            }
            Operation::Insert { key, value, .. } => {
                let rework = self.rework(at.document, &at.path)?;
                let node = rework.node();
                if !node.is_mapping() && !node.is_null() || rework.added.iter().any(|(key, _)| key.is_none()) {
                    return Err(rework.unsupported("not a mapping: no key can be inserted"));
                }
                if node.get(key).is_some() || rework.added.iter().any(|(other, _)| *other == Some(key)) {
                    return Err(YamlError::new(
                        DuplicateKey,
                        node.line(),
                        format!("the key `{key}` is there already; set its value instead"),
                    ));
                }
                rework.added.push((Some(key), value));
            }
            Operation::Append { value, .. } => {
                let rework = self.rework(at.document, &at.path)?;
                if !rework.node().is_sequence() && !rework.node().is_null() || rework.added.iter().any(|(key, _)| key.is_some()) {
                    return Err(rework.unsupported("not a sequence: no item can be appended"));
                }
                rework.added.push((None, value));
            }
            Operation::Remove { .. } => {
                let node = self.find(at.document, &at.path)?.pop();
                let Some((last, above)) = at.path.split_last() else {
                    return Err(YamlError::new(Unsupported, node.map_or(1, Node::line), "a whole document cannot be removed"));
                };
                let rework = self.rework(at.document, above)?;
                let index = match last {
                    Step::Index(index) => Some(*index),
                    Step::Key(key) => rework.node().entries().iter().position(|(it, _)| it.as_str() == Some(key)),
                };
                if !index.is_some_and(|index| rework.removed.insert(index)) {
                    return Err(rework.unsupported("the same entry is removed twice"));
                }
            }
        }
        Ok(())
    }

    fn plan_reworks(&mut self) -> Result<(), YamlError> {
        for rework in self.reworks.values() {
            self.splices.extend(match rework.node() {
                node if node.is_null() => fill(self.text, rework)?,
                node if node.style == Style::Flow => flow::plan(self.text, rework),
                _ => block::plan(self.text, rework)?,
            });
        }
        Ok(())
    }

    /// The mapping or sequence at a path, to be changed.
    fn rework(&mut self, document: usize, path: &'n [Step]) -> Result<&mut Rework<'n>, YamlError> {
        if !self.reworks.contains_key(&(document, path)) {
            let trail = self.find(document, path)?;
            check_container(&trail)?;
            let root = trail[0];
            let habits = *self.habits.entry(document).or_insert_with(|| habits(self.text, root));
            let place = place(&trail);
            self.reworks.insert((document, path), Rework { trail, habits, place, removed: BTreeSet::new(), added: Vec::new() });
        }
        self.reworks.get_mut(&(document, path)).ok_or_else(|| YamlError::new(NoTarget, 1, "no such node"))
    }

    /// Walks down a path. What lies under an anchor that is used, an alias or a tag is refused.
    fn find(&self, document: usize, path: &[Step]) -> Result<Trail<'n>, YamlError> {
        let documents = self.stream.documents();
        let root = documents
            .get(document)
            .ok_or_else(|| YamlError::new(NoTarget, 1, format!("there is no document {document}, of {}", documents.len())))?;
        let mut trail = vec![root];
        check_node(root, root)?;
        for step in path {
            let above = trail[trail.len() - 1];
            let node = match step {
                Step::Key(key) => child(above, key)?,
                Step::Index(index) => above.items().get(*index),
            };
            let node = node.ok_or_else(|| match step {
                Step::Key(key) => YamlError::new(NoTarget, above.line(), format!("there is no key `{key}` here")),
                Step::Index(index) => YamlError::new(NoTarget, above.line(), format!("there is no item {index} here")),
            })?;
            check_node(root, node)?;
            trail.push(node);
        }
        Ok(trail)
    }
}

impl Operation {
    /// The same change of another node.
    fn moved(&self, at: Target) -> Self {
        match self {
            Self::Set { to, .. } => Self::Set { at, to: to.clone() },
            Self::Insert { key, value, .. } => Self::Insert { at, key: key.clone(), value: value.clone() },
            Self::Append { value, .. } => Self::Append { at, value: value.clone() },
            Self::Remove { .. } => Self::Remove { at },
        }
    }
}

/// The value of a key that must be there once.
fn child<'n>(above: &'n Node, key: &str) -> Result<Option<&'n Node>, YamlError> {
    let mut found = above.entries().iter().filter(|(it, _)| it.as_str() == Some(key));
    let Some((_, node)) = found.next() else {
        return match above.entries().iter().find(|(it, _)| is_merge(it)) {
            Some((merge, _)) => {
                Err(YamlError::new(Anchored, merge.line(), format!("`{key}` may come from a merge key; set it where it is anchored")))
            }
            None => Ok(None),
        };
    };
    match found.next() {
        Some((again, _)) => Err(duplicated(key, again.line())),
        None => Ok(Some(node)),
    }
}

fn check_node(root: &Node, node: &Node) -> Result<(), YamlError> {
    if matches!(node.content, Content::Alias(_)) {
        return Err(YamlError::new(Anchored, node.line(), "an alias: the value lives elsewhere"));
    }
    if let Some(name) = node.anchor().filter(|_| is_aliased(root, node)) {
        return Err(YamlError::new(Anchored, node.line(), format!("anchored as `&{name}`: an edit would change its aliases too")));
    }
    match node.tag() {
        Some(tag) => Err(YamlError::new(Unsupported, node.line(), format!("tagged `{tag}`"))),
        None => Ok(()),
    }
}

/// Whether an alias in a document stands for this node.
fn is_aliased(document: &Node, node: &Node) -> bool {
    let inside = |(key, value): &(Node, Node)| is_aliased(key, node) || is_aliased(value, node);
    match &document.content {
        Content::Alias(other) => other.span == node.span,
        Content::Mapping(entries) => entries.iter().any(inside),
        Content::Sequence(items) => items.iter().any(|item| is_aliased(item, node)),
        Content::Scalar(_) => false,
    }
}

/// Refuses a mapping or sequence whose parts cannot be told apart for sure.
fn check_container(trail: &[&Node]) -> Result<(), YamlError> {
    let node = trail[trail.len() - 1];
    let unsupported = |detail: &str| Err(YamlError::new(Unsupported, node.line(), detail));
    if let Some((key, line)) = node.duplicate_key() {
        return Err(duplicated(key, line));
    }
    if let Some((merge, _)) = node.entries().iter().find(|(key, _)| is_merge(key)) {
        return Err(YamlError::new(Anchored, merge.line(), "the mapping takes entries from a merge key"));
    }
    match node.style {
        _ if node.explicit => unsupported("a mapping with `?` keys"),
        Style::Pair => unsupported("a pair without braces in a flow sequence"),
        _ => Ok(()),
    }
}

/// Replaces a scalar.
fn set(text: &str, trail: &[&Node], to: &Scalar) -> Result<Vec<Splice>, YamlError> {
    let node = trail[trail.len() - 1];
    if !matches!(node.content, Content::Scalar(_)) {
        return Err(YamlError::new(Unsupported, node.line(), "not a scalar: its value cannot be set"));
    }
    if let Some(parent) = trail.len().checked_sub(2).map(|index| &trail[..=index]) {
        check_container(parent)?;
    }
    let new = write::scalar(to, node.style, place(trail));
    let splice = |start: usize, end: usize, text: String| Splice { span: start..end, text, depth: trail.len() };
    if node.is_absent() {
        return Ok(vec![splice(node.span.end, node.span.end, introduced(node, trail, &new)?)]);
    }
    let Some((body, _)) = node.body else {
        return Ok(vec![splice(node.span.start, node.span.end, new)]);
    };
    // A block scalar: its indicator becomes the value, a comment beside it stays, its lines go.
    let mut splices = vec![splice(node.span.start, node.span.start + node.header(text, body).len(), new)];
    if node.span.end > body {
        splices.push(splice(body, lines::next(text, node.span.end), String::new()));
    }
    Ok(splices)
}

/// The text of a value where none was written, with what must come before it.
fn introduced(node: &Node, trail: &[&Node], new: &str) -> Result<String, YamlError> {
    match (node.lead, trail.len()) {
        (Some(_), _) => Ok(format!(" {new}")),
        (None, 2..) if trail[trail.len() - 2].is_mapping() => Ok(format!(": {new}")),
        _ => Err(YamlError::new(Unsupported, node.line(), "an empty document")),
    }
}

/// Makes a mapping or sequence of a null.
fn fill(text: &str, rework: &Rework<'_>) -> Result<Vec<Splice>, YamlError> {
    let node = rework.node();
    let in_block_mapping = rework.parent().is_some_and(|parent| parent.style == Style::Block && parent.is_mapping());
    if node.is_absent() && in_block_mapping && node.lead.is_some() {
        return block::fill(text, rework).map(|splice| vec![splice]);
    }
    let mut new = String::new();
    flow::collection(rework, &mut new);
    if node.is_absent() {
        new = introduced(node, &rework.trail, &new)?;
    }
    Ok(vec![rework.splice(node.span.start, node.span.end, new)])
}

/// Whether a node stands in flow style, and among quoted keys.
fn place(trail: &[&Node]) -> Place {
    let Some(outermost) = trail.iter().position(|node| matches!(node.style, Style::Flow | Style::Pair)) else {
        return Place { flow: false, json: false };
    };
    let json = match first_key(trail[outermost]) {
        Some(key) => key.style == Style::Double,
        None => outermost == 0,
    };
    Place { flow: true, json }
}

/// The first key written in a flow collection.
fn first_key(node: &Node) -> Option<&Node> {
    match node.entries().first() {
        Some((key, _)) => Some(key),
        None => first_key(node.items().first()?),
    }
}

/// How a document indents: as the first mapping in a mapping, and the first sequence in a mapping, do.
fn habits(text: &str, root: &Node) -> Habits {
    let (mut step, mut dash) = (None, None);
    let mut nodes = vec![root];
    while let Some(node) = nodes.pop() {
        if step.is_some() && dash.is_some() {
            break;
        }
        for (key, value) in node.entries().iter().filter(|(_, value)| node.style == Style::Block && value.style == Style::Block) {
            let columns = block::column(text, value.span.start).checked_sub(block::column(text, key.extent.start));
            if value.is_mapping() {
                step = step.or(columns.filter(|columns| *columns > 0));
            } else {
                dash = dash.or(columns);
            }
        }
        nodes.extend(node.items().iter().rev());
        nodes.extend(node.entries().iter().rev().map(|(_, value)| value));
    }
    Habits { step: step.unwrap_or(2), dash: dash.unwrap_or(0) }
}
