//! The socket of one transfer: packets one by one, or all of a window in one system call.
//!
//! Packets of one size that follow each other are handed to the kernel together (UDP segmentation offload), where it takes
//! them: it refuses packets that do not fit the path's MTU, and some devices cannot do it. What is refused is sent one by one
//! from then on, and larger packets are fragmented as IP does. The state that `quinn_udp` keeps is the listening socket's: it
//! would set a transfer's own socket to never fragment.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use arc_swap::ArcSwap;
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The most that one UDP datagram over IPv4 carries, in bytes (RFC 768, RFC 791): what goes out together may not be longer.
const JOINED_BYTES: usize = 65507;
/// Segments that Linux takes at once (`UDP_MAX_SEGMENTS`).
const SEGMENTS: usize = 64;

/// What one listener's transfers know of the kernel's segmentation together.
#[derive(Debug)]
pub(super) struct Offload {
    /// It must be closed when its listener ends, whatever its transfers still do.
    listening: Weak<tokio::net::UdpSocket>,
    state: ArcSwap<UdpSocketState>,
}

/// A transfer's socket.
#[derive(Debug)]
pub(super) struct Socket {
    /// Only arrivals wake its task. A socket that is full is the exception, and is looked at again by time: else each packet
    /// that has left would wake the task, too.
    watched: AsyncFd<UdpSocket>,
    peer: SocketAddr,
    offload: Arc<Offload>,
    refused: bool,
}

impl Offload {
    /// What the listening socket was found to be capable of.
    pub(super) fn new(listening: &Arc<tokio::net::UdpSocket>, state: UdpSocketState) -> Arc<Self> {
        Arc::new(Self { listening: Arc::downgrade(listening), state: ArcSwap::from_pointee(state) })
    }

    /// Forgets that a send failed. `quinn_udp` takes one refusal, which may be of one path, for the kernel's as a whole.
    fn renew(&self) {
        let state = self.listening.upgrade().and_then(|socket| UdpSocketState::new(UdpSockRef::from(&*socket)).ok());
        if let Some(state) = state {
            self.state.store(Arc::new(state));
        }
    }
}

impl Socket {
    /// A bound socket, for the packets of one peer. It must be called inside a tokio runtime.
    ///
    /// # Errors
    /// - the system cannot watch one more socket
    #[expect(
        deprecated,
        reason = "what came after it is an unsafe function; the socket that is handed over keeps its descriptor, as that asks"
    )]
    pub(super) fn new(socket: UdpSocket, peer: SocketAddr, offload: Arc<Offload>) -> io::Result<Self> {
        let watched = AsyncFd::with_interest(socket, Interest::READABLE)?;
        Ok(Self { watched, peer, offload, refused: false })
    }

    /// The socket itself, for its buffers.
    pub(super) fn inner(&self) -> &UdpSocket {
        self.watched.get_ref()
    }

    /// Waits for a packet of anybody.
    ///
    /// # Errors
    /// - what the system says
    pub(super) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        loop {
            let mut ready = ready!(self.watched.poll_read_ready(cx))?;
            if let Ok(received) = ready.try_io(|socket| socket.get_ref().recv_from(buffer)) {
                return Poll::Ready(received);
            }
        }
    }

    /// Sends one packet to anybody, if that can be done at once.
    ///
    /// # Errors
    /// - what the system says, [`io::ErrorKind::WouldBlock`] among it
    pub(super) fn try_send_to(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.watched.get_ref().send_to(packet, to).map(|_| ())
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
        if packets.len() <= packet_bytes {
            return self.try_send_to(packets, self.peer).map(|()| true);
        }
        let segment_size = Some(packet_bytes);
        let transmit = Transmit { destination: self.peer, ecn: None, contents: packets, segment_size, src_ip: None };
        let state = self.offload.state.load();
        match state.try_send(UdpSockRef::from(self.watched.get_ref()), &transmit) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                tracing::debug!(peer = %self.peer, packet_bytes, %error, "packets are sent one by one");
                self.refused = true;
                if state.max_gso_segments() == 1 {
                    self.offload.renew();
                }
                Ok(false)
            }
        }
    }
}
