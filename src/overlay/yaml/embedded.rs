//! YAML or JSON held in a scalar: edited inside, by the same code, through a map of offsets.

use super::{Node, Operation, Style, YamlError, guard, lines, plan, splice::Splice, tree::Stream, write};
use crate::model::RefusalCode::EmbeddedPatch;

/// Plans operations inside a scalar, as splices of the text around it.
pub(super) fn plan(text: &str, trail: &[&Node], operations: &[Operation]) -> Result<Vec<Splice>, YamlError> {
    let node = trail[trail.len() - 1];
    let refused = |detail: &str| YamlError::new(EmbeddedPatch, node.line(), detail);
    let value = node.as_str().ok_or_else(|| refused("not a scalar: it holds no patch"))?;
    let held = match (node.style, node.body) {
        (_, Some((body, indent))) => Held::lines(text, node, body, indent, value),
        (Style::Single | Style::Double, _) => Held::quoted(text, node, value),
        _ => None,
    };
    let held = held.ok_or_else(|| refused("the patch is folded: write it as a literal block (`|`)"))?;
    let stream = Stream::of(&held.inner, node.line() + usize::from(node.body.is_some()))?;
    guard::editable(&held.inner, &stream)?;
    let splices = plan::plan(&held.inner, &stream, &operations.iter().collect::<Vec<_>>())?;
    let outward = |splice: &Splice| {
        let moved = held.outward(splice).map(|moved| Splice { depth: splice.depth + trail.len(), ..moved });
        moved.ok_or_else(|| refused("the change needs a line of its own: write the patch as a literal block (`|`)"))
    };
    splices.iter().map(outward).collect()
}

/// The text in a scalar, and where it lies.
struct Held {
    inner: String,
    map: Map,
}

enum Map {
    /// Of each line of a block: its start in the inner and in the outer text, and how much indentation it has. The last one is where the block ends.
    Lines { lines: Vec<Line>, indent: usize },
    /// In quotes, on one line: the outer offset of each inner byte, and of the end.
    Quoted { offsets: Vec<usize>, style: Style },
}

#[derive(Clone, Copy)]
struct Line {
    inner: usize,
    outer: usize,
    indent: usize,
}

impl Held {
    /// Reads a block line by line. None when that is not what the parser read: lines were folded.
    fn lines(text: &str, node: &Node, body: usize, indent: usize, value: &str) -> Option<Self> {
        let mut inner = String::new();
        let mut lines = Vec::new();
        let strip = node.header(text, body).contains('-');
        let mut at = body;
        while at <= node.span.end {
            let end = lines::end(text, at);
            let has = indent.min(end - at);
            lines.push(Line { inner: inner.len(), outer: at, indent: has });
            inner.push_str(&text[at + has..end]);
            let line_break = lines::break_of(text, end);
            at = end + line_break.len();
            if line_break.is_empty() || (strip && at > node.span.end) {
                break;
            }
            inner.push_str(line_break);
        }
        if inner.ends_with(['\n', '\r']) {
            lines.push(Line { inner: inner.len(), outer: at, indent: 0 });
        }
        let read = inner.replace("\r\n", "\n").replace('\r', "\n");
        (read == value).then_some(Self { inner, map: Map::Lines { lines, indent } })
    }

    /// Reads a quoted scalar character by character. None when it spans lines.
    fn quoted(text: &str, node: &Node, value: &str) -> Option<Self> {
        let (start, end) = (node.span.start + 1, node.span.end - 1);
        let raw = &text[start..end];
        let mut offsets = Vec::with_capacity(value.len() + 1);
        let mut rest = raw;
        for it in value.chars() {
            offsets.resize(offsets.len() + it.len_utf8(), end - rest.len());
            rest = match node.style {
                Style::Single if it == '\'' => rest.strip_prefix("''")?,
                Style::Double if rest.starts_with('\\') => &rest[escape_length(rest)?..],
                _ => rest.strip_prefix(it)?,
            };
        }
        offsets.push(end);
        rest.is_empty().then(|| Self { inner: value.to_owned(), map: Map::Quoted { offsets, style: node.style } })
    }

    /// The splice of the outer text that makes this one of the inner text.
    fn outward(&self, splice: &Splice) -> Option<Splice> {
        let (lines, indent) = match &self.map {
            Map::Lines { lines, indent } => (lines, " ".repeat(*indent)),
            Map::Quoted { offsets, style } => {
                let text = match style {
                    Style::Single if splice.text.contains(write::needs_escape) => return None,
                    Style::Single => splice.text.replace('\'', "''"),
                    _ => write::escaped(&splice.text),
                };
                return Some(Splice { span: offsets[splice.span.start]..offsets[splice.span.end], text, depth: splice.depth });
            }
        };
        let line_of = |at: usize| lines[lines.partition_point(|line| line.inner <= at).saturating_sub(1)];
        let (first, last) = (line_of(splice.span.start), line_of(splice.span.end));
        let (from, to) = (splice.span.start - first.inner, splice.span.end - last.inner);
        // The indentation of a line goes and comes with the line.
        let whole_lines = to == 0 && if splice.text.is_empty() { from == 0 } else { splice.text.ends_with('\n') };
        let start = if from == 0 { first.outer } else { first.outer + first.indent + from };
        let end = if whole_lines { last.outer } else { last.outer + last.indent + to };
        let mut text = String::new();
        if from == 0 && !(whole_lines && splice.text.is_empty()) {
            text.push_str(&indent);
        }
        let mut pieces = splice.text.split_inclusive('\n').peekable();
        while let Some(piece) = pieces.next() {
            text.push_str(piece);
            if piece.ends_with('\n') && !(whole_lines && pieces.peek().is_none()) {
                text.push_str(&indent);
            }
        }
        Some(Splice { span: start..end, text, depth: splice.depth })
    }
}

/// The bytes of an escape in double quotes.
fn escape_length(rest: &str) -> Option<usize> {
    let digits = match rest.as_bytes().get(1)? {
        b'x' => 2,
        b'u' => 4,
        b'U' => 8,
        b'\n' | b'\r' => return None,
        _ => 0,
    };
    let length = 2 + digits;
    rest.is_char_boundary(length).then_some(length).filter(|length| *length <= rest.len())
}
