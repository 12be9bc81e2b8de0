//! One file an outside system. No decisions and no policy words live here.

pub mod prometheus;
pub mod secret;
