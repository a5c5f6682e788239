//! The server's certificates: chains, keys, and the OCSP responses that are sent along.
//!
//! A pair counts only as a whole. A staple that is of no use is warned of and left out, since a phone gets along without one.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::contents;
use super::field::Field;
use super::section::Section;
use super::spot::Named;
use super::tls::warn_readable;
use crate::deployment::ServerCertificate;
use crate::staple::Staple;

/// The most that an OCSP response may have, in bytes. One with the responder's certificate has two to four thousand.
const MOST_STAPLE_BYTES: usize = 64 * 1024;

/// The keys that name a certificate and what belongs to it.
struct Pieces<'a> {
    certificate: Option<Field<'a>>,
    key: Option<Field<'a>>,
    ocsp: Option<Field<'a>>,
}

/// Absent where one has errors. Of `former` ones, which are of the same text, each stays whose successor has.
pub(super) fn read(
    section: &mut Section<'_>,
    now: SystemTime,
    former: Option<&[Arc<ServerCertificate>]>,
) -> Option<Vec<Arc<ServerCertificate>>> {
    let problems = section.problems();
    let mut named = vec![Pieces::take(section)];
    for mut more in section.take("more_certificates").iter().flat_map(Field::items).filter_map(|item| item.section()) {
        named.push(Pieces::take(&mut more));
        more.finish();
    }
    let read = named.iter().enumerate().map(|(index, named)| {
        let former = former.and_then(|former| former.get(index)).cloned();
        problems.or_former(former.clone(), || named.read(now, former.as_deref()).map(Arc::new))
    });
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

/// The private keys.
pub(super) fn secrets(section: &mut Section<'_>) -> Vec<Named> {
    let more = section.take("more_certificates");
    // What is no list of tables is refused where the certificates are read.
    let more = more.iter().flat_map(Field::tables).filter_map(|mut more| more.take("key"));
    let more: Vec<_> = more.collect();
    section.take("key").iter().chain(&more).filter_map(Field::named).collect()
}

impl<'a> Pieces<'a> {
    fn take(section: &mut Section<'a>) -> Self {
        Self {
            certificate: section.need("certificate", "the PEM file of the server's certificate chain"),
            key: section.need("key", "the PEM file of the certificate's key"),
            ocsp: section.take("ocsp"),
        }
    }

    /// One that phones refuse does not take the place of a former one that they take.
    fn read(&self, now: SystemTime, former: Option<&ServerCertificate>) -> Option<ServerCertificate> {
        let (certificate, key) = (self.certificate.as_ref()?, self.key.as_ref()?);
        let (chain, private) = pair(certificate, key)?;
        let valid = validity(certificate, &chain)?;
        let (mut staple, mut staple_flaw) = (None, None);
        match self.ocsp.as_ref().map(|field| (field, staple_of(field, &chain))) {
            None => {}
            Some((_, None)) => return None,
            Some((field, Some(Ok(read)))) => {
                read.bounds().for_each(|bound| field.changes_at(bound, now));
                if let Some(flaw) = read.flaw_at(now) {
                    field.warn(format!("{flaw}: it is not sent"));
                }
                staple = Some(read);
            }
            Some((field, Some(Err(flaw)))) => {
                field.warn(format!("{flaw}: it is not sent"));
                staple_flaw = Some(flaw);
            }
        }
        let read = ServerCertificate { chain, valid, key: private, staple, staple_flaw };
        // It is over from the next moment on.
        for bound in [*read.valid.start(), *read.valid.end() + Duration::from_nanos(1)] {
            certificate.changes_at(bound, now);
        }
        if let Some(flaw) = read.flaw_at(now) {
            if former.is_some_and(|former| former.flaw_at(now).is_none()) {
                certificate
                    .refuse(format!("the certificate {flaw}, and the one that is served is valid: a restart takes it"));
                return None;
            }
            certificate.warn(format!("the certificate {flaw}: phones that check it refuse this server"));
        }
        Some(read)
    }
}

/// Absent where the value is no path; otherwise the staple, or why it is none.
fn staple_of(field: &Field<'_>, chain: &[CertificateDer<'_>]) -> Option<Result<Staple, String>> {
    let path = field.path()?;
    Some(match contents::bytes(&path) {
        Ok(der) if der.len() > MOST_STAPLE_BYTES => {
            Err(format!("{} is too large for an OCSP response", path.display()))
        }
        Ok(der) => Staple::read(der, chain).map_err(|error| format!("{} {error}", path.display())),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    })
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn pair(certificate: &Field<'_>, key: &Field<'_>) -> Option<Pair> {
    let chain = chain(certificate);
    let private = private_key(key);
    let (chain, private) = chain.zip(private)?;
    let signing = match any_supported_type(&private) {
        Ok(signing) => signing,
        Err(error) => {
            key.refuse(format!("a key that cannot be used: {error}"));
            return None;
        }
    };
    // A key that cannot tell is not accused.
    match CertifiedKey::new(chain.clone(), signing).keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Some((chain, private)),
        Err(_) => {
            key.refuse("is not the key of `certificate`");
            None
        }
    }
}

fn chain(field: &Field<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let path = field.path()?;
    let bytes = pem_in(&path);
    let chain = bytes.and_then(|bytes| CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>());
    let chain = chain.map_err(|error| field.refuse(format!("expected a PEM file with certificates: {error}"))).ok()?;
    if chain.is_empty() {
        field.refuse("expected a PEM file with certificates: it holds none");
        return None;
    }
    Some(chain)
}

/// When the leaf is valid.
fn validity(field: &Field<'_>, chain: &[CertificateDer<'_>]) -> Option<RangeInclusive<SystemTime>> {
    let Ok((_, leaf)) = X509Certificate::from_der(chain.first()?) else {
        field.refuse("the first certificate in the file is malformed");
        return None;
    };
    Some(moment(leaf.validity().not_before)..=moment(leaf.validity().not_after))
}

fn private_key(field: &Field<'_>) -> Option<PrivateKeyDer<'static>> {
    let path = field.path()?;
    warn_readable(&path, field);
    let key = pem_in(&path).and_then(|bytes| PrivateKeyDer::from_pem_slice(&bytes));
    key.map_err(|error| field.refuse(format!("expected a PEM file with an unencrypted private key: {error}"))).ok()
}

fn pem_in(path: &Path) -> Result<Vec<u8>, pem::Error> {
    contents::bytes(path).map_err(pem::Error::Io)
}

/// One that lies before 1970 is over in any case.
fn moment(time: ASN1Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default())
}
