//! Any bytes, any edit: no panic, and what comes out can be read and edited again.
//!
//! `cargo fuzz run splice` (nightly, or `RUSTC_BOOTSTRAP=1`). The first four bytes choose the node and the operation; the rest is the text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prescale::overlay::yaml::{Content, NewNode, Node, Operation, Scalar, Step, Stream, Target, edit};

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first_chunk::<4>() else { return };
    let Ok(stream) = Stream::parse(text) else { return };
    let mut targets = Vec::new();
    for (document, root) in stream.documents().iter().enumerate() {
        collect(root, &Target { document, path: Vec::new(), inner: None }, &mut targets);
        let _ = root.to_value();
    }
    let Some(at) = targets.get(usize::from(u16::from_le_bytes([choice[0], choice[1]])) % targets.len().max(1)) else { return };
    let at = at.clone();
    let scalar = match choice[3] % 4 {
        0 => Scalar::Int(i64::from(choice[3])),
        1 => Scalar::Bool(true),
        2 => Scalar::Text("250m".to_owned()),
        _ => Scalar::Text("it's # \"no\": [1]\n".to_owned()),
    };
    let value = NewNode::Mapping(vec![("cpu".to_owned(), NewNode::Scalar(scalar.clone())), ("all".to_owned(), NewNode::Sequence(vec![NewNode::Scalar(scalar.clone())]))]);
    let operation = match choice[2] % 4 {
        0 => Operation::Set { at, to: scalar },
        1 => Operation::Insert { at, key: "prescale".to_owned(), value },
        2 => Operation::Append { at, value },
        _ => Operation::Remove { at },
    };
    if let Ok(edited) = edit(text, &[operation]) {
        let again = Stream::parse(&edited.bytes).expect("an edited text is YAML");
        assert_eq!(again.documents().len(), stream.documents().len());
    }
});

fn collect(node: &Node, at: &Target, out: &mut Vec<Target>) {
    out.push(at.clone());
    let below = |step: Step| {
        let mut at = at.clone();
        at.inner.as_mut().map_or(&mut at.path, |(_, path)| path).push(step);
        at
    };
    match node.content() {
        Content::Mapping(entries) => {
            for (key, value) in entries {
                collect(value, &below(Step::Key(key.as_str().unwrap_or_default().to_owned())), out);
            }
        }
        Content::Sequence(items) => items.iter().enumerate().for_each(|(index, item)| collect(item, &below(Step::Index(index)), out)),
        Content::Scalar(_) if at.inner.is_none() => {
            for (document, root) in node.embedded().iter().flat_map(|held| held.documents().iter().enumerate()) {
                collect(root, &Target { inner: Some((document, Vec::new())), ..at.clone() }, out);
            }
        }
        Content::Scalar(_) | Content::Alias(_) => {}
    }
}
