//! The header that a proxy sends before anything else, to say whose connection it passes on: version 2 of the PROXY
//! protocol (haproxy's `proxy-protocol.txt`, section 2.2).
//!
//! Version 1, a line of text, is refused: it has no length, and one form is enough. What follows the addresses
//! (the TLVs of section 2.2) is passed over.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// What may follow: 36 bytes of addresses, and as much for what a proxy adds as any is known to send.
const MOST: usize = 2048;

/// Whose connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This peer's.
    Peer(SocketAddr),
    /// The proxy's own, such as one that looks whether we are there (LOCAL).
    Proxy,
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("no PROXY header within {0:?}")]
    Slow(Duration),
    #[error("the connection failed before its PROXY header was complete: {0}")]
    Io(#[from] io::Error),
    #[error("a connection from a proxy begins without a PROXY header of version 2")]
    Missing,
    #[error("the PROXY header is of a version or command that is not known ({0:#04x})")]
    Command(u8),
    #[error("the PROXY header is of a family that is neither TCP over IPv4 nor over IPv6 ({0:#04x})")]
    Family(u8),
    #[error("the PROXY header says that {0} bytes follow")]
    Length(usize),
    #[error("the address was a proxy's when the connection began, and is none of this listener's now")]
    Withdrawn,
}

impl ProxyError {
    /// A short fixed word for records.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Slow(_) => "proxy_timeout",
            Self::Io(_) => "proxy_incomplete",
            Self::Missing => "proxy_missing",
            Self::Command(_) | Self::Family(_) | Self::Length(_) => "proxy_malformed",
            Self::Withdrawn => "proxy_withdrawn",
        }
    }
}

/// Reads a header and not a byte more. The caller bounds the time.
///
/// # Errors
/// - [`ProxyError`]
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Origin, ProxyError> {
    let mut fixed = [0; FIXED];
    // What is no header is known by its first bytes, and may be shorter than one.
    let mut had = 0;
    while had < FIXED {
        let rest = fixed.get_mut(had..).unwrap_or_default();
        let more = stream.read(rest).await?;
        if more == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        had += more;
        if SIGNATURE.iter().zip(fixed.iter().take(had)).any(|(expected, found)| expected != found) {
            return Err(ProxyError::Missing);
        }
    }
    let header = Header::of(fixed)?;
    let mut rest = vec![0; header.length];
    stream.read_exact(&mut rest).await?;
    header.origin(&rest)
}

/// The peer that a whole header names; none where it names none or is not one.
pub fn peer_of(header: &[u8]) -> Option<SocketAddr> {
    let (fixed, rest) = header.split_first_chunk::<FIXED>()?;
    let header = Header::of(*fixed).ok().filter(|_| fixed.starts_with(&SIGNATURE))?;
    match header.origin(rest.get(..header.length)?).ok()? {
        Origin::Peer(address) => Some(address),
        Origin::Proxy => None,
    }
}

/// What stands behind the signature.
#[derive(Debug, Clone, Copy)]
struct Header {
    command: Command,
    family: u8,
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Local,
    Proxy,
}

impl Header {
    fn of(fixed: [u8; FIXED]) -> Result<Self, ProxyError> {
        let [.., version_and_command, family, high, low] = fixed;
        let command = match version_and_command {
            0x20 => Command::Local,
            0x21 => Command::Proxy,
            other => return Err(ProxyError::Command(other)),
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > MOST {
            return Err(ProxyError::Length(length));
        }
        Ok(Self { command, family, length })
    }

    fn origin(self, rest: &[u8]) -> Result<Origin, ProxyError> {
        match (self.command, self.family) {
            (Command::Local, _) => Ok(Origin::Proxy),
            (Command::Proxy, 0x11) => {
                let [a, b, c, d, _, _, _, _, high, low] = first(rest)?;
                let port = u16::from_be_bytes([high, low]);
                Ok(Origin::Peer(SocketAddr::from((Ipv4Addr::new(a, b, c, d), port))))
            }
            (Command::Proxy, 0x21) => {
                let address: [u8; 16] = first(rest)?;
                let ports: [u8; 34] = first(rest)?;
                let [.., high, low] = ports;
                let port = u16::from_be_bytes([high, low]);
                Ok(Origin::Peer(SocketAddr::from((Ipv6Addr::from(address), port))))
            }
            (Command::Proxy, other) => Err(ProxyError::Family(other)),
        }
    }
}

/// The first bytes of the addresses: source, destination, source port, destination port.
fn first<const N: usize>(rest: &[u8]) -> Result<[u8; N], ProxyError> {
    // The port of the destination is not asked for, and must be there all the same.
    let whole = if N <= 10 { 12 } else { 36 };
    let is_whole = rest.len() >= whole;
    rest.first_chunk::<N>().filter(|_| is_whole).copied().ok_or(ProxyError::Length(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap_or(u16::MAX).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    #[tokio::test]
    async fn a_header_is_read_and_not_a_byte_more() {
        let v4 = [10, 1, 2, 3, 192, 0, 2, 1, 0x12, 0x67, 0, 80];
        let peer = SocketAddr::from(([10, 1, 2, 3], 4711));
        let added = [&v4[..], &[4, 0, 1, 9]].concat();
        for (bytes, expected) in [
            (header(0x21, 0x11, &v4), Origin::Peer(peer)),
            (header(0x21, 0x11, &added), Origin::Peer(peer)),
            (header(0x20, 0x11, &v4), Origin::Proxy),
            (header(0x20, 0, &[]), Origin::Proxy),
        ] {
            let whole = [&bytes[..], b"GET"].concat();
            let mut stream = &whole[..];
            assert_eq!(read(&mut stream).await.ok(), Some(expected));
            assert_eq!(stream, b"GET");
            assert_eq!(peer_of(&bytes), (expected == Origin::Peer(peer)).then_some(peer));
            for short in 0..bytes.len() {
                assert!(read(&mut bytes.get(..short).unwrap_or_default()).await.is_err(), "{short}");
            }
        }
    }
}
