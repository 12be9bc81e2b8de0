//! The integration tests, in one binary: real servers, real tools, real files.

#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

mod git_client;
mod support;
