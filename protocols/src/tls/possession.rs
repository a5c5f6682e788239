//! Whether the peer holds the key of the certificate that it shows, which its signature in the handshake proves.
//!
//! It is asked with everything that can be verified at all, of what no trust set tolerates, too: a certificate that counts
//! as none must not come to count because a reload tolerates more while its connection is open. What may be shown to be a
//! device is the trust sets' affair.

use provost_tenants::trust::{
    Algorithm, ECDSA_SHA1, Legacy, PublicKey, RSA_1024_SHA1, RSA_1024_SHA256, RSA_1024_SHA512, SignatureError,
    SignatureHash,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::{CertificateError, DigitallySignedStruct, PeerMisbehaved, SignatureScheme};
use webpki::EndEntityCert;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::chain::other;

/// What a listener takes for a proof.
#[derive(Debug)]
pub(super) struct Possession {
    algorithms: WebPkiSupportedAlgorithms,
    /// In the order of preference.
    offered: Vec<SignatureScheme>,
}

impl Possession {
    /// `tolerates` says whether any trust set of the listener tolerates something.
    pub(super) fn new(algorithms: WebPkiSupportedAlgorithms, tolerates: impl Fn(Legacy) -> bool) -> Self {
        let mut offered = algorithms.supported_schemes();
        if tolerates(Legacy::Rsa1024) {
            // With a key of 1,024 bits neither PSS nor SHA-384 can be verified, and a phone may take the first that it knows.
            offered.retain(|scheme| !is_pss(*scheme));
            offered.sort_by_key(|scheme| *scheme == SignatureScheme::RSA_PKCS1_SHA384);
        }
        if tolerates(Legacy::Sha1) {
            // The list names the algorithms of certificates, too: a strict phone of TLS 1.2 would keep its own (RFC 5246
            // section 7.4.4).
            offered.extend([SignatureScheme::RSA_PKCS1_SHA1, SignatureScheme::ECDSA_SHA1_Legacy]);
        }
        Self { algorithms, offered }
    }

    pub(super) fn offered(&self) -> &[SignatureScheme] {
        &self.offered
    }

    /// RFC 5246 section 7.4.8.
    pub(super) fn tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if !self.offered.contains(&signature.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let key = key_of(certificate)?;
        let key = PublicKey::of(&key).ok_or(CertificateError::BadEncoding)?;
        for algorithm in self.of_scheme(signature.scheme, certificate)? {
            match key.verify(algorithm, message, signature.signature()) {
                Ok(()) => return Ok(HandshakeSignatureValid::assertion()),
                Err(SignatureError::Wrong) => return Err(CertificateError::BadSignature.into()),
                Err(SignatureError::OtherKey | SignatureError::UnsupportedAlgorithm) => {}
            }
        }
        Err(other(SignatureError::OtherKey))
    }

    /// In TLS 1.2 a scheme does not fix the curve, so that there may be several.
    fn of_scheme(
        &self,
        scheme: SignatureScheme,
        certificate: &CertificateDer<'_>,
    ) -> Result<Vec<Algorithm>, rustls::Error> {
        match scheme {
            SignatureScheme::RSA_PKCS1_SHA256 => Ok(vec![RSA_1024_SHA256]),
            SignatureScheme::RSA_PKCS1_SHA512 => Ok(vec![RSA_1024_SHA512]),
            SignatureScheme::RSA_PKCS1_SHA1 | SignatureScheme::ECDSA_SHA1_Legacy => {
                // No phone of today is talked into it: its own certificate must be signed so.
                let (_, certificate) =
                    X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
                if SignatureHash::of(&certificate) != SignatureHash::Sha1 {
                    return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
                }
                let [rsa, ..] = RSA_1024_SHA1;
                Ok(vec![if scheme == SignatureScheme::RSA_PKCS1_SHA1 { rsa } else { ECDSA_SHA1 }])
            }
            _ => {
                let known = self.algorithms.mapping.iter().find(|(known, _)| *known == scheme);
                Ok(known.map(|(_, algorithms)| algorithms.to_vec()).unwrap_or_default())
            }
        }
    }

    /// RFC 8446 section 4.4.3.
    pub(super) fn tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature_with_raw_key(message, &key_of(certificate)?, signature, &self.algorithms)
    }
}

/// The key of a certificate. webpki reads no more than that takes, and nothing of version 1.
fn key_of(certificate: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, rustls::Error> {
    if let Ok(read) = EndEntityCert::try_from(certificate) {
        return Ok(read.subject_public_key_info());
    }
    let (_, read) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    Ok(SubjectPublicKeyInfoDer::from(read.public_key().raw.to_vec()))
}

fn is_pss(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PSS_SHA256 | SignatureScheme::RSA_PSS_SHA384 | SignatureScheme::RSA_PSS_SHA512
    )
}
