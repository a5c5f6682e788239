//! One trust set: whether a chain ends at one of its anchors, and none of its revocation lists names the leaf.
//!
//! webpki asks of all lists the first alone that has the issuer's name. An old list beside a newer one would hide what
//! the newer revokes, and the list of a renewed CA would refuse every phone that the former key has signed. So each
//! list is asked by itself here, and all that concern a leaf are.

use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use provost_tenants::Tenant;
use provost_tenants::trust::{Key, Legacy, PublicKey, RevocationList, Signed, TrustSet, algorithms};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertRevocationListError, CertificateError, DistinguishedName};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate, X509Version};

use super::chain::{Chains, other};
use super::error::{TlsError, TrustSetFlaw};

/// Those in use: all listeners that name a trust set share one. A list of 100,000 serials takes 18 MB and a fifth of a second.
static MADE: LazyLock<Mutex<Vec<Weak<Verifiers>>>> = LazyLock::new(Mutex::default);

/// A trust set with its verifiers.
#[derive(Debug, Clone)]
pub(super) struct Set(Arc<Verifiers>);

/// The verifiers of tenants' trust sets, made off the runtime: as long as they are held, whoever needs them has them at once.
#[derive(Debug, Default)]
pub(crate) struct Ready(#[expect(dead_code, reason = "they are held")] Vec<Set>);

#[derive(Debug)]
pub(super) struct Verifiers {
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

impl Ready {
    /// Those of these tenants. What cannot be made is told of by whoever needs it. It blocks.
    pub(crate) fn of<'t>(tenants: impl IntoIterator<Item = &'t Arc<Tenant>>) -> Self {
        let listeners = tenants.into_iter().flat_map(|tenant| &tenant.listeners);
        let sets = listeners.filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| &tls.trust);
        Self(sets.filter_map(|trust| Set::new(trust).ok()).collect())
    }
}

impl Set {
    /// The one that is in use, or a new one.
    pub(super) fn new(trust: &Arc<TrustSet>) -> Result<Self, TlsError> {
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|made| made.strong_count() > 0);
        let mut in_use = made.iter().filter_map(Weak::upgrade);
        if let Some(verifiers) = in_use.find(|made| Arc::ptr_eq(&made.trust, trust)) {
            return Ok(Self(verifiers));
        }
        let verifiers = Arc::new(Verifiers::new(trust)?);
        made.push(Arc::downgrade(&verifiers));
        Ok(Self(verifiers))
    }
}

impl Deref for Set {
    type Target = Verifiers;

    fn deref(&self) -> &Verifiers {
        &self.0
    }
}

impl Verifiers {
    fn new(trust: &Arc<TrustSet>) -> Result<Self, TlsError> {
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
}

impl Set {
    /// The subjects of its anchors.
    pub(super) fn subjects(&self) -> impl Iterator<Item = DistinguishedName> {
        self.chains.subjects()
    }

    /// Whether the set believes a chain. What is found wrong first says neither whose the chain is nor that it is not revoked, so both
    /// are asked of one that does not verify, too.
    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
        let Err(error) = self.verify_parsed(leaf, intermediates, now, &parsed) else { return Ok(()) };
        if !self.chains.may_begin(&parsed, intermediates) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        // Another set of the listener may tolerate what is wrong with it here, and have no list.
        for list in self.lists_of(&parsed).filter(|list| list.signer != Signer::Other) {
            Self::check_serial(list, leaf, &parsed)?;
        }
        Err(error)
    }

    fn verify_parsed(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        parsed: &X509Certificate<'_>,
    ) -> Result<(), rustls::Error> {
        self.check_key(parsed)?;
        let at = self.time(parsed, now);
        if parsed.version() == X509Version::V3 {
            self.chains.verify(leaf, intermediates, at, None)?;
            self.check_lists(leaf, intermediates, at, parsed)
        } else if self.trust.tolerates(Legacy::X509v1) {
            self.chains.verify_without_extensions(leaf, parsed, at)?;
            self.check_lists_by_serial(leaf, parsed)
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

    fn lists_of(&self, leaf: &X509Certificate<'_>) -> impl Iterator<Item = &List> {
        self.lists.iter().filter(|list| list.issuer == leaf.issuer().as_raw())
    }

    fn check_lists(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        at: UnixTime,
        parsed: &X509Certificate<'_>,
    ) -> Result<(), rustls::Error> {
        for list in self.lists_of(parsed) {
            match self.chains.verify(leaf, intermediates, at, Some(&list.revoked)) {
                Ok(()) => {}
                Err(rustls::Error::InvalidCertRevocationList(CertRevocationListError::BadSignature))
                    if list.signer != Signer::Other => {}
                Err(error) => return Err(error),
            }
            Self::check_serial(list, leaf, parsed)?;
        }
        Ok(())
    }

    /// For a leaf that webpki does not read.
    fn check_lists_by_serial(
        &self,
        leaf: &CertificateDer<'_>,
        parsed: &X509Certificate<'_>,
    ) -> Result<(), rustls::Error> {
        for list in self.lists_of(parsed) {
            if list.signer == Signer::Other {
                return Err(CertRevocationListError::BadSignature.into());
            }
            Self::check_serial(list, leaf, parsed)?;
        }
        Ok(())
    }

    /// Refuses a leaf that its issuer's list names, whatever distribution points the list says that it is for (RFC 5280 section
    /// 5.2.5): webpki passes over one for others than the leaf's, as after a CA has moved its lists to another address.
    fn check_serial(list: &List, leaf: &CertificateDer<'_>, parsed: &X509Certificate<'_>) -> Result<(), rustls::Error> {
        if list.revoked.find_serial(parsed.raw_serial()).map_err(other)?.is_none() {
            return Ok(());
        }
        let signed = Signed::of(leaf).ok_or(CertificateError::BadEncoding)?;
        let is_of_list = match &list.signer {
            // By whatever algorithm, whether the set tolerates it or not.
            Signer::Anchors(keys) => keys
                .iter()
                .filter_map(|key| PublicKey::of_content(key))
                .any(|key| signed.verify(key, &algorithms(&Legacy::ALL)).is_ok()),
            // One that the leaf's issuer did not sign would refuse the leaf, too.
            Signer::Other => true,
        };
        if is_of_list { Err(CertificateError::Revoked.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::tls::testing::{Ca, trust_set};

    #[test]
    fn listeners_share_what_is_made_of_a_trust_set() {
        let poly = Ca::new("Poly");
        let [one, other] = [(); 2].map(|()| trust_set("poly", &[&poly], vec![poly.overdue_crl(&[1])]));
        let set = Set::new(&one).unwrap();
        assert!(Arc::ptr_eq(&set.0, &Set::new(&one).unwrap().0));
        let other_set = Set::new(&other).unwrap();
        assert!(!Arc::ptr_eq(&set.0, &other_set.0), "read anew it may be another");
        let weak = Arc::downgrade(&set.0);
        drop((set, other_set));
        // It goes with its last listener. Whoever looks for a set of his own holds each for a moment.
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while weak.upgrade().is_some() {
            assert!(std::time::Instant::now() < until, "it stays");
            std::thread::yield_now();
        }
    }
}
