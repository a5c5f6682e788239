//! The file that is being read, as the blocks of a transfer.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use provost_tenants::files::Descriptor;

use super::cache::{Cache, Disk, ReadError};
use super::image::Image;
use super::numbers::Numbers;
use super::packet::{Mode, Packet};
use super::text::Text;
use crate::copying;

/// A file up to this size, in bytes, is read when it is opened.
pub(super) const SMALL_BYTES: u64 = 64 * 1024;

/// The blocks of one file.
#[derive(Debug)]
pub(super) struct Source {
    block_bytes: usize,
    numbers: Numbers,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// All of it.
    Held(Bytes),
    Image(Image),
    Text(Text),
}

impl Source {
    /// The blocks of a file as it is now. Nothing is read yet.
    ///
    /// # Errors
    /// - what the system says
    pub(super) fn new(
        file: Descriptor,
        disk: Disk,
        mode: Mode,
        block_bytes: usize,
        cache: Arc<Cache>,
    ) -> io::Result<Self> {
        let content = match mode {
            Mode::Octet => Content::Image(Image::new(file, disk, cache)?),
            Mode::Netascii => Content::Text(Text::new(file)?),
        };
        Ok(Self { block_bytes, numbers: Numbers::default(), content })
    }

    /// The blocks of a file that has been read.
    pub(super) fn held(bytes: Bytes, mode: Mode, block_bytes: usize) -> Self {
        let content = match mode {
            Mode::Octet => Content::Held(bytes),
            Mode::Netascii => Content::Text(Text::held(bytes)),
        };
        Self { block_bytes, numbers: Numbers::default(), content }
    }

    /// The same with blocks that are numbered so.
    #[must_use]
    pub(super) fn numbered(self, numbers: Numbers) -> Self {
        Self { numbers, ..self }
    }

    /// The bytes of a full block.
    pub(super) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// The length on the wire, in bytes, where it is known.
    pub(super) fn length(&self) -> Option<u64> {
        match &self.content {
            Content::Held(bytes) => Some(bytes.len() as u64),
            Content::Image(image) => Some(image.size()),
            Content::Text(text) => text.length(),
        }
    }

    /// The last block, where it is known: the one that is not full (RFC 1350 section 6).
    pub(super) fn last(&self) -> Option<u64> {
        self.length().map(|length| length / self.block_bytes as u64 + 1)
    }

    /// Takes these blocks where they can be had at once, and lets go of those before them. `false` where they have to be read.
    ///
    /// # Errors
    /// - [`ReadError`]
    pub(super) fn find(&mut self, blocks: &Range<u64>) -> Result<bool, ReadError> {
        let bytes = self.bytes(blocks);
        match &mut self.content {
            Content::Held(_) => Ok(true),
            Content::Image(image) => image.find(&bytes),
            Content::Text(text) => Ok(text.holds(bytes.end)),
        }
    }

    /// Reads these blocks, and lets go of those before them. It blocks.
    ///
    /// # Errors
    /// - [`ReadError`]
    pub(super) fn read(&mut self, blocks: &Range<u64>) -> Result<(), ReadError> {
        let bytes = self.bytes(blocks);
        match &mut self.content {
            Content::Held(_) => Ok(()),
            Content::Image(image) => image.read(&bytes),
            Content::Text(text) => text.read(&bytes),
        }
    }

    /// Appends the DATA packet of a block that is at hand.
    pub(super) fn append(&self, block: u64, buffer: &mut Vec<u8>) {
        Packet::Data { block: self.numbers.of(block), bytes: b"" }.append(buffer);
        let bytes = self.bytes(&(block..block + 1));
        match &self.content {
            Content::Held(held) => {
                let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(held.len());
                append(held.get(at(bytes.start)..at(bytes.end)).unwrap_or_default(), buffer);
            }
            Content::Image(image) => image.append(bytes, buffer),
            Content::Text(text) => text.append(&bytes, buffer),
        }
    }

    /// How many bytes the blocks hold together.
    pub(super) fn bytes_in(&self, blocks: &Range<u64>) -> u64 {
        let end = self.length().map_or(self.offset(blocks.end), |length| length.min(self.offset(blocks.end)));
        end.saturating_sub(self.offset(blocks.start))
    }

    fn bytes(&self, blocks: &Range<u64>) -> Range<u64> {
        self.offset(blocks.start)..self.offset(blocks.end)
    }

    fn offset(&self, block: u64) -> u64 {
        block.saturating_sub(1).saturating_mul(self.block_bytes as u64)
    }
}

/// Appends bytes to a packet.
pub(super) fn append(bytes: &[u8], buffer: &mut Vec<u8>) {
    buffer.reserve(bytes.len());
    copying::pieces(bytes).for_each(|piece| buffer.extend_from_slice(piece));
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    fn source(content: &[u8], mode: Mode, block: usize) -> Source {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        Source::new(file.into(), Disk::Waits, mode, block, Arc::new(Cache::new(1 << 20))).unwrap()
    }

    /// All blocks, two at a time.
    fn read(mut source: Source) -> Vec<Vec<u8>> {
        let mut blocks = Vec::new();
        for base in (1..).step_by(2) {
            source.read(&(base..base + 2)).unwrap();
            assert!(source.find(&(base..base + 2)).unwrap());
            for block in base..base + 2 {
                let mut packet = Vec::new();
                source.append(block, &mut packet);
                blocks.push(packet.split_off(4));
                if source.last() == Some(block) {
                    return blocks;
                }
            }
        }
        blocks
    }

    #[test]
    fn a_file_is_its_blocks_in_order() {
        let sizes = [(0, 8), (7, 8), (8, 8), (9, 8), (32_768, 512), (200_000, 512), (262_144, 512), (300_000, 1428)];
        for (size, block) in sizes.into_iter().chain([(300_000, 65464), (98_304, 32_768)]) {
            let content: Vec<u8> =
                (0..size).map(|index: u32| index.to_be_bytes()[2] ^ index.to_be_bytes()[3]).collect();
            let held = Source::held(content.clone().into(), Mode::Octet, block);
            for source in [source(&content, Mode::Octet, block), held] {
                assert_eq!(source.length(), Some(size.into()));
                let blocks = read(source);
                assert_eq!(blocks.len(), content.len() / block + 1);
                assert!(blocks.concat() == content, "{size} {block}");
            }
        }
    }

    #[test]
    fn a_translated_file_knows_its_length_when_it_has_been_read() {
        let content = b"a line\n".repeat(30_000);
        let translated = source(&content, Mode::Netascii, 512);
        assert_eq!(translated.length(), None);
        assert_eq!(read(translated).concat(), b"a line\r\n".repeat(30_000));
        let held = Source::held(content.into(), Mode::Netascii, 512);
        assert_eq!(held.length(), None);
        assert_eq!(read(held).concat(), b"a line\r\n".repeat(30_000));
        let mut small = source(b"a\nb\n", Mode::Netascii, 512);
        small.read(&(1..2)).unwrap();
        assert_eq!(small.length(), Some(6));
    }

    #[test]
    fn no_more_is_at_hand_than_the_window_needs() {
        let content = vec![7; 1_000_000];
        let held = || Source::held(content.clone().into(), Mode::Netascii, 1000);
        let sources = [Mode::Octet, Mode::Netascii].map(|mode| source(&content, mode, 1000));
        for mut source in sources.into_iter().chain([held()]) {
            for base in 1..900 {
                source.read(&(base..base + 16)).unwrap();
                let at_hand = match &source.content {
                    Content::Held(bytes) => bytes.len(),
                    Content::Image(image) => image.at_hand(),
                    Content::Text(text) => text.at_hand(),
                };
                assert!(at_hand <= 16_000 + 2 * 32 * 1024, "{base}: {at_hand} of {source:?}");
            }
        }
    }
}
