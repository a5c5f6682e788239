//! Sender and receiver against each other, over a wire that loses, doubles and reorders packets.

use proptest::prelude::*;
use provost_tenants::Rollover;

use super::numbers::Numbers;
use super::receiver::{Receiver, Taken};
use super::sender::{Acked, Sender};

/// What may happen to a packet, in percent.
#[derive(Debug, Clone, Copy)]
struct Weather {
    lost: u64,
    doubled: u64,
    overtaken: u64,
}

/// One direction of the wire.
struct Wire<P> {
    packets: Vec<P>,
    weather: Weather,
    dice: u64,
}

impl<P: Clone> Wire<P> {
    fn new(weather: Weather, seed: u64) -> Self {
        Self { packets: Vec::new(), weather, dice: seed | 1 }
    }

    fn throw(&mut self, percent: u64) -> bool {
        // xorshift64: repeatable, and good enough for weather.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % 100 < percent
    }

    fn send(&mut self, packet: P) {
        if self.throw(self.weather.lost) {
            return;
        }
        if self.throw(self.weather.doubled) {
            self.packets.push(packet.clone());
        }
        let overtakes = self.throw(self.weather.overtaken) && !self.packets.is_empty();
        self.packets.insert(self.packets.len() - usize::from(overtakes), packet);
    }

    fn receive(&mut self) -> Option<P> {
        (!self.packets.is_empty()).then(|| self.packets.remove(0))
    }
}

struct Simulation<'a> {
    file: &'a [u8],
    block_bytes: usize,
    sender: Sender,
    receiver: Receiver,
    numbers: Numbers,
    data: Wire<(u16, &'a [u8])>,
    acks: Wire<u16>,
    arrived: Vec<u8>,
    sent: usize,
    done: bool,
}

impl<'a> Simulation<'a> {
    fn new(file: &'a [u8], block_bytes: usize, window: u16, weather: Weather, seed: u64) -> Self {
        let numbers = Numbers(Rollover::Zero);
        let mut sender = Sender::new(window, false).numbered(numbers);
        sender.end_at((file.len() / block_bytes) as u64 + 1);
        Self {
            file,
            block_bytes,
            sender,
            receiver: Receiver::new(block_bytes, window),
            numbers,
            data: Wire::new(weather, seed),
            acks: Wire::new(weather, seed.rotate_left(32)),
            arrived: Vec::new(),
            sent: 0,
            done: false,
        }
    }

    fn numbered(self, numbers: Numbers) -> Self {
        let (sender, receiver) = (self.sender.numbered(numbers), self.receiver.numbered(numbers));
        Self { sender, receiver, numbers, ..self }
    }

    /// Runs until the sender knows that the file arrived, or `false` after too many timeouts.
    fn run(&mut self) -> bool {
        self.send_due();
        for _ in 0..10_000 {
            while self.step() {
                if self.done {
                    return true;
                }
            }
            self.sender.repeated();
            self.send(self.sender.unacknowledged());
        }
        false
    }

    /// One packet each way. `false` when nothing is on the wire.
    fn step(&mut self) -> bool {
        let data = self.data.receive();
        let ack = self.acks.receive();
        let quiet = data.is_none() && ack.is_none();
        if let Some((number, bytes)) = data {
            self.receive(number, bytes);
        }
        if let Some(number) = ack {
            match self.sender.acked(number) {
                Acked::Nothing => {}
                Acked::Window | Acked::Part | Acked::Lost => self.send_due(),
                Acked::File => self.done = true,
            }
        }
        !quiet
    }

    fn receive(&mut self, number: u16, bytes: &[u8]) {
        let taken = self.receiver.received(number, bytes.len());
        match taken {
            Taken::Keep | Taken::KeepAndAcknowledge | Taken::Last => self.arrived.extend_from_slice(bytes),
            Taken::Nothing | Taken::Acknowledge => {}
        }
        match taken {
            Taken::Acknowledge | Taken::KeepAndAcknowledge | Taken::Last => self.acks.send(self.receiver.arrived()),
            Taken::Nothing | Taken::Keep => {}
        }
    }

    fn send_due(&mut self) {
        let due = self.sender.due();
        self.sender.sent_until(due.end);
        self.send(due);
    }

    fn send(&mut self, blocks: std::ops::Range<u64>) {
        for block in blocks {
            let begin = usize::try_from(block - 1).unwrap_or(usize::MAX) * self.block_bytes;
            let end = (begin + self.block_bytes).min(self.file.len());
            self.data.send((self.numbers.of(block), self.file.get(begin..end).unwrap_or_default()));
            self.sent += 1;
        }
    }
}

fn file(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| u8::try_from(index % 251).unwrap_or_default()).collect()
}

const FAIR: Weather = Weather { lost: 0, doubled: 0, overtaken: 0 };

proptest! {
    #[test]
    fn any_weather_lets_the_same_bytes_arrive(
        size in 0_usize..2000, window in 1_u16..20, seed: u64,
        lost in 0_u64..50, doubled in 0_u64..30, overtaken in 0_u64..30,
    ) {
        let file = file(size);
        let weather = Weather { lost, doubled, overtaken };
        let mut simulation = Simulation::new(&file, 8, window, weather, seed);
        prop_assert!(simulation.run(), "it never ends");
        prop_assert_eq!(simulation.arrived, file);
    }

    #[test]
    fn in_fair_weather_each_block_is_sent_once(size in 0_usize..2000, window in 1_u16..20) {
        let file = file(size);
        let mut simulation = Simulation::new(&file, 8, window, FAIR, 1);
        prop_assert!(simulation.run());
        prop_assert_eq!(simulation.sent, size / 8 + 1);
    }
}

#[test]
fn doubled_packets_are_no_sorcerers_apprentice() {
    let file = file(8000);
    let weather = Weather { doubled: 100, ..FAIR };
    let mut simulation = Simulation::new(&file, 8, 1, weather, 1);
    assert!(simulation.run());
    assert_eq!(simulation.sent, 1001);
    assert_eq!(simulation.arrived, file);
}

#[test]
fn a_file_may_have_more_blocks_than_numbers() {
    let file = file(140_000 * 8 + 3);
    for (window, weather) in [(1, FAIR), (64, Weather { lost: 1, doubled: 1, overtaken: 1 })] {
        for rollover in [Rollover::Zero, Rollover::One] {
            let mut simulation = Simulation::new(&file, 8, window, weather, 7).numbered(Numbers(rollover));
            assert!(simulation.run());
            assert!(simulation.arrived == file, "window {window} {rollover:?}");
        }
    }
}
