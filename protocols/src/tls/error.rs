//! What goes wrong with TLS: in the configuration, and in a handshake.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use provost_core::NoIdentity;
use rustls::{InvalidMessage, PeerIncompatible};

/// Why a listener has no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It is configured without.
    #[error("the listener has no TLS settings")]
    NoSettings,
    /// There is nothing to show to phones.
    #[error("the listener has no certificate")]
    NoCertificate,
    /// A certificate and its key cannot be used.
    #[error("certificate {number} of the listener cannot be used")]
    Certificate {
        /// Which, counted from 1.
        number: usize,
        /// What the library says.
        source: rustls::Error,
    },
    /// Every handshake needs a certificate, and no trust set could verify one.
    #[error("the listener requires certificates and has no trust set")]
    NoTrust,
    /// A trust set cannot be used.
    #[error("trust set {name} cannot be used: {flaw}")]
    TrustSet {
        /// Its name.
        name: Arc<str>,
        /// Why.
        flaw: TrustSetFlaw,
    },
    /// Anything else that the library refuses.
    #[error("TLS cannot be set up")]
    Library(#[from] rustls::Error),
}

/// What is wrong with a trust set.
#[derive(Debug, thiserror::Error)]
pub enum TrustSetFlaw {
    /// The library takes one of its certificates for no anchor.
    #[error("{0}")]
    Anchor(webpki::Error),
    /// One of its revocation lists is none.
    #[error("a revocation list cannot be read")]
    NoList,
    /// The library cannot use one of its revocation lists.
    #[error("{0}")]
    List(webpki::Error),
}

/// Why a handshake failed. Where TLS has an alert for it, the peer has been sent one.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The `ClientHello` was not complete in time.
    #[error("no ClientHello within {0:?}")]
    SlowClientHello(Duration),
    /// The handshake was not complete in time.
    #[error("the handshake was not complete within {0:?}")]
    Slow(Duration),
    /// The peer went away.
    #[error("the peer closed the connection during the handshake")]
    Closed,
    /// What came is not TLS.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// It asked for a name that this listener has not.
    #[error("the peer asked for the server name `{0}`, which is not one of this listener's")]
    UnrecognisedName(String),
    /// It asked for no name where several tenants share the address and none is its default.
    #[error("the peer asked for no server name, and no tenant is the default of this address")]
    NoServerName,
    /// It offers TLS 1.1 or older only, or a TLS 1.2 without signature algorithms, which would mean SHA-1.
    #[error("the peer offers neither TLS 1.3 nor TLS 1.2 with signature algorithms")]
    Version,
    /// The same where the listener speaks no TLS 1.3.
    #[error(
        "the peer offers no TLS 1.2 with signature algorithms, and this listener, of which a trust set tolerates rsa1024, speaks nothing else"
    )]
    VersionBesideShortKeys,
    /// It shares no cipher suite, group or signature scheme with us.
    #[error("the peer and this server have no TLS parameters in common: {0}")]
    Incompatible(String),
    /// It sent no certificate, and nothing passes without one.
    #[error("the peer sent no certificate, and this listener requires one")]
    NoCertificate,
    /// Its certificate does not verify, and nothing passes without one that does.
    #[error("{0}")]
    CertificateRefused(NoIdentity),
    /// It ended the handshake with an alert: `unknown_ca` where it does not trust our certificate.
    #[error("the peer ended the handshake with the alert {0}")]
    PeerAlert(String),
    /// It broke the protocol.
    #[error("the peer broke the TLS protocol: {0}")]
    Protocol(String),
    /// The connection failed.
    #[error("the connection failed during the handshake")]
    Io(#[source] io::Error),
}

impl HandshakeError {
    /// A short fixed word for records.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SlowClientHello(_) => "client_hello_timeout",
            Self::Slow(_) => "handshake_timeout",
            Self::Closed => "closed",
            Self::NotTls => "not_tls",
            Self::UnrecognisedName(_) => "unrecognised_name",
            Self::NoServerName => "no_server_name",
            Self::Version | Self::VersionBesideShortKeys => "tls_version",
            Self::Incompatible(_) => "tls_incompatible",
            Self::NoCertificate => "no_certificate",
            Self::CertificateRefused(_) => "certificate_refused",
            Self::PeerAlert(_) => "tls_alert",
            Self::Protocol(_) => "tls_protocol",
            Self::Io(_) => "io",
        }
    }

    /// Reads the error of a handshake. `refusal` is what our verifier said of the certificate, where it was asked.
    pub(super) fn of(error: io::Error, refusal: Option<NoIdentity>) -> Self {
        let Some(library) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::Closed,
                _ => Self::Io(error),
            };
        };
        Self::of_library(library, refusal)
    }

    fn of_library(error: &rustls::Error, refusal: Option<NoIdentity>) -> Self {
        use rustls::Error;
        match error {
            Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                Self::NotTls
            }
            Error::PeerIncompatible(
                PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::SupportedVersionsExtensionRequired
                // The library misses the extension (RFC 5246 section 7.4.1.4.1) before it looks at the version.
                | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
            ) => Self::Version,
            Error::PeerIncompatible(other) => Self::Incompatible(format!("{other:?}")),
            // RFC 7301 section 3.2: of one that offers HTTP/2 alone.
            Error::NoApplicationProtocol => Self::Incompatible("no application protocol (ALPN) of its list".to_owned()),
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(other) => {
                Self::CertificateRefused(refusal.unwrap_or_else(|| NoIdentity::NotVerified(other.to_string())))
            }
            Error::AlertReceived(alert) => Self::PeerAlert(format!("{alert:?}")),
            // A revocation list that cannot be used is found out when a certificate is verified by it.
            other => refusal.map_or_else(|| Self::Protocol(other.to_string()), Self::CertificateRefused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_offers_no_protocol_of_ours_has_broken_none() {
        let error = HandshakeError::of_library(&rustls::Error::NoApplicationProtocol, None);
        assert_eq!(error.code(), "tls_incompatible", "{error}");
    }
}
