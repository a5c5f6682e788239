//! Trust sets: whose certificates are believed, and which device they name.
//!
//! What stands here reads certificates and says what they are. Chains are verified where TLS is spoken, and which
//! device may have which file is decided in the core.

mod anchor;
mod describe;
mod facts;
mod identity;
mod import;
mod legacy;
mod read;
mod revocation;
mod signature;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use provost_core::identity::MacRule;
use rustls::pki_types::CertificateDer;

pub use anchor::{Anchor, AnchorError, check_anchor};
pub use describe::{CommonPlace, Description, describe};
pub use facts::{Fingerprint, Key, SignatureHash, legacy_of};
pub use identity::device_of;
pub use import::{ImportError, ImportReport, Imported, Refused, Sort, Unreadable, Written, import};
pub use legacy::{Legacy, UnknownLegacy, spelled};
pub use read::{ReadError, certificates_in, crls_in, revocation_list_ends};
pub use revocation::{ListError, ListSigner, RevocationList, check_list};
pub use signature::{
    Algorithm, ECDSA_SHA1, PublicKey, RSA_1024_SHA1, RSA_1024_SHA256, RSA_1024_SHA512, SignatureError, Signed,
    algorithms,
};

/// One vendor's CA family.
#[derive(Debug)]
pub struct TrustSet {
    /// The name in the configuration.
    pub name: Arc<str>,
    /// The certificates that a chain may end at.
    pub anchors: Vec<CertificateDer<'static>>,
    /// Revocation lists.
    pub crls: Vec<RevocationList>,
    /// Where the MAC stands in a leaf's subject.
    pub mac: MacRule,
    /// What it tolerates of old certificates, each once.
    pub legacy: Vec<Legacy>,
}

impl TrustSet {
    /// Whether it tolerates this.
    pub fn tolerates(&self, legacy: Legacy) -> bool {
        self.legacy.contains(&legacy)
    }

    /// Whether the other trusts the same, and reads the same out of it.
    pub fn is(&self, other: &Self) -> bool {
        self.name == other.name
            && self.anchors == other.anchors
            && self.crls == other.crls
            && self.legacy == other.legacy
            // Patterns compare by how they are written.
            && format!("{:?}", self.mac) == format!("{:?}", other.mac)
    }
}
