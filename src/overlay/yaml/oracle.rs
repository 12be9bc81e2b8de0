//! The check after every edit, by a second parser (libyaml): the new text must mean what the operations make of the old one, and differ from it
//! in the planned spans alone. Nothing here knows how the edit was planned.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor},
};

use super::{NewNode, Operation, Scalar, Step, Stream, Target, YamlError, lines, splice::Splice};
use crate::model::RefusalCode::{InvalidYaml, OracleFailed};

/// Compares a new text with the planned one.
pub(super) fn check(old: &str, new: &str, splices: &[Splice], operations: &[Operation]) -> Result<(), YamlError> {
    if let Some(line) = stray(old, new, splices) {
        return Err(YamlError::new(OracleFailed, line, "the edit would change bytes outside of its places"));
    }
    let mut planned = read(old, InvalidYaml)?;
    apply(&mut planned, operations).ok_or_else(|| YamlError::new(OracleFailed, 1, "a second parser does not find the edited place"))?;
    let found = read(new, OracleFailed)?;
    if planned.len() != found.len() || Stream::of(new, 1)?.documents().len() != planned.len() {
        return Err(YamlError::new(OracleFailed, 1, "the edit would change the number of documents"));
    }
    match planned.iter().zip(&found).position(|(planned, found)| !planned.is(found)) {
        None => Ok(()),
        Some(document) => Err(YamlError::new(OracleFailed, 1, format!("read again, document {document} would not say what was planned"))),
    }
}

/// The line of the first byte that differs outside of the splices.
fn stray(old: &str, new: &str, splices: &[Splice]) -> Option<usize> {
    let (old, new) = (old.as_bytes(), new.as_bytes());
    let line = |at: usize| Some(lines::number(old, at));
    let (mut in_old, mut in_new) = (0, 0);
    for splice in splices {
        let kept = splice.span.start.checked_sub(in_old);
        let same = kept.is_some_and(|kept| new.get(in_new..in_new + kept) == old.get(in_old..in_old + kept));
        if !same {
            return line(in_old);
        }
        in_new += kept.unwrap_or(0) + splice.text.len();
        in_old = splice.span.end;
    }
    if new.get(in_new..) == old.get(in_old..) { None } else { line(in_old.min(old.len())) }
}

/// A plain value. Duplicate keys are kept, so that they can be compared.
#[derive(Clone, Debug, PartialEq)]
enum Plain {
    Null,
    Bool(bool),
    Int(i128),
    Float(u64),
    Text(String),
    Sequence(Vec<Plain>),
    Mapping(Vec<(Plain, Plain)>),
    Tagged(String, Box<Plain>),
    /// A text by what it says when it is read as YAML, and by how many line breaks it ends with, if that is to stay.
    Held(Vec<Plain>, Option<usize>),
}

impl Plain {
    fn is(&self, found: &Plain) -> bool {
        match (self, found) {
            (Self::Held(planned, breaks), Self::Text(text)) => {
                let same = |found: Vec<Plain>| planned.len() == found.len() && planned.iter().zip(&found).all(|(a, b)| a.is(b));
                breaks.is_none_or(|breaks| breaks == final_breaks(text)) && read(text, OracleFailed).is_ok_and(same)
            }
            (Self::Sequence(a), Self::Sequence(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is(b)),
            (Self::Mapping(a), Self::Mapping(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((key, value), (other, found))| key == other && value.is(found))
            }
            (Self::Tagged(tag, a), Self::Tagged(other, b)) => tag == other && a.is(b),
            _ => self == found,
        }
    }

    fn says(&self, key: &str) -> bool {
        match self {
            Self::Text(text) => text == key,
            Self::Int(value) => value.to_string() == key,
            Self::Bool(value) => value.to_string() == key,
            _ => false,
        }
    }

    fn child(&mut self, step: &Step) -> Option<&mut Plain> {
        match (self, step) {
            (Self::Mapping(entries), Step::Key(key)) => entries.iter_mut().find(|(it, _)| it.says(key)).map(|(_, value)| value),
            (Self::Sequence(items), Step::Index(index)) => items.get_mut(*index),
            _ => None,
        }
    }

    fn at(&mut self, path: &[Step]) -> Option<&mut Plain> {
        path.iter().try_fold(self, Plain::child)
    }
}

impl From<&Scalar> for Plain {
    fn from(scalar: &Scalar) -> Self {
        match scalar {
            Scalar::Int(value) => Self::Int((*value).into()),
            Scalar::Bool(value) => Self::Bool(*value),
            Scalar::Text(value) => Self::Text(value.clone()),
        }
    }
}

impl From<&NewNode> for Plain {
    fn from(node: &NewNode) -> Self {
        match node {
            NewNode::Scalar(scalar) => scalar.into(),
            NewNode::Mapping(entries) => {
                Self::Mapping(entries.iter().map(|(key, value)| (Self::Text(key.clone()), value.into())).collect())
            }
            NewNode::Sequence(items) => Self::Sequence(items.iter().map(Self::from).collect()),
        }
    }
}

/// Applies operations to plain values. Removals come last, from the end, since all paths are those of the old text.
fn apply(documents: &mut [Plain], operations: &[Operation]) -> Option<()> {
    for operation in operations {
        let Target { document, path, inner } = operation.at();
        let mut node = documents.get_mut(*document)?.at(path)?;
        if let Some((document, path)) = inner {
            if let Plain::Text(text) = node {
                *node = Plain::Held(read(text, OracleFailed).ok()?, Some(final_breaks(text)));
            }
            let Plain::Held(held, breaks) = node else { return None };
            // With its last lines, a text may lose or uncover blank ones.
            *breaks = breaks.filter(|_| !matches!(operation, Operation::Remove { .. }));
            node = held.get_mut(*document)?.at(path)?;
        }
        match operation {
            Operation::Set { to, .. } => *node = to.into(),
            Operation::Insert { key, value, .. } => {
                if *node == Plain::Null {
                    *node = Plain::Mapping(Vec::new());
                }
                let Plain::Mapping(entries) = node else { return None };
                entries.push((Plain::Text(key.clone()), value.into()));
            }
            Operation::Append { value, .. } => {
                if *node == Plain::Null {
                    *node = Plain::Sequence(Vec::new());
                }
                let Plain::Sequence(items) = node else { return None };
                items.push(value.into());
            }
            Operation::Remove { .. } => {}
        }
    }
    let mut removed: Vec<&Target> = operations.iter().filter(|it| matches!(it, Operation::Remove { .. })).map(Operation::at).collect();
    removed.sort_by(|a, b| b.cmp(a));
    for Target { document, path, inner } in removed {
        let document = documents.get_mut(*document)?;
        match inner {
            None => remove(document, path)?,
            Some((inside, inner)) => match document.at(path)? {
                Plain::Held(held, _) => remove(held.get_mut(*inside)?, inner)?,
                _ => return None,
            },
        }
    }
    Some(())
}

fn remove(document: &mut Plain, path: &[Step]) -> Option<()> {
    let (last, above) = path.split_last()?;
    match (document.at(above)?, last) {
        (Plain::Mapping(entries), Step::Key(key)) => {
            let index = entries.iter().position(|(it, _)| it.says(key))?;
            entries.remove(index);
        }
        (Plain::Sequence(items), Step::Index(index)) if *index < items.len() => {
            items.remove(*index);
        }
        _ => return None,
    }
    Some(())
}

fn final_breaks(text: &str) -> usize {
    text.len() - text.trim_end_matches('\n').len()
}

/// Reads a text with libyaml.
fn read(text: &str, code: crate::model::RefusalCode) -> Result<Vec<Plain>, YamlError> {
    let read = |document| {
        Plain::deserialize(document).map_err(|error: serde_yaml::Error| {
            let line = error.location().map_or(1, |location| location.line());
            YamlError::new(code, line, format!("a second parser does not accept it: {error}"))
        })
    };
    serde_yaml::Deserializer::from_str(text.trim_start_matches(lines::BOM)).map(read).collect()
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain::Null)
    }

    fn visit_none<E>(self) -> Result<Plain, E> {
        Ok(Plain::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Plain, D::Error> {
        Plain::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Plain, E> {
        Ok(Plain::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Plain, E> {
        Ok(Plain::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Plain, E> {
        Ok(Plain::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Plain, E> {
        Ok(Plain::Int(value))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Plain, E> {
        i128::try_from(value).map(Plain::Int).map_err(|_| E::custom("an integer beyond 127 bits"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Plain, E> {
        Ok(Plain::Float(value.to_bits()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Plain, E> {
        Ok(Plain::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Plain, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Plain::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Plain, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Plain::Mapping(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Plain, A::Error> {
        let (tag, value) = access.variant::<String>()?;
        Ok(Plain::Tagged(tag, Box::new(value.newtype_variant()?)))
    }
}
