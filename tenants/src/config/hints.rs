//! The names of CAs that a handshake sends to phones: whether they fit.

use std::collections::BTreeSet;
use std::sync::Arc;

use x509_parser::prelude::{FromDer, X509Certificate};

use super::field::Field;
use crate::trust::TrustSet;

/// The list of names, and in TLS 1.3 all extensions with it, has a length of 16 bits (RFC 5246 section 7.4.4, RFC 8446 section
/// 4.3.2); the signature schemes take some of them.
const MOST: usize = (1 << 16) - 1024;
/// A handshake message above this is sent in several records (RFC 8446 section 5.1), which not every phone puts together.
const OF_ONE_RECORD: usize = (1 << 14) - 1024;

/// Refuses what cannot be sent, and warns of what old phones may not take. `field` names the sets.
pub(super) fn check(sets: &[Arc<TrustSet>], field: &Field<'_>) {
    let bytes = length(sets);
    if bytes > MOST {
        field.refuse(format!(
            "the names of these CAs take {bytes} bytes in the handshake, which has room for {MOST}: name fewer sets, or set \
             `hints = false`"
        ));
    } else if bytes > OF_ONE_RECORD {
        field.warn(format!(
            "the names of these CAs take {bytes} bytes in the handshake: phones that take no message above 16 KiB fail; name fewer \
             sets, or set `hints = false`"
        ));
    }
}

/// How many bytes the names take, each once and with its length.
fn length(sets: &[Arc<TrustSet>]) -> usize {
    let anchors = sets.iter().flat_map(|set| &set.anchors);
    let names: BTreeSet<Vec<u8>> = anchors
        .filter_map(|anchor| {
            X509Certificate::from_der(anchor).ok().map(|(_, anchor)| anchor.subject().as_raw().to_vec())
        })
        .collect();
    names.iter().map(|name| name.len() + 2).sum()
}
