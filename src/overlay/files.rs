//! The files of a commit, parsed once, with edits on top.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::Number;
use serde_yaml::Value;

use super::node::{Data, Node, Origin, Source, Step};
use super::yaml::{self, Content, Stream, YamlError};
use crate::model::{Entry, Refusal, RefusalCode, RepoPath, Tree};

/// A commit's files, with some of them replaced.
#[derive(Debug)]
pub(super) struct Files<'a> {
    tree: &'a Tree,
    /// Edited files, and deleted ones.
    over: Edits,
    below: Option<&'a Files<'a>>,
    parsed: RefCell<BTreeMap<RepoPath, Rc<Parsed>>>,
    /// Inline patches, by the scalar that holds them.
    inner: RefCell<BTreeMap<Scalar, Documents>>,
}

/// What becomes of files: their new bytes, or nothing at all.
pub(super) type Edits = BTreeMap<RepoPath, Option<Arc<[u8]>>>;

/// The roots of a file's documents.
pub(super) type Documents = Rc<[Rc<Node>]>;

/// A scalar: its file, document and path.
type Scalar = (RepoPath, usize, Vec<Step>);

/// The spans are missing where only the lenient parser reads the file.
type Parsed = Result<(Option<Stream>, Documents), Refusal>;

/// What a path holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    File,
    Folder,
    /// A file that was not read.
    Unread,
    /// A link, or something behind one.
    Symlink,
    Submodule,
    Nothing,
}

impl<'a> Files<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, over: BTreeMap::new(), below: None, parsed: RefCell::default(), inner: RefCell::default() }
    }

    /// The same files with some replaced; what is unchanged is not parsed again.
    pub(super) fn with(&'a self, over: Edits) -> Self {
        Self { tree: self.tree, over, below: Some(self), parsed: RefCell::default(), inner: RefCell::default() }
    }

    pub(super) fn tree(&self) -> &'a Tree {
        self.tree
    }

    pub(super) fn find(&self, path: &RepoPath) -> Found {
        if let Some(edited) = self.over.get(path) {
            return if edited.is_some() { Found::File } else { Found::Nothing };
        }
        if let Some(below) = self.below {
            let written = || self.over.iter().any(|(file, edited)| edited.is_some() && file.is_under(path));
            return match below.find(path) {
                Found::Nothing if written() => Found::Folder,
                // Git keeps no folder without a file.
                Found::Folder if !written() && self.tree.under(path).all(|(file, _)| self.over.contains_key(file)) => Found::Nothing,
                found => found,
            };
        }
        match self.tree.get(path) {
            Some(Entry::File { .. }) => Found::File,
            Some(Entry::Unread) => Found::Unread,
            Some(Entry::Symlink { .. }) => Found::Symlink,
            Some(Entry::Submodule) => Found::Submodule,
            None if self.tree.is_folder(path) => Found::Folder,
            None => self.behind(path),
        }
    }

    /// What stands on the way to a path that is not there.
    fn behind(&self, path: &RepoPath) -> Found {
        let mut folder = path.parent();
        while folder != RepoPath::root() {
            match self.tree.get(&folder) {
                Some(Entry::Symlink { .. }) => return Found::Symlink,
                Some(Entry::Submodule) => return Found::Submodule,
                Some(_) => return Found::Nothing,
                None => folder = folder.parent(),
            }
        }
        Found::Nothing
    }

    pub(super) fn bytes(&self, path: &RepoPath) -> Option<&Arc<[u8]>> {
        match (self.over.get(path), self.below) {
            (Some(edited), _) => edited.as_ref(),
            (None, Some(below)) => below.bytes(path),
            (None, None) => self.tree.bytes(path),
        }
    }

    /// The documents of a file.
    pub(super) fn documents(&self, path: &RepoPath) -> Result<Documents, Refusal> {
        match &*self.parse(path) {
            Ok((_, documents)) => Ok(documents.clone()),
            Err(refusal) => Err(refusal.clone()),
        }
    }

    fn parse(&self, path: &RepoPath) -> Rc<Parsed> {
        if let Some(below) = self.below
            && !self.over.contains_key(path)
        {
            return below.parse(path);
        }
        if let Some(parsed) = self.parsed.borrow().get(path) {
            return parsed.clone();
        }
        let parsed = Rc::new(self.parse_anew(path));
        self.parsed.borrow_mut().insert(path.clone(), parsed.clone());
        parsed
    }

    fn parse_anew(&self, path: &RepoPath) -> Parsed {
        let Some(bytes) = self.bytes(path) else {
            return Err(Refusal::at(RefusalCode::DoesNotRender, path, None, format!("`{path}` cannot be read")));
        };
        let stream = match Stream::parse(bytes) {
            Ok(stream) => stream,
            // What Kustomize's parser lets pass is read all the same; nothing in it has a place to edit.
            Err(error) => return lenient(bytes).map(|documents| (None, documents)).ok_or_else(|| refusal(path, error)),
        };
        let documents = stream
            .documents()
            .iter()
            .enumerate()
            .map(|(number, root)| convert(root, Source::new(path.clone(), number, None), None))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| refusal(path, error))?;
        Ok((Some(stream), documents.into()))
    }

    /// The documents inside a scalar: an inline patch.
    pub(super) fn embedded(&self, node: &Node) -> Result<Documents, Refusal> {
        let Some(origin) = &node.origin else {
            let text = node.as_text().unwrap_or_default();
            return Err(Refusal::new(RefusalCode::Unsupported, format!("the patch `{text}` has no place in a file")));
        };
        if let Some(below) = self.below
            && !self.over.contains_key(origin.file())
        {
            return below.embedded(node);
        }
        let key = (origin.file().clone(), origin.source.document, origin.steps());
        if let Some(documents) = self.inner.borrow().get(&key) {
            return Ok(documents.clone());
        }
        let documents = self.embedded_anew(origin)?;
        self.inner.borrow_mut().insert(key, documents.clone());
        Ok(documents)
    }

    fn embedded_anew(&self, origin: &Origin) -> Result<Documents, Refusal> {
        let parsed = self.parse(origin.file());
        let stream = match &*parsed {
            Ok((stream, _)) => stream.as_ref().map_or(&[][..], Stream::documents),
            Err(refusal) => return Err(refusal.clone()),
        };
        let lost = || Refusal {
            code: RefusalCode::EmbeddedPatch,
            place: Some(origin.place()),
            detail: "the patch is written in a way that cannot be followed".to_owned(),
        };
        let steps = origin.steps();
        let scalar = steps.iter().try_fold(stream.get(origin.source.document).ok_or_else(lost)?, |node, step| {
            match step {
                Step::Key(key) => node.get(key),
                Step::Index(index) => node.items().get(*index),
            }
            .ok_or_else(lost)
        })?;
        let scalar = scalar.resolved();
        let inner = scalar.embedded().map_err(|error| refusal(origin.file(), error))?;
        // In quotes, all of it stands on one line.
        let line = (!scalar.is_block()).then(|| scalar.line());
        inner
            .documents()
            .iter()
            .enumerate()
            .map(|(number, root)| {
                let source = Source::new(origin.file().clone(), origin.source.document, Some((steps.clone(), number)));
                convert(root, source, line)
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Into::into)
            .map_err(|error| refusal(origin.file(), error))
    }
}

/// The documents of a text that breaks a rule of YAML which libyaml, and so Kustomize, does not check.
fn lenient(bytes: &[u8]) -> Option<Documents> {
    let read = |document| Value::deserialize(document).ok().and_then(|value| unplaced(&value));
    serde_yaml::Deserializer::from_slice(bytes).map(read).collect()
}

fn unplaced(value: &Value) -> Option<Rc<Node>> {
    Some(Node::new(match value {
        Value::Null => Data::Null,
        Value::Bool(flag) => Data::Bool(*flag),
        Value::Number(number) => number_of(number).map_or_else(|| Data::Text(number.to_string()), Data::Number),
        Value::String(text) => Data::Text(text.clone()),
        Value::Sequence(items) => Data::List(items.iter().map(unplaced).collect::<Option<_>>()?),
        Value::Mapping(entries) => {
            Data::Map(entries.iter().map(|(key, value)| Some((key.as_str()?.into(), unplaced(value)?))).collect::<Option<_>>()?)
        }
        Value::Tagged(_) => return None,
    }))
}

/// A YAML error as a refusal.
pub(super) fn refusal(path: &RepoPath, error: YamlError) -> Refusal {
    Refusal::at(error.code, path, error.line, error.detail)
}

/// How many nodes a document may grow to when its aliases are followed.
const MAX_NODES: usize = 200_000;

/// Origins need the finished table of places, so a document is numbered first and built then. Its nodes stand on their own lines, unless
/// all stand on one.
fn convert(root: &yaml::Node, mut source: Source, line: Option<usize>) -> Result<Rc<Node>, YamlError> {
    number(root, &mut source, 0, Step::Index(0), line);
    let mut builder = Builder { source: Rc::new(source), next: 0, budget: MAX_NODES };
    builder.build(root)
}

fn number(node: &yaml::Node, source: &mut Source, parent: u32, step: Step, line: Option<usize>) {
    let me = source.note(parent, step, line.unwrap_or(node.line()));
    for (key, value) in node.entries() {
        number(value, source, me, Step::key(key.resolved().as_str().unwrap_or_default()), line);
    }
    for (index, item) in node.items().iter().enumerate() {
        number(item, source, me, Step::Index(index), line);
    }
}

struct Builder {
    source: Rc<Source>,
    /// The number of the next node.
    next: u32,
    budget: usize,
}

impl Builder {
    fn build(&mut self, node: &yaml::Node) -> Result<Rc<Node>, YamlError> {
        let me = self.next;
        self.next += 1;
        let data = match node.content() {
            Content::Sequence(items) => Data::List(items.iter().map(|item| self.build(item)).collect::<Result<_, _>>()?),
            Content::Mapping(entries) => {
                let values = entries.iter().map(|(key, value)| Ok((key, self.build(value)?))).collect::<Result<Vec<_>, _>>()?;
                mapping(node, values)?
            }
            Content::Alias(other) => self.aliased(other, me)?.data.clone(),
            Content::Scalar(_) => scalar(node)?,
        };
        Ok(Rc::new(Node { data, origin: Some(Origin::new(self.source.clone(), me)) }))
    }

    /// The value behind an alias; all of it has the place of the alias, where it is used.
    fn aliased(&mut self, node: &yaml::Node, at: u32) -> Result<Rc<Node>, YamlError> {
        let bomb = || YamlError { code: RefusalCode::Anchored, line: node.line(), detail: "aliases multiply beyond measure".to_owned() };
        self.budget = self.budget.checked_sub(1).ok_or_else(bomb)?;
        let data = match node.content() {
            Content::Sequence(items) => Data::List(items.iter().map(|item| self.aliased(item, at)).collect::<Result<_, _>>()?),
            Content::Mapping(entries) => {
                let values = entries.iter().map(|(key, value)| Ok((key, self.aliased(value, at)?))).collect::<Result<Vec<_>, _>>()?;
                mapping(node, values)?
            }
            Content::Alias(other) => return self.aliased(other, at),
            Content::Scalar(_) => scalar(node)?,
        };
        Ok(Rc::new(Node { data, origin: Some(Origin::new(self.source.clone(), at)) }))
    }
}

/// A mapping with its merge keys followed.
fn mapping(node: &yaml::Node, values: Vec<(&yaml::Node, Rc<Node>)>) -> Result<Data, YamlError> {
    if let Some((key, line)) = node.duplicate_key() {
        let detail = format!("the key `{key}` is there twice; remove one of them");
        return Err(YamlError { code: RefusalCode::DuplicateKey, line, detail });
    }
    let (mut map, mut merged) = (Vec::with_capacity(values.len()), Vec::new());
    for (key, value) in values {
        // `replicas: {{ count }}` reads as a mapping whose key is a mapping.
        let Some(text) = key.resolved().as_str() else {
            let detail = "a mapping stands where a key should: a `{{ }}` template, or a file that Kubernetes cannot read".to_owned();
            return Err(YamlError { code: RefusalCode::Templated, line: key.line(), detail });
        };
        match text {
            "<<" => {
                let parents = if value.items().is_empty() { std::slice::from_ref(&value) } else { value.items() };
                merged.extend(parents.iter().flat_map(|parent| parent.entries().to_vec()));
            }
            key => map.push((key.into(), value)),
        }
    }
    for (key, value) in merged {
        if !map.iter().any(|(name, _)| *name == key) {
            map.push((key, value));
        }
    }
    Ok(Data::Map(map))
}

fn scalar(node: &yaml::Node) -> Result<Data, YamlError> {
    Ok(match node.to_value()? {
        Value::Bool(flag) => Data::Bool(flag),
        Value::Number(number) => number_of(&number).map_or_else(|| Data::Text(number.to_string()), Data::Number),
        Value::String(text) => Data::Text(text),
        _ => Data::Null,
    })
}

fn number_of(number: &serde_yaml::Number) -> Option<Number> {
    number.as_u64().map(Number::from).or_else(|| number.as_i64().map(Number::from)).or_else(|| Number::from_f64(number.as_f64()?))
}
