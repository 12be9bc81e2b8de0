//! Real servers on loopback, and what the tests need to talk to them.

pub mod git;
pub mod git_http;
pub mod git_ssh;
