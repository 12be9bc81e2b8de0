//! What fields hold: typed, so that a value that Kubernetes would refuse cannot be built.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Bytes, Millicores, Schedule};

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A replica count.
    Count(u32),
    /// A CPU quantity.
    Cpu(Millicores),
    /// A memory quantity.
    Memory(Bytes),
    /// A share of requests, in percent.
    Percent(Percent),
    /// How long an autoscaler looks back, in seconds.
    Stabilization(Stabilization),
    /// Any text.
    Text(String),
    /// Cron triggers.
    Schedule(Schedule),
}

/// The type of a [`Value`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// [`Value::Count`]
    Count,
    /// [`Value::Cpu`]
    Cpu,
    /// [`Value::Memory`]
    Memory,
    /// [`Value::Percent`]
    Percent,
    /// [`Value::Stabilization`]
    Stabilization,
    /// [`Value::Text`]
    Text,
    /// [`Value::Schedule`]
    Schedule,
}

impl ValueType {
    /// Reads a value of this type from what [`Value`] is serialized to.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(self, json: serde_json::Value) -> Result<Value, serde_json::Error> {
        use serde_json::from_value;
        Ok(match self {
            Self::Count => Value::Count(from_value(json)?),
            Self::Cpu => Value::Cpu(from_value(json)?),
            Self::Memory => Value::Memory(from_value(json)?),
            Self::Percent => Value::Percent(from_value(json)?),
            Self::Stabilization => Value::Stabilization(from_value(json)?),
            Self::Text => Value::Text(from_value(json)?),
            Self::Schedule => Value::Schedule(from_value(json)?),
        })
    }
}

impl Value {
    /// It as a number: milli-CPUs, bytes, percent or seconds. `None` for text and schedules.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Count(count) => Some(f64::from(*count)),
            Self::Cpu(cpu) => Some(cpu.0 as f64),
            Self::Memory(memory) => Some(memory.0 as f64),
            Self::Percent(percent) => Some(f64::from(percent.0)),
            Self::Stabilization(seconds) => Some(f64::from(seconds.0)),
            Self::Text(_) | Self::Schedule(_) => None,
        }
    }

    /// Its type.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Count(_) => ValueType::Count,
            Self::Cpu(_) => ValueType::Cpu,
            Self::Memory(_) => ValueType::Memory,
            Self::Percent(_) => ValueType::Percent,
            Self::Stabilization(_) => ValueType::Stabilization,
            Self::Text(_) => ValueType::Text,
            Self::Schedule(_) => ValueType::Schedule,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Cpu(cpu) => cpu.fmt(f),
            Self::Memory(memory) => memory.fmt(f),
            Self::Percent(percent) => percent.fmt(f),
            Self::Stabilization(seconds) => seconds.fmt(f),
            // One line, whatever it holds.
            Self::Text(text) if text.contains(char::is_control) => f.pad(&text.escape_debug().to_string()),
            Self::Text(text) => f.pad(text),
            Self::Schedule(schedule) => schedule.fmt(f),
        }
    }
}

/// A whole number of percent, at least one. It may exceed 100: usage may exceed requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Percent(u32);

/// Seconds of a stabilization window: 0 to 3600, as Kubernetes takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Stabilization(u32);

/// A number that Kubernetes would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{number} is out of range: {range}")]
pub struct RangeError {
    number: u32,
    range: &'static str,
}

impl TryFrom<u32> for Percent {
    type Error = RangeError;

    fn try_from(number: u32) -> Result<Self, RangeError> {
        // Kubernetes reads a 32-bit signed integer.
        if i32::try_from(number).is_ok_and(|number| number > 0) {
            Ok(Self(number))
        } else {
            Err(RangeError { number, range: "a percentage is at least 1" })
        }
    }
}

impl TryFrom<u32> for Stabilization {
    type Error = RangeError;

    fn try_from(number: u32) -> Result<Self, RangeError> {
        if number <= 3600 { Ok(Self(number)) } else { Err(RangeError { number, range: "a stabilization window is at most 3600 seconds" }) }
    }
}

impl From<Percent> for u32 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}

impl From<Stabilization> for u32 {
    fn from(seconds: Stabilization) -> Self {
        seconds.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Stabilization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A quantity of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quantity {
    /// Of CPU.
    Cpu(Millicores),
    /// Of memory.
    Memory(Bytes),
}

impl From<Quantity> for Value {
    fn from(quantity: Quantity) -> Self {
        match quantity {
            Quantity::Cpu(cpu) => Self::Cpu(cpu),
            Quantity::Memory(memory) => Self::Memory(memory),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(cpu) => cpu.fmt(f),
            Self::Memory(memory) => memory.fmt(f),
        }
    }
}
