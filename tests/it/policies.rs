//! `policies/README.md` documents the type, field by field.

use prescale::model::ScalingPolicy;
use serde_json::Value;

const FULL: &str = "
apiVersion: prescale.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: web, namespace: shop}
spec: {target: {name: web}, signal: cpu, capacityPerReplica: 1, signals: [{signal: cpu}], shortfallPrice: 100, objective: 0.005, leadTime: 6m, replicas: {max: 9, changesPerDay: 6}}
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
