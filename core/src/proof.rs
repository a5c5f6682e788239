//! What a request has shown of who asks.

use std::sync::Arc;

use crate::mac::{Mac, Oui};

/// Everything that a request has shown, beside its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proofs {
    /// The device that the peer's certificate names, or why it names none.
    pub certificate: Result<CertificateIdentity, NoIdentity>,
    /// What the password showed.
    pub password: PasswordProof,
    /// What the secret link in the path showed.
    pub link: LinkProof,
}

/// The device that a verified certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateIdentity {
    /// The device.
    pub mac: Mac,
    /// The trust set whose anchors verified it.
    pub trust_set: Arc<str>,
}

/// Why a request has no identity from a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    /// The protocol, or this connection, has no TLS.
    #[error("the connection is not encrypted")]
    Plaintext,
    /// The peer sent none.
    #[error("no certificate was presented")]
    NotPresented,
    /// No trust set verifies it; the text says why.
    #[error("the certificate does not verify: {0}")]
    NotVerified(String),
    /// Not a certificate, or bytes behind its end.
    #[error("the certificate is malformed")]
    Malformed,
    /// The attribute that should hold the MAC is missing.
    #[error("the subject has no {0}")]
    Missing(Attribute),
    /// The attribute that should hold the MAC stands there twice.
    #[error("the subject has more than one {0}")]
    Repeated(Attribute),
    /// A NUL in the attribute.
    #[error("the subject's {0} holds a NUL")]
    Nul(Attribute),
    /// The attribute is not text.
    #[error("the subject's {0} is not text")]
    NotText(Attribute),
    /// The attribute does not match the trust set's pattern: a generic certificate, or another form.
    #[error("the subject's {0} names no MAC address")]
    NoMatch(Attribute),
    /// The attributes that match name different devices.
    #[error("the subject names more than one MAC address")]
    Disagree,
    /// The trust set may not speak for this vendor.
    #[error("the certificate authority may not speak for {0}")]
    ForeignOui(Oui),
    /// The address 000000…, which is no device.
    #[error("the certificate names no device's address")]
    NoDevice,
}

/// An attribute of a certificate's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// `commonName` (2.5.4.3).
    CommonName,
    /// `stateOrProvinceName` (2.5.4.8).
    StateOrProvince,
    /// `localityName` (2.5.4.7).
    Locality,
    /// `organizationName` (2.5.4.10).
    Organization,
    /// `organizationalUnitName` (2.5.4.11).
    OrganizationalUnit,
    /// `serialNumber` (2.5.4.5).
    SerialNumber,
}

/// What the password showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordProof {
    /// None was sent.
    Absent,
    /// One was sent, and it proves nothing.
    Wrong,
    /// A Digest of a right one was sent, for a challenge that has expired or was answered before. It proves nothing.
    Stale,
    /// Something was sent that cannot prove anything in the form that it has; the text says why.
    Unusable(String),
    /// A user's password that devices share.
    Shared(SharedPassword),
    /// The password of one device.
    Device(Mac),
}

/// A password that devices share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SharedPassword {
    /// Its user, for the operator.
    pub user: Arc<str>,
    /// Which one of the tenant's passwords it is, for reports. It decides nothing.
    pub which: u64,
}

/// What a secret link showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkProof {
    /// The path is no link.
    #[default]
    Absent,
    /// It is a link, and its token is no device's.
    Wrong,
    /// It is the link of this device.
    Device(Mac),
}

/// The proofs that name a device name different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disagreement;

impl Proofs {
    /// Nothing shown, on a connection without TLS.
    pub const fn none() -> Self {
        Self { certificate: Err(NoIdentity::Plaintext), password: PasswordProof::Absent, link: LinkProof::Absent }
    }

    /// The device that the binding proofs name: certificate, per-device password, link.
    ///
    /// # Errors
    /// - [`Disagreement`]: they name different devices
    pub fn device(&self) -> Result<Option<Mac>, Disagreement> {
        let certificate = self.certificate.as_ref().ok().map(|identity| identity.mac);
        let mut proven = [certificate, self.password.device(), self.link.device()].into_iter().flatten();
        let Some(first) = proven.next() else { return Ok(None) };
        if proven.all(|other| other == first) { Ok(Some(first)) } else { Err(Disagreement) }
    }
}

impl LinkProof {
    /// The device whose link it is.
    pub const fn device(self) -> Option<Mac> {
        match self {
            Self::Device(mac) => Some(mac),
            Self::Absent | Self::Wrong => None,
        }
    }
}

impl PasswordProof {
    /// The device whose password it is.
    pub fn device(&self) -> Option<Mac> {
        match self {
            Self::Device(mac) => Some(*mac),
            Self::Absent | Self::Wrong | Self::Stale | Self::Unusable(_) | Self::Shared(_) => None,
        }
    }

    /// Whether a password that devices share was shown.
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Shared(_) => true,
            Self::Absent | Self::Wrong | Self::Stale | Self::Unusable(_) | Self::Device(_) => false,
        }
    }

    /// Why what was sent proves nothing, for the operator. `None` where nothing was sent, or it is right.
    pub fn flaw(&self) -> Option<&str> {
        match self {
            Self::Wrong => Some("user and password are wrong"),
            Self::Stale => Some("the password was sent for a challenge that is used up"),
            Self::Unusable(why) => Some(why),
            Self::Absent | Self::Shared(_) | Self::Device(_) => None,
        }
    }

    /// Whether any valid password was shown.
    pub fn holds(&self) -> bool {
        self.is_shared() || self.device().is_some()
    }
}

/// One that no report counts.
impl From<&str> for SharedPassword {
    fn from(user: &str) -> Self {
        Self { user: user.into(), which: 0 }
    }
}

impl std::fmt::Display for Attribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CommonName => "CN",
            Self::StateOrProvince => "ST",
            Self::Locality => "L",
            Self::Organization => "O",
            Self::OrganizationalUnit => "OU",
            Self::SerialNumber => "serialNumber",
        })
    }
}

impl std::str::FromStr for Attribute {
    type Err = UnknownAttribute;

    fn from_str(text: &str) -> Result<Self, UnknownAttribute> {
        match text {
            "CN" => Ok(Self::CommonName),
            "ST" | "S" => Ok(Self::StateOrProvince),
            "L" => Ok(Self::Locality),
            "O" => Ok(Self::Organization),
            "OU" => Ok(Self::OrganizationalUnit),
            "serialNumber" => Ok(Self::SerialNumber),
            _ => Err(UnknownAttribute),
        }
    }
}

/// No attribute of a subject that may hold a MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a subject attribute: CN, ST, L, O, OU or serialNumber")]
pub struct UnknownAttribute;
