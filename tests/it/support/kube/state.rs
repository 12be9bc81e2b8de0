//! What the cluster holds, and how it is read.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::access::Access;
use super::fleet::Fleet;
use super::kinds::{Kind, Target};
use super::reply::Reply;
use super::selector::Selector;
use super::{Asked, Fault, objects};

/// Since when objects are that do not say it.
const CREATED: &str = "2026-01-05T09:00:00Z";

/// What is told of a list that cannot be continued.
const EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without \
    the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the \
    provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was \
    returned and now may show up in the list.";

/// A namespace and a name.
pub(super) type Key = (String, String);

/// An object that is kept, or one of the fleet that is made when it is asked for.
enum Object {
    Kept(Json),
    Made(usize),
}

#[derive(Default)]
pub(super) struct State {
    pub(super) access: Access,
    pub(super) log: Vec<Asked>,
    pub(super) writes: usize,
    /// What goes wrong, and how often it still does.
    pub(super) faults: Vec<(String, Fault, usize)>,
    /// The groups and resources that are not served.
    pub(super) missing: BTreeSet<String>,
    /// After how many pages lists cannot be continued, and how often they still cannot.
    pub(super) expiry: (usize, usize),
    /// The objects by their resource.
    objects: BTreeMap<&'static str, BTreeMap<Key, Object>>,
    fleet: Option<Fleet>,
    version: u64,
}

/// Where a list goes on: the version that it shows, or -1 for any, what came last, and how many pages there were.
#[derive(Deserialize, Serialize)]
struct Token {
    rv: i64,
    last: Key,
    pages: usize,
}

impl Token {
    fn read(text: &str) -> Result<Self, Reply> {
        let token = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        token.ok_or_else(|| Reply::failure(400, "BadRequest", "continue key is not valid", None))
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap())
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self { version: 1000, ..Self::default() }
    }

    pub(super) fn note(&mut self, asked: &Asked) {
        self.log.push(asked.clone());
        if asked.method != "GET" {
            self.writes += 1;
        }
    }

    pub(super) fn take_fault(&mut self, line: &str) -> Option<Fault> {
        let (_, fault, times) = self.faults.iter_mut().find(|(part, _, times)| *times > 0 && line.contains(part.as_str()))?;
        *times -= 1;
        Some(*fault)
    }

    pub(super) fn put(&mut self, mut object: Json) {
        self.version += 1;
        let (kind, key) = Kind::of(&object);
        let given = [
            ("uid", objects::uid(kind.name, &key.0, &key.1)),
            ("resourceVersion", self.version.to_string()),
            ("creationTimestamp", CREATED.to_owned()),
        ];
        for (field, value) in given {
            if object["metadata"][field].is_null() {
                object["metadata"][field] = value.into();
            }
        }
        self.objects.entry(kind.resource).or_default().insert(key, Object::Kept(object));
    }

    /// Whether there was such an object.
    pub(super) fn remove(&mut self, resource: &str, namespace: &str, name: &str) -> bool {
        self.version += 1;
        let objects = self.objects.get_mut(resource);
        objects.is_some_and(|objects| objects.remove(&(namespace.to_owned(), name.to_owned())).is_some())
    }

    pub(super) fn fill(&mut self, workloads: usize, pods_each: usize) {
        assert!(self.fleet.is_none(), "there is a fleet already");
        for namespace in Fleet::namespaces(workloads) {
            self.put(objects::namespace(&namespace));
        }
        self.version += 1;
        let fleet = Fleet::new(pods_each, self.version, CREATED);
        for resource in fleet.resources() {
            let count = if resource == "pods" { workloads * pods_each } else { workloads };
            let made = (0..count).map(|index| (fleet.key(resource, index), Object::Made(index)));
            self.objects.entry(resource).or_default().extend(made);
        }
        self.fleet = Some(fleet);
    }

    pub(super) fn answer(&mut self, asked: &Asked) -> Reply {
        match self.read(asked) {
            Ok(reply) | Err(reply) => reply,
        }
    }

    fn read(&mut self, asked: &Asked) -> Result<Reply, Reply> {
        if asked.method != "GET" {
            let message = "the server does not allow this method on the requested resource";
            return Err(Reply::failure(405, "MethodNotAllowed", message, Some(("details", json!({})))));
        }
        if asked.path == "/version" {
            return Ok(Reply::json(version().to_string()));
        }
        let target = Target::of(&asked.path).ok_or_else(Reply::not_served)?;
        let selector = Selector::of(target.kind, asked)?;
        let verb = match (&target.name, asked.parameter("watch")) {
            (Some(_), _) => "get",
            (None, Some("true" | "1")) => "watch",
            (None, _) => "list",
        };
        self.access.check(&target, verb, target.name.as_deref().or_else(|| selector.name()))?;
        if self.missing.contains(target.kind.group) || self.missing.contains(target.kind.resource) {
            return Err(Reply::not_served());
        }
        match verb {
            "get" => self.get(&target),
            "watch" => Ok(self.watch(&target, &selector, asked)),
            _ => self.list(&target, &selector, asked),
        }
    }

    fn get(&self, target: &Target) -> Result<Reply, Reply> {
        let (kind, name) = (target.kind, target.name.clone().unwrap_or_default());
        let key = (target.namespace.clone().unwrap_or_default(), name);
        let object = self.objects.get(kind.resource).and_then(|objects| objects.get(&key));
        object.map(|object| Reply::json(self.whole(kind, object))).ok_or_else(|| {
            let message = format!("{} {:?} not found", kind.in_errors(), key.1);
            Reply::failure(404, "NotFound", &message, Some(("details", kind.details(Some(&key.1)))))
        })
    }

    fn list(&mut self, target: &Target, selector: &Selector, asked: &Asked) -> Result<Reply, Reply> {
        let token = asked.parameter("continue").filter(|text| !text.is_empty()).map(Token::read).transpose()?;
        if let Some(token) = &token {
            if asked.parameter("resourceVersion").is_some_and(|version| !version.is_empty()) {
                let message = "specifying resource version is not allowed when using continue";
                return Err(Reply::failure(400, "BadRequest", message, None));
            }
            self.expire(token)?;
        }
        let rv = token.as_ref().map(|token| token.rv).filter(|rv| *rv > 0).unwrap_or(self.version as i64);
        let pages = token.as_ref().map_or(0, |token| token.pages) + 1;
        let limit = asked.parameter("limit").and_then(|text| text.parse::<usize>().ok()).filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let kind = target.kind;
        let (mut items, mut last, mut more) = (Vec::new(), None, 0_usize);
        for (key, object) in self.found(target, token.map(|token| token.last)) {
            if !selector.is_empty() && !selector.fits(&self.value(kind, object)) {
                continue;
            }
            if items.len() < limit {
                items.push(self.item(kind, object));
                last = Some(key);
            } else {
                more += 1;
            }
            // How many are left is only told of whole lists.
            if more > 0 && !selector.is_empty() {
                break;
            }
        }
        let mut metadata = json!({"resourceVersion": rv.to_string()});
        if let Some(last) = last.filter(|_| more > 0) {
            metadata["continue"] = Token { rv, last: last.clone(), pages }.text().into();
            if selector.is_empty() {
                metadata["remainingItemCount"] = more.into();
            }
        }
        let (name, api_version, items) = (kind.name, kind.api_version(), items.join(","));
        Ok(Reply::json(format!(r#"{{"kind":"{name}List","apiVersion":"{api_version}","metadata":{metadata},"items":[{items}]}}"#)))
    }

    /// Refuses to continue a list that had its pages, as often as it should. A token that asks for no version is always good.
    fn expire(&mut self, token: &Token) -> Result<(), Reply> {
        let (pages, times) = &mut self.expiry;
        if token.rv <= 0 || token.pages < *pages || *times == 0 {
            return Ok(());
        }
        *times -= 1;
        let next = Token { rv: -1, last: token.last.clone(), pages: token.pages }.text();
        Err(Reply::failure(410, "Expired", EXPIRED, Some(("metadata", json!({"continue": next})))))
    }

    /// What came after a version, one by one; then it ends.
    fn watch(&self, target: &Target, selector: &Selector, asked: &Asked) -> Reply {
        let since: u64 = asked.parameter("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
        let event = |(_, object): (&Key, &Object)| {
            let value = self.value(target.kind, object);
            let version: u64 = value["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
            let line = || format!("{{\"type\":\"ADDED\",\"object\":{}}}\n", self.whole(target.kind, object));
            (version > since && selector.fits(&value)).then(|| (version, line()))
        };
        let mut events: Vec<(u64, String)> = self.found(target, None).filter_map(event).collect();
        events.sort_by_key(|(version, _)| *version);
        Reply::json(events.into_iter().map(|(_, line)| line).collect())
    }

    /// The objects that a path leads to, in order, from after one of them.
    fn found<'a>(&'a self, target: &'a Target, after: Option<Key>) -> impl Iterator<Item = (&'a Key, &'a Object)> {
        let start = match (after, &target.namespace) {
            (Some(key), _) => Bound::Excluded(key),
            (None, Some(namespace)) => Bound::Included((namespace.clone(), String::new())),
            (None, None) => Bound::Unbounded,
        };
        let objects = self.objects.get(target.kind.resource).into_iter();
        let rest = objects.flat_map(move |objects| objects.range::<Key, _>((start.clone(), Bound::Unbounded)));
        rest.take_while(move |(key, _)| target.namespace.as_ref().is_none_or(|namespace| *namespace == key.0))
    }

    fn value<'a>(&self, kind: &Kind, object: &'a Object) -> Cow<'a, Json> {
        match object {
            Object::Kept(json) => Cow::Borrowed(json),
            Object::Made(_) => Cow::Owned(serde_json::from_str(&self.item(kind, object)).unwrap()),
        }
    }

    /// An object as lists show it: what is built in does not say its kind.
    fn item(&self, kind: &Kind, object: &Object) -> String {
        match object {
            Object::Kept(json) if kind.is_custom() => json.to_string(),
            Object::Kept(json) => without_kind(json.clone()).to_string(),
            Object::Made(index) => self.fleet.as_ref().unwrap().text(kind, *index),
        }
    }

    /// An object as it is shown alone.
    fn whole(&self, kind: &Kind, object: &Object) -> String {
        match object {
            Object::Kept(json) => json.to_string(),
            Object::Made(_) => {
                let fields = self.item(kind, object);
                format!(r#"{{"kind":"{}","apiVersion":"{}",{}"#, kind.name, kind.api_version(), &fields[1..])
            }
        }
    }
}

/// An object that does not say its kind.
pub(super) fn without_kind(mut object: Json) -> Json {
    let fields = object.as_object_mut().unwrap();
    fields.shift_remove("kind");
    fields.shift_remove("apiVersion");
    object
}

fn version() -> Json {
    json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.0",
        "gitCommit": "3d1b9f2c4a6e8d0f7b5c3a1e9d8f6b4c2a0e1d3f",
        "gitTreeState": "clean",
        "buildDate": "2026-04-22T13:05:11Z",
        "goVersion": "go1.26.1",
        "compiler": "gc",
        "platform": "linux/amd64",
    })
}
