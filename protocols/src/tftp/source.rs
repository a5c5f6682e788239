//! The file that is being read, as the blocks of a transfer: a stretch of it stands in memory, bounded, and is read
//! ahead off the runtime.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;

use super::netascii;
use super::options::Granted;
use super::packet::Mode;

/// What is read ahead at least, in bytes. A file of this size is read whole when it is opened.
pub(super) const SMALL_BYTES: u64 = 64 * 1024;
/// How much of a file is translated to netascii at a time, in bytes.
const TRANSLATED_BYTES: u64 = 16 * 1024;

/// The blocks of one file.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    mode: Mode,
    /// Bytes of the file that have not been read. A file that grows meanwhile is served as it was.
    unread: u64,
    block_bytes: usize,
    capacity: usize,
    /// Where `bytes` begin, counted as on the wire.
    start: u64,
    bytes: Vec<u8>,
}

impl Source {
    /// The blocks of a file of `size` bytes. Nothing is read yet.
    pub(super) fn new(file: File, size: u64, mode: Mode, granted: &Granted, memory_bytes: usize) -> Self {
        let window_bytes = granted.block * usize::from(granted.window);
        let least = usize::try_from(SMALL_BYTES).unwrap_or(usize::MAX);
        let capacity = (window_bytes * 2).max(least).min(memory_bytes).max(window_bytes);
        Self { file, mode, unread: size, block_bytes: granted.block, capacity, start: 0, bytes: Vec::new() }
    }

    /// The length on the wire, in bytes, where it is known.
    pub(super) fn length(&self) -> Option<u64> {
        let held = self.start + self.bytes.len() as u64;
        match self.mode {
            Mode::Octet => Some(held + self.unread),
            Mode::Netascii => (self.unread == 0).then_some(held),
        }
    }

    /// The last block, where it is known: the one that is not full (RFC 1350 section 6).
    pub(super) fn last(&self) -> Option<u64> {
        self.length().map(|length| length / self.block_bytes as u64 + 1)
    }

    /// Whether the blocks before `end` can be had without reading.
    pub(super) fn holds(&self, end: u64) -> bool {
        self.unread == 0 || self.offset(end) <= self.start + self.bytes.len() as u64
    }

    /// The bytes of a block. `None` where it has been let go, or is not read yet.
    pub(super) fn block(&self, block: u64) -> Option<&[u8]> {
        let begin = usize::try_from(self.offset(block).checked_sub(self.start)?).ok()?;
        let end = (begin + self.block_bytes).min(self.bytes.len());
        self.bytes.get(begin..end)
    }

    /// How many bytes the blocks hold together.
    pub(super) fn bytes_in(&self, blocks: &Range<u64>) -> u64 {
        let end = self.length().map_or(self.offset(blocks.end), |length| length.min(self.offset(blocks.end)));
        end.saturating_sub(self.offset(blocks.start))
    }

    /// Lets go of the blocks before `base` and reads on as far as memory goes. It blocks.
    ///
    /// # Errors
    /// - the file cannot be read, or became shorter
    pub(super) fn fill(&mut self, base: u64) -> io::Result<()> {
        let passed = self.offset(base).saturating_sub(self.start);
        let passed = usize::try_from(passed).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.drain(..passed);
        self.start += passed as u64;
        while self.unread > 0 && self.bytes.len() < self.capacity {
            let room = (self.capacity - self.bytes.len()) as u64;
            let read = match self.mode {
                Mode::Octet => (&self.file).take(room.min(self.unread)).read_to_end(&mut self.bytes)?,
                Mode::Netascii => self.translate()?,
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread = self.unread.saturating_sub(read as u64);
        }
        Ok(())
    }

    fn translate(&mut self) -> io::Result<usize> {
        let mut piece = Vec::new();
        let read = (&self.file).take(TRANSLATED_BYTES.min(self.unread)).read_to_end(&mut piece)?;
        netascii::encode(&piece, &mut self.bytes);
        Ok(read)
    }

    fn offset(&self, block: u64) -> u64 {
        block.saturating_sub(1).saturating_mul(self.block_bytes as u64)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    fn source(content: &[u8], mode: Mode, block: usize, memory: usize) -> Source {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        let granted = Granted { block, window: 2, timeout: None };
        Source::new(file, content.len() as u64, mode, &granted, memory)
    }

    /// All blocks, two at a time.
    fn read(mut source: Source) -> Vec<Vec<u8>> {
        let mut blocks = Vec::new();
        for base in (1..).step_by(2) {
            if !source.holds(base + 2) {
                source.fill(base).unwrap();
            }
            assert!(source.bytes.len() <= source.capacity + 2 * 16 * 1024);
            for block in base..base + 2 {
                blocks.push(source.block(block).unwrap().to_vec());
                if source.last() == Some(block) {
                    return blocks;
                }
            }
        }
        blocks
    }

    #[test]
    fn a_file_is_its_blocks_in_order() {
        for (size, block) in [(0, 8), (7, 8), (8, 8), (9, 8), (200_000, 512), (262_144, 512), (300_000, 1428)] {
            let content: Vec<u8> =
                (0..size).map(|index: u32| index.to_be_bytes()[2] ^ index.to_be_bytes()[3]).collect();
            let source = source(&content, Mode::Octet, block, 65536);
            assert_eq!(source.length(), Some(size.into()));
            let blocks = read(source);
            assert_eq!(blocks.len(), content.len() / block + 1);
            assert_eq!(blocks.concat(), content, "{size} {block}");
        }
    }

    #[test]
    fn a_translated_file_knows_its_length_when_it_has_been_read() {
        let content = b"a line\n".repeat(30_000);
        let translated = source(&content, Mode::Netascii, 512, 65536);
        assert_eq!(translated.length(), None);
        assert_eq!(read(translated).concat(), b"a line\r\n".repeat(30_000));
        let mut small = source(b"a\nb\n", Mode::Netascii, 512, 65536);
        small.fill(1).unwrap();
        assert_eq!(small.length(), Some(6));
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let mut source = source(b"abc", Mode::Octet, 512, 65536);
        source.unread = 9;
        assert_eq!(source.fill(1).map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
    }
}
