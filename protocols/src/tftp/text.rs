//! A file that is translated to netascii on its way. Where a block begins depends on every byte before it, so it is read in
//! order, by each transfer for itself.

use std::io::Read as _;
use std::ops::Range;

use bytes::Bytes;
use provost_tenants::files::Descriptor;

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

/// What has not been read of a file.
#[derive(Debug)]
struct Rest {
    input: Input,
    unread: u64,
}

/// Where it is read from.
#[derive(Debug)]
enum Input {
    File(Descriptor, Version),
    /// What has not been read.
    Held(Bytes),
}

impl Text {
    /// A file that is held in memory. Nothing is translated yet: that would take twice its length for each transfer.
    pub(super) fn held(content: Bytes) -> Self {
        let unread = content.len() as u64;
        let rest = (unread > 0).then_some(Rest { input: Input::Held(content), unread });
        Self { rest, start: 0, bytes: Vec::new() }
    }

    /// A file as it is now. Nothing is read yet.
    ///
    /// # Errors
    /// - what the system says
    pub(super) fn new(file: Descriptor) -> std::io::Result<Self> {
        let version = Version::of(&file)?;
        let unread = version.size();
        let rest = (unread > 0).then_some(Rest { input: Input::File(file, version), unread });
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
    fn read(&mut self) -> Result<Bytes, ReadError> {
        let most = TRANSLATED_BYTES.min(self.unread);
        let piece = match &mut self.input {
            Input::File(file, version) => {
                let mut piece = Vec::new();
                let read = (&**file).take(most).read_to_end(&mut piece)?;
                if read == 0 || !Version::of(file)?.has_bytes_of(version) {
                    return Err(ReadError::Changed);
                }
                piece.into()
            }
            Input::Held(content) => content.split_to(usize::try_from(most).unwrap_or(usize::MAX).min(content.len())),
        };
        self.unread = self.unread.saturating_sub(piece.len() as u64);
        Ok(piece)
    }
}
