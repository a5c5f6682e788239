//! The state of a file that is being written: which blocks to take and when to acknowledge (RFC 1350, RFC 7440). It
//! does no I/O and knows no time.

use super::numbers::Numbers;

/// The receiving side of a transfer.
#[derive(Debug, Clone)]
pub struct Receiver {
    block_bytes: usize,
    window: u16,
    /// The block that comes next, counted without rolling over.
    expected: u64,
    /// Blocks taken since the last ACK.
    taken: u16,
    /// Whether the block that is missing has been named to the peer.
    gap_told: bool,
    numbers: Numbers,
}

/// What to do with a DATA packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Nothing: it is out of place, and the peer knows.
    Nothing,
    /// Say again what has arrived.
    Acknowledge,
    /// Keep its bytes.
    Keep,
    /// Keep its bytes and acknowledge them.
    KeepAndAcknowledge,
    /// Keep its bytes: they are the last ones. Acknowledge them when they are stored.
    Last,
}

impl Receiver {
    /// A file in windows of `window` blocks of `block_bytes`.
    pub fn new(block_bytes: usize, window: u16) -> Self {
        Self { block_bytes, window: window.max(1), expected: 1, taken: 0, gap_told: false, numbers: Numbers::default() }
    }

    /// The same with blocks that are numbered so.
    #[must_use]
    pub fn numbered(self, numbers: Numbers) -> Self {
        Self { numbers, ..self }
    }

    /// The number of the last block that arrived in order; 0 before the first.
    pub fn arrived(&self) -> u16 {
        self.numbers.of(self.expected - 1)
    }

    /// A DATA packet came in. One that is longer than a block is no part of this transfer.
    pub fn received(&mut self, number: u16, bytes: usize) -> Taken {
        if bytes > self.block_bytes {
            return Taken::Nothing;
        }
        if number == self.numbers.of(self.expected) {
            return self.take(bytes);
        }
        if number == self.arrived() && self.expected > 1 {
            // The peer repeats what it has sent: the ACK was lost. The other blocks of the window need no answer.
            self.acknowledged();
            return Taken::Acknowledge;
        }
        let ahead = self.numbers.ahead(self.expected, number);
        if ahead.is_none_or(|ahead| ahead >= self.window.into()) || self.gap_told {
            return Taken::Nothing;
        }
        self.acknowledged();
        self.gap_told = true;
        Taken::Acknowledge
    }

    /// Says that what has arrived was acknowledged because time was up: the window begins anew there.
    pub fn acknowledged(&mut self) {
        self.taken = 0;
    }

    fn take(&mut self, bytes: usize) -> Taken {
        self.expected += 1;
        self.taken += 1;
        self.gap_told = false;
        if bytes < self.block_bytes {
            return Taken::Last;
        }
        if self.taken < self.window {
            return Taken::Keep;
        }
        self.acknowledged();
        Taken::KeepAndAcknowledge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_acknowledged_at_the_end_of_a_window() {
        let mut receiver = Receiver::new(8, 3);
        let taken: Vec<_> = (1..=6).map(|number| receiver.received(number, 8)).collect();
        let [keep, acknowledge] = [Taken::Keep, Taken::KeepAndAcknowledge];
        assert_eq!(taken, [keep, keep, acknowledge, keep, keep, acknowledge]);
        assert_eq!(receiver.received(7, 3), Taken::Last);
        assert_eq!(receiver.arrived(), 7);
    }

    #[test]
    fn a_gap_is_told_once() {
        let mut receiver = Receiver::new(8, 4);
        assert_eq!(receiver.received(1, 8), Taken::Keep);
        assert_eq!(receiver.received(3, 8), Taken::Acknowledge);
        assert_eq!(receiver.arrived(), 1);
        assert_eq!(receiver.received(4, 8), Taken::Nothing);
        let again: Vec<_> = (2..=5).map(|number| receiver.received(number, 8)).collect();
        assert_eq!(again, [Taken::Keep, Taken::Keep, Taken::Keep, Taken::KeepAndAcknowledge]);
    }

    #[test]
    fn a_repeated_block_is_acknowledged_again_and_not_kept() {
        let mut receiver = Receiver::new(8, 1);
        assert_eq!(receiver.received(1, 8), Taken::KeepAndAcknowledge);
        assert_eq!(receiver.received(1, 8), Taken::Acknowledge);
        assert_eq!(receiver.received(0, 8), Taken::Nothing);
        assert_eq!(receiver.received(2, 9), Taken::Nothing, "longer than a block");
        assert_eq!(receiver.received(2, 0), Taken::Last);
        assert_eq!(receiver.received(2, 0), Taken::Acknowledge);
    }

    #[test]
    fn a_repeated_window_is_acknowledged_once() {
        let mut receiver = Receiver::new(8, 4);
        for number in 1..=4 {
            receiver.received(number, 8);
        }
        let again: Vec<_> = (1..=4).map(|number| receiver.received(number, 8)).collect();
        assert_eq!(again, [Taken::Nothing, Taken::Nothing, Taken::Nothing, Taken::Acknowledge]);
    }

    #[test]
    fn a_block_behind_65535_is_0() {
        let mut receiver = Receiver::new(8, 1);
        for block in 1..=131_073 {
            assert_eq!(receiver.received(Numbers::default().of(block), 8), Taken::KeepAndAcknowledge);
        }
        assert_eq!(receiver.arrived(), 1);
    }
}
