//! Selectors of labels and fields, as far as they ask for what is equal or is not.

use serde_json::Value as Json;

use super::Asked;
use super::kinds::Kind;
use super::reply::Reply;

/// What is named, whether it is to be equal, and to what.
type Clause = (String, bool, String);

pub(super) struct Selector {
    labels: Vec<Clause>,
    fields: Vec<Clause>,
}

impl Selector {
    pub(super) fn of(kind: &Kind, asked: &Asked) -> Result<Self, Reply> {
        let selector = Self { labels: clauses(asked, "labelSelector")?, fields: clauses(asked, "fieldSelector")? };
        match selector.fields.iter().find(|(field, ..)| !is_selectable(kind, field)) {
            Some((field, ..)) => Err(Reply::failure(400, "BadRequest", &format!("field label not supported: {field}"), None)),
            None => Ok(selector),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The only name that is asked for.
    pub(super) fn name(&self) -> Option<&str> {
        self.fields.iter().find(|(field, equal, _)| field == "metadata.name" && *equal).map(|(.., name)| name.as_str())
    }

    pub(super) fn fits(&self, object: &Json) -> bool {
        let labels = &object["metadata"]["labels"];
        self.labels.iter().all(|(label, equal, value)| (labels[label.as_str()].as_str() == Some(value.as_str())) == *equal)
            && self.fields.iter().all(|(field, equal, value)| (text(object, field) == *value) == *equal)
    }
}

fn clauses(asked: &Asked, parameter: &str) -> Result<Vec<Clause>, Reply> {
    let parts = asked.parameter(parameter).unwrap_or_default().split(',').filter(|part| !part.is_empty());
    let clause = |part: &str| {
        let (equal, halves) = match part.split_once("!=") {
            Some(halves) => (false, Some(halves)),
            None => (true, part.split_once("==").or_else(|| part.split_once('='))),
        };
        let (name, value) = halves?;
        Some((name.trim().to_owned(), equal, value.trim().to_owned()))
    };
    parts.map(clause).collect::<Option<_>>().ok_or_else(|| {
        let message = format!("unable to parse requirement: the {parameter} is none that the fake knows");
        Reply::failure(400, "BadRequest", &message, None)
    })
}

/// Whether the API server can select a kind by a field.
fn is_selectable(kind: &Kind, field: &str) -> bool {
    let own: &[&str] = match kind.resource {
        "pods" => &["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase", "status.podIP"],
        "namespaces" => &["status.phase"],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "reason",
            "reportingComponent",
            "type",
        ],
        _ => &[],
    };
    field == "metadata.name" || field == "metadata.namespace" || own.contains(&field)
}

/// A field by its dotted path; nothing if there is none.
fn text(object: &Json, path: &str) -> String {
    match path.split('.').fold(object, |at, part| &at[part]) {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}
