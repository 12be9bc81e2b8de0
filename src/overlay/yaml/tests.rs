//! Every trap, by table.

use super::{EditError, NewNode, Operation, Scalar, Step, Stream, Target, edit};
use crate::model::RefusalCode;

/// `1:spec.containers[0]` is a path in document 1; `patches[0].patch//spec.replicas` goes into the patch.
fn at(path: &str) -> Target {
    let (outer, inner) = path.split_once("//").map_or((path, None), |(outer, inner)| (outer, Some(inner)));
    let (document, path) = located(outer);
    Target { document, path, inner: inner.map(located) }
}

fn located(path: &str) -> (usize, Vec<Step>) {
    let (document, path) = path.split_once(':').map_or((0, path), |(document, path)| (document.parse().unwrap(), path));
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (key, indices) = part.split_once('[').map_or((part, None), |(key, rest)| (key, Some(rest)));
        steps.extend((!key.is_empty()).then(|| Step::Key(key.replace('~', "."))));
        for index in indices.into_iter().flat_map(|rest| rest.split(['[', ']'])).filter(|index| !index.is_empty()) {
            steps.push(Step::Index(index.parse().unwrap()));
        }
    }
    (document, steps)
}

fn set(path: &str, to: impl Into<Scalar>) -> Operation {
    Operation::Set { at: at(path), to: to.into() }
}

fn insert(path: &str, key: &str, value: impl Into<NewNode>) -> Operation {
    Operation::Insert { at: at(path), key: key.to_owned(), value: value.into() }
}

fn append(path: &str, value: impl Into<NewNode>) -> Operation {
    Operation::Append { at: at(path), value: value.into() }
}

fn remove(path: &str) -> Operation {
    Operation::Remove { at: at(path) }
}

fn mapping<const N: usize>(entries: [(&str, NewNode); N]) -> NewNode {
    NewNode::Mapping(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

impl From<i32> for Scalar {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<&str> for Scalar {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<i32> for NewNode {
    fn from(value: i32) -> Self {
        Self::Scalar(value.into())
    }
}

impl From<&str> for NewNode {
    fn from(value: &str) -> Self {
        Self::Scalar(value.into())
    }
}

fn edited(old: &str, operations: &[Operation]) -> Result<String, EditError> {
    edit(old.as_bytes(), operations).map(|edited| String::from_utf8(edited.bytes).unwrap())
}

#[track_caller]
fn becomes(old: &str, operations: &[Operation], new: &str) {
    match edited(old, operations) {
        Ok(found) => assert_eq!(found, new, "{operations:?} on {old:?}"),
        Err(error) => panic!("{operations:?} on {old:?}: {error}"),
    }
}

#[track_caller]
fn refuses(old: &str, operations: &[Operation], code: RefusalCode, line: usize) {
    match edited(old, operations) {
        Ok(found) => panic!("{operations:?} on {old:?} became {found:?}"),
        Err(error) => assert_eq!((error.code, error.line), (code, line), "{operations:?} on {old:?}: {error}"),
    }
}

#[test]
fn sets_scalars_and_nothing_else() {
    let cases: &[(&str, &str, Scalar, &str)] = &[
        ("replicas: 3 # few\n", "replicas", 5.into(), "replicas: 5 # few\n"),
        ("cpu: \"500m\"\n", "cpu", "250m".into(), "cpu: \"250m\"\n"),
        ("cpu: '500m'  # c\r\nb: 1\r\n", "cpu", "1".into(), "cpu: '1'  # c\r\nb: 1\r\n"),
        ("cpu: 500m", "cpu", "250m".into(), "cpu: 250m"),
        ("cpu: 500m", "cpu", "2".into(), "cpu: \"2\""),
        ("a: {cpu: 100m, memory: 128Mi}\n", "a.cpu", "250m".into(), "a: {cpu: 250m, memory: 128Mi}\n"),
        ("{\n    \"a\": {\n        \"b\": 1\n    }\n}", "a.b", 2.into(), "{\n    \"a\": {\n        \"b\": 2\n    }\n}"),
        ("{\"a\": 1}", "a", "x".into(), "{\"a\": \"x\"}"),
        ("replicas:\n", "replicas", 2.into(), "replicas: 2\n"),
        ("replicas: # none yet\nb: 1\n", "replicas", 2.into(), "replicas: 2 # none yet\nb: 1\n"),
        ("replicas: ~\n", "replicas", 2.into(), "replicas: 2\n"),
        ("{a, b}", "a", 2.into(), "{a: 2, b}"),
        ("{a: , b: 1}", "a", 2.into(), "{a: 2 , b: 1}"),
        ("- 1\n-\n- 3\n", "[1]", 2.into(), "- 1\n- 2\n- 3\n"),
        ("a: 1\n---\na: 1\n...\n---\na: 1\n", "1:a", 2.into(), "a: 1\n---\na: 2\n...\n---\na: 1\n"),
        ("\u{feff}a: 1\n", "a", 2.into(), "\u{feff}a: 2\n"),
        ("ä: ö # ü\nb: 1 # €\n", "b", 2.into(), "ä: ö # ü\nb: 2 # €\n"),
        ("a: one\n  two # c\nb: 1\n", "a", "x".into(), "a: x # c\nb: 1\n"),
        ("a: \"one\n  two\"\nb: 1\n", "a", "x".into(), "a: \"x\"\nb: 1\n"),
        ("a: | # c\n  one\n  two\n\nb: 1\n", "a", "x".into(), "a: \"x\" # c\n\nb: 1\n"),
        ("a:\n  b: >-\n    one", "a.b", "x".into(), "a:\n  b: \"x\""),
        ("\"a b\": 1\n? x\n: y\n", "a b", 2.into(), "\"a b\": 1\n? x\n: y\n"),
        ("a: x\n", "a", "yes".into(), "a: \"yes\"\n"),
        ("a: x\n", "a", "0o17".into(), "a: \"0o17\"\n"),
        ("a: x\n", "a", "2024-01-01".into(), "a: \"2024-01-01\"\n"),
        ("a: x\n", "a", "a: b #\n\u{7f}".into(), "a: \"a: b #\\n\\u007f\"\n"),
        ("a: 'x'\n", "a", "it's".into(), "a: 'it''s'\n"),
        ("a: sum(x)\n", "a", "sum(rate(x{a=\"b\"}[5m]))".into(), "a: sum(rate(x{a=\"b\"}[5m]))\n"),
        ("[sum(x)]\n", "[0]", "a, b".into(), "[\"a, b\"]\n"),
        ("a: true\n", "a", Scalar::Bool(false), "a: false\n"),
    ];
    for (old, path, to, new) in cases {
        if old.contains("? x") {
            refuses(old, &[set(path, to.clone())], RefusalCode::Unsupported, 1);
        } else {
            becomes(old, &[set(path, to.clone())], new);
        }
    }
}

#[test]
fn inserts_after_the_last_entry() {
    let cases: &[(&str, &str, &str)] = &[
        ("a: 1\n", "", "a: 1\nk: 5\n"),
        ("a: 1", "", "a: 1\nk: 5"),
        ("a: 1\r\nb: 2", "", "a: 1\r\nb: 2\r\nk: 5"),
        ("a: 1\r\nb: 2\r\n", "", "a: 1\r\nb: 2\r\nk: 5\r\n"),
        ("a:\n  b: 1 # c\n  # of a\n# of c\nc: 1\n", "a", "a:\n  b: 1 # c\n  k: 5\n  # of a\n# of c\nc: 1\n"),
        ("a:\n    b: 1\n", "a", "a:\n    b: 1\n    k: 5\n"),
        ("- name: x\n  v: 1\n- name: y\n", "[0]", "- name: x\n  v: 1\n  k: 5\n- name: y\n"),
        ("- - name: x\n", "[0][0]", "- - name: x\n    k: 5\n"),
        ("a: {}\n", "a", "a: {k: 5}\n"),
        ("a: { }\n", "a", "a: { k: 5 }\n"),
        ("a: {b: 1}\n", "a", "a: {b: 1, k: 5}\n"),
        ("a: { b: 1 } # c\n", "a", "a: { b: 1, k: 5 } # c\n"),
        ("a: {b: 1,}\n", "a", "a: {b: 1, k: 5,}\n"),
        ("a: {b: }\n", "a", "a: {b: , k: 5 }\n"),
        ("{\n  b:  # c\n}\n", "", "{\n  b: ,  # c\n  k: 5\n}\n"),
        ("a: {b}\n", "a", "a: {b, k: 5}\n"),
        ("{\n    \"a\": 1\n}", "", "{\n    \"a\": 1,\n    \"k\": 5\n}"),
        ("{\r\n  a: 1 # c\r\n}", "", "{\r\n  a: 1, # c\r\n  k: 5\r\n}"),
        ("{\n  a: 1, # c\n}", "", "{\n  a: 1, # c\n  k: 5,\n}"),
        ("{\n  a: 1 }", "", "{\n  a: 1,\n  k: 5 }"),
        ("{\n\t\"a\": 1\n}\n", "", "{\n\t\"a\": 1,\n\t\"k\": 5\n}\n"),
        ("a:\n", "a", "a:\n  k: 5\n"),
        ("a: # c\nb:\n   c: 1\n", "a", "a: # c\n   k: 5\nb:\n   c: 1\n"),
        ("a:", "a", "a:\n  k: 5"),
        ("a: null\n", "a", "a: {k: 5}\n"),
        ("[{\"a\": null}]", "[0].a", "[{\"a\": {\"k\": 5}}]"),
        ("-\n", "[0]", "- {k: 5}\n"),
        ("a: |\n  text\nb: 1\n", "", "a: |\n  text\nb: 1\nk: 5\n"),
        ("a: |\n  text\n", "", "a: |\n  text\nk: 5\n"),
        ("a: |\n  text", "", "a: |-\n  text\nk: 5"),
        ("a:\n  - |2+ # c\n    text", "", "a:\n  - |2- # c\n    text\nk: 5"),
        ("a: >-\n  one\n\n  two\n\n\n", "", "a: >-\n  one\n\n  two\nk: 5\n\n\n"),
        ("a: |+\n  one\n\n\n", "", "a: |+\n  one\n\n\nk: 5\n"),
        ("a: one\n  two\n  three # c\n", "", "a: one\n  two\n  three # c\nk: 5\n"),
        ("a: \"one\n\n  two\" # c\n---\nb: 1\n", "", "a: \"one\n\n  two\" # c\nk: 5\n---\nb: 1\n"),
        ("---\na: 1\n...\n", "", "---\na: 1\nk: 5\n...\n"),
        ("a:\n- x\n", "", "a:\n- x\nk: 5\n"),
        ("a:\n  b:\n", "", "a:\n  b:\nk: 5\n"),
        ("\u{feff}a: 1\n", "", "\u{feff}a: 1\nk: 5\n"),
    ];
    for (old, path, new) in cases {
        becomes(old, &[insert(path, "k", 5)], new);
    }
}

#[test]
fn inserts_nodes_as_the_document_indents() {
    let limits = || {
        mapping([
            ("limits", mapping([("cpu", "2".into()), ("memory", "1Gi".into())])),
            ("x", NewNode::Sequence(vec![mapping([("a", 1.into()), ("b", 2.into())]), 3.into()])),
        ])
    };
    becomes(
        "a:\n    b:\n    - x\n",
        &[insert("a", "resources", limits())],
        "a:\n    b:\n    - x\n    resources:\n        limits:\n            cpu: \"2\"\n            memory: 1Gi\n        x:\n        - a: 1\n          b: 2\n        - 3\n",
    );
    becomes(
        "a:\n  b:\n    - x\n  resources:\n",
        &[insert("a.resources", "r", limits())],
        "a:\n  b:\n    - x\n  resources:\n    r:\n      limits:\n        cpu: \"2\"\n        memory: 1Gi\n      x:\n        - a: 1\n          b: 2\n        - 3\n",
    );
    becomes("a: {b: 1}\n", &[insert("a", "r", limits())], "a: {b: 1, r: {limits: {cpu: \"2\", memory: 1Gi}, x: [{a: 1, b: 2}, 3]}}\n");
    becomes("a: 1\n", &[insert("", "on", mapping([])), insert("", "é", NewNode::Sequence(vec![]))], "a: 1\n\"on\": {}\né: []\n");
}

#[test]
fn appends_items() {
    let cases: &[(&str, &str, &str)] = &[
        ("a:\n- x\n# tail\n", "a", "a:\n- x\n- 5\n# tail\n"),
        ("a:\n  - x", "a", "a:\n  - x\n  - 5"),
        ("a:\r\n  -   x # c\r\n", "a", "a:\r\n  -   x # c\r\n  -   5\r\n"),
        ("a:\n- k: v\n  l: w\nb: 1\n", "a", "a:\n- k: v\n  l: w\n- 5\nb: 1\n"),
        ("- - a\n- - b\n", "[0]", "- - a\n  - 5\n- - b\n"),
        ("a: []\n", "a", "a: [5]\n"),
        ("a: [x]\n", "a", "a: [x, 5]\n"),
        ("a: [x, # c\n    y]\n", "a", "a: [x, # c\n    y,\n    5]\n"),
        ("a:\n", "a", "a:\n- 5\n"),
        ("b:\n  - x\na:\n", "a", "b:\n  - x\na:\n  - 5\n"),
        ("a:\n-\n", "a", "a:\n-\n- 5\n"),
        ("[\n  1\n]\n", "", "[\n  1,\n  5\n]\n"),
    ];
    for (old, path, new) in cases {
        becomes(old, &[append(path, 5)], new);
    }
    becomes("a:\n- x: 1\n", &[append("a", mapping([("v", 1.into()), ("z", 2.into())]))], "a:\n- x: 1\n- v: 1\n  z: 2\n");
}

#[test]
fn removes_keys_and_items() {
    let cases: &[(&str, &str, &str)] = &[
        ("a: 1 # c\nb: 2\n", "a", "b: 2\n"),
        ("a: 1\n# about b\nb: 2\nc: 3\n", "b", "a: 1\n# about b\nc: 3\n"),
        ("a: 1\nb: 2", "b", "a: 1"),
        ("a: 1\r\nb: 2", "b", "a: 1"),
        ("a: |\n  x\nb: 2", "b", "a: |\n  x\n"),
        ("a:\n  b:\n    c: 1\n    d: 2\n  e: 3\n", "a.b", "a:\n  e: 3\n"),
        ("a:\n  b: 1 # c\n# d\ne: 1\n", "a.b", "a: {}\n# d\ne: 1\n"),
        ("a:\n  b: 1", "a.b", "a: {}"),
        ("a:\n- x\n", "a[0]", "a: []\n"),
        ("- a: 1\n  b: 2\n", "[0].a", "- b: 2\n"),
        ("- a: 1 # c\n\n  # d\n  b: 2\n", "[0].a", "- # d\n  b: 2\n"),
        ("- a: 1\n", "[0].a", "- {}\n"),
        ("- - a\n  - b\n", "[0][0]", "- - b\n"),
        ("a: 1\n", "a", "{}\n"),
        ("- a\n- b # c\n- c\n", "[1]", "- a\n- c\n"),
        ("{a: 1, b: 2, c: 3}", "a", "{b: 2, c: 3}"),
        ("{a: 1, b: 2, c: 3}", "b", "{a: 1, c: 3}"),
        ("{a: 1, b: 2, c: 3}", "c", "{a: 1, b: 2}"),
        ("[1, 2,]", "[1]", "[1,]"),
        ("{ a: 1 }", "a", "{}"),
        ("{\n  \"a\": 1,\n  \"b\": 2\n}\n", "a", "{\n  \"b\": 2\n}\n"),
        ("{\n  \"a\": 1,\n  \"b\": 2\n}\n", "b", "{\n  \"a\": 1\n}\n"),
        ("[\n  a, # about a\n  # more\n  b # about b\n]\n", "[1]", "[\n  a # about a\n  # more\n]\n"),
        ("a: |+\n  x\n\nb: 1\n\n \nc: 2\n", "b", "a: |+\n  x\n\nc: 2\n"),
        ("a: 1\n---\nb: 1\nc: 2\n", "1:b", "a: 1\n---\nc: 2\n"),
    ];
    for (old, path, new) in cases {
        becomes(old, &[remove(path)], new);
    }
}

#[test]
fn many_operations_address_the_old_text() {
    becomes("- 0\n- 1\n- 2\n- 3\n", &[remove("[0]"), append("", 4), remove("[2]"), set("[1]", 9)], "- 9\n- 3\n- 4\n");
    becomes("- 0\n- 1\n", &[remove("[0]"), remove("[1]"), append("", 4), append("", 5)], "- 4\n- 5\n");
    becomes("[0, 1]", &[remove("[0]"), remove("[1]"), append("", 4), append("", 5)], "[4, 5]");
    becomes("[0, 1, 2, 3]", &[remove("[0]"), remove("[2]"), remove("[3]")], "[1]");
    becomes("- a: 0\n  b: 1\n  c: 2\n", &[remove("[0].a"), remove("[0].b")], "- c: 2\n");
    becomes("a: 0\nb: 1\nc: 2", &[remove("b"), remove("c")], "a: 0");
    becomes("a:\n  b: 1\n  c: 2", &[remove("a.b"), remove("a.c")], "a: {}");
    becomes("a:\n  b:\n", &[insert("a.b", "c", 1), insert("a", "d", 2), insert("", "e", 3)], "a:\n  b:\n    c: 1\n  d: 2\ne: 3\n");
    becomes("a:\n  b:", &[insert("a.b", "c", 1), insert("a", "d", 2), insert("", "e", 3)], "a:\n  b:\n    c: 1\n  d: 2\ne: 3");
    becomes("a:\n  b: |\n    x", &[insert("a", "d", 2), insert("", "e", 3)], "a:\n  b: |-\n    x\n  d: 2\ne: 3");
    refuses("a: 1\nb: 2\n", &[set("b", 3), set("b", 4)], RefusalCode::Unsupported, 2);
    refuses("a:\n  b: 1\n", &[remove("a"), set("a.b", 3)], RefusalCode::Unsupported, 2);
    refuses("a:\n", &[set("a", 3), set("a", 4)], RefusalCode::Unsupported, 1);
    refuses("a: 1\n", &[remove("a"), remove("a")], RefusalCode::Unsupported, 1);
    refuses("a: 1\n", &[insert("", "b", 1), insert("", "b", 2)], RefusalCode::DuplicateKey, 1);
    assert_eq!(edit(b"a: 1\nb: 2\n", &[set("b", 30), set("a", 10)]).unwrap().spans, [3..4, 8..9]);
}

#[test]
fn edits_patches_inside_scalars() {
    let literal = "patches:\n- patch: |-\n    kind: Deployment # c\n    spec:\n      replicas: 3\n  target:\n    kind: Deployment\n";
    becomes(literal, &[set("patches[0].patch//spec.replicas", 7)], &literal.replace('3', "7"));
    becomes(
        literal,
        &[insert("patches[0].patch//spec", "paused", NewNode::Scalar(Scalar::Bool(true))), insert("patches[0].patch//", "x", 1)],
        &literal.replace("3\n", "3\n      paused: true\n    x: 1\n"),
    );
    becomes(literal, &[remove("patches[0].patch//kind")], &literal.replacen("    kind: Deployment # c\n", "", 1));
    becomes(literal, &[remove("patches[0].patch//spec")], &literal.replace("\n    spec:\n      replicas: 3", ""));
    let clip = literal.replace("|-", "|").replace('\n', "\r\n");
    becomes(&clip, &[insert("patches[0].patch//spec", "x", 1)], &clip.replace("3\r\n", "3\r\n      x: 1\r\n"));
    becomes(&clip, &[remove("patches[0].patch//spec")], &clip.replace("    spec:\r\n      replicas: 3\r\n", ""));
    let cases: &[(&str, Operation, &str)] = &[
        ("p: |\n  a:\n\n  b: 1\n\nq: 1\n", insert("p//a", "k", 5), "p: |\n  a:\n    k: 5\n\n  b: 1\n\nq: 1\n"),
        ("p: |2\n    a: 1\nq: 1\n", insert("p//", "k", 5), "p: |2\n    a: 1\n    k: 5\nq: 1\n"),
        ("p: |+\n  a: 1\n\n\nq: 1\n", insert("p//", "k", 5), "p: |+\n  a: 1\n  k: 5\n\n\nq: 1\n"),
        ("p: |\n  a: 1", insert("p//", "k", 5), "p: |\n  a: 1\n  k: 5"),
        ("p: |\n  d:\n    s: |\n      x\n", insert("p//d", "k", 5), "p: |\n  d:\n    s: |\n      x\n    k: 5\n"),
        (
            "p: |-\n  - op: replace\n    path: /a\n    value: 1\n",
            append("p//", mapping([("op", "add".into())])),
            "p: |-\n  - op: replace\n    path: /a\n    value: 1\n  - op: add\n",
        ),
        ("p: |-\n  [{\"op\": \"replace\", \"value\": 1}]\n", set("p//[0].value", 9), "p: |-\n  [{\"op\": \"replace\", \"value\": 9}]\n"),
        (
            "p: '[{\"op\": \"it''s\", \"value\": \"1\"}]' # c\n",
            set("p//[0].value", "x'y"),
            "p: '[{\"op\": \"it''s\", \"value\": \"x''y\"}]' # c\n",
        ),
        (
            "p: \"[{\\\"value\\\": \\\"1\\\"}]\" # c\n",
            insert("p//[0]", "x", "y"),
            "p: \"[{\\\"value\\\": \\\"1\\\", \\\"x\\\": \\\"y\\\"}]\" # c\n",
        ),
        ("p: \"a: 1\\nb: 2\\n\"\n", insert("p//", "x", "z"), "p: \"a: 1\\nb: 2\\nx: z\\n\"\n"),
        ("p: >-\n  [{\"value\": 1}]\n", set("p//[0].value", 9), "p: >-\n  [{\"value\": 9}]\n"),
        ("p: |\n  a: 1\n  ---\n  a: 1\n", set("p//1:a", 9), "p: |\n  a: 1\n  ---\n  a: 9\n"),
    ];
    for (old, operation, new) in cases {
        becomes(old, std::slice::from_ref(operation), new);
    }
    refuses("p: >-\n  a: 1\n  b: 1\n", &[set("p//a", 9)], RefusalCode::EmbeddedPatch, 1);
    refuses("p: \"a: 1\n\n  b: 1\"\n", &[set("p//a", 9)], RefusalCode::EmbeddedPatch, 1);
    refuses("x: 1\np: |\n  a: &x 1\n  b: *x\n", &[set("p//a", 9)], RefusalCode::Anchored, 3);
    refuses("p: |\n  a: 1\n  a: 2\n", &[set("p//a", 9)], RefusalCode::DuplicateKey, 3);
    refuses("p: {a: 1}\n", &[set("p//a", 9)], RefusalCode::EmbeddedPatch, 1);
}

#[test]
fn keeps_an_anchor_that_nothing_refers_to() {
    let cases: &[(&str, Operation, &str)] = &[
        ("a: &x 1 # c\nb: 2\n", set("a", 9), "a: &x 9 # c\nb: 2\n"),
        ("a: &x 1\nb: &x 2\nc: *x\n", set("a", 9), "a: &x 9\nb: &x 2\nc: *x\n"),
        ("a: &x 1\n---\na: &x 1\nb: *x\n", set("a", 9), "a: &x 9\n---\na: &x 1\nb: *x\n"),
        ("b: &x\n  c: 1\n", set("b.c", 9), "b: &x\n  c: 9\n"),
        ("b: &x\n  c: 1\n", insert("b", "d", 9), "b: &x\n  c: 1\n  d: 9\n"),
        ("b: &x {c: 1}\n", insert("b", "d", 9), "b: &x {c: 1, d: 9}\n"),
        ("p: &x |\n  a: 1\nq: 2\n", set("p//a", 9), "p: &x |\n  a: 9\nq: 2\n"),
        ("- &x a: 1\n- b\n", set("[0].a", 9), "- &x a: 9\n- b\n"),
    ];
    for (old, operation, new) in cases {
        becomes(old, std::slice::from_ref(operation), new);
    }
    refuses("a: &x 1\nb: &x 2\nc: *x\n", &[set("b", 9)], RefusalCode::Anchored, 2);
    refuses("b: &x\n  c: 1\n*x : 2\n", &[set("b.c", 9)], RefusalCode::Anchored, 2);
}

#[test]
fn refuses_what_is_not_safe() {
    use RefusalCode::{Anchored, DuplicateKey, Encrypted, InvalidYaml, NoTarget, Templated, Unsupported};
    let cases: &[(&str, Operation, RefusalCode, usize)] = &[
        ("a: 1\nb: 1\na: 2\n", set("a", 9), DuplicateKey, 3),
        ("a: 1\nb: 1\na: 2\n", set("b", 9), DuplicateKey, 3),
        ("a: 1\nb: 1\na: 2\n", insert("", "c", 9), DuplicateKey, 3),
        ("a: 1\n", insert("", "a", 9), DuplicateKey, 1),
        ("b: &x 1\na: *x\n", set("a", 9), Anchored, 2),
        ("b: &x 1\na: *x\n", set("b", 9), Anchored, 1),
        ("b: &x\n  c: 1\na: *x\n", insert("b", "d", 9), Anchored, 2),
        ("b: &x\n  c: 1\na: *x\n", set("b.c", 9), Anchored, 2),
        ("b: &x\n  c: 1\na:\n  <<: *x\n", set("a.c", 9), Anchored, 4),
        ("b: &x\n  c: 1\na:\n  <<: *x\n", insert("a", "c", 9), Anchored, 4),
        ("a: !!str 1\n", set("a", 9), Unsupported, 1),
        ("# {{ fine }}\na: 1\nb: {{ .Values.x }}\n", set("a", 9), Templated, 3),
        ("a: 1\nb: x-{{ .x }}\n", set("b", 9), Templated, 2),
        ("a: 1\nb: '{{ .x }}'\n", set("b", 9), Templated, 2),
        ("a: 1\n{{- if x }}\nb: 1\n{{- end }}\n", set("a", 9), Templated, 2),
        ("a: ENC[AES256_GCM,data]\n", set("a", 9), Encrypted, 1),
        ("a: 1\nsops:\n  mac: x\n", set("a", 9), Encrypted, 3),
        ("a: 1\n", set("b", 9), NoTarget, 1),
        ("a: 1\n", set("1:a", 9), NoTarget, 1),
        ("a: [1]\n", set("a[1]", 9), NoTarget, 1),
        ("a:\n  b: 1\n", set("a", 9), Unsupported, 2),
        ("a: 1\n", insert("a", "k", 9), Unsupported, 1),
        ("a: 1\n", append("", 9), Unsupported, 1),
        ("a:\n\tb: 1\n", set("a.b", 9), InvalidYaml, 2),
        ("a: [\n", set("a", 9), InvalidYaml, 2),
        ("a: 1\0\n", set("a", 9), InvalidYaml, 1),
        ("? a\n: 1\n", set("a", 9), Unsupported, 1),
        ("[a: 1]\n", set("[0].a", 9), Unsupported, 1),
        ("", insert("", "a", 9), NoTarget, 1),
        ("---\n", insert("", "a", 9), Unsupported, 1),
    ];
    for (old, operation, code, line) in cases {
        refuses(old, std::slice::from_ref(operation), *code, *line);
    }
    assert_eq!(edit(b"a: 1\nb: \xff\n", &[set("a", 9)]).unwrap_err().line, 2);
    becomes("# {{ fine }}\na: 1 # {{ too }}\n", &[set("a", 9)], "# {{ fine }}\na: 9 # {{ too }}\n");
    becomes("a: 1\nb: '{{ text }}'\nc: x-{{ y }}\n", &[set("a", 9)], "a: 9\nb: '{{ text }}'\nc: x-{{ y }}\n");
}

#[test]
fn hostile_texts_end_in_clean_errors() {
    for text in [
        "[".repeat(10_000),
        "{a: ".repeat(10_000),
        "- ".repeat(10_000),
        (0..10_000).fold(String::new(), |text, depth| text + &" ".repeat(depth % 300) + "a:\n"),
        "a: &a [x]\n".to_owned()
            + &(0..30).fold("b0: &b0 x\n".to_owned(), |text, it| text + &format!("b{}: &b{} [*b{it}, *b{it}]\n", it + 1, it + 1)),
        "b0: &b0 [x]\n".to_owned() + &(0..20_000).fold(String::new(), |text, it| text + &format!("b{}: &b{} [*b{it}]\n", it + 1, it + 1)),
        format!("b: &b {}\na: [{}]\n", "x".repeat(1_000_000), "*b, ".repeat(100_000)),
        "a: 1\n".repeat(1_000_000),
    ] {
        let error = edit(text.as_bytes(), &[set("a", 1)]).unwrap_err();
        assert!(matches!(error.code, RefusalCode::Unsupported | RefusalCode::InvalidYaml), "{error}");
    }
}

#[test]
fn reads_what_kustomize_reads() {
    let stream =
        Stream::parse(b"a: 3\nb: '3'\nc: 0x10\nd: ~\ne: yes\nf: 1.5\ng: &x {h: 1}\ni: *x\nj: {<<: *x, k: 010}\n---\n---\n[]\n").unwrap();
    let value = stream.documents()[0].to_value().unwrap();
    let expected: serde_yaml::Value =
        serde_yaml::from_str("{a: 3, b: '3', c: 16, d: null, e: 'yes', f: 1.5, g: {h: 1}, i: {h: 1}, j: {k: 8, h: 1}}").unwrap();
    assert_eq!(value, expected);
    assert_eq!(stream.documents().len(), 3);
    assert!(stream.documents()[1].is_null());
    let root = &stream.documents()[0];
    assert_eq!((root.get("j").unwrap().line(), root.get("a").unwrap().span(), root.get("g").unwrap().anchor()), (9, 3..4, Some("x")));
    let held = Stream::parse(b"x: 1\np: |\n\n  a:\n    b: 1\n").unwrap();
    let inner = held.documents()[0].get("p").unwrap().embedded().unwrap();
    assert_eq!(inner.documents()[0].get("a").unwrap().get("b").unwrap().line(), 5);
}
