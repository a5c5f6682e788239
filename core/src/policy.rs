//! What a tenant and a listener have laid down, as far as a decision asks for it.

use std::fmt;

use crate::address::{ClientAddr, Prefixes};
use crate::mac::Mac;
use crate::path::{PathError, RequestPath, Strip};
use crate::require::{Alternative, Exception, ProofKind, Require};
use crate::rules::RuleSet;

/// A protocol that a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1 over TLS (RFC 9112, RFC 8446).
    Https,
    /// HTTP/1.1 without TLS.
    Http,
    /// TFTP (RFC 1350).
    Tftp,
    /// FTP (RFC 959).
    Ftp,
}

/// What a request wants of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The file's bytes, or what says that it is there: GET, HEAD, RRQ, RETR, SIZE, MDTM.
    Read,
    /// To store it: PUT, WRQ, STOR, APPE.
    Write,
}

/// Which devices a tenant serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DevicePolicy {
    /// Those of its inventory.
    #[default]
    Listed,
    /// Every device that is not blocked.
    Any,
}

/// What an inventory says of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeviceRow {
    /// It is refused everything.
    pub blocked: bool,
    /// It must prove itself by certificate, and is served in no other way.
    pub pinned: bool,
}

/// A tenant's devices.
pub trait Inventory: Send + Sync {
    /// What is said of `mac`; `None` where it is not listed.
    fn find(&self, mac: Mac) -> Option<DeviceRow>;
}

/// Whether an `own` file is read without a proof that names its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbound {
    /// Never.
    Refuse,
    /// Where the device is listed.
    Listed,
}

/// Whether an `own` file is written without a proof that names its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnboundWrite {
    /// Never.
    Nobody,
    /// Logs of listed devices.
    Logs,
    /// Whatever the rules allow a listed device.
    Listed,
}

/// What a decision asks of the tenant.
#[derive(Debug, Clone)]
pub struct TenantPolicy {
    /// The tenant's name.
    pub name: String,
    /// Whether it is served at all.
    pub enabled: bool,
    /// The prefixes of its phones; absent where no listener relies on them.
    pub allow: Option<Prefixes>,
    /// Prefixes cut from every path.
    pub strip: Strip,
    /// Its rules, then the built-in ones.
    pub rules: RuleSet,
    /// Which devices it serves.
    pub devices: DevicePolicy,
}

/// What a decision asks of the listener.
#[derive(Debug, Clone)]
pub struct ListenerPolicy {
    /// The listener's name, one of a kind in its tenant.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Whether it is served at all.
    pub enabled: bool,
    /// Narrows the tenant's prefixes.
    pub allow: Option<Prefixes>,
    /// What a request must show.
    pub require: Require,
    /// Reading own files without a binding proof.
    pub unbound: Unbound,
    /// Writing own files without a binding proof.
    pub unbound_write: UnboundWrite,
    /// Devices that cannot do what `require` says.
    pub exceptions: Vec<Exception>,
}

impl Protocol {
    /// The default of a listener's `unbound`.
    pub const fn default_unbound(self) -> Unbound {
        match self {
            Self::Https => Unbound::Refuse,
            Self::Http | Self::Tftp | Self::Ftp => Unbound::Listed,
        }
    }

    /// The default of a listener's `require`.
    pub fn default_require(self) -> Require {
        let kind = match self {
            Self::Https => ProofKind::Certificate,
            Self::Http | Self::Tftp | Self::Ftp => ProofKind::Address,
        };
        Require::from_iter([Alternative::from(kind)])
    }

    /// The name as the configuration spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Tftp => "tftp",
            Self::Ftp => "ftp",
        }
    }
}

impl TenantPolicy {
    /// Reads a path as a peer of this tenant sent it.
    ///
    /// # Errors
    /// - as [`RequestPath::parse`]
    pub fn path(&self, raw: &[u8]) -> Result<RequestPath, PathError> {
        RequestPath::parse(raw, &self.strip)
    }

    pub(crate) fn admits(&self, client: ClientAddr) -> bool {
        self.allow.as_ref().is_none_or(|prefixes| prefixes.contains(client.ip()))
    }
}

impl ListenerPolicy {
    /// The report-only exception that a request passes by, where nothing else lets it pass: `named` is the device in the path,
    /// `bound` that of the per-device password or link.
    pub fn reporting(&self, named: Option<Mac>, bound: Option<Mac>) -> Option<&Exception> {
        self.exceptions.iter().find(|exception| exception.report_only && exception.covers(named, bound))
    }

    /// Whether its requirement, or that of an exception, has this proof in some alternative.
    pub fn mentions(&self, kind: ProofKind) -> bool {
        let exceptions = self.exceptions.iter().map(|exception| &exception.require);
        std::iter::once(&self.require).chain(exceptions).any(|require| require.mentions(kind))
    }

    /// Whether a password that devices share opens anything that is shut without it.
    pub fn gains_by_shared_password(&self) -> bool {
        let by_address = self.require.iter().any(Alternative::is_address_alone);
        let reads = match self.unbound {
            Unbound::Refuse => by_address,
            Unbound::Listed => false,
        };
        reads || self.mentions(ProofKind::Password)
    }

    pub(crate) fn admits(&self, client: ClientAddr) -> bool {
        self.allow.as_ref().is_none_or(|prefixes| prefixes.contains(client.ip()))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}
