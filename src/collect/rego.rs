//! The user's Rego policies, from a folder.

use std::path::Path;

use anyhow::Context as _;

/// The Rego files under a folder (or the one file), by path: the names that messages use, and their texts. `tests` are files that end in
/// `_test.rego`.
pub fn rego(folder: &Path, tests: bool) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let walked = std::fs::metadata(folder).and_then(|_| walk(folder, &mut found));
    walked
        .with_context(|| format!("cannot read the policies in `{}`: is the folder there, and may this user read it?", folder.display()))?;
    found.retain(|(path, _)| tests || !path.ends_with("_test.rego"));
    found.sort();
    Ok(found)
}

fn walk(path: &Path, found: &mut Vec<(String, String)>) -> std::io::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            // A mounted ConfigMap holds each file twice: in `..data`, and as a link to that.
            if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("..")) {
                walk(&path, found)?;
            }
        }
    } else if path.extension().is_some_and(|ending| ending == "rego") {
        found.push((path.display().to_string(), std::fs::read_to_string(path)?));
    }
    Ok(())
}
