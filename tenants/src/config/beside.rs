//! Tenants beside each other: what one holds, no other may have. The newcomer is refused; the order is that of the
//! files' names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::addresses;
use super::field::Field;
use super::l3mdev;
use super::places::canonical;
use super::tenant::TenantRead;
use crate::network::{NamespaceName, NetworkStack};

/// Notes every conflict, at the newcomer.
pub(super) fn check(tenants: &[TenantRead<'_>], state: &Path, configuration: &[PathBuf]) {
    for (index, newcomer) in tenants.iter().enumerate() {
        let earlier = tenants.get(..index).unwrap_or_default();
        names(newcomer, earlier);
        folders(newcomer, earlier);
        state_folder(newcomer, state);
    }
    addresses::check(tenants);
    secrets(tenants);
    configuration_files(tenants, configuration);
    unbound(tenants);
    l3mdev::check(tenants);
}

pub(super) fn name_of(tenant: &TenantRead<'_>) -> String {
    tenant.claims.name.as_ref().map_or_else(|| "another".to_owned(), |(name, _)| format!("`{name}`"))
}

fn names(newcomer: &TenantRead<'_>, earlier: &[TenantRead<'_>]) {
    let Some((name, field)) = &newcomer.claims.name else { return };
    let holder = earlier.iter().filter_map(|tenant| tenant.claims.name.as_ref()).find(|(other, _)| other == name);
    if let Some((_, holder)) = holder {
        field.refuse(format!("the tenant of {} has this name", holder.origin()));
    }
}

fn nest(a: &Path, b: &Path) -> bool {
    lies_in(a, b) || lies_in(b, a)
}

/// Whether a path lies in a folder or is it; both canonical. Every tenant is compared with every other, and most paths differ as
/// bytes already: taking them apart costs fifty times as much.
fn lies_in(path: &Path, folder: &Path) -> bool {
    let bytes = folder.as_os_str().as_encoded_bytes();
    let bytes = bytes.strip_suffix(b"/").unwrap_or(bytes);
    path.as_os_str().as_encoded_bytes().starts_with(bytes) && path.starts_with(folder)
}

fn folders(newcomer: &TenantRead<'_>, earlier: &[TenantRead<'_>]) {
    let root = newcomer.files.root.iter();
    for holder in earlier {
        for (folder, theirs) in root.clone().flat_map(|root| holder.folders().map(move |theirs| (root, theirs))) {
            if nest(&folder.canonical, &theirs.canonical) {
                let message = format!("nests with {} of the tenant {}", theirs.path.display(), name_of(holder));
                folder.field.refuse(format!("{message}: phones of one would read files of the other"));
            }
        }
        let Some(theirs) = &holder.files.root else { continue };
        for folder in newcomer.files.shared.iter().filter(|folder| nest(&folder.canonical, &theirs.canonical)) {
            let message = format!("nests with {} of the tenant {}", theirs.path.display(), name_of(holder));
            folder.field.refuse(format!("{message}: phones of one would read files of the other"));
        }
    }
}

fn state_folder(tenant: &TenantRead<'_>, state: &Path) {
    let state_canonical = canonical(state);
    for folder in tenant.folders().filter(|folder| nest(&folder.canonical, &state_canonical)) {
        folder.field.refuse(format!("nests with `state`, {}: phones would read what others sent", state.display()));
    }
}

/// A key, a password or an inventory in a folder that phones read would be given to phones.
fn secrets(tenants: &[TenantRead<'_>]) {
    for secret in tenants.iter().flat_map(|tenant| &tenant.claims.secrets) {
        // A path that is no text has been refused where it was read.
        if !secret.is_text() {
            continue;
        }
        let Some(path) = secret.path().map(|path| canonical(&path)) else { continue };
        let exposed = tenants.iter().flat_map(TenantRead::folders).find(|folder| lies_in(&path, &folder.canonical));
        if let Some(folder) = exposed {
            secret.refuse(format!("lies in {}, where phones could read it", folder.path.display()));
        }
    }
}

/// Passwords may stand in any of the configuration's files.
fn configuration_files(tenants: &[TenantRead<'_>], configuration: &[PathBuf]) {
    let configuration: Vec<PathBuf> = configuration.iter().map(|path| canonical(path)).collect();
    for folder in tenants.iter().flat_map(TenantRead::folders) {
        if let Some(file) = configuration.iter().find(|file| lies_in(file, &folder.canonical)) {
            folder.field.refuse(format!("holds the configuration's {}, which phones could read", file.display()));
        }
    }
}

/// Linux answers on any interface for any of its addresses, so within one network a phone of one tenant may reach the
/// listener of another. A device that is named keeps others' packets out.
fn unbound(tenants: &[TenantRead<'_>]) {
    let mut reachable: HashMap<Shared<'_>, Vec<usize>> = HashMap::new();
    for (index, tenant) in tenants.iter().enumerate() {
        let Some(shared) = tenant.network.as_ref().and_then(shared) else { continue };
        if unbound_addresses(tenant).next().is_some() {
            reachable.entry(shared).or_default().push(index);
        }
    }
    for together in reachable.values() {
        for index in together {
            let Some(tenant) = tenants.get(*index) else { continue };
            let alone = tenant.network.as_ref().and_then(NetworkStack::device).is_some();
            let other = together.iter().find(|other| *other != index).and_then(|other| tenants.get(*other));
            let (false, Some(other)) = (alone, other) else { continue };
            for field in unbound_addresses(tenant) {
                field.warn(format!(
                    "this machine answers for it on every interface, and the tenant {} has an unbound listener, too: keep `allow` of both apart, or give each its own `network`",
                    name_of(other)
                ));
            }
        }
    }
}

/// A network that several tenants may have in common.
#[derive(PartialEq, Eq, Hash)]
enum Shared<'t> {
    Host,
    Namespace(&'t NamespaceName),
}

/// What a VRF has enslaved is its own, and its device is bound.
fn shared(stack: &NetworkStack) -> Option<Shared<'_>> {
    match stack {
        NetworkStack::Host { .. } => Some(Shared::Host),
        NetworkStack::Namespace(name) => Some(Shared::Namespace(name)),
        NetworkStack::Vrf(_) => None,
    }
}

fn unbound_addresses<'t, 'a>(tenant: &'t TenantRead<'a>) -> impl Iterator<Item = &'t Field<'a>> {
    tenant.claims.unbound.iter().filter(|(address, _)| !address.ip().is_loopback()).map(|(_, field)| field)
}
