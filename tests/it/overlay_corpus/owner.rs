//! Whether the file and line that are said to own a value do: the value is changed there, by text alone, and the real render must follow.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use prescale::model::{Field, Mark, Part, Place, RepoPath, SiteKind, Tree, Value};
use prescale::overlay::{self, Ownership};
use serde_json::Value as Json;

use super::{Case, in_parallel, percent};
use crate::support::{kustomize, repository};

#[derive(Default)]
pub(super) struct Tally {
    /// Workloads with a value that someone sets.
    workloads: usize,
    /// Those whose every value moved with its owner.
    right: usize,
    values: usize,
    /// Values that nobody here is said to own: what cannot be followed does.
    foreign: usize,
}

impl Tally {
    pub(super) fn right_share(&self) -> f64 {
        percent(self.right, self.workloads)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workloads, right, values, foreign } = self;
        write!(
            f,
            "{right} of {workloads} workloads right ({:.2} %), {values} values, {foreign} owned by what is not edited",
            self.right_share()
        )
    }
}

/// A workload's values with their owners.
struct Claims {
    workload: String,
    owned: Vec<(Ownership, Place)>,
    foreign: usize,
}

pub(super) fn check(root: &Path, tree: &Tree, cases: &[Case], tally: &mut Tally) {
    let name = root.file_name().unwrap().to_string_lossy();
    let copy = || {
        let work = tempfile::tempdir().unwrap();
        repository::copy(root, work.path());
        work
    };
    let verdicts = in_parallel(cases, copy, |work, case| {
        let claims: Vec<Claims> = case.survey.workloads.iter().map(|workload| claims(tree, &case.overlay, &workload.id)).collect();
        let touched = claims.iter().any(|claims| !claims.owned.is_empty());
        let moved = if touched { moved(work.path(), case, &claims) } else { Ok(Vec::new()) };
        (claims, moved)
    });
    for (case, (claims, moved)) in cases.iter().zip(verdicts) {
        for claims in claims {
            tally.foreign += claims.foreign;
            tally.values += claims.owned.len();
            tally.workloads += usize::from(!claims.owned.is_empty());
            let still: Vec<String> = match &moved {
                Ok(moved) => claims
                    .owned
                    .iter()
                    .filter(|claim| !moved.contains(claim))
                    .map(|(owner, place)| format!("{} at {place}", owner.field))
                    .collect(),
                Err(error) => vec![error.clone()],
            };
            if claims.owned.is_empty() {
                continue;
            }
            if still.is_empty() {
                tally.right += 1;
            } else {
                eprintln!("owner: {name}/{}: {}: does not follow: {}", case.overlay, claims.workload, still.join(", "));
            }
        }
    }
}

fn claims(tree: &Tree, overlay: &RepoPath, id: &prescale::model::WorkloadId) -> Claims {
    let mut claims = Claims { workload: id.to_string(), owned: Vec::new(), foreign: 0 };
    for owner in overlay::owners(tree, overlay, id) {
        match owner.setters.last() {
            // Texts and schedules cannot be told in a line of text.
            _ if matches!(owner.value, Some(Value::Text(_) | Value::Schedule(_))) => {}
            Some(site) if owner.value.is_some() && site.kind != SiteKind::Foreign => {
                let place = site.place.clone();
                claims.owned.push((owner, place));
            }
            Some(_) if owner.value.is_some() => claims.foreign += 1,
            _ => {}
        }
    }
    claims
}

/// Changes every claimed value where it is said to stand, in a copy of the repository, and gives the claims whose rendered value followed.
fn moved(root: &Path, case: &Case, claims: &[Claims]) -> Result<Vec<(Ownership, Place)>, String> {
    let owned: Vec<&(Ownership, Place)> = claims.iter().flat_map(|claims| &claims.owned).collect();
    let mut texts: BTreeMap<&RepoPath, Vec<String>> = BTreeMap::new();
    for (owner, place) in &owned {
        let lines = texts.entry(&place.path).or_insert_with(|| {
            fs::read_to_string(root.join(place.path.as_str())).unwrap_or_default().split_inclusive('\n').map(str::to_owned).collect()
        });
        let line = place.line.and_then(|line| lines.get_mut(line - 1));
        if let Some(line) = line {
            let version = case.before.get(&owner.object).map_or("", |object| object["apiVersion"].as_str().unwrap_or_default());
            *line = changed(line, &owner.field, version, owner.value.as_ref().unwrap());
        }
    }
    let swap = |path: &RepoPath, text: &str| {
        let path = root.join(path.as_str());
        let old = fs::read_to_string(&path).unwrap();
        fs::write(path, text).unwrap();
        old
    };
    let old: Vec<(&RepoPath, String)> = texts.into_iter().map(|(path, lines)| (path, swap(path, &lines.concat()))).collect();
    let after = kustomize::render(&root.join(case.overlay.as_str()));
    for (path, text) in old {
        swap(path, &text);
    }
    let after = after?;
    Ok(owned
        .into_iter()
        .filter(|(owner, _)| {
            let wanted = other(owner.value.as_ref().unwrap());
            after.get(&owner.object).and_then(|object| leaf(object, &owner.field)).is_some_and(|text| text == wanted)
        })
        .cloned()
        .collect())
}

/// A value that nobody has.
fn other(value: &Value) -> String {
    match value {
        Value::Count(_) | Value::Percent(_) => "4321".to_owned(),
        Value::Stabilization(_) => "3210".to_owned(),
        Value::Text(_) | Value::Schedule(_) => unreachable!("left out"),
        Value::Cpu(_) => "4321m".to_owned(),
        Value::Memory(_) => "4321Mi".to_owned(),
    }
}

/// The line with its value replaced: the first token after the field's own key that means the value, or the last one of the line.
fn changed(line: &str, field: &Field, version: &str, old: &Value) -> String {
    let means = |token: &str| match old {
        Value::Cpu(cpu) => token.parse().as_ref() == Ok(cpu),
        Value::Memory(memory) => token.parse().as_ref() == Ok(memory),
        number => token == number.to_string(),
    };
    let key = match field.parts(version).unwrap_or_default().pop() {
        Some(Part::Key(key)) => key.into_owned(),
        _ => String::new(),
    };
    let start = line.find(&format!("{key}:")).map_or(0, |at| at + key.len() + 1);
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let mut tokens = Vec::new();
    let mut at = start;
    while let Some(begin) = line[at..].find(is_word).map(|offset| at + offset) {
        let end = line[begin..].find(|c| !is_word(c)).map_or(line.len(), |offset| begin + offset);
        if means(&line[begin..end]) {
            tokens.push(begin..end);
        }
        at = end;
    }
    match if start > 0 { tokens.first() } else { tokens.last() } {
        Some(token) => format!("{}{}{}", &line[..token.start], other(old), &line[token.end..]),
        None => line.to_owned(),
    }
}

/// The rendered leaf at a field.
fn leaf(object: &Json, field: &Field) -> Option<String> {
    let holds = |item: &Json, mark: &Mark| mark.at.iter().try_fold(item, |node, key| node.get(key)).is_some_and(|text| *text == *mark.is);
    let parts = field.parts(object["apiVersion"].as_str()?)?;
    let found = parts.iter().try_fold(object, |node, part| match part {
        Part::Key(key) => node.get(&**key),
        Part::Item(marks) => node.as_array()?.iter().find(|item| marks.iter().all(|mark| holds(item, mark))),
    })?;
    Some(found.as_str().map_or_else(|| found.to_string(), str::to_owned))
}
