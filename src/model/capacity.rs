//! What one replica carries, as learned.

use serde::{Deserialize, Serialize};

/// What one replica carries, and what tells so: CPU, latency or both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LearnedCapacity {
    /// What it carries, in the signal's unit.
    pub capacity: f64,
    /// What its demand costs in CPU.
    pub cpu: Option<CpuCost>,
    /// Where its latency turns up.
    pub knee: Option<Knee>,
}

/// What demand costs in CPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CpuCost {
    /// CPU that a unit of demand costs, in cores.
    pub each: f64,
    /// CPU that an idle replica takes, in cores.
    pub idle: f64,
    /// What a replica may use of its request, in cores.
    pub usable: f64,
    /// The share of CPU's variance that demand explains.
    pub explained: f64,
    /// How many hours stand behind it.
    pub hours: u32,
    /// The version that it is of, where there was more than one.
    pub version: Option<OfVersion>,
}

/// The version of a workload that something was learned of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OfVersion {
    /// Its images.
    pub images: Vec<String>,
    /// How many hours it was seen.
    pub hours: u32,
    /// Where these are too few: how many times the CPU of those before it takes, of which it was learned.
    pub factor: Option<f64>,
}

/// Where latency turns up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Knee {
    /// The demand of a replica there, in the signal's unit.
    pub load: f64,
    /// The 95th percentile of latency there, in the unit of its histogram.
    pub latency: f64,
    /// And at the most that a replica carried.
    pub beyond: f64,
    /// How many hours stand behind it.
    pub hours: u32,
}
