//! A TFTP client of our own, for what no installed one can do: windows, requests that lack their end, restarts on the
//! same port.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::DEADLINE;

/// A client with its socket.
pub(crate) struct TftpClient {
    socket: UdpSocket,
    server: SocketAddr,
}

/// A packet as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Data(u16, Vec<u8>),
    Ack(u16),
    Error(u16, String),
    Options(Vec<(String, String)>),
}

const RRQ: u16 = 1;
const WRQ: u16 = 2;

impl TftpClient {
    /// A client on a port that the system picks.
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self::on(UdpSocket::bind("127.0.0.1:0").unwrap(), server)
    }

    /// A client with this socket.
    pub(crate) fn on(socket: UdpSocket, server: SocketAddr) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, server }
    }

    /// The next packet, if one has come already.
    pub(crate) fn look(&self) -> io::Result<(Packet, SocketAddr)> {
        self.socket.set_nonblocking(true)?;
        let mut buffer = [0; 1024];
        let received = self.socket.recv_from(&mut buffer);
        self.socket.set_nonblocking(false)?;
        received.map(|(length, from)| (Packet::parse(&buffer[..length]), from))
    }

    pub(crate) fn read_request(&self, name: &str, mode: &str, options: &[(&str, &str)]) {
        self.request(RRQ, name.as_bytes(), mode, options);
    }

    pub(crate) fn write_request(&self, name: &str, mode: &str, options: &[(&str, &str)]) {
        self.request(WRQ, name.as_bytes(), mode, options);
    }

    pub(crate) fn request(&self, opcode: u16, name: &[u8], mode: &str, options: &[(&str, &str)]) {
        let mut packet = opcode.to_be_bytes().to_vec();
        let words = options.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        for word in [name, mode.as_bytes()].into_iter().chain(words) {
            packet.extend_from_slice(word);
            packet.push(0);
        }
        self.send(&packet, self.server);
    }

    pub(crate) fn send(&self, packet: &[u8], to: SocketAddr) {
        self.socket.send_to(packet, to).unwrap();
    }

    pub(crate) fn acknowledge(&self, block: u16, to: SocketAddr) {
        let [[a, b], [c, d]] = [4_u16, block].map(u16::to_be_bytes);
        self.send(&[a, b, c, d], to);
    }

    pub(crate) fn data(&self, block: u16, bytes: &[u8], to: SocketAddr) {
        let mut packet = [3_u16, block].map(u16::to_be_bytes).concat();
        packet.extend_from_slice(bytes);
        self.send(&packet, to);
    }

    /// The next packet and where it came from.
    pub(crate) fn receive(&self) -> (Packet, SocketAddr) {
        self.try_receive(DEADLINE).unwrap_or_else(|error| panic!("no packet from {}: {error}", self.server))
    }

    /// The next packet that is not this one again: a loaded machine may answer so late that the server repeats itself.
    pub(crate) fn receive_after(&self, former: &Packet) -> (Packet, SocketAddr) {
        loop {
            match self.receive() {
                (packet, _) if packet == *former => {}
                received => return received,
            }
        }
    }

    /// The next packet within a time.
    pub(crate) fn try_receive(&self, within: Duration) -> io::Result<(Packet, SocketAddr)> {
        self.socket.set_read_timeout(Some(within))?;
        let mut buffer = vec![0; 65536];
        let (length, from) = self.socket.recv_from(&mut buffer)?;
        buffer.truncate(length);
        Ok((Packet::parse(&buffer), from))
    }

    /// Fetches a file. A gap within a window asks for the rest of it again.
    pub(crate) fn get(&self, name: &str, mode: &str, options: &[(&str, &str)]) -> Result<Fetched, Packet> {
        let mut content = Vec::new();
        let (length, granted) = self.fetch(name, mode, options, |bytes| content.extend_from_slice(bytes))?;
        assert_eq!(length, content.len() as u64);
        Ok(Fetched { content, granted })
    }

    /// Fetches a file into `sink` and gives its length and the options that were granted.
    pub(crate) fn fetch(
        &self,
        name: &str,
        mode: &str,
        options: &[(&str, &str)],
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(u64, Vec<(String, String)>), Packet> {
        self.read_request(name, mode, options);
        let (mut packet, peer) = self.receive();
        let mut granted = Vec::new();
        if let Packet::Options(options) = packet {
            granted = options;
            self.acknowledge(0, peer);
            packet = self.receive().0;
        }
        let number = |key: &str, default| number(&granted, key).unwrap_or(default);
        let (block_size, window) = (number("blksize", 512), number("windowsize", 1));
        let (mut length, mut block, mut in_window) = (0_u64, 0_u16, 0);
        loop {
            let (found, bytes) = match packet {
                Packet::Data(found, bytes) => (found, bytes),
                other => return Err(other),
            };
            if found == block.wrapping_add(1) {
                (block, in_window) = (found, in_window + 1);
                length += bytes.len() as u64;
                sink(&bytes);
                let last = bytes.len() < block_size;
                if last || in_window == window {
                    self.acknowledge(block, peer);
                    in_window = 0;
                }
                if last {
                    return Ok((length, granted));
                }
            } else if in_window > 0 || found == block {
                // A block is missing, or our acknowledgement was: say where we stand.
                self.acknowledge(block, peer);
                in_window = 0;
            }
            packet = self.receive().0;
        }
    }

    /// Sends a file, one block at a time or a window, and waits for the last acknowledgement.
    pub(crate) fn put(
        &self,
        name: &str,
        mode: &str,
        options: &[(&str, &str)],
        content: &[u8],
    ) -> Result<Vec<(String, String)>, Packet> {
        self.write_request(name, mode, options);
        let (first, peer) = self.receive();
        let granted = match first {
            Packet::Ack(0) => Vec::new(),
            Packet::Options(options) => options,
            other => return Err(other),
        };
        let block_size = number(&granted, "blksize").unwrap_or(512);
        let window = number(&granted, "windowsize").unwrap_or(1);
        let mut blocks: Vec<&[u8]> = content.chunks(block_size).collect();
        if blocks.last().is_none_or(|last| last.len() == block_size) {
            blocks.push(b"");
        }
        let mut acknowledged = 0;
        while acknowledged < blocks.len() {
            for (index, bytes) in blocks.iter().enumerate().skip(acknowledged).take(window) {
                self.data(block_number(index + 1), bytes, peer);
            }
            match self.receive().0 {
                Packet::Ack(block) => {
                    let sent = acknowledged..=blocks.len().min(acknowledged + window);
                    acknowledged = sent.clone().find(|index| block_number(*index) == block).unwrap_or(*sent.start());
                }
                other => return Err(other),
            }
        }
        Ok(granted)
    }
}

/// A file that came, and the options that the server granted.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) content: Vec<u8>,
    pub(crate) granted: Vec<(String, String)>,
}

/// Block numbers roll over to 0.
fn block_number(index: usize) -> u16 {
    u16::try_from(index % 65536).unwrap()
}

fn number(options: &[(String, String)], key: &str) -> Option<usize> {
    options.iter().find(|(name, _)| name == key).map(|(_, value)| value.parse().unwrap())
}

impl Packet {
    fn parse(bytes: &[u8]) -> Self {
        let (opcode, rest) = bytes.split_at(2);
        let word = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
        match word(opcode) {
            3 => Self::Data(word(rest), rest[2..].to_vec()),
            4 => Self::Ack(word(rest)),
            5 => Self::Error(word(rest), String::from_utf8_lossy(&rest[2..]).trim_end_matches('\0').to_owned()),
            6 => {
                let words: Vec<String> =
                    rest.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).to_lowercase()).collect();
                Self::Options(words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
            }
            other => panic!("opcode {other} from the server"),
        }
    }
}
