//! Trust sets: whose certificates are believed, and which device they name.

mod identity;

pub use identity::device_of;

use std::sync::Arc;

use provost_core::identity::MacRule;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

/// One vendor's CA family.
#[derive(Debug)]
pub struct TrustSet {
    /// The name in the configuration.
    pub name: Arc<str>,
    /// The certificates that a chain may end at.
    pub anchors: Vec<CertificateDer<'static>>,
    /// Revocation lists.
    pub crls: Vec<CertificateRevocationListDer<'static>>,
    /// Where the MAC stands in a leaf's subject.
    pub mac: MacRule,
}
