//! The peer of one connection, and what it can prove.

use std::fmt;
use std::sync::Arc;

use provost_core::proof::CertificateIdentity;
use provost_core::{ClientAddr, LinkProof, NoIdentity, PasswordProof, Proofs};
use provost_tenants::Tenant;

use super::credentials::Credentials;
use crate::front::{Exchange, Front};
use crate::passwords::{Busy, Known};

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// By address.
    pub(super) client: ClientAddr,
    /// How the connection is protected.
    pub(super) security: Security,
    /// What it has shown before.
    pub(super) known: Known,
}

/// What a request has shown beside the certificate of its connection.
#[derive(Debug)]
pub(super) struct Shown {
    /// What its password proves.
    pub(super) password: PasswordProof,
    /// What the secret link in its path shows.
    pub(super) link: LinkProof,
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
    /// What the credentials of a request prove.
    ///
    /// # Errors
    /// - [`Busy`]: it cannot be told now
    pub(super) async fn password(
        &self,
        front: &Front,
        tenant: &Arc<Tenant>,
        credentials: Credentials,
        method: &str,
    ) -> Result<PasswordProof, Busy> {
        match (&self.security, credentials) {
            (_, Credentials::Absent) => Ok(PasswordProof::Absent),
            // It is not looked at.
            (Security::Plain, Credentials::Basic(_)) => Ok(PasswordProof::Unusable(
                "a password came readable over plain http, where it proves nothing".to_owned(),
            )),
            (_, Credentials::Unusable(why)) => Ok(PasswordProof::Unusable(why.to_string())),
            (_, Credentials::Digest(digest)) => {
                Box::pin(front.verify_digest(tenant, self.client, &self.known, &digest, method)).await
            }
            (Security::Tls { .. }, Credentials::Basic(presented)) => {
                Box::pin(front.verify(tenant, self.client, &self.known, &presented)).await
            }
        }
    }

    /// What a request of this peer has shown. It may compute: a certificate is verified.
    pub(super) fn proofs(&self, shown: Shown) -> Proofs {
        let certificate = match &self.security {
            Security::Plain => Err(NoIdentity::Plaintext),
            Security::Tls { certificate, .. } => certificate(),
        };
        Proofs { certificate, password: shown.password, link: shown.link }
    }

    /// Notes whose a request is that ends before its password is looked at.
    pub(super) fn note_on(&self, exchange: &mut Exchange) {
        let shown = Shown { password: PasswordProof::Absent, link: exchange.link() };
        exchange.note_device(&self.proofs(shown));
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
