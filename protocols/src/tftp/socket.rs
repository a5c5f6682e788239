//! The way to the peer of one transfer: packets one by one, or all of a window in one system call.
//!
//! Packets of one size that follow each other are handed to the kernel together, where it takes them: it refuses packets that
//! do not fit the path's MTU, and some devices cannot do it. What is refused is sent one by one from then on, and larger
//! packets are fragmented as IP does.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use quinn_udp::{Transmit, UdpSockRef};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::outlet::{IPV6_BYTES, Outlet, Watched};
use super::packet::Packet;
use super::table::Running;
use crate::listen::Lease;

/// The most that one UDP datagram over IPv4 carries, in bytes (RFC 768, RFC 791): what goes out together may not be longer.
const JOINED_BYTES: usize = 65507;
/// Segments that Linux takes at once (`UDP_MAX_SEGMENTS`).
const SEGMENTS: usize = 64;

/// The way to one peer.
#[derive(Debug)]
pub(super) struct Socket {
    way: Way,
    peer: SocketAddr,
    outlet: Arc<Outlet>,
    refused: bool,
}

#[derive(Debug)]
enum Way {
    /// A socket of the transfer's own. One that is full is looked at again by time.
    Own {
        socket: Watched,
        /// Its port, where the operator names a range.
        _lease: Option<Lease>,
    },
    /// The listening one, from the address that was asked; what the peer sends comes by the listener.
    Listening { local: SocketAddr, running: Arc<Running> },
}

impl Socket {
    /// A bound socket, for the packets of one peer. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - the system cannot watch one more socket
    pub(super) fn new(
        socket: UdpSocket,
        lease: Option<Lease>,
        peer: SocketAddr,
        outlet: Arc<Outlet>,
    ) -> io::Result<Self> {
        let way = Way::Own { socket: watch(socket)?, _lease: lease };
        Ok(Self { way, peer, outlet, refused: false })
    }

    /// The listening socket, for the packets of one peer, which come to the transfer's inbox.
    pub(super) fn listening(running: Arc<Running>, local: SocketAddr, peer: SocketAddr, outlet: Arc<Outlet>) -> Self {
        Self { way: Way::Listening { local, running }, peer, outlet, refused: false }
    }

    /// Whether it is the listening one.
    pub(super) fn is_listening(&self) -> bool {
        match &self.way {
            Way::Own { .. } => false,
            Way::Listening { .. } => true,
        }
    }

    /// The largest packet that it can send, in bytes.
    pub(super) fn longest(&self) -> usize {
        match &self.way {
            Way::Listening { .. } if self.peer.is_ipv6() => IPV6_BYTES,
            Way::Own { .. } | Way::Listening { .. } => usize::MAX,
        }
    }

    /// Makes room for so many bytes of packets that have not been taken yet; the system may grant less.
    pub(super) fn make_room(&self, bytes: usize) {
        match &self.way {
            Way::Own { socket, .. } => {
                let socket = SockRef::from(socket.get_ref());
                // It is never made smaller.
                if socket.recv_buffer_size().is_ok_and(|now| now < bytes) {
                    let _ = socket.set_recv_buffer_size(bytes);
                }
            }
            Way::Listening { running, .. } => {
                if let Some(inbox) = running.inbox() {
                    inbox.make_room(bytes);
                }
            }
        }
    }

    /// Waits for a packet, of anybody on a socket of its own. It stands at the beginning of `buffer` then.
    ///
    /// Behind the ACK of everything that was sent nothing is looked for until another packet arrives, which saves a system call
    /// for each. What stands behind it already is found with that one, or by [`Socket::look`] when time is up.
    ///
    /// # Errors
    /// - what the system says
    pub(super) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        awaited: Option<u16>,
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        match &self.way {
            Way::Own { socket, .. } => loop {
                let mut ready = ready!(socket.poll_read_ready(cx))?;
                if let Ok(received) = ready.try_io(|socket| socket.get_ref().recv_from(buffer)) {
                    if received.as_ref().is_ok_and(|received| self.is_awaited(buffer, received, awaited)) {
                        ready.clear_ready();
                    }
                    return Poll::Ready(received);
                }
            },
            Way::Listening { running, .. } => {
                let Some(inbox) = running.inbox() else { return Poll::Pending };
                *buffer = ready!(inbox.poll_take(cx)).into_vec();
                Poll::Ready(Ok((buffer.len(), self.peer)))
            }
        }
    }

    fn is_awaited(&self, buffer: &[u8], received: &(usize, SocketAddr), awaited: Option<u16>) -> bool {
        let (length, from) = *received;
        let number = match buffer.get(..length).and_then(Packet::parse) {
            Some(Packet::Ack(number)) => Some(number),
            Some(Packet::Data { .. } | Packet::Error { .. } | Packet::OptionAck(_)) | None => None,
        };
        awaited.is_some() && number == awaited && from == self.peer
    }

    /// A packet that is there, whether its arrival was heard of or not.
    pub(super) fn look(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        match &self.way {
            Way::Own { socket, .. } => socket.get_ref().recv_from(buffer).ok(),
            // Nothing that is there is passed over.
            Way::Listening { .. } => None,
        }
    }

    /// Sends one packet to a stranger on a socket of the transfer's own, if that can be done at once. It may be lost.
    pub(super) fn turn_away(&self, packet: &[u8], stranger: SocketAddr) {
        match &self.way {
            Way::Own { socket, .. } => _ = socket.get_ref().send_to(packet, stranger),
            Way::Listening { .. } => {}
        }
    }

    /// How many packets of this size may be sent together.
    pub(super) fn joined(&self, packet_bytes: usize) -> usize {
        if self.refused { 1 } else { (JOINED_BYTES / packet_bytes.max(1)).clamp(1, SEGMENTS) }
    }

    /// Sends packets to the peer that stand one behind the other, each of `packet_bytes` but for the last. `false` where they
    /// are refused for being several: none is sent, and [`Socket::joined`] says 1 from now on.
    ///
    /// # Errors
    /// - what the system says, [`io::ErrorKind::WouldBlock`] among it
    pub(super) fn try_send(&mut self, packets: &[u8], packet_bytes: usize) -> io::Result<bool> {
        let single = packets.len() <= packet_bytes;
        let segment_size = (!single).then_some(packet_bytes);
        let sent = match &self.way {
            Way::Own { socket, .. } if single => socket.get_ref().send_to(packets, self.peer).map(|_| ()),
            Way::Own { socket, .. } => {
                let transmit =
                    Transmit { destination: self.peer, ecn: None, contents: packets, segment_size, src_ip: None };
                self.outlet.state().try_send(UdpSockRef::from(socket.get_ref()), &transmit)
            }
            Way::Listening { local, .. } => self.outlet.try_send([*local, self.peer], packets, segment_size),
        };
        match sent {
            Ok(()) => Ok(true),
            Err(error) if single || error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                tracing::debug!(peer = %self.peer, packet_bytes, %error, "packets are sent one by one");
                self.refused = true;
                if self.outlet.state().max_gso_segments() == 1 {
                    self.outlet.renew();
                }
                Ok(false)
            }
        }
    }
}

/// Watches a socket for arrivals. It must be called inside a tokio runtime.
///
/// # Errors
/// - the system cannot watch one more socket
#[expect(
    deprecated,
    reason = "what came after it is an unsafe function; the socket that is handed over keeps its descriptor, as that asks"
)]
pub(super) fn watch(socket: UdpSocket) -> io::Result<Watched> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}
