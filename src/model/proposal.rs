//! What a pull request proposes, for machines: enough to make the same tree again, and to know later what was declined.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use super::record::RecordedChange;
use super::{Basis, Change, Input, Rhythm, Route, Sited, WorkloadId};

/// The version of its form.
const VERSION: u32 = 1;
/// No proposal unpacks to more bytes.
const MOST_BYTES: u64 = 64 << 20;

/// The changes of one group, and the commit that they were made on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    version: u32,
    /// The commit that it was made on.
    pub base: String,
    /// How it moves.
    pub rhythm: Rhythm,
    /// The changes, in the order of overlays.
    pub changes: Vec<Proposed>,
}

/// One proposed change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposed {
    /// Whose need it answers.
    pub workload: WorkloadId,
    /// What it was made from, see [`Change::input`].
    pub input: Option<Input>,
    /// The change, without reasons: they are told in words.
    pub change: RecordedChange,
}

impl Proposed {
    /// Whether it takes back what an Application did not bear: a number that was made from nothing.
    pub fn is_inverse(&self) -> bool {
        self.input.is_none() && self.change.to.number().is_some()
    }

    /// Whether it is about the field of a change.
    pub fn is_of(&self, change: &Change) -> bool {
        (&self.change.overlay, &self.change.object, &self.change.field) == (&change.overlay, &change.object, &change.field)
    }

    /// What tells whether it is still the one that was declined.
    pub fn basis(&self) -> Basis {
        Basis { input: self.input.clone(), to: self.change.to.clone() }
    }
}

impl Proposal {
    /// What a group proposes.
    pub fn of<'a>(rhythm: Rhythm, base: String, changes: impl Iterator<Item = &'a Sited>) -> Self {
        let proposed = |sited: &Sited| Proposed {
            workload: sited.change.workload.clone(),
            input: sited.change.input(),
            change: RecordedChange { reasons: Vec::new(), ..RecordedChange::of(sited) },
        };
        Self { version: VERSION, base, rhythm, changes: changes.map(proposed).collect() }
    }

    /// The changes as a plan has them, without reasons.
    pub fn changes(&self) -> impl Iterator<Item = Change> {
        self.changes.iter().map(|Proposed { workload, change, .. }| Change {
            workload: workload.clone(),
            object: change.object.clone(),
            overlay: change.overlay.clone(),
            field: change.field.clone(),
            from: change.from.clone(),
            to: change.to.clone(),
            reasons: Vec::new(),
            route: Route::PullRequest,
        })
    }

    /// One word of letters, digits, `+` and `/`: its JSON, deflated, in Base64. The same proposal makes the same word.
    pub fn to_word(&self) -> String {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
        let json = serde_json::to_vec(self).unwrap_or_default(); // its types have no form that JSON lacks
        let _ = packed.write_all(&json); // a vector takes everything
        BASE64.encode(packed.finish().unwrap_or_default())
    }

    /// Reads what [`Self::to_word`] wrote. `None` for anything else: another version, or what someone edited.
    pub fn from_word(word: &str) -> Option<Self> {
        let packed = BASE64.decode(word).ok()?;
        let mut json = Vec::new();
        ZlibDecoder::new(packed.as_slice()).take(MOST_BYTES).read_to_end(&mut json).ok()?;
        serde_json::from_slice(&json).ok().filter(|proposal: &Self| proposal.version == VERSION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_another_kind_is_none() {
        let proposal = Proposal { version: VERSION, base: "0".repeat(40), rhythm: Rhythm::Floor, changes: vec![] };
        let word = proposal.to_word();
        assert_eq!(Proposal::from_word(&word), Some(proposal.clone()));
        assert_eq!(Proposal::from_word(&Proposal { version: 2, ..proposal }.to_word()), None);
        for broken in ["", "AAAA", &word[1..], &word[..word.len() - 2]] {
            assert_eq!(Proposal::from_word(broken), None, "{broken}");
        }
    }
}
