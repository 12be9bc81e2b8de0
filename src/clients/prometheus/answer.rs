//! What the HTTP API answers, as JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::LabelledSeries;

/// The envelope round every answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "T: Deserialize<'de>"))]
pub(super) struct Answer<'a, T> {
    pub(super) status: Status,
    pub(super) data: Option<T>,
    #[serde(default, borrow)]
    pub(super) error_type: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(super) error: Cow<'a, str>,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Success,
    Error,
}

/// What a query gives.
#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(super) enum Data {
    Matrix(Vec<Stream>),
    Vector(Vec<Instant>),
}

#[derive(Deserialize)]
pub(super) struct Stream {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, Number)>,
}

#[derive(Deserialize)]
pub(super) struct Instant {
    pub(super) metric: BTreeMap<String, String>,
}

/// What `/api/v1/status/buildinfo` gives; Mimir names itself.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct BuildInfo {
    pub(super) application: String,
    pub(super) version: String,
    pub(super) revision: String,
}

impl From<Stream> for LabelledSeries {
    fn from(stream: Stream) -> Self {
        let samples = stream.values.into_iter().map(|(at, Number(value))| (at.round() as i64, value)).collect();
        Self { labels: stream.metric, samples }
    }
}

/// A float as the API writes it: in quotes, `NaN` and `+Inf` included.
pub(super) struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;
        impl Visitor<'_> for Quoted {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in quotes")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                text.parse().map(Number).map_err(|_| E::custom(format_args!("`{text}` is not a number")))
            }
        }
        deserializer.deserialize_str(Quoted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_are_read() {
        let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"a":"b"},"values":[[60,"1.5"],[120.4,"NaN"],[180,"+Inf"],[240,"-Inf"],[300,"1e-3"]]}]}}"#;
        let answer: Answer<'_, Data> = serde_json::from_str(text).unwrap();
        let Some(Data::Matrix(streams)) = answer.data else { panic!("not a matrix") };
        let series: Vec<LabelledSeries> = streams.into_iter().map(Into::into).collect();
        let shown = format!("{:?}", series[0].samples);
        assert_eq!(shown, "[(60, 1.5), (120, NaN), (180, inf), (240, -inf), (300, 0.001)]");
        assert!(serde_json::from_str::<Number>("\"many\"").is_err() && serde_json::from_str::<Number>("1").is_err());
    }
}
