//! Real servers on loopback, servers that misbehave, and what the tests need to talk to them.

pub(crate) mod exposition;
pub(crate) mod faulty_prometheus;
pub(crate) mod forge;
pub(crate) mod git;
pub(crate) mod git_http;
pub(crate) mod git_ssh;
pub(crate) mod kube;
pub(crate) mod kustomize;
pub(crate) mod openmetrics;
pub(crate) mod prometheus;
pub(crate) mod repository;
pub(crate) mod shop;
pub(crate) mod small;
pub(crate) mod tls;

/// Whether what takes long is tried too.
pub(crate) fn is_full() -> bool {
    std::env::var_os("PRESCALE_TEST_FULL").is_some()
}

/// What random choices begin with: `PRESCALE_TEST_SEED`, or always the same.
#[expect(clippy::disallowed_methods, reason = "it is no configuration of the product's")]
pub(crate) fn seed() -> u8 {
    std::env::var("PRESCALE_TEST_SEED").map_or(1, |seed| seed.parse().expect("PRESCALE_TEST_SEED is a number under 256"))
}
