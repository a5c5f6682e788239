//! One root: a folder that nothing leads out of.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::descriptor::Descriptor;
use super::folded::FoldedNames;
use super::folder::Folder;
use super::kept::Shelf;
use super::{FileFacts, FilesError, OpenFile};

/// A folder that is held open, and its names without regard to case.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) folder: Folder,
    path: PathBuf,
    folded: FoldedNames,
    pub(super) shelf: Shelf,
}

/// Whether a link at the end of a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// Where it stays inside.
    Follow,
    /// Never.
    Refuse,
}

impl Root {
    pub(super) fn open(path: PathBuf) -> Result<Self, FilesError> {
        match Dir::open_ambient_dir(&path, ambient_authority()).and_then(Folder::new) {
            Ok(folder) => Ok(Self { folder, path, folded: FoldedNames::default(), shelf: Shelf::new() }),
            Err(source) => Err(FilesError { path, source }),
        }
    }

    /// Where the operator finds it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name of what stands at `path` without regard to case: in each folder the exact name wins, else the first in byte
    /// order.
    pub(super) fn spelled(&self, path: &str) -> io::Result<Option<String>> {
        let mut found = String::new();
        for segment in path.split('/') {
            let Some(name) = self.folded.find(&self.folder, &found, segment, SystemTime::now())? else {
                return Ok(None);
            };
            if !found.is_empty() {
                found.push('/');
            }
            found.push_str(&name);
        }
        Ok(Some(found))
    }
}

/// Opens the regular file at `path`; `None` where there is none.
pub(super) fn open(folder: &Folder, path: &str, links: Links) -> io::Result<Option<OpenFile>> {
    folder.leftovers.do_one();
    if path.is_empty() {
        return Ok(None);
    }
    // Without O_NONBLOCK the open of a pipe waits for a writer, and a phone could hold a thread for good.
    let flags = match links {
        Links::Follow => OFlags::NONBLOCK | OFlags::NOCTTY,
        Links::Refuse => OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW,
    };
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let Some(file) = present(folder.open_with(path, &options))? else { return Ok(None) };
    regular(folder, file.into_std())
}

/// The file and its facts, if it is a regular one.
pub(super) fn regular(folder: &Folder, file: File) -> io::Result<Option<OpenFile>> {
    let facts = file.metadata()?;
    if !facts.is_file() {
        return Ok(None);
    }
    let modified = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let file = Descriptor::below(folder, file, facts.dev());
    Ok(Some(OpenFile {
        file,
        facts: FileFacts {
            size: facts.len(),
            modified,
            changed: (facts.ctime(), facts.ctime_nsec()),
            identity: (facts.dev(), facts.ino()),
        },
    }))
}

/// What is there, or nothing: missing, no folder on the way, a name that no file system stores, a link in a circle, one that
/// leads out, a socket, a device without a driver.
pub(super) fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if leads_out(&error) => Ok(None),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP | Errno::NXIO | Errno::NODEV) => {
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

/// Whether a path led out of its root: cap-std tells it by an error that the system did not give.
pub(super) fn leads_out(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}
