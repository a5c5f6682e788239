//! One transfer's way to its peer: the peer's packets come in, strangers are turned away, and what the listener knows of the
//! peer's requests comes in beside them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use provost_core::ClientAddr;
use provost_core::decision::admit;
use provost_tenants::{Limits, TransferPorts};

use super::Shared;
use super::alarm::Alarm;
use super::listening::canonical;
use super::options::Granted;
use super::packet::{DATA_HEADER_BYTES, Packet};
use super::refuse::{self, TftpError};
use super::socket::Socket;
use super::source::Source as FileSource;
use super::table::{Entry, Running, Signal};
use crate::front::Front;
use crate::listen::{Flow, Yielding};
use crate::record::text_of;

/// Room for what a reader sends: ACKs, padded ones too, and ERROR texts.
const SMALL_PACKET_BYTES: usize = 1024;
/// How long packets may keep a timer waiting. A peer that sends without end shall not hold a transfer for ever.
const GRACE: Duration = Duration::from_secs(1);
/// How long a transfer whose place was taken still listens. A phone that sends its last ACK and the next request from one
/// port overtakes itself here, and its file did arrive.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// How many packets are looked at when time is up.
const LOOKS: usize = 16;
/// What the kernel adds to each packet that waits, in bytes.
const KERNEL_PACKET_BYTES: usize = 1024;
/// Why there is no port of a range.
const NO_PORT: &str = "no transfer port is free, or the address has its share of them";
/// How many packets of strangers one transfer answers: their source may be forged.
const STRANGERS: u32 = 16;
/// How long receiving rests after an error of the socket.
const REST: Duration = Duration::from_millis(100);
/// How long a full socket is left alone, and how often before its packet counts as lost.
const FULL: Duration = Duration::from_millis(1);
const FULL_TIMES: u32 = 200;

thread_local! {
    /// Where packets are put together. No transfer needs a buffer of its own for them: they are sent, or lost, at once.
    static PACKETS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The peer, and the way to it.
#[derive(Debug)]
pub(super) struct Transfer {
    front: Arc<Front>,
    /// Where it has a port of a range: those of the listener that only dally.
    dallying_at_ports: Option<Arc<Yielding>>,
    socket: Socket,
    peer: SocketAddr,
    entry: Entry,
    only_dallies: bool,
    received: Vec<u8>,
    payload: Range<usize>,
    /// The number of the ACK that acknowledges everything that was sent.
    awaited: Option<u16>,
    flow: Flow,
    alarm: Alarm,
    /// How many packets of strangers are still answered.
    strangers: u32,
    /// When the transfer ends because another one took its place.
    ending: Option<Instant>,
}

/// What a transfer waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The peer acknowledges.
    Ack(u16),
    /// The peer sends a block; its bytes are [`Transfer::payload`].
    Data(u16),
    /// The peer sent its request again and has not answered yet.
    Again,
    /// Time is up.
    Expired,
    /// The transfer is over.
    Over(Over),
}

/// Why a transfer ends before its file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Over {
    /// The peer sent an ERROR.
    PeerError(String),
    /// The peer sent another request from the same port.
    Restarted,
    /// The peer went silent.
    Timeout,
    /// The listener, from whose port the transfer answers, has ended.
    Closed,
    /// The peer has not answered, and others want its place.
    GaveWay,
}

impl Transfer {
    /// The transfer of one peer.
    pub(super) fn new(shared: &Shared, peer: SocketAddr, socket: Socket, entry: Entry) -> Self {
        if let Some(giving_way) = shared.at_ports() {
            entry.shared().yields_its_port(&giving_way.unanswered, peer);
        }
        let received = vec![0; if socket.is_listening() { 0 } else { SMALL_PACKET_BYTES }];
        Self {
            front: Arc::clone(&shared.front),
            dallying_at_ports: shared.at_ports().map(|giving_way| Arc::clone(&giving_way.dallying)),
            socket,
            peer,
            entry,
            only_dallies: false,
            received,
            payload: 0..0,
            awaited: None,
            flow: Flow::default(),
            alarm: Alarm::default(),
            strangers: STRANGERS,
            ending: None,
        }
    }

    /// Makes room for the blocks that the peer is going to send.
    pub(super) fn expect_blocks(&mut self, granted: &Granted) {
        // One byte more shows a block that is too long.
        let bytes = granted.block + DATA_HEADER_BYTES + 1;
        if !self.socket.is_listening() {
            self.received.resize(bytes.max(SMALL_PACKET_BYTES), 0);
        }
        // With less a window loses blocks.
        self.socket.make_room((bytes + KERNEL_PACKET_BYTES) * usize::from(granted.window));
    }

    /// The front that the request came through.
    pub(super) fn front(&self) -> &Front {
        &self.front
    }

    /// The limits of the transfer.
    pub(super) fn limits(&self) -> Limits {
        let limits = self.front.limits();
        let most = self.socket.longest().saturating_sub(DATA_HEADER_BYTES);
        Limits { tftp_block_bytes: limits.tftp_block_bytes.min(most), ..limits }
    }

    /// What the listener knows of the peer's requests.
    pub(super) fn running(&self) -> &Running {
        self.entry.running()
    }

    /// What this work comes to; nothing where the place is wanted meanwhile.
    pub(super) async fn unless_wanted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = poll_fn(|cx| self.running().poll_wanted(cx)) => None,
        }
    }

    /// Whether it ends where its place is wanted.
    fn gives_way(&self) -> bool {
        self.only_dallies || !self.running().is_answered()
    }

    /// The file is stored: what follows is for the case that the last ACK was lost, and ends where its place is wanted.
    pub(super) fn dallies(&mut self) {
        self.only_dallies = true;
        let places = [Some(&self.front.shares().giving_way.dallying), self.dallying_at_ports.as_ref()];
        self.entry.shared().yields_to_others(places, self.peer);
    }

    /// Says which ACK acknowledges everything that was sent.
    pub(super) fn awaits(&mut self, ack: u16) {
        self.awaited = Some(ack);
    }

    /// Waits for the next event until `due`. A packet that is there counts before the time that is up: after a moment in
    /// which this machine was busy, nothing needs to be sent again.
    pub(super) async fn next(&mut self, due: Instant) -> Event {
        loop {
            match poll_fn(|cx| self.poll_event(cx, due)).await {
                Ok(event) => return event,
                Err(error) => {
                    tracing::debug!(peer = %self.peer, %error, "cannot receive from a peer");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// The next packet of the peer, if it is there already.
    pub(super) async fn ready(&mut self) -> Option<Event> {
        poll_fn(|cx| match self.poll_packet(cx) {
            Poll::Ready(Ok(event)) => Poll::Ready(Some(event)),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<io::Result<Event>> {
        let now = Instant::now();
        if self.ending.is_some_and(|ending| now >= ending) {
            return Poll::Ready(Ok(Event::Over(Over::Restarted)));
        }
        if now > due + GRACE {
            return Poll::Ready(Ok(Event::Expired));
        }
        if let Poll::Ready(received) = self.poll_packet(cx) {
            return Poll::Ready(received);
        }
        while let Some(signal) = self.running().hear(cx) {
            match signal {
                Signal::Again => return Poll::Ready(Ok(Event::Again)),
                Signal::Replaced => self.ending = Some(now + LAST_WORDS),
                Signal::Closed => return Poll::Ready(Ok(Event::Over(Over::Closed))),
                Signal::GiveWay if self.gives_way() => return Poll::Ready(Ok(Event::Over(Over::GaveWay))),
                // The answer was on its way.
                Signal::GiveWay => {}
            }
        }
        let wake = self.ending.map_or(due, |ending| ending.min(due));
        ready!(self.alarm.poll(cx, wake));
        for _ in 0..LOOKS {
            let Some((length, from)) = self.socket.look(&mut self.received) else { break };
            if let Some(event) = self.take(length, canonical(from)) {
                return Poll::Ready(Ok(event));
            }
        }
        Poll::Ready(Ok(if wake < due { Event::Over(Over::Restarted) } else { Event::Expired }))
    }

    fn poll_packet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Event>> {
        while let Poll::Ready(received) = self.socket.poll_receive(cx, &mut self.received, self.awaited) {
            let (length, from) = received?;
            if let Some(event) = self.take(length, canonical(from)) {
                return Poll::Ready(Ok(event));
            }
        }
        Poll::Pending
    }

    fn take(&mut self, length: usize, from: SocketAddr) -> Option<Event> {
        let datagram = self.received.get(..length)?;
        let packet = Packet::parse(datagram);
        if (from.ip(), from.port()) != (self.peer.ip(), self.peer.port()) {
            let is_answered = match packet {
                Some(Packet::Ack(_) | Packet::Data { .. } | Packet::OptionAck(_)) => true,
                Some(Packet::Error { .. }) | None => false,
            };
            if is_answered {
                self.turn_away(from);
            }
            return None;
        }
        match packet? {
            Packet::Ack(number) => Some(Event::Ack(number)),
            Packet::Data { block, .. } => {
                self.payload = DATA_HEADER_BYTES..length;
                Some(Event::Data(block))
            }
            Packet::Error { code, text } => {
                Some(Event::Over(Over::PeerError(format!("the peer sent error {code}: {}", text_of(text)))))
            }
            Packet::OptionAck(_) => None,
        }
    }

    /// A packet from elsewhere is answered and does not disturb the transfer (RFC 1350 section 4). An ERROR is not
    /// answered, and neither is who may not speak to the listener at all.
    fn turn_away(&mut self, from: SocketAddr) {
        let Some(left) = self.strangers.checked_sub(1) else { return };
        let present = self.front.present();
        if admit(&present.tenant.policy, &present.listener.policy, ClientAddr::from(from)).is_ok() {
            self.strangers = left;
            self.socket.turn_away(&refuse::UNKNOWN_TRANSFER.to_bytes(), from);
        }
    }

    /// The bytes of the block that came in last.
    pub(super) fn payload(&self) -> &[u8] {
        self.received.get(self.payload.clone()).unwrap_or_default()
    }

    /// Sends one packet.
    pub(super) async fn send(&mut self, packet: &Packet<'_>) {
        self.send_packets(usize::MAX, |buffer| packet.append(buffer)).await;
    }

    /// Sends an ERROR, which ends the transfer. A request that came twice is answered by one.
    pub(super) async fn refuse(&mut self, error: &TftpError) {
        self.running().forget_repeats();
        self.send(error).await;
    }

    /// Sends blocks, as many at a time as may be: all packets of a window go through here.
    pub(super) async fn send_blocks(&mut self, mut blocks: Range<u64>, source: &FileSource) {
        let packet_bytes = DATA_HEADER_BYTES + source.block_bytes();
        while blocks.start < blocks.end {
            let joined = self.front.cut(self.socket.joined(packet_bytes) * packet_bytes) / packet_bytes;
            let joined = u64::try_from(joined.max(1)).unwrap_or(1);
            let together = blocks.start..blocks.end.min(blocks.start + joined);
            let bytes = usize::try_from(source.bytes_in(&together)).unwrap_or_default();
            self.front.pass(&mut self.flow, bytes).await;
            let packets = |buffer: &mut Vec<u8>| together.clone().for_each(|block| source.append(block, buffer));
            if self.send_packets(packet_bytes, packets).await {
                blocks.start = together.end;
            }
        }
    }

    /// Whether another transfer answers the peer from the same port by now: it would take this one's packets for its own.
    fn is_outrun(&self) -> bool {
        self.socket.is_listening() && (self.ending.is_some() || self.running().is_replaced())
    }

    /// Sends what `write` puts together; `false` where it has to be sent one by one. A packet that cannot be sent is a lost
    /// packet: the timer sends it again, or gives up.
    async fn send_packets(&mut self, packet_bytes: usize, write: impl Fn(&mut Vec<u8>)) -> bool {
        for _ in 0..FULL_TIMES {
            if self.is_outrun() {
                return true;
            }
            let sent = PACKETS.with_borrow_mut(|buffer| {
                buffer.clear();
                write(buffer);
                self.socket.try_send(buffer, packet_bytes)
            });
            match sent {
                Ok(sent) => return sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(FULL).await,
                Err(error) => {
                    tracing::debug!(peer = %self.peer, %error, "cannot send to a peer");
                    return true;
                }
            }
        }
        true
    }
}

/// The socket of a transfer to a peer that asked `local`.
///
/// # Errors
/// - [`io::ErrorKind::AddrInUse`]: no port of the range is free, or the peer's address has its share of them
/// - what the system says
pub(super) fn socket(shared: &Shared, [local, peer]: [SocketAddr; 2], entry: &Entry) -> io::Result<Socket> {
    match entry.running().inbox() {
        Some(_) => Ok(Socket::listening(entry.shared(), local, peer, Arc::clone(&shared.outlet))),
        None => own_socket(shared, local, peer),
    }
}

/// A socket of the transfer's own at `local`, in the tenant's network.
fn own_socket(shared: &Shared, local: SocketAddr, peer: SocketAddr) -> io::Result<Socket> {
    let network = shared.front.network();
    let mut lease = None;
    let socket = match &shared.front.listener().tftp.transfer_ports {
        TransferPorts::Any | TransferPorts::Listening => network.datagram_socket(local)?,
        TransferPorts::Among(range) => {
            let mut leases = shared.ports.lease(peer.ip(), range);
            // What could not be bound is given back; the last one stays.
            let ports = std::iter::from_fn(|| {
                lease = None;
                lease = leases.next();
                lease.as_ref().map(|lease| lease.port)
            });
            network.datagram_socket_among(local, ports).map_err(|error| match error.kind() {
                io::ErrorKind::AddrNotAvailable => io::Error::new(io::ErrorKind::AddrInUse, NO_PORT),
                _ => error,
            })?
        }
    };
    Socket::new(socket, lease, peer, Arc::clone(&shared.outlet))
}

impl Over {
    /// A short fixed word for the record.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::PeerError(_) => "peer_error",
            Self::Restarted => "restarted",
            Self::Timeout => "timeout",
            Self::Closed => "listener_closed",
            Self::GaveWay => "gave_way",
        }
    }

    /// A sentence for the record.
    pub(super) fn detail(&self) -> &str {
        match self {
            Self::PeerError(text) => text,
            Self::Restarted => "the peer sent another request from the same port",
            Self::Timeout => "the peer did not answer any more",
            Self::Closed => "the listener ended, and the transfer answered from its port",
            Self::GaveWay => "the peer had not answered, and others wanted its place",
        }
    }
}
