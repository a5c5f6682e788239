//! TFTP (RFC 1350) with options (RFC 2347, 2348, 2349) and windows (RFC 7440): an engine of our own.
//!
//! The listening socket only reads requests and starts a task for each, with a socket of its own at the address that
//! was asked; where a listener's transfers answer from its own port, it hands each what its peer sends. `packet`, `options` and `netascii` know the wire, `sender`, `receiver` and `timing` the state of a
//! transfer without any I/O; `read` and `write` drive them. No rule stands here: whether a file may be had is decided
//! behind [`Front`]. `mail` is not served, and no file is written in place.

mod alarm;
mod cache;
mod ended;
mod image;
mod inbox;
mod listening;
pub mod netascii;
pub mod numbers;
pub mod options;
mod outlet;
pub mod packet;
mod read;
pub mod receiver;
mod refuse;
pub mod sender;
#[cfg(test)]
mod simulation;
mod socket;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod timing;
mod transfer;
mod write;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use provost_core::decision::admit;
use provost_core::{ClientAddr, Operation};
use provost_tenants::TransferPorts;
use tokio::net::UdpSocket;

pub use self::cache::keep_at_most;
use self::inbox::Inbox;
use self::listening::{BATCH, Datagram, Listening};
use self::outlet::Outlet;
use self::packet::{NoRequest, Packet, Request};
use self::socket::Socket;
use self::table::{Arrival, Entry, Table};
use self::transfer::Transfer;
use crate::front::Front;
use crate::listen::{Begins, GivingWay, Ports, Room, Slot};
use crate::record::{Flood, Outcome};

/// How long receiving rests after an error that lies in this machine's resources.
const REST: Duration = Duration::from_millis(100);

/// The requests that stand in their tenant's queue before they are looked at.
const BEGINS: usize = 2 * BATCH;

/// One place of the tenant's in so many is kept from peers that have not answered, whose addresses may be forged: the oldest of them
/// gives way to the next one. The rest holds the 5,000 phones of one site that ask at once, and one that is there answers long before
/// so many others have asked.
const KEPT_FROM_UNANSWERED: usize = 4;

/// How often a port of a range is looked for again: what gives way has let go of its own by then.
const LOOKS_FOR_A_PORT: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// What the transfers of one listener have in common.
struct Shared {
    front: Arc<Front>,
    table: Arc<Table>,
    outlet: Arc<Outlet>,
    /// Those of a range that transfers have.
    ports: Arc<Ports>,
    /// Of those that have one, what gives way.
    at_ports: GivingWay,
    /// Answers to packets that belong to no transfer: their source may be forged.
    strays: Flood,
}

impl Shared {
    /// Where transfers have ports of a range.
    fn at_ports(&self) -> Option<&GivingWay> {
        match self.front.listener().tftp.transfer_ports {
            TransferPorts::Among(_) => Some(&self.at_ports),
            TransferPorts::Any | TransferPorts::Listening => None,
        }
    }
}

/// Serves requests on a bound socket until the task is dropped. Transfers that run then run on, but for those that answer from
/// it.
pub async fn serve(front: Arc<Front>, socket: UdpSocket) {
    let listener = front.listener().policy.name.clone();
    let mut listening = match Listening::new(socket) {
        Ok(listening) => listening,
        Err(error) => return tracing::error!(listener, %error, "cannot prepare a listening socket"),
    };
    let serving = Serving(Arc::new(Shared {
        front,
        table: Arc::default(),
        outlet: Arc::clone(listening.outlet()),
        ports: Arc::default(),
        at_ports: GivingWay::default(),
        strays: Flood::default(),
    }));
    let Serving(shared) = &serving;
    let begins = Begins::at_once(BEGINS);
    loop {
        let mut room = begins.room(BATCH).await;
        if shared.front.listener().tftp.transfer_ports == TransferPorts::Listening {
            listening.make_room_for_transfers();
        }
        match listening.receive().await {
            Ok(()) => {
                for datagram in listening.datagrams() {
                    arrived(shared, &listening, &mut room, &datagram);
                }
            }
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                tracing::warn!(listener, %error, "cannot receive a request");
                shared.front.counts().note(format!("cannot receive a request: {error}"));
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// A listener that listens. Dropped, its port is free once its socket is dropped, too.
struct Serving(Arc<Shared>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.outlet.close();
        self.0.table.close();
    }
}

/// What ICMP says of some earlier answer is the affair of its peer.
fn is_of_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::Interrupted
    )
}

/// Nothing here waits: the next request may be behind.
fn arrived(shared: &Arc<Shared>, listening: &Listening, room: &mut Room, datagram: &Datagram<'_>) {
    match Request::parse(datagram.bytes) {
        Ok(request) => {
            let Some(slot) = place(shared, datagram, &request) else { return };
            let client = ClientAddr::from(datagram.peer);
            let ends = [datagram.local, datagram.peer];
            let asked = Asked { shared: Arc::clone(shared), client, ends, datagram: datagram.bytes.into(), request };
            let entry = asked.enter(slot);
            shared.front.life().serve(shared.front.network().gone(), room.begin(asked.serve(entry)));
        }
        Err(_) if shared.table.deliver(datagram.peer, datagram.bytes) => {}
        Err(NoRequest::Stray) => {
            if let Some(answer) = to_stray(shared, datagram) {
                listening.answer(datagram, &answer);
            }
        }
        Err(NoRequest::Noise) => {}
    }
}

/// A place for a new transfer, unless the request belongs to one that is running or the peer is turned away. Both are
/// met with silence: a phone that may be served asks again.
fn place(shared: &Shared, datagram: &Datagram<'_>, request: &Request) -> Option<Slot> {
    match shared.table.arrive(datagram.peer, datagram.bytes, datagram.arrived) {
        Arrival::Repeated => None,
        Arrival::New => slot(shared, ClientAddr::from(datagram.peer), request),
    }
}

fn slot(shared: &Shared, client: ClientAddr, request: &Request) -> Option<Slot> {
    let slot = shared.front.admit_for(client, (request.method(), request.name.as_slice())).ok()?;
    let places = shared.front.limits().connections;
    shared.front.shares().giving_way.unanswered.make_room(places - places / KEPT_FROM_UNANSWERED);
    Some(slot)
}

/// What a packet that belongs to no transfer is told, if anything: few are, as their source may be forged.
fn to_stray(shared: &Shared, datagram: &Datagram<'_>) -> Option<Packet<'static>> {
    let present = shared.front.present();
    admit(&present.tenant.policy, &present.listener.policy, ClientAddr::from(datagram.peer)).ok()?;
    let answer = match &present.listener.tftp.transfer_ports {
        TransferPorts::Any | TransferPorts::Among(_) => refuse::ILLEGAL_OPERATION,
        // An ACK that comes twice after the end of its transfer would be told an error, which a phone that goes on from the
        // same port would take for the answer to its next request.
        TransferPorts::Listening => match Packet::parse(datagram.bytes)? {
            Packet::Data { .. } | Packet::OptionAck(_) => refuse::UNKNOWN_TRANSFER,
            Packet::Ack(_) | Packet::Error { .. } => return None,
        },
    };
    shared.strays.take(Instant::now()).map(|_| answer)
}

/// A request that has its place.
struct Asked {
    shared: Arc<Shared>,
    client: ClientAddr,
    /// The address that was asked, and the peer.
    ends: [SocketAddr; 2],
    datagram: Box<[u8]>,
    request: Request,
}

impl Asked {
    fn enter(&self, slot: Slot) -> Entry {
        self.yielding(Table::enter(&self.shared.table, self.peer(), &self.datagram, slot, self.inbox()))
    }

    fn enter_again(&self, slot: Slot) -> Option<Entry> {
        let entry = Table::enter_again(&self.shared.table, self.peer(), &self.datagram, slot, self.inbox());
        entry.map(|entry| self.yielding(entry))
    }

    fn yielding(&self, entry: Entry) -> Entry {
        let of_tenant = &self.shared.front.shares().giving_way.unanswered;
        entry.shared().yields_to_others([Some(of_tenant), None], self.peer());
        entry
    }

    fn peer(&self) -> SocketAddr {
        let [_, peer] = self.ends;
        peer
    }

    /// What the peer sends comes by the listener where the transfer answers from the listening port.
    fn inbox(&self) -> Option<Inbox> {
        let by_listening = self.shared.front.listener().tftp.transfer_ports == TransferPorts::Listening;
        by_listening.then(Inbox::default)
    }

    /// No port of a range was left for it, or the source has its share of them.
    fn make_room(&self) {
        let TransferPorts::Among(range) = &self.shared.front.listener().tftp.transfer_ports else { return };
        let full = self.shared.ports.full(self.peer().ip(), range);
        self.shared.at_ports.make_room(self.client.source(), full);
    }

    /// Serves the request, and once more where it came again so late that the transfer had ended before it heard of it: a phone
    /// that asks for the same file from the same port, as soon as it has it or was told that there is none, overtakes
    /// its own last ACK here. Otherwise it would hear nothing until it asks a third time.
    async fn serve(self, mut entry: Entry) {
        loop {
            let running = entry.shared();
            self.serve_once(entry).await;
            if !running.was_asked_again() || self.shared.outlet.is_closed() {
                return;
            }
            let slot = slot(&self.shared, self.client, &self.request);
            let Some(again) = slot.and_then(|slot| self.enter_again(slot)) else { return };
            entry = again;
        }
    }

    async fn serve_once(&self, entry: Entry) {
        let (front, request) = (Arc::clone(&self.shared.front), self.request.clone());
        let replaced = entry.shared();
        match self.socket(&entry).await {
            Ok(socket) => {
                let transfer = Transfer::new(&self.shared, self.peer(), socket, entry);
                match request.operation {
                    Operation::Read => read::read(front, self.client, request, transfer).await,
                    Operation::Write => Box::pin(write::write(front, self.client, request, transfer)).await,
                }
            }
            Err(_) if replaced.is_replaced() => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if let Some(mut exchange) = front.refused(self.client, request.method(), &request.name) {
                    exchange.detail(&error);
                    exchange.finish(Outcome::Refused, Some("transfer_ports"));
                }
            }
            Err(error) => {
                let mut exchange = front.exchange(self.client, request.method(), &request.name);
                exchange.detail(&error);
                exchange.finish(Outcome::Error, Some("socket"));
            }
        }
    }

    /// The transfer's socket. Where no port is left for it, it waits a moment for what gives way, or for the transfer whose place it
    /// took: the phone would wait for seconds until it asks again.
    async fn socket(&self, entry: &Entry) -> io::Result<Socket> {
        let mut found = transfer::socket(&self.shared, self.ends, entry);
        for look in 0..LOOKS_FOR_A_PORT {
            // Where the phone has begun anew, it gets the answer to that alone.
            if !is_full(&found) || entry.running().is_replaced() {
                break;
            }
            // By then a transfer of the phone's own that it has begun anew has let go of its port.
            if look == LOOKS_FOR_A_PORT / 2 {
                self.make_room();
            }
            Box::pin(tokio::time::sleep(BETWEEN_LOOKS)).await;
            found = transfer::socket(&self.shared, self.ends, entry);
        }
        found
    }
}

fn is_full(found: &io::Result<Socket>) -> bool {
    found.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}
