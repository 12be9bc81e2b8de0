//! The Component that Prescale owns: one kustomization and a patch for each object, written as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::Value as Json;

use super::fields;
use super::json_patch;
use super::merge::Lists;
use super::node::{Data, Node, Step};
use super::object::Id;
use super::schedule;
use crate::model::{Field, Part, Schedule, Value};

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

/// Writes the files of the Component for these objects, by their names; without objects there are none.
pub(super) fn write(owned: &[Owned]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    if owned.is_empty() {
        return files;
    }
    let mut entries = BTreeMap::new();
    for owned in owned {
        let id = Id::of(&owned.tree);
        let mut text = format!("{HEADER}\n");
        if needs_positions(&id, owned) {
            operations(owned, &mut text);
        } else {
            print(&merge_patch(&id, owned), 0, &mut text);
        }
        files.insert(file_name(&id), text);
        entries.insert(file_name(&id), id);
    }
    let mut text = format!("{HEADER}\napiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n");
    for (file, id) in &entries {
        // A patch with a target is passed over when its object is gone; one without would break the render. Names are regular expressions.
        let name = id.name.replace('.', "\\.");
        let target = [("group", id.group()), ("version", id.version()), ("kind", &id.kind), ("name", &name), ("namespace", &id.namespace)];
        let _ = write!(text, "  - path: {file}\n    target:\n");
        for (key, value) in target.into_iter().filter(|(_, value)| !value.is_empty()) {
            let _ = writeln!(text, "      {key}: {}", plain(value));
        }
    }
    files.insert("kustomization.yaml".to_owned(), text);
    files
}

/// A patch that sets nothing, where an object's patch has this name.
pub(super) fn idle(tree: &Rc<Node>, name: &str) -> Option<String> {
    let id = Id::of(tree);
    (file_name(&id) == name).then(|| {
        let mut text = format!("{HEADER}\n");
        print(&merge_patch(&id, &Owned { tree: tree.clone(), values: BTreeMap::new() }), 0, &mut text);
        text
    })
}

/// The file of an object's patch. Namespaces hold no `_`, kinds no `-`: two objects never share a file.
fn file_name(id: &Id) -> String {
    let namespace = if id.namespace.is_empty() { String::new() } else { format!("{}_", id.namespace) };
    format!("{namespace}{}-{}.yaml", id.kind.to_ascii_lowercase(), id.name)
}

/// Whether a merge would replace a list that a field stands in, so that it takes a JSON patch.
fn needs_positions(id: &Id, owned: &Owned) -> bool {
    let in_list =
        |field: &Field| *field == Field::Schedule || fields::parts(field, &owned.tree).iter().any(|part| matches!(part, Part::Item(_)));
    Lists::of(&id.api_version, &id.kind) == Lists::Replaced && owned.values.keys().any(in_list)
}

/// A value to print.
enum Out {
    Scalar(String),
    Map(Vec<(String, Out)>),
    List(Vec<Out>),
}

fn text(text: &str) -> Out {
    Out::Scalar(plain(text))
}

impl From<Json> for Out {
    fn from(json: Json) -> Self {
        match json {
            Json::String(string) => text(&string),
            Json::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Json::Object(entries) => Self::Map(entries.into_iter().map(|(key, value)| (key, value.into())).collect()),
            scalar => Self::Scalar(scalar.to_string()),
        }
    }
}

fn merge_patch(id: &Id, owned: &Owned) -> Out {
    let mut metadata = vec![("name".to_owned(), text(&id.name))];
    if !id.namespace.is_empty() {
        metadata.push(("namespace".to_owned(), text(&id.namespace)));
    }
    let mut patch = Out::Map(vec![
        ("apiVersion".to_owned(), text(&id.api_version)),
        ("kind".to_owned(), text(&id.kind)),
        ("metadata".to_owned(), Out::Map(metadata)),
    ]);
    for (field, value) in &owned.values {
        place(&mut patch, &fields::parts(field, &owned.tree), Some(&owned.tree), fields::write(value, None).into());
    }
    patch
}

/// Puts a value at the path of a field. A merge puts the items that a patch names first, in its order, so the items that stand before
/// the wanted one are named too.
fn place(out: &mut Out, parts: &[Part], input: Option<&Rc<Node>>, value: Out) {
    match (parts.split_first(), out) {
        (None, out) => *out = value,
        (Some((Part::Key(key), rest)), Out::Map(entries)) => {
            let at = entries.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
                let empty = if matches!(rest.first(), Some(Part::Item(_))) { Out::List(Vec::new()) } else { Out::Map(Vec::new()) };
                entries.push((key.to_string(), empty));
                entries.len() - 1
            });
            place(&mut entries[at].1, rest, input.and_then(|node| node.get(key)), value);
        }
        (Some((Part::Item(marks), rest)), Out::List(items)) => {
            let there = input.map_or(&[][..], |list| list.items());
            let Some(index) = there.iter().position(|item| fields::bears(item, marks)) else { return };
            // Kustomize merges lists of containers alone, by their names.
            while items.len() <= index {
                items.push(Out::Map(vec![("name".to_owned(), text(there[items.len()].text_at(&["name"])))]));
            }
            place(&mut items[index], rest, input.and_then(|list| list.items().get(index)), value);
        }
        _ => {}
    }
}

/// A JSON patch: positions are those of the input, and each is tested before it is used.
fn operations(owned: &Owned, page: &mut String) {
    let mut input = owned.tree.clone();
    let mut tested = BTreeSet::new();
    for (field, value) in &owned.values {
        if let Value::Schedule(schedule) = value {
            triggers(&owned.tree, schedule, page);
            continue;
        }
        let parts = fields::parts(field, &input);
        let mut steps = fields::steps(&parts, &input);
        for (index, step) in steps.iter().enumerate() {
            if let (Step::Index(_), Part::Item(marks)) = (step, &parts[index])
                && tested.insert(steps[..=index].to_vec())
            {
                for mark in marks {
                    test(&steps[..=index], mark.at, &mark.is, page);
                }
            }
        }
        // The first missing key is added with all that comes below it.
        steps.truncate(parts.len().saturating_sub(1));
        let Some(keys) = fields::keys(&parts[steps.len()..]) else { continue };
        let Some((first, below)) = keys.split_first() else { continue };
        steps.push(Step::key(first));
        let value = below.iter().rev().fold(fields::write(value, None).into(), |inner, key| Out::Map(vec![((*key).to_owned(), inner)]));
        add(&json_patch::pointer(&steps), &value, page);
        fields::put(&mut input, field, &Node::new(Data::Bool(true)));
    }
}

/// Takes away the triggers of Prescale that are there, from the last to the first, and adds those of a schedule after people's.
fn triggers(tree: &Node, schedule: &Schedule, page: &mut String) {
    for (index, trigger) in schedule::triggers(tree).iter().enumerate().rev().filter(|(_, trigger)| schedule::is_own(trigger)) {
        let steps = [Step::key("spec"), Step::key("triggers"), Step::Index(index)];
        test(&steps, &["name"], trigger.text_at(&["name"]), page);
        let _ = writeln!(page, "- op: remove\n  path: {}", json_patch::pointer(&steps));
    }
    if !schedule.is_empty() && tree.at(&["spec", "triggers"]).is_none_or(|list| list.is_null()) {
        add("/spec/triggers", &Out::List(Vec::new()), page);
    }
    for window in schedule.windows() {
        add("/spec/triggers/-", &schedule::trigger(window).into(), page);
    }
}

fn test(item: &[Step], at: &[&str], is: &str, page: &mut String) {
    let steps: Vec<Step> = item.iter().cloned().chain(at.iter().map(|key| Step::key(key))).collect();
    let _ = writeln!(page, "- op: test\n  path: {}\n  value: {}", plain(&json_patch::pointer(&steps)), plain(is));
}

fn add(pointer: &str, value: &Out, page: &mut String) {
    let _ = write!(page, "- op: add\n  path: {}\n  value:", plain(pointer));
    print_after_key(value, 4, page);
}

/// Prints a value whose first line is indented already.
fn print(out: &Out, indent: usize, page: &mut String) {
    let margin = " ".repeat(indent);
    match out {
        Out::Scalar(text) => page.push_str(text),
        Out::Map(entries) => {
            for (number, (key, value)) in entries.iter().enumerate() {
                let margin = if number == 0 { "" } else { &margin };
                let _ = write!(page, "{margin}{}:", plain(key));
                print_after_key(value, indent + 2, page);
            }
        }
        Out::List(items) => {
            for (number, item) in items.iter().enumerate() {
                page.push_str(if number == 0 { "" } else { &margin });
                page.push_str("- ");
                print(item, indent + 2, page);
            }
        }
    }
}

fn print_after_key(out: &Out, indent: usize, page: &mut String) {
    if let Out::Scalar(text) = out {
        let _ = writeln!(page, " {text}");
    } else if matches!(out, Out::List(items) if items.is_empty()) {
        page.push_str(" []\n");
    } else {
        let _ = write!(page, "\n{}", " ".repeat(indent));
        print(out, indent, page);
    }
}

/// A scalar without quotes where it reads as text all the same.
fn plain(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    // `250m`, `1Gi`: digits, then a unit that is no exponent.
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let quantity = unit.len() < text.len() && matches!(unit, "m" | "Ki" | "Mi" | "Gi" | "Ti");
    let safe = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '\\' | '~'));
    if safe && (word || quantity) { text.to_owned() } else { Json::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_would_read_as_something_else_is_quoted() {
        for (text, written) in [
            ("web", "web"),
            ("250m", "250m"),
            ("1Gi", "1Gi"),
            ("2", "\"2\""),
            ("1e3", "\"1e3\""),
            ("no", "\"no\""),
            ("007", "\"007\""),
            ("web\\.v1", "web\\.v1"),
            ("a: b", "\"a: b\""),
        ] {
            assert_eq!(plain(text), written);
        }
    }
}
