//! Certificates for the tests of this module, the bad ones too.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    DnValue, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

/// A CA of version 1, as old Grandstream phones have.
pub(super) const V1_CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBGTCBvwIUGk7XxFLMmFXdcggVOSMFo2B/aQAwCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDVlBOMCAXDTI2MTEyMTAxNTk0MloYDzIxMjYxMDI4MDE1OTQyWjAOMQww
CgYDVQQDDANWUE4wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARsfmeE9Wo4wNIp
NCJTgpeHzptmi1Ndl5WgmPHUa6vxPlZVmi3rVEWxuR0YiIiTujYAXYaBaXiuTs/v
DkuWQ6KHMAoGCCqGSM49BAMCA0kAMEYCIQC8ohNzFJoiXglMju/xVsJmwXiP7aGz
vQCltsvIuTPN+AIhAP/0WjQ+33Rxmu/MPMGqzspzh0OrMvvVa4q6xJA5QYPR
-----END CERTIFICATE-----
";

/// A phone of version 1 that a CA of the same name issued.
pub(super) const V1_LEAF: &str = "\
-----BEGIN CERTIFICATE-----
MIIBITCByAIUMvPVubUWMPea9NBWPKqnMZ0ben0wCgYIKoZIzj0EAwIwDjEMMAoG
A1UEAwwDVlBOMCAXDTI2MTEyMTA0NTMyOFoYDzIxMjUwNjE1MDQ1MzI4WjAXMRUw
EwYDVQQDDAwwMDBiODJhYWJiY2MwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ1
PH6xfu71MseVCij1RNrbrJHt4GsW6qNXsQEn5q+D+AK94NnIvVfk3UjJNHcEV4Gr
5s0P+h5OfMPH++UVIUfHMAoGCCqGSM49BAMCA0gAMEUCIHj7SJ4amq3WHDEYGHw2
Xfxp+jDzAky3vLu57b4MEr8OAiEAiubTxuXXRjiYgdd5Cu+59JpRIRXOL07Cbd80
BOlMI0o=
-----END CERTIFICATE-----
";

/// A self-signed CA with RSA-1024 and SHA-1.
pub(super) const RSA_1024_CA: &str = "\
-----BEGIN CERTIFICATE-----
MIICDjCCAXegAwIBAgIUdnkQX3VFUorkj7w4f6Ej+n/cew0wDQYJKoZIhvcNAQEF
BQAwGDEWMBQGA1UEAwwNT2xkIFZlbmRvciBDQTAgFw0yNjExMjEwMTU5NDJaGA8y
MTI2MTAyODAxNTk0MlowGDEWMBQGA1UEAwwNT2xkIFZlbmRvciBDQTCBnzANBgkq
hkiG9w0BAQEFAAOBjQAwgYkCgYEAvL87hTOKR908ZnjdrCYVVyyeKsU0AJe+Sm7s
RFOZzT9Jz+dK+G+bx5pYhUaVYWjtAA7Bn/mWFlnP56CWfHjnDrTvp2S5uSmGeVJE
TQAbLj7HPHhOazrZDmnhJR1K90nNhqBylevwp+P1ZVMdJX9to4aILu8lBSCKONLv
Lgy1dzcCAwEAAaNTMFEwHQYDVR0OBBYEFPAuIKxKPQH9ONm3+UskaZCX+sewMB8G
A1UdIwQYMBaAFPAuIKxKPQH9ONm3+UskaZCX+sewMA8GA1UdEwEB/wQFMAMBAf8w
DQYJKoZIhvcNAQEFBQADgYEAhnnw3xOwYabZp5sfaezKvMfvDWlOif2kotzmlDs8
lRDSh3j2a5Wj6UaixuDGQTEgXGTZ3bHuq9rsGbky9NP3W1/E9tNOdiM6h4xJQX4n
8bNjE5xKu3DRC73gerOxeto2vEK+davmhO3i1PBrW4IUeqO+gjiobirKyKKLuEYO
ZYg=
-----END CERTIFICATE-----
";

pub(super) struct Ca(CertifiedIssuer<'static, KeyPair>);

pub(super) struct Leaf {
    pub(super) der: CertificateDer<'static>,
}

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(ca_params(name), KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn expired(name: &str) -> Self {
        let mut params = ca_params(name);
        params.not_after = date_time_ymd(2020, 1, 1);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn intermediate(&self, name: &str) -> Self {
        Self(CertifiedIssuer::signed_by(ca_params(name), KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    pub(super) fn leaf(&self, name: &str) -> Leaf {
        let params = params(vec![(DnType::CommonName, name.into())]);
        Leaf { der: params.signed_by(&KeyPair::generate().unwrap(), &self.0).unwrap().der().clone() }
    }

    pub(super) fn crl(&self, serials: &[u64]) -> CertificateRevocationListDer<'static> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2025, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().der().clone()
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(super) fn key_pem(&self) -> String {
        self.0.key().serialize_pem()
    }
}

/// A self-signed leaf with this subject and no other.
pub(super) fn self_signed(subject: Vec<(DnType, DnValue)>) -> CertificateDer<'static> {
    params(subject).self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn params(subject: Vec<(DnType, DnValue)>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in subject {
        params.distinguished_name.push(kind, value);
    }
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(vec![(DnType::CommonName, name.into())]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
