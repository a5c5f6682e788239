//! What a certificate is made of: key, hash, version, times.

use std::fmt;
use std::time::{Duration, SystemTime};

use x509_parser::der_parser::oid::Oid;
use x509_parser::error::X509Error;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSASSAPSS, OID_SIG_ED25519,
};
use x509_parser::prelude::{ASN1Time, AlgorithmIdentifier, FromDer, X509Certificate, X509Version};
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::SignatureAlgorithm;

use super::legacy::Legacy;
use crate::sha256::Sha256;

/// A certificate's public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// RSA with a modulus of so many bits.
    Rsa {
        /// The bits of the modulus.
        bits: usize,
    },
    /// ECDSA on the NIST curve of so many bits: 256, 384 or 521.
    Ec {
        /// The bits of the curve.
        bits: usize,
    },
    /// Ed25519.
    Ed25519,
    /// Anything else, by its object identifier.
    Other(String),
}

/// The hash that a certificate is signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureHash {
    /// MD5, forgeable since 2008.
    Md5,
    /// SHA-1, forgeable since 2017.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// The hash inside Ed25519.
    Ed25519,
    /// Anything else, by its object identifier.
    Other(String),
}

/// The longest object identifier that is written out, in bytes of its DER: those in use have a dozen.
const OID_BYTES: usize = 32;

/// An object identifier in digits. To write one out that a peer made up takes as long as the square of its length, and as much memory
/// as it likes.
pub(super) fn oid_text(oid: &Oid<'_>) -> String {
    match oid.as_bytes().len() {
        ..=OID_BYTES => oid.to_id_string(),
        bytes => format!("an identifier of {bytes} bytes"),
    }
}

/// The SHA-256 of a certificate's DER.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::of(der))
    }

    /// The first eight hex digits, to tell files apart.
    pub fn prefix(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

impl Key {
    /// Whether nothing here can verify with it, whatever is tolerated.
    pub fn is_unusable(&self) -> bool {
        match self {
            Self::Rsa { bits } => !(LEAST_BITS..=MOST_BITS).contains(bits),
            Self::Ec { .. } | Self::Ed25519 => false,
            Self::Other(_) => true,
        }
    }

    /// Whether it is an RSA key that only `rsa1024` tolerates.
    pub fn is_short(&self) -> bool {
        matches!(self, Self::Rsa { bits } if (LEAST_BITS..MODERN_BITS).contains(bits))
    }

    /// The key of a certificate.
    pub fn of(certificate: &X509Certificate<'_>) -> Self {
        let info = certificate.public_key();
        match info.parsed() {
            Ok(PublicKey::RSA(rsa)) => Self::Rsa { bits: bits(rsa.modulus) },
            Ok(PublicKey::EC(_)) => curve_bits(&info.algorithm)
                .map_or_else(|| Self::Other(parameter(&info.algorithm)), |bits| Self::Ec { bits }),
            _ if info.algorithm.algorithm == OID_SIG_ED25519 => Self::Ed25519,
            _ => Self::Other(oid_text(&info.algorithm.algorithm)),
        }
    }
}

fn bits(modulus: &[u8]) -> usize {
    let significant = modulus.iter().skip_while(|byte| **byte == 0);
    let leading =
        significant.clone().next().map_or(0, |byte| usize::try_from(byte.leading_zeros()).unwrap_or_default());
    (significant.count() * 8).saturating_sub(leading)
}

fn curve_bits(algorithm: &AlgorithmIdentifier<'_>) -> Option<usize> {
    let curve = algorithm.parameters.as_ref()?.as_oid().ok()?;
    [(OID_EC_P256, 256), (OID_NIST_EC_P384, 384), (OID_NIST_EC_P521, 521)]
        .into_iter()
        .find_map(|(known, bits)| (known == curve).then_some(bits))
}

fn parameter(algorithm: &AlgorithmIdentifier<'_>) -> String {
    let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    oid_text(curve.as_ref().unwrap_or(&algorithm.algorithm))
}

impl SignatureHash {
    /// The hash of a certificate's signature.
    pub fn of(certificate: &X509Certificate<'_>) -> Self {
        let algorithm = &certificate.signature_algorithm;
        let hash = if algorithm.algorithm == OID_PKCS1_RSASSAPSS { pss_hash(algorithm) } else { None };
        let oid = hash.unwrap_or_else(|| oid_text(&algorithm.algorithm));
        // The registry of x509-parser lacks some of these; RFC 3279, RFC 4055, RFC 5758, RFC 8410 and OIW have them all.
        match oid.as_str() {
            "1.2.840.113549.1.1.4" | "1.3.14.3.2.25" => Self::Md5,
            "1.2.840.113549.1.1.5" | "1.3.14.3.2.26" | "1.3.14.3.2.29" | "1.2.840.10045.4.1" => Self::Sha1,
            "1.2.840.113549.1.1.11" | "2.16.840.1.101.3.4.2.1" | "1.2.840.10045.4.3.2" => Self::Sha256,
            "1.2.840.113549.1.1.12" | "2.16.840.1.101.3.4.2.2" | "1.2.840.10045.4.3.3" => Self::Sha384,
            "1.2.840.113549.1.1.13" | "2.16.840.1.101.3.4.2.3" | "1.2.840.10045.4.3.4" => Self::Sha512,
            "1.3.101.112" => Self::Ed25519,
            _ => Self::Other(oid),
        }
    }
}

fn pss_hash(algorithm: &AlgorithmIdentifier<'_>) -> Option<String> {
    let SignatureAlgorithm::RSASSA_PSS(parameters) = SignatureAlgorithm::try_from(algorithm).ok()? else { return None };
    Some(oid_text(parameters.hash_algorithm_oid()))
}

/// Whether the certificate is signed with its own key. Where the signature is of an algorithm that nothing here
/// can verify (MD5), equal names are taken for it.
pub(super) fn is_self_signed(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
        && matches!(certificate.verify_signature(None), Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm))
}

pub(super) fn is_version_3(certificate: &X509Certificate<'_>) -> bool {
    certificate.version() == X509Version::V3
}

/// What a trust set would have to tolerate to take the certificate as an anchor. Whose signature it bears counts for nothing
/// there, and neither does its time.
pub(super) fn weaknesses(certificate: &X509Certificate<'_>) -> Vec<Legacy> {
    needed([(Key::of(certificate).is_short(), Legacy::Rsa1024), (!is_version_3(certificate), Legacy::X509v1)])
}

/// What a trust set would have to tolerate to believe the certificate at `now`. A self-signed one's own signature counts for
/// nothing.
pub(super) fn legacy(certificate: &X509Certificate<'_>, now: SystemTime) -> Vec<Legacy> {
    let is_sha1 = SignatureHash::of(certificate) == SignatureHash::Sha1 && !is_self_signed(certificate);
    let mut legacy = needed([(is_sha1, Legacy::Sha1)]);
    legacy.extend(weaknesses(certificate));
    let is_over = system_time(certificate.validity().not_after) < now;
    legacy.extend(needed([(is_over, Legacy::Expired), (has_other_purpose(certificate), Legacy::AnyEku)]));
    legacy
}

/// What a trust set would have to tolerate to believe a certificate in DER as part of a chain at `now`. What is none needs nothing.
pub fn legacy_of(der: &[u8], now: SystemTime) -> Vec<Legacy> {
    X509Certificate::from_der(der).map(|(_, certificate)| legacy(&certificate, now)).unwrap_or_default()
}

/// An RSA key below this many bits is one of yesterday.
const MODERN_BITS: usize = 2048;
/// Nothing verifies with an RSA key below this many bits.
const LEAST_BITS: usize = 1024;
/// Nothing verifies with an RSA key above this many bits, either.
const MOST_BITS: usize = 8192;

fn needed<const N: usize>(of: [(bool, Legacy); N]) -> Vec<Legacy> {
    of.into_iter().filter_map(|(is_needed, legacy)| is_needed.then_some(legacy)).collect()
}

/// Whether it says what it is for, and client authentication is not among it.
fn has_other_purpose(certificate: &X509Certificate<'_>) -> bool {
    match certificate.extended_key_usage() {
        Ok(usage) => usage.is_some_and(|usage| !usage.value.client_auth),
        Err(_) => true,
    }
}

pub(super) fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    let moved = if time.timestamp() < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    moved.unwrap_or(SystemTime::UNIX_EPOCH)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
            Self::Ec { bits } => write!(f, "EC P-{bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Other(oid) => f.write_str(oid),
        }
    }
}

impl fmt::Display for SignatureHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
            Self::Ed25519 => "Ed25519",
            Self::Other(oid) => oid,
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_that_somebody_made_up_is_not_written_out() {
        let oid = |bytes: Vec<u8>| oid_text(&Oid::new(bytes.into()));
        assert_eq!(oid(vec![0x2b, 0x65, 0x70]), "1.3.101.112");
        assert_eq!(oid(vec![0x7f; 16_000]), "an identifier of 16000 bytes");
        // One number of 14,000 bits.
        assert_eq!(oid([vec![0x2b], vec![0xff; 2_000], vec![0x7f]].concat()), "an identifier of 2002 bytes");
    }
}
