//! The state of a file that is being read: which blocks to send when (RFC 1350, RFC 7440). It does no I/O and knows
//! no time.
//!
//! Blocks are counted without rolling over; number 0 is the OACK, which ACK 0 acknowledges.

use std::ops::Range;

use super::numbers::Numbers;

/// The sending side of a transfer.
#[derive(Debug, Clone)]
pub struct Sender {
    window: u64,
    /// The first block that is not acknowledged.
    base: u64,
    /// The first block that has not been sent since the window began.
    next: u64,
    /// The last block of the file, once it is known.
    last: Option<u64>,
    /// Whether the window is on its way again because the peer missed a block of it.
    restarted: bool,
    numbers: Numbers,
}

/// What an ACK means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acked {
    /// Nothing: it is old, or repeats what is known.
    Nothing,
    /// The whole window arrived: the next one is due.
    Window,
    /// A part of the window arrived: what follows is due, from there (RFC 7440 section 4).
    Part,
    /// Nothing of the window arrived: it is due once more.
    Lost,
    /// The whole file arrived.
    File,
}

impl Acked {
    /// What two ACKs mean together, the later one last: progress counts, and the last progress says from where.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        match (self, later) {
            (earlier, Self::Nothing) => earlier,
            (Self::Window | Self::Part | Self::File, Self::Lost) => self,
            (Self::Nothing | Self::Lost, Self::Lost) => Self::Lost,
            (_, Self::Window | Self::Part | Self::File) => later,
        }
    }
}

impl Sender {
    /// A file in windows of `window` blocks. With `oack`, the OACK is block 0.
    pub fn new(window: u16, oack: bool) -> Self {
        let base = u64::from(!oack);
        Self {
            window: window.max(1).into(),
            base,
            next: base,
            last: None,
            restarted: false,
            numbers: Numbers::default(),
        }
    }

    /// The same with blocks that are numbered so.
    #[must_use]
    pub fn numbered(self, numbers: Numbers) -> Self {
        Self { numbers, ..self }
    }

    /// The blocks that are due. Until the last block is known, it may reach past the end.
    pub fn due(&self) -> Range<u64> {
        if self.base == 0 {
            return 0..1;
        }
        let end = self.base + self.window;
        self.base..self.last.map_or(end, |last| end.min(last + 1))
    }

    /// The blocks to repeat when time is up: those that are on their way.
    pub fn unacknowledged(&self) -> Range<u64> {
        self.base..self.next
    }

    /// Says which block is the last one.
    pub fn end_at(&mut self, last: u64) {
        self.last = Some(last);
    }

    /// Says that everything before `next` is on its way.
    pub fn sent_until(&mut self, next: u64) {
        self.next = next;
    }

    /// The number of the ACK that acknowledges everything which is on its way.
    pub fn awaited(&self) -> u16 {
        self.numbers.of(self.next.saturating_sub(1))
    }

    /// Says that the window was repeated because time was up: from now on the peer may miss a block of it again.
    pub fn repeated(&mut self) {
        self.restarted = false;
    }

    /// The blocks that are acknowledged, OACK left out.
    pub fn acknowledged(&self) -> u64 {
        self.base.saturating_sub(1)
    }

    /// An ACK came in.
    ///
    /// In lock step a repeated ACK never makes anything be sent again: each side would go on to send everything twice
    /// (the Sorcerer's Apprentice, RFC 1123 section 4.2.3.1). In a window it says that the first block of it is
    /// missing, and counts once: blocks that are still on their way behind a gap make the peer repeat itself.
    pub fn acked(&mut self, number: u16) -> Acked {
        let Some(block) = self.meant(number) else { return Acked::Nothing };
        if block < self.base {
            if self.window == 1 || self.restarted || self.next == self.base {
                return Acked::Nothing;
            }
            self.restarted = true;
            return Acked::Lost;
        }
        self.base = block + 1;
        if self.last == Some(block) {
            return Acked::File;
        }
        self.restarted = self.base < self.next;
        if self.restarted { Acked::Part } else { Acked::Window }
    }

    /// The block that a number on the wire stands for: the one before the window, or one that is on its way.
    fn meant(&self, number: u16) -> Option<u64> {
        let before = self.base.saturating_sub(1);
        let ahead = self.numbers.ahead(before, number)?;
        Some(before + ahead).filter(|block| *block < self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sender whose window from `base` on is on its way.
    fn sending(window: u16, base: u64) -> Sender {
        let mut sender = Sender { base, ..Sender::new(window, false) };
        sender.sent_until(sender.due().end);
        sender
    }

    #[test]
    fn an_ack_moves_the_window() {
        for (window, base, number, acked, due) in [
            (1, 1, 1, Acked::Window, 2..3),
            (1, 1, 0, Acked::Nothing, 1..2),
            (1, 1, 2, Acked::Nothing, 1..2),
            (1, 5, 3, Acked::Nothing, 5..6),
            (4, 1, 4, Acked::Window, 5..9),
            (4, 1, 2, Acked::Part, 3..7),
            (4, 1, 0, Acked::Lost, 1..5),
            (4, 9, 8, Acked::Lost, 9..13),
            (4, 9, 7, Acked::Nothing, 9..13),
            (4, 9, 13, Acked::Nothing, 9..13),
            (1, 65535, 65535, Acked::Window, 65536..65537),
            (1, 65536, 0, Acked::Window, 65537..65538),
            (4, 65534, 0, Acked::Part, 65537..65541),
            (4, 65534, 1, Acked::Window, 65538..65542),
            (4, 131_072, 65535, Acked::Lost, 131_072..131_076),
            (u16::MAX, 1, u16::MAX, Acked::Window, 65536..131_071),
        ] {
            let mut sender = sending(window, base);
            assert_eq!((sender.acked(number), sender.due()), (acked, due), "{window} {base} {number}");
        }
    }

    #[test]
    fn the_option_ack_is_alone_and_block_0() {
        let mut sender = Sender::new(8, true);
        assert_eq!(sender.due(), 0..1);
        sender.sent_until(1);
        assert_eq!(sender.awaited(), 0);
        assert_eq!(sender.acked(1), Acked::Nothing);
        assert_eq!((sender.acked(0), sender.due()), (Acked::Window, 1..9));
        assert_eq!(sender.acknowledged(), 0);
    }

    #[test]
    fn the_last_block_ends_the_file() {
        let mut sender = sending(4, 1);
        sender.end_at(6);
        assert_eq!((sender.acked(4), sender.due()), (Acked::Window, 5..7));
        sender.sent_until(7);
        assert_eq!(sender.awaited(), 6);
        assert_eq!(sender.acked(6), Acked::File);
        assert_eq!(sender.acknowledged(), 6);
    }

    #[test]
    fn a_window_restarts_once_for_a_gap_and_then_the_timer_does() {
        let mut sender = sending(4, 5);
        assert_eq!([sender.acked(4), sender.acked(4), sender.acked(4)], [Acked::Lost, Acked::Nothing, Acked::Nothing]);
        sender.repeated();
        assert_eq!([sender.acked(4), sender.acked(4)], [Acked::Lost, Acked::Nothing]);
        assert_eq!((sender.acked(6), sender.due()), (Acked::Part, 7..11));
        sender.sent_until(11);
        assert_eq!(sender.acked(6), Acked::Nothing, "blocks behind the gap made the peer repeat itself");
        assert_eq!(sender.acked(10), Acked::Window);
        sender.sent_until(15);
        assert_eq!(sender.acked(10), Acked::Lost);
    }
}
