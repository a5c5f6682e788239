//! What phones send. Only a permit stores it.
//!
//! A body is spooled into a temporary file beside the uploads, whole, before anything of the upload is touched; then it is
//! applied under the lock of its file. So a body that breaks off, is short or exceeds a limit leaves what was there
//! untouched. Where a partial body goes, [`provost_core::upload::place`] decides; this module carries it out.
//!
//! It does not decide who may write, and it does not watch the directory: what another process discards is noticed when
//! the file is next touched, or when space seems to run out, and that another directory stands in its place with the next body, or two
//! seconds later.

mod apply;
mod body;
mod directory;
mod disk;
mod ledger;
mod locks;
mod operator;
mod promised;
mod recent;
mod root;
mod rotation;
mod settings;
mod spool;
mod state;
#[cfg(test)]
mod tests;

pub use operator::{Selection, UploadEntry};
pub use settings::{Durability, Quota, UploadsSettings};
pub use spool::{Announced, Spool};

use std::io;
use std::sync::Arc;

use provost_core::path::Case;
use provost_core::upload::ContentRange;
use provost_core::{Kind, Mac, Operation, Permit, RequestPath};

use directory::found;
use disk::failed;
use root::Root;
use state::State;

/// Folders above an upload. Phones use two; without a bound, one upload could leave hundreds of folders behind.
const MAX_FOLDERS: usize = 16;

/// The uploads of one tenant, plain files below `state/uploads/<tenant>/`.
#[derive(Debug)]
pub struct Uploads {
    settings: Arc<UploadsSettings>,
    state: Arc<State>,
}

/// Where a spooled body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// It is the whole file: PUT without a range, STOR, WRQ.
    Whole,
    /// It is this part of the file: PUT with Content-Range.
    Range(ContentRange),
    /// It begins at this offset: REST with STOR. 0 is [`Target::Whole`].
    Offset(u64),
    /// It goes to the end: APPE.
    End,
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Whether the file is new.
    pub created: bool,
    /// What the record says of it: `gap`, `late_start`, `repeated`, `rotated`, or `not_kept` of a log that would have rotated had there been room.
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
    /// The body has another length than its range, or is shorter than was announced.
    #[error("the body is not as long as it was said to be")]
    BodyLength,
    /// What stands there is not what the peer made its condition.
    #[error("the upload is not what the request is conditional on")]
    Changed,
    /// The name cannot be stored: a folder stands there, or a file where a folder must be, or the permit is not one to
    /// write.
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
    /// The uploads in `settings.directory`. The disk is not touched before the first use, or [`Uploads::prepare`].
    ///
    /// All uploads of one directory in this process share locks, accounts and what was last answered, so that bodies that are
    /// under way while a tenant changes, or goes and comes back, are counted and serialised with those that follow.
    pub fn new(settings: UploadsSettings) -> Self {
        let state = State::of(&settings.directory);
        Self { settings: Arc::new(settings), state }
    }

    /// Makes the directory where it is missing, removes what a former process left half done, and counts what each device holds. It
    /// happens once, and with the first body if nobody calls it; who reads does not wait for it. It blocks.
    ///
    /// # Errors
    /// - [`UploadError::Io`]: the directory cannot be made or read
    pub fn prepare(&self) -> Result<(), UploadError> {
        self.state.counted(&self.settings).map(|_| ())
    }

    /// Begins a body. `expected` is its length in bytes where the peer said it, so that what cannot fit is refused before
    /// it is sent. It blocks: call it off the runtime.
    ///
    /// # Errors
    /// - [`UploadError::TooLarge`], [`UploadError::NoSpace`], [`UploadError::Io`]
    /// - [`UploadError::Unstorable`]: the permit is to read, too many folders stand in the path, or one of them may be the
    ///   name of a file and the device is not proven
    pub fn begin(&self, permit: Permit, expected: Option<u64>) -> Result<Spool, UploadError> {
        self.announce(permit, expected)?.begin()
    }

    /// The same up to where anything is held for it: for a peer that has only said that it will send. It blocks.
    ///
    /// # Errors
    /// - as [`Uploads::begin`]
    pub fn announce(&self, permit: Permit, expected: Option<u64>) -> Result<Announced, UploadError> {
        let (device, path) = self.name(&permit)?;
        let (settings, state) = (Arc::clone(&self.settings), Arc::clone(&self.state));
        Announced { settings, state, permit, device, path }.checked(expected.unwrap_or(0))
    }

    /// Under which name, below the tenant's uploads, such a body would be stored.
    ///
    /// # Errors
    /// - [`UploadError::Unstorable`], as [`Uploads::begin`]
    pub fn stored_as(&self, permit: &Permit) -> Result<String, UploadError> {
        self.name(permit).map(|(_, name)| name)
    }

    fn name(&self, permit: &Permit) -> Result<(Mac, String), UploadError> {
        let Operation::Write = permit.operation() else { return Err(UploadError::Unstorable) };
        let device = permit.device().ok_or(UploadError::Unstorable)?;
        let path = stored_name(self.settings.case(), permit.path(), Some(device));
        if path.is_empty() || path.matches('/').count() > MAX_FOLDERS {
            return Err(UploadError::Unstorable);
        }
        // A log that cannot rotate would be refused once it is full, and never before.
        if permit.rule().kind == Kind::Log && !rotation::fits(&path, self.settings.keep) {
            return Err(UploadError::Unstorable);
        }
        // A stranger who may write a log would else make a folder of the name under which the phone stores its settings.
        if permit.proven().is_none() && self.settings.stands_in_a_file(permit.path(), &path) {
            return Err(UploadError::Unstorable);
        }
        Ok((device, path))
    }

    /// Whether what is stored can be looked at; it can where nothing is stored yet. Where it cannot, reads count it as nothing. It blocks.
    ///
    /// # Errors
    /// - [`UploadError::Io`]: the directory cannot be opened
    pub fn look(&self) -> Result<(), UploadError> {
        found(self.state.root()).map(|_| ()).map_err(failed("open the uploads directory"))
    }

    /// The directory and the name in it under which the upload at `path` is stored. It blocks.
    pub(crate) fn reading(&self, path: &RequestPath, device: Option<Mac>) -> Option<(Arc<Root>, String)> {
        Some((self.state.root().ok()?, stored_name(self.settings.case(), path, device)))
    }

    /// The same, where it may be read without waiting for a disk. It does not block.
    pub(crate) fn reading_at_once(&self, path: &RequestPath, device: Option<Mac>) -> Option<(Arc<Root>, String)> {
        Some((self.state.root_at_once()?, stored_name(self.settings.case(), path, device)))
    }

    /// The names under which it is looked for where nothing is stored: an operator may have put it there by hand.
    pub(crate) fn other_names(&self, path: &RequestPath, device: Mac) -> impl Iterator<Item = String> + use<> {
        let stored = stored_name(self.settings.case(), path, Some(device));
        path.spellings(Some(device)).into_iter().filter(move |name| *name != stored)
    }
}

/// The folders above a path, the innermost first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').filter_map(|(end, _)| path.get(..end))
}

/// The name that an upload has on the disk: one for all spellings of the device's MAC, and one for all spellings
/// altogether where names are compared without regard to case.
fn stored_name(case: Case, path: &RequestPath, device: Option<Mac>) -> String {
    let name = device.map_or_else(|| path.as_str().to_owned(), |device| path.with_mac_in_lower_case(device));
    match case {
        Case::Exact => name,
        Case::Ignore => name.to_ascii_lowercase(),
    }
}
