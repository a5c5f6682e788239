//! What `provost trust show` tells of a certificate.
//!
//! Facts only: the command line formats them. What a leaf would prove is asked of the common places of a MAC; the
//! places that a deployment believes stand in its trust sets.

use std::sync::LazyLock;
use std::time::SystemTime;

use provost_core::identity::{MacPlace, MacRule};
use provost_core::proof::Attribute;
use provost_core::text::escaped;
use provost_core::{Mac, NoIdentity};
use rustls::pki_types::CertificateDer;
use x509_parser::oid_registry::OidRegistry;
use x509_parser::prelude::{FromDer, RelativeDistinguishedName, X509Certificate, X509Name};

use super::anchor::is_ca;
use super::facts::{self, Fingerprint, Key, SignatureHash, oid_text};
use super::identity::{device_of, text};
use super::legacy::Legacy;

/// A certificate, described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The subject, such as `O=Polycom Inc., CN=0004F2AABBCC`. Control characters are escaped.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// The serial number, as pairs of hex digits with `:`.
    pub serial: String,
    /// The public key.
    pub key: Key,
    /// The hash of its signature.
    pub hash: SignatureHash,
    /// The version of X.509: 1, 2 or 3.
    pub version: u32,
    /// Before this time it is not valid.
    pub not_before: SystemTime,
    /// After this time it is not valid.
    pub not_after: SystemTime,
    /// Whether it says `CA:TRUE`.
    pub is_ca: bool,
    /// Whether its own key signed it.
    pub is_self_signed: bool,
    /// The SHA-256 of its DER.
    pub fingerprint: Fingerprint,
    /// What a trust set would have to tolerate to believe it as part of a chain.
    pub legacy: Vec<Legacy>,
    /// What a trust set would have to tolerate to take it as an anchor, which is less: its signature and time count for nothing.
    pub legacy_as_anchor: Vec<Legacy>,
    /// What each common place says of the device. Empty for a CA.
    pub devices: Vec<(CommonPlace, Result<Mac, NoIdentity>)>,
}

/// A place where vendors put the MAC, as a trust set's `mac` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommonPlace {
    /// The attribute.
    pub attribute: Attribute,
    /// The pattern.
    pub pattern: &'static str,
    /// Whose phones have it there.
    pub vendors: &'static str,
}

impl CommonPlace {
    /// The places, the most usual first.
    pub const ALL: [Self; 4] = [
        Self {
            attribute: Attribute::CommonName,
            pattern: "^([0-9A-Fa-f]{12})$",
            vendors: "Poly, Yealink, Grandstream, Snom, Algo, Panasonic, Gigaset",
        },
        Self {
            attribute: Attribute::StateOrProvince,
            pattern: "^([0-9A-Fa-f]{12})$",
            vendors: "Cisco SPA, MPP and ATA",
        },
        Self {
            attribute: Attribute::CommonName,
            pattern: "^CP-[0-9A-Za-z-]+-SEP([0-9A-Fa-f]{12})$",
            vendors: "Cisco enterprise phones",
        },
        Self {
            attribute: Attribute::CommonName,
            pattern: "^[0-9A-Za-z-]+, MAC: ([0-9A-Fa-f]{12}), Serial: [0-9A-Za-z]+$",
            vendors: "Cisco SPA",
        },
    ];

    /// What the place says of the device.
    ///
    /// # Errors
    /// - as [`device_of`]
    pub fn device(&self, leaf: &[u8]) -> Result<Mac, NoIdentity> {
        let known = RULES.iter().find(|(place, _)| place == self);
        known.map_or(Err(NoIdentity::NoMatch(self.attribute)), |(_, rule)| device_of(leaf, rule))
    }
}

/// The places as rules. Patterns cost a thousand times what it costs to match them.
static RULES: LazyLock<Vec<(CommonPlace, MacRule)>> = LazyLock::new(|| {
    let rule = |place: CommonPlace| {
        let at = MacPlace::new(place.attribute, place.pattern).ok()?;
        Some((place, MacRule::new(vec![at], None)))
    };
    CommonPlace::ALL.into_iter().filter_map(rule).collect()
});

impl Description {
    /// The device that the first place that names one names.
    pub fn device(&self) -> Option<(CommonPlace, Mac)> {
        self.devices.iter().find_map(|(place, device)| Some((*place, *device.as_ref().ok()?)))
    }
}

/// Describes a certificate as of `now`. `None`: it is none.
pub fn describe(certificate: &CertificateDer<'_>, now: SystemTime) -> Option<Description> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok().filter(|(rest, _)| rest.is_empty())?;
    let is_ca = is_ca(&parsed);
    let places: &[CommonPlace] = if is_ca { &[] } else { &CommonPlace::ALL };
    Some(Description {
        subject: printable_name(parsed.subject()),
        issuer: printable_name(parsed.issuer()),
        serial: parsed.raw_serial_as_string(),
        key: Key::of(&parsed),
        hash: SignatureHash::of(&parsed),
        version: parsed.version().0.saturating_add(1),
        not_before: facts::system_time(parsed.validity().not_before),
        not_after: facts::system_time(parsed.validity().not_after),
        is_ca,
        is_self_signed: facts::is_self_signed(&parsed),
        fingerprint: Fingerprint::of(certificate),
        legacy: facts::legacy(&parsed, now),
        legacy_as_anchor: facts::weaknesses(&parsed),
        devices: places.iter().map(|place| (*place, place.device(certificate))).collect(),
    })
}

/// A name as people read it, in the order in which it is encoded. Whoever made the certificate chose its characters,
/// so whatever could move a terminal's cursor is escaped.
pub(super) fn printable_name(name: &X509Name<'_>) -> String {
    let registry = OidRegistry::default().with_all_crypto().with_x509();
    let parts = name.iter_rdn().flat_map(RelativeDistinguishedName::iter).map(|item| {
        let known = registry.get(item.attr_type()).map(|entry| entry.sn().to_owned());
        let label = match known.as_deref() {
            Some("commonName") => "CN".into(),
            Some("stateOrProvinceName") => "ST".into(),
            Some("localityName") => "L".into(),
            Some("organizationName") => "O".into(),
            Some("organizationalUnit" | "organizationalUnitName") => "OU".into(),
            Some("countryName") => "C".into(),
            Some(name) => name.to_owned(),
            None => oid_text(item.attr_type()),
        };
        let value = text(item.attr_value()).map_or_else(|| "(not text)".into(), |text| escaped(&text));
        format!("{label}={value}")
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::trust::certificates_in;
    use crate::trust::testing::{Ca, RSA_1024_CA, V1_CA, self_signed};

    #[test]
    fn a_ca_and_its_leaf_are_told_apart() {
        let ca = Ca::new("Root");
        let root = describe(&ca.der(), SystemTime::now()).unwrap();
        assert_eq!((root.is_ca, root.is_self_signed, root.version), (true, true, 3));
        assert_eq!((root.key, root.hash, root.devices.len()), (Key::Ec { bits: 256 }, SignatureHash::Sha256, 0));
        let leaf = describe(&ca.leaf("CP-8841-SEP001122AABBCC").der, SystemTime::now()).unwrap();
        assert_eq!((leaf.is_ca, leaf.is_self_signed, leaf.issuer.as_str()), (false, false, "CN=Root"));
        assert_eq!(
            leaf.device().map(|(place, mac)| (place.pattern, mac.to_string())),
            Some((CommonPlace::ALL[2].pattern, "001122aabbcc".into()))
        );
        assert_eq!(
            leaf.devices.first().map(|(_, device)| device.clone()),
            Some(Err(NoIdentity::NoMatch(Attribute::CommonName)))
        );
    }

    #[test]
    fn what_would_need_legacy_is_said() {
        let describe_pem =
            |pem: &str| describe(&certificates_in(pem.as_bytes()).unwrap()[0], SystemTime::now()).unwrap();
        let v1 = describe_pem(V1_CA);
        assert_eq!((v1.version, v1.legacy.contains(&Legacy::X509v1)), (1, true));
        let short = describe_pem(RSA_1024_CA);
        assert_eq!((short.key, short.legacy), (Key::Rsa { bits: 1024 }, vec![Legacy::Rsa1024]));
        assert_eq!(short.hash, SignatureHash::Sha1, "a self-signed one's own hash needs nothing");
        let expired = describe(&Ca::expired("Old").der(), SystemTime::now()).unwrap();
        assert_eq!(expired.legacy, [Legacy::Expired]);
    }

    #[test]
    fn a_hostile_name_cannot_move_the_cursor() {
        let der = self_signed(vec![(rcgen::DnType::CommonName, "a\u{1b}[2J\0\u{202e}é".into())]);
        assert_eq!(describe(&der, SystemTime::now()).unwrap().subject, "CN=a\\u{1b}[2J\\u{0}\\u{202e}é");
    }
}
