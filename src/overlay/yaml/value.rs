//! Plain values: what Kustomize (go-yaml) reads a node as.

use serde_yaml::{Mapping, Number, Value};

use super::{Node, Style, YamlError, tree::Content, tree::duplicated};
use crate::model::RefusalCode::InvalidYaml;

impl Node {
    /// The value, aliases followed and merge keys merged. The size of a text is bounded, aliases included, and so is this.
    pub fn to_value(&self) -> Result<Value, YamlError> {
        value(self)
    }
}

fn value(node: &Node) -> Result<Value, YamlError> {
    match &node.content {
        Content::Alias(target) => value(target),
        Content::Sequence(items) => items.iter().map(value).collect::<Result<_, _>>().map(Value::Sequence),
        Content::Mapping(entries) => mapping(node, entries).map(Value::Mapping),
        Content::Scalar(text) => Ok(match (node.tag(), node.style) {
            (Some("!!str" | "!"), _) => Value::String(text.clone()),
            (Some("!!int" | "!!float" | "!!bool" | "!!null"), _) | (_, Style::Plain) => plain(text),
            _ => Value::String(text.clone()),
        }),
    }
}

fn mapping(node: &Node, entries: &[(Node, Node)]) -> Result<Mapping, YamlError> {
    if let Some((key, line)) = node.duplicate_key() {
        return Err(duplicated(key, line));
    }
    let mut all = Mapping::new();
    let mut merged = Vec::new();
    for (key, it) in entries {
        let it = value(it)?;
        if is_merge(key) {
            match it {
                Value::Mapping(mapping) => merged.push(mapping),
                Value::Sequence(items) => merged.extend(items.into_iter().filter_map(|item| match item {
                    Value::Mapping(mapping) => Some(mapping),
                    _ => None,
                })),
                _ => return Err(YamlError::new(InvalidYaml, key.line(), "`<<` merges mappings only")),
            }
        } else {
            all.insert(value(key)?, it);
        }
    }
    for (key, it) in merged.into_iter().flatten() {
        all.entry(key).or_insert(it);
    }
    Ok(all)
}

/// Whether a key merges another mapping into its own.
pub(super) fn is_merge(key: &Node) -> bool {
    key.style == Style::Plain && key.as_str() == Some("<<")
}

/// What a plain scalar reads as.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Number(f64::INFINITY.into()),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Number(f64::NEG_INFINITY.into()),
        ".nan" | ".NaN" | ".NAN" => return Value::Number(f64::NAN.into()),
        _ => {}
    }
    if !text.starts_with(|it: char| it.is_ascii_digit() || matches!(it, '+' | '-' | '.')) {
        return Value::String(text.to_owned());
    }
    let digits = text.replace('_', "");
    integer(&digits).or_else(|| float(&digits)).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn integer(text: &str) -> Option<Number> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match magnitude.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &magnitude[2..]),
        [b'0', b'o' | b'O', ..] => (8, &magnitude[2..]),
        [b'0', b'b' | b'B', ..] => (2, &magnitude[2..]),
        [b'0', _, ..] => (8, &magnitude[1..]),
        _ => (10, magnitude),
    };
    if !digits.starts_with(|it: char| it.is_ascii_hexdigit()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if negative { 0_i64.checked_sub_unsigned(value).map(Number::from) } else { Some(value.into()) }
}

fn float(text: &str) -> Option<Number> {
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    (numeric && text.bytes().any(|byte| byte.is_ascii_digit())).then(|| text.parse::<f64>().ok()).flatten().map(Number::from)
}
