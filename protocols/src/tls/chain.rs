//! Chains of certificates, from the leaf to an anchor of one trust set.
//!
//! webpki verifies them. rustls would drive it, but lets nobody choose the algorithms of one set, or take a leaf that is made
//! for another purpose. What webpki does not read at all, a leaf of X.509 version 1, is verified here: right below an anchor,
//! and never as an issuer, since it cannot say that it is none.

use provost_tenants::trust::{Algorithm, Legacy, PublicKey, SignatureError, Signed, TrustSet, algorithms};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::{CertRevocationListError, CertificateError, DistinguishedName, OtherError};
use std::sync::Arc;
use std::time::Duration;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy, anchor_from_trusted_cert,
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The anchors of one trust set, and what it tolerates.
#[derive(Debug)]
pub(super) struct Chains {
    anchors: Vec<TrustAnchor<'static>>,
    algorithms: Vec<Algorithm>,
    usage: Usage,
}

/// What a leaf must be made for.
#[derive(Debug, Clone, Copy)]
enum Usage {
    ClientAuth,
    Any,
}

impl Chains {
    pub(super) fn new(trust: &TrustSet) -> Result<Self, webpki::Error> {
        let anchors =
            trust.anchors.iter().map(|anchor| anchor_from_trusted_cert(anchor).map(|anchor| anchor.to_owned()));
        Ok(Self {
            anchors: anchors.collect::<Result<_, _>>()?,
            algorithms: algorithms(&trust.legacy),
            usage: if trust.tolerates(Legacy::AnyEku) { Usage::Any } else { Usage::ClientAuth },
        })
    }

    /// The subjects of the anchors.
    pub(super) fn subjects(&self) -> impl Iterator<Item = DistinguishedName> {
        self.anchors.iter().map(|anchor| DistinguishedName::in_sequence(&anchor.subject))
    }

    /// The keys of the anchors that have this name and signed this, which is a leaf or a revocation list.
    pub(super) fn signers(
        &self,
        name: &[u8],
        signed: &Signed<'_>,
    ) -> Result<Vec<&TrustAnchor<'static>>, SignatureError> {
        let mut error = SignatureError::Wrong;
        let mut signers = Vec::new();
        for anchor in self.anchors.iter().filter(|anchor| is_name(name, anchor)) {
            let Some(key) = PublicKey::of_content(&anchor.subject_public_key_info) else { continue };
            match signed.verify(key, &self.algorithms) {
                Ok(()) => signers.push(anchor),
                Err(why) => error = why,
            }
        }
        if signers.is_empty() { Err(error) } else { Ok(signers) }
    }

    /// Whether an anchor has this name, the whole DER of a name.
    pub(super) fn has_name(&self, name: &[u8]) -> bool {
        self.anchors.iter().any(|anchor| is_name(name, anchor))
    }

    /// Whether a chain from this leaf may end at an anchor, by the names in it.
    pub(super) fn may_begin(&self, leaf: &X509Certificate<'_>, intermediates: &[CertificateDer<'_>]) -> bool {
        let read: Vec<_> = intermediates.iter().filter_map(|der| X509Certificate::from_der(der).ok()).collect();
        let mut issuers = vec![leaf.issuer().as_raw()];
        for _ in 0..=read.len() {
            if issuers.iter().any(|issuer| self.has_name(issuer)) {
                return true;
            }
            let next = read.iter().filter(|(_, above)| issuers.contains(&above.subject().as_raw()));
            issuers = next.map(|(_, above)| above.issuer().as_raw()).collect();
        }
        false
    }

    /// Verifies a chain; with a revocation list, that the list does not name the leaf, too.
    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        at: UnixTime,
        list: Option<&CertRevocationList<'_>>,
    ) -> Result<(), rustls::Error> {
        let lists: Vec<&CertRevocationList<'_>> = list.into_iter().collect();
        // An overdue list counts as it is: a vendor that stops publishing must not lock its phones out, nor set the revoked
        // ones free.
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::EndEntity)
                .with_status_policy(UnknownStatusPolicy::Allow)
                .with_expiration_policy(ExpirationPolicy::Ignore)
                .build()
        });
        let leaf = EndEntityCert::try_from(leaf).map_err(error_of)?;
        leaf.verify_for_usage(&self.algorithms, &self.anchors, intermediates, at, self.usage, revocation, None)
            .map(|_| ())
            .map_err(error_of)
    }

    /// Verifies a leaf of X.509 version 1 or 2 right below an anchor.
    pub(super) fn verify_without_extensions(
        &self,
        leaf: &CertificateDer<'_>,
        parsed: &X509Certificate<'_>,
        at: UnixTime,
    ) -> Result<(), rustls::Error> {
        let signed = Signed::of(leaf).ok_or(CertificateError::BadEncoding)?;
        // The algorithm stands there twice, once where it is signed (RFC 5280 section 4.1.1.2). No extension can be read here.
        if parsed.signature_algorithm != parsed.tbs_certificate.signature || !parsed.extensions().is_empty() {
            return Err(CertificateError::BadEncoding.into());
        }
        let seconds = |time: x509_parser::time::ASN1Time| {
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default()))
        };
        let (not_before, not_after) = (seconds(parsed.validity().not_before), seconds(parsed.validity().not_after));
        if at < not_before {
            return Err(CertificateError::NotValidYetContext { time: at, not_before }.into());
        }
        if at > not_after {
            return Err(CertificateError::ExpiredContext { time: at, not_after }.into());
        }
        let issuer = parsed.issuer().as_raw();
        if !self.has_name(issuer) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        match self.signers(issuer, &signed) {
            Ok(_) => Ok(()),
            Err(SignatureError::Wrong) => Err(CertificateError::BadSignature.into()),
            Err(error @ (SignatureError::UnsupportedAlgorithm | SignatureError::OtherKey)) => Err(other(error)),
        }
    }
}

/// Intermediates that a peer may send. A path is looked for among all of them: webpki bounds that by 200,000 steps, each of which
/// reads every one anew, so that 535 that lead nowhere kept a thread of the runtime for two minutes. Phones send one to three.
const MOST_INTERMEDIATES: usize = 4;

/// What a chain may have, in bytes: each trust set reads it anew.
const MOST_BYTES: usize = 16 * 1024;

/// Refuses a chain before any trust set looks at it that is more work than an honest one.
pub(super) fn check_extent(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<(), rustls::Error> {
    let bytes = intermediates.iter().fold(leaf.len(), |sum, certificate| sum.saturating_add(certificate.len()));
    if intermediates.len() > MOST_INTERMEDIATES {
        return Err(other(Broken::TooMany(intermediates.len())));
    }
    if bytes > MOST_BYTES {
        return Err(other(Broken::TooLarge(bytes)));
    }
    Ok(())
}

/// Whether the name, a `SEQUENCE` in DER, is the anchor's, which is kept without tag and length.
fn is_name(name: &[u8], anchor: &TrustAnchor<'_>) -> bool {
    DistinguishedName::in_sequence(&anchor.subject).as_ref() == name
}

impl ExtendedKeyUsageValidator for Usage {
    fn validate(&self, mut purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        match self {
            Self::ClientAuth => KeyUsage::client_auth().validate(purposes),
            Self::Any => purposes.try_for_each(|purpose| purpose.map(|_| ())),
        }
    }
}

/// What breaks a chain, where the library has no words of its own.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("it is the certificate of a CA")]
    AuthorityAsLeaf,
    #[error("a certificate in its chain is no CA's")]
    LeafAsAuthority,
    #[error("its chain is longer than a CA in it allows")]
    TooLong,
    #[error("a name in it is none that its chain may give")]
    ForeignName,
    #[error("a critical extension in its chain is not known")]
    UnknownExtension,
    #[error("its chain takes more work than any honest one")]
    TooMuchWork,
    #[error("it comes with {0} other certificates, and {MOST_INTERMEDIATES} are looked at")]
    TooMany(usize),
    #[error("its chain has {0} bytes, and {MOST_BYTES} are read")]
    TooLarge(usize),
}

/// Anything that the library has no word for.
pub(super) fn other(error: impl std::error::Error + Send + Sync + 'static) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(error))).into()
}

/// What webpki says, as rustls would: the alert is made from it.
fn error_of(error: webpki::Error) -> rustls::Error {
    use webpki::Error;
    match error {
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) | Error::UnsupportedCertVersion => {
            CertificateError::BadEncoding.into()
        }
        Error::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before }.into(),
        Error::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after }.into(),
        Error::UnknownIssuer => CertificateError::UnknownIssuer.into(),
        Error::CertRevoked => CertificateError::Revoked.into(),
        Error::InvalidSignatureForPublicKey => CertificateError::BadSignature.into(),
        Error::UnsupportedSignatureAlgorithmContext(context) => {
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: context.signature_algorithm_id,
                supported_algorithms: context.supported_algorithms,
            }
            .into()
        }
        Error::UnsupportedSignatureAlgorithmForPublicKeyContext(context) => {
            CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: context.signature_algorithm_id,
                public_key_algorithm_id: context.public_key_algorithm_id,
            }
            .into()
        }
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => CertificateError::InvalidPurpose.into(),
        Error::IssuerNotCrlSigner => CertRevocationListError::IssuerInvalidForCrl.into(),
        Error::InvalidCrlSignatureForPublicKey => CertRevocationListError::BadSignature.into(),
        Error::UnsupportedCrlSignatureAlgorithmContext(_)
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            CertRevocationListError::Other(OtherError(Arc::new(SignatureError::UnsupportedAlgorithm))).into()
        }
        Error::CaUsedAsEndEntity => other(Broken::AuthorityAsLeaf),
        Error::EndEntityUsedAsCa => other(Broken::LeafAsAuthority),
        Error::PathLenConstraintViolated => other(Broken::TooLong),
        Error::NameConstraintViolation => other(Broken::ForeignName),
        Error::UnsupportedCriticalExtension => other(Broken::UnknownExtension),
        Error::MaximumSignatureChecksExceeded
        | Error::MaximumPathBuildCallsExceeded
        | Error::MaximumPathDepthExceeded
        | Error::MaximumNameConstraintComparisonsExceeded => other(Broken::TooMuchWork),
        // webpki adds to its errors from one version to the next.
        other_error => other(other_error),
    }
}
