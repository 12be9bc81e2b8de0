//! Spans in JSON, as whole seconds.

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(delta: &TimeDelta, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(delta.num_seconds())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeDelta, D::Error> {
    i64::deserialize(deserializer).map(TimeDelta::seconds)
}
