//! Credentials that never travel: not into logs, errors, reports or files.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};

/// A credential. It can be read from configuration or a file; printed or serialised it is `***`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A credential as given.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The first and only line of a file, without the blanks around it.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let failed = |why: String| SecretError(format!("the credential file {} cannot be used: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| failed(format!("{e}; check its path and its permissions")))?;
        match text.trim() {
            "" => Err(failed("it is empty".to_owned())),
            text => Ok(Self(text.to_owned())),
        }
    }

    /// The credential itself: for the request that needs it, and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A credential file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SecretError(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_trimmed_and_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, " hush\n").unwrap();
        let secret = Secret::read(&path).unwrap();
        assert_eq!(secret.expose(), "hush");
        assert_eq!((format!("{secret:?}"), serde_json::to_string(&secret).unwrap()), ("***".to_owned(), "\"***\"".to_owned()));
        std::fs::write(&path, "\n").unwrap();
        assert!(Secret::read(&path).unwrap_err().to_string().ends_with("token cannot be used: it is empty"));
        assert!(Secret::read(&folder.path().join("none")).unwrap_err().to_string().contains("check its path"));
    }
}
