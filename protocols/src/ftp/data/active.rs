//! PORT and EPRT: we connect to the peer.
//!
//! > DATA PORT (PORT): The argument is a HOST-PORT specification for the data port to be used in data connection.
//! > (RFC 959 section 4.1.2)
//!
//! RFC 2577 section 3 says what a server must refuse: other addresses than the peer's (the bounce attack), and ports below
//! 1024, where services of others listen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpStream;

use super::passive::wrong_family;
use super::{Ends, Plan, SetupCommands};
use crate::ftp::reply::Reply;
use crate::ftp::session::Session;
use crate::record::Outcome;

/// Ports up to this one are never connected to.
const LAST_PRIVILEGED_PORT: u16 = 1023;

/// Why an argument is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoAddress {
    Syntax,
    Family,
}

impl Session {
    pub(in crate::ftp) fn port(&mut self, argument: &[u8]) -> Reply {
        self.settle("PORT", argument, host_port(argument))
    }

    pub(in crate::ftp) fn eprt(&mut self, argument: &[u8]) -> Reply {
        let client = self.ends.client.ip();
        let told = extended_port(argument).and_then(|told| of_family(told, client));
        self.settle("EPRT", argument, told)
    }

    fn settle(&mut self, verb: &'static str, argument: &[u8], told: Result<SocketAddr, NoAddress>) -> Reply {
        if self.data.commands == SetupCommands::EpsvAlone {
            return Reply::BAD_SEQUENCE;
        }
        self.data.plan = Plan::None;
        let told = match told {
            Ok(told) => told,
            Err(NoAddress::Syntax) => return Reply::BAD_PARAMETER,
            Err(NoAddress::Family) => return wrong_family(&self.ends),
        };
        let client = self.ends.client;
        // lftp tells `::`, which is where it listens. It can mean nobody but itself.
        let is_self = client.ip().is_ipv6() && told.ip() == Ipv6Addr::UNSPECIFIED;
        if (told.ip().to_canonical() != client.ip() && !is_self) || told.port() <= LAST_PRIVILEGED_PORT {
            if let Some(mut exchange) = self.ends.front.refused(client, verb, argument) {
                exchange.detail("a data connection to another address than the peer's, or to a privileged port");
                exchange.finish(Outcome::Rejected, Some("bounce"));
            }
            return Reply::fixed(500, "Only your own address, and ports above 1023.");
        }
        self.data.plan = Plan::Active(SocketAddr::new(client.ip(), told.port()));
        Reply::fixed(200, "Data port taken.")
    }
}

/// `h1,h2,h3,h4,p1,p2` (RFC 959 section 5.3.2).
fn host_port(argument: &[u8]) -> Result<SocketAddr, NoAddress> {
    let mut bytes = [0_u8; 6];
    let mut fields = argument.split(|byte| *byte == b',');
    for byte in &mut bytes {
        *byte = fields.next().and_then(number).ok_or(NoAddress::Syntax)?;
    }
    let None = fields.next() else { return Err(NoAddress::Syntax) };
    let [a, b, c, d, high, low] = bytes;
    Ok(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low])))
}

/// `|protocol|address|port|`, with any delimiter (RFC 2428 section 2).
fn extended_port(argument: &[u8]) -> Result<SocketAddr, NoAddress> {
    let [delimiter @ 33..=126, rest @ .., last] = argument else { return Err(NoAddress::Syntax) };
    let fields: Vec<&[u8]> = rest.split(|byte| byte == delimiter).collect();
    let (true, [family, address, port]) = (last == delimiter, fields.as_slice()) else { return Err(NoAddress::Syntax) };
    let address: Option<IpAddr> = std::str::from_utf8(address).ok().and_then(|text| text.parse().ok());
    let port = number(port).ok_or(NoAddress::Syntax)?;
    match (*family, address) {
        (b"1", Some(address @ IpAddr::V4(_))) | (b"2", Some(address @ IpAddr::V6(_))) => {
            Ok(SocketAddr::new(address, port))
        }
        (b"1" | b"2", _) => Err(NoAddress::Syntax),
        (family, _) if !family.is_empty() && family.iter().all(u8::is_ascii_digit) => Err(NoAddress::Family),
        _ => Err(NoAddress::Syntax),
    }
}

/// The address, if the peer comes by the same network protocol: another one has a reply of its own (RFC 2428 section 2).
fn of_family(told: SocketAddr, client: IpAddr) -> Result<SocketAddr, NoAddress> {
    if told.ip().to_canonical().is_ipv4() == client.is_ipv4() { Ok(told) } else { Err(NoAddress::Family) }
}

/// A number in digits alone: `parse` would take a sign, too.
fn number<N: std::str::FromStr>(text: &[u8]) -> Option<N> {
    let text = std::str::from_utf8(text).ok()?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Connects to the peer. The caller bounds the time.
pub(super) async fn connect(ends: &Ends, peer: SocketAddr) -> io::Result<TcpStream> {
    let mut local = ends.local;
    local.set_port(0);
    // A link-local address is one only together with its link (RFC 4007), which the address that was reached names.
    let peer = match (peer, local) {
        (SocketAddr::V6(mut peer), SocketAddr::V6(local)) => {
            peer.set_scope_id(local.scope_id());
            SocketAddr::V6(peer)
        }
        (peer, _) => peer,
    };
    ends.front.network().tcp_connect(local, peer).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_takes_six_numbers() {
        let rows = [
            ("10,0,0,2,19,137", Ok("10.0.0.2:5001")),
            ("127,0,0,1,0,21", Ok("127.0.0.1:21")),
            ("255,255,255,255,255,255", Ok("255.255.255.255:65535")),
            ("10,0,0,2,19", Err(NoAddress::Syntax)),
            ("10,0,0,2,19,137,1", Err(NoAddress::Syntax)),
            ("10,0,0,256,19,137", Err(NoAddress::Syntax)),
            ("10,0,0,-2,19,137", Err(NoAddress::Syntax)),
            ("10,0,0,+2,19,137", Err(NoAddress::Syntax)),
            ("10,0,0, 2,19,137", Err(NoAddress::Syntax)),
            ("10,0,0,,19,137", Err(NoAddress::Syntax)),
            ("10.0.0.2,19,137", Err(NoAddress::Syntax)),
            ("", Err(NoAddress::Syntax)),
        ];
        for (argument, expected) in rows {
            assert_eq!(host_port(argument.as_bytes()), address(expected), "{argument}");
        }
        assert_eq!(host_port(b"\xff,0,0,2,19,137"), Err(NoAddress::Syntax));
    }

    #[test]
    fn eprt_takes_a_protocol_an_address_and_a_port() {
        let rows = [
            ("|1|132.235.1.2|6275|", Ok("132.235.1.2:6275")),
            ("|2|1080::8:800:200C:417A|5282|", Ok("[1080::8:800:200c:417a]:5282")),
            ("!1!10.0.0.2!6275!", Ok("10.0.0.2:6275")),
            ("|1|::1|6275|", Err(NoAddress::Syntax)),
            ("|2|10.0.0.2|6275|", Err(NoAddress::Syntax)),
            ("|3|10.0.0.2|6275|", Err(NoAddress::Family)),
            ("||10.0.0.2|6275|", Err(NoAddress::Syntax)),
            ("|1|10.0.0.2|65536|", Err(NoAddress::Syntax)),
            ("|1|10.0.0.2||", Err(NoAddress::Syntax)),
            ("|1|10.0.0.2|6275", Err(NoAddress::Syntax)),
            ("|1|10.0.0.2|6275|1|", Err(NoAddress::Syntax)),
            ("|1|phone.example|6275|", Err(NoAddress::Syntax)),
            ("|", Err(NoAddress::Syntax)),
            ("", Err(NoAddress::Syntax)),
        ];
        for (argument, expected) in rows {
            assert_eq!(extended_port(argument.as_bytes()), address(expected), "{argument}");
        }
    }

    fn address(text: Result<&str, NoAddress>) -> Result<SocketAddr, NoAddress> {
        text.map(|text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}")))
    }

    proptest::proptest! {
        #[test]
        fn any_argument_is_an_address_or_none(argument in proptest::collection::vec(0_u8.., 0..64)) {
            let _ = host_port(&argument);
            let _ = extended_port(&argument);
        }
    }
}
