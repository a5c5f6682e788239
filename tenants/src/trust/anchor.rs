//! Whether a certificate may be a trust anchor.
//!
//! webpki looks at an anchor's subject, key and name constraints alone: it would take a phone's own leaf as anchor,
//! and does not see that an anchor has expired. What it does not ask is asked here, once, when the set is loaded.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::describe::printable_name;
use super::facts::{self, Key, Legacy};

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
    /// It is as weak as only `legacy` would tolerate.
    #[error("`{subject}` needs legacy = [\"{legacy}\"], which this version does not support")]
    NeedsLegacy {
        /// Its subject.
        subject: String,
        /// What would have to be tolerated first.
        legacy: Legacy,
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

/// Checks that a certificate may be an anchor. Its time is not looked at: see [`Anchor::not_after`].
///
/// # Errors
/// - any [`AnchorError`]
pub fn check_anchor(certificate: &CertificateDer<'_>) -> Result<Anchor, AnchorError> {
    let Ok((rest, parsed)) = X509Certificate::from_der(certificate) else { return Err(AnchorError::Malformed) };
    if !rest.is_empty() {
        return Err(AnchorError::Malformed);
    }
    let subject = printable_name(parsed.subject());
    let not_after = facts::system_time(parsed.validity().not_after);
    // Version 1 cannot say CA:TRUE, so weaknesses are asked first.
    if let Some(legacy) = facts::weaknesses(&parsed).into_iter().next() {
        return Err(AnchorError::NeedsLegacy { subject, legacy });
    }
    if !is_ca(&parsed) {
        return Err(AnchorError::NotCa { subject });
    }
    match Key::of(&parsed) {
        key @ Key::Other(_) => Err(AnchorError::UnsupportedKey { subject, key }),
        Key::Rsa { .. } | Key::Ec { .. } | Key::Ed25519 => Ok(Anchor { subject, not_after }),
    }
}

/// `CA:TRUE`, stated once and readably (RFC 5280 section 4.2.1.9).
pub(super) fn is_ca(certificate: &X509Certificate<'_>) -> bool {
    matches!(certificate.basic_constraints(), Ok(Some(constraints)) if constraints.value.ca)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::testing::{Ca, RSA_1024_CA, V1_CA, self_signed};

    #[test]
    fn a_ca_is_an_anchor_and_an_intermediate_too() {
        let root = Ca::new("Root");
        assert_eq!(check_anchor(&root.der()).map(|anchor| anchor.subject), Ok("CN=Root".into()));
        assert_eq!(
            check_anchor(&root.intermediate("Issuing").der()).map(|anchor| anchor.subject),
            Ok("CN=Issuing".into())
        );
    }

    #[test]
    fn an_expired_ca_is_an_anchor_that_says_when_it_ended() {
        let ended = check_anchor(&Ca::expired("Old").der()).map(|anchor| anchor.not_after);
        assert!(ended.is_ok_and(|ended| ended < SystemTime::now()));
    }

    #[test]
    fn leaves_and_weak_cas_are_refused() {
        let root = Ca::new("Root");
        let subject = "CN=0004f2aabbcc".to_owned();
        assert_eq!(check_anchor(&root.leaf("0004f2aabbcc").der), Err(AnchorError::NotCa { subject: subject.clone() }));
        let own = self_signed(vec![(rcgen::DnType::CommonName, "0004f2aabbcc".into())]);
        assert_eq!(check_anchor(&own), Err(AnchorError::NotCa { subject }));
        for (pem, legacy) in [(V1_CA, Legacy::X509v1), (RSA_1024_CA, Legacy::Rsa1024)] {
            let certificates = super::super::certificates_in(pem.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
            let refused = certificates.iter().map(check_anchor).next();
            assert!(
                matches!(refused, Some(Err(AnchorError::NeedsLegacy { legacy: found, .. })) if found == legacy),
                "{refused:?}"
            );
        }
        assert_eq!(check_anchor(&CertificateDer::from(vec![0x30, 0])), Err(AnchorError::Malformed));
    }
}
