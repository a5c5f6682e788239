//! The listening socket as its transfers know it: what the kernel can do for it, and the way out by its port.
//!
//! It is the one place that sets a socket up by `quinn_udp`, which makes it ready for datagrams that are sent together
//! (UDP segmentation offload) and tells the address that each was sent to; and which forbids it to fragment. For IPv4 that is
//! undone here: a block of 8 KiB is fragmented as IP does, and any block on its way. A transfer's own socket is never set up so.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use provost_tenants::network::fragment;
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use tokio::io::unix::AsyncFd;

/// A socket whose arrivals alone wake its task: else each packet that has left would, too.
pub(super) type Watched = AsyncFd<UdpSocket>;

/// The largest packet that leaves by the listening port to an IPv6 peer, in bytes: `IPV6_DONTFRAG` cannot be taken back, and
/// this fits the smallest link that there may be (RFC 8200 section 5), behind the headers of IP and UDP.
pub(super) const IPV6_BYTES: usize = 1280 - 40 - 8;

/// What the transfers of one listener know of its socket together.
#[derive(Debug)]
pub(super) struct Outlet {
    /// Absent once the listener has ended: its port must be free then, whatever its transfers still do.
    listening: RwLock<Option<Arc<Watched>>>,
    /// The address it is bound to; the unspecified one where it listens on all.
    local: IpAddr,
    state: ArcSwap<UdpSocketState>,
}

impl Outlet {
    /// Sets up the listening socket.
    ///
    /// # Errors
    /// - what the system says
    pub(super) fn new(listening: &Arc<Watched>) -> io::Result<Arc<Self>> {
        let socket = listening.get_ref();
        let state = ArcSwap::from_pointee(set_up(socket)?);
        let local = socket.local_addr()?.ip();
        Ok(Arc::new(Self { listening: RwLock::new(Some(Arc::clone(listening))), local, state }))
    }

    /// What the kernel was found to be capable of.
    pub(super) fn state(&self) -> Arc<UdpSocketState> {
        self.state.load_full()
    }

    /// The address it is bound to.
    pub(super) fn local(&self) -> IpAddr {
        self.local
    }

    /// Sends from the listening port: `contents`, which is several packets where a segment size is given, to `peer`, from the
    /// address `local`.
    ///
    /// # Errors
    /// - what the system says, [`io::ErrorKind::WouldBlock`] among it
    /// - [`io::ErrorKind::NotConnected`]: the socket is closed
    pub(super) fn try_send(
        &self,
        [local, peer]: [SocketAddr; 2],
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let (destination, source) = match self.local {
            // On an IPv6 socket an IPv4 peer is written as the socket knows it.
            IpAddr::V6(_) => (mapped(peer), mapped(local).ip()),
            IpAddr::V4(_) => (peer, local.ip()),
        };
        let src_ip = self.local.is_unspecified().then_some(source);
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip };
        let listening = self.listening.read().unwrap_or_else(PoisonError::into_inner);
        let listening = listening.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        self.state.load().try_send(UdpSockRef::from(listening.get_ref()), &transmit)
    }

    /// Forgets that a send failed. `quinn_udp` takes one refusal, which may be of one path, for the kernel's as a whole.
    pub(super) fn renew(&self) {
        let listening = self.listening.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = listening.as_ref().and_then(|listening| set_up(listening.get_ref()).ok()) {
            self.state.store(Arc::new(state));
        }
    }

    /// Whether the listener has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.listening.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Lets go of the socket. When it returns, no transfer sends from it any more.
    pub(super) fn close(&self) {
        *self.listening.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn set_up(socket: &UdpSocket) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(UdpSockRef::from(socket))?;
    fragment(socket)?;
    Ok(state)
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
