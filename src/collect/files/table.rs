//! CSV: `timestamp,value`.

use std::path::Path;

use chrono::DateTime;

use super::super::Span;
use crate::model::Series;

/// The series of a file within the span; `None` when nothing was measured in it. An error names file and line.
pub(super) fn read(path: &Path, span: Span) -> Result<Option<Series>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    let (first, last) = span.grid();
    let samples = samples(&text, path)?.into_iter().filter(|(at, _)| (first..last + span.step).contains(at));
    Ok(Series::from_samples(span.step, samples))
}

/// All samples of a text, in its order; `path` is where it stands. An error names file and line.
pub(in crate::collect) fn samples(text: &str, path: &Path) -> Result<Vec<(i64, f64)>, String> {
    let mut samples = Vec::new();
    for (i, line) in text.lines().map(str::trim).enumerate() {
        let header = i == 0 && line.to_ascii_lowercase().starts_with("timestamp");
        if header || line.is_empty() || line.starts_with('#') {
            continue;
        }
        samples.push(sample(line).map_err(|why| format!("{}:{}: {why}", path.display(), i + 1))?);
    }
    Ok(samples)
}

/// A field may stand in quotes; an empty value is a gap, as `NaN` is.
fn sample(line: &str) -> Result<(i64, f64), String> {
    let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
    let [at, value] = fields[..] else {
        return Err(format!("fields: {}, where `timestamp,value` was expected", fields.len()));
    };
    let value = if value.is_empty() { Ok(f64::NAN) } else { value.parse().map_err(|_| format!("`{value}` is not a number")) };
    Ok((timestamp(at)?, value?))
}

/// Epoch seconds of a timestamp.
fn timestamp(text: &str) -> Result<i64, String> {
    let Ok(seconds) = text.parse::<f64>() else {
        let at = DateTime::parse_from_rfc3339(text);
        return at.map(|at| at.timestamp()).map_err(|_| format!("`{text}` is neither epoch seconds nor RFC 3339 (`2026-11-02T10:00:00Z`)"));
    };
    if seconds.abs() < 1e11 {
        Ok(seconds.floor() as i64)
    } else {
        Err(format!("the timestamp {text} is beyond the year 5000: seconds are expected, not milliseconds"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { now: 1000, history: 900, step: 60 };

    fn read(text: &str) -> Result<Option<Series>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        super::read(&path, SPAN).map_err(|e| e.rsplit_once('/').unwrap().1.to_owned())
    }

    #[test]
    fn both_kinds_of_timestamps_in_any_order() {
        let series =
            read("timestamp,value\r\n1970-01-01T00:05:00Z, 3\n# a remark\n\"120\",\"1\"\n180.5,NaN\n240,\n300,4\n").unwrap().unwrap();
        assert_eq!((series.start(), series.get(0), series.get(1), series.get(2), series.get(3)), (120, Some(1.0), None, None, Some(4.0)));
    }

    #[test]
    fn what_lies_before_the_history_or_after_now_is_left_out() {
        let series = read("0,1\n59,1\n60,2\n900,3\n960,4\n1020,5\n").unwrap().unwrap();
        assert_eq!((series.start(), series.end(), series.get(0)), (60, 960, Some(2.0)));
        assert_eq!(read("1020,5\n"), Ok(None));
        assert_eq!(read(""), Ok(None));
    }

    #[test]
    fn a_malformed_line_is_an_error_with_its_place() {
        for (text, error) in [
            ("timestamp,value\n60,1\n120,many\n", "t.csv:3: `many` is not a number"),
            ("60,1\n\nnoon,1\n", "t.csv:3: `noon` is neither epoch seconds nor RFC 3339 (`2026-11-02T10:00:00Z`)"),
            ("60\n", "t.csv:1: fields: 1, where `timestamp,value` was expected"),
            ("60,1,2\n", "t.csv:1: fields: 3, where `timestamp,value` was expected"),
            ("1762077600000,1\n", "t.csv:1: the timestamp 1762077600000 is beyond the year 5000: seconds are expected, not milliseconds"),
        ] {
            assert_eq!(read(text), Err(error.to_owned()), "{text}");
        }
    }
}
