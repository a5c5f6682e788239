//! A file that is translated to netascii on its way. Where a block begins depends on every byte before it, so it is read in
//! order, by each transfer for itself.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;

use super::cache::{ReadError, Version};
use super::netascii;

/// How much of the file is translated at a time, in bytes.
const TRANSLATED_BYTES: u64 = 16 * 1024;

/// An open file, and what is at hand of its translation.
#[derive(Debug)]
pub(super) struct Text {
    file: File,
    version: Version,
    /// Bytes of the file that have not been read.
    unread: u64,
    /// Where `bytes` begin, counted as on the wire.
    start: u64,
    bytes: Vec<u8>,
}

impl Text {
    /// A file as it is now. Nothing is read yet.
    ///
    /// # Errors
    /// - what the system says
    pub(super) fn new(file: File) -> std::io::Result<Self> {
        let version = Version::of(&file)?;
        Ok(Self { file, version, unread: version.size(), start: 0, bytes: Vec::new() })
    }

    /// The length on the wire, in bytes, once the whole file has been read.
    pub(super) fn length(&self) -> Option<u64> {
        (self.unread == 0).then_some(self.end())
    }

    /// Whether the bytes before `end` are at hand, and the end of the file where it lies before them.
    pub(super) fn holds(&self, end: u64) -> bool {
        self.unread == 0 || end <= self.end()
    }

    /// Reads on until these bytes are at hand, and lets go of what stands before them. It blocks.
    ///
    /// # Errors
    /// - [`ReadError`]
    pub(super) fn read(&mut self, bytes: &Range<u64>) -> Result<(), ReadError> {
        let passed =
            usize::try_from(bytes.start.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.bytes.len());
        self.bytes.drain(..passed);
        self.start += passed as u64;
        while !self.holds(bytes.end) {
            let mut piece = Vec::new();
            let read = (&self.file).take(TRANSLATED_BYTES.min(self.unread)).read_to_end(&mut piece)? as u64;
            if read == 0 || !Version::of(&self.file)?.has_bytes_of(&self.version) {
                return Err(ReadError::Changed);
            }
            netascii::encode(&piece, &mut self.bytes);
            self.unread = self.unread.saturating_sub(read);
        }
        Ok(())
    }

    /// Appends bytes that are at hand.
    pub(super) fn append(&self, bytes: &Range<u64>, buffer: &mut Vec<u8>) {
        let at =
            |place: u64| usize::try_from(place.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.bytes.len());
        buffer.extend_from_slice(self.bytes.get(at(bytes.start)..at(bytes.end)).unwrap_or_default());
    }

    /// How many bytes are at hand.
    #[cfg(test)]
    pub(super) fn at_hand(&self) -> usize {
        self.bytes.len()
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}
