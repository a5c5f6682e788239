//! Sockets that the service manager made and passes on (`sd_listen_fds(3)`). It keeps them open while the server is started
//! anew, so that whoever connects in between waits and is not refused.
//!
//! They belong to the host's network. A socket is for the listener of its address, transport and device; which unit it
//! comes from and what it is called decides nothing. One that was made in another network namespace serves nobody: its
//! address would be another tenant's.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{env, fmt, fs, process};

use listenfd::ListenFd;
use rustix::fs::fstat;
use socket2::Socket;

use super::NetworkStack;

/// Where the kernel lists the sockets of the process's own network namespace.
const TABLES: [&str; 4] = ["/proc/self/net/tcp", "/proc/self/net/tcp6", "/proc/self/net/udp", "/proc/self/net/udp6"];
/// The column of a socket's inode in such a table (proc(5)).
const INODE: usize = 9;

/// The passed sockets that no listener has taken. Clones mean the same ones.
#[derive(Debug, Clone, Default)]
pub struct Passed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    free: Vec<Arc<PassedSocket>>,
    /// What cannot serve any listener, told once.
    useless: Vec<String>,
}

/// A socket that was passed: bound, and for streams listening.
#[derive(Debug)]
pub struct PassedSocket {
    name: String,
    socket: Socket,
    address: SocketAddr,
    transport: Transport,
    device: Option<Vec<u8>>,
}

/// What a socket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Stream,
    /// UDP.
    Datagram,
}

/// Why a passed socket cannot serve any listener.
#[derive(Debug, thiserror::Error)]
enum Useless {
    #[error("it is no TCP or UDP socket")]
    AnotherKind,
    #[error("it does not listen (a unit with `Accept=yes`?)")]
    DoesNotListen,
    #[error("it is not bound")]
    NotBound,
    #[error("it lies in another network namespace; a tenant's own sockets are made by the server")]
    Elsewhere,
    #[error("it cannot be looked at: {0}")]
    Unreadable(#[from] io::Error),
}

impl Passed {
    /// What the environment names, if it means this process. The variables are removed; it must be called before any
    /// thread is started, and once.
    pub fn from_environment() -> Self {
        if env::var("LISTEN_PID").ok().and_then(|pid| pid.parse().ok()) != Some(process::id()) {
            return Self::default();
        }
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let mut descriptors = ListenFd::from_env();
        let here = here();
        let mut state = State::default();
        for index in 0..descriptors.len() {
            let name = names.next().unwrap_or("unknown");
            match read(&mut descriptors, index, name, &here) {
                Ok(socket) => state.free.push(Arc::new(socket)),
                Err(why) => state.useless.push(format!("{name} (descriptor {}): {why}", 3 + index)),
            }
        }
        Self(Arc::new(Mutex::new(state)))
    }

    /// The socket of a listener at this address of this stack, if it was passed.
    pub fn take(&self, stack: &NetworkStack, address: SocketAddr, transport: Transport) -> Option<Arc<PassedSocket>> {
        let NetworkStack::Host { interface } = stack else { return None };
        let device = interface.as_ref().map(|device| device.as_str().as_bytes());
        let fits = |socket: &Arc<PassedSocket>| {
            socket.address == address && socket.transport == transport && socket.device.as_deref() == device
        };
        let mut state = self.state();
        let index = state.free.iter().position(fits)?;
        let taken = state.free.remove(index);
        if address.is_ipv6() && address.ip().is_unspecified() && taken.socket.only_v6().unwrap_or_default() {
            tracing::warn!(socket = %taken, "a passed socket takes no IPv4: its unit wants `BindIPv6Only=both`");
        }
        Some(taken)
    }

    /// Gives back the socket of a listener that is no more: another one may have its address now.
    pub fn put_back(&self, socket: Arc<PassedSocket>) {
        self.state().free.push(socket);
    }

    /// Closes what no listener has taken, and tells what that was.
    pub fn close(&self) -> Vec<String> {
        let mut state = self.state();
        let mut told = std::mem::take(&mut state.useless);
        let unused = std::mem::take(&mut state.free);
        told.extend(unused.iter().map(|socket| format!("{socket}: no listener has this address and network")));
        told
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PassedSocket {
    /// Whether it still reaches somebody: the device that it is bound to may be gone.
    pub fn is_sound(&self) -> bool {
        self.socket.device().is_ok_and(|device| device == self.device)
    }

    pub(super) fn duplicate(&self) -> io::Result<Socket> {
        let socket = self.socket.try_clone()?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    fn of(name: &str, socket: Socket, transport: Transport, here: &Here) -> Result<Self, Useless> {
        let address = socket.local_addr()?.as_socket().ok_or(Useless::AnotherKind)?;
        match transport {
            Transport::Stream if !socket.is_listener()? => return Err(Useless::DoesNotListen),
            Transport::Datagram if address.port() == 0 => return Err(Useless::NotBound),
            Transport::Stream | Transport::Datagram => {}
        }
        match here {
            Ok(inodes) if inodes.contains(&fstat(&socket).map_err(io::Error::from)?.st_ino) => {}
            Ok(_) => return Err(Useless::Elsewhere),
            Err(error) => return Err(Useless::Unreadable(error.kind().into())),
        }
        let device = socket.device()?;
        Ok(Self { name: name.to_owned(), socket, address, transport, device })
    }
}

impl fmt::Display for PassedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Stream => "TCP",
            Transport::Datagram => "UDP",
        };
        write!(f, "{} ({transport} {}", self.name, self.address)?;
        if let Some(device) = &self.device {
            write!(f, " on {}", String::from_utf8_lossy(device))?;
        }
        write!(f, ")")
    }
}

/// Takes one descriptor. What is neither TCP nor UDP is closed as far as that can be done.
fn read(descriptors: &mut ListenFd, index: usize, name: &str, here: &Here) -> Result<PassedSocket, Useless> {
    if let Ok(Some(stream)) = descriptors.take_tcp_listener(index) {
        return PassedSocket::of(name, stream.into(), Transport::Stream, here);
    }
    if let Ok(Some(datagrams)) = descriptors.take_udp_socket(index) {
        return PassedSocket::of(name, datagrams.into(), Transport::Datagram, here);
    }
    let local = descriptors.take_unix_listener(index).map(|socket| socket.map(OwnedFd::from));
    let local = local.or_else(|_| descriptors.take_unix_datagram(index).map(|socket| socket.map(OwnedFd::from)));
    drop(local);
    Err(Useless::AnotherKind)
}

/// The inodes of all sockets of the process's own network namespace. The kernel tells a socket's namespace to privileged
/// processes only, but lists the sockets of one to everybody in it.
type Here = io::Result<HashSet<u64>>;

fn here() -> Here {
    let mut here = HashSet::new();
    for table in TABLES {
        match fs::read_to_string(table) {
            Ok(lines) => here.extend(lines.lines().filter_map(inode_of)),
            // Without IPv6 there are two.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(here)
}

fn inode_of(line: &str) -> Option<u64> {
    line.split_whitespace().nth(INODE)?.parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn passed(sockets: Vec<PassedSocket>) -> Passed {
        let free = sockets.into_iter().map(Arc::new).collect();
        Passed(Arc::new(Mutex::new(State { free, useless: Vec::new() })))
    }

    fn stream() -> PassedSocket {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        PassedSocket::of("web", socket.into(), Transport::Stream, &here()).unwrap()
    }

    #[test]
    fn a_socket_is_for_its_address_its_transport_and_its_network() {
        let interface = |name: &str| NetworkStack::Host { interface: Some(name.parse().unwrap()) };
        let socket = stream();
        let address = socket.address;
        let other = SocketAddr::new(address.ip(), address.port() ^ 1);
        let passed = passed(vec![socket]);
        for (stack, address, transport) in [
            (NetworkStack::HOST, other, Transport::Stream),
            (NetworkStack::HOST, SocketAddr::from(([0, 0, 0, 0], address.port())), Transport::Stream),
            (NetworkStack::HOST, SocketAddr::new(address.ip(), 0), Transport::Stream),
            (NetworkStack::HOST, address, Transport::Datagram),
            (interface("lo"), address, Transport::Stream),
            (NetworkStack::Vrf("lo".parse().unwrap()), address, Transport::Stream),
            (NetworkStack::Namespace("/proc/self/ns/net".parse().unwrap()), address, Transport::Stream),
        ] {
            assert!(passed.take(&stack, address, transport).is_none(), "{stack:?} {address} {transport:?}");
        }
        let taken = passed.take(&NetworkStack::HOST, address, Transport::Stream).unwrap();
        assert!(passed.take(&NetworkStack::HOST, address, Transport::Stream).is_none(), "it was taken twice");
        passed.put_back(taken);
        assert_eq!(passed.close(), [format!("web (TCP {address}): no listener has this address and network")]);
        assert!(passed.take(&NetworkStack::HOST, address, Transport::Stream).is_none());
        TcpListener::bind(address).unwrap();
    }

    #[test]
    fn a_socket_on_a_device_is_for_a_listener_on_that_device() {
        let socket = Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        socket.bind_device(Some(b"lo")).unwrap();
        let socket = PassedSocket::of("boot", socket, Transport::Datagram, &here()).unwrap();
        assert!(socket.is_sound());
        let address = socket.address;
        let passed = passed(vec![socket]);
        assert!(passed.take(&NetworkStack::HOST, address, Transport::Datagram).is_none());
        assert!(passed.take(&NetworkStack::Vrf("lo".parse().unwrap()), address, Transport::Datagram).is_none());
        let stack = NetworkStack::Host { interface: Some("lo".parse().unwrap()) };
        assert!(passed.take(&stack, address, Transport::Datagram).is_some());
    }

    #[test]
    fn what_cannot_serve_is_told() {
        let new = |kind| Socket::new(socket2::Domain::IPV4, kind, None).unwrap();
        let listening = || Socket::from(TcpListener::bind("127.0.0.1:0").unwrap());
        for (socket, transport, here, says) in [
            (new(socket2::Type::STREAM), Transport::Stream, here(), "it does not listen"),
            (new(socket2::Type::DGRAM), Transport::Datagram, here(), "it is not bound"),
            // As it looks to whoever is in another namespace.
            (listening(), Transport::Stream, Ok(HashSet::new()), "it lies in another network namespace"),
            (listening(), Transport::Stream, Err(io::ErrorKind::PermissionDenied.into()), "it cannot be looked at"),
        ] {
            let error = PassedSocket::of("web", socket, transport, &here).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
