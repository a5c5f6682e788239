//! CA certificates and revocation lists from files, as a trust set names them.
//!
//! What makes an anchor is `crate::trust`'s affair; here it is said which file and which key it concerns.

use std::path::Path;
use std::time::SystemTime;

use rustls::pki_types::CertificateDer;

use super::contents;
use super::field::Field;
use crate::trust::{Legacy, ListSigner, RevocationList, certificates_in, check_anchor, check_list, crls_in};

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
            Ok(anchor) if field.is_past(anchor.not_after, now) => {
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

/// The revocation lists in one file that can be used, for a set with these anchors that tolerates this. An expired one still revokes what it
/// lists.
pub(super) fn crls(
    path: &Path,
    anchors: &[CertificateDer<'static>],
    tolerated: &[Legacy],
    field: &Field<'_>,
    now: SystemTime,
) -> Vec<RevocationList> {
    let Some(bytes) = read(path, field) else { return Vec::new() };
    let mut crls: Vec<RevocationList> = match crls_in(&bytes) {
        Ok(crls) => crls.into_iter().map(RevocationList::from).collect(),
        Err(error) => {
            field.refuse(format!("{}: {error}", path.display()));
            return Vec::new();
        }
    };
    crls.retain(|crl| {
        match check_list(crl, anchors, tolerated) {
            Ok(ListSigner::Anchor) => {}
            Ok(ListSigner::Unknown { issuer }) => field.warn(format!(
                "{}: its issuer `{issuer}` is no anchor of this set: it counts only for phones that send an intermediate of this name",
                path.display()
            )),
            Err(error) => {
                field.refuse(format!("{}: cannot be used: {error}", path.display()));
                return false;
            }
        }
        if crl.ends.is_some_and(|end| field.is_past(end, now)) {
            field.warn(format!(
                "{}: the list has expired; what it names stays revoked, what was revoked since is not",
                path.display()
            ));
        }
        true
    });
    crls
}

fn read(path: &Path, field: &Field<'_>) -> Option<Vec<u8>> {
    contents::bytes(path).map_err(|error| field.refuse(format!("cannot read {}: {error}", path.display()))).ok()
}
