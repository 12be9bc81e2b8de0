//! What a run learned of one signal, kept for the next.

use sha2::{Digest as _, Sha256};

use super::Observed;
use super::snapshot::Driven;

/// What was learned of one signal's demand. Losing it costs the time to learn it again, and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Whose it is.
    pub name: String,
    /// As it is written.
    pub bytes: Vec<u8>,
}

impl Learned {
    /// The name under which what is learned of a signal is kept, and a number that spreads signals evenly.
    pub fn name(workload: &Observed, driven: &Driven) -> (String, u64) {
        let text = format!("{}\n{}\n{}", workload.overlay, workload.rendered.id, driven.signal);
        let digest = Sha256::digest(text);
        let number = digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        (format!("{number:016x}"), number)
    }
}
