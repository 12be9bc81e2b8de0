//! Builds the span tree. The parser's events say what comes; the text says where.
//!
//! Marks are taken from the parser only where they are exact: at the end of plain scalars and aliases. Everything else is found in the text.

use std::{collections::HashMap, mem, sync::Arc};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{
    YamlError, lines,
    tree::{Content, Node, Style},
};
use crate::model::RefusalCode::{InvalidYaml, Unsupported};

/// How deep collections may nest, aliases followed.
const MAX_DEPTH: usize = 100;

/// How many nodes a text may hold, aliases followed; a long scalar counts as several.
const MAX_WEIGHT: usize = 1_000_000;

/// So many bytes of a scalar weigh as much as a node.
const SCALAR_UNIT: usize = 32;

/// Walks the events and the text side by side: the events say what comes, the text says where.
pub(super) struct Builder<'t> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    /// Everything before is accounted for.
    cursor: usize,
    /// A pair of character and byte offsets that belong together.
    reached: (usize, usize),
    /// An offset and its line.
    line: (usize, usize),
    anchors: HashMap<usize, Anchored>,
    /// The nodes so far, and the deepest of those in the collection that is being read.
    weight: usize,
    deepest: usize,
    first_line: usize,
}

/// What an alias brings with it.
struct Anchored {
    node: Arc<Node>,
    weight: usize,
    height: usize,
}

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str, line: usize) -> Self {
        let base = if text.starts_with(lines::BOM) { lines::BOM.len_utf8() } else { 0 };
        Self {
            text,
            parser: Parser::new_from_str(&text[base..]),
            cursor: base,
            reached: (0, base),
            line: (base, line),
            anchors: HashMap::new(),
            weight: 0,
            deepest: 0,
            first_line: line,
        }
    }

    pub(super) fn documents(mut self) -> Result<Vec<Node>, YamlError> {
        let mut documents = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::DocumentStart(explicit) => {
                    if explicit {
                        self.cursor = self.byte(span.end.index());
                    }
                    self.anchors.clear();
                    let (event, span) = self.next()?;
                    documents.push(self.node(event, span, None, false, 0)?);
                }
                Event::DocumentEnd if span.len() == 3 => {
                    let end = self.byte(span.end.index());
                    if self.text[..end].ends_with("...") {
                        self.cursor = end;
                    }
                }
                Event::StreamEnd => return Ok(documents),
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(invalid(&error, self.first_line)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, lead: Option<usize>, in_flow: bool, depth: usize) -> Result<Node, YamlError> {
        let (anchor_id, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag) | Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                (*anchor, tag.is_some())
            }
            _ => (0, false),
        };
        let absent = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text.is_empty());
        let mut node = Node {
            content: Content::Scalar(String::new()),
            style: Style::Plain,
            span: self.cursor..self.cursor,
            extent: self.cursor..self.cursor,
            lead,
            body: None,
            explicit: false,
            duplicate: None,
            line: 0,
            anchor: None,
            tag: None,
        };
        if !absent || anchor_id > 0 || tagged {
            self.cursor = lines::gap(self.text, self.cursor);
            node.extent.start = self.cursor;
        }
        self.properties(&mut node, usize::from(anchor_id > 0) + usize::from(tagged))?;
        if !absent {
            self.cursor = lines::gap(self.text, self.cursor);
        }
        node.span = self.cursor..self.cursor;
        node.line = self.line_of(self.cursor);
        let weight_before = self.weight;
        let deepest_before = mem::replace(&mut self.deepest, depth);
        self.grow(1, depth, node.line)?;
        match event {
            Event::Scalar(text, style, ..) => {
                self.grow(text.len() / SCALAR_UNIT, depth, node.line)?;
                if !absent {
                    self.scalar(&mut node, style, &text, span)?;
                }
                node.content = Content::Scalar(text.into_owned());
            }
            Event::Alias(id) => {
                self.cursor = self.byte(span.end.index());
                let unknown = || YamlError::new(InvalidYaml, node.line, "an alias of no anchor before it");
                let Anchored { node: target, weight, height } = self.anchors.get(&id).ok_or_else(unknown)?;
                node.content = Content::Alias(Arc::clone(target));
                self.grow(*weight, depth + height, node.line)?;
            }
            Event::SequenceStart(..) => self.sequence(&mut node, depth)?,
            Event::MappingStart(..) => {
                let flow = self.peek() == Some(b'{') && self.byte(span.end.index()) > self.cursor;
                self.mapping(&mut node, flow, in_flow, depth)?;
            }
            _ => return Err(self.lost("a node")),
        }
        node.span.end = self.cursor;
        node.extent.end = self.cursor;
        if anchor_id > 0 {
            let (weight, height) = (self.weight - weight_before, self.deepest - depth);
            self.anchors.insert(anchor_id, Anchored { node: Arc::new(node.clone()), weight, height });
        }
        self.deepest = self.deepest.max(deepest_before);
        Ok(node)
    }

    /// Accounts for nodes down to a depth.
    fn grow(&mut self, weight: usize, depth: usize, line: usize) -> Result<(), YamlError> {
        self.weight += weight;
        self.deepest = self.deepest.max(depth);
        if self.deepest > MAX_DEPTH {
            return Err(YamlError::new(Unsupported, line, format!("collections nest deeper than {MAX_DEPTH}")));
        }
        if self.weight > MAX_WEIGHT {
            return Err(YamlError::new(Unsupported, line, "the text is too large, or its aliases multiply"));
        }
        Ok(())
    }

    /// Reads an anchor and a tag, in either order.
    fn properties(&mut self, node: &mut Node, count: usize) -> Result<(), YamlError> {
        for _ in 0..count {
            self.cursor = lines::gap(self.text, self.cursor);
            let rest = &self.text[self.cursor..];
            let verbatim = rest.starts_with("!<");
            let length = if verbatim {
                rest.find('>').map_or(rest.len(), |end| end + 1)
            } else {
                rest.find([' ', '\t', '\r', '\n', ',', '[', ']', '{', '}']).unwrap_or(rest.len())
            };
            let word = rest[..length].to_owned();
            match word.as_bytes().first() {
                Some(b'&') => node.anchor = Some(word[1..].to_owned()),
                Some(b'!') => node.tag = Some(word),
                _ => return Err(self.lost("an anchor or a tag")),
            }
            self.cursor += length;
        }
        Ok(())
    }

    fn scalar(&mut self, node: &mut Node, style: ScalarStyle, text: &str, span: Span) -> Result<(), YamlError> {
        let end = self.byte(span.end.index());
        node.style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::Single,
            ScalarStyle::DoubleQuoted => Style::Double,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        };
        let quote = match node.style {
            Style::Single => b'\'',
            Style::Double => b'"',
            Style::Literal => b'|',
            Style::Folded => b'>',
            _ => {
                self.cursor = self.text[..end].trim_end_matches([' ', '\t', '\r', '\n']).len();
                return if self.cursor > node.span.start { Ok(()) } else { Err(self.lost("a plain scalar")) };
            }
        };
        if self.peek() != Some(quote) {
            return Err(self.lost("a scalar"));
        }
        if matches!(node.style, Style::Literal | Style::Folded) {
            self.block_scalar(node, text, end);
            return Ok(());
        }
        self.cursor = self.closing_quote(quote).ok_or_else(|| self.lost("the end of a quoted scalar"))? + 1;
        Ok(())
    }

    /// Where the quoted scalar at the cursor is closed.
    fn closing_quote(&self, quote: u8) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = self.cursor + 1;
        loop {
            at += match (bytes.get(at)?, quote) {
                (b'\\', b'"') => 2,
                (b'\'', b'\'') if bytes.get(at + 1) == Some(&b'\'') => 2,
                (byte, _) if *byte == quote => return Some(at),
                _ => 1,
            };
        }
    }

    /// Finds the lines of a block scalar. The parser's end lies anywhere in the blanks after it.
    fn block_scalar(&mut self, node: &mut Node, value: &str, end: usize) {
        let text = self.text;
        let header = node.span.start;
        let header_end = text[header..].find([' ', '\t', '\r', '\n', '#']).map_or(text.len(), |offset| header + offset);
        let body = lines::next(text, header);
        let end = if end >= text.len() { text.len() } else { lines::start(text, end).max(body) };
        let leading = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let first = |text: &str| text.split(['\n', '\r']).find(|line| !line.trim_start_matches(' ').is_empty()).map(leading);
        let indent = first(&text[body..end]).unwrap_or(0).saturating_sub(first(value).unwrap_or(0));
        node.body = Some((body, indent));
        let keep = text[header..header_end].contains('+');
        // Blank lines at the end are content of a `+` block alone.
        let mut last = header_end;
        let mut at = body;
        while at < end {
            let line = &text[at..lines::end(text, at)];
            if keep || line.len() > indent || !line.trim_start_matches(' ').is_empty() {
                last = at + line.len();
            }
            at = lines::next(text, at);
        }
        self.cursor = last;
    }

    fn sequence(&mut self, node: &mut Node, depth: usize) -> Result<(), YamlError> {
        let flow = self.peek() == Some(b'[');
        node.style = if flow { Style::Flow } else { Style::Block };
        self.cursor += usize::from(flow);
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                break;
            }
            let lead = if flow {
                self.take(b',');
                None
            } else {
                let dash = self.take(b'-');
                Some(dash.ok_or_else(|| self.lost("the `-` of an item"))?)
            };
            items.push(self.node(event, span, lead, flow, depth + 1)?);
        }
        if flow {
            self.take(b',');
            self.take(b']').ok_or_else(|| self.lost("a `]`"))?;
        }
        node.content = Content::Sequence(items);
        Ok(())
    }

    fn mapping(&mut self, node: &mut Node, flow: bool, in_flow: bool, depth: usize) -> Result<(), YamlError> {
        node.style = match (flow, in_flow) {
            (true, _) => Style::Flow,
            (false, true) => Style::Pair,
            (false, false) => Style::Block,
        };
        self.cursor += usize::from(flow);
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            if flow {
                self.take(b',');
            }
            let question = lines::gap(self.text, self.cursor);
            if let [b'?', rest @ ..] = &self.text.as_bytes()[question..]
                && matches!(rest, [] | [b' ' | b'\t' | b'\r' | b'\n', ..])
            {
                node.explicit = true;
                self.cursor = question + 1;
            }
            let key = self.node(event, span, None, flow || in_flow, depth + 1)?;
            let (event, span) = self.next()?;
            let colon = self.take(b':');
            if colon.is_none() && !flow {
                node.explicit = true;
            }
            entries.push((key, self.node(event, span, colon, flow || in_flow, depth + 1)?));
        }
        if flow {
            self.take(b',');
            self.take(b'}').ok_or_else(|| self.lost("a `}`"))?;
        }
        node.duplicate = duplicate(&entries);
        node.content = Content::Mapping(entries);
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.cursor).copied()
    }

    /// Moves past an indicator if it comes next, and tells where it was.
    fn take(&mut self, indicator: u8) -> Option<usize> {
        let at = lines::gap(self.text, self.cursor);
        let found = self.text.as_bytes().get(at) == Some(&indicator);
        if found {
            self.cursor = at + 1;
        }
        found.then_some(at)
    }

    /// The byte offset of a character. Offsets mostly ascend, so that this is a short walk.
    fn byte(&mut self, character: usize) -> usize {
        let (mut at, mut byte) = self.reached;
        while at < character && byte < self.text.len() {
            byte += 1;
            while !self.text.is_char_boundary(byte) {
                byte += 1;
            }
            at += 1;
        }
        while at > character {
            byte -= 1;
            while !self.text.is_char_boundary(byte) {
                byte -= 1;
            }
            at -= 1;
        }
        self.reached = (at, byte);
        byte
    }

    /// The line of an offset; offsets ascend.
    fn line_of(&mut self, at: usize) -> usize {
        let (from, line) = self.line;
        let passed = &self.text.as_bytes()[from..at.max(from)];
        let before = from.checked_sub(1).map(|it| self.text.as_bytes()[it]);
        let previous = std::iter::once(before).chain(passed.iter().copied().map(Some));
        let breaks =
            passed.iter().zip(previous).filter(|(byte, before)| **byte == b'\r' || (**byte == b'\n' && *before != Some(b'\r'))).count();
        self.line = (at.max(from), line + breaks);
        self.line.1
    }

    fn lost(&mut self, what: &str) -> YamlError {
        let line = self.line_of(self.cursor);
        YamlError::new(Unsupported, line, format!("cannot locate {what} here; write it in a plainer way"))
    }
}

/// The first key that occurs twice, and the line of its second occurrence.
fn duplicate(entries: &[(Node, Node)]) -> Option<(String, usize)> {
    let mut keys: Vec<(&str, usize)> = entries.iter().filter_map(|(key, _)| Some((key.as_str()?, key.line))).collect();
    keys.sort_unstable();
    let twice = keys.windows(2).filter(|pair| pair[0].0 == pair[1].0).min_by_key(|pair| pair[1].1)?;
    Some((twice[1].0.to_owned(), twice[1].1))
}

fn invalid(error: &ScanError, first_line: usize) -> YamlError {
    YamlError::new(InvalidYaml, first_line + error.marker().line().max(1) - 1, format!("not valid YAML: {}", error.info()))
}
