//! TFTP (RFC 1350) with options (RFC 2347, 2348, 2349) and windows (RFC 7440): an engine of our own.
//!
//! The listening socket only reads requests and starts a task for each, with a socket of its own at the address that
//! was asked. `packet`, `options` and `netascii` know the wire, `sender`, `receiver` and `timing` the state of a
//! transfer without any I/O; `read` and `write` drive them. No rule stands here: whether a file may be had is decided
//! behind [`Front`]. `mail` is not served, and no file is written in place.

mod alarm;
mod cache;
mod image;
mod listening;
pub mod netascii;
pub mod numbers;
pub mod options;
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
use std::time::Duration;

use provost_core::decision::admit;
use provost_core::{ClientAddr, Operation};
use tokio::net::UdpSocket;

pub use self::cache::keep_at_most;
use self::listening::{BATCH, Datagram, Listening};
use self::packet::{NoRequest, Request};
use self::socket::Offload;
use self::table::{Arrival, Entry, Table};
use self::transfer::Transfer;
use crate::front::Front;
use crate::listen::{Begins, Room, Slot};
use crate::record::Outcome;

/// How long receiving rests after an error that lies in this machine's resources.
const REST: Duration = Duration::from_millis(100);

/// The requests that stand in the runtime's queue before they are looked at.
const BEGINS: usize = 2 * BATCH;

/// Serves requests on a bound socket until the task is dropped; transfers that run then run on.
pub async fn serve(front: Arc<Front>, socket: UdpSocket) {
    let listener = front.listener().policy.name.clone();
    let (mut listening, offload) = match Listening::new(socket) {
        Ok(listening) => listening,
        Err(error) => return tracing::error!(listener, %error, "cannot prepare a listening socket"),
    };
    let table = Arc::new(Table::default());
    let begins = Begins::at_once(BEGINS);
    loop {
        let mut room = begins.room(BATCH).await;
        match listening.receive().await {
            Ok(()) => {
                for datagram in listening.datagrams() {
                    arrived(&front, &table, &listening, &offload, &mut room, &datagram);
                }
            }
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                tracing::warn!(listener, %error, "cannot receive a request");
                front.counts().note(format!("cannot receive a request: {error}"));
                tokio::time::sleep(REST).await;
            }
        }
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
fn arrived(
    front: &Arc<Front>,
    table: &Arc<Table>,
    listening: &Listening,
    offload: &Arc<Offload>,
    room: &mut Room,
    datagram: &Datagram<'_>,
) {
    let client = ClientAddr::from(datagram.peer);
    match Request::parse(datagram.bytes) {
        Ok(request) => {
            let Some(slot) = place(front, table, datagram) else { return };
            let asked = Asked {
                front: Arc::clone(front),
                table: Arc::clone(table),
                offload: Arc::clone(offload),
                client,
                ends: [datagram.local, datagram.peer],
                datagram: datagram.bytes.into(),
                request,
            };
            let running = asked.enter(slot);
            tokio::spawn(room.begin(Arc::clone(front.life()).hold(asked.serve(running))));
        }
        Err(NoRequest::Stray) if admit(&front.tenant().policy, &front.listener().policy, client).is_ok() => {
            listening.answer(datagram, &refuse::ILLEGAL_OPERATION);
        }
        Err(NoRequest::Stray | NoRequest::Noise) => {}
    }
}

/// A place for a new transfer, unless the request belongs to one that is running or the peer is turned away. Both are
/// met with silence: a phone that may be served asks again.
fn place(front: &Arc<Front>, table: &Table, datagram: &Datagram<'_>) -> Option<Slot> {
    match table.arrive(datagram.peer, datagram.bytes) {
        Arrival::Repeated => None,
        Arrival::New => front.admit(ClientAddr::from(datagram.peer)).ok(),
    }
}

/// A request that has its place.
struct Asked {
    front: Arc<Front>,
    table: Arc<Table>,
    offload: Arc<Offload>,
    client: ClientAddr,
    /// The address that was asked, and the peer.
    ends: [SocketAddr; 2],
    datagram: Box<[u8]>,
    request: Request,
}

impl Asked {
    fn enter(&self, slot: Slot) -> Entry {
        let [_, peer] = self.ends;
        Table::enter(&self.table, peer, &self.datagram, slot)
    }

    /// Serves the request, and once more where it came again so late that the transfer had ended before it heard of it: a phone
    /// that asks for the same file from the same port, as soon as it has it or was told that there is none, overtakes
    /// its own last ACK here. Otherwise it would hear nothing until it asks a third time.
    async fn serve(self, mut entry: Entry) {
        loop {
            let running = entry.shared();
            self.serve_once(entry).await;
            if !running.was_asked_again() {
                return;
            }
            let Ok(slot) = self.front.admit(self.client) else { return };
            entry = self.enter(slot);
        }
    }

    async fn serve_once(&self, entry: Entry) {
        let (front, request) = (Arc::clone(&self.front), self.request.clone());
        let [local, peer] = self.ends;
        match Transfer::new(&front, local, peer, entry, Arc::clone(&self.offload)) {
            Ok(transfer) => match request.operation {
                Operation::Read => read::read(front, self.client, request, transfer).await,
                Operation::Write => write::write(front, self.client, request, transfer).await,
            },
            Err(error) => {
                let mut exchange = front.exchange(self.client, request.method(), &request.name);
                exchange.detail(&error);
                exchange.finish(Outcome::Error, Some("socket"));
            }
        }
    }
}
