//! A packet that was read is written as it came, and read again as itself; a request, too, but for what it ignores.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provost_core::Operation;
use provost_protocols::tftp::packet::{MAX_REQUEST_BYTES, Mode, NoRequest, Packet, Request};

fuzz_target!(|datagram: &[u8]| {
    if let Some(packet) = Packet::parse(datagram) {
        let written = packet.to_bytes();
        assert_eq!(Packet::parse(&written), Some(packet));
        match packet {
            Packet::Data { .. } | Packet::OptionAck(_) => assert_eq!(written, datagram),
            Packet::Ack(_) => assert!(datagram.starts_with(&written)),
            Packet::Error { text, .. } => assert!(!text.contains(&0)),
        }
        assert!(Request::parse(datagram).is_err());
    }
    match Request::parse(datagram) {
        Ok(request) => reads_again(&request),
        // What is told that it is lost might be part of a transfer; an ERROR never is.
        Err(NoRequest::Stray) => assert!(matches!(datagram, [0, 3 | 4 | 6, ..])),
        Err(NoRequest::Noise) => {}
    }
});

fn reads_again(request: &Request) {
    assert!(!request.name.contains(&0));
    let mut datagram = match request.operation {
        Operation::Read => vec![0, 1],
        Operation::Write => vec![0, 2],
    };
    let mode = match request.mode {
        Some(Mode::Octet) => "octet",
        Some(Mode::Netascii) => "netascii",
        None => "mail",
    };
    let asked = request.asked;
    let options = [
        ("BLKSIZE", asked.block.map(|block| block as u64)),
        ("Timeout", asked.timeout.map(u64::from)),
        ("tsize", asked.size),
        ("windowsize", asked.window.map(u64::from)),
    ];
    datagram.extend([&request.name[..], b"\0", mode.as_bytes(), b"\0"].concat());
    for (name, value) in options {
        if let Some(value) = value {
            datagram.extend(format!("{name}\0{value}\0").into_bytes());
        }
    }
    if datagram.len() <= MAX_REQUEST_BYTES {
        assert_eq!(Request::parse(&datagram).as_ref(), Ok(request));
    }
}
