//! The trust sets of a listener, asked in order whose certificate a chain is.
//!
//! Each set verifies with its own anchors and revocation lists: the CA of one vendor never vouches by the rule of
//! another, not even where both have the same name.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use provost_core::NoIdentity;
use provost_core::proof::CertificateIdentity;
use provost_tenants::trust::{Legacy, TrustSet, describe, device_of, legacy_of, spelled};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, DistinguishedName, OtherError};

use super::chain::check_extent;
use super::error::TlsError;
use super::set::Set;
use crate::record::text_of;

/// The trust sets of one listener.
#[derive(Debug)]
pub(super) struct TrustSets(Vec<Set>);

/// What the trust sets say of a chain.
#[derive(Debug, Clone)]
pub(super) enum Judgement {
    /// It verifies and names a device.
    Named(CertificateIdentity),
    /// It verifies and names none.
    Nameless(NoIdentity),
    /// No set verifies it.
    Unverified {
        why: NoIdentity,
        /// What the library makes the alert from.
        error: rustls::Error,
    },
}

impl Judgement {
    pub(super) fn identity(self) -> Result<CertificateIdentity, NoIdentity> {
        match self {
            Self::Named(identity) => Ok(identity),
            Self::Nameless(why) | Self::Unverified { why, .. } => Err(why),
        }
    }
}

impl TrustSets {
    pub(super) fn new(sets: &[Arc<TrustSet>]) -> Result<Self, TlsError> {
        sets.iter().map(Set::new).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of them tolerates this.
    pub(super) fn tolerate(&self, legacy: Legacy) -> bool {
        self.0.iter().any(|set| set.trust.tolerates(legacy))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The subjects of all anchors, each once: RFC 8446 section 4.2.4, RFC 5246 section 7.4.4.
    pub(super) fn subjects(&self) -> Vec<DistinguishedName> {
        let mut subjects: Vec<DistinguishedName> = Vec::new();
        for subject in self.0.iter().flat_map(Set::subjects) {
            if subjects.iter().all(|known| known.as_ref() != subject.as_ref()) {
                subjects.push(subject);
            }
        }
        subjects
    }

    /// The device of the first set that verifies the chain and finds one in it; none where another set finds another one. Where sets
    /// verify it and none finds one,
    /// the first of them says why; where none verifies it, the one that came furthest. A set that knows the leaf as
    /// revoked has the last word: the same CA may stand in another set that has no revocation list.
    pub(super) fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Judgement {
        if let Err(error) = check_extent(leaf, intermediates) {
            return Judgement::Unverified { why: NoIdentity::NotVerified(reason(&error)), error };
        }
        let mut verified = None;
        let mut failure: Option<(&Set, rustls::Error)> = None;
        for set in &self.0 {
            match set.verify(leaf, intermediates, now) {
                Ok(()) => verified = Some(judge_subject(set, leaf, verified)),
                Err(error) if failure.as_ref().is_none_or(|(_, former)| depth(former) < depth(&error)) => {
                    failure = Some((set, error));
                }
                Err(_) => {}
            }
        }
        match (verified, failure) {
            (Some(verified), failure) if failure.as_ref().is_none_or(|(_, error)| depth(error) < Depth::Revoked) => {
                verified
            }
            (_, Some((set, error))) if depth(&error) > Depth::UnknownIssuer => {
                let is_revoked = depth(&error) == Depth::Revoked;
                let lacks = if is_revoked { String::new() } else { lacks(set, leaf, intermediates, now) };
                let why = format!("trust set {}: {}{lacks}", set.trust.name, reason(&error));
                Judgement::Unverified { why: NoIdentity::NotVerified(why), error: without_context(error) }
            }
            (_, _) => Judgement::Unverified {
                why: NoIdentity::NotVerified(self.unknown_issuer(leaf)),
                error: CertificateError::UnknownIssuer.into(),
            },
        }
    }

    fn unknown_issuer(&self, leaf: &CertificateDer<'_>) -> String {
        let names: Vec<&str> = self.0.iter().map(|set| set.trust.name.as_ref()).collect();
        let names = names.join(", ");
        match describe(leaf, SystemTime::UNIX_EPOCH) {
            Some(leaf) if leaf.is_self_signed => format!("it is self-signed, and no anchor of {names}"),
            Some(leaf) => {
                let issuer = text_of(leaf.issuer.as_bytes());
                format!("its issuer `{issuer}` leads to no anchor of {names}")
            }
            None => "it cannot be read".into(),
        }
    }
}

/// What the subject of a leaf that `set` verifies says, after what a set before it said.
fn judge_subject(set: &Set, leaf: &CertificateDer<'_>, former: Option<Judgement>) -> Judgement {
    match (former, device_of(leaf, &set.trust.mac)) {
        // Of two devices it is neither for certain, whatever a third set says.
        (Some(Judgement::Named(one)), Ok(other)) if one.mac != other => Judgement::Nameless(NoIdentity::Disagree),
        (Some(Judgement::Named(_)), Err(NoIdentity::Disagree)) => Judgement::Nameless(NoIdentity::Disagree),
        (Some(disagree @ Judgement::Nameless(NoIdentity::Disagree)), _) => disagree,
        (Some(named @ Judgement::Named(_)), _) => named,
        (_, Ok(mac)) => Judgement::Named(CertificateIdentity { mac, trust_set: Arc::clone(&set.trust.name) }),
        (Some(former), Err(_)) => former,
        (None, Err(why)) => Judgement::Nameless(why),
    }
}

/// What the set would have to tolerate, where that is what keeps the chain out.
fn lacks(set: &Set, leaf: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], now: UnixTime) -> String {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
    let certificates = std::iter::once(leaf).chain(intermediates.iter().take(MOST_TOLD));
    let needed: BTreeSet<Legacy> = certificates.flat_map(|certificate| legacy_of(certificate, now)).collect();
    let lacking: Vec<Legacy> = needed.into_iter().filter(|legacy| !set.trust.tolerates(*legacy)).collect();
    if lacking.is_empty() { String::new() } else { format!(" ({} would tolerate it)", spelled(&lacking)) }
}

/// Of so many intermediates it is told what they would need.
const MOST_TOLD: usize = 3;

/// How far a chain came before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    UnknownIssuer,
    /// An anchor has the issuer's name and another key.
    BadSignature,
    Other,
    Revoked,
}

fn depth(error: &rustls::Error) -> Depth {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Depth::UnknownIssuer,
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => Depth::BadSignature,
        rustls::Error::InvalidCertificate(CertificateError::Revoked) => Depth::Revoked,
        _ => Depth::Other,
    }
}

/// The error without what it quotes of the certificate, but with the same alert. A stranger's certificate may quote half
/// a megabyte of key usages, and judgements are kept by the thousand.
fn without_context(error: rustls::Error) -> rustls::Error {
    let rustls::Error::InvalidCertificate(certificate) = error else { return error };
    match certificate {
        CertificateError::InvalidPurposeContext { .. } => CertificateError::InvalidPurpose,
        CertificateError::NotValidForNameContext { .. } => CertificateError::NotValidForName,
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => CertificateError::BadSignature,
        other => other,
    }
    .into()
}

/// Why a chain does not verify, for the operator.
pub(super) fn reason(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(error) = error else { return error.to_string() };
    match error {
        CertificateError::ExpiredContext { not_after, .. } => format!("it expired at {}", time(*not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("it is not valid before {}", time(*not_before))
        }
        CertificateError::Revoked => "it is revoked".into(),
        CertificateError::BadSignature => "a signature in its chain is wrong".into(),
        CertificateError::BadEncoding => "it is badly encoded".into(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its chain is signed with an algorithm or a key that is not supported".into()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not made for client authentication".into()
        }
        CertificateError::Other(OtherError(error)) => error.to_string(),
        other => other.to_string(),
    }
}

fn time(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds}"), |time| time.to_string())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::tls::testing::{Ca, trust_set};
    use provost_core::NoIdentity;
    use rcgen::ExtendedKeyUsagePurpose;

    #[test]
    fn what_is_kept_of_a_strangers_certificate_is_small() {
        let (poly, other) = (Ca::new("Poly"), Ca::new(&"Other".repeat(2_000)));
        let sets = TrustSets::new(&[trust_set("poly", &[&poly], vec![])]).unwrap();
        let many = (0..1_000).map(|number| ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 4, 1, number])).collect();
        for leaf in
            [other.leaf("0004F2AABBCC", |_| ()), poly.leaf("0004F2AABBCC", |leaf| leaf.extended_key_usages = many)]
        {
            let judgement = sets.judge(leaf.end_entity_cert().unwrap(), &[], UnixTime::now());
            let Judgement::Unverified { why, error } = judgement else { panic!("{judgement:?}") };
            let NoIdentity::NotVerified(why) = why else { panic!("{why}") };
            assert!(why.len() < 1_000, "{} bytes: {}", why.len(), why.chars().take(200).collect::<String>());
            assert!(format!("{error:?}").len() < 200);
        }
    }

    #[test]
    fn a_chain_that_is_more_work_than_an_honest_one_is_not_looked_at() {
        let poly = Ca::new("Poly");
        let sets = TrustSets::new(&[trust_set("poly", &[&poly], vec![])]).unwrap();
        let leaf = poly.leaf("0004F2AABBCC", |_| ());
        let fat = poly.leaf("0004F2AABBCC", |leaf| {
            leaf.distinguished_name.push(rcgen::DnType::OrganizationName, "x".repeat(16 * 1024));
        });
        for (leaf, others, expected) in [
            (&leaf, 4, "ok"),
            (&leaf, 5, "it comes with 5 other certificates, and 4 are looked at"),
            (&fat, 0, "bytes, and 16384 are read"),
        ] {
            let others = vec![poly.der(); others];
            let identity = sets.judge(leaf.end_entity_cert().unwrap(), &others, UnixTime::now()).identity();
            let said = identity.map_or_else(|why| why.to_string(), |_| "ok".to_owned());
            assert!(said.contains(expected), "{said}");
        }
    }
}
