//! OCSP responses that a listener sends along with its certificate (RFC 6066 section 8, RFC 6960).
//!
//! Somebody else fetches them; here one is read, and it is looked at whether it is for the certificate and still counts. Its
//! signature is left to the phone, which knows whom to believe.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use der::Decode;
use der::oid::ObjectIdentifier;
use rustls::pki_types::CertificateDer;
use x509_ocsp::{BasicOcspResponse, CertId, CertStatus, OcspResponse, OcspResponseStatus, SingleResponse};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// `id-sha1` and `id-sha256` (RFC 3279 section 2.1, RFC 5758 section 2): what names an issuer in a response.
const SHA1_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// `id-pkix-ocsp-basic` (RFC 6960 section 4.2.1).
const BASIC_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");

/// A response for one certificate, which it calls good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staple {
    der: Vec<u8>,
    from: Duration,
    until: Option<Duration>,
}

/// Why a response is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StapleError {
    /// No DER of an OCSP response with an answer.
    #[error("is no OCSP response in DER")]
    Malformed,
    /// The responder had no answer.
    #[error("is the error of a responder (`{0}`), no answer")]
    NoAnswer(&'static str),
    /// It answers for other certificates.
    #[error("is for another certificate")]
    OfAnother,
    /// The certificate is revoked, or not known.
    #[error("says that the certificate is {0}")]
    NotGood(&'static str),
}

impl Staple {
    /// Reads a response, for a chain with its leaf first.
    ///
    /// # Errors
    /// - [`StapleError`]
    pub fn read(der: Vec<u8>, chain: &[CertificateDer<'_>]) -> Result<Self, StapleError> {
        let response = OcspResponse::from_der(&der).map_err(|_| StapleError::Malformed)?;
        match response.response_status {
            OcspResponseStatus::Successful => {}
            OcspResponseStatus::MalformedRequest => return Err(StapleError::NoAnswer("malformedRequest")),
            OcspResponseStatus::InternalError => return Err(StapleError::NoAnswer("internalError")),
            OcspResponseStatus::TryLater => return Err(StapleError::NoAnswer("tryLater")),
            OcspResponseStatus::SigRequired => return Err(StapleError::NoAnswer("sigRequired")),
            OcspResponseStatus::Unauthorized => return Err(StapleError::NoAnswer("unauthorized")),
        }
        let bytes = response.response_bytes.filter(|bytes| bytes.response_type == BASIC_OID);
        let basic = bytes.and_then(|bytes| BasicOcspResponse::from_der(bytes.response.as_bytes()).ok());
        let answers = basic.ok_or(StapleError::Malformed)?.tbs_response_data.responses;
        let answer = answers.iter().find(|answer| is_for(&answer.cert_id, chain)).ok_or(StapleError::OfAnother)?;
        let SingleResponse { cert_status, this_update, next_update, .. } = answer;
        match cert_status {
            CertStatus::Good(_) => {}
            CertStatus::Revoked(_) => return Err(StapleError::NotGood("revoked")),
            CertStatus::Unknown(_) => return Err(StapleError::NotGood("unknown to the responder")),
        }
        let (from, until) = (this_update.0.to_unix_duration(), next_update.map(|until| until.0.to_unix_duration()));
        Ok(Self { der, from, until })
    }

    /// Whether it counts at `now`: from its `thisUpdate` to before its `nextUpdate`.
    pub fn counts_at(&self, now: Duration) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    /// From when on it counts, and from when on not any more.
    pub fn bounds(&self) -> impl Iterator<Item = SystemTime> {
        [Some(self.from), self.until].into_iter().flatten().map(|bound| SystemTime::UNIX_EPOCH + bound)
    }

    /// The response, as it is sent.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Why it does not count at `now`, in words; nothing where it does.
    pub fn flaw_at(&self, now: SystemTime) -> Option<String> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match self.until {
            _ if self.counts_at(now) => None,
            Some(until) if until <= now => Some(format!("the OCSP response counted until {} only", shown(until))),
            Some(_) | None => Some(format!("the OCSP response counts from {} only", shown(self.from))),
        }
    }
}

fn shown(time: Duration) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// RFC 6960 section 4.1.1: the serial number, the issuer's name and, where the chain has the issuer, its key.
fn is_for(id: &CertId, chain: &[CertificateDer<'_>]) -> bool {
    let mut chain = chain.iter().filter_map(|der| X509Certificate::from_der(der).ok().map(|(_, read)| read));
    let Some(leaf) = chain.next() else { return false };
    let algorithm = match id.hash_algorithm.oid {
        SHA1_OID => &SHA1_FOR_LEGACY_USE_ONLY,
        SHA256_OID => &SHA256,
        _ => return false,
    };
    let is_hash_of = |hash: &[u8], of: &[u8]| digest::digest(algorithm, of).as_ref() == hash;
    let issuer = chain.next().filter(|next| next.subject().as_raw() == leaf.issuer().as_raw());
    number(id.serial_number.as_bytes()) == number(leaf.raw_serial())
        && is_hash_of(id.issuer_name_hash.as_bytes(), leaf.issuer().as_raw())
        && issuer.is_none_or(|issuer| {
            is_hash_of(id.issuer_key_hash.as_bytes(), &issuer.public_key().subject_public_key.data)
        })
}

/// A number without the zeros before it.
fn number(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}
