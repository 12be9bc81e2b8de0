//! Byte-exact YAML editing: locate, splice, check.
//!
//! [`Stream::parse`] turns a text into a tree of [`Node`]s that know their bytes. [`edit`] plans a closed set of [`Operation`]s on that tree as
//! splices of the text, so that quotes, comments, indentation, line ends, a byte order mark, a missing final newline and the other documents stay as
//! they are. Then it proves the result: a second, independent parser reads the old and the new text, and the new model must equal the operations
//! applied to the old one. What cannot be edited safely is refused with a code and a line.
//!
//! All targets address the text as it is before the edit, whatever the order of the operations.

use std::ops::Range;

use crate::model::RefusalCode;

mod block;
mod build;
mod embedded;
mod ending;
mod flow;
mod guard;
mod lines;
mod oracle;
mod plan;
mod splice;
mod tree;
mod value;
mod write;

pub use tree::{Content, Node, Stream, Style};

/// Carries out all operations on a text, or none.
pub fn edit(bytes: &[u8], operations: &[Operation]) -> Result<Edited, EditError> {
    let text = guard::utf8(bytes)?;
    let stream = Stream::of(text, 1)?;
    guard::editable(text, &stream)?;
    let splices = plan::plan(text, &stream, &operations.iter().collect::<Vec<_>>())?;
    let new = splice::apply(text, &splices);
    oracle::check(text, &new, &splices, operations)?;
    Ok(Edited { bytes: new.into_bytes(), spans: splices.into_iter().map(|splice| splice.span).collect() })
}

/// The outcome of [`edit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The new text.
    pub bytes: Vec<u8>,
    /// What was replaced, or inserted at when empty: byte ranges of the old text, ascending and apart.
    pub spans: Vec<Range<usize>>,
}

/// A step on the way from the root of a document to a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Into the value of a mapping's key.
    Key(String),
    /// Into an item of a sequence, from 0.
    Index(usize),
}

/// A node of a text: document and path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The document of the stream, from 0.
    pub document: usize,
    /// The path from the document's root.
    pub path: Vec<Step>,
    /// For YAML or JSON held in the scalar at `path` (an inline patch): the document and path inside.
    pub inner: Option<(usize, Vec<Step>)>,
}

/// One change of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Replaces an existing scalar, or an empty value; its quotes stay where they can.
    Set {
        /// The scalar.
        at: Target,
        /// Its new value.
        to: Scalar,
    },
    /// Adds a key after the last entry of a mapping; refused when the key exists.
    Insert {
        /// The mapping, or an empty value that becomes one.
        at: Target,
        /// The new key.
        key: String,
        /// Its value.
        value: NewNode,
    },
    /// Adds an item after the last one of a sequence.
    Append {
        /// The sequence, or an empty value that becomes one.
        at: Target,
        /// The new item.
        value: NewNode,
    },
    /// Removes a key with its value, or an item. What becomes empty stays as `{}` or `[]`.
    Remove {
        /// The value or item.
        at: Target,
    },
}

impl Operation {
    /// The node that the operation addresses.
    pub fn at(&self) -> &Target {
        match self {
            Self::Set { at, .. } | Self::Insert { at, .. } | Self::Append { at, .. } | Self::Remove { at } => at,
        }
    }
}

/// A scalar to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// An integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A string, quoted where it would read as something else.
    Text(String),
}

/// A node to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewNode {
    /// A scalar.
    Scalar(Scalar),
    /// A mapping, in this order.
    Mapping(Vec<(String, NewNode)>),
    /// A sequence.
    Sequence(Vec<NewNode>),
}

/// Why a text cannot be read or edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {detail} [{code}]")]
pub struct YamlError {
    /// The stable code.
    pub code: RefusalCode,
    /// The line, from 1.
    pub line: usize,
    /// What is the matter.
    pub detail: String,
}

/// Why an edit was refused.
pub type EditError = YamlError;

impl YamlError {
    fn new(code: RefusalCode, line: usize, detail: impl Into<String>) -> Self {
        Self { code, line, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests;
