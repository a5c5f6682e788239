//! The peer of one connection, and what it can prove.

use std::fmt;
use std::sync::Arc;

use hyper::HeaderMap;
use provost_core::proof::CertificateIdentity;
use provost_core::{ClientAddr, NoIdentity, PasswordProof, Proofs};
use provost_tenants::Tenant;

use super::credentials;

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// By address.
    pub(super) client: ClientAddr,
    /// How the connection is protected.
    pub(super) security: Security,
}

/// How a connection is protected.
pub(super) enum Security {
    /// Not at all.
    Plain,
    /// By TLS.
    Tls {
        /// The host that the peer asked for in the handshake.
        server_name: Option<String>,
        /// What its certificate proves now.
        certificate: Certificate,
    },
}

/// What the certificate of a connection proves now. It is asked again for every request: a device that is removed or
/// revoked loses its identity on connections that are open, too.
pub(super) type Certificate = Arc<dyn Fn() -> Result<CertificateIdentity, NoIdentity> + Send + Sync>;

impl Peer {
    /// What a request of this peer has shown.
    pub(super) fn proofs(&self, headers: &HeaderMap, tenant: &Tenant) -> Proofs {
        match &self.security {
            // A password that came readable through the network proves nothing, and is not looked at.
            Security::Plain => {
                Proofs { certificate: Err(NoIdentity::Plaintext), password: PasswordProof::Absent, link: None }
            }
            Security::Tls { certificate, .. } => {
                Proofs { certificate: certificate(), password: credentials::password(headers, tenant), link: None }
            }
        }
    }
}

impl Security {
    /// The host that the peer asked for in the TLS handshake.
    pub(super) fn server_name(&self) -> Option<&str> {
        match self {
            Self::Plain => None,
            Self::Tls { server_name, .. } => server_name.as_deref(),
        }
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("Plain"),
            Self::Tls { server_name, .. } => {
                f.debug_struct("Tls").field("server_name", server_name).finish_non_exhaustive()
            }
        }
    }
}
