//! Tests that need more than one module, or a judge from outside.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on should stop and say where")]

mod overlay_corpus;
mod overlay_scenarios;
mod support;
mod yaml_edits;
