//! What an operator may say about GitHub.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clients::secret::Secret;
use crate::model::policy::duration;

/// How to reach GitHub, and as whom. Without this section pull requests are branches with a report beside them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// The API's address. Default: `https://api.github.com`; on GitHub Enterprise `https://HOST/api/v3`.
    pub url: String,
    /// The repository as `owner/name`. Default: the last two parts of `repository.url`.
    pub repository: Option<String>,
    /// A fine-grained token. Best given through the environment; `tokenFile` is better still.
    pub token: Option<Secret>,
    /// A file that holds the token.
    pub token_file: Option<PathBuf>,
    /// A GitHub App instead of a token. Its tokens last an hour; git uses them over https too where `repository` names no password.
    pub app: Option<App>,
    /// The pause before a call that only reads is made again. Default: 500ms.
    #[serde(with = "duration")]
    pub pause: Duration,
    /// How long a run waits until GitHub's rate limits let it go on; beyond that, the next run does. Default: 90s.
    #[serde(with = "duration")]
    pub patience: Duration,
}

/// An installed GitHub App.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct App {
    /// The App's id.
    pub id: u64,
    /// The id of its installation. Default: that on the repository, which is asked for.
    #[serde(default)]
    pub installation: Option<u64>,
    /// A file with its private key, as PEM.
    pub private_key_file: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "https://api.github.com".to_owned(),
            repository: None,
            token: None,
            token_file: None,
            app: None,
            pause: Duration::from_millis(500),
            patience: Duration::from_secs(90),
        }
    }
}

/// A repository's owner and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slug {
    /// The organization or person.
    pub owner: String,
    /// The repository.
    pub name: String,
}

impl Slug {
    /// Reads `owner/name`, or the last two parts of an address.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/');
        let text = text.strip_suffix(".git").unwrap_or(text);
        let mut parts = text.rsplit(['/', ':']);
        let (name, owner) = (parts.next()?, parts.next()?);
        let is_word = |part: &str| {
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        (is_word(name) && is_word(owner)).then(|| Self { owner: owner.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_known_by_its_address() {
        let slug = |text| Slug::parse(text).map(|slug| slug.to_string());
        for text in ["shop/config", "https://github.com/shop/config.git", "git@github.com:shop/config.git", "ssh://git@h:22/shop/config/"] {
            assert_eq!(slug(text).as_deref(), Some("shop/config"), "{text}");
        }
        for text in ["config", "", "/srv/../config", "https://h/shop/"] {
            assert_ne!(slug(text).as_deref(), Some("shop/config"), "{text}");
        }
        assert_eq!(slug("a/.."), None);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let settings: Settings = serde_yaml::from_str("{token: canary}").unwrap();
        assert!(!format!("{settings:?}{}", serde_yaml::to_string(&settings).unwrap()).contains("canary"));
    }
}
