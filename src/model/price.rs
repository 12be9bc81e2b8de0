//! What resources cost, and what a change of them does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::Outlook;
use super::{Bytes, Change, Field, Millicores, Resource, Value};

/// Hours in a month, on average.
const MONTH: f64 = 730.0;

/// What resources cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prices {
    /// Of a requested core, for an hour.
    pub core_hour: f64,
    /// Of a requested gibibyte of memory, for an hour.
    pub gib_hour: f64,
    /// In what. Default: `USD`.
    #[serde(default = "default_currency")]
    pub currency: String,
}

/// What a policy says that the resources of its workload cost, in the currency of `pullRequest.prices`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rates {
    /// Of a requested core, for an hour.
    pub core_hour: f64,
    /// Of a requested gibibyte of memory, for an hour.
    pub gib_hour: f64,
}

fn default_currency() -> String {
    "USD".to_owned()
}

impl Change {
    /// What it costs a month, by the policy's prices before these: a floor as if nothing stood above it.
    pub fn monthly(&self, outlook: &Outlook, prices: &Prices) -> Option<f64> {
        let rates = outlook.prices.unwrap_or(Rates { core_hour: prices.core_hour, gib_hour: prices.gib_hour });
        let cores = |cpu: Millicores| cpu.cores() * rates.core_hour;
        let gib = |memory: Bytes| memory.0 as f64 / f64::from(1 << 30) * rates.gib_hour;
        let hourly = match (&self.field, self.from.as_ref()?, &self.to) {
            (Field::Replicas | Field::MinReplicas | Field::MinReplicaCount, Value::Count(from), Value::Count(to)) => {
                let replica = cores(outlook.requests.0) + gib(outlook.requests.1);
                (f64::from(*to) - f64::from(*from)) * replica
            }
            (Field::Request { resource: Resource::Cpu, .. }, Value::Cpu(from), Value::Cpu(to)) => {
                (cores(*to) - cores(*from)) * f64::from(outlook.now.max(1))
            }
            (Field::Request { resource: Resource::Memory, .. }, Value::Memory(from), Value::Memory(to)) => {
                (gib(*to) - gib(*from)) * f64::from(outlook.now.max(1))
            }
            _ => return None,
        };
        Some(hourly * MONTH)
    }
}
