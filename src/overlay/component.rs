//! The Component that Prescale owns: one kustomization and a patch for each object, written as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::Value as Json;

use super::fields::{self, Part};
use super::json_patch;
use super::merge::Lists;
use super::node::{Data, Node, Step};
use super::object::Id;
use crate::model::{Field, RepoPath, Value};

/// The first line of every file that Prescale owns.
pub(super) const HEADER: &str =
    "# Written by Prescale. It rewrites this file as a whole: set values elsewhere in the overlay, and they win.";

/// What the Component sets of one object.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    /// The object where components run: before the overlay's own names and namespaces.
    pub(super) tree: Rc<Node>,
    pub(super) values: BTreeMap<Field, Value>,
}

/// The files of a Component, and where each value stands in them.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) files: BTreeMap<RepoPath, String>,
    pub(super) lines: Lines,
}

/// Object number and field -> file and line.
pub(super) type Lines = BTreeMap<(usize, Field), (RepoPath, usize)>;

/// Writes the Component at `folder` for these objects, by their number in the build.
pub(super) fn write(folder: &RepoPath, owned: &BTreeMap<usize, Owned>) -> Written {
    let mut written = Written::default();
    let mut entries = BTreeMap::new();
    for (serial, owned) in owned {
        let id = Id::of(&owned.tree);
        let name = file_name(&id);
        let mut page = Page::default();
        let by_index = owned.values.keys().any(|field| fields::parts(field).iter().any(|part| matches!(part, Part::Named(_))))
            && Lists::of(&id.api_version, &id.kind) == Lists::Replaced;
        if by_index {
            page.operations(owned);
        } else {
            page.print(&merge_patch(&id, owned), 0, false);
        }
        let Some(path) = folder.join(&name) else { continue };
        for (field, line) in page.lines {
            written.lines.insert((*serial, field), (path.clone(), line));
        }
        written.files.insert(path, page.text);
        entries.insert(name, id);
    }
    let mut text = format!("{HEADER}\napiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n");
    for (name, id) in &entries {
        // A patch with a target is passed over when its object is gone; one without would break the render.
        let _ = write!(text, "  - path: {name}\n    target:\n");
        // Targets are regular expressions.
        let name = id.name.replace('.', "\\.");
        for (key, value) in
            [("group", id.group()), ("version", id.version()), ("kind", &id.kind), ("name", &name), ("namespace", &id.namespace)]
        {
            if !value.is_empty() {
                let _ = writeln!(text, "      {key}: {}", plain(value));
            }
        }
    }
    if let Some(path) = folder.join("kustomization.yaml") {
        written.files.insert(path, text);
    }
    written
}

/// The file of an object's patch. Namespaces hold no `_`, kinds no `-`: two objects never share a file.
fn file_name(id: &Id) -> String {
    let namespace = if id.namespace.is_empty() { String::new() } else { format!("{}_", id.namespace) };
    format!("{namespace}{}-{}.yaml", id.kind.to_ascii_lowercase(), id.name)
}

/// A value to print.
enum Out {
    Scalar(String, Option<Field>),
    Map(Vec<(String, Out)>),
    List(Vec<Out>),
}

fn text(text: &str) -> Out {
    Out::Scalar(plain(text), None)
}

fn merge_patch(id: &Id, owned: &Owned) -> Out {
    let mut metadata = vec![("name".to_owned(), text(&id.name))];
    if !id.namespace.is_empty() {
        metadata.push(("namespace".to_owned(), text(&id.namespace)));
    }
    let mut top = Out::Map(vec![
        ("apiVersion".to_owned(), text(&id.api_version)),
        ("kind".to_owned(), text(&id.kind)),
        ("metadata".to_owned(), Out::Map(metadata)),
    ]);
    for (field, value) in &owned.values {
        place(&mut top, &fields::parts(field), Some(&owned.tree), leaf(field, *value));
    }
    top
}

fn leaf(field: &Field, value: Value) -> Out {
    let shown = match fields::write(value, None) {
        Json::String(text) => plain(&text),
        other => other.to_string(),
    };
    Out::Scalar(shown, Some(field.clone()))
}

/// Puts a value at the path of a field. A merge puts the items that a patch names first, in its order, so the items that stand before
/// the wanted one are named too.
fn place(out: &mut Out, parts: &[Part], input: Option<&Rc<Node>>, value: Out) {
    let Some((first, rest)) = parts.split_first() else {
        *out = value;
        return;
    };
    match first {
        Part::Key(key) => {
            let Out::Map(entries) = out else { return };
            let at = entries.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
                let empty = if matches!(rest.first(), Some(Part::Named(_))) { Out::List(Vec::new()) } else { Out::Map(Vec::new()) };
                entries.push(((*key).to_owned(), empty));
                entries.len() - 1
            });
            place(&mut entries[at].1, rest, input.and_then(|node| node.get(key)), value);
        }
        Part::Named(name) => {
            let Out::List(items) = out else { return };
            let names: Vec<&str> = input.map_or(&[][..], |list| list.items()).iter().map(|item| item.text_at(&["name"])).collect();
            let Some(index) = names.iter().position(|other| other == name) else { return };
            while items.len() <= index {
                items.push(Out::Map(vec![("name".to_owned(), text(names[items.len()]))]));
            }
            place(&mut items[index], rest, input.and_then(|list| list.items().get(index)), value);
        }
    }
}

/// Text and the lines of its values.
struct Page {
    text: String,
    lines: Vec<(Field, usize)>,
}

impl Default for Page {
    fn default() -> Self {
        Self { text: format!("{HEADER}\n"), lines: Vec::new() }
    }
}

impl Page {
    fn print(&mut self, out: &Out, indent: usize, inline: bool) {
        match out {
            Out::Scalar(text, field) => {
                if let Some(field) = field {
                    self.lines.push((field.clone(), self.text.lines().count()));
                }
                self.text.push(' ');
                self.text.push_str(text);
                self.text.push('\n');
            }
            Out::Map(entries) => {
                for (number, (key, value)) in entries.iter().enumerate() {
                    if number > 0 || !inline {
                        self.text.push_str(&" ".repeat(indent));
                    }
                    self.text.push_str(&plain(key));
                    self.text.push(':');
                    if !matches!(value, Out::Scalar(..)) {
                        self.text.push('\n');
                    }
                    self.print(value, indent + 2, false);
                }
            }
            Out::List(items) => {
                for item in items {
                    self.text.push_str(&" ".repeat(indent));
                    self.text.push_str("- ");
                    self.print(item, indent + 2, true);
                }
            }
        }
    }

    /// A JSON patch: positions are those of the input, and each is tested before it is used.
    fn operations(&mut self, owned: &Owned) {
        let mut input = owned.tree.clone();
        let mut tested = BTreeSet::new();
        for (field, value) in &owned.values {
            let parts = fields::parts(field);
            let (steps, present) = fields::steps(field, &input);
            for (index, step) in steps.iter().enumerate() {
                if let (Step::Index(_), Part::Named(name)) = (step, &parts[index])
                    && tested.insert(steps[..=index].to_vec())
                {
                    let pointer = json_patch::pointer(&steps[..=index]);
                    let _ = writeln!(self.text, "- op: test\n  path: {pointer}/name\n  value: {}", plain(name));
                }
            }
            // The first missing key is added with all that comes below it.
            let present = present.min(parts.len() - 1);
            let Some(keys) = fields::keys(field, present) else { continue };
            let mut path = steps[..present].to_vec();
            path.push(Step::key(keys[0]));
            let _ = write!(self.text, "- op: add\n  path: {}\n  value:", json_patch::pointer(&path));
            let nested = keys[1..].iter().rev().fold(leaf(field, *value), |inner, key| Out::Map(vec![((*key).to_owned(), inner)]));
            if !matches!(nested, Out::Scalar(..)) {
                self.text.push('\n');
            }
            self.print(&nested, 4, false);
            fields::put(&mut input, field, &Node::new(Data::Bool(true)));
        }
    }
}

/// A scalar without quotes where it reads as text all the same.
fn plain(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    // `250m`, `1Gi`: digits, then a unit that is no exponent.
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let quantity = digits.len() < text.len() && matches!(digits, "m" | "Ki" | "Mi" | "Gi" | "Ti");
    let safe = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '\\' | '$'));
    if safe && (word || quantity) { text.to_owned() } else { Json::from(text).to_string() }
}
