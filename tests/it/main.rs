//! The integration tests, in one binary: real servers, real tools, real files.

mod git_client;
mod support;
