//! Revocation lists: whether a trust set can use one, and whether it is overdue.
//!
//! What a list revokes is asked where chains are verified. Here it is said, before anybody serves, why a list would revoke
//! nothing, or lock phones out that it has nothing to do with.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::describe::printable_name;
use super::facts::oid_text;
use super::legacy::{Legacy, spelled};
use super::read::revocation_list_ends;
use super::signature::{PublicKey, SignatureError, Signed, algorithms};

/// A revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationList {
    /// It, in DER.
    pub der: CertificateRevocationListDer<'static>,
    /// When it should have been followed by the next one, where it says so.
    pub ends: Option<SystemTime>,
    /// The issuer's name.
    pub issuer: String,
    /// Whose certificates it is about: the DER of its issuer's name, and the extensions that tell the key that signed it and the part of
    /// the certificates that it is for.
    scope: Vec<u8>,
}

/// Who signed a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListSigner {
    /// An anchor of the set.
    Anchor,
    /// No anchor has the name of its issuer: it counts for phones alone that send an intermediate of this name.
    Unknown {
        /// The name.
        issuer: String,
    },
}

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// It tells what changed since another one (RFC 5280 section 5.2.4).
    #[error("a delta list tells only what changed: expected a complete one")]
    Delta,
    /// The anchor of its issuer's name did not sign it.
    #[error("no anchor `{issuer}` signed it")]
    Forged {
        /// The name.
        issuer: String,
    },
    /// It is signed in a way that the set does not tolerate.
    #[error("it needs {} (or is signed with an algorithm that nothing tolerates, such as MD5)", spelled(legacy))]
    NeedsLegacy {
        /// What the set might tolerate.
        legacy: Vec<Legacy>,
    },
    /// It is of version 1, or has no extensions as such a one has none (RFC 5280 section 5.1.2.1).
    #[error(
        "a list of version 1, or without extensions, cannot be used: expected version 2 (OpenSSL's `crlnumber` makes it)"
    )]
    Version1,
    /// It is of a kind that is not supported.
    #[error("{0}")]
    Unsupported(String),
}

impl RevocationList {
    /// Whether the other is about the same certificates, so that it says what has become of those that this one lists.
    pub fn is_followed_by(&self, other: &Self) -> bool {
        self.scope == other.scope
    }

    /// Whether its successor should have come before `now`. It still revokes what it lists.
    pub fn is_overdue(&self, now: SystemTime) -> bool {
        self.ends.is_some_and(|ends| ends < now)
    }
}

impl From<CertificateRevocationListDer<'static>> for RevocationList {
    fn from(der: CertificateRevocationListDer<'static>) -> Self {
        let (mut issuer, mut scope) = (String::new(), Vec::new());
        if let Ok((_, list)) = CertificateRevocationList::from_der(&der) {
            issuer = printable_name(list.issuer());
            scope.extend_from_slice(list.issuer().as_raw());
            for of in [AUTHORITY_KEY_IDENTIFIER, ISSUING_DISTRIBUTION_POINT] {
                let mut extensions = list.extensions().iter();
                let value =
                    extensions.find(|extension| oid_text(&extension.oid) == of).map(|extension| extension.value);
                scope.extend(value.map_or(0, <[u8]>::len).to_be_bytes());
                scope.extend_from_slice(value.unwrap_or_default());
            }
        }
        Self { ends: revocation_list_ends(&der), der, issuer, scope }
    }
}

/// Checks that a set with these anchors that tolerates this can use a list.
///
/// # Errors
/// - any [`ListError`]
pub fn check_list(
    list: &RevocationList,
    anchors: &[CertificateDer<'static>],
    tolerated: &[Legacy],
) -> Result<ListSigner, ListError> {
    let unreadable = || ListError::Unsupported("it cannot be read".to_owned());
    let (_, parsed) = CertificateRevocationList::from_der(&list.der).map_err(|_| unreadable())?;
    let signed = Signed::of(&list.der).ok_or_else(unreadable)?;
    if parsed.extensions().iter().any(|extension| oid_text(&extension.oid) == DELTA_CRL_INDICATOR) {
        return Err(ListError::Delta);
    }
    if let Some(reason) = refused_by_verifier(&list.der, anchors) {
        let is_old = parsed.extensions().is_empty();
        return Err(if is_old { ListError::Version1 } else { ListError::Unsupported(reason) });
    }
    let issuer = parsed.issuer();
    let of_name = anchors.iter().filter_map(|anchor| {
        let (_, anchor) = X509Certificate::from_der(anchor).ok()?;
        (anchor.subject().as_raw() == issuer.as_raw()).then_some(anchor)
    });
    let mut refusal = None;
    for anchor in of_name {
        let key = PublicKey::of(anchor.public_key().raw).ok_or_else(unreadable)?;
        match signed.verify(key, &algorithms(tolerated)) {
            Ok(()) => return Ok(ListSigner::Anchor),
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        None => Ok(ListSigner::Unknown { issuer: printable_name(issuer) }),
        Some(SignatureError::UnsupportedAlgorithm) if !tolerated.contains(&Legacy::Sha1) => {
            Err(ListError::NeedsLegacy { legacy: vec![Legacy::Sha1] })
        }
        Some(_) => Err(ListError::Forged { issuer: printable_name(issuer) }),
    }
}

/// RFC 5280 section 5.2.1.
const AUTHORITY_KEY_IDENTIFIER: &str = "2.5.29.35";
/// RFC 5280 section 5.2.5.
const ISSUING_DISTRIBUTION_POINT: &str = "2.5.29.28";
/// RFC 5280 section 5.2.4.
const DELTA_CRL_INDICATOR: &str = "2.5.29.27";

/// The verifier of the listener would refuse a bad list when the server starts; it is better said now.
fn refused_by_verifier(
    crl: &CertificateRevocationListDer<'static>,
    anchors: &[CertificateDer<'static>],
) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(anchors.iter().cloned());
    if roots.is_empty() {
        return None;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls([crl.clone()]);
    verifier.build().err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::Ca;

    #[test]
    fn a_list_is_its_issuers_own() {
        let (ca, other, of_same_name) = (Ca::new("Root"), Ca::new("Other"), Ca::new("Root"));
        let check = |list: &RevocationList, anchors: &[&Ca]| {
            check_list(list, &anchors.iter().map(|ca| ca.der()).collect::<Vec<_>>(), &[])
        };
        let list = RevocationList::from(ca.crl(&[7]));
        assert_eq!(check(&list, &[&ca, &other]), Ok(ListSigner::Anchor));
        // The list of a CA that was renewed under its name stands beside both.
        assert_eq!(check(&list, &[&of_same_name, &ca]), Ok(ListSigner::Anchor));
        assert_eq!(check(&list, &[&of_same_name]), Err(ListError::Forged { issuer: "CN=Root".into() }));
        assert_eq!(check(&list, &[&other]), Ok(ListSigner::Unknown { issuer: "CN=Root".into() }));
    }

    #[test]
    fn a_list_is_overdue_from_its_end_on() {
        let list = RevocationList::from(Ca::new("Root").crl(&[]));
        let ends = list.ends.unwrap_or_else(|| panic!("no end"));
        assert!(!list.is_overdue(ends));
        assert!(list.is_overdue(ends + std::time::Duration::from_secs(1)));
    }
}
