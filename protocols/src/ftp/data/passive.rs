//! PASV and EPSV: the peer connects to us.
//!
//! > PASSIVE (PASV): This command requests the server-DTP to "listen" on a data port (which is not its default data port)
//! > and to wait for a connection rather than initiate one upon receipt of a transfer command. (RFC 959 section 4.1.2)

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use provost_core::ClientAddr;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::time::Instant;

use super::stream::Stream;
use super::{Ends, Plan, SetupCommands};
use crate::ftp::reply::Reply;
use crate::ftp::session::Session;
use crate::listen::{Lease, Ports, is_of_peer};
use crate::record::Outcome;

/// Where the operator names no range: what Linux takes for ports of its own choice by default. A port is picked here and not
/// by the system. To pick one that nobody uses the system looks through all whose last connection ended within a minute,
/// which at some hundred transfers a second costs more than everything else together, and at some hundred more finds none.
/// Asked for a certain one it takes that at once.
const DYNAMIC: RangeInclusive<u16> = 32768..=60999;

/// How many connections are looked through at a port before others have their turn on the runtime.
const STRANGERS: usize = 16;

/// A port at which the peer is awaited. The runtime does not watch it yet.
#[derive(Debug)]
pub(in crate::ftp) struct Passive {
    listener: std::net::TcpListener,
    lease: Lease,
    /// Until when it waits for a command that uses it.
    pub(in crate::ftp) until: Instant,
}

impl Session {
    pub(in crate::ftp) fn pasv(&mut self) -> Reply {
        if self.data.commands == SetupCommands::EpsvAlone {
            return Reply::BAD_SEQUENCE;
        }
        let Some(address) = told_address(&self.ends) else {
            return Reply::fixed(425, "PASV is for IPv4, use EPSV.");
        };
        match self.listen() {
            Ok(port) => {
                let [a, b, c, d] = address.octets();
                let [high, low] = port.to_be_bytes();
                Reply::with(227, format!("Entering Passive Mode ({a},{b},{c},{d},{high},{low})."))
            }
            Err(reply) => reply,
        }
    }

    /// EPSV, with the network protocol that the peer wants, or ALL (RFC 2428 section 3).
    pub(in crate::ftp) fn epsv(&mut self, argument: &[u8]) -> Reply {
        let family = if self.ends.local.is_ipv4() { b"1" } else { b"2" };
        match argument.to_ascii_uppercase().as_slice() {
            b"ALL" => {
                self.data.commands = SetupCommands::EpsvAlone;
                return Reply::fixed(200, "EPSV alone from here on.");
            }
            b"" => {}
            wanted if wanted == family => {}
            wanted if wanted.iter().all(u8::is_ascii_digit) => return wrong_family(&self.ends),
            _ => return Reply::BAD_PARAMETER,
        }
        match self.listen() {
            Ok(port) => Reply::with(229, format!("Entering Extended Passive Mode (|||{port}|).")),
            Err(reply) => reply,
        }
    }

    /// Listens at a port. The one of before is closed first: a session has one at a time.
    fn listen(&mut self) -> Result<u16, Reply> {
        self.data.plan = Plan::None;
        let listening = listen(&self.ends, &self.shared.ports);
        match listening {
            Ok(passive) => {
                let port = passive.lease.port;
                self.data.plan = Plan::Passive(passive);
                Ok(port)
            }
            Err(error) => {
                if let Some(mut exchange) = self.front.refused(self.client, "PASV", b"") {
                    exchange.detail(&error);
                    match error.kind() {
                        io::ErrorKind::AddrInUse => exchange.finish(Outcome::Refused, Some("passive_ports")),
                        _ => exchange.finish(Outcome::Error, Some("socket")),
                    }
                }
                Err(Reply::CANNOT_CONNECT)
            }
        }
    }
}

/// RFC 2428 section 2.
pub(super) fn wrong_family(ends: &Ends) -> Reply {
    if ends.local.is_ipv4() {
        Reply::fixed(522, "Network protocol not supported, use (1).")
    } else {
        Reply::fixed(522, "Network protocol not supported, use (2).")
    }
}

/// The address that PASV tells the peer; there is none where it came by IPv6.
fn told_address(ends: &Ends) -> Option<Ipv4Addr> {
    let IpAddr::V4(reached) = ends.local.ip() else { return None };
    Some(ends.front.listener().ftp.passive_address.unwrap_or(reached))
}

fn listen(ends: &Ends, ports: &Arc<Ports>) -> io::Result<Passive> {
    let listener = ends.front.listener();
    let range = listener.ftp.passive_ports.as_ref().unwrap_or(&DYNAMIC);
    let mut address = ends.local;
    for lease in ports.lease(ends.client.ip(), range) {
        address.set_port(lease.port);
        match ends.front.network().listening_socket(address) {
            // Somebody else on this machine has it.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
            Ok(listener) => {
                let until = Instant::now() + ends.front.limits().stall;
                return Ok(Passive { listener, lease, until });
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no passive port is free, or the address waits at too many"))
}

/// Waits for the peer. Whoever else connects is turned away, and the port stays open for the peer. The caller bounds the
/// time.
///
/// Nearly all peers have connected before they send the command that uses the port. Then the runtime watches neither the port
/// nor, where one write is enough, the connection.
pub(super) async fn accept(passive: Passive, client: ClientAddr) -> io::Result<Stream> {
    for _ in 0..STRANGERS {
        let (stream, peer) = match acceptfrom_with(&passive.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok((stream, peer)) => (stream, peer.and_then(|peer| SocketAddr::try_from(peer).ok())),
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            Err(error) => return Err(error.into()),
        };
        if peer.is_some_and(|peer| is_of(peer, client)) {
            return Ok(Stream::Fresh(stream.into()));
        }
    }
    let listener = tokio::net::TcpListener::from_std(passive.listener)?;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_peer(&error) => continue,
            Err(error) => return Err(error),
        };
        if is_of(peer, client) {
            return Ok(Stream::watching(stream));
        }
    }
}

fn is_of(peer: SocketAddr, client: ClientAddr) -> bool {
    let is_client = ClientAddr::from(peer).ip() == client.ip();
    if !is_client {
        tracing::debug!(%peer, %client, "a stranger at a passive port was turned away");
    }
    is_client
}
