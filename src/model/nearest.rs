//! The nearest known word, for errors about unknown ones.

/// Adds to serde's message on an unknown field or variant the known name that is nearest to it, where one is near.
pub fn with_nearest(message: &str) -> String {
    match nearest_in(message) {
        Some(known) => format!("{message}; did you mean `{known}`?"),
        None => message.to_owned(),
    }
}

fn nearest_in(message: &str) -> Option<&str> {
    let rest = &message[message.find("unknown field `").or_else(|| message.find("unknown variant `"))?..];
    let mut quoted = rest.split('`').skip(1).step_by(2);
    nearest(quoted.next()?, quoted)
}

/// The known word that is nearest to an unknown one, where one is near.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(&unknown.to_lowercase(), &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(1))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word_and_nonsense_does_not() {
        let message = "unknown field `replica`, expected one of `target`, `signal`, `replicas` at line 3";
        assert!(with_nearest(message).ends_with("did you mean `replicas`?"));
        assert_eq!(nearest_in("unknown variant `comit`, expected `observe` or `commit`"), Some("commit"));
        assert_eq!(nearest_in("unknown field `zzzzzzzz`, expected one of `target`, `signal`"), None);
        assert_eq!(nearest_in("invalid type"), None);
    }
}
