//! The span tree: what a text means, and where each part of it lies.

use std::{ops::Range, sync::Arc};

use super::{YamlError, build::Builder, guard};
use crate::model::RefusalCode::{DuplicateKey, InvalidYaml, Templated, Unsupported};

/// A parsed text: a span tree a document.
#[derive(Debug)]
pub struct Stream {
    documents: Vec<Node>,
}

impl Stream {
    /// Parses a text of one or several documents.
    pub fn parse(bytes: &[u8]) -> Result<Self, YamlError> {
        Self::of(guard::utf8(bytes)?, 1)
    }

    /// Parses a text whose first line has this number.
    pub(super) fn of(text: &str, line: usize) -> Result<Self, YamlError> {
        let parsed = Builder::new(text, line).documents();
        match parsed {
            Ok(documents) => Ok(Self { documents }),
            Err(error) if error.code == InvalidYaml && text.contains("{{") => Err(YamlError::new(
                Templated,
                error.line,
                format!("the file holds `{{{{ }}}}` templates and is not YAML: {}", error.detail),
            )),
            Err(error) => Err(error),
        }
    }

    /// The roots, in order. An empty document is a null scalar.
    pub fn documents(&self) -> &[Node] {
        &self.documents
    }
}

/// How a node is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A scalar without quotes; also an empty value.
    Plain,
    /// `'…'`
    Single,
    /// `"…"`
    Double,
    /// A `|` block.
    Literal,
    /// A `>` block.
    Folded,
    /// A collection by indentation.
    Block,
    /// `{…}` or `[…]`
    Flow,
    /// A mapping of one pair in a flow sequence, without braces: `[a: b]`.
    Pair,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Content {
    /// The text, escapes and folding resolved. A plain, empty one is null.
    Scalar(String),
    /// Keys and values, in order.
    Mapping(Vec<(Node, Node)>),
    /// Items, in order.
    Sequence(Vec<Node>),
    /// `*name`, and the node it stands for.
    Alias(Arc<Node>),
}

/// A node of a document, and where it lies.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) content: Content,
    pub(super) style: Style,
    /// The node without its anchor and tag. A block scalar starts at its indicator; blocks end before their last break.
    pub(super) span: Range<usize>,
    /// The node with its anchor and tag.
    pub(super) extent: Range<usize>,
    /// The `:` or `-` that introduces the node.
    pub(super) lead: Option<usize>,
    /// Of a block scalar: where its lines start, and how far they are indented.
    pub(super) body: Option<(usize, usize)>,
    /// Of a mapping: some key is written with `?`.
    pub(super) explicit: bool,
    pub(super) duplicate: Option<(String, usize)>,
    pub(super) line: usize,
    pub(super) anchor: Option<String>,
    pub(super) tag: Option<String>,
}

impl Node {
    /// What the node is.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// How it is written.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Its bytes, without anchor and tag.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The line it starts on, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether it is a block scalar, whose lines are lines of the file.
    pub fn is_block(&self) -> bool {
        self.body.is_some()
    }

    /// The name of its anchor.
    pub fn anchor(&self) -> Option<&str> {
        self.anchor.as_deref()
    }

    /// Its tag, as written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The value of a key; the first one when the key is there twice (see [`Node::duplicate_key`]). Merge keys are not followed.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(it, _)| it.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// The first key that a mapping holds twice, and the line of the second.
    pub fn duplicate_key(&self) -> Option<(&str, usize)> {
        self.duplicate.as_ref().map(|(key, line)| (key.as_str(), *line))
    }

    /// Keys and values of a mapping; none of anything else.
    pub fn entries(&self) -> &[(Node, Node)] {
        match &self.content {
            Content::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// Items of a sequence; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.content {
            Content::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar, escapes and folding resolved; empty for an empty value.
    pub fn as_str(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The node itself, or what an alias stands for.
    pub fn resolved(&self) -> &Node {
        match &self.content {
            Content::Alias(other) => other.resolved(),
            _ => self,
        }
    }

    /// Whether it is a mapping.
    pub fn is_mapping(&self) -> bool {
        matches!(self.content, Content::Mapping(_))
    }

    /// Whether it is a sequence.
    pub fn is_sequence(&self) -> bool {
        matches!(self.content, Content::Sequence(_))
    }

    /// Whether it is a null, written (`null`, `~`) or not.
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(self.as_str(), Some("" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether nothing at all is written.
    pub(super) fn is_absent(&self) -> bool {
        self.style == Style::Plain && self.span.is_empty()
    }

    /// Parses the YAML or JSON that a scalar holds. Lines are those of the file; spans are offsets into the scalar's text.
    pub fn embedded(&self) -> Result<Stream, YamlError> {
        let text = self.as_str().ok_or_else(|| YamlError::new(Unsupported, self.line, "only a scalar can hold a patch"))?;
        Stream::of(text, self.line + usize::from(self.body.is_some()))
    }

    /// Of a block scalar whose lines start at `body`: its indicator, with what is said of indentation and final breaks.
    pub(super) fn header<'t>(&self, text: &'t str, body: usize) -> &'t str {
        let header = &text[self.span.start..body];
        &header[..header.find([' ', '\t', '\r', '\n']).unwrap_or(header.len())]
    }

    /// The last scalar or flow collection written in the node.
    pub(super) fn last_leaf(&self) -> &Node {
        let mut node = self;
        while node.style == Style::Block {
            let last = match &node.content {
                Content::Mapping(entries) => entries.last().map(|(_, value)| value),
                Content::Sequence(items) => items.last(),
                _ => None,
            };
            match last {
                Some(last) => node = last,
                None => break,
            }
        }
        node
    }
}

/// A refusal because of a key that a mapping holds twice.
pub(super) fn duplicated(key: &str, line: usize) -> YamlError {
    YamlError::new(DuplicateKey, line, format!("the key `{key}` is there twice; remove one of them"))
}
