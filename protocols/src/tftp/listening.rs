//! The listening socket: datagrams with the address that each was sent to.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::ended::arrival;
use super::outlet::{Outlet, Watched};
use super::packet::Packet;
use super::socket::watch;

/// What the kernel may hold for the socket each way, in bytes. The default overflows when 2,000 phones boot at once; the
/// system may grant less (`net.core.rmem_max`, `net.core.wmem_max`).
const BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Datagrams that are taken at once.
pub(super) const BATCH: usize = 16;
/// Room for one datagram, or for several of one peer that the kernel has joined. What is longer is no request.
const REQUEST_BYTES: usize = 4096;
/// The same where blocks of uploads come in, too: no datagram is longer.
const DATAGRAM_BYTES: usize = 65536;

/// A socket on which requests arrive, and where transfers answer from its port, all that their peers send.
pub(super) struct Listening {
    socket: Arc<Watched>,
    outlet: Arc<Outlet>,
    /// Of the kernel's capabilities none matters here.
    state: Arc<UdpSocketState>,
    room: Vec<u8>,
    /// How much of the room is for one datagram.
    each: usize,
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
    /// When the kernel took it: it may have waited here for long.
    pub(super) arrived: Option<Instant>,
}

impl Listening {
    /// Makes a bound socket ready. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - what the system says
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let socket = Arc::new(watch(socket.into_std()?)?);
        let outlet = Outlet::new(&socket)?;
        let state = outlet.state();
        // Best effort: a smaller buffer serves, only not so many phones at once.
        let _ = SockRef::from(socket.get_ref()).set_recv_buffer_size(BUFFER_BYTES);
        let room = vec![0; REQUEST_BYTES * BATCH];
        Ok(Self { socket, outlet, state, room, each: REQUEST_BYTES, facts: [RecvMeta::default(); BATCH], filled: 0 })
    }

    /// The way out by its port.
    pub(super) fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    /// Makes room for all that the peers of transfers send.
    pub(super) fn make_room_for_transfers(&mut self) {
        if self.each < DATAGRAM_BYTES {
            let _ = SockRef::from(self.socket.get_ref()).set_send_buffer_size(BUFFER_BYTES);
            // Untouched, it takes no memory.
            self.room = vec![0; DATAGRAM_BYTES * BATCH];
            self.each = DATAGRAM_BYTES;
            self.filled = 0;
        }
    }

    /// Waits for datagrams.
    ///
    /// # Errors
    /// - what the system says
    pub(super) async fn receive(&mut self) -> io::Result<()> {
        let Self { socket, state, room, each, facts, filled, .. } = self;
        *filled = 0;
        let receive = |socket: &std::net::UdpSocket| {
            let mut slices: Vec<_> = room.chunks_mut(*each).map(IoSliceMut::new).collect();
            state.recv(UdpSockRef::from(socket), &mut slices, facts)
        };
        *filled = socket.async_io(Interest::READABLE, receive).await?;
        Ok(())
    }

    /// The datagrams that came in last, but for those to whoever there is.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        let filled = self.room.chunks(self.each).zip(&self.facts).take(self.filled);
        let filled = filled.map(|(room, facts)| (room, facts, self.ends(facts)));
        filled.filter(|(_, _, [_, local])| !is_of_many(local.ip())).flat_map(|(room, facts, [peer, local])| {
            let bytes = room.get(..facts.len).unwrap_or_default();
            let arrived = facts.timestamp.and_then(|stamp| arrival(stamp, (SystemTime::now(), Instant::now())));
            bytes.chunks(facts.stride.max(1)).map(move |bytes| Datagram { peer, local, bytes, arrived })
        })
    }

    /// Answers a datagram from the listening port itself, if that can be done at once. An answer to a packet that belongs
    /// nowhere may be lost.
    pub(super) fn answer(&self, datagram: &Datagram<'_>, packet: &Packet<'_>) {
        let _ = self.outlet.try_send([datagram.local, datagram.peer], &packet.to_bytes(), None);
    }

    fn ends(&self, facts: &RecvMeta) -> [SocketAddr; 2] {
        let peer = canonical(facts.addr);
        let bound = self.outlet.local();
        let asked = if bound.is_unspecified() { facts.dst_ip.unwrap_or(bound) } else { bound };
        let mut local = SocketAddr::new(asked.to_canonical(), 0);
        if let (SocketAddr::V6(local), SocketAddr::V6(peer)) = (&mut local, peer) {
            // A link-local address is an address of one interface only (RFC 4007 section 6).
            local.set_scope_id(if local.ip().is_unicast_link_local() { peer.scope_id() } else { 0 });
        }
        [peer, local]
    }
}

/// Whether an address is of many hosts: a request to it is ignored (RFC 1123 section 4.2.3.5), as no answer can come from there. The
/// broadcast address of a subnet does not show here.
fn is_of_many(address: IpAddr) -> bool {
    address.is_multicast() || address == Ipv4Addr::BROADCAST
}

/// The address with an IPv4-mapped one written as the IPv4 address that it is.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
