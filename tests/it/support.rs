//! Real servers, and servers that misbehave, for the tests.

pub(crate) mod exposition;
pub(crate) mod faulty_prometheus;
pub(crate) mod prometheus;
