//! History from files.
