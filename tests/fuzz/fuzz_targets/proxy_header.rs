//! A header of the PROXY protocol names the peer that stands where the protocol says, whatever follows, or none.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use provost_protocols::https::peer_of;

fuzz_target!(|header: &[u8]| {
    let Some(peer) = peer_of(header) else { return };
    assert_eq!(&header[..13], b"\r\n\r\n\0\r\nQUIT\n\x21");
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    assert!(header.len() >= 16 + length);
    let (octets, port) = match peer.ip() {
        IpAddr::V4(ip) => (ip.octets().to_vec(), 24),
        IpAddr::V6(ip) => (ip.octets().to_vec(), 48),
    };
    assert_eq!(&header[16..16 + octets.len()], octets);
    assert_eq!(peer.port(), u16::from_be_bytes([header[port], header[port + 1]]));
    // What follows the header is not looked at.
    assert_eq!(peer_of(&header[..16 + length]), Some(peer));
});
