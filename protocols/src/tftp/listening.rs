//! The listening socket: datagrams with the address that each was sent to. It is the one place that knows `quinn_udp`.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::packet::Packet;
use super::socket::Offload;

/// What the kernel may hold for the socket, in bytes. The default overflows when 2,000 phones boot at once; the
/// system may grant less (`net.core.rmem_max`).
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Datagrams that are taken at once.
pub(super) const BATCH: usize = 16;
/// Room for one datagram, or for several of one peer that the kernel has joined. What is longer is no request.
const DATAGRAM_BYTES: usize = 4096;

/// A socket on which requests arrive.
pub(super) struct Listening {
    socket: Arc<UdpSocket>,
    state: UdpSocketState,
    /// The address it is bound to; the unspecified one where it listens on all.
    local: IpAddr,
    room: Vec<[u8; DATAGRAM_BYTES]>,
    facts: [RecvMeta; BATCH],
    filled: usize,
}

/// One datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datagram<'a> {
    /// Who sent it; an IPv4-mapped address is the IPv4 address.
    pub(super) peer: SocketAddr,
    /// The address that it was sent to, port 0. Answers leave from there.
    pub(super) local: SocketAddr,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
}

impl Listening {
    /// Makes a bound socket ready; and what its transfers know of the kernel.
    ///
    /// # Errors
    /// - what the system says
    pub(super) fn new(socket: UdpSocket) -> io::Result<(Self, Arc<Offload>)> {
        let socket = Arc::new(socket);
        let offload = Offload::new(&socket, UdpSocketState::new(UdpSockRef::from(&*socket))?);
        let state = UdpSocketState::new(UdpSockRef::from(&*socket))?;
        // Best effort: a smaller buffer serves, only not so many phones at once.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&*socket), RECEIVE_BUFFER_BYTES);
        let local = socket.local_addr()?.ip();
        let room = vec![[0; DATAGRAM_BYTES]; BATCH];
        Ok((Self { socket, state, local, room, facts: [RecvMeta::default(); BATCH], filled: 0 }, offload))
    }

    /// Waits for datagrams.
    ///
    /// # Errors
    /// - what the system says
    pub(super) async fn receive(&mut self) -> io::Result<()> {
        let Self { socket, state, room, facts, filled, .. } = self;
        *filled = 0;
        let receive = || {
            let mut slices: Vec<_> = room.iter_mut().map(|room| IoSliceMut::new(room)).collect();
            state.recv(UdpSockRef::from(&**socket), &mut slices, facts)
        };
        *filled = socket.async_io(Interest::READABLE, receive).await?;
        Ok(())
    }

    /// The datagrams that came in last.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        let filled = self.room.iter().zip(&self.facts).take(self.filled);
        filled.flat_map(|(room, facts)| {
            let bytes = room.get(..facts.len).unwrap_or_default();
            let [peer, local] = self.ends(facts);
            bytes.chunks(facts.stride.max(1)).map(move |bytes| Datagram { peer, local, bytes })
        })
    }

    /// Answers a datagram from the listening port itself, if that can be done at once.
    pub(super) fn answer(&self, datagram: &Datagram<'_>, packet: &Packet<'_>) {
        let contents = packet.to_bytes();
        let (destination, src_ip) = match self.local {
            // On an IPv6 socket an IPv4 peer is written as the socket knows it.
            IpAddr::V6(_) => (mapped(datagram.peer), mapped(datagram.local).ip()),
            IpAddr::V4(_) => (datagram.peer, datagram.local.ip()),
        };
        let transmit =
            Transmit { destination, ecn: None, contents: &contents, segment_size: None, src_ip: Some(src_ip) };
        // An answer to a packet that belongs nowhere may be lost.
        let send = || self.state.try_send(UdpSockRef::from(&*self.socket), &transmit);
        let _ = self.socket.try_io(Interest::WRITABLE, send);
    }

    fn ends(&self, facts: &RecvMeta) -> [SocketAddr; 2] {
        let peer = canonical(facts.addr);
        let asked = if self.local.is_unspecified() { facts.dst_ip.unwrap_or(self.local) } else { self.local };
        let mut local = SocketAddr::new(asked.to_canonical(), 0);
        if let (SocketAddr::V6(local), SocketAddr::V6(peer)) = (&mut local, peer) {
            // A link-local address is an address of one interface only (RFC 4007 section 6).
            local.set_scope_id(if local.ip().is_unicast_link_local() { peer.scope_id() } else { 0 });
        }
        [peer, local]
    }
}

/// The address with an IPv4-mapped one written as the IPv4 address that it is.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
