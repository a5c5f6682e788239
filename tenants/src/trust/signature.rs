//! The algorithms with which signatures of certificates and revocation lists are verified.
//!
//! Those of today come from rustls. Those of old phones stand here: RSA below 2,048 bits and SHA-1. MD5 is not among
//! them: its certificates can be forged on a desk.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA1_ASN1, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey,
    VerificationAlgorithm,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use x509_parser::asn1_rs::{Any, FromDer, Tag};

use super::legacy::Legacy;

/// Verifies signatures by one algorithm.
pub type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// The algorithms of a trust set that tolerates these.
///
/// webpki asks the first alone whose identifiers fit, so those that take short keys, too, stand before today's.
pub fn algorithms(tolerated: &[Legacy]) -> Vec<Algorithm> {
    let may = |legacy| tolerated.contains(&legacy);
    let mut algorithms: Vec<Algorithm> = Vec::new();
    if may(Legacy::Rsa1024) {
        algorithms.extend([RSA_1024_SHA256, RSA_1024_SHA512]);
    }
    algorithms.extend(default_provider().signature_verification_algorithms.all);
    match (may(Legacy::Sha1), may(Legacy::Rsa1024)) {
        (true, true) => algorithms.extend(RSA_1024_SHA1),
        (true, false) => algorithms.extend(RSA_2048_SHA1),
        (false, _) => {}
    }
    if may(Legacy::Sha1) {
        algorithms.push(ECDSA_SHA1);
    }
    algorithms
}

/// RSA of 1,024 bits or more with SHA-256, PKCS #1 1.5.
pub const RSA_1024_SHA256: Algorithm =
    &Old::rsa(alg_id::RSA_PKCS1_SHA256, &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY);
/// RSA of 1,024 bits or more with SHA-512, PKCS #1 1.5. There is none with SHA-384.
pub const RSA_1024_SHA512: Algorithm =
    &Old::rsa(alg_id::RSA_PKCS1_SHA512, &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY);
/// RSA of 1,024 bits or more with SHA-1, under each identifier that it has.
pub const RSA_1024_SHA1: [Algorithm; 3] = [
    &Old::rsa(SHA1_WITH_RSA, &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
    &Old::rsa(SHA1_WITH_RSA_ABSENT_PARAMETERS, &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
    &Old::rsa(OIW_SHA1_WITH_RSA, &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
];
/// RSA of 2,048 bits or more with SHA-1, under each identifier that it has.
const RSA_2048_SHA1: [Algorithm; 3] = [
    &Old::rsa(SHA1_WITH_RSA, &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
    &Old::rsa(SHA1_WITH_RSA_ABSENT_PARAMETERS, &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
    &Old::rsa(OIW_SHA1_WITH_RSA, &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
];
/// ECDSA on P-256 with SHA-1.
pub const ECDSA_SHA1: Algorithm =
    &Old { signature: ECDSA_WITH_SHA1, key: alg_id::ECDSA_P256, verifies: &ECDSA_P256_SHA1_ASN1 };

/// sha1WithRSAEncryption with NULL parameters (RFC 3279 section 2.2.1).
const SHA1_WITH_RSA: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 0x05, 0]);
const SHA1_WITH_RSA_ABSENT_PARAMETERS: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5]);
/// sha1WithRSASignature of the OIW, 1.3.14.3.2.29, with NULL parameters.
const OIW_SHA1_WITH_RSA: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[0x06, 5, 0x2b, 0x0e, 3, 2, 0x1d, 0x05, 0]);
/// ecdsa-with-SHA1 (RFC 3279 section 2.2.3).
const ECDSA_WITH_SHA1: AlgorithmIdentifier =
    AlgorithmIdentifier::from_slice(&[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]);

/// An algorithm that webpki has not.
#[derive(Debug)]
struct Old {
    signature: AlgorithmIdentifier,
    key: AlgorithmIdentifier,
    verifies: &'static dyn VerificationAlgorithm,
}

impl Old {
    const fn rsa(signature: AlgorithmIdentifier, verifies: &'static dyn VerificationAlgorithm) -> Self {
        Self { signature, key: alg_id::RSA_ENCRYPTION, verifies }
    }
}

impl SignatureVerificationAlgorithm for Old {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.verifies, key).verify(message, signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}

/// A certificate or a revocation list, taken apart: both are what is signed, the algorithm and the signature (RFC 5280
/// sections 4.1 and 5.1).
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    message: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

/// A public key: its algorithm and its bits, the two parts of a `SubjectPublicKeyInfo`.
#[derive(Debug, Clone, Copy)]
pub struct PublicKey<'a> {
    algorithm: &'a [u8],
    bits: &'a [u8],
}

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// None of the algorithms is that of the signature.
    #[error("it is signed with an algorithm that is not tolerated")]
    UnsupportedAlgorithm,
    /// The key is of another kind than the signature.
    #[error("it is signed with a key of another kind")]
    OtherKey,
    /// It does not fit.
    #[error("its signature is wrong")]
    Wrong,
}

impl<'a> Signed<'a> {
    /// Takes a certificate or a revocation list in DER apart. `None`: it is none, or bytes stand behind its end.
    pub fn of(der: &'a [u8]) -> Option<Self> {
        let outer = whole(der, Tag::Sequence)?;
        let (rest, message) = Any::from_der(outer).ok()?;
        message.tag().eq(&Tag::Sequence).then_some(())?;
        let message = outer.get(..outer.len() - rest.len())?;
        let (rest, algorithm) = Any::from_der(rest).ok().filter(|(_, any)| any.tag() == Tag::Sequence)?;
        Some(Self { message, algorithm: algorithm.data, signature: bit_string(rest)? })
    }

    /// Verifies the signature by the first of the algorithms that is meant.
    ///
    /// # Errors
    /// - any [`SignatureError`]
    pub fn verify(&self, key: PublicKey<'_>, algorithms: &[Algorithm]) -> Result<(), SignatureError> {
        let mut error = SignatureError::UnsupportedAlgorithm;
        for algorithm in algorithms.iter().filter(|known| known.signature_alg_id().as_ref() == self.algorithm) {
            match key.verify(*algorithm, self.message, self.signature) {
                Err(SignatureError::OtherKey) => error = SignatureError::OtherKey,
                outcome => return outcome,
            }
        }
        Err(error)
    }
}

impl<'a> PublicKey<'a> {
    /// Reads a `SubjectPublicKeyInfo` in DER.
    pub fn of(der: &'a [u8]) -> Option<Self> {
        Self::of_content(whole(der, Tag::Sequence)?)
    }

    /// Reads what stands inside a `SubjectPublicKeyInfo`, as a trust anchor keeps it.
    pub fn of_content(content: &'a [u8]) -> Option<Self> {
        let (rest, algorithm) = Any::from_der(content).ok().filter(|(_, any)| any.tag() == Tag::Sequence)?;
        Some(Self { algorithm: algorithm.data, bits: bit_string(rest)? })
    }

    /// Verifies a signature with this key.
    ///
    /// # Errors
    /// - [`SignatureError::OtherKey`]: the algorithm is not one for this key
    /// - [`SignatureError::Wrong`]: the signature does not fit
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if algorithm.public_key_alg_id().as_ref() != self.algorithm {
            return Err(SignatureError::OtherKey);
        }
        algorithm.verify_signature(self.bits, message, signature).map_err(|_| SignatureError::Wrong)
    }
}

/// What stands in a DER value that has this tag and nothing behind it.
fn whole(der: &[u8], tag: Tag) -> Option<&[u8]> {
    let (rest, any) = Any::from_der(der).ok()?;
    (rest.is_empty() && any.tag() == tag).then_some(any.data)
}

fn bit_string(der: &[u8]) -> Option<&[u8]> {
    let (unused, bits) = whole(der, Tag::BitString)?.split_first()?;
    (*unused == 0).then_some(bits)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use x509_parser::prelude::X509Certificate;

    use super::*;
    use crate::trust::certificates_in;
    use crate::trust::testing::{Ca, RSA_1024_CA, V1_CA};

    /// Whether the certificate's own key signed it, as a set that tolerates these sees it.
    fn own_signature(der: &[u8], tolerated: &[Legacy]) -> Result<(), SignatureError> {
        let (_, parsed) = X509Certificate::from_der(der).unwrap();
        Signed::of(der).unwrap().verify(PublicKey::of(parsed.public_key().raw).unwrap(), &algorithms(tolerated))
    }

    #[test]
    fn each_option_adds_its_own_algorithms_alone() {
        use Legacy::{AnyEku, Expired, Rsa1024, Sha1, X509v1};
        let old = certificates_in(RSA_1024_CA.as_bytes()).unwrap();
        for (tolerated, expected) in [
            (&[Sha1, Rsa1024][..], Ok(())),
            (&[Rsa1024], Err(SignatureError::UnsupportedAlgorithm)),
            (&[Sha1], Err(SignatureError::Wrong)),
            (&[Expired, AnyEku, X509v1], Err(SignatureError::UnsupportedAlgorithm)),
        ] {
            assert_eq!(own_signature(&old[0], tolerated), expected, "{tolerated:?}");
        }
        for der in [&certificates_in(V1_CA.as_bytes()).unwrap()[0], &Ca::new("Root").der()] {
            assert_eq!(own_signature(der, &[]), Ok(()));
            assert_eq!(own_signature(der, &Legacy::ALL), Ok(()));
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_signature() {
        let der = Ca::new("Root").der();
        assert!(Signed::of(&der[..der.len() - 1]).is_none());
        assert!(Signed::of(&[&der[..], b"x"].concat()).is_none());
        assert!(Signed::of(b"\x30\x00").is_none());
        let mut changed = der.to_vec();
        let at = changed.windows(4).position(|window| window == b"Root").unwrap();
        changed[at] = b'B';
        assert_eq!(own_signature(&changed, &[]), Err(SignatureError::Wrong));
    }
}
