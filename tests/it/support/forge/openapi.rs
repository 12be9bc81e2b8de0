//! Requests and answers, held to GitHub's own description of its API. It is of the `OpenAPI` form 3.0, whose schemas are nearly JSON
//! schemas; each is translated and compiled when it is first needed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value as Json, json};

use super::{GRAPHQL, Logged};

/// Where `tests/run` lays it.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-tools/api.github.com.json");
/// What the fake says of what it was never taught.
pub(super) const UNTAUGHT: &str = "the fake was not taught this";

struct Description {
    document: Json,
    compiled: Mutex<HashMap<String, Arc<Validator>>>,
}

/// What of a request GitHub would not have understood, and what of its answer GitHub would not have said.
pub(super) fn violations(logged: &Logged) -> Vec<String> {
    let found = if logged.path == GRAPHQL { of_graphql(logged) } else { Description::get().of_rest(logged) };
    let mut found = found.err().into_iter().collect::<Vec<_>>().concat();
    if logged.answer.as_ref().is_some_and(|answer| answer.to_string().contains(UNTAUGHT)) {
        found.push(UNTAUGHT.to_owned());
    }
    found.into_iter().map(|what| format!("{}: {what}", logged.line())).collect()
}

fn of_graphql(logged: &Logged) -> Result<(), Vec<String>> {
    let body = logged.body.as_ref().unwrap_or(&Json::Null);
    let wrong = |what: &str| Err(vec![format!("{what}: {body}")]);
    match (&body["query"], &body["variables"]) {
        _ if logged.method != "POST" => wrong("GraphQL is posted"),
        (Json::String(_), Json::Null | Json::Object(_)) => Ok(()),
        _ => wrong("the body is no query with variables"),
    }
}

impl Description {
    fn get() -> &'static Self {
        static READ: OnceLock<Description> = OnceLock::new();
        READ.get_or_init(|| {
            let text = std::fs::read(FILE).unwrap_or_else(|e| panic!("{FILE}: {e}; tests/run installs it"));
            Self { document: serde_json::from_slice(&text).unwrap(), compiled: Mutex::default() }
        })
    }

    fn of_rest(&self, logged: &Logged) -> Result<(), Vec<String>> {
        let segments = logged.segments();
        let (template, item) = self.path(&segments).ok_or_else(|| vec!["GitHub has no such path".to_owned()])?;
        let operation = &item[logged.method.to_lowercase()];
        if operation.is_null() {
            return Err(vec![format!("GitHub knows no {} of {template}", logged.method)]);
        }
        let name = format!("{} {template}", logged.method);
        let mut found = self.parameters(&name, template, &[item, operation], (&segments, logged));
        found.extend(self.body(&name, self.resolved(&operation["requestBody"]), logged.body.as_ref()));
        if let (Some(status), Some(answer)) = (logged.status, &logged.answer) {
            found.extend(self.answer(&name, operation, status, answer));
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    /// The path that fits, with as few variable parts as any.
    fn path(&self, segments: &[String]) -> Option<(&str, &Json)> {
        let fits = |template: &&String| {
            let parts: Vec<&str> = template[1..].split('/').collect();
            parts.len() == segments.len() && parts.iter().zip(segments).all(|(part, is)| part.starts_with('{') || part == is)
        };
        let paths = self.document["paths"].as_object().unwrap();
        let template = paths.keys().filter(fits).min_by_key(|template| template.matches('{').count())?;
        Some((template, &paths[template]))
    }

    /// What a thing is, which may be told elsewhere.
    fn resolved<'a>(&'a self, thing: &'a Json) -> &'a Json {
        match thing["$ref"].as_str() {
            Some(reference) => self.document.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference} is missing")),
            None => thing,
        }
    }

    fn parameters(&self, name: &str, template: &str, holders: &[&Json], of: (&[String], &Logged)) -> Vec<String> {
        let (segments, logged) = of;
        let lists = holders.iter().filter_map(|holder| holder["parameters"].as_array());
        let known: Vec<&Json> = lists.flatten().map(|parameter| self.resolved(parameter)).collect();
        let parameter = |place: &str, called: &str| known.iter().find(|known| known["in"] == place && known["name"] == called);
        let parts = template[1..].split('/').zip(segments).filter_map(|(part, is)| Some((part.strip_prefix('{')?.strip_suffix('}')?, is)));
        let given: Vec<(&str, &str, &str)> = parts
            .map(|(part, is)| ("path", part, is.as_str()))
            .chain(logged.query.iter().map(|(part, is)| ("query", part.as_str(), is.as_str())))
            .collect();
        let mut found = Vec::new();
        for (place, called, is) in &given {
            let Some(parameter) = parameter(place, called) else {
                found.push(format!("the {place} has no parameter `{called}`"));
                continue;
            };
            let schema = self.validator(&format!("{name} {place} {called}"), &parameter["schema"], false);
            let texts = [Some(json!(is)), is.parse::<i64>().ok().map(Json::from), is.parse::<bool>().ok().map(Json::from)];
            if !texts.iter().flatten().any(|value| schema.is_valid(value)) {
                found.push(format!("the {place}'s `{called}` cannot be `{is}`, but {}", parameter["schema"]));
            }
        }
        let missing = known.iter().filter(|known| known["in"] == "query" && known["required"] == true);
        found.extend(
            missing
                .filter(|known| given.iter().all(|(place, called, _)| *place != "query" || known["name"] != *called))
                .map(|known| format!("the query lacks {}", known["name"])),
        );
        found
    }

    fn body(&self, name: &str, described: &Json, body: Option<&Json>) -> Vec<String> {
        let schema = &described["content"]["application/json"]["schema"];
        match body {
            None if described["required"] == true => vec!["there is no body".to_owned()],
            None => Vec::new(),
            Some(body) if schema.is_null() => vec![format!("there is a body, which GitHub does not know: {body}")],
            Some(body) => self.errors(&format!("{name} body"), schema, true, body),
        }
    }

    fn answer(&self, name: &str, operation: &Json, status: u16, answer: &Json) -> Vec<String> {
        let described = self.resolved(&operation["responses"][status.to_string()]);
        let schema = &described["content"]["application/json"]["schema"];
        // Not all refusals are described for all operations.
        if schema.is_null() && status >= 400 {
            return Vec::new();
        }
        if schema.is_null() {
            return vec![format!("GitHub does not answer {status} with a body")];
        }
        let errors = self.errors(&format!("{name} answer {status}"), schema, false, answer);
        errors.into_iter().map(|error| format!("the fake's answer {status}: {error}")).collect()
    }

    fn errors(&self, key: &str, schema: &Json, strict: bool, value: &Json) -> Vec<String> {
        let validator = self.validator(key, schema, strict);
        validator.iter_errors(value).map(|error| format!("at `{}`: {error}", error.instance_path())).collect()
    }

    /// A schema with all that it refers to, compiled once. A strict one knows no fields but those that it names.
    fn validator(&self, key: &str, schema: &Json, strict: bool) -> Arc<Validator> {
        let mut compiled = self.compiled.lock().unwrap();
        if let Some(validator) = compiled.get(key) {
            return Arc::clone(validator);
        }
        let translated_schema = translated(schema, strict);
        let mut pending = references(&translated_schema);
        let mut parts = Map::new();
        while let Some(name) = pending.pop() {
            if !parts.contains_key(&name) {
                let part = translated(&self.document["components"]["schemas"][&name], strict);
                pending.extend(references(&part));
                parts.insert(name, part);
            }
        }
        let whole = json!({"allOf": [translated_schema], "components": {"schemas": parts}});
        let validator = jsonschema::options().with_draft(Draft::Draft4).build(&whole);
        let validator = Arc::new(validator.unwrap_or_else(|e| panic!("the schema of {key}: {e}")));
        compiled.insert(key.to_owned(), Arc::clone(&validator));
        validator
    }
}

/// A schema of `OpenAPI` 3.0 as a JSON schema: without examples and texts, and with null where it may be.
fn translated(schema: &Json, strict: bool) -> Json {
    let Some(fields) = schema.as_object() else { return schema.clone() };
    if let Some(reference) = fields.get("$ref") {
        return json!({"$ref": reference});
    }
    let each = |schemas: &Json| schemas.as_array().unwrap().iter().map(|schema| translated(schema, strict)).collect::<Json>();
    let mut out = Map::new();
    for (name, value) in fields {
        let value = match name.as_str() {
            "properties" => {
                let properties = value.as_object().unwrap().iter();
                properties.map(|(name, schema)| (name.clone(), translated(schema, strict))).collect::<Map<_, _>>().into()
            }
            "items" | "additionalProperties" | "not" => translated(value, strict),
            "oneOf" | "anyOf" | "allOf" => each(value),
            "description" | "title" | "example" | "examples" | "default" | "nullable" | "readOnly" | "deprecated" => continue,
            extension if extension.starts_with("x-") => continue,
            _ => value.clone(),
        };
        out.insert(name.clone(), value);
    }
    if strict && out.contains_key("properties") && !out.contains_key("additionalProperties") {
        out.insert("additionalProperties".to_owned(), Json::Bool(false));
    }
    if fields.get("nullable") != Some(&Json::Bool(true)) {
        return out.into();
    }
    let simple = out.get("type").is_some_and(Json::is_string) && !["oneOf", "anyOf", "allOf"].iter().any(|name| out.contains_key(*name));
    if !simple {
        return json!({"anyOf": [out, {"type": "null"}]});
    }
    out["type"] = json!([out["type"], "null"]);
    if let Some(values) = out.get_mut("enum").and_then(Json::as_array_mut) {
        values.push(Json::Null);
    }
    out.into()
}

/// The names of the schemas that a translated one refers to.
fn references(schema: &Json) -> Vec<String> {
    match schema {
        Json::Object(fields) => {
            let own = fields.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix("#/components/schemas/"));
            let own = own.map(|name| name.split('/').next().unwrap().to_owned());
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Json::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
