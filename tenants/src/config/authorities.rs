//! CA certificates and revocation lists from files, as a trust set names them.
//!
//! What makes an anchor is `crate::trust`'s affair; here it is said which file and which key it concerns.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;

use super::field::Field;
use crate::trust::{Legacy, certificates_in, check_anchor, crls_in, revocation_list_ends};

/// The CA certificates in one file. What is wrong is noted at `field`, which names the file.
pub(super) fn anchors(
    path: &Path,
    tolerated: &[Legacy],
    field: &Field<'_>,
    now: SystemTime,
) -> Vec<CertificateDer<'static>> {
    let Some(bytes) = read(path, field) else { return Vec::new() };
    let certificates = match certificates_in(&bytes) {
        Ok(certificates) => certificates,
        Err(error) => {
            field.refuse(format!("{}: {error}", path.display()));
            return Vec::new();
        }
    };
    for certificate in &certificates {
        match check_anchor(certificate, tolerated) {
            Ok(anchor) if anchor.not_after < now => {
                field.warn(format!(
                    "{}: `{}` has expired; as an anchor it is trusted still",
                    path.display(),
                    anchor.subject
                ));
            }
            Ok(_) => {}
            Err(error) => field.refuse(format!("{}: {error}", path.display())),
        }
    }
    certificates
}

/// The revocation lists in one file. An expired one still revokes what it lists.
pub(super) fn crls(
    path: &Path,
    anchors: &[CertificateDer<'static>],
    field: &Field<'_>,
    now: SystemTime,
) -> Vec<CertificateRevocationListDer<'static>> {
    let Some(bytes) = read(path, field) else { return Vec::new() };
    let crls = match crls_in(&bytes) {
        Ok(crls) => crls,
        Err(error) => {
            field.refuse(format!("{}: {error}", path.display()));
            return Vec::new();
        }
    };
    for crl in &crls {
        if let Some(reason) = refused_by_verifier(crl, anchors) {
            field.refuse(format!("{}: cannot be used: {reason}", path.display()));
        } else if revocation_list_ends(crl).is_some_and(|end| end < now) {
            field.warn(format!(
                "{}: the list has expired; what it names stays revoked, what was revoked since is not",
                path.display()
            ));
        }
    }
    crls
}

/// The verifier of the listener would refuse a bad list when the server starts; it is better said now.
fn refused_by_verifier(
    crl: &CertificateRevocationListDer<'static>,
    anchors: &[CertificateDer<'static>],
) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(anchors.iter().cloned());
    if roots.is_empty() {
        return None;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).with_crls([crl.clone()]);
    verifier.build().err().map(|error| error.to_string())
}

fn read(path: &Path, field: &Field<'_>) -> Option<Vec<u8>> {
    std::fs::read(path).map_err(|error| field.refuse(format!("cannot read {}: {error}", path.display()))).ok()
}
