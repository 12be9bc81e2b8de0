//! Real servers on loopback, and what the tests need to talk to them.

pub(crate) mod git;
pub(crate) mod git_http;
pub(crate) mod git_ssh;
