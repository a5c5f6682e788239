//! PASV and EPSV: the peer connects to us.
//!
//! > PASSIVE (PASV): This command requests the server-DTP to "listen" on a data port (which is not its default data port)
//! > and to wait for a connection rather than initiate one upon receipt of a transfer command. (RFC 959 section 4.1.2)

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use provost_core::ClientAddr;
use tokio::net::{TcpListener, TcpStream};

use super::{Ends, Plan, SetupCommands};
use crate::ftp::reply::Reply;
use crate::ftp::session::Session;

/// How many ports of a range are tried for one session before it is told that none is free.
const TRIES: u32 = 1024;

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
            b"1" | b"2" => return wrong_family(&self.ends),
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
        let listening = listen(&self.ends).and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        match listening {
            Ok((port, listener)) => {
                self.data.plan = Plan::Passive(listener);
                Ok(port)
            }
            Err(error) => {
                let listener = &self.ends.front.listener().policy.name;
                tracing::warn!(listener, %error, "no port for a passive data connection");
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
    match ends.front.listener().ftp.passive_address {
        Some(IpAddr::V4(told)) => Some(told),
        Some(IpAddr::V6(_)) | None => Some(reached),
    }
}

fn listen(ends: &Ends) -> io::Result<TcpListener> {
    let network = ends.front.network();
    let mut address = ends.local;
    let Some(ports) = &ends.front.listener().ftp.passive_ports else {
        address.set_port(0);
        return network.tcp_listener(address);
    };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in from_anywhere(ports, RandomState::new().hash_one(())) {
        address.set_port(port);
        match network.tcp_listener(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            listening => return listening,
        }
    }
    Err(last)
}

/// Ports of the range, from one that `random` picks and around.
fn from_anywhere(ports: &RangeInclusive<u16>, random: u64) -> impl Iterator<Item = u16> {
    let first = u32::from(*ports.start());
    let count = (u32::from(*ports.end()) + 1).saturating_sub(first);
    let start = u32::try_from(random.checked_rem(u64::from(count)).unwrap_or_default()).unwrap_or_default();
    (0..count.min(TRIES)).filter_map(move |step| u16::try_from(first + (start + step) % count).ok())
}

/// Waits for the peer. Whoever else connects is turned away, and the port stays open for the peer. The caller bounds the
/// time.
pub(super) async fn accept(listener: TcpListener, client: ClientAddr) -> io::Result<TcpStream> {
    loop {
        let (stream, peer) = listener.accept().await?;
        if ClientAddr::from(peer).ip() == client.ip() {
            return Ok(stream);
        }
        tracing::debug!(%peer, %client, "a stranger at a passive port was turned away");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_of_a_range_is_tried_once() {
        let mut ports: Vec<u16> = from_anywhere(&(30000..=30999), 12345).collect();
        assert_eq!(ports.first(), Some(&30345));
        ports.sort_unstable();
        assert!(ports.into_iter().eq(30000..=30999));
        assert_eq!(from_anywhere(&(65535..=65535), u64::MAX).collect::<Vec<_>>(), [65535]);
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range must not panic")]
        let empty = from_anywhere(&(2..=1), 7).count();
        assert_eq!(empty, 0);
    }
}
