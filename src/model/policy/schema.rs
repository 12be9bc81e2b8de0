//! The schema of a [`ScalingPolicy`](super::ScalingPolicy): for editors as JSON Schema, for clusters as a CustomResourceDefinition.

use kube::CustomResourceExt as _;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema as schema};
use serde_json::{Value, json};
use std::borrow::Cow;

use super::{API_VERSION, Delivery, Resource, Signal, Spec};
use crate::model::windows::{Weekly, Windows};
use crate::model::{Bytes, Millicores, Route, Share};

/// What the CustomResourceDefinition says of itself.
const ABOUT: &str =
    "How one workload is to be scaled, or with the name `default` and no target all workloads of its namespace that no other policy names.";

/// The CustomResourceDefinition. Without defaults: a cluster would write them into each policy, where they would win over those of a `default`
/// one.
pub fn crd() -> Value {
    let mut crd = serde_json::to_value(Resource::crd()).unwrap_or_default();
    strip(&mut crd);
    let validations = json!([{
        "rule": "has(self.spec.target) || self.metadata.name == 'default'",
        "message": "spec.target is missing: only a policy with the name `default` stands for all workloads of its namespace",
    }]);
    for version in crd["spec"]["versions"].as_array_mut().into_iter().flatten() {
        let schema = &mut version["schema"]["openAPIV3Schema"];
        schema["description"] = ABOUT.into();
        schema["x-kubernetes-validations"] = validations.clone();
        schema["properties"]["spec"].as_object_mut().map(|spec| spec.remove("required"));
    }
    crd
}

/// The JSON Schema of the whole document, for editors. A `default` policy needs no target.
pub fn json_schema() -> Value {
    let mut spec = SchemaSettings::draft07().into_generator().into_root_schema_for::<Spec>().to_value();
    let definitions = spec["definitions"].take();
    let wanted = spec.as_object_mut().map(|spec| (spec.remove("$schema"), spec.remove("title"), spec.remove("definitions")));
    let meta = wanted.and_then(|(meta, ..)| meta);
    let required = spec["required"].take();
    spec.as_object_mut().map(|spec| spec.remove("required"));
    json!({
        "$schema": meta,
        "title": "ScalingPolicy",
        "description": "How one workload is to be scaled, or with the name `default` and no target all workloads of a folder or namespace.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": "ScalingPolicy"},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"description": "The policy's own name.", "type": "string"},
                    "namespace": {"description": "The namespace of the target.", "type": "string"},
                },
            },
            "spec": spec,
        },
        "if": {"properties": {"metadata": {"properties": {"name": {"const": "default"}}}}},
        "else": {"properties": {"spec": {"required": required}}},
        "definitions": definitions,
    })
}

/// Takes the defaults out of a schema, and what a structural one cannot have.
fn strip(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.remove("default");
            // The API server knows formats of signed numbers alone.
            if map.get("format").is_some_and(|format| format == "uint32") {
                map.insert("format".to_owned(), "int64".into());
                map.insert("maximum".to_owned(), u32::MAX.into());
            }
            if map.get("additionalProperties") == Some(&Value::Bool(false)) {
                map.remove("additionalProperties");
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

/// One of several forms. A structural schema cannot say that, and takes any.
fn either(generator: &SchemaGenerator, description: &str, forms: &[Schema]) -> Schema {
    if generator.settings().inline_subschemas {
        schema!({"description": description, "x-kubernetes-preserve-unknown-fields": true})
    } else {
        schema!({"description": description, "anyOf": forms})
    }
}

pub(super) fn signal(generator: &mut SchemaGenerator) -> Schema {
    let forms = [
        schema!({"enum": [Signal::Cpu.name(), Signal::Memory.name(), Signal::Requests.name()]}),
        expression("queue"),
        expression("promql"),
    ];
    either(generator, "What drives the workload: `cpu`, `memory`, `requests`, `{queue: <expression>}` or `{promql: <expression>}`.", &forms)
}

fn expression(kind: &str) -> Schema {
    schema!({"type": "object", "required": [kind], "properties": {kind: {"type": "string"}}, "additionalProperties": false})
}

/// Both rhythms alike, or one each.
fn by_rhythm(generator: &mut SchemaGenerator, description: &str, both: Schema) -> Schema {
    let each = schema!({"type": "object", "properties": {"floors": both, "templates": both}, "additionalProperties": false});
    either(generator, description, &[both, each])
}

macro_rules! named {
    ($of:ty, $name:literal, $schema:expr) => {
        impl JsonSchema for $of {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let schema: fn(&mut SchemaGenerator) -> Schema = $schema;
                schema(generator)
            }
        }
    };
}

named!(Delivery, "Delivery", |generator| {
    let route = generator.subschema_for::<Route>();
    by_rhythm(generator, "Which way changes travel: one route for all, or one each for `floors` and `templates`.", route)
});
named!(Windows, "Windows", |generator| {
    let list = generator.subschema_for::<Vec<Weekly>>();
    by_rhythm(generator, "When changes may be written: one list of windows for all, or one each for `floors` and `templates`.", list)
});
named!(Share, "Share", |generator| {
    let percent = schema!({"type": "string", "pattern": r"^\s*[0-9.]+\s*%?\s*$"});
    either(generator, "A share: `0.5%` or 0.005.", &[percent, schema!({"type": "number"})])
});
named!(Millicores, "CpuQuantity", |generator| quantity(generator, "CPU, as Kubernetes writes it: `250m`, `0.25` or 2."));
named!(Bytes, "MemoryQuantity", |generator| quantity(generator, "Memory, as Kubernetes writes it: `512Mi`."));

/// A structural schema knows whole numbers and texts alone.
fn quantity(generator: &SchemaGenerator, description: &str) -> Schema {
    if generator.settings().inline_subschemas {
        schema!({"description": description, "anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": true})
    } else {
        schema!({"description": description, "anyOf": [{"type": "number"}, {"type": "string"}]})
    }
}
