//! The demo's certificates: a server's, and phones' as three vendors make them, good and bad.
//!
//! Real phones bring the certificate that their vendor put in. These stand in for them, with the MAC where each vendor
//! writes it; keys are ECDSA P-256, made anew for each demo, and of no use anywhere else.

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// The certificate of one phone.
struct Phone {
    /// The name of its files.
    file: &'static str,
    /// Whose CA signs it.
    vendor: Vendor,
    subject: &'static [(DnType, &'static str)],
}

const fn phone(file: &'static str, vendor: Vendor, subject: &'static [(DnType, &'static str)]) -> Phone {
    Phone { file, vendor, subject }
}

const POLYCOM: (DnType, &str) = (DnType::OrganizationName, "Polycom Inc.");
const YEALINK: (DnType, &str) = (DnType::OrganizationName, "Yealink");

const PHONES: [Phone; 7] = [
    phone("poly-0004f2aabbcc", Vendor::Poly, &[POLYCOM, (DnType::CommonName, "0004F2AABBCC")]),
    phone("poly-0004f2112233", Vendor::Poly, &[POLYCOM, (DnType::CommonName, "0004F2112233")]),
    phone("poly-0004f2ddeeff", Vendor::Poly, &[POLYCOM, (DnType::CommonName, "0004F2DDEEFF")]),
    phone("yealink-001565a1b2c3", Vendor::Yealink, &[YEALINK, (DnType::CommonName, "001565a1b2c3")]),
    phone(
        "cisco-708105b37234",
        Vendor::Cisco,
        &[
            (DnType::StateOrProvinceName, "708105B37234"),
            (DnType::LocalityName, "CBT153908BX"),
            (DnType::OrganizationalUnitName, "SPA-525G2"),
            (DnType::CommonName, "SPA-525G2, MAC: 708105B37234, Serial: CBT153908BX"),
        ],
    ),
    // It verifies, and names no phone.
    phone("generic", Vendor::Yealink, &[YEALINK, (DnType::CommonName, "generic")]),
    // The right name from an authority that nobody trusts.
    phone("stranger", Vendor::Stranger, &[POLYCOM, (DnType::CommonName, "0004F2AABBCC")]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vendor {
    Poly,
    Yealink,
    Cisco,
    Stranger,
}

impl Vendor {
    const ALL: [Self; 4] = [Self::Poly, Self::Yealink, Self::Cisco, Self::Stranger];

    const fn authority(self) -> &'static str {
        match self {
            Self::Poly => "Demo CA in place of Poly's",
            Self::Yealink => "Demo CA in place of Yealink's",
            Self::Cisco => "Demo CA in place of Cisco's",
            Self::Stranger => "A CA that nobody trusts",
        }
    }

    /// Where its CA certificate goes, where a tenant trusts it.
    const fn anchor(self) -> Option<&'static str> {
        match self {
            Self::Poly => Some("trust/poly/ca.pem"),
            Self::Yealink => Some("trust/yealink/ca.pem"),
            Self::Cisco => Some("trust/cisco/ca.pem"),
            Self::Stranger => None,
        }
    }
}

/// Writes the server's certificate, the vendors' authorities and the phones' certificates below `dir`.
pub(super) fn write(dir: &Path) -> anyhow::Result<()> {
    write_server(dir)?;
    for vendor in Vendor::ALL {
        let issuer = authority(vendor.authority())?;
        if let Some(anchor) = vendor.anchor() {
            store(&dir.join(anchor), &issuer.pem(), Reader::Everyone)?;
        }
        for phone in PHONES.iter().filter(|phone| phone.vendor == vendor) {
            let mut params = params(phone.subject);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            write_leaf(&dir.join("phones"), phone.file, &params, &issuer)?;
        }
    }
    Ok(())
}

fn write_server(dir: &Path) -> anyhow::Result<()> {
    let issuer = authority("Provost demo server CA")?;
    store(&dir.join("tls/ca.pem"), &issuer.pem(), Reader::Everyone)?;
    let mut params = params(&[(DnType::CommonName, "Provost demo")]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into().context("cannot name the server")?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))),
    ];
    write_leaf(&dir.join("tls"), "server", &params, &issuer)
}

fn authority(name: &str) -> anyhow::Result<Issuer> {
    let mut params = params(&[(DnType::CommonName, name)]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().context("cannot make a key")?;
    CertifiedIssuer::self_signed(params, key).with_context(|| format!("cannot make the authority `{name}`"))
}

fn params(subject: &[(DnType, &str)]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (attribute, value) in subject {
        params.distinguished_name.push(attribute.clone(), *value);
    }
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2044, 1, 1);
    params
}

fn write_leaf(folder: &Path, name: &str, params: &CertificateParams, issuer: &Issuer) -> anyhow::Result<()> {
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate =
        params.signed_by(&key, issuer).with_context(|| format!("cannot make the certificate `{name}`"))?;
    store(&folder.join(format!("{name}.pem")), &certificate.pem(), Reader::Everyone)?;
    store(&folder.join(format!("{name}.key")), &key.serialize_pem(), Reader::Owner)
}

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy)]
enum Reader {
    Everyone,
    Owner,
}

fn store(path: &Path, text: &str, reader: Reader) -> anyhow::Result<()> {
    let mode = match reader {
        Reader::Everyone => 0o644,
        Reader::Owner => 0o600,
    };
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
