//! Kubernetes quantities as newtypes: parsed once at the edge, printed as a person would write them.
//!
//! Grammar: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.

use std::fmt;

use serde::{Deserialize, Serialize};

/// CPU in thousandths of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Scalar", into = "String")]
pub struct Millicores(pub u64);

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Scalar", into = "String")]
pub struct Bytes(pub u64);

/// A compute resource of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// `cpu`
    Cpu,
    /// `memory`
    Memory,
}

impl Resource {
    /// The key under `requests` and `limits`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a Kubernetes quantity: write for instance `250m` or `1.5` for CPU, `128Mi` or `1Gi` for memory")]
pub struct QuantityError(pub String);

impl Millicores {
    /// From cores, rounded up to a whole millicore: a request is never rounded below what was asked.
    pub fn from_cores(cores: f64) -> Self {
        Self((cores.max(0.0) * 1000.0 - 1e-6).ceil().max(0.0) as u64)
    }

    /// In cores.
    pub fn cores(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl Bytes {
    /// Bytes in a mebibyte.
    pub const MEBIBYTE: u64 = 1 << 20;

    /// Rounded up to whole mebibytes, as requests are usually written.
    pub fn from_bytes_rounded(bytes: f64) -> Self {
        Self((bytes.max(0.0) / Self::MEBIBYTE as f64 - 1e-6).ceil().max(0.0) as u64 * Self::MEBIBYTE)
    }
}

impl std::str::FromStr for Millicores {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let cores = parse(text).ok_or_else(|| QuantityError(text.to_owned()))?;
        Ok(Self::from_cores(cores))
    }
}

impl std::str::FromStr for Bytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bytes = parse(text).ok_or_else(|| QuantityError(text.to_owned()))?;
        Ok(Self(bytes.ceil() as u64))
    }
}

impl fmt::Display for Millicores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) { f.pad(&(self.0 / 1000).to_string()) } else { f.pad(&format!("{}m", self.0)) }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, suffix) = [(1_u64 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")]
            .into_iter()
            .find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit))
            .unwrap_or((1, ""));
        f.pad(&format!("{}{suffix}", self.0 / unit))
    }
}

/// What YAML may hold where a quantity belongs: text or a bare number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(serde_json::Number),
}

impl TryFrom<Scalar> for Millicores {
    type Error = QuantityError;

    fn try_from(scalar: Scalar) -> Result<Self, QuantityError> {
        scalar.text().parse()
    }
}

impl TryFrom<Scalar> for Bytes {
    type Error = QuantityError;

    fn try_from(scalar: Scalar) -> Result<Self, QuantityError> {
        scalar.text().parse()
    }
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

impl From<Millicores> for String {
    fn from(quantity: Millicores) -> Self {
        quantity.to_string()
    }
}

impl From<Bytes> for String {
    fn from(quantity: Bytes) -> Self {
        quantity.to_string()
    }
}

/// The value of a quantity in base units; `None` for anything outside the grammar, negative or beyond 2^63.
fn parse(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number = number.strip_prefix('+').unwrap_or(number);
    if !number.bytes().any(|b| b.is_ascii_digit()) || number.contains('+') {
        return None;
    }
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            10_f64.powi(digits.parse().ok()?)
        }
    };
    let value = number.parse::<f64>().ok()? * factor;
    (value.is_finite() && value < 9.2e18).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_as_people_write_them() {
        for (text, millicores) in [("250m", 250), ("0.25", 250), ("1", 1000), ("1.5", 1500), ("2e0", 2000), ("100000u", 100)] {
            assert_eq!(text.parse(), Ok(Millicores(millicores)), "{text}");
        }
        for (text, bytes) in [("128Mi", 128 << 20), ("1Gi", 1 << 30), ("1k", 1000), ("1e3", 1000), ("1.5Ki", 1536), ("7", 7)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "m", "-1", "1 Gi", "1gi", "0x10", "1.2.3", "NaN", "inf", "1e", "1e999", "{{ cpu }}"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn printing_and_parsing_round_trip(n in 0_u64..1 << 50) {
            proptest::prop_assert_eq!(Millicores(n % 10_000_000).to_string().parse(), Ok(Millicores(n % 10_000_000)));
            proptest::prop_assert_eq!(Bytes(n).to_string().parse(), Ok(Bytes(n)));
        }
    }
}
