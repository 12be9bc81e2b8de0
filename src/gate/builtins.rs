//! Builtins that make much of little, bounded: the execution timer looks between two expressions, and so would not stop one of them.
//!
//! What they do beside that is left to the engine's own, each in an engine of its own, which is the one way to call it.

use anyhow::{Context as _, bail};
use regorus::{Engine, Value};

/// So many numbers may be made at once.
const MOST_NUMBERS: u64 = 100_000;
/// So many bits may be shifted in at once.
const MOST_BITS: u64 = 1024;
/// So many digits may a width, a precision or an exponent have.
const MOST_DIGITS: usize = 3;

/// What may be wrong with arguments.
type Check = fn(&[Value]) -> anyhow::Result<()>;

/// Each with how many arguments it takes, and what is looked at before it is called.
const BOUNDED: [(&str, u8, Check); 7] = [
    ("bits.lsh", 2, short_shift),
    ("numbers.range", 2, few_numbers),
    ("numbers.range_step", 3, few_numbers),
    ("rand.intn", 2, no_chance),
    ("sprintf", 2, narrow),
    ("units.parse", 1, small_exponent),
    ("units.parse_bytes", 1, small_exponent),
];

/// Puts the bounded ones in the place of the engine's: it looks for extensions first, by whatever name a policy imports or writes them.
pub(super) fn bound(engine: &mut Engine) -> anyhow::Result<()> {
    for (name, takes, check) in BOUNDED {
        let mut inner = plain(name, takes)?;
        let bounded = move |arguments: Vec<Value>| {
            check(&arguments)?;
            inner.set_input(Value::from(arguments));
            inner.eval_rule("data.plain.answer".to_owned()).map_err(|error| anyhow::Error::msg(last_words(&error)))
        };
        engine.add_extension(name.to_owned(), takes, Box::new(bounded))?;
    }
    Ok(())
}

/// An engine that calls one builtin as it is.
fn plain(name: &str, takes: u8) -> anyhow::Result<Engine> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    let arguments: Vec<String> = (0..takes).map(|n| format!("input[{n}]")).collect();
    engine.add_policy(name.to_owned(), format!("package plain\n\nanswer := {name}({})\n", arguments.join(", ")))?;
    Ok(engine)
}

/// An error without the source that it quotes, which nobody wrote.
fn last_words(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.rsplit("error: ").next().unwrap_or(&text).trim().to_owned()
}

fn few_numbers(arguments: &[Value]) -> anyhow::Result<()> {
    let [from, to, step @ ..] = arguments else { return Ok(()) };
    let whole = |value: &Value| value.as_i64().context("a range is of whole numbers of at most 64 bits");
    let span = whole(from)?.abs_diff(whole(to)?);
    // What is no step is told by the builtin itself.
    let step = step.first().and_then(|step| step.as_u64().ok()).map_or(1, |step| step.max(1));
    if span / step >= MOST_NUMBERS {
        bail!("a range of more than {MOST_NUMBERS} numbers");
    }
    Ok(())
}

fn short_shift(arguments: &[Value]) -> anyhow::Result<()> {
    if arguments.get(1).and_then(|bits| bits.as_u64().ok()).is_some_and(|bits| bits > MOST_BITS) {
        bail!("a shift by more than {MOST_BITS} bits");
    }
    Ok(())
}

fn narrow(arguments: &[Value]) -> anyhow::Result<()> {
    let Some(Value::String(format)) = arguments.first() else { return Ok(()) };
    for directive in format.split('%').skip(1) {
        let digits = || directive.trim_start_matches('.').chars().take_while(|letter| letter.is_numeric());
        if digits().count() > MOST_DIGITS || digits().any(|digit| !digit.is_ascii_digit()) {
            bail!("a width or precision that is no number of at most {MOST_DIGITS} digits");
        }
    }
    Ok(())
}

fn small_exponent(arguments: &[Value]) -> anyhow::Result<()> {
    let Some(Value::String(text)) = arguments.first() else { return Ok(()) };
    let digits = text.split_once(['e', 'E']).map_or(0, |(_, exponent)| exponent.chars().filter(|letter| letter.is_numeric()).count());
    if digits > MOST_DIGITS {
        bail!("an exponent of more than {MOST_DIGITS} digits");
    }
    Ok(())
}

fn no_chance(_: &[Value]) -> anyhow::Result<()> {
    bail!("chance: the same inputs must give the same answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether an expression holds, or why it fails.
    fn outcome(expression: &str) -> Result<bool, String> {
        let mut engine = Engine::new();
        engine.set_strict_builtin_errors(true);
        bound(&mut engine).unwrap();
        engine.add_policy("t.rego".to_owned(), format!("package t\n\nimport rego.v1\n\nholds if {{ {expression} }}\n")).unwrap();
        engine.eval_rule("data.t.holds".to_owned()).map(|value| value == Value::Bool(true)).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_is_small_is_as_it_was() {
        for expression in [
            "numbers.range(3, 1) == [3, 2, 1]",
            "count(numbers.range(1, 100000)) == 100000",
            "numbers.range(1, 3, found); found == [1, 2, 3]",
            "numbers.range_step(0, 1000000, 500000) == [0, 500000, 1000000]",
            "bits.lsh(1, 4) == 16",
            r#"sprintf("%d of %5d, %05d, %.2f %s %%", [1, 2, 3, 0.5, "x"]) == "1 of     2, 00003, 0.50 x %""#,
            r#"units.parse("100m") == 0.1"#,
            r#"units.parse("1e3") == 1000"#,
            r#"units.parse_bytes("1Ki") == 1024"#,
            r#"not sprintf("%d", [input.nothing])"#,
        ] {
            assert_eq!(outcome(expression), Ok(true), "{expression}");
        }
    }

    #[test]
    fn what_is_large_is_refused_however_it_is_called() {
        for (expression, says) in [
            ("numbers.range(1, 400000000)", "a range of more than 100000 numbers"),
            (r#"numbers["range"](1, 400000000)"#, "a range of more than 100000 numbers"),
            ("numbers.range(0, 1e30)", "at most 64 bits"),
            ("numbers.range(-9223372036854775808, 9223372036854775807)", "a range of more than"),
            ("numbers.range_step(0, 400000000, 2)", "a range of more than"),
            ("numbers.range_step(0, 1, -1)", "step must be a positive integer"),
            ("bits.lsh(1, 4000000000)", "a shift by more than 1024 bits"),
            (r#"sprintf("%0999999999d", [1])"#, "at most 3 digits"),
            (r#"sprintf("%s%%%9999d", ["x", 1])"#, "at most 3 digits"),
            (r#"sprintf("%.9999f", [0.5])"#, "at most 3 digits"),
            (r#"sprintf("%\u0663d", [1])"#, "at most 3 digits"),
            (r#"sprintf("%d %d", [1])"#, "no argument specified for format verb 1"),
            (r#"units.parse("1e40000000")"#, "an exponent of more than 3 digits"),
            (r#"units.parse_bytes("1E4_0_0_0_0")"#, "an exponent of more than 3 digits"),
            (r#"rand["intn"]("a", 2) >= 0"#, "the same inputs must give the same answer"),
        ] {
            let error = outcome(expression).unwrap_err();
            assert!(error.contains(says), "{expression}: {error}");
        }
    }
}
