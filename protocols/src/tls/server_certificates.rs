//! The certificates that we show, and the names that we answer to.

use std::sync::Arc;

use provost_tenants::TlsSettings;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::error::TlsError;

/// A listener's certificates with their keys, in the operator's order.
#[derive(Debug)]
pub(super) struct ServerCertificates(Vec<Arc<CertifiedKey>>);

/// The names of a listener. Without any, it answers to every name.
#[derive(Debug)]
pub(super) struct ServerNames(Vec<String>);

impl ServerCertificates {
    pub(super) fn new(settings: &TlsSettings, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let certified = |(number, (chain, key)): (usize, &(Vec<_>, rustls::pki_types::PrivateKeyDer<'static>))| {
            CertifiedKey::from_der(chain.clone(), key.clone_key(), provider)
                .map(Arc::new)
                .map_err(|source| TlsError::Certificate { number: number + 1, source })
        };
        let keys: Vec<_> = settings.certificates.iter().enumerate().map(certified).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(TlsError::NoCertificate) } else { Ok(Self(keys)) }
    }
}

impl ResolvesServerCert for ServerCertificates {
    /// The first that the peer can verify. Where it can verify none, the first: the library then says what is missing.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        self.0.iter().find(fits).or_else(|| self.0.first()).cloned()
    }
}

impl ServerNames {
    pub(super) fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether the listener answers to `name`. A pattern `*.example.net` stands for exactly one label (RFC 9525 section 6.3).
    pub(super) fn contain(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let matches = |pattern: &String| match (pattern.strip_prefix("*."), name.split_once('.')) {
            (Some(parent), Some((label, rest))) => !label.is_empty() && parent == rest,
            (Some(_), None) => false,
            (None, _) => *pattern == name,
        };
        self.0.is_empty() || self.0.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_whole_labels() {
        let names = ServerNames::new(&["acme.example.net".into(), "*.Phones.example.net".into()]);
        for (name, ours) in [
            ("acme.example.net", true),
            ("ACME.example.net", true),
            ("a.phones.example.net", true),
            ("phones.example.net", false),
            ("a.b.phones.example.net", false),
            ("evilacme.example.net", false),
            ("example.net", false),
            ("", false),
        ] {
            assert_eq!(names.contain(name), ours, "{name}");
        }
        assert!(ServerNames::new(&[]).contain("anything"));
    }
}
