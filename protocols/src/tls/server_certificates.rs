//! The certificates that we show, and the names that we answer to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use provost_tenants::staple::Staple;
use provost_tenants::{ServerCertificate, TlsSettings};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{NamedGroup, SignatureScheme};

use super::error::TlsError;

/// A listener's certificates with their keys, in the operator's order.
pub(super) struct ServerCertificates {
    shown: ArcSwap<Vec<Shown>>,
    clock: Arc<dyn TimeProvider>,
}

/// One certificate, with its staple and without.
struct Shown {
    plain: Arc<CertifiedKey>,
    stapled: Option<(Staple, Arc<CertifiedKey>)>,
    /// The curve of its key; phones of TLS 1.2 say which they know beside what they can verify.
    curve: Option<NamedGroup>,
    /// Whether it was told that the staple is over.
    told: AtomicBool,
}

/// The names of a listener. Without any, it answers to every name.
#[derive(Debug)]
pub(super) struct ServerNames(Vec<String>);

impl ServerCertificates {
    pub(super) fn new(
        settings: &TlsSettings,
        provider: &CryptoProvider,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Self, TlsError> {
        Ok(Self { shown: ArcSwap::from_pointee(shown(settings, provider)?), clock })
    }

    /// Shows these from the next handshake on.
    pub(super) fn renew(&self, settings: &TlsSettings, provider: &CryptoProvider) -> Result<(), TlsError> {
        self.shown.store(Arc::new(shown(settings, provider)?));
        Ok(())
    }
}

fn shown(settings: &TlsSettings, provider: &CryptoProvider) -> Result<Vec<Shown>, TlsError> {
    let shown = |(number, certificate): (usize, &ServerCertificate)| {
        Shown::new(certificate, provider).map_err(|source| TlsError::Certificate { number: number + 1, source })
    };
    let all: Vec<_> =
        settings.certificates.iter().map(AsRef::as_ref).enumerate().map(shown).collect::<Result<_, _>>()?;
    if all.is_empty() { Err(TlsError::NoCertificate) } else { Ok(all) }
}

impl Shown {
    fn new(certificate: &ServerCertificate, provider: &CryptoProvider) -> Result<Self, rustls::Error> {
        let ServerCertificate { chain, valid: _, key, staple, staple_flaw: _ } = certificate;
        let plain = CertifiedKey::from_der(chain.clone(), key.clone_key(), provider)?;
        let stapled = staple.as_ref().map(|staple| {
            let mut stapled = plain.clone();
            stapled.ocsp = Some(staple.der().to_vec());
            (staple.clone(), Arc::new(stapled))
        });
        Ok(Self { curve: curve(&plain), plain: Arc::new(plain), stapled, told: AtomicBool::new(false) })
    }

    fn suits(&self, hello: &ClientHello<'_>) -> bool {
        self.plain.key.choose_scheme(hello.signature_schemes()).is_some()
    }

    /// Whether the peer knows the curve of its key. One that names no groups knows those that everybody knows (RFC 8422 section 4).
    fn is_on_a_known_curve(&self, hello: &ClientHello<'_>) -> bool {
        let groups = hello.named_groups().unwrap_or_default();
        groups.is_empty() || self.curve.is_none_or(|curve| groups.contains(&curve))
    }

    /// The certificate, with its staple as long as that counts.
    fn now(&self, now: Option<UnixTime>) -> Arc<CertifiedKey> {
        let Some((staple, stapled)) = &self.stapled else { return Arc::clone(&self.plain) };
        if now.is_some_and(|now| staple.counts_at(Duration::from_secs(now.as_secs()))) {
            return Arc::clone(stapled);
        }
        if !self.told.swap(true, Ordering::Relaxed) {
            let flaw = staple.flaw_at(SystemTime::now());
            tracing::warn!(flaw, "an OCSP response is not sent along any more");
        }
        Arc::clone(&self.plain)
    }
}

/// The curve of an ECDSA key, by the one scheme that it signs with in TLS 1.3 (RFC 8446 section 4.2.3).
fn curve(key: &CertifiedKey) -> Option<NamedGroup> {
    let curves = [
        (SignatureScheme::ECDSA_NISTP256_SHA256, NamedGroup::secp256r1),
        (SignatureScheme::ECDSA_NISTP384_SHA384, NamedGroup::secp384r1),
        (SignatureScheme::ECDSA_NISTP521_SHA512, NamedGroup::secp521r1),
    ];
    curves.into_iter().find(|(scheme, _)| key.key.choose_scheme(&[*scheme]).is_some()).map(|(_, curve)| curve)
}

impl ResolvesServerCert for ServerCertificates {
    /// The first that the peer can verify, by its signature schemes, which the library has narrowed to those of its cipher
    /// suites. Where it can verify none, the first: the library then says what is missing.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let all = self.shown.load();
        let suiting = || all.iter().filter(|shown| shown.suits(&hello));
        let best = suiting().find(|shown| shown.is_on_a_known_curve(&hello)).or_else(|| suiting().next());
        Some(best.or_else(|| all.first())?.now(self.clock.current_time()))
    }
}

impl fmt::Debug for ServerCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificates(..)")
    }
}

impl ServerNames {
    pub(super) fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether `name` is one of them. Without any, none is.
    pub(super) fn have(&self, name: &str) -> bool {
        !self.0.is_empty() && self.contain(name)
    }

    /// Whether the listener answers to `name`; a dot at its end, as in a URL that was typed so, is no part of it. A pattern `*.example.net` stands for exactly one label (RFC 9525 section 6.3).
    pub(super) fn contain(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
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
            ("acme.example.net.", true),
            ("a.phones.example.net.", true),
            ("acme.example.net..", false),
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
