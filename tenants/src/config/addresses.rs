//! Which listeners would meet at an address. In networks that are apart the same address is another one.

use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

use foldhash::{HashMap, HashMapExt};
use provost_core::Protocol;

use super::beside::name_of;
use super::newcomer::Newcomer;
use super::sharing::Sharing;
use super::tenant::Claim;
use crate::network::{DeviceName, NamespaceName, NetworkStack};

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

/// Where most of those stand that could meet: thousands of VRFs may hold the same address, each alone.
type Device<'t> = (Ground<'t>, Option<&'t DeviceName>);

/// An address that is held, and by which tenant and listener.
#[derive(Clone, Copy)]
struct Held<'t> {
    tenant: usize,
    listener: usize,
    stack: &'t NetworkStack,
    address: SocketAddr,
    protocol: Protocol,
}

/// What is held, by where it could be met: thousands of tenants hold some address each.
#[derive(Default)]
struct Index<'t> {
    of_device: Addresses<'t, Device<'t>>,
    /// For those that name no device, and meet those of each.
    of_any: Addresses<'t, Ground<'t>>,
}

struct Addresses<'t, K> {
    exact: HashMap<(K, IpAddr), Vec<Held<'t>>>,
    wildcards: HashMap<K, Vec<Held<'t>>>,
    all: HashMap<K, Vec<Held<'t>>>,
}

/// Notes every address that an earlier listener has, at the newcomer.
pub(super) fn check(tenants: &[&Newcomer]) {
    let mut index = Index::default();
    let mut shared: HashMap<(&NetworkStack, SocketAddr), Sharing<'_>> = HashMap::new();
    for (tenant, newcomer) in tenants.iter().enumerate() {
        // Of a tenant whose network is not known, no address is known either.
        let Some(stack) = &newcomer.claims().network else { continue };
        for (listener, claim) in newcomer.claims().addresses.iter().enumerate() {
            let protocol = claim.protocol;
            let held = Held { tenant, listener, stack, address: claim.address, protocol };
            if let Some(holder) = index.meets(&held) {
                refuse(tenants, newcomer, (&held, claim), holder);
            } else if held.may_share() {
                match shared.entry((stack, claim.address)) {
                    // Whoever meets one of them meets the first, which is known.
                    Entry::Occupied(mut sharing) => {
                        sharing.get_mut().join(tenants, (tenant, newcomer), claim);
                        continue;
                    }
                    Entry::Vacant(vacant) => drop(vacant.insert(Sharing::begin(tenant, claim))),
                }
            }
            index.add(held);
        }
    }
}

fn refuse(tenants: &[&Newcomer], newcomer: &Newcomer, (held, claim): (&Held<'_>, &Claim), holder: Held<'_>) {
    let message = if holder.tenant == held.tenant {
        let theirs = newcomer.claims().addresses.get(holder.listener).map(|claim| claim.spot.key());
        format!("{} of this tenant has this address", theirs.unwrap_or_default())
    } else {
        let name = tenants.get(holder.tenant).map(|tenant| name_of(tenant)).unwrap_or_default();
        format!("a listener of the tenant {name} has this address")
    };
    claim.spot.refuse(&newcomer.problems, message);
}

impl<'t> Index<'t> {
    fn add(&mut self, held: Held<'t>) {
        let ground = held.ground();
        self.of_device.add((ground, held.stack.device()), held);
        self.of_any.add(ground, held);
    }

    /// The first that would meet the newcomer, and does not share with it; one of its own tenant before others.
    fn meets(&self, newcomer: &Held<'t>) -> Option<Held<'t>> {
        let ground = newcomer.ground();
        let near: Vec<_> = match newcomer.stack.device() {
            Some(device) => {
                let at = [Some(device), None];
                at.iter().flat_map(|at| self.of_device.near((ground, *at), newcomer.address)).collect()
            }
            None => self.of_any.near(ground, newcomer.address).collect(),
        };
        let meeting = near.into_iter().filter(|held| {
            meet(held.stack, newcomer.stack, transport(newcomer.protocol))
                && overlap(held.address, newcomer.address)
                && !newcomer.shares(held)
        });
        meeting.min_by_key(|held| (held.tenant != newcomer.tenant, held.tenant, held.listener)).copied()
    }
}

impl<'t, K: Copy + Eq + Hash> Addresses<'t, K> {
    fn add(&mut self, key: K, held: Held<'t>) {
        self.exact.entry((key, held.address.ip())).or_default().push(held);
        self.all.entry(key).or_default().push(held);
        if held.address.ip().is_unspecified() {
            self.wildcards.entry(key).or_default().push(held);
        }
    }

    fn near(&self, key: K, address: SocketAddr) -> impl Iterator<Item = &Held<'t>> {
        let wide = if address.ip().is_unspecified() { &self.all } else { &self.wildcards };
        self.exact.get(&(key, address.ip())).into_iter().chain(wide.get(&key)).flatten()
    }
}

impl<K> Default for Addresses<'_, K> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcards: HashMap::new(), all: HashMap::new() }
    }
}

impl<'t> Held<'t> {
    fn ground(&self) -> Ground<'t> {
        let namespace = match self.stack {
            NetworkStack::Host { .. } | NetworkStack::Vrf(_) => None,
            NetworkStack::Namespace(name) => Some(name),
        };
        (namespace, transport(self.protocol), self.address.port())
    }

    /// Whether tenants may have this address together: the server name of the handshake tells them apart. It is of the host's own
    /// network alone, since a tenant that is in one of its own is alone there.
    fn may_share(&self) -> bool {
        let is_host = match self.stack {
            NetworkStack::Host { .. } => true,
            NetworkStack::Namespace(_) | NetworkStack::Vrf(_) => false,
        };
        is_host && self.protocol == Protocol::Https && self.address.port() != 0
    }

    fn shares(&self, other: &Self) -> bool {
        self.may_share()
            && other.protocol == Protocol::Https
            && (self.stack, self.address) == (other.stack, other.address)
            && self.tenant != other.tenant
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
    a.port() == b.port() && a.port() != 0 && (is_same(a, b) || takes(a, b) || takes(b, a))
}

/// A link-local address of two links is two addresses, where both say which.
fn is_same(a: SocketAddr, b: SocketAddr) -> bool {
    let link = |address: SocketAddr| match address {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    a.ip() == b.ip() && (link(a) == link(b) || link(a) == 0 || link(b) == 0)
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
            ("[fe80::1%2]:69", "[fe80::1%2]:69", true),
            ("[fe80::1%2]:69", "[fe80::1%3]:69", false),
            ("[fe80::1%2]:69", "[fe80::1]:69", true),
            ("[::]:69", "[fe80::1%2]:69", true),
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
