//! `policies/README.md` documents the type, field by field.

use prescale::model::{ScalingPolicy, policy};
use serde_json::Value;

const FULL: &str = "
apiVersion: prescale.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: web, namespace: shop}
spec: {target: {name: web}, signal: cpu, capacityPerReplica: 1, signals: [{signal: cpu}], shortfallPrice: 100, errorBudget: 'min(left)', objective: 0.005, leadTime: 6m, replicas: {max: 9, changesPerDay: 6},
  prices: {coreHour: 1, gibHour: 1}, autoscaler: {minTarget: 5, maxTarget: 5, minStabilization: 5m, maxStabilization: 5m}}
";

/// The dotted paths of all leaves.
fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| leaves(&format!("{path}.{key}"), value, found)),
        _ => found.push(path.trim_start_matches('.').to_owned()),
    }
}

#[test]
fn every_field_is_documented_with_its_default() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/README.md")).unwrap();
    let full: ScalingPolicy = serde_yaml::from_str(FULL).unwrap();
    let full = serde_json::to_value(full).unwrap();
    let mut fields = Vec::new();
    leaves("", &full, &mut fields);
    let rows: Vec<Vec<&str>> =
        readme.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').map(str::trim).collect()).collect();
    for field in fields.iter().filter(|field| !["apiVersion", "kind", "metadata.name"].contains(&field.as_str())) {
        let row = rows.iter().find(|row| row[1] == format!("`{field}`")).unwrap_or_else(|| panic!("{field} is not documented"));
        let default = row[3].trim_matches('`');
        let value = full.pointer(&format!("/{}", field.replace('.', "/"))).unwrap();
        let shown = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let given_above = FULL.contains(&format!("{}:", field.rsplit('.').next().unwrap()));
        let same_number = default.parse::<f64>().ok().zip(shown.parse::<f64>().ok()).is_some_and(|(a, b)| a == b);
        // Durations print as `3days` and are written `3d`.
        let same_duration =
            humantime::parse_duration(default).ok().zip(humantime::parse_duration(&shown).ok()).is_some_and(|(a, b)| a == b);
        assert!(given_above || default == shown || same_number || same_duration, "{field}: documented `{default}`, really `{shown}`");
    }
    for row in &rows {
        let field = row[1].trim_matches('`');
        assert!(fields.iter().any(|known| known == field || known.starts_with(&format!("{field}."))), "{field} is documented, but unknown");
    }
}

#[test]
fn every_example_is_valid() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let mut prices = 0;
    for row in rows {
        let (field, example) = (row[1].trim_matches('`'), row[4].trim_matches('`'));
        let mut policy = serde_yaml::from_str::<Value>(
            "{apiVersion: prescale.dev/v1alpha1, kind: ScalingPolicy, metadata: {name: web}, spec: {target: {name: web}}}",
        )
        .unwrap();
        let mut at = &mut policy;
        for part in field.split('.') {
            at = &mut at[part];
        }
        *at = serde_yaml::from_str(example).unwrap_or_else(|error| panic!("{field}: {error}"));
        // Some stand only beside others.
        match field {
            "spec.prices.coreHour" | "spec.prices.gibHour" => {
                prices += 1;
                policy["spec"]["prices"] = serde_json::json!({"coreHour": 1, "gibHour": 1});
            }
            "spec.signal" => policy["spec"]["capacityPerReplica"] = 5.into(),
            _ => {}
        }
        let policy: ScalingPolicy = serde_json::from_value(policy).unwrap_or_else(|error| panic!("{field}: {example}: {error}"));
        assert_eq!(policy.problems(), Vec::<String>::new(), "{field}: {example}");
    }
    assert_eq!(prices, 2);
}

/// Holds a generated file to what is committed; `UPDATE_EXPECT=1` writes it.
fn committed(path: &str, text: &str) {
    expect_test::expect_file![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)].assert_eq(text);
}

#[test]
fn the_crd_and_the_schema_are_the_type_s() {
    let crd = serde_yaml::to_string(&policy::crd()).unwrap();
    committed(
        "manifests/prescale/base/crd.yaml",
        &format!("# Generated from the type by a test; policies also work straight from Git, without it.\n{crd}"),
    );
    committed("policies/scalingpolicy.schema.json", &format!("{}\n", serde_json::to_string_pretty(&policy::json_schema()).unwrap()));
}

#[test]
fn the_schema_takes_what_the_type_takes() {
    let schema = jsonschema::validator_for(&policy::json_schema()).unwrap();
    let with = |spec: &str| {
        let text = format!("apiVersion: prescale.dev/v1alpha1\nkind: ScalingPolicy\nmetadata: {{name: web}}\nspec: {spec}\n");
        (serde_yaml::from_str::<ScalingPolicy>(&text).is_ok(), schema.is_valid(&serde_yaml::from_str::<Value>(&text).unwrap()))
    };
    for spec in [
        "{target: {name: web}}",
        "{target: {name: web}, signal: {promql: up}, objective: 0.5%, delivery: {floors: commit}, replicas: {coolDown: 1h}}",
        "{target: {name: web}, signals: [{signal: cpu}, {signal: requests, capacityPerReplica: 5}], requests: {minCpu: 1, minMemory: 64Mi}}",
        "{target: {name: web}, windows: [{days: [monday], from: '08:00'}], freezes: [{from: 2026-12-20T00:00, to: 2027-01-01T00:00}]}",
        "{target: {name: web}, signal: {queue: up}, prices: {coreHour: 0.03, gibHour: 0}, autoscaler: {maxTarget: 85, minStabilization: 10m}}",
        "{target: {name: web}, leadTime: null, requests: {minCpu: 0.25}}",
        "{target: {name: web}, windows: {templates: [{to: '06:00'}]}, calendar: {timeZone: Europe/Berlin, holidays: [2026-12-25]}}",
    ] {
        assert_eq!(with(spec), (true, true), "{spec}");
    }
    for spec in [
        "{}",
        "{target: {name: web}, replica: {min: 2}}",
        "{target: {name: web}, signal: disk}",
        "{target: {name: web}, prices: {coreHour: 0.03}}",
        "{target: {name: web, kind: DaemonSet}}",
        "{target: {name: web}, windows: [{day: [monday]}]}",
        "{target: {name: web}, delivery: sometimes}",
    ] {
        assert_eq!(with(spec), (false, false), "{spec}");
    }
}

#[test]
fn what_is_read_of_a_cluster_is_documented() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cluster.md")).unwrap();
    let role = ["base/rbac", "components/argocd-options/role"]
        .map(|file| std::fs::read_to_string(format!("{}/manifests/prescale/{file}.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap());
    let role = role.concat();
    for (api, plural, without) in prescale::collect::READ {
        let row = format!("| `{plural}` | `{api}` | {without} |");
        assert!(docs.contains(&row), "{row}");
        assert!(role.contains(plural), "{plural}");
    }
    assert_eq!(
        docs.lines().filter(|line| line.starts_with("| `") && line.matches('`').count() == 4).count(),
        prescale::collect::READ.len()
    );
    assert!(!role.contains("watch") && role.matches("verbs: [list]").count() == role.matches("verbs:").count(), "{role}");
}
