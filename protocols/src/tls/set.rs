//! One trust set: whether a chain ends at one of its anchors, and none of its revocation lists names the leaf.
//!
//! webpki asks of all lists the first alone that has the issuer's name. An old list beside a newer one would hide what
//! the newer revokes, and the list of a renewed CA would refuse every phone that the former key has signed. So each
//! list has a verifier of its own here, and all that concern a leaf are asked.

use std::sync::Arc;
use std::time::SystemTime;

use provost_tenants::trust::{TrustSet, revocation_list_ends};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertRevocationListError, DistinguishedName, RootCertStore};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::error::TlsError;

/// A trust set with its verifiers.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) trust: Arc<TrustSet>,
    chains: Arc<dyn ClientCertVerifier>,
    lists: Vec<List>,
}

/// A revocation list.
#[derive(Debug)]
struct List {
    /// The DER of its issuer's name.
    issuer: Vec<u8>,
    signer: Signer,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Who signed a revocation list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signer {
    /// An anchor of the set. A leaf that another key of the same name signed is not this list's affair.
    Anchor,
    /// An intermediate, or nobody that is known. It is believed where the leaf's issuer signed it, and else refuses.
    Other,
}

impl Set {
    pub(super) fn new(trust: &Arc<TrustSet>, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let refused = |reason: String| TlsError::TrustSet { name: Arc::clone(&trust.name), reason };
        let mut roots = RootCertStore::empty();
        for anchor in &trust.anchors {
            roots.add(anchor.clone()).map_err(|error| refused(error.to_string()))?;
        }
        let roots = Arc::new(roots);
        let builder = || WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider));
        let chains = builder().build().map_err(|error| refused(error.to_string()))?;
        let list = |crl: &CertificateRevocationListDer<'static>| {
            let (issuer, signer) =
                issuer_of(crl, &trust.anchors).ok_or_else(|| refused("a revocation list cannot be read".into()))?;
            if revocation_list_ends(crl).is_some_and(|ends| ends < SystemTime::now()) {
                tracing::warn!(trust_set = %trust.name, "a revocation list is overdue; what it lists stays revoked");
            }
            // By the library's default an expired list counts as it is, which is what is wanted here: a vendor that stops
            // publishing must not lock its phones out, nor set the revoked ones free.
            let verifier = builder()
                .with_crls([crl.clone()])
                .only_check_end_entity_revocation()
                .allow_unknown_revocation_status()
                .build()
                .map_err(|error| refused(error.to_string()))?;
            Ok(List { issuer, signer, verifier })
        };
        let lists = trust.crls.iter().map(list).collect::<Result<_, TlsError>>()?;
        Ok(Self { trust: Arc::clone(trust), chains, lists })
    }

    /// The subjects of its anchors.
    pub(super) fn subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        self.chains.verify_client_cert(leaf, intermediates, now)?;
        let parsed = X509Certificate::from_der(leaf).ok();
        let issuer = parsed.as_ref().map(|(_, leaf)| leaf.issuer().as_raw());
        for list in self.lists.iter().filter(|list| issuer.is_none_or(|issuer| issuer == list.issuer)) {
            match list.verifier.verify_client_cert(leaf, intermediates, now) {
                Ok(_) => {}
                Err(rustls::Error::InvalidCertRevocationList(CertRevocationListError::BadSignature))
                    if list.signer == Signer::Anchor => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The issuer's name in DER, and whether an anchor of that name signed the list.
fn issuer_of(crl: &CertificateRevocationListDer<'_>, anchors: &[CertificateDer<'static>]) -> Option<(Vec<u8>, Signer)> {
    let (_, list) = CertificateRevocationList::from_der(crl).ok()?;
    let issuer = list.issuer().as_raw();
    let is_signer = |anchor: &CertificateDer<'static>| {
        X509Certificate::from_der(anchor).is_ok_and(|(_, anchor)| {
            anchor.subject().as_raw() == issuer && list.verify_signature(anchor.public_key()).is_ok()
        })
    };
    let signer = if anchors.iter().any(is_signer) { Signer::Anchor } else { Signer::Other };
    Some((issuer.to_vec(), signer))
}
