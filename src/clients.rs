//! One file an outside system. No decisions and no policy words live here.

mod clock;
pub mod cluster;
pub mod git;
pub mod github;
pub mod kustomize;
pub mod prometheus;
pub mod secret;
pub mod store;
mod tls;
