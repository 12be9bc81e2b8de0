//! What several tests need.

pub(crate) mod kustomize;
pub(crate) mod repository;
