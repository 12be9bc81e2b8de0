//! All integration tests, in one binary: real servers, real tools, real files.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panic, and may say what it counted")]

mod support;

mod absurd_demand;
mod bad_input;
mod capacity;
mod cli;
mod cluster;
mod collect_files;
mod collect_prometheus;
mod configuration;
mod eject;
mod floors;
mod forge;
mod gate;
mod git_client;
mod histories;
mod killed;
mod layers;
mod manifests;
mod overlay_corpus;
mod overlay_scenarios;
mod pipeline;
mod policies;
mod pulls;
mod shards;
mod simulate;
mod state_in_s3;
mod yaml_edits;
