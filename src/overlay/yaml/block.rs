//! Mappings and sequences written by indentation.

use super::{Node, YamlError, lines, plan::Rework, splice::Splice, write::Blocks};

/// The column of an offset, in bytes: only blanks and indicators come before it.
pub(super) fn column(text: &str, at: usize) -> usize {
    at - lines::start(text, at)
}

/// Plans the changes of a block mapping or sequence.
pub(super) fn plan(text: &str, rework: &Rework<'_>) -> Result<Vec<Splice>, YamlError> {
    let children = children(text, rework.node());
    let (Some(first), Some(last)) = (children.first(), children.last()) else {
        return Err(rework.unsupported("an empty block"));
    };
    let before = &text[lines::start(text, first.start)..first.start];
    if !before.bytes().all(|byte| matches!(byte, b' ' | b'-')) {
        return Err(rework.unsupported("a block that does not start a line, or is indented by tabs"));
    }
    let column = before.len();
    let mut removed: Vec<usize> = rework.removed.iter().copied().collect();
    let mut splices = Vec::new();
    if rework.added.is_empty() {
        if removed.len() == children.len() {
            return Ok(emptied(text, rework, &children));
        }
    } else if removed.last() == Some(&(children.len() - 1)) {
        removed.pop();
        let blocks = Blocks { habits: rework.habits, line_break: lines::neighbour_break(text, last.end) };
        let mut new = String::new();
        added(rework, blocks, column, text, &mut new);
        splices.push(rework.splice(last.start, last.end, new));
    } else {
        splices.push(insertion(text, rework, last.end, column));
    }
    splices.extend(removals(text, rework, &children, &removed));
    Ok(splices)
}

/// Makes a block of a value that is not written at all: `resources:`.
pub(super) fn fill(text: &str, rework: &Rework<'_>) -> Result<Splice, YamlError> {
    let node = rework.node();
    let parent = rework.parent().and_then(|parent| parent.entries().first()).map(|(key, _)| column(text, key.extent.start));
    let parent = parent.ok_or_else(|| rework.unsupported("an empty document"))?;
    let column = parent + if rework.is_mapping() { rework.habits.step } else { rework.habits.dash };
    Ok(insertion(text, rework, node.span.end, column))
}

/// Inserts what is added on lines of its own, after the line that holds `end`.
fn insertion(text: &str, rework: &Rework<'_>, end: usize, column: usize) -> Splice {
    let blocks = Blocks { habits: rework.habits, line_break: lines::neighbour_break(text, end) };
    let mut new = " ".repeat(column);
    added(rework, blocks, column, text, &mut new);
    new.push_str(blocks.line_break);
    let at = lines::next(text, end);
    rework.splice(at, at, new)
}

/// Writes what is added, each on a line of its own; the first line is already indented.
fn added(rework: &Rework<'_>, blocks: Blocks<'_>, column: usize, text: &str, out: &mut String) {
    // A dash is followed by as many blanks as the one before.
    let before = rework.node().items().last().and_then(|item| text.get(item.lead? + 1..item.span.start));
    let space = before.filter(|it| !it.is_empty() && it.bytes().all(|byte| byte == b' ')).map_or(1, str::len);
    for (index, (key, value)) in rework.added.iter().enumerate() {
        if index > 0 {
            blocks.line(column, out);
        }
        match key {
            Some(key) => blocks.entry(key, value, column, out),
            None => blocks.item(value, column, space, out),
        }
    }
}

/// Takes whole lines where it can.
fn removals(text: &str, rework: &Rework<'_>, children: &[Child], removed: &[usize]) -> Vec<Splice> {
    let compact = if lines::opens_line(text, children[0].start) {
        0
    } else {
        removed.iter().enumerate().take_while(|(index, child)| index == *child).count()
    };
    let mut splices = Vec::new();
    if compact > 0 {
        // `- a: 1` loses `a`: what comes next moves up to the dash.
        let line = lines::next(text, children[compact - 1].end);
        let to = line + text[line..].bytes().take_while(u8::is_ascii_whitespace).count();
        splices.push(rework.splice(children[0].start, to, ""));
    }
    let mut removed = removed[compact..].iter().copied().peekable();
    let mut after_kept_breaks = false;
    for (index, child) in children.iter().enumerate().skip(compact) {
        if removed.next_if_eq(&index).is_none() {
            after_kept_breaks = child.keeps_breaks;
            continue;
        }
        let mut end = lines::next(text, child.end);
        // Blank lines after it would become part of a `|+` block before it: they go too.
        while after_kept_breaks && end < text.len() && lines::blanks(text, end) == lines::end(text, end) {
            end = lines::next(text, end);
        }
        splices.push(rework.splice(lines::start(text, child.start), end, ""));
    }
    splices
}

/// Leaves `{}` or `[]`: behind the key where the block is on lines of its own, else in its place.
fn emptied(text: &str, rework: &Rework<'_>, children: &[Child]) -> Vec<Splice> {
    let node = rework.node();
    let nothing = if node.is_mapping() { "{}" } else { "[]" };
    let key = node.lead.filter(|_| rework.parent().is_some_and(Node::is_mapping) && lines::opens_line(text, children[0].start));
    let Some(colon) = key else {
        return vec![rework.splice(node.span.start, node.span.end, nothing)];
    };
    let mut splices = removals(text, rework, children, &(0..children.len()).collect::<Vec<_>>());
    splices.push(rework.splice(colon + 1, colon + 1, format!(" {nothing}")));
    splices
}

/// An entry or an item: from its key or dash to the end of its value.
struct Child {
    start: usize,
    end: usize,
    /// It ends in a block scalar to which all blank lines after it belong.
    keeps_breaks: bool,
}

fn children(text: &str, node: &Node) -> Vec<Child> {
    let child = |start: usize, value: &Node| {
        let leaf = value.last_leaf();
        let keeps_breaks = leaf.body.is_some_and(|(body, _)| leaf.header(text, body).contains('+'));
        Child { start, end: value.extent.end, keeps_breaks }
    };
    let entries = node.entries().iter().map(|(key, value)| child(key.extent.start, value));
    let items = node.items().iter().map(|item| child(item.lead.unwrap_or(item.extent.start), item));
    entries.chain(items).collect()
}
