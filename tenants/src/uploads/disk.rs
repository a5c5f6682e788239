//! Bytes onto the disk: each step leaves the old upload or the new one, whenever the process or the power ends.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, MetadataExt, OpenOptions, OpenOptionsExt};
use cap_std::time::SystemTime;

use super::directory::{found, temporary};
use super::{Durability, UploadError};
use crate::files::FileFacts;

const BUFFER_BYTES: usize = 256 * 1024;
/// `O_NOFOLLOW` and `O_NONBLOCK`: what is opened to be written is a file of ours, no link and no pipe.
pub(super) const PLAIN: i32 = (rustix::fs::OFlags::NOFOLLOW.bits() | rustix::fs::OFlags::NONBLOCK.bits()).cast_signed();

/// A temporary file in the root of the uploads.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) file: File,
    name: String,
    is_placed: bool,
}

impl Temporary {
    pub(super) fn create(root: &Dir) -> Result<Self, UploadError> {
        let name = temporary();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = root.open_with(&name, &options).map_err(failed("create a temporary file"))?.into_std();
        // For a server that begins on the same folder: it leaves alone what is locked. A file system without locks is none's fault.
        let _ = file.try_lock();
        Ok(Self { file, name, is_placed: false })
    }

    /// Ends it, where it was not put in place.
    pub(super) fn remove(self, root: &Dir) {
        if !self.is_placed {
            // What cannot be removed now is removed at the next start.
            let _ = root.remove_file(&self.name);
        }
    }

    /// Puts the file in place of the one at `path`, whole and at once.
    pub(super) fn install(&mut self, root: &Dir, path: &str, durability: Durability) -> Result<(), UploadError> {
        self.sync(durability)?;
        self.place(root, path, durability)
    }

    pub(super) fn sync(&self, durability: Durability) -> Result<(), UploadError> {
        match durability {
            Durability::Disk => self.file.sync_data().map_err(failed("sync the body")),
            Durability::Cache => Ok(()),
        }
    }

    /// The same with a file that is on the disk.
    pub(super) fn place(&mut self, root: &Dir, path: &str, durability: Durability) -> Result<(), UploadError> {
        root.rename(&self.name, root, path).map_err(failed("put the body in place"))?;
        self.is_placed = true;
        sync_folder(root, parent(path), durability)
    }
}

/// The size of the upload at `path`.
pub(super) fn size(root: &Dir, path: &str) -> Result<Option<u64>, UploadError> {
    Ok(facts(root, path)?.map(|facts| facts.size))
}

/// What is known of the upload at `path`.
pub(super) fn facts(root: &Dir, path: &str) -> Result<Option<FileFacts>, UploadError> {
    let found = found(root.symlink_metadata(path)).map_err(failed("look at the upload"))?;
    let Some(facts) = found else { return Ok(None) };
    if !facts.is_file() {
        return Err(UploadError::Unstorable);
    }
    let modified = facts.modified().map_or(std::time::SystemTime::UNIX_EPOCH, SystemTime::into_std);
    Ok(Some(FileFacts {
        size: facts.len(),
        modified,
        changed: (facts.ctime(), facts.ctime_nsec()),
        identity: (facts.dev(), facts.ino()),
    }))
}

/// Makes the folders above `path`.
pub(super) fn make_folders(root: &Dir, path: &str, durability: Durability) -> Result<(), UploadError> {
    for (end, _) in path.match_indices('/') {
        let folder = path.get(..end).unwrap_or_default();
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        match root.create_dir_with(folder, &builder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make a folder")(error)),
            // Who has made it beside this may not have come to sync it.
            Ok(()) | Err(_) => sync_folder(root, parent(folder), durability)?,
        }
    }
    Ok(())
}

/// Appends `body` to the upload at `path`, which holds `size` bytes. If that fails, it holds them still and no more.
pub(super) fn append(
    root: &Dir,
    path: &str,
    size: u64,
    body: &mut File,
    durability: Durability,
) -> Result<(), UploadError> {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(PLAIN);
    let mut file = root.open_with(path, &options).map_err(failed("open the upload"))?.into_std();
    file.seek(SeekFrom::Start(size)).map_err(failed("append to the upload"))?;
    body.rewind().map_err(failed("read the body"))?;
    append_or_cut(&mut Upload { file, durability }, body, size).map_err(failed("append to the upload"))
}

/// Lays `body` over the upload at `path`, from `offset` on, in a copy that then takes its place: an overwrite that fails
/// midway would leave neither the old bytes nor the new.
pub(super) fn overlay(
    root: &Dir,
    path: &str,
    offset: u64,
    body: &mut File,
    durability: Durability,
) -> Result<(), UploadError> {
    let mut copy = Temporary::create(root)?;
    let laid = overlay_copy(root, path, offset, body, &mut copy.file)
        .map_err(failed("overwrite the upload"))
        .and_then(|()| copy.install(root, path, durability));
    copy.remove(root);
    laid
}

fn overlay_copy(root: &Dir, path: &str, offset: u64, body: &mut File, copy: &mut File) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(PLAIN);
    let mut old = root.open_with(path, &options)?.into_std();
    io::copy(&mut old, copy)?;
    copy.seek(SeekFrom::Start(offset))?;
    body.rewind()?;
    io::copy(body, copy)?;
    Ok(())
}

/// Whether `body`, all of it, equals the beginning of the upload at `path`.
pub(super) fn begins_with(root: &Dir, path: &str, body: &mut File) -> Result<bool, UploadError> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(PLAIN);
    let held = root.open_with(path, &options).map_err(failed("open the upload"))?.into_std();
    body.rewind().map_err(failed("read the body"))?;
    equal_start(BufReader::with_capacity(BUFFER_BYTES, held), BufReader::with_capacity(BUFFER_BYTES, body))
        .map_err(failed("compare the upload"))
}

fn equal_start(mut held: impl Read, mut body: impl Read) -> io::Result<bool> {
    let (mut a, mut b) = (vec![0; 32 * 1024], vec![0; 32 * 1024]);
    loop {
        let length = body.read(&mut b)?;
        let (Some(a), Some(b)) = (a.get_mut(..length), b.get(..length)) else { return Ok(false) };
        if length == 0 {
            return Ok(true);
        }
        match held.read_exact(a) {
            Ok(()) if a == b => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// A file that can be appended to, and cut back.
trait Tail: Write {
    fn sync(&mut self) -> io::Result<()>;
    fn cut(&mut self, size: u64) -> io::Result<()>;
}

struct Upload {
    file: File,
    durability: Durability,
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Tail for Upload {
    fn sync(&mut self) -> io::Result<()> {
        match self.durability {
            Durability::Disk => self.file.sync_data(),
            Durability::Cache => Ok(()),
        }
    }

    fn cut(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }
}

fn append_or_cut(tail: &mut impl Tail, body: impl Read, size: u64) -> io::Result<()> {
    let mut body = BufReader::with_capacity(BUFFER_BYTES, body);
    let appended = io::copy(&mut body, tail).and_then(|_| tail.sync());
    if appended.is_err() {
        // A full disk still cuts. Where even that fails the error of the append is the one to tell.
        let _ = tail.cut(size);
    }
    appended
}

fn sync_folder(root: &Dir, folder: &str, durability: Durability) -> Result<(), UploadError> {
    match durability {
        Durability::Cache => Ok(()),
        Durability::Disk => {
            // Opened as a file: the descriptors of cap-std's folders name a place (`O_PATH`) and cannot be synced.
            let mut options = OpenOptions::new();
            let folder = root.open_with(folder, options.read(true));
            folder.and_then(|folder| folder.sync_all()).map_err(failed("sync the folder"))
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(folder, _)| folder)
}

/// Sorts the system's errors: no space is no space, and a name that cannot be stored is the peer's affair.
pub(super) fn failed(operation: &'static str) -> impl Fn(io::Error) -> UploadError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            UploadError::NoSpace("the disk is full")
        }
        io::ErrorKind::IsADirectory
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::DirectoryNotEmpty
        | io::ErrorKind::InvalidFilename => UploadError::Unstorable,
        _ if rustix::io::Errno::from_io_error(&source) == Some(rustix::io::Errno::LOOP) => UploadError::Unstorable,
        // cap-std tells a link that leads out of the directory by an error that the system did not give.
        io::ErrorKind::PermissionDenied if source.raw_os_error().is_none() => UploadError::Unstorable,
        _ => UploadError::Io { operation, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is full after so many bytes.
    struct Full {
        bytes: Vec<u8>,
        room: usize,
        sync: io::Result<()>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room);
            if fits == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= fits;
            self.bytes.extend_from_slice(bytes.get(..fits).unwrap_or_default());
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Tail for Full {
        fn sync(&mut self) -> io::Result<()> {
            std::mem::replace(&mut self.sync, Ok(()))
        }

        fn cut(&mut self, size: u64) -> io::Result<()> {
            self.bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
            Ok(())
        }
    }

    #[test]
    fn an_append_that_fails_is_cut_off() {
        for (room, sync) in [(0, Ok(())), (3, Ok(())), (99, Err(io::ErrorKind::StorageFull.into()))] {
            let mut disk = Full { bytes: b"old".to_vec(), room, sync };
            let error = append_or_cut(&mut disk, &b"and new"[..], 3).map_err(|error| error.kind());
            assert_eq!(error, Err(io::ErrorKind::StorageFull), "{room}");
            assert_eq!(disk.bytes, b"old", "{room}");
        }
    }

    #[test]
    fn an_append_that_fits_stands_behind_what_was_there() {
        let mut disk = Full { bytes: b"old".to_vec(), room: 99, sync: Ok(()) };
        assert!(append_or_cut(&mut disk, &b" and new"[..], 3).is_ok());
        assert_eq!(disk.bytes, b"old and new");
    }

    #[test]
    fn no_space_and_bad_names_are_told_apart_from_other_errors() {
        let error = |kind: io::ErrorKind| failed("try")(kind.into());
        assert!(matches!(error(io::ErrorKind::StorageFull), UploadError::NoSpace(_)));
        assert!(matches!(error(io::ErrorKind::QuotaExceeded), UploadError::NoSpace(_)));
        assert!(matches!(error(io::ErrorKind::IsADirectory), UploadError::Unstorable));
        assert!(matches!(error(io::ErrorKind::InvalidFilename), UploadError::Unstorable));
        assert!(matches!(error(io::ErrorKind::TimedOut), UploadError::Io { operation: "try", .. }));
    }
}
