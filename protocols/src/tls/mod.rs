//! TLS for the listeners that speak it: our certificate, the phones' certificates, and the device that each names.
//!
//! A [`TlsFront`] is made for one listener and one generation of its configuration, and is dropped as a whole: sessions,
//! ticket keys and what was found out about certificates go with it. Nothing here knows what is spoken inside TLS,
//! and nothing here decides about a file: it tells which device a certificate names, or why none.

mod accept;
mod cache;
mod chain;
mod client_auth;
mod error;
mod possession;
mod server_certificates;
mod set;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod trust;
mod verifier;

use std::fmt;
use std::sync::Arc;

use provost_core::proof::CertificateIdentity;
use provost_core::{NoIdentity, TenantPolicy};
use provost_tenants::trust::{Legacy, TrustSet};
use provost_tenants::{Listener, TlsSettings, Unnamed};
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::CertificateDer;
use rustls::server::ServerSessionMemoryCache;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::{TLS12, TLS13};

pub(crate) use accept::Hello;
pub use accept::TlsConnection;
pub use client_auth::{ClientAuth, client_auth};
pub use error::{HandshakeError, TlsError, TrustSetFlaw};
pub(crate) use set::Ready;
pub use stream::TlsStream;

use cache::ChainHash;
use chain::check_extent;
use server_certificates::{ServerCertificates, ServerNames};
use trust::{TrustSets, reason};
use verifier::Verifier;

/// Sessions of TLS 1.2 peers that know no tickets, kept at most per listener. The others carry theirs in tickets.
const SESSIONS: usize = 1024;

/// The TLS of one listener.
pub struct TlsFront {
    config: Arc<rustls::ServerConfig>,
    verifier: Arc<Verifier>,
    certificates: Arc<ServerCertificates>,
    names: ServerNames,
    unnamed: Unnamed,
    client_auth: ClientAuth,
    speaks_tls13: bool,
    clock: Arc<dyn TimeProvider>,
}

impl TlsFront {
    /// Makes the TLS of a listener. `alpn` names what is spoken inside, such as `http/1.1` (RFC 7301).
    ///
    /// # Errors
    /// - [`TlsError::NoSettings`]: the listener has no TLS
    /// - [`TlsError::NoCertificate`], [`TlsError::Certificate`]: our own certificate or key
    /// - [`TlsError::NoTrust`], [`TlsError::TrustSet`]: whom to trust
    /// - [`TlsError::Library`]: the library refuses what it is given
    pub fn new(tenant: &TenantPolicy, listener: &Listener, alpn: &[&str]) -> Result<Self, TlsError> {
        Self::with_clock(tenant, listener, alpn, Arc::new(DefaultTimeProvider))
    }

    fn with_clock(
        tenant: &TenantPolicy,
        listener: &Listener,
        alpn: &[&str],
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Self, TlsError> {
        let settings = listener.tls.as_ref().ok_or(TlsError::NoSettings)?;
        let provider = Arc::new(default_provider());
        let client_auth = client_auth(tenant, &listener.policy);
        let sets = TrustSets::new(&settings.trust)?;
        if sets.is_empty() && client_auth == ClientAuth::Required {
            return Err(TlsError::NoTrust);
        }
        // Nothing verifies PSS with a key of 1,024 bits, and TLS 1.3 knows nothing else for RSA (RFC 8446 section 4.2.3).
        let versions: &[_] = if sets.tolerate(Legacy::Rsa1024) { &[&TLS12] } else { &[&TLS13, &TLS12] };
        let verifier = Arc::new(Verifier::new(sets, client_auth, settings.hints, &provider));
        let certificates = Arc::new(ServerCertificates::new(settings, &provider, Arc::clone(&clock))?);
        let mut config = rustls::ServerConfig::builder_with_details(Arc::clone(&provider), Arc::clone(&clock))
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(Arc::clone(&verifier) as Arc<_>)
            .with_cert_resolver(Arc::clone(&certificates) as Arc<_>);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        // Ticket keys live in memory alone and are this generation's own: after a reload no former session resumes.
        config.ticketer = Ticketer::new()?;
        let names = ServerNames::new(&settings.server_names);
        Ok(Self {
            config: Arc::new(config),
            verifier,
            certificates,
            names,
            unnamed: listener.arrival.unnamed,
            client_auth,
            speaks_tls13: versions.len() > 1,
            clock,
        })
    }

    /// The device that a connection's certificates name, leaf first, as it is now: to be asked again for every request,
    /// since a certificate may expire while a connection is open, and a resumed session verifies nothing by itself. The
    /// answer for the same chain is kept for a few minutes.
    ///
    /// # Errors
    /// - [`NoIdentity`]: none was presented, no trust set verifies it now, or it names no device
    pub fn identity(&self, chain: &[CertificateDer<'_>]) -> Result<CertificateIdentity, NoIdentity> {
        self.identity_of(chain, ChainHash::of(chain))
    }

    /// The same of a chain whose hash is known.
    ///
    /// # Errors
    /// - [`NoIdentity`]: as [`TlsFront::identity`]
    pub(crate) fn identity_shown(&self, shown: &ShownChain) -> Result<CertificateIdentity, NoIdentity> {
        self.identity_of(&shown.chain, shown.hash)
    }

    fn identity_of(&self, chain: &[CertificateDer<'_>], hash: ChainHash) -> Result<CertificateIdentity, NoIdentity> {
        let Some((leaf, intermediates)) = chain.split_first() else { return Err(NoIdentity::NotPresented) };
        let now = self.clock.current_time().ok_or_else(|| NoIdentity::NotVerified("the time is not known".into()))?;
        self.verifier.judge(hash, leaf, intermediates, now).identity()
    }

    /// Whether a handshake for this name is the listener's: one of its names, or any where it has none or takes the unnamed.
    fn takes(&self, name: &str) -> bool {
        self.unnamed == Unnamed::Ours || self.names.contain(name)
    }

    /// Whether this is one of the listener's names. One without names has none.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.names.have(name)
    }

    /// Whether a request for this host is the listener's. `server_name` is what the handshake asked for: a listener may have
    /// lost the name since. Where that asked for none, the host is one of the listener's names or an address.
    pub(crate) fn answers_to(&self, host: &str, server_name: Option<&str>) -> bool {
        match server_name {
            Some(name) => self.takes(name),
            None => is_address(host) || self.names.contain(host),
        }
    }

    /// Shows the certificates of these settings from the next handshake on. Sessions stay: it is for settings that differ in
    /// staples alone.
    ///
    /// # Errors
    /// - [`TlsError::Certificate`]: one that cannot be used; nothing changes then
    pub(crate) fn restaple(&self, settings: &TlsSettings) -> Result<(), TlsError> {
        self.certificates.renew(settings, self.config.crypto_provider())
    }

    /// Whether a handshake fails without a certificate that verifies.
    pub fn client_auth(&self) -> ClientAuth {
        self.client_auth
    }
}

/// The certificates that a peer showed, leaf first. They are hashed once, and asked for again with every request.
pub(crate) struct ShownChain {
    chain: Vec<CertificateDer<'static>>,
    hash: ChainHash,
}

impl ShownChain {
    pub(crate) fn new(chain: &[CertificateDer<'static>]) -> Self {
        Self { chain: chain.to_vec(), hash: ChainHash::of(chain) }
    }
}

/// The device that a chain, leaf first, would name at a listener with these settings now, without a handshake: for
/// `provost explain`.
///
/// # Errors
/// - [`NoIdentity`]: as [`TlsFront::identity`]; a trust set that cannot be used verifies nothing
pub fn identity_of(settings: &TlsSettings, chain: &[CertificateDer<'_>]) -> Result<CertificateIdentity, NoIdentity> {
    identity_among(&settings.trust, chain)
}

/// Why a handshake with this chain, leaf first, fails even where no certificate is needed; nothing where it does not.
pub fn fails_handshake(chain: &[CertificateDer<'_>]) -> Option<NoIdentity> {
    let (leaf, intermediates) = chain.split_first()?;
    check_extent(leaf, intermediates).err().map(|error| NoIdentity::NotVerified(reason(&error)))
}

/// The device that a chain, leaf first, would name to one trust set now: for `provost trust show`.
///
/// # Errors
/// - [`NoIdentity`]: as [`TlsFront::identity`]
pub fn identity_by(set: &Arc<TrustSet>, chain: &[CertificateDer<'_>]) -> Result<CertificateIdentity, NoIdentity> {
    identity_among(std::slice::from_ref(set), chain)
}

fn identity_among(sets: &[Arc<TrustSet>], chain: &[CertificateDer<'_>]) -> Result<CertificateIdentity, NoIdentity> {
    let Some((leaf, intermediates)) = chain.split_first() else { return Err(NoIdentity::NotPresented) };
    let sets = TrustSets::new(sets).map_err(|error| NoIdentity::NotVerified(error.to_string()))?;
    sets.judge(leaf, intermediates, rustls::pki_types::UnixTime::now()).identity()
}

impl fmt::Debug for TlsFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFront").field("client_auth", &self.client_auth).finish_non_exhaustive()
    }
}

/// Whether a host is an address, which is no server name (RFC 6066 section 3), or nothing.
fn is_address(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    inner.is_empty() || inner.parse::<std::net::IpAddr>().is_ok()
}
