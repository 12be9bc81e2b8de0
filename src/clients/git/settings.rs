//! What an operator may say about the repository.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::Transport;
use super::{Address, GitError};
use crate::clients::secret::Secret;
use crate::model::policy::duration;

/// Where the config repository is, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The repository: `https://`, `http://`, `ssh://`, `git@host:path`, `file://` or a path. It holds no credentials.
    ///
    /// Over `file://` and paths, nothing runs on the other side: where the repository has hooks that may refuse a push,
    /// pushes are refused, since they would go past the hooks. Our own pushes wait for each other on a file `prescale-push` there.
    pub url: Address,
    /// The branch that is read and written. Default: `main`.
    #[serde(default = "default_branch")]
    pub branch: String,
    /// The branches under which ours live, for pull requests; it ends in `/`, and the branch above does not lie there. They may be
    /// moved by force and deleted, so nobody else should keep any there. Default: `prescale/`.
    #[serde(default = "default_branch_prefix")]
    pub branch_prefix: String,
    /// The user for http(s). Default: `x-access-token`, which GitHub and GitLab take beside a token. For ssh it is part of `url`.
    #[serde(default)]
    pub username: Option<String>,
    /// The password or token for http(s). Best given through the environment; `passwordFile` is better still.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file that holds the password or token; it is read anew for each connection, so that it may be rotated.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The private key for ssh. Default: what the ssh agent offers.
    #[serde(default)]
    pub ssh_key_file: Option<PathBuf>,
    /// A file that holds the passphrase of the private key. Default: the key has none.
    #[serde(default)]
    pub ssh_key_passphrase_file: Option<PathBuf>,
    /// The host keys that are trusted for ssh, in OpenSSH's format. List all kinds of keys that the host has, as `ssh-keyscan`
    /// does: which one it shows is settled while connecting. Default: `~/.ssh/known_hosts`. The check cannot be switched off.
    #[serde(default)]
    pub known_hosts_file: Option<PathBuf>,
    /// Certificates (PEM) that are trusted for https, instead of the system's. It must hold the issuer of the server's certificate:
    /// where that is an intermediate one, the intermediate too. Default: the system's, or those of `SSL_CERT_FILE`.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The proxy for https, as a URL; empty for none. Plain http and ssh go without. Default: what Git's configuration and
    /// `HTTPS_PROXY` say.
    #[serde(default)]
    pub proxy: Option<Secret>,
    /// Commits of history to fetch of each branch over http and ssh; 0 for all. Default, and at least: 2, so that a branch of one
    /// commit comes with its base. More is fetched where a push or a look back needs it.
    #[serde(default = "default_depth")]
    pub depth: u32,
    /// How long the server may be silent before a fetch or push is given up. Default: `60s`.
    #[serde(default = "default_timeout", with = "duration")]
    pub timeout: Duration,
}

impl Settings {
    /// Whether a token of the forge on `host` may serve as password: to that very host, encrypted or on this machine, where none is named.
    pub fn takes_token_of(&self, host: &str) -> bool {
        let is_safe = self.url.as_str().starts_with("https://") || host == "localhost";
        let is_there = matches!(self.url.transport(), Transport::Http { host: there } if there == host);
        is_safe && is_there && self.password.is_none() && self.password_file.is_none()
    }

    /// The defaults for a repository.
    pub fn new(url: Address) -> Self {
        Self {
            url,
            branch: default_branch(),
            branch_prefix: default_branch_prefix(),
            username: None,
            password: None,
            password_file: None,
            ssh_key_file: None,
            ssh_key_passphrase_file: None,
            known_hosts_file: None,
            ca_file: None,
            proxy: None,
            depth: default_depth(),
            timeout: default_timeout(),
        }
    }

    /// How many commits of each branch are fetched; 0 for all.
    pub(super) fn reach(&self) -> u32 {
        if self.depth == 0 { 0 } else { self.depth.max(default_depth()) }
    }

    /// Whether a branch is one of ours, which may be moved by force and deleted.
    pub(super) fn is_ours(&self, branch: &str) -> bool {
        branch.starts_with(&self.branch_prefix) && git2::Reference::is_valid_name(&format!("refs/heads/{branch}"))
    }

    /// Refuses what would mix up the tracked branch and ours.
    pub(super) fn check(&self) -> Result<(), GitError> {
        let (branch, prefix) = (&self.branch, &self.branch_prefix);
        let why = if !prefix.ends_with('/') || !self.is_ours(&format!("{prefix}x")) {
            format!("`branchPrefix` cannot be `{prefix}`: give the beginning of a branch's name that ends in `/`, as in `prescale/`")
        } else if self.is_ours(branch) {
            format!("the branch `{branch}` lies under `branchPrefix` (`{prefix}`), where only branches of ours may be: set another prefix")
        } else {
            return Ok(());
        };
        Err(GitError::Settings { why })
    }
}

fn default_branch() -> String {
    "main".to_owned()
}

fn default_branch_prefix() -> String {
    "prescale/".to_owned()
}

fn default_depth() -> u32 {
    2
}

fn default_timeout() -> Duration {
    Duration::from_secs(60)
}

/// Who a commit is by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The name, as in `git log`.
    pub name: String,
    /// The e-mail address.
    pub email: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <{}>", self.name, self.email)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_docs_and_nothing_secret_is_printed() {
        let settings: Settings = serde_yaml::from_str("{url: https://h/r.git, password: canary, proxy: 'http://u:canary@p'}").unwrap();
        let mut expected = Settings::new(Address::parse("https://h/r.git").unwrap());
        expected.password = Some(Secret::new("canary"));
        expected.proxy = Some(Secret::new("http://u:canary@p"));
        assert_eq!(settings, expected);
        assert!(!format!("{settings:?}{}", serde_yaml::to_string(&settings).unwrap()).contains("canary"));
    }

    #[test]
    fn a_token_goes_to_its_own_host_alone() {
        let takes = |url: &str, host| Settings::new(Address::parse(url).unwrap()).takes_token_of(host);
        assert!(takes("https://github.com/o/r.git", "github.com") && takes("http://localhost:8080/o/r.git", "localhost"));
        for (url, host) in [
            ("https://gitlab.com/o/r.git", "github.com"),
            ("https://github.com.evil.example/o/r.git", "github.com"),
            ("http://github.com/o/r.git", "github.com"),
            ("http://localhost.evil.example/o/r.git", "localhost"),
            ("git@github.com:o/r.git", "github.com"),
        ] {
            assert!(!takes(url, host), "{url}");
        }
        let named = Settings { password: Some(Secret::new("x")), ..Settings::new(Address::parse("https://github.com/o/r").unwrap()) };
        assert!(!named.takes_token_of("github.com"));
    }

    #[test]
    fn a_mistake_is_an_error() {
        let error = |yaml: &str| serde_yaml::from_str::<Settings>(yaml).unwrap_err().to_string();
        assert!(error("{url: 'https://u:canary@h/r.git'}").contains("take them out"), "{}", error("{url: 'https://u:canary@h/r.git'}"));
        assert!(!error("{url: 'https://u:canary@h/r.git'}").contains("canary"));
        assert!(error("{url: /r, brunch: x}").contains("unknown field `brunch`"));
    }
}
