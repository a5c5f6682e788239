//! One trust set: whether a chain ends at one of its anchors, and none of its revocation lists names the leaf.
//!
//! webpki asks of all lists the first alone that has the issuer's name. An old list beside a newer one would hide what
//! the newer revokes, and the list of a renewed CA would refuse every phone that the former key has signed. So each
//! list is asked by itself here, and all that concern a leaf are.

use std::sync::Arc;
use std::time::Duration;

use provost_tenants::trust::{Key, Legacy, RevocationList, Signed, TrustSet};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertRevocationListError, CertificateError, DistinguishedName};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate, X509Version};

use super::chain::{Chains, other};
use super::error::{TlsError, TrustSetFlaw};

/// A trust set with its verifiers.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) trust: Arc<TrustSet>,
    chains: Chains,
    lists: Vec<List>,
}

/// A revocation list.
#[derive(Debug)]
struct List {
    /// The DER of its issuer's name.
    issuer: Vec<u8>,
    signer: Signer,
    revoked: CertRevocationList<'static>,
}

/// Who signed a revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Signer {
    /// Anchors of the set with these keys. A leaf that another key of the same name signed is not this list's affair.
    Anchors(Vec<Vec<u8>>),
    /// An intermediate, or nobody that is known. It is believed where the leaf's issuer signed it, and else refuses.
    Other,
}

/// The leaf has no extensions, and its trust set does not tolerate that.
#[derive(Debug, thiserror::Error)]
#[error("it is of X.509 version {0}, and version 3 is expected: an own CA has to issue it with extensions")]
struct UnsupportedVersion(u32);

/// The key of a leaf is one that its trust set does not tolerate.
#[derive(Debug, thiserror::Error)]
#[error("its key, {0}, is not supported")]
struct UnsupportedKey(Key);

impl Set {
    pub(super) fn new(trust: &Arc<TrustSet>) -> Result<Self, TlsError> {
        let refused = |flaw| TlsError::TrustSet { name: Arc::clone(&trust.name), flaw };
        let chains = Chains::new(trust).map_err(|error| refused(TrustSetFlaw::Anchor(error)))?;
        let list = |list: &RevocationList| {
            let crl = &list.der;
            let unreadable = || refused(TrustSetFlaw::NoList);
            let (_, parsed) = CertificateRevocationList::from_der(crl).map_err(|_| unreadable())?;
            let bytes = Signed::of(crl).ok_or_else(unreadable)?;
            let issuer = parsed.issuer().as_raw().to_vec();
            let signer = chains.signers(&issuer, &bytes).map_or(Signer::Other, |anchors| {
                Signer::Anchors(anchors.iter().map(|anchor| anchor.subject_public_key_info.to_vec()).collect())
            });
            let revoked =
                OwnedCertRevocationList::from_der(crl).map_err(|error| refused(TrustSetFlaw::List(error)))?.into();
            Ok(List { issuer, signer, revoked })
        };
        let lists = trust.crls.iter().map(list).collect::<Result<_, TlsError>>()?;
        Ok(Self { trust: Arc::clone(trust), chains, lists })
    }

    /// The subjects of its anchors.
    pub(super) fn subjects(&self) -> impl Iterator<Item = DistinguishedName> {
        self.chains.subjects()
    }

    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
        self.check_key(&parsed)?;
        let at = self.time(&parsed, now);
        if parsed.version() == X509Version::V3 {
            self.chains.verify(leaf, intermediates, at, None)?;
            self.check_lists(leaf, intermediates, at, &parsed)
        } else if self.trust.tolerates(Legacy::X509v1) {
            self.chains.verify_without_extensions(leaf, &parsed, at)?;
            self.check_lists_by_serial(leaf, &parsed)
        } else {
            Err(other(UnsupportedVersion(parsed.version().0.saturating_add(1))))
        }
    }

    /// Whose key it is, the handshake asks, by whatever it knows: another set of the listener may tolerate more.
    fn check_key(&self, leaf: &X509Certificate<'_>) -> Result<(), rustls::Error> {
        let key = Key::of(leaf);
        let is_short = key.is_short();
        if key.is_unusable() || (is_short && !self.trust.tolerates(Legacy::Rsa1024)) {
            return Err(other(UnsupportedKey(key)));
        }
        Ok(())
    }

    /// As of when the chain is verified: where expired leaves are tolerated, as of the last moment of this one.
    fn time(&self, leaf: &X509Certificate<'_>, now: UnixTime) -> UnixTime {
        let end = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or_default();
        if self.trust.tolerates(Legacy::Expired) && end < now.as_secs() {
            return UnixTime::since_unix_epoch(Duration::from_secs(end));
        }
        now
    }

    fn check_lists(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        at: UnixTime,
        parsed: &X509Certificate<'_>,
    ) -> Result<(), rustls::Error> {
        for list in self.lists.iter().filter(|list| list.issuer == parsed.issuer().as_raw()) {
            match self.chains.verify(leaf, intermediates, at, Some(&list.revoked)) {
                Ok(()) => {}
                Err(rustls::Error::InvalidCertRevocationList(CertRevocationListError::BadSignature))
                    if list.signer != Signer::Other => {}
                Err(error) => return Err(error),
            }
            self.check_serial(list, leaf, parsed)?;
        }
        Ok(())
    }

    /// For a leaf that webpki does not read.
    fn check_lists_by_serial(
        &self,
        leaf: &CertificateDer<'_>,
        parsed: &X509Certificate<'_>,
    ) -> Result<(), rustls::Error> {
        for list in self.lists.iter().filter(|list| list.issuer == parsed.issuer().as_raw()) {
            if list.signer == Signer::Other {
                return Err(CertRevocationListError::BadSignature.into());
            }
            self.check_serial(list, leaf, parsed)?;
        }
        Ok(())
    }

    /// Refuses a leaf that its issuer's list names, whatever distribution points the list says that it is for (RFC 5280 section
    /// 5.2.5): webpki passes over one for others than the leaf's, as after a CA has moved its lists to another address.
    fn check_serial(
        &self,
        list: &List,
        leaf: &CertificateDer<'_>,
        parsed: &X509Certificate<'_>,
    ) -> Result<(), rustls::Error> {
        if list.revoked.find_serial(parsed.raw_serial()).map_err(other)?.is_none() {
            return Ok(());
        }
        let signed = Signed::of(leaf).ok_or(CertificateError::BadEncoding)?;
        let is_of_list = match &list.signer {
            Signer::Anchors(keys) => self.chains.signers(parsed.issuer().as_raw(), &signed).is_ok_and(|signers| {
                signers.iter().any(|signer| keys.iter().any(|key| **key == *signer.subject_public_key_info))
            }),
            // One that the leaf's issuer did not sign would refuse the leaf, too.
            Signer::Other => true,
        };
        if is_of_list { Err(CertificateError::Revoked.into()) } else { Ok(()) }
    }
}
