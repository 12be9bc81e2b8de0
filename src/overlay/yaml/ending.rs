//! The end of a text that lacks its final break.

use super::{Node, Stream, lines, splice::Splice, tree::Content};

/// Fits splices that were planned on the text with a final break to the text as it is.
pub(super) fn fit(text: &str, full: &str, stream: &Stream, splices: &mut Vec<Splice>) {
    let (mut start, mut new, mut depth) = (full.len(), String::new(), 0);
    while let Some(last) = splices.pop_if(|last| full.len() > text.len() && last.span.end == start) {
        start = last.span.start;
        new.insert_str(0, &last.text);
        depth = last.depth;
    }
    if start == full.len() && new.is_empty() {
        return;
    }
    let line_break = lines::break_before(full, full.len());
    if start == full.len() {
        new.insert_str(0, line_break);
    }
    if !new.is_empty() {
        new.truncate(new.strip_suffix(line_break).unwrap_or(&new).len());
    } else if !ends_block_scalar(stream, lines::start_of_break_before(text, start)) {
        // The last line goes, and the break before it. Only a block scalar must keep its own.
        start = lines::start_of_break_before(text, start);
    }
    splices.push(Splice { span: start.min(text.len())..text.len(), text: new, depth });
}

/// A block scalar that ends with the text, without a break, would gain one as soon as a line follows: it is told to strip it.
pub(super) fn unfinished(text: &str, stream: &Stream) -> Option<Splice> {
    let leaf = stream.documents().last()?.last_leaf();
    let (body, _) = leaf.body.filter(|(body, _)| *body <= leaf.span.end && leaf.span.end == text.len())?;
    let header = leaf.header(text, body);
    let stripped =
        Splice { span: leaf.span.start..leaf.span.start + header.len(), text: format!("{}-", header.replace('+', "")), depth: 0 };
    (!header.contains('-')).then_some(stripped)
}

/// Whether a block scalar that counts its final break ends at an offset.
fn ends_block_scalar(stream: &Stream, at: usize) -> bool {
    let mut nodes: Vec<&Node> = stream.documents().iter().collect();
    while let Some(node) = nodes.pop() {
        if node.body.is_some() && node.span.end == at {
            return true;
        }
        match &node.content {
            Content::Mapping(entries) => nodes.extend(entries.iter().map(|(_, value)| value)),
            Content::Sequence(items) => nodes.extend(items),
            Content::Scalar(_) | Content::Alias(_) => {}
        }
    }
    false
}
