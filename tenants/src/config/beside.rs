//! Tenants beside each other: what one holds, no other may have. The newcomer is refused; the order is that of the
//! files' names.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::addresses;
use super::l3mdev;
use super::nesting::{Folders, Holder};
use super::newcomer::Newcomer;
use super::spot::{Named, Spot};
use crate::deployment::Tenant;
use crate::network::{NamespaceName, NetworkStack};

/// What is held beside the tenants; all of it canonical.
pub(super) struct Held<'a> {
    pub(super) state: &'a Path,
    pub(super) state_canonical: PathBuf,
    pub(super) main_file: PathBuf,
}

/// The number of a tenant's root among its folders; those that it shares follow.
const ROOT: usize = 0;

/// Notes every conflict, at the newcomer.
pub(super) fn check(tenants: &[Newcomer], held: &Held<'_>) {
    let tenants: Vec<&Newcomer> = tenants.iter().collect();
    conflicts(&tenants, held);
    unbound(&tenants);
    l3mdev::check(&tenants);
}

/// Notes what newcomers without errors would have of tenants that are served on, since their own have some. A newcomer that is refused
/// for that may be served on itself.
pub(super) fn check_served(newcomers: &[Newcomer], served: &[Arc<Tenant>], held: &Held<'_>) {
    loop {
        let (wrong, right): (Vec<_>, Vec<_>) = newcomers.iter().partition(|newcomer| newcomer.has_errors());
        if wrong.is_empty() {
            return;
        }
        let stay = stay(&wrong, &right, served);
        if stay.is_empty() {
            return;
        }
        conflicts(&stay.iter().chain(right.iter().copied()).collect::<Vec<_>>(), held);
        if !right.iter().any(|newcomer| newcomer.has_errors()) {
            return;
        }
    }
}

/// The tenants that are served on: whose file has errors, or whose name one has that nobody else took.
fn stay(wrong: &[&Newcomer], right: &[&Newcomer], served: &[Arc<Tenant>]) -> Vec<Newcomer> {
    let names = |newcomers: &[&Newcomer]| -> HashSet<String> {
        newcomers.iter().filter_map(|newcomer| Some(newcomer.claims().name.as_ref()?.0.clone())).collect()
    };
    let files: HashSet<&Path> = wrong.iter().map(|newcomer| newcomer.file.as_path()).collect();
    let (names, taken) = (names(wrong), names(right));
    let stays = |tenant: &&Arc<Tenant>| {
        let name = &tenant.policy.name;
        files.contains(tenant.source.file.as_path()) || names.contains(name) && !taken.contains(name)
    };
    served.iter().filter(stays).map(|tenant| Newcomer::served(&tenant.source)).collect()
}

fn conflicts(tenants: &[&Newcomer], held: &Held<'_>) {
    names(tenants);
    folders(tenants, held);
    addresses::check(tenants);
}

pub(super) fn name_of(tenant: &Newcomer) -> String {
    tenant.claims().name.as_ref().map_or_else(|| "another".to_owned(), |(name, _)| format!("`{name}`"))
}

fn names(tenants: &[&Newcomer]) {
    let mut holders: HashMap<&str, &Spot> = HashMap::new();
    for newcomer in tenants {
        let Some((name, spot)) = &newcomer.claims().name else { continue };
        match holders.get(name.as_str()) {
            Some(holder) => {
                spot.refuse(&newcomer.problems, format!("the tenant of {} has this name", holder.origin()));
            }
            None => drop(holders.insert(name, spot)),
        }
    }
}

/// What phones of one tenant read must not be read by phones of another, and by none what no phone may read.
fn folders(tenants: &[&Newcomer], held: &Held<'_>) {
    let (mut roots, mut shared) = (Folders::default(), Folders::default());
    for (index, tenant) in tenants.iter().enumerate() {
        let (claims, places) = (tenant.claims(), &tenant.places);
        if let (Some(root), Some(named)) = (&places.root, &claims.root) {
            if let Some(holder) = roots.nesting(root).into_iter().chain(shared.nesting(root)).min() {
                refuse_nested(tenants, tenant, named, holder);
            }
            roots.hold(root, Holder { tenant: index, folder: ROOT });
        }
        for (folder, named) in places.shared.iter().zip(&claims.shared) {
            if let Some(holder) = roots.nesting(folder).filter(|holder| holder.tenant != index) {
                refuse_nested(tenants, tenant, named, holder);
            }
        }
        for (number, folder) in places.shared.iter().enumerate() {
            shared.hold(folder, Holder { tenant: index, folder: ROOT + 1 + number });
        }
    }
    let mut files = Folders::default();
    for (index, tenant) in tenants.iter().enumerate() {
        files.hold(&tenant.places.file, Holder { tenant: index, folder: ROOT });
    }
    for tenant in tenants {
        for (folder, named) in tenant.folders() {
            state_folder(tenant, folder, named, held);
            configuration_files(tenants, &files, (tenant, folder, named), held);
        }
        secrets(tenants, tenant, [&roots, &shared]);
    }
}

fn refuse_nested(tenants: &[&Newcomer], newcomer: &Newcomer, folder: &Named, holder: Holder) {
    let Some(tenant) = tenants.get(holder.tenant) else { return };
    let Some(theirs) = folder_of(tenant, holder) else { return };
    let message = format!("nests with {} of the tenant {}", theirs.path.display(), name_of(tenant));
    folder.spot.refuse(&newcomer.problems, format!("{message}: phones of one would read files of the other"));
}

fn folder_of(tenant: &Newcomer, holder: Holder) -> Option<&Named> {
    match holder.folder.checked_sub(ROOT + 1) {
        None => tenant.claims().root.as_ref(),
        Some(number) => tenant.claims().shared.get(number),
    }
}

fn state_folder(tenant: &Newcomer, folder: &Path, named: &Named, held: &Held<'_>) {
    if folder.starts_with(&held.state_canonical) || held.state_canonical.starts_with(folder) {
        let message = format!("nests with `state`, {}: phones would read what others sent", held.state.display());
        named.spot.refuse(&tenant.problems, message);
    }
}

/// Passwords may stand in any of the configuration's files.
fn configuration_files(
    tenants: &[&Newcomer],
    files: &Folders,
    (tenant, folder, named): (&Newcomer, &Path, &Named),
    held: &Held<'_>,
) {
    let of_tenant = files.within(folder).and_then(|holder| tenants.get(holder.tenant));
    let file = of_tenant.map(|tenant| &tenant.places.file);
    let file = file.or_else(|| held.main_file.starts_with(folder).then_some(&held.main_file));
    if let Some(file) = file {
        let message = format!("holds the configuration's {}, which phones could read", file.display());
        named.spot.refuse(&tenant.problems, message);
    }
}

/// A key, a password or an inventory in a folder that phones read would be given to phones.
fn secrets(tenants: &[&Newcomer], tenant: &Newcomer, folders: [&Folders; 2]) {
    for (path, secret) in tenant.places.secrets.iter().zip(&tenant.claims().secrets) {
        let Some(holder) = folders.into_iter().filter_map(|folders| folders.around(path)).min() else { continue };
        let Some(exposing) = tenants.get(holder.tenant) else { continue };
        let Some(folder) = folder_of(exposing, holder) else { continue };
        if tenant.is_served {
            let message = format!("holds {} of the tenant {}", secret.path.display(), name_of(tenant));
            folder.spot.refuse(&exposing.problems, format!("{message}, which phones could read"));
        } else {
            let message = format!("lies in {}, where phones could read it", folder.path.display());
            secret.spot.refuse(&tenant.problems, message);
        }
    }
}

/// Linux answers on any interface for any of its addresses, so within one network a phone of one tenant may reach the
/// listener of another. A device that is named keeps others' packets out.
fn unbound(tenants: &[&Newcomer]) {
    let mut reachable: HashMap<Shared<'_>, Vec<usize>> = HashMap::new();
    for (index, tenant) in tenants.iter().enumerate() {
        let Some(shared) = tenant.claims().network.as_ref().and_then(shared) else { continue };
        if unbound_addresses(tenant).next().is_some() {
            reachable.entry(shared).or_default().push(index);
        }
    }
    for together in reachable.values() {
        for index in together {
            let Some(tenant) = tenants.get(*index) else { continue };
            let alone = tenant.claims().network.as_ref().and_then(NetworkStack::device).is_some();
            let other = together.iter().find(|other| *other != index).and_then(|other| tenants.get(*other));
            let (false, Some(other)) = (alone, other) else { continue };
            for spot in unbound_addresses(tenant) {
                spot.warn(&tenant.problems, format!(
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

fn unbound_addresses(tenant: &Newcomer) -> impl Iterator<Item = &Spot> {
    tenant.claims().unbound.iter().filter(|(address, _)| !address.ip().is_loopback()).map(|(_, spot)| spot)
}
