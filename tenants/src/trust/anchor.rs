//! Whether a certificate may be a trust anchor.
//!
//! webpki looks at an anchor's subject, key and name constraints alone: it would take a phone's own leaf as anchor,
//! and does not see that an anchor has expired. What it does not ask is asked here, once, when the set is loaded.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::describe::printable_name;
use super::facts::{self, Key};
use super::legacy::{Legacy, spelled};

/// A certificate that may be an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Its subject, for messages.
    pub subject: String,
    /// When its time is over. An expired anchor still anchors, as many vendors' do; whoever loads it warns.
    pub not_after: SystemTime,
}

/// Why a certificate may not be an anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// Not a certificate, or bytes behind its end.
    #[error("not a certificate")]
    Malformed,
    /// It does not say that it is a CA (`CA:TRUE`): as an anchor, whoever holds its key would be trusted as a CA.
    #[error("`{subject}` is not a CA certificate")]
    NotCa {
        /// Its subject.
        subject: String,
    },
    /// It is of X.509 version 1 or 2, which cannot say `CA:TRUE`, and did not issue itself: it may be a phone's own.
    #[error("`{subject}` is of X.509 version 1 and another CA issued it, so that it may be no CA")]
    NotRoot {
        /// Its subject.
        subject: String,
    },
    /// It is as weak as the trust set does not tolerate.
    #[error("`{subject}` needs {}", spelled(legacy))]
    NeedsLegacy {
        /// Its subject.
        subject: String,
        /// What the set would have to tolerate beside what it does.
        legacy: Vec<Legacy>,
    },
    /// Its key is of a kind that nothing here can verify with.
    #[error("`{subject}` has a key of an unsupported kind: {key}")]
    UnsupportedKey {
        /// Its subject.
        subject: String,
        /// Its key.
        key: Key,
    },
}

/// Checks that a certificate may be an anchor of a set that tolerates these. Its time is not looked at (see
/// [`Anchor::not_after`]), and neither is its signature: an anchor is believed because it stands there.
///
/// # Errors
/// - any [`AnchorError`]
pub fn check_anchor(certificate: &CertificateDer<'_>, tolerated: &[Legacy]) -> Result<Anchor, AnchorError> {
    let Ok((rest, parsed)) = X509Certificate::from_der(certificate) else { return Err(AnchorError::Malformed) };
    if !rest.is_empty() {
        return Err(AnchorError::Malformed);
    }
    let subject = printable_name(parsed.subject());
    let not_after = facts::system_time(parsed.validity().not_after);
    if facts::is_version_3(&parsed) {
        if !is_ca(&parsed) {
            return Err(AnchorError::NotCa { subject });
        }
    } else if parsed.subject().as_raw() != parsed.issuer().as_raw() {
        return Err(AnchorError::NotRoot { subject });
    }
    let key = Key::of(&parsed);
    if key.is_unusable() {
        return Err(AnchorError::UnsupportedKey { subject, key });
    }
    let mut legacy = facts::weaknesses(&parsed);
    legacy.retain(|legacy| !tolerated.contains(legacy));
    if legacy.is_empty() {
        Ok(Anchor { subject, not_after })
    } else {
        Err(AnchorError::NeedsLegacy { subject, legacy })
    }
}

/// `CA:TRUE`, stated once and readably (RFC 5280 section 4.2.1.9).
pub(super) fn is_ca(certificate: &X509Certificate<'_>) -> bool {
    matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::{Ca, RSA_1024_CA, V1_CA, V1_LEAF, self_signed};

    fn anchor(certificate: &CertificateDer<'_>) -> Result<String, AnchorError> {
        check_anchor(certificate, &[]).map(|anchor| anchor.subject)
    }

    fn in_pem(pem: &str) -> CertificateDer<'static> {
        super::super::certificates_in(pem.as_bytes()).unwrap_or_else(|e| panic!("{e}")).remove(0)
    }

    #[test]
    fn a_ca_is_an_anchor_and_an_intermediate_too() {
        let root = Ca::new("Root");
        assert_eq!(anchor(&root.der()), Ok("CN=Root".into()));
        assert_eq!(anchor(&root.intermediate("Issuing").der()), Ok("CN=Issuing".into()));
    }

    #[test]
    fn an_expired_ca_is_an_anchor_that_says_when_it_ended() {
        let ended = check_anchor(&Ca::expired("Old").der(), &[]).map(|anchor| anchor.not_after);
        assert!(ended.is_ok_and(|ended| ended < SystemTime::now()));
    }

    #[test]
    fn leaves_are_refused_whatever_is_tolerated() {
        let root = Ca::new("Root");
        let subject = "CN=0004f2aabbcc".to_owned();
        let own = self_signed(vec![(rcgen::DnType::CommonName, "0004f2aabbcc".into())]);
        for leaf in [&root.leaf("0004f2aabbcc").der, &own] {
            let refused = check_anchor(leaf, &Legacy::ALL);
            assert_eq!(refused, Err(AnchorError::NotCa { subject: subject.clone() }));
        }
        let v1_leaf = check_anchor(&in_pem(V1_LEAF), &Legacy::ALL);
        assert_eq!(v1_leaf, Err(AnchorError::NotRoot { subject: "CN=000b82aabbcc".into() }));
        assert_eq!(anchor(&CertificateDer::from(vec![0x30, 0])), Err(AnchorError::Malformed));
    }

    #[test]
    fn a_weak_ca_is_an_anchor_where_just_that_is_tolerated() {
        for (pem, legacy) in [(V1_CA, Legacy::X509v1), (RSA_1024_CA, Legacy::Rsa1024)] {
            let ca = in_pem(pem);
            let refused = check_anchor(&ca, &Legacy::ALL.into_iter().filter(|one| *one != legacy).collect::<Vec<_>>());
            assert!(
                matches!(&refused, Err(AnchorError::NeedsLegacy { legacy: found, .. }) if *found == [legacy]),
                "{refused:?}"
            );
            assert!(check_anchor(&ca, &[legacy]).is_ok());
        }
    }
}
