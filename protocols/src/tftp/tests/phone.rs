//! A small TFTP client.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use super::super::options::{Asked, pairs};
use super::super::packet::Packet;
use super::super::receiver::{Receiver, Taken};

/// Longer than anything takes that is not lost.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Phone {
    pub(super) socket: UdpSocket,
    server: SocketAddr,
    /// The port that the server answers from.
    pub(super) transfer: SocketAddr,
}

/// A packet with bytes of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Got {
    Data(u16, Vec<u8>),
    Ack(u16),
    Error(u16),
    OptionAck(String),
}

/// The bytes of a request: `RRQ a.cfg octet blksize=1024`.
pub(super) fn request(text: &str) -> Vec<u8> {
    let (verb, rest) = text.split_once(' ').unwrap();
    let opcode = if verb == "RRQ" { 1 } else { 2 };
    [&[0, opcode], rest.replace([' ', '='], "\0").as_bytes(), &[0]].concat()
}

impl Phone {
    pub(super) async fn of(server: SocketAddr) -> Self {
        Self::at("127.0.0.1:0", server).await
    }

    pub(super) async fn at(address: &str, server: SocketAddr) -> Self {
        Self { socket: UdpSocket::bind(address).await.unwrap(), server, transfer: server }
    }

    pub(super) async fn ask(&self, text: &str) {
        self.socket.send_to(&request(text), self.server).await.unwrap();
    }

    pub(super) async fn send(&self, packet: Packet<'_>) {
        self.socket.send_to(&packet.to_bytes(), self.transfer).await.unwrap();
    }

    pub(super) async fn get(&mut self) -> Got {
        let mut buffer = vec![0; 65536];
        let receive = self.socket.recv_from(&mut buffer);
        let (length, from) = tokio::time::timeout(PATIENCE, receive).await.unwrap().unwrap();
        self.transfer = from;
        match Packet::parse(&buffer[..length]).unwrap() {
            Packet::Data { block, bytes } => Got::Data(block, bytes.to_vec()),
            Packet::Ack(block) => Got::Ack(block),
            Packet::Error { code, .. } => Got::Error(code),
            Packet::OptionAck(options) => Got::OptionAck(String::from_utf8_lossy(options).replace('\0', " ")),
        }
    }

    /// Whether nothing has come in. Only for answers that would have been sent before something that did come in.
    pub(super) fn hears_nothing(&self) -> bool {
        self.socket.try_recv_from(&mut [0; 4]).is_err()
    }

    /// Asks, and takes the whole file.
    pub(super) async fn fetch(&mut self, text: &str) -> Vec<u8> {
        self.ask(text).await;
        let mut receiver = Receiver::new(512, 1);
        let mut file = Vec::new();
        loop {
            match self.get().await {
                Got::OptionAck(options) => {
                    let granted = Asked::of(pairs(options.replace(' ', "\0").as_bytes()));
                    receiver = Receiver::new(granted.block.unwrap_or(512), granted.window.unwrap_or(1));
                    self.send(Packet::Ack(0)).await;
                }
                Got::Data(block, bytes) => {
                    let taken = receiver.received(block, bytes.len());
                    match taken {
                        Taken::Keep | Taken::KeepAndAcknowledge | Taken::Last => file.extend_from_slice(&bytes),
                        Taken::Nothing | Taken::Acknowledge => {}
                    }
                    match taken {
                        Taken::Nothing | Taken::Keep => {}
                        Taken::Acknowledge | Taken::KeepAndAcknowledge | Taken::Last => {
                            self.send(Packet::Ack(receiver.arrived())).await;
                        }
                    }
                    if taken == Taken::Last {
                        return file;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Asks, and sends the whole file in lock step.
    pub(super) async fn store(&mut self, text: &str, block: usize, file: &[u8]) {
        self.ask(text).await;
        let first = self.get().await;
        assert!(matches!(first, Got::Ack(0) | Got::OptionAck(_)), "{first:?}");
        let blocks: Vec<&[u8]> =
            file.chunks(block).chain(file.len().is_multiple_of(block).then_some(&[][..])).collect();
        for (number, bytes) in (1..).zip(blocks) {
            self.send(Packet::Data { block: number, bytes }).await;
            let mut answer = self.get().await;
            // Where the machine is busy, the server asks once more for what is on its way.
            while number > 1 && answer == Got::Ack(number - 1) {
                answer = self.get().await;
            }
            assert_eq!(answer, Got::Ack(number));
        }
    }
}
