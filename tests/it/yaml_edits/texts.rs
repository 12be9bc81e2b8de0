//! Texts as people write them, with every habit that has ever tripped an editor, and edits that are legal in them.

use std::fmt::Write as _;

use prescale::overlay::yaml::{NewNode, Operation, Scalar, Step, Target};
use proptest::{collection::vec, prelude::*};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Keys, as written and as read.
const KEYS: &[(&str, &str)] = &[
    ("replicas", "replicas"),
    ("app.kubernetes.io/name", "app.kubernetes.io/name"),
    ("\"quoted\"", "quoted"),
    ("'it''s'", "it's"),
    ("\"on\"", "on"),
    ("\"8080\"", "8080"),
    ("ключ", "ключ"),
    ("a b", "a b"),
    ("x-y_z", "x-y_z"),
    ("\"tab\\there\"", "tab\there"),
    ("value", "value"),
];

/// Scalars on one line, fit for blocks and flow.
const SCALARS: &[&str] = &[
    "3",
    "-1",
    "500m",
    "\"500m\"",
    "'500m'",
    "0.5",
    "true",
    "yes",
    "0o14",
    "012",
    "2024-01-01",
    "1:30",
    "\"\"",
    "''",
    "'it''s'",
    "\"a # b\"",
    "\"\\u00e9\\n\"",
    "http://x.y:80/z&a=b#c",
    "größe",
    "\"🦀\"",
    "a b c",
    "-x",
    "1e3",
    "\"{a: 1}\"",
    "'[x]'",
    "a'b",
    "a\"b",
    "\"a\\\\\"",
    "<x>",
    "\"null\"",
];

/// Scalars for blocks alone: `¶` stands for a break and the indentation of a continuation line.
const BLOCK_SCALARS: &[&str] = &[
    "a, b [c] {d}",
    "sum(rate(x{a=\"b\"}[5m])) > 1",
    "one¶two",
    "one¶¶two¶ three",
    "\"one¶two\"",
    "\"one \\¶two\"",
    "'one¶¶two'",
    "one # two¶",
];

const HEADERS: &[&str] = &["|", "|-", "|+", ">", ">-", ">+", "|2", "|2-", "|1+"];

const LINES: &[&str] = &["text", "# no comment", "key: value", "", "  more", "- item", "\ttab", "   ", "trailing  ", "é", "'\""];

/// A value to be written in some style.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Scalar(usize),
    BlockScalar(usize),
    /// Header and lines.
    Lines(usize, Vec<usize>),
    /// Nothing, `~` or `null`.
    Null(u8),
    Mapping(bool, Vec<(usize, Shape)>),
    Sequence(bool, Vec<Shape>),
    /// A patch in a scalar; in one of a few styles.
    Held(u8, Box<Shape>),
}

/// A text and what to do in it.
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
#[derive(Clone, Debug)]
pub(super) struct Case {
    documents: Vec<Shape>,
    json: bool,
    bom: bool,
    breaks: u8,
    ended: bool,
    anchors: bool,
    step: usize,
    dash: usize,
    seed: u64,
    picks: Vec<(u32, u8)>,
}

/// Any case.
pub(super) fn case() -> impl Strategy<Value = Case> {
    let look = (prop::bool::weighted(0.1), prop::bool::weighted(0.1), 0..4_u8, prop::bool::weighted(0.7), prop::bool::weighted(0.2));
    let indents = (1..6_usize, 0..4_usize, any::<u64>());
    (vec(root(), 1..4), look, indents, vec((any::<u32>(), any::<u8>()), 1..5)).prop_map(|(documents, look, indents, picks)| Case {
        documents,
        json: look.0,
        bom: look.1,
        breaks: look.2,
        ended: look.3,
        anchors: look.4,
        step: indents.0,
        dash: indents.1.min(indents.0),
        seed: indents.2,
        picks,
    })
}

fn root() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        6 => (0..SCALARS.len()).prop_map(Shape::Scalar),
        2 => (0..BLOCK_SCALARS.len()).prop_map(Shape::BlockScalar),
        2 => (0..HEADERS.len(), vec(0..LINES.len(), 0..4)).prop_map(|(header, lines)| Shape::Lines(header, lines)),
        2 => (0..4_u8).prop_map(Shape::Null),
    ];
    let nested = leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            4 => (prop::bool::weighted(0.25), entries(inner.clone(), 0)).prop_map(|(flow, entries)| Shape::Mapping(flow, entries)),
            3 => (prop::bool::weighted(0.25), vec(inner.clone(), 0..4)).prop_map(|(flow, items)| Shape::Sequence(flow, items)),
            1 => (0..6_u8, entries(inner, 1)).prop_map(|(style, entries)| Shape::Held(style, Box::new(Shape::Mapping(false, entries)))),
        ]
    });
    prop_oneof![
        5 => (prop::bool::weighted(0.1), entries(nested.clone(), 1)).prop_map(|(flow, entries)| Shape::Mapping(flow, entries)),
        1 => (prop::bool::weighted(0.1), vec(nested, 1..4)).prop_map(|(flow, items)| Shape::Sequence(flow, items)),
    ]
}

fn entries(inner: impl Strategy<Value = Shape>, least: usize) -> impl Strategy<Value = Vec<(usize, Shape)>> {
    vec((0..KEYS.len(), inner), least..5).prop_map(|mut entries| {
        let mut seen = Vec::new();
        entries.retain(|(key, _)| {
            !seen.contains(key) && {
                seen.push(*key);
                true
            }
        });
        entries
    })
}

impl Case {
    /// The text.
    pub(super) fn text(&self) -> String {
        let mut writer = Writer {
            step: self.step,
            dash: self.dash,
            json: self.json,
            comments: true,
            random: ChaCha8Rng::seed_from_u64(self.seed),
            out: String::new(),
        };
        for (index, document) in self.documents().iter().enumerate() {
            if index > 0 || (!self.json && writer.chance(0.3)) {
                let ended = index > 0 && writer.chance(0.2);
                writer.out.push_str(if ended { "...\n---" } else { "---" });
                writer.end_of_line();
            }
            match document {
                Shape::Mapping(false, entries) if !self.json => {
                    if self.anchors {
                        writer.out.push_str("base: &base {x: 1}\nuser: *base\n");
                    }
                    writer.mapping(entries, 0, false);
                }
                Shape::Sequence(false, items) if !self.json => writer.sequence(items, 0, false),
                flow => {
                    writer.flow(flow, 0);
                    writer.end_of_line();
                }
            }
        }
        let mut text = writer.out;
        if !self.ended && text.ends_with('\n') {
            text.pop();
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let text = match self.breaks {
            0 => text.replace('\n', "\r\n"),
            1 => text
                .split_inclusive('\n')
                .map(|line| if random.random_bool(0.5) { line.replace('\n', "\r\n") } else { line.to_owned() })
                .collect(),
            _ => text,
        };
        if self.bom { format!("\u{feff}{text}") } else { text }
    }

    /// One document in JSON; else all.
    fn documents(&self) -> &[Shape] {
        if self.json { &self.documents[..1] } else { &self.documents }
    }

    /// Operations that are legal, and do not get in each other's way.
    pub(super) fn operations(&self) -> Vec<Operation> {
        let mut possible = Vec::new();
        for (document, shape) in self.documents().iter().enumerate() {
            let root = Target { document, path: Vec::new(), inner: None };
            targets(shape, &root, self.json, &mut possible);
        }
        let mut chosen: Vec<Operation> = Vec::new();
        for (serial, (pick, value)) in self.picks.iter().enumerate() {
            let (kind, at) = possible[*pick as usize % possible.len()].clone();
            let operation = match kind {
                Kind::Set => Operation::Set { at, to: scalar(*value) },
                Kind::Insert => Operation::Insert {
                    at,
                    key: format!("{}{serial}", ["new", "on ", "é", "a.b/", "#"][usize::from(*value) % 5]),
                    value: node(*value),
                },
                Kind::Append => Operation::Append { at, value: node(*value) },
                Kind::Remove => Operation::Remove { at },
            };
            if !chosen.iter().any(|other| clash(other, &operation) || clash(&operation, other)) {
                chosen.push(operation);
            }
        }
        chosen
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Set,
    Insert,
    Append,
    Remove,
}

/// Whether two operations cannot both be carried out.
fn clash(a: &Operation, b: &Operation) -> bool {
    let (x, y) = (a.at(), b.at());
    match (a, b) {
        (Operation::Remove { .. }, _) if x.document == y.document => match (&x.inner, &y.inner) {
            (None, _) => y.path.starts_with(&x.path),
            (Some(x_inner), Some(y_inner)) => x.path == y.path && x_inner.0 == y_inner.0 && y_inner.1.starts_with(&x_inner.1),
            (Some(_), None) => false,
        },
        (Operation::Set { .. }, _) => x == y || (x.inner.is_none() && y.inner.is_some() && (x.document, &x.path) == (y.document, &y.path)),
        (Operation::Insert { .. }, Operation::Append { .. }) => x == y,
        _ => false,
    }
}

/// What can be done in a shape.
fn targets(shape: &Shape, at: &Target, flow: bool, out: &mut Vec<(Kind, Target)>) {
    let below = |step: Step| {
        let mut at = at.clone();
        at.inner.as_mut().map_or(&mut at.path, |(_, path)| path).push(step);
        at
    };
    let is_root = at.inner.as_ref().map_or(&at.path, |(_, path)| path).is_empty();
    if !is_root {
        out.push((Kind::Remove, at.clone()));
    }
    match shape {
        Shape::Scalar(_) | Shape::BlockScalar(_) | Shape::Lines(..) => out.push((Kind::Set, at.clone())),
        Shape::Null(_) => out.extend([Kind::Set, Kind::Insert, Kind::Append].map(|kind| (kind, at.clone()))),
        Shape::Mapping(style, entries) => {
            out.push((Kind::Insert, at.clone()));
            for (key, value) in entries {
                targets(value, &below(Step::Key(KEYS[*key].1.to_owned())), flow || *style, out);
            }
        }
        Shape::Sequence(style, items) => {
            out.push((Kind::Append, at.clone()));
            for (index, item) in items.iter().enumerate() {
                targets(item, &below(Step::Index(index)), flow || *style, out);
            }
        }
        Shape::Held(..) if at.inner.is_some() || flow => out.push((Kind::Set, at.clone())),
        Shape::Held(style, inner) => {
            out.push((Kind::Set, at.clone()));
            // More often than its share: patches matter.
            for _ in 0..3 {
                targets(inner, &Target { inner: Some((0, Vec::new())), ..at.clone() }, *style > 2, out);
            }
        }
    }
}

fn scalar(value: u8) -> Scalar {
    match value % 9 {
        0 => Scalar::Int(i64::from(value)),
        1 => Scalar::Bool(value.is_multiple_of(2)),
        2 => Scalar::Text("250m".to_owned()),
        3 => Scalar::Text("2".to_owned()),
        4 => Scalar::Text("yes".to_owned()),
        5 => Scalar::Text("it's: \"x\" # y".to_owned()),
        6 => Scalar::Text("a, [b]".to_owned()),
        7 => Scalar::Text("0 8 * * 1-5".to_owned()),
        _ => Scalar::Int(-7),
    }
}

fn node(value: u8) -> NewNode {
    let leaf = |value| NewNode::Scalar(scalar(value));
    match value % 7 {
        0 => NewNode::Mapping(vec![(
            "limits".to_owned(),
            NewNode::Mapping(vec![("cpu".to_owned(), leaf(value)), ("no".to_owned(), leaf(3))]),
        )]),
        1 => NewNode::Sequence(vec![
            leaf(value),
            NewNode::Mapping(vec![("a".to_owned(), leaf(4)), ("b".to_owned(), NewNode::Sequence(vec![leaf(2)]))]),
        ]),
        2 if value.is_multiple_of(2) => NewNode::Mapping(Vec::new()),
        2 => NewNode::Sequence(Vec::new()),
        _ => leaf(value),
    }
}

struct Writer {
    step: usize,
    dash: usize,
    json: bool,
    comments: bool,
    random: ChaCha8Rng,
    out: String,
}

impl Writer {
    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    fn spaces(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n(' ', count));
    }

    /// Ends a line, perhaps with blanks or a comment.
    fn end_of_line(&mut self) {
        if self.comments && !self.json && self.chance(0.2) {
            let serial = self.out.len();
            write!(self.out, " # it's \"{serial}\": {{x}}").unwrap();
        } else if self.chance(0.05) {
            self.out.push_str("  ");
        }
        self.out.push('\n');
    }

    /// Perhaps a blank line or a comment between entries.
    fn between(&mut self, column: usize) {
        if self.chance(0.1) {
            self.out.push('\n');
        }
        if self.comments && self.chance(0.1) {
            let serial = self.out.len();
            self.spaces(column);
            writeln!(self.out, "# - about {serial}").unwrap();
        }
    }

    fn mapping(&mut self, entries: &[(usize, Shape)], column: usize, inline: bool) {
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 || !inline {
                self.between(column);
                self.spaces(column);
            }
            self.out.push_str(KEYS[*key].0);
            let colon = if self.chance(0.05) { " :" } else { ":" };
            self.out.push_str(colon);
            self.value(value, column, true);
        }
    }

    fn sequence(&mut self, items: &[Shape], column: usize, inline: bool) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 || !inline {
                self.between(column);
                self.spaces(column);
            }
            self.out.push('-');
            self.value(item, column, false);
        }
    }

    /// What follows a colon or a dash, to the end of the line.
    fn value(&mut self, shape: &Shape, column: usize, after_colon: bool) {
        let space = if self.chance(0.1) { 3 } else { 1 };
        match shape {
            Shape::Null(0 | 1) => self.end_of_line(),
            Shape::Mapping(false, entries) if !entries.is_empty() => {
                if after_colon || self.chance(0.1) {
                    self.end_of_line();
                    self.mapping(entries, column + self.step, false);
                } else {
                    self.spaces(space);
                    self.mapping(entries, column + 1 + space, true);
                }
            }
            Shape::Sequence(false, items) if !items.is_empty() => {
                if after_colon || self.chance(0.1) {
                    self.end_of_line();
                    let dash = if after_colon { self.dash } else { self.step };
                    self.sequence(items, column + dash, false);
                } else {
                    self.spaces(space);
                    self.sequence(items, column + 1 + space, true);
                }
            }
            Shape::BlockScalar(index) => {
                self.spaces(space);
                let continuation = format!("\n{}", " ".repeat(column + self.step));
                let text = BLOCK_SCALARS[*index].trim_end_matches('¶').replace("¶¶", "\n¶").replace('¶', &continuation);
                self.out.push_str(&text);
                self.end_of_line();
            }
            Shape::Lines(header, lines) => {
                self.spaces(space);
                let header = HEADERS[*header];
                self.out.push_str(header);
                self.end_of_line();
                let explicit = header[1..].trim_matches(['+', '-']).parse().ok();
                let indent = column + explicit.unwrap_or(self.step);
                for (index, line) in lines.iter().enumerate() {
                    let line = LINES[*line];
                    // Without an indicator the first line tells the indentation.
                    let line = if index == 0 && explicit.is_none() && line.trim() != line || line.starts_with('\t') && index == 0 {
                        "first"
                    } else {
                        line
                    };
                    let line = if index == 0 && line.is_empty() { "first" } else { line };
                    if !line.is_empty() {
                        self.spaces(indent);
                    }
                    self.out.push_str(line);
                    self.out.push('\n');
                }
            }
            Shape::Held(style, inner) => {
                self.spaces(space);
                self.held(*style, inner, column);
            }
            flow => {
                self.spaces(space);
                self.flow(flow, column + self.step);
                self.end_of_line();
            }
        }
    }

    /// A patch: YAML in a literal block, or JSON in a block or in quotes.
    fn held(&mut self, style: u8, inner: &Shape, column: usize) {
        let seed = self.random.random();
        let json = style > 2;
        let mut writer =
            Writer { step: self.step, dash: self.dash, json, comments: !json, random: ChaCha8Rng::seed_from_u64(seed), out: String::new() };
        match inner {
            Shape::Mapping(_, entries) if !json => {
                // The first line tells the indentation, so it is no blank and no comment.
                writer.out.push_str("kind: Deployment\n");
                writer.mapping(entries, 0, false);
            }
            _ => writer.flow_on(inner, 0, false),
        }
        let text = writer.out;
        match style {
            4 => write!(self.out, "'{}'", text.replace('\'', "''")).unwrap(),
            5 => self.out.push_str(&serde_json::to_string(&text).unwrap()),
            _ => {
                self.out.push_str(["|", "|-", "|+", "|-"][usize::from(style)]);
                self.end_of_line();
                for line in text.trim_end_matches('\n').split('\n') {
                    if !line.is_empty() {
                        self.spaces(column + self.step);
                    }
                    self.out.push_str(line);
                    self.out.push('\n');
                }
                return;
            }
        }
        self.end_of_line();
    }

    /// A node in flow style, on one line or on several.
    fn flow(&mut self, shape: &Shape, column: usize) {
        let lines = self.chance(0.3);
        self.flow_on(shape, column, lines);
    }

    fn flow_on(&mut self, shape: &Shape, column: usize, lines: bool) {
        match shape {
            Shape::Mapping(_, entries) => self.collection('{', '}', column, lines, entries.len(), |writer, index, column| {
                let (key, value) = &entries[index];
                if writer.json {
                    writer.out.push_str(&serde_json::to_string(KEYS[*key].1).unwrap());
                } else {
                    writer.out.push_str(KEYS[*key].0);
                }
                match value {
                    Shape::Null(0) if !writer.json => writer.out.push_str(": "),
                    value => {
                        writer.out.push_str(": ");
                        writer.flow_on(value, column, lines);
                    }
                }
            }),
            Shape::Sequence(_, items) => self.collection('[', ']', column, lines, items.len(), |writer, index, column| {
                writer.flow_on(&items[index], column, lines);
            }),
            Shape::Null(_) => self.out.push_str(if self.json { "null" } else { "~" }),
            Shape::Scalar(index) if !self.json => self.out.push_str(SCALARS[*index]),
            Shape::Scalar(index) => {
                let scalar = SCALARS[*index];
                let quoted = if scalar.starts_with('"') && !scalar.contains('\\') {
                    scalar.to_owned()
                } else {
                    serde_json::to_string(scalar).unwrap()
                };
                self.out.push_str(if ["3", "-1", "0.5", "true"].contains(&scalar) { scalar } else { &quoted });
            }
            Shape::BlockScalar(index) | Shape::Lines(index, _) => write!(self.out, "\"text {index}\"").unwrap(),
            Shape::Held(..) => self.out.push_str("\"{}\""),
        }
    }

    fn collection(
        &mut self,
        open: char,
        close: char,
        column: usize,
        lines: bool,
        count: usize,
        mut child: impl FnMut(&mut Self, usize, usize),
    ) {
        self.out.push(open);
        let padded = !lines && self.chance(0.3);
        if padded {
            self.out.push(' ');
        }
        let inner = column + self.step;
        for index in 0..count {
            if lines {
                self.end_of_line();
                self.spaces(inner);
            }
            child(self, index, inner);
            let trailing = index + 1 == count && !self.json && self.chance(0.1);
            if index + 1 < count || trailing {
                self.out.push_str(if lines || trailing { "," } else { ", " });
            }
        }
        if lines && count > 0 {
            self.end_of_line();
            self.spaces(column);
        } else if padded {
            self.out.push(' ');
        }
        self.out.push(close);
    }
}
