//! Imports flow one way: reads the `use crate::` lines and fails when the picture in `lib.rs` is broken.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each top-level module may import of this crate.
const MAY: &[(&str, &[&str])] = &[
    ("model", &["model"]),
    ("forecast", &["forecast", "model"]),
    ("decide", &["decide", "model"]),
    ("gate", &["gate", "model"]),
    ("overlay", &["overlay", "model"]),
    ("simulate", &["simulate", "forecast", "decide", "model"]),
    ("clients", &["clients", "model"]),
    ("collect", &["collect", "clients", "overlay", "model"]),
    ("prove", &["prove", "clients", "model"]),
    ("deliver", &["deliver", "clients", "model"]),
    ("config", &["config", "clients", "collect", "decide", "deliver", "forecast", "gate", "model"]),
    ("run", &["clients", "collect", "config", "decide", "deliver", "forecast", "gate", "model", "overlay", "prove", "simulate"]),
    ("demo", &["clients", "config", "deliver", "demo", "model", "run"]),
    ("cli", &["cli", "clients", "collect", "config", "deliver", "demo", "gate", "model", "run", "simulate"]),
    ("lib", &[]),
    ("main", &[]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The top-level modules that a source file names behind `crate::`, its tests and comments left out.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let group = rest.strip_prefix('{').map_or(rest, |rest| &rest[..rest.find("};").unwrap_or(rest.len())]);
        let heads: Vec<&str> = if rest.starts_with('{') { group.split(',').collect() } else { vec![group] };
        for head in heads {
            names.insert(head.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

#[test]
fn imports_flow_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "the sources were found");
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let may = MAY.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("{module} is new: say what it may import")).1;
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            assert!(may.contains(&import.as_str()), "{} imports `{import}`, which {module} must not", inside.display());
        }
    }
}

#[test]
fn the_pure_part_reads_no_clock_environment_or_network() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for module in ["model", "forecast", "decide", "overlay", "simulate"] {
        let mut files = vec![root.join(format!("{module}.rs"))];
        sources(&root.join(module), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            for word in [
                "Utc::now",
                "SystemTime",
                "Instant::now",
                "std::env",
                "std::fs",
                "std::net",
                "tokio",
                "async fn",
                "reqwest",
                "git2",
                "thread_rng",
            ] {
                assert!(!code.contains(word), "{} holds `{word}`", file.display());
            }
        }
    }
}
