//! New text: scalars, keys and nodes.

use std::fmt::Write as _;

use super::{NewNode, Scalar, Style};

/// Where a new node will stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Inside `{}` or `[]`.
    pub(super) flow: bool,
    /// Among quoted keys, as in JSON: strings are always quoted.
    pub(super) json: bool,
}

/// How a document indents its blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    /// Columns from a mapping to a mapping in it.
    pub(super) step: usize,
    /// Columns from a key to the dashes of its sequence.
    pub(super) dash: usize,
}

/// A scalar, in a preferred style if that is safe.
pub(super) fn scalar(scalar: &Scalar, style: Style, place: Place) -> String {
    match scalar {
        Scalar::Int(value) => value.to_string(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Text(value) => text(value, style, place),
    }
}

/// A key.
pub(super) fn key(key: &str, place: Place) -> String {
    text(key, Style::Plain, place)
}

fn text(value: &str, style: Style, place: Place) -> String {
    match style {
        _ if place.json => double(value),
        Style::Single if !value.contains(needs_escape) => single(value),
        Style::Plain if is_plain(value, place.flow) => value.to_owned(),
        _ => double(value),
    }
}

/// A text in single quotes. It must not hold breaks or control characters.
fn single(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A text in double quotes.
fn double(value: &str) -> String {
    format!("\"{}\"", escaped(value))
}

/// The inside of double quotes, with escapes that YAML and JSON share.
pub(super) fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for it in value.chars() {
        match it {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ if needs_escape(it) => _ = write!(out, "\\u{:04x}", u32::from(it)),
            _ => out.push(it),
        }
    }
    out
}

/// What cannot stand for itself within quotes. All of them lie in the basic plane.
pub(super) fn needs_escape(it: char) -> bool {
    it < ' ' || matches!(it, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether a text, written without quotes, reads as this text for every reader of YAML 1.1 or 1.2.
fn is_plain(value: &str, flow: bool) -> bool {
    let first = value.starts_with(|it: char| it.is_alphabetic() || matches!(it, '/' | '_' | '$' | '(') || it.is_ascii_digit());
    let last = !value.ends_with([' ', ':']);
    let inside = !value.contains(needs_escape) && !value.contains(": ") && !value.contains(" #");
    let unlike_flow = !flow || !value.contains([',', '[', ']', '{', '}']);
    first && last && inside && unlike_flow && !is_word(value) && !is_number_like(value)
}

/// Words that some reader takes for a null or a truth value.
fn is_word(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n")
}

/// Digits with the signs of numbers, dates, times and radixes; generous, since quotes do no harm.
fn is_number_like(value: &str) -> bool {
    value.starts_with(|it: char| it.is_ascii_digit())
        && value.bytes().all(|byte| {
            byte.is_ascii_hexdigit()
                || matches!(byte, b'_' | b':' | b'.' | b'+' | b'-' | b'x' | b'X' | b'o' | b'O' | b'T' | b't' | b'Z' | b'z' | b' ')
        })
}

/// A node in flow style.
pub(super) fn flow(node: &NewNode, place: Place, out: &mut String) {
    let inside = Place { flow: true, ..place };
    match node {
        NewNode::Scalar(it) => out.push_str(&scalar(it, Style::Plain, place)),
        NewNode::Mapping(entries) => {
            out.push('{');
            for (index, (name, value)) in entries.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                flow_entry(name, value, inside, out);
            }
            out.push('}');
        }
        NewNode::Sequence(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                flow(item, inside, out);
            }
            out.push(']');
        }
    }
}

/// An entry of a flow mapping.
pub(super) fn flow_entry(name: &str, value: &NewNode, place: Place, out: &mut String) {
    out.push_str(&key(name, place));
    out.push_str(": ");
    flow(value, place, out);
}

/// Writes nodes as blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks<'t> {
    pub(super) habits: Habits,
    pub(super) line_break: &'t str,
}

const BLOCK: Place = Place { flow: false, json: false };

impl Blocks<'_> {
    /// An entry of a mapping at a column, its first line already indented.
    pub(super) fn entry(self, name: &str, value: &NewNode, column: usize, out: &mut String) {
        out.push_str(&key(name, BLOCK));
        out.push(':');
        match value {
            NewNode::Mapping(entries) if !entries.is_empty() => {
                self.line(column + self.habits.step, out);
                self.collection(value, column + self.habits.step, out);
            }
            NewNode::Sequence(items) if !items.is_empty() => {
                self.line(column + self.habits.dash, out);
                self.collection(value, column + self.habits.dash, out);
            }
            _ => {
                out.push(' ');
                flow(value, BLOCK, out);
            }
        }
    }

    /// An item of a sequence at a column, its first line already indented; `space` columns between the dash and what follows.
    pub(super) fn item(self, value: &NewNode, column: usize, space: usize, out: &mut String) {
        out.push('-');
        out.extend(std::iter::repeat_n(' ', space));
        self.collection(value, column + 1 + space, out);
    }

    /// A node whose entries or items stand at a column; the first line is already indented.
    fn collection(self, node: &NewNode, column: usize, out: &mut String) {
        match node {
            NewNode::Mapping(entries) if !entries.is_empty() => {
                for (index, (name, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        self.line(column, out);
                    }
                    self.entry(name, value, column, out);
                }
            }
            NewNode::Sequence(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.line(column, out);
                    }
                    self.item(item, column, 1, out);
                }
            }
            _ => flow(node, BLOCK, out),
        }
    }

    /// Starts a line.
    pub(super) fn line(self, column: usize, out: &mut String) {
        out.push_str(self.line_break);
        out.extend(std::iter::repeat_n(' ', column));
    }
}
