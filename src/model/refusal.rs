//! What cannot be read or edited safely, and why: refuse rather than guess.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::RepoPath;

/// A place that a person can open: file and, where known, 1-based line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub path: RepoPath,
    /// The line, from 1.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.path),
            None => write!(f, "{}", self.path),
        }
    }
}

macro_rules! refusal_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// Why an edit was refused. The codes are stable: dashboards and scripts may rely on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RefusalCode { $($(#[doc = $doc])+ $name,)+ }

        impl RefusalCode {
            /// Every code, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable name, as printed and recorded.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }
        }
    };
}

refusal_codes! {
    /// The folder holds no kustomization.
    NoKustomization = "no-kustomization",
    /// The file is not valid YAML (or not UTF-8).
    InvalidYaml = "invalid-yaml",
    /// A mapping on the way to the value has the same key twice.
    DuplicateKey = "duplicate-key",
    /// The value is anchored, an alias, or comes from a merge key.
    Anchored = "anchored",
    /// The file holds `{{ }}` templates: it is not YAML until something renders it.
    Templated = "templated",
    /// The file is encrypted with SOPS; any edit would break its checksum.
    Encrypted = "sops-encrypted",
    /// A patch embedded in a folded or quoted scalar does not round-trip.
    EmbeddedPatch = "embedded-patch",
    /// A generator or a transformer of its own produces the object.
    Generated = "generated",
    /// A `replacements:` entry (or `vars:`) writes the field after every patch.
    Replaced = "replacement-owns-field",
    /// Argo CD sets the field itself, in the Application or in `.argocd-source-*.yaml`.
    ArgoOverride = "argocd-override",
    /// A symbolic link or a submodule is in the way.
    NotAFile = "symlink-or-submodule",
    /// The path lies outside the folders that may be edited.
    OutsideScope = "outside-allowed-folders",
    /// No rendered object matches.
    NoTarget = "no-such-target",
    /// Several items of a list answer to the field.
    Ambiguous = "ambiguous-target",
    /// Several kinds share the name, and `replicas:` would hit them all.
    SharedName = "name-shared-by-kinds",
    /// Something later in Kustomize's order sets the field, so that an edit would have no effect.
    WouldNotWin = "would-have-no-effect",
    /// The statement, or the whole overlay, also sets values of something else, which would change with it.
    Shared = "shared-with-others",
    /// A base or resource is fetched from elsewhere, so that the object cannot be seen.
    RemoteBase = "remote-base",
    /// Someone else changed the value, or what holds it, since the plan was made.
    ChangedMeanwhile = "changed-meanwhile",
    /// A construct that Prescale does not edit.
    Unsupported = "unsupported",
    /// The edit did not survive its check: the re-parsed file is not the planned one.
    OracleFailed = "edit-check-failed",
    /// The renders before and after differ in more, or less, than the plan.
    ProofFailed = "render-proof-failed",
    /// The overlay does not render, before or after the edit.
    DoesNotRender = "does-not-render",
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for RefusalCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An edit, or a read, that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}{detail} [{code}]", place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct Refusal {
    /// The stable code.
    pub code: RefusalCode,
    /// Where, when the refusal is about a file.
    pub place: Option<Place>,
    /// What is the matter, in words that name the thing.
    pub detail: String,
}

impl Refusal {
    /// A refusal at a line of a file.
    pub fn at(code: RefusalCode, path: &RepoPath, line: impl Into<Option<usize>>, detail: impl Into<String>) -> Self {
        Self { code, place: Some(Place { path: path.clone(), line: line.into() }), detail: detail.into() }
    }

    /// A refusal that is about no file in particular.
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self { code, place: None, detail: detail.into() }
    }
}
