//! One tenant's file.

use std::net::SocketAddr;
use std::time::SystemTime;

use jiff::civil::Date;
use provost_core::policy::Unbound;
use provost_core::{ProofKind, Protocol, RuleSet, TenantPolicy};

use super::arrival::Standing;
use super::listener::{self, Surroundings, is_name, prefixes, refuse_name};
use super::node::Node;
use super::places::{self, DevicesRead, FilesRead, UploadsRead};
use super::problem::Collector;
use super::section::Section;
use super::spot::{Named, Spot};
use super::trust::TrustSets;
use super::{guard, limits, network, rule, users};
use crate::deployment::{Listener, Tenant};
use crate::limits::Limits;
use crate::network::NetworkStack;
use crate::passwords::Form;
use crate::users::Credential;

/// What all tenants are read with.
pub(super) struct Common<'t> {
    pub(super) trust: &'t TrustSets,
    pub(super) now: SystemTime,
    pub(super) today: Date,
    /// The tenant itself, where it is read again for its files: what one of them does not give any more stays as it was.
    pub(super) former: Option<&'t Tenant>,
}

/// A tenant as its file says. It is complete where the file has no error.
pub(super) struct TenantRead {
    pub(super) policy: Option<TenantPolicy>,
    /// Absent where it has errors.
    pub(super) network: Option<NetworkStack>,
    pub(super) files: FilesRead,
    pub(super) uploads: UploadsRead,
    pub(super) devices: DevicesRead,
    pub(super) users: Vec<Credential>,
    pub(super) listeners: Vec<Listener>,
    pub(super) limits: Limits,
    pub(super) guard: guard::GuardRead,
}

/// What no other tenant may have too. A tenant with errors claims what could be read of it: else its address would go to
/// the next one, and its phones with it.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub(super) name: Option<(String, Spot)>,
    pub(super) network: Option<NetworkStack>,
    /// The folders that its phones read.
    pub(super) root: Option<Named>,
    pub(super) shared: Vec<Named>,
    pub(super) addresses: Vec<Claim>,
    /// Listeners that read files without a binding proof.
    pub(super) unbound: Vec<(SocketAddr, Spot)>,
    /// Files that no phone may read.
    pub(super) secrets: Vec<Named>,
    /// Its device file, one of them.
    pub(super) devices: Option<Named>,
    /// Whether a listener of plain http asks for passwords, which takes a Digest alone.
    pub(super) asks_for_digest: bool,
}

/// An address that a listener claims.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
    pub(super) spot: Spot,
    pub(super) standing: Standing,
}

pub(super) fn read(document: &Node, problems: &Collector, common: &Common<'_>) -> (TenantRead, Claims) {
    let mut root = Section::root(document, problems);
    let name = root.need("name", "the tenant's name, 1 to 63 of a-z, 0-9 and -");
    let name = name.and_then(|field| {
        let name = field.text("1 to 63 of a-z, 0-9 and -")?;
        (is_name(name) || refuse_name(&field)).then(|| (name.to_owned(), field.spot()))
    });
    let enabled = root.take("enabled").and_then(|field| field.flag()).unwrap_or(true);
    let network = network::read(&mut root);
    let allow = root.take("allow").map(|field| prefixes(&field));
    let files = places::files(root.table("files"), common.former);
    let uploads = places::uploads(root.table("uploads"));
    let devices = places::devices(root.table("devices"));
    let realm = name.as_ref().map_or("", |(name, _)| name);
    let (sections, former) = (root.tables("users"), common.former.map(|former| &former.users));
    let former_users = former.map(|former| former.iter().cloned().collect());
    let mut secrets = Vec::new();
    let read = || Some(users::read(sections, realm, (common.today, former), &mut secrets));
    let users = problems.or_former(former_users, read).unwrap_or_default();
    let rules = rule::read(root.tables("rule"));
    let rules = RuleSet::new(rules, files.case).map_err(|error| root.missing("rule", error)).ok();
    let limits = limits::read(root.table("limits"));
    let guard = guard::read(root.table("guard"));
    let surroundings = Surroundings {
        allow: allow.as_ref(),
        devices: devices.policy,
        network: network.as_ref(),
        trust: common.trust,
        now: common.now,
        former: common.former,
    };
    let mut listeners = listeners(&mut root, &surroundings);
    warn_of_argon2(&root, &listeners, &users);
    warn_of_passwords(&root, &listeners, users.is_empty() && devices.file.is_none());
    root.finish();
    let mut claims = claims(&mut listeners, enabled);
    claims.secrets.extend(secrets.into_iter().chain(devices.file.clone()));
    (claims.root, claims.shared) = (files.root.clone(), files.shared.clone());
    (claims.network, claims.devices) = (network.clone(), devices.file.clone());
    let (policy, strip) = (name.clone().zip(rules), files.strip.clone());
    let policy = policy.map(|((name, _), rules)| {
        let devices = devices.policy;
        TenantPolicy { name, enabled, allow, strip, rules, devices }
    });
    claims.name = name;
    let listeners = listeners.into_iter().filter_map(|read| read.listener).collect();
    (TenantRead { policy, network, files, uploads, devices, users, listeners, limits, guard }, claims)
}

fn listeners<'a>(root: &mut Section<'a>, surroundings: &Surroundings<'_>) -> Vec<listener::Read<'a>> {
    let sections = root.tables("listener");
    if sections.is_empty() {
        root.warn("the tenant has no listener, so no phone reaches it");
    }
    let read: Vec<_> = sections.into_iter().filter_map(|section| listener::read(section, surroundings)).collect();
    for (index, listener) in read.iter().enumerate() {
        let Some((name, field)) = &listener.name else { continue };
        let earlier = read.iter().take(index).filter_map(|other| other.name.as_ref());
        if earlier.into_iter().any(|(other, _)| other == name) {
            field.refuse(format!("another listener of this tenant is named `{name}`: expected a `name` of its own"));
        }
    }
    read
}

fn claims(listeners: &mut [listener::Read<'_>], enabled: bool) -> Claims {
    let mut claims = Claims::default();
    for listener in listeners {
        claims.secrets.extend(listener.secrets.iter().cloned());
        let Some((address, spot)) = &listener.address else { continue };
        if !(enabled && listener.enabled) {
            continue;
        }
        claims.asks_for_digest |= listener.protocol == Protocol::Http && asks_for_password(listener);
        let standing = std::mem::take(&mut listener.standing);
        claims.addresses.push(Claim { protocol: listener.protocol, address: *address, spot: spot.clone(), standing });
        match listener.unbound {
            Unbound::Listed => claims.unbound.push((*address, spot.clone())),
            Unbound::Refuse => {}
        }
    }
    claims
}

fn asks_for_password(read: &listener::Read<'_>) -> bool {
    read.listener.as_ref().is_some_and(|listener| {
        let exceptions = listener.policy.exceptions.iter().map(|exception| &exception.require);
        exceptions.chain([&listener.policy.require]).any(|require| require.mentions(ProofKind::Password))
    })
}

/// A Digest is all that plain http takes, and argon2id answers none.
fn warn_of_argon2(root: &Section<'_>, listeners: &[listener::Read<'_>], users: &[Credential]) {
    let is_plain = |read: &&listener::Read<'_>| read.protocol == Protocol::Http && asks_for_password(read);
    let user = users.iter().find(|user| user.form == Form::Argon2).map(|user| &user.shared.user);
    if let (Some(user), true) = (user, listeners.iter().any(|read| is_plain(&read))) {
        root.warn(format!(
            "the password of `{user}` is stored as argon2id, which answers no Digest, and an http listener takes nothing else"
        ));
    }
}

fn warn_of_passwords(root: &Section<'_>, listeners: &[listener::Read<'_>], none: bool) {
    if none && listeners.iter().any(asks_for_password) {
        root.warn(
            "a listener asks for a password, and there is none: expected `[[users]]`, or passwords in `devices.file`",
        );
    }
}
