//! Kustomize overlays: find the site that owns a value, change only its bytes, check the result.

pub mod yaml;
