//! Digests, to know a tenant again of which nothing changed.

use aws_lc_rs::digest::{Context, SHA256};

use super::sight::Sights;
use super::tenant::TenantRead;
use crate::staple::Staple;

/// The digest of these parts, each with its length, so that no byte moves from one to the next unseen.
pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    // SHA-256 has 32 bytes.
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// The digest of all that a tenant was read from, but its devices: of provost.toml, of its own file, and of what these name.
pub(super) fn of_tenant(read: &TenantRead, main: &[u8; 32], text: &[u8; 32], sights: &Sights) -> [u8; 32] {
    let folders: Vec<_> = sights.folders().collect();
    let passwords: Vec<_> = read.users.iter().map(|user| user.shared.which.to_be_bytes()).collect();
    let patterns: Vec<String> = trust_sets(read).map(|set| format!("{:?}", set.mac)).collect();
    let tls = read.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let pairs = tls.flat_map(|tls| &tls.certificates);
    let pairs = pairs.flat_map(|pair| {
        let staple = pair.staple.as_ref().map_or(pair.staple_flaw.as_deref().unwrap_or("").as_bytes(), Staple::der);
        pair.chain.iter().map(AsRef::as_ref).chain([pair.key.secret_der(), staple])
    });
    let trusted = trust_sets(read)
        .flat_map(|set| set.anchors.iter().map(AsRef::as_ref).chain(set.crls.iter().map(|list| list.der.as_ref())));
    let passwords = passwords.iter().map(<[u8; 8]>::as_slice);
    let patterns = patterns.iter().map(String::as_bytes);
    let folders = folders.iter().map(<[u8; 16]>::as_slice);
    let named = pairs.chain(trusted).chain(patterns).chain(passwords).chain(folders);
    of([main.as_slice(), text].into_iter().chain(named))
}

fn trust_sets(read: &TenantRead) -> impl Iterator<Item = &crate::trust::TrustSet> {
    let tls = read.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    tls.flat_map(|tls| tls.trust.iter().map(AsRef::as_ref))
}
