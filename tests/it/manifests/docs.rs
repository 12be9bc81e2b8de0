//! The pages: links lead somewhere, the book has them all, and messages are quoted as they are printed.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

use super::{files, read, root};

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

/// Source without what splits a text over lines.
fn joined(text: &str) -> String {
    Regex::new(r"\\\n\s*").unwrap().replace_all(text, "").replace("\\\"", "\"")
}

#[test]
fn troubleshooting_quotes_what_is_printed() {
    let sources: String = files(&["src/*.rs", "examples/*.rs"]).iter().map(|path| joined(&read(path))).collect();
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
    let version = Regex::new(r#"(?:ref=v|newTag: "?|prescale(?:-demo-backend)?:|VERSION=)([0-9]+\.[0-9]+\.[0-9]+)"#).unwrap();
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
