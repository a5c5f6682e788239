//! The host that a request names (RFC 9112 section 3.2), and whether it is the one that TLS was asked for.

use std::net::Ipv6Addr;

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Version};

/// Why a request is not for this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HostError {
    /// HTTP/1.1 without one.
    #[error("the request has no Host")]
    Missing,
    /// More than one.
    #[error("the request has more than one Host")]
    Several,
    /// No name or address.
    #[error("the Host is malformed")]
    Malformed,
    /// Another host than the server name of the TLS handshake, or none of the listener's (RFC 9110 section 7.4).
    #[error("the Host is not the server name of the TLS handshake, or none of the listener's")]
    Misdirected,
}

impl HostError {
    /// A short fixed word for records.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Missing => "host_missing",
            Self::Several => "host_several",
            Self::Malformed => "host_malformed",
            Self::Misdirected => "host_misdirected",
        }
    }
}

/// Checks the host of a request. `server_name` is what the peer asked for in the TLS handshake, where it did; `is_ours` says
/// whether the listener answers to a host.
///
/// # Errors
/// - [`HostError`]
pub(super) fn check(
    request: &Parts,
    server_name: Option<&str>,
    is_ours: impl Fn(&str) -> bool,
) -> Result<(), HostError> {
    let written = written(&request.headers, request.version)?;
    // The host of an absolute-form target stands above the Host field (RFC 9112 section 3.2.2).
    let Some(host) = request.uri.host().or(written.as_ref().map(Authority::host)) else { return Ok(()) };
    match server_name {
        Some(name) if !same(name, host) => Err(HostError::Misdirected),
        _ if !is_ours(host) => Err(HostError::Misdirected),
        Some(_) | None => Ok(()),
    }
}

fn written(headers: &HeaderMap, version: Version) -> Result<Option<Authority>, HostError> {
    let mut hosts = headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else {
        return if version == Version::HTTP_10 { Ok(None) } else { Err(HostError::Missing) };
    };
    if hosts.next().is_some() {
        return Err(HostError::Several);
    }
    if host.is_empty() {
        return Ok(None);
    }
    // A user is no part of a Host (RFC 9112 section 3.2).
    if host.as_bytes().contains(&b'@') {
        return Err(HostError::Malformed);
    }
    let authority = Authority::try_from(host.as_bytes()).map_err(|_| HostError::Malformed)?;
    if is_host_and_port(&authority) { Ok(Some(authority)) } else { Err(HostError::Malformed) }
}

/// Whether it has a host and at most a port (RFC 3986 sections 3.2.2 and 3.2.3), into which [`Authority`] does not look.
fn is_host_and_port(authority: &Authority) -> bool {
    let host = authority.host();
    let literal = host.strip_prefix('[').map(|literal| literal.strip_suffix(']').unwrap_or_default());
    let is_address = |literal: &str| literal.parse::<Ipv6Addr>().is_ok() || literal.starts_with(['v', 'V']);
    let behind = authority.as_str().strip_prefix(host).unwrap_or_default();
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    literal.is_none_or(is_address) && (behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port))
}

fn same(name: &str, host: &str) -> bool {
    let plain = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    plain(name) == plain(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(version: Version, target: &str, hosts: &[&str]) -> Parts {
        let mut request = hyper::Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap_or_else(|error| panic!("{error}")).into_parts().0
    }

    #[test]
    fn hosts() {
        use HostError::{Malformed, Misdirected, Missing, Several};
        let v1 = Version::HTTP_11;
        let name = Some("acme.example.net");
        for (version, target, hosts, server_name, outcome) in [
            (v1, "/", &["acme.example.net"][..], name, Ok(())),
            (v1, "/", &["ACME.example.net:8443"], name, Ok(())),
            (v1, "/", &["acme.example.net."], name, Ok(())),
            (v1, "/", &["other.example.net"], name, Err(Misdirected)),
            (v1, "/", &["10.0.0.1"], name, Err(Misdirected)),
            (v1, "/", &["10.0.0.1"], None, Ok(())),
            (v1, "/", &["[fd00::1]:443"], None, Ok(())),
            (v1, "/", &[""], None, Ok(())),
            (v1, "/", &[], None, Err(Missing)),
            (v1, "https://acme.example.net/", &[], None, Err(Missing)),
            (v1, "/", &["a", "a"], None, Err(Several)),
            (v1, "/", &["a b"], None, Err(Malformed)),
            (v1, "/", &["a/b"], None, Err(Malformed)),
            (v1, "/", &["a:"], None, Ok(())),
            (v1, "/", &["a:8x"], None, Err(Malformed)),
            (v1, "/", &["a:-1"], None, Err(Malformed)),
            (v1, "/", &["[::1]"], None, Ok(())),
            (v1, "/", &["[::1]x"], None, Err(Malformed)),
            (v1, "/", &["[::1]:80x"], None, Err(Malformed)),
            (v1, "/", &["[zz]"], None, Err(Malformed)),
            (v1, "/", &["[::1]]"], None, Err(Malformed)),
            (v1, "https://acme.example.net/", &["other"], name, Ok(())),
            (v1, "https://other/", &["acme.example.net"], name, Err(Misdirected)),
            (Version::HTTP_10, "/", &[], name, Ok(())),
            (Version::HTTP_10, "/", &["other"], name, Err(Misdirected)),
        ] {
            assert_eq!(check(&parts(version, target, hosts), server_name, |_| true), outcome, "{target} {hosts:?}");
        }
    }
}
