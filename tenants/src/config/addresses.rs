//! Which listeners would meet at an address. In networks that are apart the same address is another one.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use provost_core::Protocol;

use super::beside::name_of;
use super::tenant::{Claim, TenantRead};
use crate::network::{NamespaceName, NetworkStack};

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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

/// Where addresses are compared at all: one namespace, or the process's own.
type Ground<'t> = (Option<&'t NamespaceName>, Transport, u16);

/// An address that is held, and by which tenant and listener.
#[derive(Clone, Copy)]
struct Held<'t> {
    tenant: usize,
    listener: usize,
    stack: &'t NetworkStack,
    address: SocketAddr,
}

/// What is held, by where it could be met: thousands of tenants hold some address each.
#[derive(Default)]
struct Index<'t> {
    exact: HashMap<(Ground<'t>, IpAddr), Vec<Held<'t>>>,
    wildcards: HashMap<Ground<'t>, Vec<Held<'t>>>,
    all: HashMap<Ground<'t>, Vec<Held<'t>>>,
}

/// Notes every address that an earlier listener has, at the newcomer.
pub(super) fn check(tenants: &[TenantRead<'_>]) {
    let mut index = Index::default();
    for (tenant, newcomer) in tenants.iter().enumerate() {
        // Of a tenant whose network is not known, no address is known either.
        let Some(stack) = &newcomer.network else { continue };
        for (listener, claim) in newcomer.claims.addresses.iter().enumerate() {
            let held = Held { tenant, listener, stack, address: claim.address };
            let transport = transport(claim.protocol);
            let holders = index.meet(&held, transport).into_iter();
            let holders: Vec<_> = holders.filter_map(|held| Some((held, claim_of(tenants, &held)?))).collect();
            match holders.iter().find(|(holder, theirs)| !may_share(&held, claim, holder, theirs)) {
                Some((holder, theirs)) if holder.tenant == tenant => {
                    claim.field.refuse(format!("{} of this tenant has this address", theirs.field.key()));
                }
                Some((holder, _)) => {
                    let name = tenants.get(holder.tenant).map(name_of).unwrap_or_default();
                    claim.field.refuse(format!("a listener of the tenant {name} has this address"));
                }
                None => {
                    for (holder, theirs) in holders {
                        let name = tenants.get(holder.tenant).map(name_of).unwrap_or_default();
                        claim.standing.share(&claim.field, &theirs.standing, &name);
                    }
                }
            }
            index.add(held, transport);
        }
    }
}

fn claim_of<'t, 'a>(tenants: &'t [TenantRead<'a>], held: &Held<'_>) -> Option<&'t Claim<'a>> {
    tenants.get(held.tenant)?.claims.addresses.get(held.listener)
}

/// Whether two listeners of two tenants may have one socket: the server name of the handshake tells them apart. It is of the
/// host's own network alone, since a tenant that is in one of its own is alone there.
fn may_share(newcomer: &Held<'_>, claim: &Claim<'_>, holder: &Held<'_>, theirs: &Claim<'_>) -> bool {
    let is_host = match newcomer.stack {
        NetworkStack::Host { .. } => true,
        NetworkStack::Namespace(_) | NetworkStack::Vrf(_) => false,
    };
    is_host
        && newcomer.tenant != holder.tenant
        && newcomer.stack == holder.stack
        && newcomer.address == holder.address
        && (claim.protocol, theirs.protocol) == (Protocol::Https, Protocol::Https)
}

impl<'t> Index<'t> {
    fn add(&mut self, held: Held<'t>, transport: Transport) {
        let ground = held.ground(transport);
        self.exact.entry((ground, held.address.ip())).or_default().push(held);
        self.all.entry(ground).or_default().push(held);
        if held.address.ip().is_unspecified() {
            self.wildcards.entry(ground).or_default().push(held);
        }
    }

    /// Those that would meet the newcomer; of its own tenant before others.
    fn meet(&self, newcomer: &Held<'t>, transport: Transport) -> Vec<Held<'t>> {
        let ground = newcomer.ground(transport);
        let wide = if newcomer.address.ip().is_unspecified() { &self.all } else { &self.wildcards };
        let candidates =
            self.exact.get(&(ground, newcomer.address.ip())).into_iter().chain(wide.get(&ground)).flatten();
        let meeting = candidates
            .filter(|held| meet(held.stack, newcomer.stack, transport) && overlap(held.address, newcomer.address));
        let order = |held: &Held<'t>| (held.tenant != newcomer.tenant, held.tenant, held.listener);
        let mut meeting: Vec<_> = meeting.copied().collect();
        meeting.sort_by_key(order);
        meeting.dedup_by_key(|held| order(held));
        meeting
    }
}

impl<'t> Held<'t> {
    fn ground(&self, transport: Transport) -> Ground<'t> {
        let namespace = match self.stack {
            NetworkStack::Host { .. } | NetworkStack::Vrf(_) => None,
            NetworkStack::Namespace(name) => Some(name),
        };
        (namespace, transport, self.address.port())
    }
}

/// Whether Linux refuses a second socket at an address that overlaps. A socket without a device meets those of every
/// device, but TCP has tables of its own for each VRF.
fn meet(a: &NetworkStack, b: &NetworkStack, transport: Transport) -> bool {
    match (a, b) {
        (NetworkStack::Namespace(a), NetworkStack::Namespace(b)) => a == b,
        (NetworkStack::Namespace(_), _) | (_, NetworkStack::Namespace(_)) => false,
        (NetworkStack::Vrf(_), NetworkStack::Host { interface: None })
        | (NetworkStack::Host { interface: None }, NetworkStack::Vrf(_)) => transport == Transport::Udp,
        (NetworkStack::Host { interface: None }, NetworkStack::Host { .. })
        | (NetworkStack::Host { .. }, NetworkStack::Host { interface: None }) => true,
        (
            NetworkStack::Vrf(a) | NetworkStack::Host { interface: Some(a) },
            NetworkStack::Vrf(b) | NetworkStack::Host { interface: Some(b) },
        ) => a == b,
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

    #[test]
    fn networks_that_are_apart_do_not_meet() {
        let device = |name: &str| name.parse().unwrap_or_else(|error| panic!("{error}"));
        let namespace =
            |name: &str| NetworkStack::Namespace(name.parse().unwrap_or_else(|error| panic!("{name}: {error}")));
        let vrf = |name: &str| NetworkStack::Vrf(device(name));
        let interface = |name: &str| NetworkStack::Host { interface: Some(device(name)) };
        for (a, b, tcp, udp) in [
            (NetworkStack::HOST, NetworkStack::HOST, true, true),
            (NetworkStack::HOST, interface("eth1"), true, true),
            (interface("eth1"), interface("eth1"), true, true),
            (interface("eth1"), interface("eth2"), false, false),
            (NetworkStack::HOST, vrf("red"), false, true),
            (vrf("red"), vrf("red"), true, true),
            (vrf("red"), vrf("blue"), false, false),
            (vrf("red"), interface("eth1"), false, false),
            (NetworkStack::HOST, namespace("red"), false, false),
            (namespace("red"), namespace("/var/run/netns/red"), true, true),
            (namespace("red"), namespace("blue"), false, false),
            (namespace("red"), vrf("red"), false, false),
        ] {
            for (a, b) in [(&a, &b), (&b, &a)] {
                assert_eq!((meet(a, b, Transport::Tcp), meet(a, b, Transport::Udp)), (tcp, udp), "{a:?} {b:?}");
            }
        }
    }
}
