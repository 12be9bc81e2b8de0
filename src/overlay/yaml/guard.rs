//! What is refused before anything is looked up: bytes that are not text, templates, encrypted files.

use super::{Node, Stream, Style, YamlError, lines, tree::Content};
use crate::model::RefusalCode::{Encrypted, InvalidYaml, Templated, Unsupported};

/// The largest text that is read, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// The bytes as text, if they are UTF-8 without control characters.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, YamlError> {
    if bytes.len() > MAX_BYTES {
        return Err(YamlError::new(Unsupported, 1, format!("the file is larger than {} MiB", MAX_BYTES >> 20)));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| YamlError::new(InvalidYaml, lines::number(bytes, error.valid_up_to()), "the file is not UTF-8"))?;
    match bytes.iter().position(|byte| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) {
        Some(at) => Err(YamlError::new(InvalidYaml, lines::number(bytes, at), "a control character")),
        None => Ok(text),
    }
}

/// Refuses templates and encrypted files.
pub(super) fn editable(text: &str, stream: &Stream) -> Result<(), YamlError> {
    if text.contains("ENC[") || text.contains("sops") {
        for root in stream.documents() {
            let sealed = root.get("sops").filter(|sops| sops.get("mac").is_some());
            if let Some(node) = sealed.or_else(|| find(root, &|node| node.as_str().is_some_and(|text| text.starts_with("ENC[")))) {
                return Err(YamlError::new(Encrypted, node.line(), "encrypted with SOPS: any edit would break its checksum"));
            }
        }
    }
    if text.contains("{{") {
        for root in stream.documents() {
            if let Some(node) = find(root, &is_template) {
                return Err(YamlError::new(Templated, node.line(), "the file holds `{{ }}` templates; edit what they are rendered from"));
            }
        }
    }
    Ok(())
}

/// Whether a node is an unquoted `{{ }}`, which reads as a mapping that is the key of a mapping. In a scalar braces are text: an alert, a rule, an
/// address that is filled in later. Only a scalar that is itself to be set must be without them.
fn is_template(node: &Node) -> bool {
    match &node.content {
        Content::Mapping(entries) => {
            node.style == Style::Flow && entries.first().is_some_and(|(key, _)| key.is_mapping() && key.span.start == node.span.start + 1)
        }
        _ => false,
    }
}

/// The first node, from the top, that passes a test.
fn find<'n>(node: &'n Node, test: &dyn Fn(&Node) -> bool) -> Option<&'n Node> {
    if test(node) {
        return Some(node);
    }
    let in_entries = node.entries().iter().find_map(|(key, value)| find(key, test).or_else(|| find(value, test)));
    in_entries.or_else(|| node.items().iter().find_map(|item| find(item, test)))
}
