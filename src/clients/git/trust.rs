//! Whether the other side is who it says: host keys for ssh, certificates for https.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use ssh_key::known_hosts::{HostPatterns, KnownHosts, Marker};
use ssh_key::{HashAlg, PublicKey};

use super::{Address, GitError};

/// Accepts the host key `shown` (as it came over the wire) only where the file of known hosts lists it for this host.
pub(super) fn host_key(file: Option<&Path>, host: &str, port: u16, shown: &[u8]) -> Result<(), GitError> {
    let file = match (file, std::env::home_dir()) {
        (Some(file), _) => file.to_owned(),
        (None, Some(home)) => home.join(".ssh/known_hosts"),
        (None, None) => return Err(GitError::Settings { why: "there is no home folder: set `knownHostsFile`".to_owned() }),
    };
    let name = if port == 22 { host.to_ascii_lowercase() } else { format!("[{}]:{port}", host.to_ascii_lowercase()) };
    let distrust =
        |fingerprint: String, problem: String| Err(GitError::HostKey { host: name.clone(), fingerprint, file: file.clone(), problem });
    let Ok(shown) = PublicKey::from_bytes(shown) else {
        return distrust(
            "a key of an unknown kind".to_owned(),
            "cannot be compared with it: offer an Ed25519, ECDSA or RSA key".to_owned(),
        );
    };
    let fingerprint = format!("{} {}", shown.algorithm(), shown.fingerprint(HashAlg::Sha256));
    let scan = format!("ssh-keyscan{} {host}", if port == 22 { String::new() } else { format!(" -p {port}") });
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) => {
            let todo = format!("cannot be read ({e}): mount it, or set `knownHostsFile` to a file that holds what `{scan}` prints");
            return distrust(fingerprint, todo);
        }
    };
    // A line that cannot be read trusts nobody.
    let entries: Vec<_> = KnownHosts::new(&text).filter_map(Result::ok).filter(|entry| names(entry.host_patterns(), &name)).collect();
    let is_shown = |key: &PublicKey| key.key_data() == shown.key_data();
    if entries.iter().any(|e| e.marker() == Some(&Marker::Revoked) && is_shown(e.public_key())) {
        return distrust(fingerprint, "marks this key as revoked: someone may be listening; ask who runs the server".to_owned());
    }
    let known: Vec<&PublicKey> = entries.iter().filter(|e| e.marker().is_none()).map(ssh_key::known_hosts::Entry::public_key).collect();
    if known.iter().any(|key| is_shown(key)) {
        return Ok(());
    }
    let same_kind = known.iter().find(|key| key.algorithm() == shown.algorithm());
    let problem = match (same_kind, known.first()) {
        (Some(key), _) => format!(
            "has another one, {}: the server was set up anew, or someone is listening; ask who runs it before you replace the line",
            key.fingerprint(HashAlg::Sha256)
        ),
        (None, Some(key)) => format!(
            "only has its {} key: compare the fingerprint with the one that your Git host publishes, then add the line of `{scan}`",
            key.algorithm()
        ),
        (None, None) => {
            format!("does not have it: compare the fingerprint with the one that your Git host publishes, then add the line of `{scan}`")
        }
    };
    distrust(fingerprint, problem)
}

fn names(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            ring::hmac::verify(&key, name.as_bytes(), hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let matches = |pattern: &str| glob(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes());
            let (not, yes): (Vec<&String>, Vec<&String>) = patterns.iter().partition(|p| p.starts_with('!'));
            yes.iter().any(|p| matches(p)) && !not.iter().any(|p| matches(&p[1..]))
        }
    }
}

/// `*` stands for any text and `?` for one character, as in OpenSSH.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => glob(rest, text) || text.split_first().is_some_and(|(_, text)| glob(pattern, text)),
        (Some((b'?', rest)), Some((_, text))) => glob(rest, text),
        (Some((p, rest)), Some((t, text))) => p == t && glob(rest, text),
        _ => false,
    }
}

/// Accepts a server's certificate only where one of the file's certificates issued it for this host.
pub(super) fn certificate(file: &Path, remote: &Address, host: &str, shown: &[u8]) -> Result<(), GitError> {
    let unusable = |why: String| GitError::Settings { why: format!("`caFile` {} cannot be used: {why}", file.display()) };
    let mut roots = RootCertStore::empty();
    for issuer in CertificateDer::pem_file_iter(file).map_err(|e| unusable(e.to_string()))? {
        roots.add(issuer.map_err(|e| unusable(e.to_string()))?).map_err(|e| unusable(e.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| unusable("it holds no certificate in PEM".to_owned()))?;
    let distrusted = |why: String| GitError::Certificate { remote: remote.to_string(), why: format!("{why} ({})", file.display()) };
    let name = ServerName::try_from(host).map_err(|e| distrusted(e.to_string()))?;
    verifier
        .verify_server_cert(&CertificateDer::from(shown), &[], &name, &[], UnixTime::now())
        .map(|_| ())
        .map_err(|e| distrusted(e.to_string()))
}

/// The private key for ssh, read so that a missing file is told from a refused key.
pub(super) fn private_key(file: &PathBuf) -> Result<String, GitError> {
    let failed = |why: &dyn std::fmt::Display| GitError::Settings {
        why: format!("`sshKeyFile` {} cannot be used: {why}; check its path and permissions", file.display()),
    };
    let key = fs::read_to_string(file).map_err(|error| failed(&error))?;
    if key.trim().is_empty() { Err(failed(&"it is empty")) } else { Ok(key) }
}
