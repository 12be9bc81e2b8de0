//! Tests that need more than one module, or a judge from outside.

mod yaml_edits;
