//! The files that phones read. Only a permit opens one.
//!
//! A root is a capability: what is looked up below it cannot leave it, whatever links stand in the way. This module decides
//! nothing; it opens what a permit names, looking at the places in their order.

mod absent;
mod at_once;
mod descriptor;
mod folded;
mod folder;
mod kept;
mod links;
mod listing;
mod lookup;
mod root;
mod state;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use provost_core::path::Case;
use provost_core::rules::RuleSet;
use provost_core::{Kind, ListPermit, Mac, Operation, Permit, RequestPath};

use crate::uploads::Uploads;

use at_once::Had;
pub use at_once::read_at_once;
use bytes::Bytes;
pub use descriptor::Descriptor;
pub(crate) use folder::Folder;
pub use kept::keep_at_most;
use lookup::Places;
use root::Root;

/// What a tenant's phones can read: their uploads, the tenant's root, the shared roots.
#[derive(Debug)]
pub struct Files {
    root: Arc<Root>,
    shared: Vec<Arc<Root>>,
    uploads: Arc<Uploads>,
    case: Case,
}

/// Where a tenant's phones read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesSettings {
    /// The tenant's own root.
    pub root: PathBuf,
    /// Roots that tenants share, such as firmware; looked at in this order, after the tenant's own.
    pub shared: Vec<PathBuf>,
    /// How names are compared.
    pub case: Case,
}

/// A root cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("open the root {}", path.display())]
pub struct FilesError {
    /// The root.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// A file that is open for reading.
#[derive(Debug)]
pub struct OpenFile {
    /// The file, at its beginning. It may grow while it is read: serve `facts.size` bytes.
    pub file: Descriptor,
    /// What is known of it.
    pub facts: FileFacts,
}

/// A file that is had without waiting for a disk.
#[derive(Debug)]
pub enum FileInMemory {
    /// It is open; its bytes may have to be waited for.
    Open(OpenFile),
    /// Its bytes are here.
    Held {
        /// What is known of it.
        facts: FileFacts,
        /// All of it.
        bytes: Bytes,
    },
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileFacts {
    /// Its size in bytes.
    pub size: u64,
    /// When its bytes last changed, or as whoever put it there says.
    pub modified: SystemTime,
    /// When anything of it last changed, which nobody can set: seconds since 1970, and nanoseconds.
    pub changed: (i64, i64),
    /// Device and inode: another file of the same name differs here.
    pub identity: (u64, u64),
}

/// One name in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, one segment.
    pub name: String,
    /// Its facts; `None` for a folder.
    pub facts: Option<FileFacts>,
}

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No such file. Folders, devices and links that lead out of a root count as none.
    #[error("no such file")]
    NotFound,
    /// The system's error, with what was tried.
    #[error("{operation} {path}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Of which path.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Files {
    /// Opens the roots. Each is held open: a folder that takes its name later is read once the tenant is made anew.
    ///
    /// # Errors
    /// - [`FilesError`]: a root is no folder, or cannot be opened
    pub fn open_roots(settings: FilesSettings, uploads: Arc<Uploads>) -> Result<Self, FilesError> {
        let FilesSettings { root, shared, case } = settings;
        let open = |path| Root::open(path).map(Arc::new);
        let shared = shared.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { root: open(root)?, shared, uploads, case })
    }

    /// Where the operator finds the tenant's own root.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The same roots beside other uploads.
    pub(crate) fn with_uploads(&self, uploads: Arc<Uploads>) -> Self {
        Self { root: Arc::clone(&self.root), shared: self.shared.clone(), uploads, case: self.case }
    }

    /// Opens the file that the permit is for. It blocks: call it off the runtime.
    ///
    /// # Errors
    /// - [`FileError::NotFound`]: nowhere in the uploads, the root or the shared roots, or the permit is not one to read
    /// - [`FileError::Io`]: it is there and cannot be opened
    pub fn open(&self, permit: &Permit) -> Result<OpenFile, FileError> {
        let Operation::Read = permit.operation() else { return Err(FileError::NotFound) };
        self.look_up(permit, Places::InOrder(permit.rule().prefer))
    }

    /// Describes the file that the permit is for, as HEAD, SIZE and MDTM ask. A log is looked for in the uploads
    /// alone: its size tells the phone where to go on. A permit to write describes what it would replace, the upload, for
    /// the conditions of a PUT; of the operator's files it tells nothing.
    ///
    /// # Errors
    /// - as [`Files::open`]
    pub fn describe(&self, permit: &Permit) -> Result<FileFacts, FileError> {
        self.open_described(permit).map(|file| file.facts)
    }

    /// The file that [`Files::describe`] describes.
    ///
    /// # Errors
    /// - as [`Files::open`]
    pub fn open_described(&self, permit: &Permit) -> Result<OpenFile, FileError> {
        self.look_up(permit, described(permit))
    }

    /// The file that [`Files::open`] would open, if that is known without waiting for a disk. It does not block; `None` says
    /// nothing of whether there is one.
    pub fn open_at_once(&self, permit: &Permit) -> Option<FileInMemory> {
        let Operation::Read = permit.operation() else { return None };
        let places = Places::InOrder(permit.rule().prefer);
        Some(match at_once::look_up(self, permit.path(), permit.device(), places)? {
            Had::Open(file) => FileInMemory::Open(file),
            Had::Held(held) => FileInMemory::Held { facts: held.facts, bytes: held.bytes.clone() },
        })
    }

    /// What [`Files::describe`] would tell, as [`Files::open_at_once`].
    pub fn describe_at_once(&self, permit: &Permit) -> Option<FileFacts> {
        at_once::look_up(self, permit.path(), permit.device(), described(permit)).map(|had| match had {
            Had::Open(file) => file.facts,
            Had::Held(held) => held.facts,
        })
    }

    /// Lists a folder: the names that the permit shows, sorted, each once. It blocks.
    ///
    /// # Errors
    /// - [`FileError::Io`]: a folder is there and cannot be read. A folder that is not there is empty.
    pub fn list(&self, permit: &ListPermit<'_>) -> Result<Vec<Entry>, FileError> {
        listing::list(self, permit)
    }

    /// Does the work of looking for a file that is not there, so that a refusal costs what a missing file costs, whether
    /// the file that was refused is there or not. `device` is the one that the path names, as far as the rules tell.
    /// It blocks.
    pub fn feign(&self, path: &RequestPath, device: Option<Mac>) {
        lookup::feign(self, path, device);
    }

    /// The part of that which does not block, for whoever tried [`Files::open_at_once`] for a file that is missing.
    pub fn feign_at_once(&self, path: &RequestPath, device: Option<Mac>) {
        at_once::feign(self, path, device);
    }

    /// The links in the roots that lead out of them and so are not followed, for `provost check`. It blocks.
    ///
    /// # Errors
    /// - [`FileError::Io`]: a folder cannot be read
    pub fn links_that_lead_out(&self) -> Result<Vec<PathBuf>, FileError> {
        links::that_lead_out(self.roots())
    }

    /// The files in the roots whose base name would be a MAC without its separators, and that name no device,
    /// for `provost check`. It blocks.
    ///
    /// # Errors
    /// - [`FileError::Io`]: a folder cannot be read
    pub fn names_that_look_like_a_device(&self) -> Result<Vec<PathBuf>, FileError> {
        links::that_look_like_a_device(self.roots())
    }

    /// The files in the roots that nobody may have by these rules, since it is in doubt which device they name, for `provost check`.
    /// It blocks.
    ///
    /// # Errors
    /// - [`FileError::Io`]: a folder cannot be read
    pub fn names_that_nobody_gets(&self, rules: &RuleSet) -> Result<Vec<PathBuf>, FileError> {
        links::that_nobody_gets(self.roots(), rules)
    }

    fn look_up(&self, permit: &Permit, places: Places) -> Result<OpenFile, FileError> {
        lookup::look_up(self, permit.path(), permit.device(), places)?.ok_or(FileError::NotFound)
    }

    /// The tenant's root, then the shared ones.
    fn roots(&self) -> impl DoubleEndedIterator<Item = &Root> {
        std::iter::once(&self.root).chain(&self.shared).map(Arc::as_ref)
    }
}

/// Where a description is looked for.
fn described(permit: &Permit) -> Places {
    match (permit.operation(), permit.rule().kind) {
        (Operation::Write, _) | (Operation::Read, Kind::Log) => Places::UploadsAlone,
        (Operation::Read, Kind::File | Kind::Settings) => Places::InOrder(permit.rule().prefer),
    }
}

impl FileError {
    fn io(operation: &'static str, path: &str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { operation, path, source }
    }
}
