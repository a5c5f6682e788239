//! What a configuration makes: tenants with everything that is theirs.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use provost_core::{ListenerPolicy, Prefixes, TenantPolicy};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{Basis, Failed, Holds, Memory, NamedFolder, Sights};
use crate::devices::Devices;
use crate::files::Files;
use crate::guard::Guard;
use crate::limits::Limits;
use crate::network::NetworkStack;
use crate::passwords::Algorithm;
use crate::staple::Staple;
use crate::trust::TrustSet;
use crate::uploads::Uploads;
use crate::users::{Users, today};

/// Everything that one process serves.
#[derive(Debug)]
pub struct Deployment {
    /// What is not of one tenant.
    pub settings: Settings,
    /// The tenants that loaded, by name.
    pub tenants: Vec<Arc<Tenant>>,
    /// What the next load need not read again.
    pub memory: Memory,
}

/// What is not of one tenant.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where uploads and other state live.
    pub state: PathBuf,
    /// How records are written.
    pub log: LogFormat,
    /// Where the running server takes commands; none where it is absent.
    pub admin_socket: Option<PathBuf>,
    /// Where metrics are told, in the host's network; none where it is absent.
    pub metrics: Option<SocketAddr>,
    /// How long requests under way may take to end once the server is told to. Default 30 s.
    pub drain: Duration,
    /// What is kept of files in memory for all transfers together, in bytes. Default 32 MiB.
    pub cache_bytes: usize,
    /// What bounds connections that have no tenant yet.
    pub arrivals: Arrivals,
}

impl Tenant {
    /// Why its devices are not those of its configuration; nothing where they are.
    pub fn device_errors(&self) -> Vec<String> {
        let mut errors = self.devices.errors();
        if self.source.has_former_devices {
            errors.push(format!(
                "{}: [devices] would lose more than a tenth of the devices: `provost reload --accept-removals` takes that",
                self.source.file.display()
            ));
        }
        errors
    }
}

impl Settings {
    /// The default of [`Settings::cache_bytes`].
    pub const CACHE_BYTES: usize = 32 * 1024 * 1024;
}

/// What bounds the connections to one address that have no tenant yet: those of an address that tenants share, before their
/// `ClientHello`, and those of proxies before their header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrivals {
    /// How many at once. Default 4,096.
    pub connections: usize,
    /// How many of one address; of IPv6 all addresses of a /64 are one. Proxies are exempt. Default 1,024.
    pub connections_per_address: usize,
    /// Until the header of a proxy is complete, and then until the `ClientHello` is. Default 3 s.
    pub client_hello: Duration,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { connections: 4096, connections_per_address: 1024, client_hello: Duration::from_secs(3) }
    }
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One line of `key=value` a record.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// One enterprise.
#[derive(Debug)]
pub struct Tenant {
    /// What decisions ask.
    pub policy: TenantPolicy,
    /// Where its sockets are made.
    pub network: NetworkStack,
    /// What the operator provides for its phones.
    pub files: Files,
    /// What its phones sent.
    pub uploads: Arc<Uploads>,
    /// Its phones.
    pub devices: Arc<Devices>,
    /// Passwords that its phones share.
    pub users: Users,
    /// How its phones reach it.
    pub listeners: Vec<Arc<Listener>>,
    /// What bounds its peers.
    pub limits: Limits,
    /// What keeps its sources from trying out addresses of devices.
    pub guard: Guard,
    /// What it was read from.
    pub source: Source,
}

impl Tenant {
    /// Whether it is the enterprise that a former tenant of its name was, by its file or by what its phones read. Names may be swapped or
    /// given to somebody else; nothing of a former tenant, neither devices nor connections, is for another enterprise then.
    pub fn succeeds(&self, former: &Self) -> bool {
        former.may_become(&self.source.file, Some(self.files.root()))
    }

    /// The same of one that is not made yet.
    pub(crate) fn may_become(&self, file: &Path, root: Option<&Path>) -> bool {
        self.source.file == file || root == Some(self.files.root())
    }
}

/// What a tenant was read from, to know it again when everything is read anew.
#[derive(Clone, Default)]
pub struct Source {
    /// The tenant's file.
    pub file: PathBuf,
    /// A digest of all that makes the tenant: its file and provost.toml, certificates, keys, trust sets and passwords. Its
    /// devices are not among them; they change by themselves.
    pub digest: [u8; 32],
    /// A digest of what all that says, whatever else stands in provost.toml, and however it is written.
    pub(crate) meaning: [u8; 32],
    /// The text of its file. Passwords stand in it.
    pub(crate) text: Arc<str>,
    /// What its file was laid over; absent where it was not loaded.
    pub(crate) basis: Option<Arc<Basis>>,
    /// The folders that its phones read.
    pub(crate) folders: Arc<[NamedFolder]>,
    /// What was there of the other files, and of those of its trust sets.
    pub(crate) sights: Arc<Sights>,
    pub(crate) sets: Vec<Arc<Sights>>,
    /// Whether its devices are of a former configuration, so that the present one is to be asked again.
    pub(crate) has_former_devices: bool,
    /// What no other tenant may have as long as it is served.
    pub(crate) holds: Holds,
}

/// One protocol on one address.
#[derive(Debug)]
pub struct Listener {
    /// What decisions ask.
    pub policy: ListenerPolicy,
    /// Where it listens; port 0 lets the system pick one.
    pub address: SocketAddr,
    /// Present on https, and on ftp listeners that speak TLS.
    pub tls: Option<TlsSettings>,
    /// How peers come to it, on https and http.
    pub arrival: Arrival,
    /// What is of ftp alone.
    pub ftp: FtpSettings,
    /// What is of tftp alone.
    pub tftp: TftpSettings,
}

/// How peers come to an https or http listener.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    /// Whose they are where they name no host that anybody at the address has.
    pub unnamed: Unnamed,
    /// Proxies that say before anything else whose connection they pass on.
    pub proxies: Option<Prefixes>,
}

/// What becomes of peers that name no host, or one that nobody at the address has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unnamed {
    /// They are refused, but for those that name none where the listener has the address for itself.
    #[default]
    Refused,
    /// The listener takes them.
    Ours,
}

impl Settings {
    /// What of `wanted` counts from the next start alone, by its key in provost.toml, where the server began with these; nothing
    /// where it is the same.
    pub fn pending(&self, wanted: &Self) -> Vec<&'static str> {
        let Self { state, log, admin_socket, metrics, drain, cache_bytes, arrivals: _ } = self;
        let pending = [
            ("state", *state != wanted.state),
            ("[admin]", *admin_socket != wanted.admin_socket || *metrics != wanted.metrics),
            ("[log]", *log != wanted.log),
            ("[serve]", *drain != wanted.drain || *cache_bytes != wanted.cache_bytes),
        ];
        pending.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }

    /// Makes the state folder, for this process's user alone, where it is missing. Loading a configuration changes
    /// nothing on the disk; a server calls this before it serves.
    ///
    /// # Errors
    /// - what the system says of the folder
    pub fn create_state(&self) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.state)
    }

    /// Folders of the state in which this process cannot write, each with the reason; none where it can. Those that are not there yet
    /// are made when they are needed. It changes nothing, and blocks.
    pub fn unwritable(&self, tenants: &[Arc<Tenant>]) -> Vec<String> {
        let uploads = self.state.join("uploads");
        let of_tenants = tenants.iter().map(|tenant| uploads.join(&tenant.policy.name));
        let inside = [uploads.clone(), self.state.join("guard")].into_iter().chain(of_tenants);
        let access = |folder: &Path| {
            let wanted = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
            accessat(CWD, folder, wanted, AtFlags::EACCESS).err()
        };
        let told = |folder: &Path, error: Errno| {
            let error = std::io::Error::from(error);
            format!("{}: this process cannot write there, so that uploads fail: {error}", folder.display())
        };
        if let Some(error) = access(&self.state) {
            return vec![told(&self.state, error)];
        }
        let failed = |folder: PathBuf| {
            let error = access(&folder).filter(|error| *error != Errno::NOENT)?;
            Some(told(&folder, error))
        };
        inside.filter_map(failed).collect()
    }

    /// Folders that hold uploads under a name that no tenant has: whoever is given that name later has them. While the name of a tenant
    /// cannot be read none is told, for it may be its. It blocks.
    pub fn abandoned(&self, tenants: &[Arc<Tenant>], failed: &[Failed]) -> Vec<PathBuf> {
        let failed: Option<Vec<&str>> = failed.iter().map(|failed| failed.name.as_deref()).collect();
        let Some(failed) = failed else { return Vec::new() };
        let names: HashSet<&OsStr> =
            tenants.iter().map(|tenant| tenant.policy.name.as_str()).chain(failed).map(OsStr::new).collect();
        let has_some = |folder: &PathBuf| std::fs::read_dir(folder).is_ok_and(|mut inside| inside.next().is_some());
        let entries = std::fs::read_dir(self.state.join("uploads")).into_iter().flatten().flatten();
        let others = entries.filter(|entry| !names.contains(entry.file_name().as_os_str())).map(|entry| entry.path());
        let mut abandoned: Vec<PathBuf> = others.filter(has_some).collect();
        abandoned.sort();
        abandoned
    }
}

/// What is of tftp listeners alone.
#[derive(Debug, Clone, Default)]
pub struct TftpSettings {
    /// The ports that transfers answer from.
    pub transfer_ports: TransferPorts,
    /// Which number a block has behind 65,535.
    pub rollover: Rollover,
}

/// The ports that transfers of TFTP answer from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TransferPorts {
    /// One that the system picks for each (RFC 1350 section 4).
    #[default]
    Any,
    /// One of these for each.
    Among(RangeInclusive<u16>),
    /// The listening port for all: some firewalls let nothing else pass.
    Listening,
}

/// Which number a block of TFTP has behind 65,535: no RFC says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rollover {
    /// 0, as almost every client counts.
    #[default]
    Zero,
    /// 1.
    One,
}

/// What is of ftp listeners alone.
#[derive(Debug, Clone, Default)]
pub struct FtpSettings {
    /// The ports of passive data connections; the system picks one where they are absent.
    pub passive_ports: Option<RangeInclusive<u16>>,
    /// The address that PASV tells the peer for them, where it differs from the one that it reached (NAT).
    pub passive_address: Option<Ipv4Addr>,
    /// How TLS comes about, where the listener has it.
    pub tls: FtpTls,
}

/// How a session of FTP comes to be encrypted (RFC 4217).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FtpTls {
    /// The peer may ask for it by AUTH TLS.
    #[default]
    Explicit,
    /// The peer has to, before it logs in; data connections are encrypted, too.
    Required,
    /// Every connection begins with a handshake; data connections are encrypted, too.
    Implicit,
}

impl Tenant {
    /// Those of its listeners that are meant to listen.
    pub fn enabled_listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.listeners.iter().filter(|listener| self.policy.enabled && listener.policy.enabled)
    }

    /// The algorithms of which a password of it can answer a Digest, the better first.
    pub fn digests(&self) -> impl Iterator<Item = Algorithm> {
        let today = today();
        let can = move |algorithm: &Algorithm| {
            self.users.can_digest(*algorithm, today) || self.devices.can_digest(*algorithm)
        };
        [Algorithm::Sha256, Algorithm::Md5].into_iter().filter(can)
    }

    /// How many revocation lists of the trust sets that its listeners name should have been followed by another one before `now`.
    pub fn overdue_lists(&self, now: SystemTime) -> usize {
        let mut sets: Vec<&Arc<TrustSet>> =
            self.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| &tls.trust).collect();
        sets.sort_by(|one, other| one.name.cmp(&other.name));
        sets.dedup_by(|one, other| one.name == other.name);
        sets.iter().flat_map(|set| &set.crls).filter(|list| list.is_overdue(now)).count()
    }
}

impl Source {
    /// Whether the same would be made of the other.
    pub fn is(&self, other: &Self) -> bool {
        self.file == other.file && self.digest == other.digest
    }

    /// Whether the other says the same, be it in other words.
    pub fn means(&self, other: &Self) -> bool {
        self.meaning == other.meaning
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Listener {
    /// What it shows of itself.
    pub fn certificates(&self) -> &[Arc<ServerCertificate>] {
        self.tls.as_ref().map(|tls| tls.certificates.as_slice()).unwrap_or_default()
    }

    /// The trust sets of its phones.
    pub fn trust(&self) -> &[Arc<TrustSet>] {
        self.tls.as_ref().map(|tls| tls.trust.as_slice()).unwrap_or_default()
    }
}

impl TlsSettings {
    /// Whether the other is the same in everything that a session was granted on. Staples are not among that.
    pub fn is(&self, other: &Self) -> bool {
        let pairs = |settings: &Self| -> Vec<_> {
            let pairs = settings.certificates.iter();
            pairs.map(|pair| (pair.chain.clone(), pair.key.secret_der().to_vec())).collect()
        };
        let trusts = |(a, b): (&Arc<TrustSet>, &Arc<TrustSet>)| Arc::ptr_eq(a, b) || a.is(b);
        pairs(self) == pairs(other)
            && self.server_names == other.server_names
            && self.hints == other.hints
            && self.trust.len() == other.trust.len()
            && self.trust.iter().zip(&other.trust).all(trusts)
    }
}

/// The server's side of TLS, and whom it trusts.
#[derive(Debug)]
pub struct TlsSettings {
    /// The server's certificates, in the operator's order.
    pub certificates: Vec<Arc<ServerCertificate>>,
    /// Names the listener answers to; empty for any.
    pub server_names: Vec<String>,
    /// The trust sets of its phones.
    pub trust: Vec<Arc<TrustSet>>,
    /// Whether the names of the trust sets' CAs are sent to the phone.
    pub hints: bool,
}

/// A certificate of the server.
#[derive(Debug)]
pub struct ServerCertificate {
    /// Its chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// From when until when its leaf is valid.
    pub valid: RangeInclusive<SystemTime>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// What says that it is not revoked: sent along as long as it counts.
    pub staple: Option<Staple>,
    /// Why the staple that the operator named is of no use.
    pub staple_flaw: Option<String>,
}

impl ServerCertificate {
    /// Why phones that verify it refuse it at `now`, in words; nothing where they need not.
    pub fn flaw_at(&self, now: SystemTime) -> Option<String> {
        let (from, until) = self.valid.clone().into_inner();
        if now < from {
            return Some(format!("is not valid before {}", shown(from)));
        }
        (now > until).then(|| format!("expired at {}", shown(until)))
    }
}

fn shown(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| format!("{time:?}"), |time| format!("{time:.0}"))
}
