//! What is of ftp listeners alone: passive ports, and how TLS comes about.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use provost_core::{ProofKind, Protocol};

use super::field::Field;
use super::require::Terms;
use super::section::Section;
use crate::deployment::{FtpSettings, FtpTls};

const MODES: [(&str, FtpTls); 3] =
    [("explicit", FtpTls::Explicit), ("required", FtpTls::Required), ("implicit", FtpTls::Implicit)];

/// `at` is the listener's address, where it can be read; `tls` says whether it has a certificate of its own, so that sessions can be
/// encrypted.
pub(super) fn read(
    section: &mut Section<'_>,
    protocol: Protocol,
    at: Option<SocketAddr>,
    terms: &Terms,
    tls: bool,
) -> FtpSettings {
    match protocol {
        Protocol::Ftp => {}
        Protocol::Https | Protocol::Http | Protocol::Tftp => {
            for key in ["passive_ports", "passive_address", "tls"] {
                section.misplaced(key, "is of ftp listeners only");
            }
            return FtpSettings::default();
        }
    }
    let passive_ports = section.take("passive_ports").and_then(|field| ports(&field, at));
    let passive_address = section.take("passive_address").and_then(|field| told(&field, at));
    let field = section.take("tls");
    let mode = field.as_ref().map_or_else(|| Some(FtpTls::default()), |field| field.choice(&MODES)).unwrap_or_default();
    demand(section, field.as_ref(), terms, tls.then_some(mode));
    FtpSettings { passive_ports, passive_address, tls: mode }
}

fn ports(field: &Field<'_>, at: Option<SocketAddr>) -> Option<RangeInclusive<u16>> {
    let expected = "a range of ports from 1024, such as \"30000-30999\"";
    let range = range(field.text(expected)?);
    match &range {
        None => field.refuse(format!("expected {expected}")),
        Some(range) if at.is_some_and(|at| *range == (at.port()..=at.port())) => {
            field.refuse("the listener itself has that port: expected others, too");
        }
        Some(_) => {}
    }
    range
}

/// The address that PASV tells: phones are to reach it. EPSV, which IPv6 has alone, tells none (RFC 2428 section 3).
fn told(field: &Field<'_>, at: Option<SocketAddr>) -> Option<Ipv4Addr> {
    let expected = "an IPv4 address that phones reach, such as \"192.0.2.1\"";
    let told: Ipv4Addr = field.parsed(expected)?;
    if told.is_unspecified() || told.is_multicast() || told.is_broadcast() {
        field.refuse(format!("expected {expected}"));
    }
    // At `[::]` phones come by IPv4, too.
    let by_ipv6_alone = |at: SocketAddr| match at.ip().to_canonical() {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => !ip.is_unspecified(),
    };
    if at.is_some_and(by_ipv6_alone) {
        field.warn("is without effect: the listener is at an IPv6 address, and EPSV tells none");
    }
    Some(told)
}

/// A range of ports that need no privilege.
pub(super) fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let range = first.trim().parse().ok().zip(last.trim().parse().ok());
    range.filter(|(first, last)| first <= last && *first >= 1024).map(|(first, last)| first..=last)
}

/// What may come without TLS must not need it, and a password that does can be read on the way.
fn demand(section: &Section<'_>, field: Option<&Field<'_>>, terms: &Terms, mode: Option<FtpTls>) {
    let ask = "expected \"required\" or \"implicit\"";
    match mode {
        Some(FtpTls::Required | FtpTls::Implicit) => return,
        Some(FtpTls::Explicit) if terms.require.mentions(ProofKind::Certificate) && !terms.excepts_certificate() => {
            let why = "a certificate is required, which comes with TLS alone";
            match field {
                Some(field) => field.refuse(format!("{why}: {ask}")),
                None => section.missing("tls", format!("is missing: {why}: {ask}")),
            }
            return;
        }
        Some(FtpTls::Explicit) | None => {}
    }
    if terms.mentions(ProofKind::Password) {
        let how = if mode.is_some() { "`tls = \"required\"`" } else { "a `certificate`, and `tls = \"required\"`" };
        section.warn(format!("a password that comes without TLS can be read on the way; {how} keeps it from that"));
    }
}
