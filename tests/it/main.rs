//! The integration tests, in one binary.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // what fails here fails the test, and says so

mod overlay_corpus;
mod overlay_scenarios;
mod support;
