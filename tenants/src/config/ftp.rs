//! What is of ftp listeners alone: passive ports, and how TLS comes about.

use std::ops::RangeInclusive;

use provost_core::{ProofKind, Protocol};

use super::field::Field;
use super::require::Terms;
use super::section::Section;
use crate::deployment::{FtpSettings, FtpTls};

const MODES: [(&str, FtpTls); 3] =
    [("explicit", FtpTls::Explicit), ("required", FtpTls::Required), ("implicit", FtpTls::Implicit)];

/// `tls` says whether the listener has a certificate of its own, so that sessions can be encrypted.
pub(super) fn read(section: &mut Section<'_>, protocol: Protocol, terms: &Terms, tls: bool) -> FtpSettings {
    match protocol {
        Protocol::Ftp => {}
        Protocol::Https | Protocol::Http | Protocol::Tftp => {
            for key in ["passive_ports", "passive_address", "tls"] {
                section.misplaced(key, "is of ftp listeners only");
            }
            return FtpSettings::default();
        }
    }
    let passive_ports = section.take("passive_ports").and_then(|field| ports(&field));
    let address = section.take("passive_address");
    let passive_address = address.and_then(|field| field.parsed("an address, such as \"192.0.2.1\""));
    let field = section.take("tls");
    let mode = field.as_ref().map_or_else(|| Some(FtpTls::default()), |field| field.choice(&MODES)).unwrap_or_default();
    demand(section, field.as_ref(), terms, tls.then_some(mode));
    FtpSettings { passive_ports, passive_address, tls: mode }
}

fn ports(field: &Field<'_>) -> Option<RangeInclusive<u16>> {
    let expected = "a range of ports from 1024, such as \"30000-30999\"";
    let range = range(field.text(expected)?);
    if range.is_none() {
        field.refuse(format!("expected {expected}"));
    }
    range
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
