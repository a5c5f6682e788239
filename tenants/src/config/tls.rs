//! The server's side of TLS: its certificate, its key, and whom it trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use provost_core::Protocol;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, DnsName, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::time::SystemTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::field::Field;
use super::listener::Surroundings;
use super::material::Seen;
use super::require::Terms;
use super::section::Section;
use crate::deployment::TlsSettings;
use crate::trust::{Legacy, TrustSet};

/// What was read: settings on https and where ftp speaks TLS, none elsewhere.
pub(super) struct Tls {
    pub(super) settings: Option<TlsSettings>,
    /// The files of its certificate and key, as they were before they were read.
    pub(super) files: Vec<(PathBuf, Seen)>,
}

/// On an ftp listener any of them says that it speaks TLS.
const KEYS: [&str; 5] = ["certificate", "key", "server_names", "trust", "hints"];

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Absent where there are errors.
pub(super) fn read(
    section: &mut Section<'_>,
    protocol: Protocol,
    terms: &Terms,
    surroundings: &Surroundings<'_>,
) -> Option<Tls> {
    section.unsupported("more_certificates");
    match protocol {
        Protocol::Https => {}
        Protocol::Ftp if terms.certificate || KEYS.iter().chain(&["tls"]).any(|key| section.take(key).is_some()) => {}
        Protocol::Ftp => return Some(Tls { settings: None, files: Vec::new() }),
        Protocol::Http | Protocol::Tftp => {
            for key in KEYS {
                section.misplaced(key, "is of https and ftp listeners only");
            }
            return Some(Tls { settings: None, files: Vec::new() });
        }
    }
    let certificate = section.need("certificate", "the PEM file of the server's certificate chain");
    let key = section.need("key", "the PEM file of the certificate's key");
    let files = [&certificate, &key].into_iter().flatten().filter(|field| field.is_text()).filter_map(Field::path);
    let files = files.map(|path| (path.clone(), Seen::at(&path))).collect();
    let pair = certificate.zip(key).and_then(|(certificate, key)| pair(&certificate, &key, surroundings.now));
    let server_names = section.take("server_names").map(|field| server_names(&field)).unwrap_or_default();
    let hints = section.take("hints").and_then(|field| field.flag()).unwrap_or(true);
    let trust = match section.take("trust") {
        Some(field) => trust_sets(&field, surroundings),
        None if terms.certificate => {
            section.missing("trust", "is missing: a certificate is required, so name the trust sets that verify it");
            Vec::new()
        }
        None => Vec::new(),
    };
    let settings = TlsSettings { certificates: vec![pair?], server_names, trust, hints };
    Some(Tls { settings: Some(settings), files })
}

fn pair(certificate: &Field<'_>, key: &Field<'_>, now: SystemTime) -> Option<Pair> {
    let chain = chain(certificate, now);
    let private = private_key(key);
    let (chain, private) = chain.zip(private)?;
    let signing = match any_supported_type(&private) {
        Ok(signing) => signing,
        Err(error) => {
            key.refuse(format!("a key that cannot be used: {error}"));
            return None;
        }
    };
    // A key that cannot tell is not accused.
    match CertifiedKey::new(chain.clone(), signing).keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Some((chain, private)),
        Err(_) => {
            key.refuse("is not the key of `certificate`");
            None
        }
    }
}

fn chain(field: &Field<'_>, now: SystemTime) -> Option<Vec<CertificateDer<'static>>> {
    let path = field.path()?;
    let chain = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| field.refuse(format!("expected a PEM file with certificates: {error}"))).ok()?;
    let Some(leaf) = chain.first() else {
        field.refuse("expected a PEM file with certificates: it holds none");
        return None;
    };
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else {
        field.refuse("the first certificate in the file is malformed");
        return None;
    };
    let validity = leaf.validity();
    if is_over(validity, now) {
        field.warn(format!("the certificate expired {}: phones that check it refuse this server", validity.not_after));
    }
    Some(chain)
}

fn private_key(field: &Field<'_>) -> Option<PrivateKeyDer<'static>> {
    let path = field.path()?;
    warn_readable(&path, field);
    let key = PrivateKeyDer::from_pem_file(&path);
    key.map_err(|error| field.refuse(format!("expected a PEM file with an unencrypted private key: {error}"))).ok()
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
        let expected = "a host name, such as \"acme.prov.example.net\"";
        let text = item.text(expected)?;
        if DnsName::try_from(text).is_err() {
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

fn is_over(validity: &x509_parser::certificate::Validity, now: SystemTime) -> bool {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).is_ok_and(|now| validity.not_after.timestamp() < now)
}
