//! Prescale forecasts what each Kubernetes workload will need and writes it into Git before it is needed.

pub mod clients;
pub mod model;
pub mod clients;
pub mod collect;
pub mod forecast;
pub mod decide;
pub mod overlay;
