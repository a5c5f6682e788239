//! Certificates as the vendors make them, and as an attacker or a careless recipe would.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, DnValue, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, date_time_ymd,
};

/// A certificate authority of one vendor.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, both as PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Another `CommonName`: rcgen keeps one value an attribute, and this spells the same OID.
fn second_common_name() -> DnType {
    DnType::CustomDnType(vec![2, 5, 4, 3])
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = subject([(DnType::OrganizationName, name), (DnType::CommonName, name)]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(parameters, key), pem }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// The key, as PEM.
    pub(crate) fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The certificate of a server on loopback.
    pub(crate) fn server(&self) -> Pair {
        self.server_with(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    /// The same with a key of this kind.
    pub(crate) fn server_with(&self, kind: &'static rcgen::SignatureAlgorithm) -> Pair {
        let mut parameters = CertificateParams::new([
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "127.0.0.2".to_owned(),
            "::1".to_owned(),
        ])
        .unwrap();
        parameters.distinguished_name = subject([(DnType::CommonName, "provost")]);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign_with(&parameters, kind)
    }

    /// Poly: `O=Polycom Inc., CN=0004F2AABBCC`. Yealink's own form has the MAC at the same place.
    pub(crate) fn common_name(&self, name: impl Into<DnValue>) -> Pair {
        let mut distinguished_name = subject([(DnType::OrganizationName, "Polycom Inc.")]);
        distinguished_name.push(DnType::CommonName, name);
        self.device(distinguished_name)
    }

    /// Cisco SPA and MPP: the MAC stands in `ST`, and again within a longer CN.
    pub(crate) fn cisco(&self, mac: &str) -> Pair {
        let mac = mac.to_uppercase();
        let common_name = format!("SPA-525G2, MAC: {mac}, Serial: CBT153908BX");
        self.device(subject([
            (DnType::StateOrProvinceName, &*mac),
            (DnType::LocalityName, "CBT153908BX"),
            (DnType::CommonName, &common_name),
        ]))
    }

    /// The generic certificate of devices that left the factory without one of their own.
    pub(crate) fn generic(&self) -> Pair {
        self.device(subject([(DnType::LocalityName, "ciscogeneric"), (DnType::CommonName, "generic device")]))
    }

    /// Two common names, of which the first is right.
    pub(crate) fn two_common_names(&self, first: &str, second: &str) -> Pair {
        self.device(subject([(DnType::CommonName, first), (second_common_name(), second)]))
    }

    pub(crate) fn expired(&self, name: &str) -> Pair {
        self.timed(name, 2006, 2016)
    }

    /// As [`Self::common_name`], valid from the first day of one year to that of the other.
    pub(crate) fn timed(&self, name: &str, from: i32, to: i32) -> Pair {
        let mut parameters = device_parameters(subject([(DnType::CommonName, name)]));
        (parameters.not_before, parameters.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        self.sign(&parameters)
    }

    /// A device with this subject.
    pub(crate) fn with_subject(&self, subject: rcgen::DistinguishedName) -> Pair {
        self.device(subject)
    }

    /// As [`Self::common_name`], with a serial number by which it can be revoked.
    pub(crate) fn numbered(&self, name: &str, serial: u64) -> Pair {
        let mut parameters = device_parameters(subject([(DnType::CommonName, name)]));
        parameters.serial_number = Some(serial.into());
        self.sign(&parameters)
    }

    /// A revocation list with these serial numbers, as PEM.
    pub(crate) fn revokes(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(2125, 1, 1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn device(&self, distinguished_name: rcgen::DistinguishedName) -> Pair {
        self.sign(&device_parameters(distinguished_name))
    }

    fn sign(&self, parameters: &CertificateParams) -> Pair {
        self.sign_with(parameters, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    fn sign_with(&self, parameters: &CertificateParams, kind: &'static rcgen::SignatureAlgorithm) -> Pair {
        let key = KeyPair::generate_for(kind).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl Pair {
    /// Writes `NAME.pem` and `NAME.key`.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.pem")), &self.certificate).unwrap();
        let key = folder.join(format!("{name}.key"));
        std::fs::write(&key, &self.key).unwrap();
        std::fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
    }
}

fn device_parameters(distinguished_name: rcgen::DistinguishedName) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = distinguished_name;
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters
}

fn subject<'a>(attributes: impl IntoIterator<Item = (DnType, &'a str)>) -> rcgen::DistinguishedName {
    let mut name = rcgen::DistinguishedName::new();
    for (attribute, value) in attributes {
        name.push(attribute, value);
    }
    name
}
