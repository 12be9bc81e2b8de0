//! The integration tests, in one binary.

mod overlay_corpus;
mod overlay_scenarios;
mod support;
