//! Real servers on loopback, servers that misbehave, and what the tests need to talk to them.

pub(crate) mod exposition;
pub(crate) mod faulty_prometheus;
pub(crate) mod forge;
pub(crate) mod git;
pub(crate) mod git_http;
pub(crate) mod git_ssh;
pub(crate) mod kustomize;
pub(crate) mod openmetrics;
pub(crate) mod prometheus;
pub(crate) mod repository;
pub(crate) mod shop;
pub(crate) mod small;

/// Whether what takes long is tried too.
pub(crate) fn is_full() -> bool {
    std::env::var_os("PRESCALE_TEST_FULL").is_some()
}
