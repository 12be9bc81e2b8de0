//! Where a repository is.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

/// The address of a repository: `https://`, `http://`, `ssh://`, `git@host:path`, `file://` or a plain path.
///
/// It never holds a password, so it may be printed. One that does cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    text: String,
    transport: Transport,
}

/// How the repository is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Http { host: String },
    Ssh { user: Option<String>, host: String, port: u16 },
    Local(PathBuf),
}

impl Address {
    /// Reads an address; the error never repeats what was given, since that may hold a password.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let host = text.split('/').next().unwrap_or_default();
        let transport = match host.split_once(':') {
            None if text.is_empty() => return Err(AddressError::Empty),
            _ if text.contains("://") => Self::url(text)?,
            Some(("", _)) => return Err(AddressError::Unreadable { why: "it names no host".to_owned() }),
            Some(_) => Self::scp(text)?,
            None => Transport::Local(PathBuf::from(text)),
        };
        Ok(Self { text: text.to_owned(), transport })
    }

    /// The address of a repository in a folder of this machine.
    pub fn local(path: &Path) -> Self {
        Self { text: path.display().to_string(), transport: Transport::Local(path.to_owned()) }
    }

    fn url(text: &str) -> Result<Transport, AddressError> {
        let url = Url::parse(text).map_err(|e| AddressError::Unreadable { why: e.to_string() })?;
        if url.password().is_some() {
            return Err(AddressError::Password);
        }
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(str::to_owned);
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        match url.scheme() {
            // The user of an http address is often a token.
            "http" | "https" if user.is_some() => Err(AddressError::Password),
            "http" | "https" => Ok(Transport::Http { host }),
            "ssh" if host.is_empty() => Err(AddressError::Unreadable { why: "it names no host".to_owned() }),
            "ssh" => Ok(Transport::Ssh { user, host, port: url.port().unwrap_or(22) }),
            "file" => url.to_file_path().map(Transport::Local).map_err(|()| AddressError::RemoteFile),
            scheme => Err(AddressError::Scheme { scheme: scheme.to_owned() }),
        }
    }

    /// `user@host:path`, the short form for ssh.
    fn scp(text: &str) -> Result<Transport, AddressError> {
        let (user, rest) = text.split_once('@').map_or((None, text), |(user, rest)| (Some(user), rest));
        match rest.split_once(':') {
            _ if user.is_some_and(|user| user.contains(':')) => Err(AddressError::Password),
            Some((host, path)) if !host.is_empty() && !host.starts_with('[') && !path.is_empty() => {
                Ok(Transport::Ssh { user: user.map(str::to_owned), host: host.to_owned(), port: 22 })
            }
            _ => Err(AddressError::Unreadable { why: "write it as `ssh://user@host:port/path`".to_owned() }),
        }
    }

    /// What libgit2 is given: a path as it is, anything else as it was written.
    pub(super) fn for_libgit2(&self) -> &str {
        match &self.transport {
            Transport::Local(path) => path.to_str().unwrap_or(&self.text),
            _ => &self.text,
        }
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.text
    }
}

/// A text that is not the address of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing was given.
    #[error("the repository's address is empty: give for instance `https://git.example.com/team/config.git`")]
    Empty,
    /// It holds a user of an http address, or a password.
    #[error("the repository's address holds credentials: take them out, and set `username` and `passwordFile` instead")]
    Password,
    /// A scheme that is not spoken.
    #[error("the repository's address starts with `{scheme}://`, which is not supported: use https, ssh or file")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A file address with a host.
    #[error("a `file://` address must be an absolute path on this machine, as in `file:///srv/config.git`")]
    RemoteFile,
    /// Not a URL.
    #[error("the repository's address cannot be read ({why}): give for instance `https://git.example.com/team/config.git`")]
    Unreadable {
        /// What the parser says.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_address() {
        let transport = |text: &str| Address::parse(text).unwrap().transport;
        let ssh = |user: Option<&str>, port| Transport::Ssh { user: user.map(str::to_owned), host: "host.io".to_owned(), port };
        assert_eq!(transport("https://host.io:8443/a/b.git"), Transport::Http { host: "host.io".to_owned() });
        assert_eq!(transport("ssh://git@host.io:2222/a.git"), ssh(Some("git"), 2222));
        assert_eq!(transport("git@host.io:a/b.git"), ssh(Some("git"), 22));
        assert_eq!(transport("host.io:a/b.git"), ssh(None, 22));
        assert_eq!(transport("file:///srv/a%20b.git"), Transport::Local("/srv/a b.git".into()));
        for path in ["/srv/a.git", "./a:b", "a/b:c", "demo"] {
            assert_eq!(transport(path), Transport::Local(path.into()));
        }
    }

    #[test]
    fn credentials_in_an_address_are_refused_and_not_repeated() {
        for text in ["https://u:canary@h/r", "https://canary@h/r", "ssh://u:canary@h/r", "u:canary@h:r"] {
            match Address::parse(text) {
                Err(error) => assert!(!error.to_string().contains("canary"), "{error}"),
                Ok(address) => panic!("{address}"),
            }
        }
        assert_eq!(Address::parse("git://h/r").unwrap_err(), AddressError::Scheme { scheme: "git".to_owned() });
        assert_eq!(Address::parse("file://host/r").unwrap_err(), AddressError::RemoteFile);
        assert_eq!(Address::parse("").unwrap_err(), AddressError::Empty);
    }
}
