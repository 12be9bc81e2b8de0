//! Lines and gaps of a text. A line ends with LF, CRLF or a lone CR.

use std::borrow::Cow;

/// The line of an offset, from 1.
pub(super) fn number(bytes: &[u8], at: usize) -> usize {
    bytes[..at].split(|byte| *byte == b'\n').count()
}

/// The byte order mark, which belongs to no line.
pub(super) const BOM: char = '\u{feff}';

/// Where the line that holds `at` starts.
pub(super) fn start(text: &str, at: usize) -> usize {
    match text.as_bytes()[..at].iter().rposition(|byte| is_break(*byte)) {
        Some(position) => position + 1,
        None if text.starts_with(BOM) => BOM.len_utf8().min(at),
        None => 0,
    }
}

/// Where the line that holds `at` ends, before its break.
pub(super) fn end(text: &str, at: usize) -> usize {
    text.as_bytes()[at..].iter().position(|byte| is_break(*byte)).map_or(text.len(), |offset| at + offset)
}

/// The break at the end of the line that holds `at`; empty on a last line without one.
pub(super) fn break_of(text: &str, at: usize) -> &str {
    let end = end(text, at);
    let length = match &text.as_bytes()[end..] {
        [b'\r', b'\n', ..] => 2,
        [] => 0,
        _ => 1,
    };
    &text[end..end + length]
}

/// Where the line after the one that holds `at` starts.
pub(super) fn next(text: &str, at: usize) -> usize {
    end(text, at) + break_of(text, at).len()
}

/// The break before the line that holds `at`; empty on the first line.
pub(super) fn break_before(text: &str, at: usize) -> &str {
    let start = start(text, at);
    let length = match &text.as_bytes()[..start] {
        [.., b'\r', b'\n'] => 2,
        [.., b'\r' | b'\n'] => 1,
        _ => 0,
    };
    &text[start - length..start]
}

/// Where the break before the line that holds `at` starts.
pub(super) fn start_of_break_before(text: &str, at: usize) -> usize {
    start(text, at) - break_before(text, at).len()
}

/// The break that a new line beside the one that holds `at` should have: its own, the one before it, or LF.
pub(super) fn neighbour_break(text: &str, at: usize) -> &str {
    [break_of(text, at), break_before(text, at), "\n"].into_iter().find(|it| !it.is_empty()).unwrap_or("\n")
}

/// The text with a break at its end.
pub(super) fn whole(text: &str) -> Cow<'_, str> {
    if text.is_empty() || text.ends_with(['\n', '\r']) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{text}{}", neighbour_break(text, text.len())))
    }
}

/// The first byte from `at` on that is neither white space nor part of a comment.
pub(super) fn gap(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'#' => at = end(text, at),
            _ => break,
        }
    }
    at
}

/// Skips blanks, not breaks.
pub(super) fn blanks(text: &str, at: usize) -> usize {
    at + text.as_bytes()[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// Whether only blanks lie between the start of the line and `at`.
pub(super) fn opens_line(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches([' ', '\t']);
    before.is_empty() || before.ends_with(['\n', '\r', BOM])
}

/// Whether only blanks or a comment follow on the line.
pub(super) fn closes_line(text: &str, at: usize) -> bool {
    matches!(text.as_bytes().get(blanks(text, at)), None | Some(b'\r' | b'\n' | b'#'))
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}
