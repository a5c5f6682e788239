//! What was found out about certificate chains, kept for a while.
//!
//! A phone asks twenty times at boot and hundreds of phones come at once; verifying a chain costs a few signatures
//! each time. What is kept is bounded in number and in time, so that a certificate that expires is found out.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use provost_tenants::Sha256;
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, Validity, X509Certificate};
use x509_parser::time::ASN1Time;

use super::trust::Judgement;

/// How many chains are kept for one listener.
const CHAINS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();
/// How long one is kept.
const KEPT: Duration = Duration::from_mins(5);

/// Judgements by the SHA-256 of the whole chain.
pub(super) struct Judgements(Mutex<LruCache<ChainHash, Kept>>);

/// The SHA-256 over all certificates of a chain and their lengths. The leaf alone would not do: with other
/// intermediates the same leaf may lead elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ChainHash([u8; 32]);

struct Kept {
    judgement: Judgement,
    from: UnixTime,
    until: UnixTime,
}

impl ChainHash {
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Self {
        Self::over(chain.iter())
    }

    /// The same of a chain whose leaf stands by itself.
    pub(super) fn with_leaf(leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) -> Self {
        Self::over(std::iter::once(leaf).chain(intermediates))
    }

    fn over<'c>(chain: impl Iterator<Item = &'c CertificateDer<'c>>) -> Self {
        let mut digest = Sha256::default();
        for certificate in chain {
            digest.update(&certificate.len().to_be_bytes());
            digest.update(certificate);
        }
        Self(digest.finish())
    }
}

impl Judgements {
    pub(super) fn new() -> Self {
        // Made with its bound, the table would take its full memory at once, for each of a thousand listeners.
        let mut table = LruCache::unbounded();
        table.resize(CHAINS);
        Self(Mutex::new(table))
    }

    /// What is known of a chain at `now`. A clock that was set back makes everything unknown.
    pub(super) fn find(&self, chain: ChainHash, now: UnixTime) -> Option<Judgement> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = table.get(&chain)?;
        (kept.from <= now && now < kept.until).then(|| kept.judgement.clone())
    }

    /// Keeps what was found at `now`, no longer than the leaf is valid, or is not yet. One that is believed past its end is kept as any.
    pub(super) fn keep(&self, chain: ChainHash, leaf: &CertificateDer<'_>, judgement: Judgement, now: UnixTime) {
        let limit = now.as_secs().saturating_add(KEPT.as_secs());
        let until = match judgement {
            Judgement::Named(_) => match end_of(leaf) {
                end if end < now.as_secs() => limit,
                end => limit.min(end),
            },
            Judgement::Unverified { .. } => match begin_of(leaf) {
                begin if begin > now.as_secs() => limit.min(begin),
                _ => limit,
            },
            Judgement::Nameless(_) => limit,
        };
        let kept = Kept { judgement, from: now, until: UnixTime::since_unix_epoch(Duration::from_secs(until)) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(chain, kept);
    }
}

/// The leaf's `notBefore` in seconds since 1970.
fn begin_of(leaf: &CertificateDer<'_>) -> u64 {
    seconds(leaf, |validity| validity.not_before)
}

/// The leaf's `notAfter` in seconds since 1970.
fn end_of(leaf: &CertificateDer<'_>) -> u64 {
    seconds(leaf, |validity| validity.not_after)
}

fn seconds(leaf: &CertificateDer<'_>, of: fn(&Validity) -> ASN1Time) -> u64 {
    let time = X509Certificate::from_der(leaf).map(|(_, leaf)| of(leaf.validity()).timestamp());
    time.ok().and_then(|time| u64::try_from(time).ok()).unwrap_or(0)
}

impl std::fmt::Debug for Judgements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judgements(..)")
    }
}
