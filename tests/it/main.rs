//! All integration tests, in one binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

mod support;

mod collect_files;
mod collect_prometheus;
