//! Tenants beside each other: what one holds, no other may have. The newcomer is refused; the order is that of the
//! files' names.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use provost_core::Protocol;

use super::field::Field;
use super::places::canonical;
use super::tenant::TenantRead;

/// Notes every conflict, at the newcomer.
pub(super) fn check(tenants: &[TenantRead<'_>], state: &Path, configuration: &[PathBuf]) {
    for (index, newcomer) in tenants.iter().enumerate() {
        let earlier = tenants.get(..index).unwrap_or_default();
        names(newcomer, earlier);
        addresses(newcomer, earlier);
        folders(newcomer, earlier);
        state_folder(newcomer, state);
    }
    secrets(tenants);
    configuration_files(tenants, configuration);
    unbound(tenants);
}

fn name_of(tenant: &TenantRead<'_>) -> String {
    tenant.claims.name.as_ref().map_or_else(|| "another".to_owned(), |(name, _)| format!("`{name}`"))
}

fn names(newcomer: &TenantRead<'_>, earlier: &[TenantRead<'_>]) {
    let Some((name, field)) = &newcomer.claims.name else { return };
    let holder = earlier.iter().filter_map(|tenant| tenant.claims.name.as_ref()).find(|(other, _)| other == name);
    if let Some((_, holder)) = holder {
        field.refuse(format!("the tenant of {} has this name", holder.origin()));
    }
}

fn addresses(newcomer: &TenantRead<'_>, earlier: &[TenantRead<'_>]) {
    for (index, (protocol, address, field)) in newcomer.claims.addresses.iter().enumerate() {
        let conflict = |(other, held, _): &&(Protocol, SocketAddr, Field<'_>)| {
            transport(*other) == transport(*protocol) && overlap(*held, *address)
        };
        let own = newcomer.claims.addresses.iter().take(index).find(conflict);
        if let Some((_, _, holder)) = own {
            field.refuse(format!("{} of this tenant has this address", holder.key()));
            continue;
        }
        let holder = earlier.iter().find(|tenant| tenant.claims.addresses.iter().any(|held| conflict(&held)));
        if let Some(holder) = holder {
            field.refuse(format!("a listener of the tenant {} has this address", name_of(holder)));
        }
    }
}

#[derive(PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

const fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Https | Protocol::Http | Protocol::Ftp => Transport::Tcp,
        Protocol::Tftp => Transport::Udp,
    }
}

/// Whether two sockets would meet. An IPv6 wildcard takes IPv4, too.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let takes = |wide: SocketAddr, other: SocketAddr| match wide {
        SocketAddr::V6(wide) => wide.ip().is_unspecified(),
        SocketAddr::V4(wide) => wide.ip().is_unspecified() && other.is_ipv4(),
    };
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || takes(a, b) || takes(b, a))
}

fn nest(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
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
        let exposed = tenants.iter().flat_map(TenantRead::folders).find(|folder| path.starts_with(&folder.canonical));
        if let Some(folder) = exposed {
            secret.refuse(format!("lies in {}, where phones could read it", folder.path.display()));
        }
    }
}

/// Passwords may stand in any of the configuration's files.
fn configuration_files(tenants: &[TenantRead<'_>], configuration: &[PathBuf]) {
    let configuration: Vec<PathBuf> = configuration.iter().map(|path| canonical(path)).collect();
    for folder in tenants.iter().flat_map(TenantRead::folders) {
        if let Some(file) = configuration.iter().find(|file| file.starts_with(&folder.canonical)) {
            folder.field.refuse(format!("holds the configuration's {}, which phones could read", file.display()));
        }
    }
}

/// Linux answers on any interface for any of its addresses, so on the host's network a phone of one tenant may reach the
/// listener of another.
fn unbound(tenants: &[TenantRead<'_>]) {
    let reachable =
        |tenant: &TenantRead<'_>| tenant.claims.unbound.iter().any(|(address, _)| !address.ip().is_loopback());
    let open: Vec<&TenantRead<'_>> = tenants.iter().filter(|tenant| reachable(tenant)).collect();
    for (index, tenant) in open.iter().enumerate() {
        let Some(other) = open.iter().enumerate().find(|(other, _)| *other != index).map(|(_, other)| other) else {
            return;
        };
        for (_, field) in tenant.claims.unbound.iter().filter(|(address, _)| !address.ip().is_loopback()) {
            field.warn(format!(
                "this machine answers for it on every interface, and the tenant {} has an unbound listener, too: keep `allow` of both apart",
                name_of(other)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_where_their_sockets_would() {
        for (a, b, expected) in [
            ("10.0.0.1:69", "10.0.0.1:69", true),
            ("10.0.0.1:69", "10.0.0.2:69", false),
            ("10.0.0.1:69", "10.0.0.1:70", false),
            ("0.0.0.0:69", "10.0.0.1:69", true),
            ("0.0.0.0:69", "[fd00::1]:69", false),
            ("[::]:69", "10.0.0.1:69", true),
            ("[::]:69", "[fd00::1]:69", true),
            ("0.0.0.0:0", "0.0.0.0:0", false),
        ] {
            let parse = |text: &str| text.parse::<SocketAddr>().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(overlap(parse(a), parse(b)), expected, "{a} {b}");
            assert_eq!(overlap(parse(b), parse(a)), expected, "{b} {a}");
        }
    }
}
