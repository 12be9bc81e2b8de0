//! Shares as people write them: `0.5%` or `0.005`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// A share of a whole.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Share(pub f64);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a share such as `0.5%` or `0.005`")]
        enum Form {
            Number(f64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(share) => Ok(Self(share)),
            Form::Text(text) => {
                let (number, whole) = text.strip_suffix('%').map_or((text.as_str(), 1.0), |percent| (percent, 100.0));
                let share = number.trim().parse::<f64>().map(|number| Self(number / whole));
                share.map_err(|_| serde::de::Error::custom(format!("`{text}` is not a share: write for instance `0.5%` or `0.005`")))
            }
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.4}", self.0 * 100.0);
        f.pad(&format!("{} %", text.trim_end_matches('0').trim_end_matches('.')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let read = |text: &str| serde_yaml::from_str::<Share>(text).map(|share| share.0).map_err(|error| error.to_string());
        assert_eq!(
            [read("0.5%"), read("0.005"), read("'0.005'"), read("1"), read("2 %")].map(Result::unwrap),
            [0.005, 0.005, 0.005, 1.0, 0.02]
        );
        assert!(read("little").unwrap_err().contains("0.5%") && read("[]").unwrap_err().contains("0.5%"));
        assert_eq!((Share(0.005).to_string(), Share(0.1).to_string()), ("0.5 %".to_owned(), "10 %".to_owned()));
    }
}
