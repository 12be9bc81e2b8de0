//! Replacements of byte ranges.

use std::ops::Range;

/// A range of the old text, and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    /// The bytes replaced; empty for an insertion.
    pub(super) span: Range<usize>,
    /// What takes their place.
    pub(super) text: String,
    /// How deep the edited node lies: of two insertions at one place the deeper comes first.
    pub(super) depth: usize,
}

/// Sorts splices by place.
pub(super) fn sort(splices: &mut [Splice]) {
    splices.sort_by(|a, b| (a.span.start, a.span.end, b.depth).cmp(&(b.span.start, b.span.end, a.depth)));
}

/// Where two sorted splices overlap, or insert at one place with no order between them.
pub(super) fn overlap(splices: &[Splice]) -> Option<usize> {
    let clash =
        |pair: &&[Splice]| pair[1].span.start < pair[0].span.end || (pair[0].span == pair[1].span && pair[0].depth == pair[1].depth);
    splices.windows(2).find(clash).map(|pair| pair[1].span.start)
}

/// Carries out sorted splices.
pub(super) fn apply(text: &str, splices: &[Splice]) -> String {
    let mut new = String::with_capacity(text.len() + splices.iter().map(|splice| splice.text.len()).sum::<usize>());
    let mut done = 0;
    for splice in splices {
        new.push_str(&text[done..splice.span.start]);
        new.push_str(&splice.text);
        done = splice.span.end;
    }
    new.push_str(&text[done..]);
    new
}
