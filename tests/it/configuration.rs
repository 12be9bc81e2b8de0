//! `docs/configuration.md` documents the type, key by key.

use std::collections::HashMap;

use prescale::config::Config;
use serde_json::Value;

/// Every section that is left out by default, put in.
const FULL: &str = "{repository: {url: 'file:///config.git'}, metrics: {prometheus: {url: 'http://localhost:9090'}}, \
                    github: {app: {id: 1, privateKeyFile: /k}}, pullRequest: {prices: {coreHour: 1, gibHour: 1}}}";

/// The dotted paths of all leaves; a mapping whose keys are the user's own is one.
fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => map.iter().for_each(|(key, value)| leaves(&format!("{path}.{key}"), value, found)),
        _ => found.push(path.trim_start_matches('.').to_owned()),
    }
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prescale.yaml");
    std::fs::write(&file, FULL).unwrap();
    let config = Config::load(Some(&file), HashMap::new(), &[]).unwrap();
    let mut keys = Vec::new();
    leaves("", &serde_json::to_value(config).unwrap(), &mut keys);
    keys.push("metrics.files".to_owned()); // the other source of history
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let documented: Vec<&str> = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    for key in &keys {
        assert!(documented.contains(&key.as_str()), "{key} is not documented");
    }
    for key in documented {
        assert!(keys.iter().any(|known| known == key), "{key} is documented, but unknown");
    }
}

#[test]
fn every_key_can_be_set_by_the_environment() {
    let set = |pairs: &[(&str, &str)]| {
        let environment = pairs.iter().map(|(name, value)| (format!("PRESCALE__{name}"), (*value).to_owned())).collect();
        Config::load(None, environment, &[]).map(|config| serde_json::to_value(config).unwrap())
    };
    let url = ("REPOSITORY__URL", "file:///config.git");
    for (name, value, pointer, read) in [
        ("PAUSED", "true", "/paused", Value::Bool(true)),
        ("OVERLAYS", "a/b, c", "/overlays/1", "c".into()),
        ("REPOSITORY__BRANCH", "release", "/repository/branch", "release".into()),
        ("REPOSITORY__PASSWORD", "1e5", "/repository/password", "***".into()),
        ("REPOSITORY__KNOWN_HOSTS_FILE", "/k", "/repository/knownHostsFile", "/k".into()),
        ("REPOSITORY__DEPTH", "7", "/repository/depth", 7.into()),
        ("METRICS__PROMETHEUS__URL", "http://p", "/metrics/prometheus/url", "http://p".into()),
        ("METRICS__PROMETHEUS__RETRIES", "9", "/metrics/prometheus/retries", 9.into()),
        ("METRICS__HISTORY", "7d", "/metrics/history", "7days".into()),
        ("DECISION__LEAD_TIME", "9m", "/decision/leadTime", "9m".into()),
        ("DECISION__STUDIES_PER_RUN", "3", "/decision/studiesPerRun", 3.into()),
        ("RENDER__PROGRAM", "none", "/render/program", "none".into()),
        ("STATE__PATH", "/s", "/state/path", "/s".into()),
        ("STATE__URL", "s3://b/p", "/state/url", "s3://b/p".into()),
        ("SHARD__COUNT", "4", "/shard/count", 4.into()),
        ("PULL_REQUEST__AUTO_MERGE", "rebase", "/pullRequest/autoMerge", "rebase".into()),
        ("GITHUB__TOKEN_FILE", "/t", "/github/tokenFile", "/t".into()),
        ("COMMIT__SIGN_OFF", "true", "/commit/signOff", Value::Bool(true)),
    ] {
        let config = set(&[url, (name, value)]).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(config.pointer(pointer), Some(&read), "{name}");
    }
    assert!(set(&[url, ("REPOSITRY__URL", "x")]).unwrap_err().to_string().contains("did you mean `repository`?"));
}
