//! Generated texts and edits, judged by PyYAML (`tests/support/yaml_oracle.py`), which shares no code with the editor.

use std::{
    collections::BTreeMap,
    io::Write,
    process::{Command, Stdio},
};

use prescale::overlay::yaml::{NewNode, Operation, Scalar, Step, Target, edit};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

mod texts;

use texts::{Case, case};

/// How many edits the judge gets at a time.
const BATCH: usize = 5_000;

/// The share of legal edits that may be refused.
const MAX_REFUSED: f64 = 0.01;

#[test]
fn an_outside_judge_finds_nothing_wrong() {
    let full = crate::support::is_full();
    let count = if full { 100_000 } else { 5_000 };
    let mut runner = TestRunner::deterministic();
    let strategy = case();
    let mut refused = BTreeMap::<String, Vec<String>>::new();
    let (mut operations, mut checked, mut unread) = (0, 0, 0);
    for _ in 0..count / BATCH {
        let mut lines = Vec::new();
        for _ in 0..BATCH {
            let case = strategy.new_tree(&mut runner).unwrap().current();
            let old = case.text();
            let chosen = case.operations();
            operations += chosen.len();
            match edit(old.as_bytes(), &chosen) {
                Ok(edited) => {
                    let new = String::from_utf8(edited.bytes).unwrap();
                    let operations: Vec<Value> = chosen.iter().map(as_json).collect();
                    lines.push(json!({"old": old, "operations": operations, "new": new}).to_string());
                }
                Err(error) => refused.entry(error.code.to_string()).or_default().push(format!("{error}\n{old:?}\n{chosen:?}")),
            }
        }
        let verdict = judged(&lines);
        checked += verdict.0;
        unread += verdict.1;
    }
    let refusals: usize = refused.values().map(Vec::len).sum();
    let samples: Vec<&str> = refused.values().flat_map(|all| all.iter().take(5)).map(String::as_str).collect();
    let tally: BTreeMap<&str, usize> = refused.iter().map(|(code, all)| (code.as_str(), all.len())).collect();
    eprintln!("{count} edits of {operations} operations: {checked} right, {unread} unread by PyYAML, refused {tally:?}");
    assert!((refusals as f64) < MAX_REFUSED * count as f64, "{refusals} of {count} legal edits refused:\n{}", samples.join("\n\n"));
    assert!(unread * 1_000 < count, "{unread} of the generated texts are no YAML to PyYAML");
    assert_eq!(checked + unread + refusals, count);
}

/// Shrinks a legal edit that is refused, or that loses bytes, to a small one.
#[test]
fn legal_edits_are_carried_out() {
    let mut runner = TestRunner::new_with_rng(
        Config { cases: 500, failure_persistence: None, ..Config::default() },
        TestRunner::deterministic().rng().clone(),
    );
    let result = runner.run(&case(), |case: Case| {
        let old = case.text();
        // What the check holds back is counted by the other test: it is no bug, but a text that means something else with any line after it.
        let edited = match edit(old.as_bytes(), &case.operations()) {
            Ok(edited) => edited,
            Err(error) if error.code == prescale::model::RefusalCode::OracleFailed => return Ok(()),
            Err(error) => return Err(proptest::test_runner::TestCaseError::fail(format!("{error}: {old:?} {:?}", case.operations()))),
        };
        let (mut at, mut kept) = (0, Vec::new());
        for span in &edited.spans {
            kept.push(&old.as_bytes()[at..span.start]);
            at = span.end;
        }
        kept.push(&old.as_bytes()[at..]);
        let mut rest = edited.bytes.as_slice();
        for part in kept {
            let found = rest.windows(part.len().max(1)).position(|it| it == part).unwrap_or(if part.is_empty() { 0 } else { usize::MAX });
            proptest::prop_assert!(found != usize::MAX, "{old:?} lost {part:?}");
            rest = &rest[found + part.len()..];
        }
        Ok(())
    });
    result.unwrap();
}

/// How many edits the judge found right, and how many texts it could not read. Panics when one is wrong.
fn judged(lines: &[String]) -> (usize, usize) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/yaml_oracle.py");
    let mut judge = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed, with PyYAML: pip install pyyaml==6.0.3");
    let mut stdin = judge.stdin.take().unwrap();
    let sent = stdin.write_all(lines.join("\n").as_bytes());
    drop(stdin);
    let output = judge.wait_with_output().unwrap();
    sent.expect("the judge stopped early; is PyYAML there? pip install pyyaml==6.0.3");
    let verdict: Value =
        serde_json::from_slice(&output.stdout).expect("the judge gave no verdict; is PyYAML there? pip install pyyaml==6.0.3");
    let wrong = verdict["wrong"].as_array().unwrap();
    let samples: Vec<String> = wrong.iter().take(10).map(Value::to_string).collect();
    assert!(wrong.is_empty(), "{} wrong edits:\n{}", wrong.len(), samples.join("\n"));
    (verdict["checked"].as_u64().unwrap() as usize, verdict["unread"].as_u64().unwrap() as usize)
}

fn as_json(operation: &Operation) -> Value {
    let Target { document, path, inner } = operation.at();
    let mut out = json!({"document": document, "path": steps(path)});
    if let Some((document, path)) = inner {
        out["inner"] = json!({"document": document, "path": steps(path)});
    }
    match operation {
        Operation::Set { to, .. } => {
            out["op"] = json!("set");
            out["value"] = scalar(to);
        }
        Operation::Insert { key, value, .. } => {
            out["op"] = json!("insert");
            out["key"] = json!(key);
            out["value"] = node(value);
        }
        Operation::Append { value, .. } => {
            out["op"] = json!("append");
            out["value"] = node(value);
        }
        Operation::Remove { .. } => out["op"] = json!("remove"),
    }
    out
}

fn steps(path: &[Step]) -> Value {
    let step = |step: &Step| match step {
        Step::Key(key) => json!(key),
        Step::Index(index) => json!(index),
    };
    path.iter().map(step).collect()
}

fn scalar(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Int(value) => json!(value),
        Scalar::Bool(value) => json!(value),
        Scalar::Text(value) => json!(value),
    }
}

fn node(new: &NewNode) -> Value {
    match new {
        NewNode::Scalar(it) => scalar(it),
        NewNode::Mapping(entries) => Value::Object(entries.iter().map(|(key, value)| (key.clone(), node(value))).collect()),
        NewNode::Sequence(items) => items.iter().map(node).collect(),
    }
}
