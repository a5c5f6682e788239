//! A file that is sent as it is: the stretches of it that the present window needs.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use provost_tenants::files::Descriptor;

use super::cache::{Cache, Disk, Opened, ReadError, STRETCH_BYTES, Version};
use super::source::append;

/// An open file, and what is at hand of it.
#[derive(Debug)]
pub(super) struct Image {
    file: Descriptor,
    version: Version,
    disk: Disk,
    cache: Arc<Cache>,
    /// The number of the first stretch that is at hand.
    first: u64,
    stretches: VecDeque<Bytes>,
}

impl Image {
    /// A file as it is now. Nothing is read yet.
    ///
    /// # Errors
    /// - what the system says
    pub(super) fn new(file: Descriptor, disk: Disk, cache: Arc<Cache>) -> io::Result<Self> {
        let version = Version::of(&file)?;
        Ok(Self { file, version, disk, cache, first: 0, stretches: VecDeque::new() })
    }

    /// The size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.version.size()
    }

    /// Whether the bytes before `end` are at hand; those that were needed before are not asked for again.
    pub(super) fn holds(&self, end: u64) -> bool {
        end.min(self.size()) <= self.end() * STRETCH_BYTES || self.end() * STRETCH_BYTES >= self.size()
    }

    /// Takes what can be had of these bytes at once, and lets go of what stands before them. `false` where something is missing.
    ///
    /// # Errors
    /// - [`ReadError`]
    pub(super) fn find(&mut self, bytes: &Range<u64>) -> Result<bool, ReadError> {
        self.let_go(bytes.start);
        while !self.holds(bytes.end) {
            let Some(stretch) = self.cache.at_once(self.opened(), self.end()) else { return Ok(false) };
            self.stretches.push_back(stretch?);
        }
        Ok(true)
    }

    /// Reads what is missing of these bytes. It blocks.
    ///
    /// # Errors
    /// - [`ReadError`]
    pub(super) fn read(&mut self, bytes: &Range<u64>) -> Result<(), ReadError> {
        self.let_go(bytes.start);
        while !self.holds(bytes.end) {
            let stretch = self.cache.read(self.opened(), self.end())?;
            self.stretches.push_back(stretch);
        }
        Ok(())
    }

    /// Appends bytes that are at hand.
    pub(super) fn append(&self, mut bytes: Range<u64>, buffer: &mut Vec<u8>) {
        bytes.end = bytes.end.min(self.size());
        while bytes.start < bytes.end {
            let index =
                (bytes.start / STRETCH_BYTES).checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
            let Some(stretch) = index.and_then(|index| self.stretches.get(index)) else { return };
            let from = usize::try_from(bytes.start % STRETCH_BYTES).unwrap_or_default();
            let length = usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX);
            let piece = stretch.get(from..stretch.len().min(from.saturating_add(length))).unwrap_or_default();
            if piece.is_empty() {
                return;
            }
            append(piece, buffer);
            bytes.start += piece.len() as u64;
        }
    }

    /// How many bytes are at hand.
    #[cfg(test)]
    pub(super) fn at_hand(&self) -> usize {
        self.stretches.iter().map(Bytes::len).sum()
    }

    fn opened(&self) -> Opened<'_> {
        Opened { file: &self.file, version: &self.version, disk: self.disk }
    }

    /// The number of the stretch behind those that are at hand.
    fn end(&self) -> u64 {
        self.first + self.stretches.len() as u64
    }

    fn let_go(&mut self, before: u64) {
        let needed = before / STRETCH_BYTES;
        while self.first < needed && self.stretches.pop_front().is_some() {
            self.first += 1;
        }
        if self.stretches.is_empty() {
            self.first = needed;
        }
    }
}
