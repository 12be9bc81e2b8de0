//! The one crypto provider of all TLS but libgit2's.

/// Makes sure that it is installed, before a client is built that looks for one.
pub(super) fn install_provider() {
    // An error only says that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
