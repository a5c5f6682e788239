//! The packets of TFTP: read from bytes and written to bytes (RFC 1350, RFC 2347).
//!
//! Nothing here answers or decides. What does not parse is `None` or a [`NoRequest`]; whoever reads it stays silent.

use provost_core::Operation;

use super::options::{Asked, pairs};

/// The longest request that is read, in bytes. RFC 2347 allows 512; a path of ours may have 1,024.
pub const MAX_REQUEST_BYTES: usize = 2048;
/// What stands before the bytes of a DATA packet: opcode and block number.
pub const DATA_HEADER_BYTES: usize = 4;

const RRQ: u16 = 1;
const WRQ: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// How a file is sent (RFC 1350 section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As it is.
    Octet,
    /// Lines end with CR LF on the wire.
    Netascii,
}

/// A request as a peer sent it: the name's bytes are not looked at here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// RRQ reads, WRQ writes.
    pub operation: Operation,
    /// The file's name.
    pub name: Vec<u8>,
    /// How it is sent; `None` for `mail`, which is obsolete (RFC 1350 section 1), for what no RFC has, and where it is missing or
    /// its end is.
    pub mode: Option<Mode>,
    /// The options that could be read.
    pub asked: Asked,
}

/// Why a datagram is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRequest {
    /// A packet of another kind that might be part of a transfer: it may be told that it is lost.
    Stray,
    /// An ERROR, which is never answered (RFC 1350 section 7), or no TFTP at all.
    Noise,
}

/// A packet inside a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Bytes of the file.
    Data {
        /// The block's number, rolled over.
        block: u16,
        /// The bytes; fewer than a block at the end of the file.
        bytes: &'a [u8],
    },
    /// Everything up to this block has arrived.
    Ack(u16),
    /// The end of the transfer.
    Error {
        /// The code (RFC 1350 appendix I).
        code: u16,
        /// The text.
        text: &'a [u8],
    },
    /// What the server accepts of the options; see [`pairs`].
    OptionAck(&'a [u8]),
}

impl Request {
    /// Reads a request from a whole datagram. Whatever follows the last complete option is ignored. One that is cut off is a
    /// request still, for whose phone it is that the operator asks: it has no mode, and so it is refused and recorded.
    ///
    /// # Errors
    /// - [`NoRequest`]: another opcode, or longer than [`MAX_REQUEST_BYTES`]
    pub fn parse(datagram: &[u8]) -> Result<Self, NoRequest> {
        let (opcode, rest) = number(datagram).ok_or(NoRequest::Noise)?;
        let operation = match opcode {
            RRQ => Operation::Read,
            WRQ => Operation::Write,
            DATA | ACK | OACK => return Err(NoRequest::Stray),
            _ => return Err(NoRequest::Noise),
        };
        if datagram.len() > MAX_REQUEST_BYTES {
            return Err(NoRequest::Noise);
        }
        let (name, rest) = text(rest).unwrap_or((rest, b""));
        let (mode, rest) = text(rest).map_or((None, rest), |(mode, rest)| (Mode::of(mode), rest));
        Ok(Self { operation, name: name.to_vec(), mode, asked: Asked::of(pairs(rest)) })
    }

    /// The request's name as records call it.
    pub fn method(&self) -> &'static str {
        match self.operation {
            Operation::Read => "RRQ",
            Operation::Write => "WRQ",
        }
    }
}

impl Mode {
    fn of(name: &[u8]) -> Option<Self> {
        let modes = [(&b"octet"[..], Self::Octet), (b"netascii", Self::Netascii)];
        modes.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, mode)| mode)
    }
}

impl<'a> Packet<'a> {
    /// Reads a packet from a whole datagram. `None` for requests and for what is no TFTP. Bytes behind an ACK are
    /// ignored: short frames are padded on their way.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (opcode, rest) = number(datagram)?;
        match opcode {
            DATA => number(rest).map(|(block, bytes)| Self::Data { block, bytes }),
            ACK => number(rest).map(|(block, _)| Self::Ack(block)),
            ERROR => {
                let (code, rest) = number(rest)?;
                Some(Self::Error { code, text: text(rest).map_or(rest, |(text, _)| text) })
            }
            OACK => Some(Self::OptionAck(rest)),
            _ => None,
        }
    }

    /// Writes the packet behind what `buffer` holds.
    pub fn append(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::Data { block, bytes } => put(buffer, &[&DATA.to_be_bytes(), &block.to_be_bytes(), bytes]),
            Self::Ack(block) => put(buffer, &[&ACK.to_be_bytes(), &block.to_be_bytes()]),
            Self::Error { code, text } => put(buffer, &[&ERROR.to_be_bytes(), &code.to_be_bytes(), text, b"\0"]),
            Self::OptionAck(options) => put(buffer, &[&OACK.to_be_bytes(), options]),
        }
    }

    /// The packet in a buffer of its own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut buffer = Vec::new();
        self.append(&mut buffer);
        buffer
    }
}

fn put(buffer: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        buffer.extend_from_slice(part);
    }
}

fn number(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*number), rest))
}

/// The bytes before the next NUL, and those behind it.
pub(super) fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(datagram: &[u8]) -> Result<Request, NoRequest> {
        Request::parse(datagram)
    }

    #[test]
    fn requests_are_read_as_phones_write_them() {
        let plain =
            |operation, name: &str, mode| Request { operation, name: name.into(), mode, asked: Asked::default() };
        for (datagram, request) in [
            (&b"\0\x01a.cfg\0octet\0"[..], plain(Operation::Read, "a.cfg", Some(Mode::Octet))),
            (b"\0\x02\\logs\\a\0OCTET\0", plain(Operation::Write, "\\logs\\a", Some(Mode::Octet))),
            (b"\0\x01//a\0NetASCII\0", plain(Operation::Read, "//a", Some(Mode::Netascii))),
            (b"\0\x01a\0mail\0", plain(Operation::Read, "a", None)),
            (b"\0\x01a\0binary\0", plain(Operation::Read, "a", None)),
            (b"\0\x01a\0octet\0\0\0garbage", plain(Operation::Read, "a", Some(Mode::Octet))),
            (b"\0\x01\0octet\0", plain(Operation::Read, "", Some(Mode::Octet))),
            (b"\0\x01", plain(Operation::Read, "", None)),
            (b"\0\x02a.cfg", plain(Operation::Write, "a.cfg", None)),
            (b"\0\x01a.cfg\0", plain(Operation::Read, "a.cfg", None)),
            (b"\0\x01a.cfg\0octet", plain(Operation::Read, "a.cfg", None)),
        ] {
            assert_eq!(parse(datagram), Ok(request), "{}", datagram.escape_ascii());
        }
        assert_eq!(parse(b"\0\x01\xff\xfe\0octet\0").map(|request| request.name), Ok(b"\xff\xfe".to_vec()));
    }

    #[test]
    fn what_is_no_request_is_noise_or_a_stray_packet() {
        let long = [b"\0\x01".as_slice(), &[b'a'; MAX_REQUEST_BYTES], b"\0octet\0"].concat();
        for (datagram, what) in [
            (&b""[..], NoRequest::Noise),
            (b"\0", NoRequest::Noise),
            (b"\0\x03\0\x01", NoRequest::Stray),
            (b"\0\x04\0\x01", NoRequest::Stray),
            (b"\0\x05\0\x01x\0", NoRequest::Noise),
            (b"\0\x06", NoRequest::Stray),
            (b"\x01\0a\0octet\0", NoRequest::Noise),
            (&long, NoRequest::Noise),
        ] {
            assert_eq!(parse(datagram), Err(what), "{}", datagram.escape_ascii());
        }
    }

    #[test]
    fn a_padded_ack_and_an_unfinished_error_are_read() {
        assert_eq!(Packet::parse(&[&b"\0\x04\0\x07"[..], &[0; 42]].concat()), Some(Packet::Ack(7)));
        assert_eq!(Packet::parse(b"\0\x05\0\x08no"), Some(Packet::Error { code: 8, text: b"no" }));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            block: u16, code: u16, bytes in prop::collection::vec(any::<u8>(), 0..600), text in "[^\0]{0,40}",
        ) {
            let packets = [
                Packet::Data { block, bytes: &bytes },
                Packet::Ack(block),
                Packet::Error { code, text: text.as_bytes() },
                Packet::OptionAck(&bytes),
            ];
            for packet in packets {
                let written = packet.to_bytes();
                prop_assert_eq!(Packet::parse(&written), Some(packet));
            }
        }

        #[test]
        fn a_request_is_read_as_it_was_written(name in "[^\0]{0,60}", write: bool, block in 8_usize..=65464) {
            let opcode = if write { WRQ } else { RRQ };
            let mut datagram = opcode.to_be_bytes().to_vec();
            datagram.extend_from_slice(format!("{name}\0octet\0BlkSize\0{block}\0").as_bytes());
            let request = Request::parse(&datagram);
            let operation = if write { Operation::Write } else { Operation::Read };
            let asked = Asked { block: Some(block), ..Asked::default() };
            prop_assert_eq!(request, Ok(Request { operation, name: name.into(), mode: Some(Mode::Octet), asked }));
        }

        #[test]
        fn no_bytes_upset_the_parsers(bytes in prop::collection::vec(any::<u8>(), 0..100), opcode in 0_u8..8) {
            let datagram = [&[0, opcode], bytes.as_slice()].concat();
            for datagram in [&bytes, &datagram] {
                let _ = Request::parse(datagram);
                if let Some(packet) = Packet::parse(datagram) {
                    prop_assert!(packet.to_bytes().len() <= datagram.len() + 1);
                }
            }
        }
    }
}
