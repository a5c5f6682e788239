//! The server's side of TLS: the names it answers to, and whom it trusts.

use std::path::Path;
use std::sync::Arc;

use provost_core::Protocol;
use rustls::pki_types::DnsName;

use super::certificates;
use super::field::Field;
use super::hints;
use super::listener::Surroundings;
use super::require::Terms;
use super::section::Section;
use crate::deployment::TlsSettings;
use crate::trust::{Legacy, TrustSet};

/// What was read: settings on https and where ftp speaks TLS, none elsewhere.
pub(super) struct Tls(pub(super) Option<TlsSettings>);

/// On an ftp listener any of them says that it speaks TLS.
const KEYS: [&str; 7] = ["certificate", "key", "ocsp", "more_certificates", "server_names", "trust", "hints"];

/// Absent where there are errors. `former` is of the same text.
pub(super) fn read(
    section: &mut Section<'_>,
    protocol: Protocol,
    terms: &Terms,
    surroundings: &Surroundings<'_>,
    former: Option<&TlsSettings>,
) -> Option<Tls> {
    match protocol {
        Protocol::Https => {}
        Protocol::Ftp if terms.certificate || KEYS.iter().chain(&["tls"]).any(|key| section.take(key).is_some()) => {}
        Protocol::Ftp => return Some(Tls(None)),
        Protocol::Http | Protocol::Tftp => {
            for key in KEYS {
                section.misplaced(key, "is of https and ftp listeners only");
            }
            return Some(Tls(None));
        }
    }
    let problems = section.problems();
    let former_certificates = former.map(|former| former.certificates.as_slice());
    let certificates = certificates::read(section, surroundings.now, former_certificates);
    let server_names = section.take("server_names").map(|field| server_names(&field)).unwrap_or_default();
    let sends_names = section.take("hints").and_then(|field| field.flag()).unwrap_or(true);
    let trust = match section.take("trust") {
        Some(field) => {
            let read = || {
                let sets = trust_sets(&field, surroundings);
                if sends_names {
                    hints::check(&sets, &field);
                }
                Some(sets)
            };
            problems.or_former(former.map(|former| former.trust.clone()), read).unwrap_or_default()
        }
        None if terms.certificate => {
            section.missing("trust", "is missing: a certificate is required, so name the trust sets that verify it");
            Vec::new()
        }
        None => Vec::new(),
    };
    let settings = TlsSettings { certificates: certificates?, server_names, trust, hints: sends_names };
    Some(Tls(Some(settings)))
}

/// Warns of a secret that every user of this machine can read.
pub(super) fn warn_readable(path: &Path, field: &Field<'_>) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o004 != 0) {
        field.warn("every user of this machine can read the file: expected mode 0600 or 0640");
    }
}

fn server_names(field: &Field<'_>) -> Vec<String> {
    let name = |item: Field<'_>| {
        let expected = "a host name, such as \"acme.prov.example.net\", or \"*.\" and one";
        let text = item.text(expected)?;
        // No peer asks for a name with a dot at its end (RFC 6066 section 3).
        if text.ends_with('.') || DnsName::try_from(text.strip_prefix("*.").unwrap_or(text)).is_err() {
            item.refuse(format!("expected {expected}"));
            return None;
        }
        Some(text.to_ascii_lowercase())
    };
    field.items().into_iter().filter_map(name).collect()
}

fn trust_sets(field: &Field<'_>, surroundings: &Surroundings<'_>) -> Vec<Arc<TrustSet>> {
    let items = field.items();
    if items.is_empty() {
        field.refuse("names no trust set");
    }
    let set = |item: &Field<'_>| {
        let name = item.text("the name of a trust set of provost.toml")?;
        item.depends_on_set(name);
        match surroundings.trust.get(name) {
            Some(Some(set)) => Some(set.clone()),
            Some(None) => {
                item.refuse(format!("[trust.{name}] in provost.toml has errors"));
                None
            }
            None => {
                let mut known: Vec<&str> = surroundings.trust.keys().map(String::as_str).collect();
                known.sort_unstable();
                item.refuse(format!("no such trust set in provost.toml, which has: {}", known.join(", ")));
                None
            }
        }
    };
    let sets: Vec<Arc<TrustSet>> = items.iter().filter_map(set).collect();
    if let Some(short) = sets.iter().find(|set| set.tolerates(Legacy::Rsa1024)) {
        field.warn(format!(
            "[trust.{}] tolerates rsa1024, so that this listener speaks TLS 1.2 alone, with the phones of every set: give such \
             phones a listener of their own where others should have TLS 1.3",
            short.name
        ));
    }
    sets
}
