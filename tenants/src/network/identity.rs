//! Which network a name means right now: the namespace's inode, or the device's index. Names can be given anew; these are
//! not, as long as a socket holds the network.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, fstat, fstatfs, open};
use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use socket2::{Domain, Socket, Type};

use super::NetworkStack;
use super::names::{DeviceName, NamespaceName};

/// The file system of namespaces (`NSFS_MAGIC` of linux/magic.h).
const NSFS: u64 = 0x6e73_6673;

/// One network, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity {
    /// That of the process.
    Host,
    /// A namespace, by the device and the inode of its file.
    Namespace(u64, u64),
    /// A device of the process's own network, by its index.
    Device(u32),
}

/// Why a tenant's network cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Nothing stands at the path, or what stands there is no namespace, as after `ip netns del`.
    #[error("there is no network namespace {namespace} ({path})")]
    NoNamespace {
        /// Its name.
        namespace: NamespaceName,
        /// The file that should stand for it.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot enter the network namespace {namespace}{}: {errno}", if_refused(*errno, " (CAP_SYS_ADMIN is needed)"))]
    Enter {
        /// Its name.
        namespace: NamespaceName,
        /// What the system said.
        errno: Errno,
    },
    /// The device is not there.
    #[error("there is no network device {0}")]
    NoDevice(DeviceName),
    /// The system refused.
    #[error(
        "cannot bind to the network device {device}{}: {errno}",
        if_refused(*errno, " (before Linux 5.7 CAP_NET_RAW is needed)")
    )]
    Bind {
        /// Its name.
        device: DeviceName,
        /// What the system said.
        errno: Errno,
    },
    /// The network is there, and the address is none of its own any more.
    #[error("{0} is no address of this network any more")]
    NoAddress(IpAddr),
    /// The name has come to mean another network than the one that the listener was bound in.
    #[error("{} is another network by now than the one that this listener was bound in", name(.0))]
    Replaced(NetworkStack),
    /// The thread that enters namespaces could not be started, or ended.
    #[error("the thread that makes sockets in namespaces is not there: {0}")]
    Thread(String),
}

impl NetworkError {
    /// Whether the network is not there, or another one has its name. The others tell of this process alone.
    pub(super) const fn is_absence(&self) -> bool {
        match self {
            Self::NoNamespace { .. } | Self::NoDevice(_) | Self::NoAddress(_) | Self::Replaced(_) => true,
            Self::Enter { .. } | Self::Bind { .. } | Self::Thread(_) => false,
        }
    }
}

impl From<NetworkError> for io::Error {
    fn from(error: NetworkError) -> Self {
        let kind = match &error {
            NetworkError::NoNamespace { .. }
            | NetworkError::NoDevice(_)
            | NetworkError::NoAddress(_)
            | NetworkError::Replaced(_) => io::ErrorKind::NotFound,
            NetworkError::Enter { errno, .. } | NetworkError::Bind { errno, .. } => errno.kind(),
            NetworkError::Thread(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl NetworkStack {
    /// Which network this is right now.
    ///
    /// # Errors
    /// - [`NetworkError`]: it is not there, or cannot be looked at
    pub fn identity(&self) -> Result<Identity, NetworkError> {
        match self {
            Self::Host { interface: None } => Ok(Identity::Host),
            Self::Host { interface: Some(device) } | Self::Vrf(device) => {
                let socket = Socket::new(Domain::IPV4, Type::DGRAM, None);
                let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
                let socket = socket.map_err(|error| refused(device, errno(error)))?;
                index(&socket, device)
            }
            Self::Namespace(name) => Ok(open_namespace(name)?.1),
        }
    }

    pub(super) fn replaced(&self) -> NetworkError {
        NetworkError::Replaced(self.clone())
    }
}

/// What a network is called in an error.
fn name(stack: &NetworkStack) -> &dyn fmt::Display {
    match stack {
        NetworkStack::Host { interface: None } => &"the host's",
        NetworkStack::Host { interface: Some(device) } | NetworkStack::Vrf(device) => device,
        NetworkStack::Namespace(name) => name,
    }
}

/// The namespace's file, open, and which one it is.
pub(super) fn open_namespace(name: &NamespaceName) -> Result<(OwnedFd, Identity), NetworkError> {
    let absent = || NetworkError::NoNamespace { namespace: name.clone(), path: name.path().to_owned() };
    let refused = |errno| match errno {
        Errno::NOENT | Errno::NOTDIR => absent(),
        errno => NetworkError::Enter { namespace: name.clone(), errno },
    };
    // What stands there may be anything: a pipe must not keep us waiting.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open(name.path(), flags, Mode::empty()).map_err(refused)?;
    // `ip netns` makes an empty file first and mounts the namespace over it then.
    let kind = fstatfs(&file).map_err(refused)?.f_type;
    if u64::try_from(kind) != Ok(NSFS) {
        return Err(absent());
    }
    let stat = fstat(&file).map_err(refused)?;
    Ok((file, Identity::Namespace(stat.st_dev, stat.st_ino)))
}

/// Binds the socket to the device, for what it sends and for what it receives.
pub(super) fn bind_device(socket: &Socket, device: &DeviceName) -> Result<Identity, NetworkError> {
    let bound = socket.bind_device(Some(device.as_str().as_bytes()));
    bound.map_err(|error| refused(device, Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    index(socket, device)
}

fn index(socket: &Socket, device: &DeviceName) -> Result<Identity, NetworkError> {
    let index = name_to_index(socket, device.as_str());
    index.map(Identity::Device).map_err(|errno| refused(device, errno))
}

/// What is missing where the system says that it may not be done.
fn if_refused(errno: Errno, missing: &'static str) -> &'static str {
    if matches!(errno, Errno::PERM | Errno::ACCESS) { missing } else { "" }
}

fn refused(device: &DeviceName, errno: Errno) -> NetworkError {
    match errno {
        Errno::NODEV | Errno::NXIO => NetworkError::NoDevice(device.clone()),
        errno => NetworkError::Bind { device: device.clone(), errno },
    }
}
