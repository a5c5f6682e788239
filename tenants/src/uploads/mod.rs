//! What phones send. Only a permit stores it.

use std::io;

use provost_core::Permit;
use provost_core::upload::ContentRange;

/// The uploads of one tenant, plain files below `state/uploads/<tenant>/`.
#[derive(Debug)]
pub struct Uploads {}

/// A body on its way: it is spooled beside the uploads, and applied as a whole or not at all. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Spool {}

/// Where a spooled body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// It is the whole file: PUT without a range, STOR, WRQ.
    Whole,
    /// It is this part of the file: PUT with Content-Range.
    Range(ContentRange),
    /// It begins at this offset, not 0: REST with STOR.
    Offset(u64),
    /// It goes to the end: APPE.
    End,
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Whether the file is new.
    pub created: bool,
    /// What the record says of it: `gap`, `late_start`, `repeated`, `rotated`.
    pub note: Option<&'static str>,
    /// The size of the file now, in bytes.
    pub size: u64,
}

/// Why an upload was not stored. What was there stands as it was.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// One body is larger than `max_upload`.
    #[error("the body exceeds {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// A quota, or the space that the disk must keep free.
    #[error("no space: {0}")]
    NoSpace(&'static str),
    /// The part begins past the end.
    #[error("the part begins past the end of {size} bytes")]
    BeyondEnd {
        /// The present size in bytes.
        size: u64,
    },
    /// The body has another length than its range.
    #[error("the body is not as long as its range")]
    BodyLength,
    /// The name cannot be stored: a folder stands there, or a file where a folder must be.
    #[error("the name cannot be stored")]
    Unstorable,
    /// The system's error.
    #[error("{operation}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Uploads {
    /// Begins a body. `expected` is its length in bytes where the peer said it, so that what cannot fit is refused before
    /// it is sent. It blocks: call it off the runtime.
    ///
    /// # Errors
    /// - [`UploadError::TooLarge`], [`UploadError::NoSpace`], [`UploadError::Io`]
    pub fn begin(&self, permit: Permit, expected: Option<u64>) -> Result<Spool, UploadError> {
        todo!()
    }
}

impl Spool {
    /// Adds bytes. It blocks.
    ///
    /// # Errors
    /// - [`UploadError::TooLarge`], [`UploadError::NoSpace`], [`UploadError::Io`]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        todo!()
    }

    /// How many bytes it holds.
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// Puts the bytes where they belong, under the file's lock. When it returns, they are on the disk (`durability`). It blocks.
    ///
    /// # Errors
    /// - any [`UploadError`]; what was there stands as it was
    pub fn apply(self, target: Target) -> Result<Stored, UploadError> {
        todo!()
    }
}
