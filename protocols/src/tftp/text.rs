//! A file that is translated to netascii on its way. Where a block begins depends on every byte before it, so it is read in
//! order, by each transfer for itself.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;

use super::cache::{ReadError, Version};
use super::netascii;

/// How much of the file is translated at a time, in bytes.
const TRANSLATED_BYTES: u64 = 16 * 1024;

/// A file, and what is at hand of its translation.
#[derive(Debug)]
pub(super) struct Text {
    /// `None` once all of it has been read.
    rest: Option<Rest>,
    /// Where `bytes` begin, counted as on the wire.
    start: u64,
    bytes: Vec<u8>,
}

/// What has not been read of an open file.
#[derive(Debug)]
struct Rest {
    file: File,
    version: Version,
    unread: u64,
}

impl Text {
    /// A file that has been read.
    pub(super) fn read_already(content: &[u8]) -> Self {
        let mut bytes = Vec::new();
        netascii::encode(content, &mut bytes);
        Self { rest: None, start: 0, bytes }
    }

    /// A file as it is now. Nothing is read yet.
    ///
    /// # Errors
    /// - what the system says
    pub(super) fn new(file: File) -> std::io::Result<Self> {
        let version = Version::of(&file)?;
        let unread = version.size();
        let rest = (unread > 0).then_some(Rest { file, version, unread });
        Ok(Self { rest, start: 0, bytes: Vec::new() })
    }

    /// The length on the wire, in bytes, once the whole file has been read.
    pub(super) fn length(&self) -> Option<u64> {
        self.rest.is_none().then_some(self.end())
    }

    /// Whether the bytes before `end` are at hand, and the end of the file where it lies before them.
    pub(super) fn holds(&self, end: u64) -> bool {
        self.rest.is_none() || end <= self.end()
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
        while self.end() < bytes.end
            && let Some(rest) = &mut self.rest
        {
            netascii::encode(&rest.read()?, &mut self.bytes);
            if rest.unread == 0 {
                self.rest = None;
            }
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

impl Rest {
    /// Reads the next piece. It blocks.
    fn read(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut piece = Vec::new();
        let read = (&self.file).take(TRANSLATED_BYTES.min(self.unread)).read_to_end(&mut piece)? as u64;
        if read == 0 || !Version::of(&self.file)?.has_bytes_of(&self.version) {
            return Err(ReadError::Changed);
        }
        self.unread = self.unread.saturating_sub(read);
        Ok(piece)
    }
}
