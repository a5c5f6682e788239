//! Addresses of peers and listeners, and the prefixes that stand guard over them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// The address of a peer. An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) becomes the IPv4 address that
/// it stands for here, once, so that no later comparison has to think of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddr(SocketAddr);

/// The address that a listener is bound to, or that a peer asked. A type of its own, so that it cannot be
/// swapped with a [`ClientAddr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenAddr(pub SocketAddr);

/// Whom an address stands for where peers are counted: one host has all the IPv6 addresses of its /64 (RFC 4291 section
/// 2.5.1), and one IPv4 address. It is written as the address, or as the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(IpAddr);

impl ClientAddr {
    /// Whom the address stands for.
    pub fn source(self) -> Source {
        self.ip().into()
    }

    /// The peer's address without its port.
    pub fn ip(self) -> IpAddr {
        self.0.ip()
    }

    /// The peer's address and port.
    pub fn socket(self) -> SocketAddr {
        self.0
    }
}

impl From<SocketAddr> for ClientAddr {
    fn from(address: SocketAddr) -> Self {
        Self(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(prefix) => write!(f, "{prefix}/64"),
        }
    }
}

/// A text that is no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an IPv4 address, or an IPv6 prefix of 64 bits")]
pub struct NoSource;

impl FromStr for Source {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        let address = text.strip_suffix("/64").unwrap_or(text).parse::<IpAddr>().map_err(|_| NoSource)?;
        let source = Self::from(address);
        // One way to write each: what is kept must not be read as something else.
        if source.to_string() == text { Ok(source) } else { Err(NoSource) }
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The prefixes that a source must lie in. An empty set contains nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefixes(Vec<IpNet>);

impl Prefixes {
    /// Whether `address` lies in one of the prefixes.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|prefix| prefix.contains(&address))
    }

    /// The prefixes, aggregated and sorted.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }
}

/// The IPv4 prefix that an IPv4-mapped IPv6 prefix of at least 96 bits stands for.
fn canonical(prefix: IpNet) -> IpNet {
    let IpNet::V6(v6) = prefix else { return prefix };
    let (Some(v4), Some(length)) = (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) else { return prefix };
    ipnet::Ipv4Net::new(v4, length).map_or(prefix, IpNet::V4)
}

impl FromIterator<IpNet> for Prefixes {
    fn from_iter<T: IntoIterator<Item = IpNet>>(prefixes: T) -> Self {
        Self(IpNet::aggregate(&prefixes.into_iter().map(canonical).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Prefixes {
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    }

    #[test]
    fn a_mapped_peer_is_the_ipv4_peer() {
        let mapped = ClientAddr::from("[::ffff:10.0.0.2]:5060".parse::<SocketAddr>().unwrap_or_else(|e| panic!("{e}")));
        assert_eq!(mapped.to_string(), "10.0.0.2:5060");
        assert!(prefixes(&["10.0.0.0/8"]).contains(mapped.ip()));
        assert!(prefixes(&["::ffff:10.0.0.0/104"]).contains(mapped.ip()));
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_a_64() {
        for (address, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("fd00::1:2:3:4", "fd00::/64"),
            ("fd00:0:0:1::1", "fd00:0:0:1::/64"),
        ] {
            let source = Source::from(address.parse::<IpAddr>().unwrap_or_else(|e| panic!("{e}")));
            assert_eq!(source.to_string(), expected);
            assert_eq!(expected.parse(), Ok(source));
        }
        for text in ["", "10.0.0.1/64", "fd00::", "fd00::1/64", "fd00::/48", "::ffff:10.0.0.1", "FD00::/64"] {
            assert_eq!(text.parse::<Source>(), Err(NoSource), "{text}");
        }
    }

    #[test]
    fn addresses_outside_every_prefix_are_not_contained() {
        let set = prefixes(&["10.0.0.0/8", "fd00:a::/32"]);
        for (address, inside) in
            [("10.255.0.1", true), ("11.0.0.1", false), ("fd00:a::1", true), ("fd00:b::1", false), ("::1", false)]
        {
            assert_eq!(address.parse().map(|address| set.contains(address)), Ok(inside), "{address}");
        }
        assert!(!Prefixes::default().contains(IpAddr::from([127, 0, 0, 1])));
    }
}
