//! Mappings and sequences in braces and brackets, JSON among them.

use super::{Node, lines, plan::Rework, splice::Splice, write};

/// Plans the changes of a flow mapping or sequence.
pub(super) fn plan(text: &str, rework: &Rework<'_>) -> Vec<Splice> {
    let node = rework.node();
    let children = children(text, node);
    let mut removed: Vec<usize> = rework.removed.iter().copied().collect();
    let mut splices = Vec::new();
    let Some(last) = children.last() else {
        let inside = &text[node.span.start + 1..node.span.end - 1];
        let padding = if inside.bytes().all(|byte| byte == b' ') { inside } else { "" };
        return vec![rework.splice(node.span.start + 1, node.span.start + 1, format!("{padding}{}", entries(rework).join(", ")))];
    };
    if rework.added.is_empty() {
        if removed.len() == children.len() {
            return vec![rework.splice(node.span.start + 1, node.span.end - 1, "")];
        }
    } else if removed.last() == Some(&(children.len() - 1)) {
        removed.pop();
        splices.push(rework.splice(last.start, last.end, entries(rework).join(", ")));
    } else {
        splices.extend(insertion(text, rework, last));
    }
    splices.extend(removals(text, rework, &children, &removed));
    splices
}

/// Writes what is added as a collection of its own.
pub(super) fn collection(rework: &Rework<'_>, out: &mut String) {
    let (open, close) = if rework.is_mapping() { ('{', '}') } else { ('[', ']') };
    out.push(open);
    out.push_str(&entries(rework).join(", "));
    out.push(close);
}

/// Adds after the last child: beside it, or on a line of its own where that is how the children stand.
fn insertion(text: &str, rework: &Rework<'_>, last: &Child) -> Vec<Splice> {
    let entries = entries(rework);
    let comma = last.comma.map(|comma| comma + 1);
    let at = comma.unwrap_or(last.end);
    // `{a: , b: 1}`: a blank keeps the colon apart from the comma.
    let apart = if comma.is_none() && last.ends_in_colon { " " } else { "" };
    let (before, after) = if comma.is_some() { ("", ",") } else { (",", "") };
    if !lines::opens_line(text, last.start) {
        return vec![rework.splice(at, at, format!("{apart}{before} {}{after}", entries.join(", ")))];
    }
    let indentation = &text[lines::start(text, last.start)..last.start];
    let line = format!("{}{indentation}", lines::break_before(text, last.start));
    let new = format!("{line}{}{after}", entries.join(&format!(",{line}")));
    if lines::closes_line(text, at) && lines::blanks(text, at) != lines::end(text, at) {
        // A comment follows: the comma goes before it, the new lines after it.
        let end = lines::end(text, at);
        let mut splices = vec![rework.splice(end, end, new)];
        splices.extend((!before.is_empty()).then(|| rework.splice(at, at, format!("{apart}{before}"))));
        return splices;
    }
    vec![rework.splice(at, at, format!("{apart}{before}{new}"))]
}

fn removals(text: &str, rework: &Rework<'_>, children: &[Child], removed: &[usize]) -> Vec<Splice> {
    let Some(kept) = (0..children.len()).rev().find(|index| removed.binary_search(index).is_err()) else { return Vec::new() };
    let mut splices = Vec::new();
    for child in removed.iter().filter(|index| **index < kept).map(|index| &children[*index]) {
        let after = child.comma.map_or(child.end, |comma| comma + 1);
        splices.push(if lines::opens_line(text, child.start) && lines::closes_line(text, after) {
            rework.splice(lines::start(text, child.start), lines::next(text, after), "")
        } else {
            rework.splice(child.start, lines::blanks(text, after), "")
        });
    }
    if kept + 1 < children.len() {
        splices.extend(tail(text, rework, &children[kept], &children[kept + 1], &children[children.len() - 1]));
    }
    splices
}

/// Removes all children from `first` to `last`; `kept` becomes the last one.
fn tail(text: &str, rework: &Rework<'_>, kept: &Child, first: &Child, last: &Child) -> Vec<Splice> {
    let comma = kept.comma.unwrap_or(kept.end);
    // A trailing comma goes in place of the one after `kept`.
    let (from, to) = match last.comma {
        Some(trailing) => (comma + 1, trailing + 1),
        None => (comma, last.end),
    };
    // A comment beside the last one goes with it.
    let to = if lines::opens_line(text, last.start) && lines::closes_line(text, to) { lines::end(text, to) } else { to };
    if !text[from..first.start].contains('#') {
        return vec![rework.splice(from, to, "")];
    }
    let line = lines::start(text, first.start) - lines::break_before(text, first.start).len();
    let mut splices = vec![rework.splice(line.max(comma + 1), to, "")];
    if from == comma {
        splices.push(rework.splice(comma, comma + 1, ""));
    }
    splices
}

fn entries(rework: &Rework<'_>) -> Vec<String> {
    let place = write::Place { flow: true, ..rework.place };
    let entry = |(key, value): &(Option<&str>, &super::NewNode)| {
        let mut out = String::new();
        match key {
            Some(key) => write::flow_entry(key, value, place, &mut out),
            None => write::flow(value, place, &mut out),
        }
        out
    };
    rework.added.iter().map(entry).collect()
}

/// An entry or an item, and the comma after it.
struct Child {
    start: usize,
    end: usize,
    ends_in_colon: bool,
    comma: Option<usize>,
}

fn children(text: &str, node: &Node) -> Vec<Child> {
    let child = |start: usize, value: &Node| {
        let next = lines::gap(text, value.extent.end);
        Child {
            start,
            end: value.extent.end,
            ends_in_colon: value.is_absent() && value.lead.is_some(),
            comma: text[next..].starts_with(',').then_some(next),
        }
    };
    let entries = node.entries().iter().map(|(key, value)| child(key.extent.start, value));
    let items = node.items().iter().map(|item| child(item.extent.start, item));
    entries.chain(items).collect()
}
