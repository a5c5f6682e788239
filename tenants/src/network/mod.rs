//! Network stacks: where a tenant's sockets are made.
//!
//! Every socket that serves a tenant is made here, and nowhere else: listening sockets, TFTP transfers, FTP data
//! connections in both directions. A socket made elsewhere could reach a host of the same address in another
//! tenant's network. The one exception are sockets that the service manager has made in the host's network and passes on
//! ([`Passed`]); a tenant in another network never gets one.
//!
//! A [`NetworkStack`] is what the configuration says. A [`Network`] is one listener's hold on it: all sockets that it makes
//! lie in the same network, even where the name has come to mean another one since. Namespaces and devices are not made
//! here; that is the operator's affair.

mod gone;
mod identity;
mod maker;
mod names;
mod passed;
mod spare;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use socket2::{Domain, Protocol, Socket, Type};
use spare::Spares;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

pub use gone::{FormerNetwork, Gone};
pub use identity::{Identity, NetworkError};
pub use names::{DeviceName, NamespaceName};
pub use passed::{Passed, PassedSocket, Transport};

/// Lets routers fragment what the IPv4 socket sends. Packets that forbid it are lost without a word behind a tunnel whose ICMP is
/// filtered, and a phone that asks again asks for blocks of the same size.
///
/// # Errors
/// - what the system says
pub fn fragment(socket: impl AsFd) -> io::Result<()> {
    Ok(set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT)?)
}

/// Connections that wait to be accepted: what Linux allows by default (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// The network that a tenant's sockets belong to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NetworkStack {
    /// The network of the process itself.
    Host {
        /// The one device whose packets count; those of every device where it is absent.
        interface: Option<DeviceName>,
    },
    /// A network namespace.
    Namespace(NamespaceName),
    /// A VRF device in the network of the process (`l3mdev`).
    Vrf(DeviceName),
}

/// One listener's hold on its tenant's network. Its first socket settles which network that is, by what it is and not by
/// its name; a socket that would come to lie in another one is not made. A listener that is bound anew takes a new one.
#[derive(Debug)]
pub struct Network {
    stack: NetworkStack,
    settled: OnceLock<Identity>,
    spares: Spares,
    gone: Gone,
}

impl NetworkStack {
    /// The network of the process itself, on every device.
    pub const HOST: Self = Self::Host { interface: None };

    /// A listener's hold on it. Nothing is opened yet.
    pub fn network(&self) -> Network {
        Network { stack: self.clone(), settled: OnceLock::new(), spares: Spares::default(), gone: Gone::default() }
    }

    /// The device to which each socket is bound.
    pub fn device(&self) -> Option<&DeviceName> {
        match self {
            Self::Host { interface } => interface.as_ref(),
            Self::Namespace(_) => None,
            Self::Vrf(device) => Some(device),
        }
    }

    /// Why a network that was settled is not there any more.
    fn lost(&self, settled: Identity) -> Option<NetworkError> {
        match self.identity() {
            Ok(identity) if identity == settled => None,
            Ok(_) => Some(self.replaced()),
            Err(error) if error.is_absence() => Some(error),
            // Another error says nothing of the network, such as that there are no descriptors left.
            Err(_) => None,
        }
    }
}

impl Network {
    /// Another hold on the same stack, with nothing settled.
    #[must_use]
    pub fn anew(&self) -> Self {
        self.stack.network()
    }

    /// A socket that accepts connections at `address`. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - [`NetworkError`], inside: the namespace or the device is not there, is another one by now, or needs a privilege
    /// - what the system says: the address is in use, is not of this network, or needs a privilege
    pub fn tcp_listener(&self, address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::from_std(self.listening_socket(address)?)
    }

    /// The same without a runtime that watches it.
    ///
    /// # Errors
    /// - as [`Network::tcp_listener`]
    pub fn listening_socket(&self, address: SocketAddr) -> io::Result<std::net::TcpListener> {
        let (socket, identity) = self.socket(address, Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        self.settle(identity)?;
        Ok(socket.into())
    }

    /// A socket for datagrams at `address`. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - as [`Network::tcp_listener`]
    pub fn udp_socket(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::from_std(self.datagram_socket(address)?)
    }

    /// The same without a runtime that watches it.
    ///
    /// # Errors
    /// - as [`Network::tcp_listener`]
    pub fn datagram_socket(&self, address: SocketAddr) -> io::Result<std::net::UdpSocket> {
        self.datagram_socket_among(address, [address.port()])
    }

    /// The same on the first of these ports that is free; the port of `address` does not count.
    ///
    /// # Errors
    /// - as [`Network::tcp_listener`]; what the system says of the last port
    pub fn datagram_socket_among(
        &self,
        mut address: SocketAddr,
        ports: impl IntoIterator<Item = u16>,
    ) -> io::Result<std::net::UdpSocket> {
        let (socket, identity) = self.socket(address, Type::DGRAM, Protocol::UDP)?;
        let mut bound = Err(io::ErrorKind::AddrNotAvailable.into());
        for port in ports {
            address.set_port(port);
            bound = socket.bind(&address.into());
            match &bound {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Ok(()) | Err(_) => break,
            }
        }
        bound?;
        self.settle(identity)?;
        Ok(socket.into())
    }

    /// The passed socket, to accept connections with. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - as [`Network::tcp_listener`]
    pub fn passed_tcp(&self, passed: &PassedSocket) -> io::Result<TcpListener> {
        TcpListener::from_std(self.adopt(passed)?.into())
    }

    /// The passed socket, for datagrams. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - as [`Network::tcp_listener`]
    pub fn passed_udp(&self, passed: &PassedSocket) -> io::Result<UdpSocket> {
        UdpSocket::from_std(self.adopt(passed)?.into())
    }

    /// Connects from `local` to `peer`. The caller bounds the time.
    ///
    /// # Errors
    /// - as [`Network::tcp_listener`], and: refused, unreachable
    pub async fn tcp_connect(&self, local: SocketAddr, peer: SocketAddr) -> io::Result<TcpStream> {
        let (socket, identity) = self.socket(local, Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        socket.bind(&local.into())?;
        self.settle(identity)?;
        TcpSocket::from_std_stream(socket.into()).connect(peer).await
    }

    /// Why the sockets made so far reach nobody any more: the namespace or the device is gone, or its name means another
    /// one. They keep a deleted namespace alive themselves, so that nothing else shows it. Sockets that were made ahead are closed
    /// then, and whatever runs there is told: with the namespace its interfaces would stay, and it could not be made anew.
    pub fn lost(&self) -> Option<NetworkError> {
        let error = self.stack.lost(*self.settled.get()?)?;
        self.spares.close();
        self.gone.tell();
        Some(error)
    }

    /// The network once its listener goes: whoever runs on there has to be told when it is lost, too. Nothing where it cannot be
    /// any more, or was settled by no socket.
    pub fn former(&self) -> Option<FormerNetwork> {
        // Nothing more is made with them, and they would keep it.
        self.spares.close();
        let settled = *self.settled.get()?;
        let can_be_lost = settled != Identity::Host && !self.gone.is_told();
        can_be_lost.then(|| FormerNetwork { stack: self.stack.clone(), settled, gone: self.gone.clone() })
    }

    /// Tells when it is found lost.
    pub fn gone(&self) -> &Gone {
        &self.gone
    }

    /// Why a socket at `address` reaches nobody any more although the network is there: the address was taken away, or its device
    /// was. A socket that is bound to it shows nothing of that; one that is made anew does.
    pub fn lost_address(&self, address: SocketAddr) -> Option<NetworkError> {
        if address.ip().is_unspecified() {
            return None;
        }
        match self.probe(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                Some(NetworkError::NoAddress(address.ip()))
            }
            // Another error says nothing of the address, such as that there are no descriptors left.
            Ok(()) | Err(_) => None,
        }
    }

    /// Binds a socket that is of no other use, at any port. Of those that were made ahead it takes none: others would be made.
    fn probe(&self, mut address: SocketAddr) -> io::Result<()> {
        address.set_port(0);
        let socket = match &self.stack {
            NetworkStack::Namespace(name) => {
                let (namespace, identity) = identity::open_namespace(name)?;
                self.check(identity)?;
                let domain = Domain::for_address(address);
                maker::inside(name, namespace, move || Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)))?
            }
            NetworkStack::Host { .. } | NetworkStack::Vrf(_) => self.socket(address, Type::DGRAM, Protocol::UDP)?.0,
        };
        socket.bind(&address.into())
    }

    /// An unbound socket in the network, and which one that is.
    fn socket(&self, address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<(Socket, Identity)> {
        let domain = Domain::for_address(address);
        let new = move || {
            let socket = Socket::new(domain, kind.nonblocking(), Some(protocol))?;
            if (domain, kind) == (Domain::IPV4, Type::DGRAM) {
                fragment(&socket)?;
            }
            Ok(socket)
        };
        let (socket, identity) = match &self.stack {
            NetworkStack::Host { interface: None } => (new()?, Identity::Host),
            NetworkStack::Host { interface: Some(device) } | NetworkStack::Vrf(device) => {
                let socket = new()?;
                let identity = identity::bind_device(&socket, device)?;
                (socket, identity)
            }
            NetworkStack::Namespace(name) => self.in_namespace(name, domain, kind, new)?,
        };
        self.check(identity)?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        Ok((socket, identity))
    }

    fn in_namespace(
        &self,
        name: &NamespaceName,
        domain: Domain,
        kind: Type,
        new: impl Fn() -> io::Result<Socket> + Send + 'static,
    ) -> io::Result<(Socket, Identity)> {
        let settled = self.settled.get().filter(|_| kind == Type::DGRAM);
        if let Some((spare, identity)) = settled.and_then(|identity| Some((self.spares.take(domain)?, *identity))) {
            return Ok((spare, identity));
        }
        let (namespace, identity) = identity::open_namespace(name)?;
        self.check(identity)?;
        let one = match settled {
            Some(_) => {
                let made = maker::inside(name, namespace, move || spare::batch(new))?;
                self.spares.keep(domain, made).ok_or(io::ErrorKind::NotFound)?
            }
            None => maker::inside(name, namespace, new)?,
        };
        Ok((one, identity))
    }

    /// Another descriptor of a socket that lies in this network: whoever took it has compared that.
    fn adopt(&self, passed: &PassedSocket) -> io::Result<Socket> {
        let identity = self.stack.identity()?;
        self.check(identity)?;
        let socket = passed.duplicate()?;
        self.settle(identity)?;
        Ok(socket)
    }

    fn check(&self, identity: Identity) -> Result<(), NetworkError> {
        match self.settled.get() {
            Some(settled) if *settled != identity => Err(self.stack.replaced()),
            Some(_) | None => Ok(()),
        }
    }

    /// A socket counts once it is bound: what could not be settles nothing.
    fn settle(&self, identity: Identity) -> Result<(), NetworkError> {
        self.settled.get_or_init(|| identity);
        self.check(identity)
    }
}
