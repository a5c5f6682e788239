//! Digests, to know a tenant again of which nothing changed.

use super::node::Node;
use super::sight::NamedFolder;
use super::tenant::TenantRead;
use crate::sha256::Sha256;
use crate::staple::Staple;

/// The digest of these parts, each with its length, so that no byte moves from one to the next unseen.
pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut digest = Sha256::default();
    for part in parts {
        digest.update(&part.len().to_be_bytes());
        digest.update(part);
    }
    digest.finish()
}

/// The digest of what a tenant's file over `[defaults]` says, of what provost.toml says of the trust sets that it names, and of what
/// these name. Comments, the order of keys, and what else stands in provost.toml make no difference.
pub(super) fn of_meaning<'a>(document: &'a Node, sets: impl Iterator<Item = &'a Node>, named: &[u8; 32]) -> [u8; 32] {
    let texts: Vec<String> = std::iter::once(document).chain(sets).map(Node::spelled).collect();
    of(texts.iter().map(String::as_bytes).chain([named.as_slice()]))
}

/// The digest of the contents of what a tenant's file names, but its devices; of folders that is which ones they are.
pub(super) fn of_named(read: &TenantRead, folders: &[NamedFolder]) -> [u8; 32] {
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
    let folders = folders.iter().map(|folder| folder.which.as_slice());
    of(pairs.chain(trusted).chain(patterns).chain(passwords).chain(folders))
}

fn trust_sets(read: &TenantRead) -> impl Iterator<Item = &crate::trust::TrustSet> {
    let tls = read.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    tls.flat_map(|tls| tls.trust.iter().map(AsRef::as_ref))
}
