//! Listeners: `[[listener]]`.

use std::net::{SocketAddr, SocketAddrV6};

use ipnet::IpNet;
use provost_core::policy::{Unbound, UnboundWrite};
use provost_core::{DevicePolicy, ListenerPolicy, Prefixes, Protocol};
use std::time::SystemTime;

use super::arrival::{self, Standing};
use super::certificates;
use super::field::Field;
use super::ftp;
use super::require::{self, Terms};
use super::section::Section;
use super::spot::{Named, Spot};
use super::tftp;
use super::tls::{self, Tls};
use super::trust::TrustSets;
use crate::deployment::{Listener, Tenant, TlsSettings};
use crate::network::NetworkStack;

/// What a listener needs to know of its tenant.
pub(super) struct Surroundings<'t> {
    pub(super) allow: Option<&'t Prefixes>,
    pub(super) devices: DevicePolicy,
    /// Absent where it has errors.
    pub(super) network: Option<&'t NetworkStack>,
    pub(super) trust: &'t TrustSets,
    pub(super) now: SystemTime,
    /// The tenant that is read again for its files.
    pub(super) former: Option<&'t Tenant>,
}

impl<'t> Surroundings<'t> {
    fn former_tls(&self, name: &str) -> Option<&'t TlsSettings> {
        let former = self.former?.listeners.iter().find(|listener| listener.policy.name == name)?;
        former.tls.as_ref()
    }
}

/// A listener, and what others must not have.
pub(super) struct Read<'a> {
    /// Absent where it has errors.
    pub(super) listener: Option<Listener>,
    pub(super) name: Option<(String, Field<'a>)>,
    pub(super) address: Option<(SocketAddr, Spot)>,
    pub(super) protocol: Protocol,
    pub(super) enabled: bool,
    pub(super) unbound: Unbound,
    pub(super) standing: Standing,
    /// Files that no phone may read.
    pub(super) secrets: Vec<Named>,
}

const PROTOCOLS: [(&str, Protocol); 4] =
    [("https", Protocol::Https), ("http", Protocol::Http), ("tftp", Protocol::Tftp), ("ftp", Protocol::Ftp)];

/// Keys of which the protocol says what they mean.
const OF_SOME_PROTOCOL: [&str; 16] = [
    "require",
    "exception",
    "more_certificates",
    "key",
    "certificate",
    "ocsp",
    "server_names",
    "trust",
    "hints",
    "default",
    "proxy",
    "passive_ports",
    "passive_address",
    "tls",
    "transfer_ports",
    "rollover",
];

pub(super) fn read<'a>(mut section: Section<'a>, surroundings: &Surroundings<'_>) -> Option<Read<'a>> {
    let protocol_field = section.need("protocol", "`https`, `http`, `tftp` or `ftp`");
    let Some(protocol) = protocol_field.as_ref().and_then(|field| field.choice(&PROTOCOLS)) else {
        of_no_protocol(section);
        return None;
    };
    let name_field = section.take("name");
    let name = match &name_field {
        Some(field) => name(field),
        None => Some(protocol.name().to_owned()),
    };
    let address_field = section.need("address", "an address with a port, such as \"10.0.0.1:443\"");
    let address = address_field.as_ref().and_then(|field| address(field));
    if let (Some(field), Some(address), Some(network)) = (&address_field, address, surroundings.network) {
        refuse_link(field, address, network);
    }
    let enabled = section.take("enabled").and_then(|field| field.flag()).unwrap_or(true);
    let terms = require::read(&mut section, protocol);
    let allow = allow(&mut section, &terms, surroundings);
    let (unbound, unbound_write) = unbound(&mut section);
    let unbound = unbound.unwrap_or(protocol.default_unbound());
    let secrets = certificates::secrets(&mut section);
    let former = name.as_ref().and_then(|name| surroundings.former_tls(name));
    let tls = tls::read(&mut section, protocol, &terms, surroundings, former);
    let has_tls = tls.as_ref().is_none_or(|Tls(settings)| settings.is_some());
    let standing = arrival::read(&mut section, protocol);
    let ftp = ftp::read(&mut section, protocol, address, &terms, has_tls);
    let tftp = tftp::read(&mut section, protocol);
    if enabled {
        warn_unbound(&section, unbound, unbound_write, surroundings.devices);
    }
    section.finish();
    let (require, exceptions) = (terms.require, terms.exceptions);
    let policy = |name| ListenerPolicy { name, protocol, enabled, allow, require, unbound, unbound_write, exceptions };
    let listener = name.clone().map(policy).zip(address).zip(tls);
    let arrival = standing.arrival.clone();
    Some(Read {
        listener: listener.map(|((policy, address), Tls(tls))| Listener { policy, address, tls, arrival, ftp, tftp }),
        name: name.zip(name_field.or(protocol_field)),
        address: address.zip(address_field.map(|field| field.spot())),
        protocol,
        enabled,
        unbound,
        standing,
        secrets,
    })
}

/// A listener of a protocol that there is not. What is of every protocol is read all the same, so that what is wrong there is told
/// now, too; what the rest means depends on the protocol.
fn of_no_protocol(mut section: Section<'_>) {
    section.take("name").as_ref().and_then(name);
    section.need("address", "an address with a port, such as \"10.0.0.1:443\"").as_ref().and_then(address);
    section.take("enabled").and_then(|field| field.flag());
    section.take("allow").map(|field| prefixes(&field));
    unbound(&mut section);
    for key in OF_SOME_PROTOCOL {
        section.take(key);
    }
    section.finish();
}

fn name(field: &Field<'_>) -> Option<String> {
    field.text("a name").filter(|name| is_name(name) || refuse_name(field)).map(str::to_owned)
}

/// Whether `name` can be the name of a tenant, or of a listener: it is 1 to 63 of `a-z`, `0-9` and `-`.
pub fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Notes that the text is no name; `false`, for filters.
pub(super) fn refuse_name(field: &Field<'_>) -> bool {
    field.refuse("expected 1 to 63 of a-z, 0-9 and -");
    false
}

fn address(field: &Field<'_>) -> Option<SocketAddr> {
    let address: SocketAddr = field.parsed("an address with a port, such as \"10.0.0.1:443\" or \"[fd00::1]:443\"")?;
    match address {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            Some(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into())
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => Some(SocketAddr::new(address.ip().to_canonical(), address.port())),
    }
}

/// A link-local address is an address of one link (RFC 4007 section 6), which must be said, and once: Linux would bind the socket to the
/// link of the address in place of the tenant's device.
fn refuse_link(field: &Field<'_>, address: SocketAddr, network: &NetworkStack) {
    let SocketAddr::V6(v6) = address else { return };
    match (v6.scope_id(), network.device()) {
        _ if !v6.ip().is_unicast_link_local() => {}
        _ if matches!(network, NetworkStack::Vrf(_)) => {
            field.refuse("a link-local address is of one link, and the tenant's network is a VRF, which has many");
        }
        (0, None) => field.refuse(
            "a link-local address is of one link: expected its number (`ip link`) behind it, such as \"[fe80::1%2]:69\", or an `interface` as the tenant's network",
        ),
        (_, Some(device)) if v6.scope_id() != 0 => {
            field.refuse(format!("the tenant's network says the link, {device}: expected no `%{}`", v6.scope_id()));
        }
        (_, None | Some(_)) => {}
    }
}

/// The prefixes of an `allow`.
pub(super) fn prefixes(field: &Field<'_>) -> Prefixes {
    let items = field.some_items("prefixes, such as [\"10.0.0.0/8\"]");
    items.iter().filter_map(prefix).collect()
}

fn prefix(item: &Field<'_>) -> Option<IpNet> {
    let expected = "a prefix, such as \"10.0.0.0/8\" or \"fd00:a::/32\"";
    let prefix = match item.text(expected)?.parse::<std::net::IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => item.parsed::<IpNet>(expected)?,
    };
    // A slip in the length of a prefix lets in more than was meant.
    if prefix.trunc() != prefix {
        item.refuse(format!(
            "bits behind the prefix length are set: expected \"{}\", or a longer prefix",
            prefix.trunc()
        ));
        return None;
    }
    Some(prefix)
}

/// What a listener allows, narrower than its tenant. Where nothing but an address is asked for, one of them must say which.
fn allow(section: &mut Section<'_>, terms: &Terms, surroundings: &Surroundings<'_>) -> Option<Prefixes> {
    let allow = section.take("allow").map(|field| prefixes(&field));
    if let (Some(what), None, None) = (terms.address_alone, &allow, surroundings.allow) {
        section.missing(
            "allow",
            format!(
                "is missing: {what} asks for nothing but an address, so say which, here or in the tenant's `allow`"
            ),
        );
    }
    warn_outside(section, allow.as_ref(), surroundings.allow);
    allow
}

fn warn_outside(section: &mut Section<'_>, own: Option<&Prefixes>, tenant: Option<&Prefixes>) {
    let (Some(own), Some(tenant)) = (own, tenant) else { return };
    let overlaps =
        |prefix: &&IpNet| tenant.iter().any(|wider| wider.contains(&prefix.addr()) || prefix.contains(&wider.addr()));
    let outside: Vec<String> = own.iter().filter(|prefix| !overlaps(prefix)).map(ToString::to_string).collect();
    if !outside.is_empty()
        && let Some(field) = section.take("allow")
    {
        field.warn(format!("{} lies outside the tenant's `allow`, so nobody is let in by it", outside.join(", ")));
    }
}

fn unbound(section: &mut Section<'_>) -> (Option<Unbound>, UnboundWrite) {
    let unbound = section.take("unbound");
    let unbound = unbound.and_then(|field| field.choice(&[("refuse", Unbound::Refuse), ("listed", Unbound::Listed)]));
    let choices = [("nobody", UnboundWrite::Nobody), ("logs", UnboundWrite::Logs), ("listed", UnboundWrite::Listed)];
    let write = section.take("unbound_write").and_then(|field| field.choice(&choices));
    (unbound, write.unwrap_or(UnboundWrite::Logs))
}

fn warn_unbound(section: &Section<'_>, unbound: Unbound, write: UnboundWrite, devices: DevicePolicy) {
    let of = match devices {
        DevicePolicy::Listed => "any listed device",
        DevicePolicy::Any => "any device at all (`policy` is \"any\")",
    };
    let reads = match unbound {
        Unbound::Refuse => None,
        Unbound::Listed => Some(format!("whoever meets `require` reads the files of {of} by its MAC alone")),
    };
    let writes = match write {
        UnboundWrite::Nobody => None,
        UnboundWrite::Logs => Some("sends logs in its name"),
        UnboundWrite::Listed => Some("sends whatever a rule lets the device send, in its name"),
    };
    match (reads, writes) {
        (Some(reads), Some(writes)) => section.warn(format!("unbound: {reads}, and {writes}")),
        (Some(reads), None) => section.warn(format!("unbound: {reads}")),
        // Where own files need a binding proof, so does all but a log, and a log tells nobody anything.
        (None, _) => {}
    }
}
