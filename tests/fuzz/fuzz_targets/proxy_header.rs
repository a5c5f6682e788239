//! A header of the PROXY protocol names the peer that a plain reading of it names, whatever follows, and else none.
#![no_main]

use std::net::{IpAddr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use provost_protocols::https::peer_of;

fuzz_target!(|header: &[u8]| assert_eq!(peer_of(header), plain(header)));

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The oracle's reading of a header of version 2 whose command is PROXY: up to 2048 bytes behind its length.
fn plain(header: &[u8]) -> Option<SocketAddr> {
    let [version_and_command, family, high, low] = header.strip_prefix(SIGNATURE)?.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let rest = header.get(16..16 + length).filter(|_| *version_and_command == 0x21 && length <= 2048)?;
    let (ip, port) = match (family, length) {
        (0x11, 12..) => (IpAddr::from(*rest.first_chunk::<4>()?), &rest[8..10]),
        (0x21, 36..) => (IpAddr::from(*rest.first_chunk::<16>()?), &rest[32..34]),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]])))
}
