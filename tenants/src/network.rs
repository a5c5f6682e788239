//! Network stacks: where a tenant's sockets are made.
//!
//! Every socket that serves a tenant is made here, and nowhere else: listening sockets, TFTP transfers, FTP data
//! connections in both directions. A socket made elsewhere could reach a host of the same address in another
//! tenant's network.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

/// Connections that wait to be accepted: what Linux allows by default (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// The network that a tenant's sockets belong to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NetworkStack {
    /// The network of the process itself.
    Host,
}

impl NetworkStack {
    /// A socket that accepts connections at `address`. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - what the system says: the address is in use, is not of this machine, or needs a privilege
    pub fn tcp_listener(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.socket(address, Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }

    /// A socket for datagrams at `address`. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - as [`NetworkStack::tcp_listener`]
    pub fn udp_socket(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = self.socket(address, Type::DGRAM, Protocol::UDP)?;
        socket.bind(&address.into())?;
        UdpSocket::from_std(socket.into())
    }

    /// Connects from `local` to `peer`. The caller bounds the time.
    ///
    /// # Errors
    /// - what the system says: refused, unreachable, the local address is in use
    pub async fn tcp_connect(&self, local: SocketAddr, peer: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.socket(local, Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        socket.bind(&local.into())?;
        TcpSocket::from_std_stream(socket.into()).connect(peer).await
    }

    fn socket(&self, address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
        match self {
            Self::Host => {
                let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
                if address.is_ipv6() {
                    socket.set_only_v6(!address.ip().is_unspecified())?;
                }
                socket.set_nonblocking(true)?;
                Ok(socket)
            }
        }
    }
}
