//! The open directory of a tenant's uploads, as long as it is the one that stands at its path.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cap_std::fs::Dir;

use super::directory::{make, open};
use super::disk::failed;
use super::{Durability, UploadError};
use crate::files::Folder;

/// How long it is used before it is looked whether another one stands in its place.
const LOOK_EVERY: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(2) };

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now() -> u64 {
    u64::try_from(BEGUN.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The open directory.
#[derive(Debug)]
pub(crate) struct Root {
    folder: Folder,
    /// When it was looked for, in milliseconds since [`BEGUN`].
    looked: AtomicU64,
    is_counted: AtomicBool,
    is_entered: AtomicBool,
}

impl Root {
    /// Makes the directory where it is missing, and opens it.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        Self::of(make(path)?)
    }

    /// Opens the directory.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::of(open(path)?)
    }

    fn of(dir: Dir) -> io::Result<Self> {
        let (folder, looked) = (Folder::new(dir)?, AtomicU64::new(now()));
        Ok(Self { folder, looked, is_counted: AtomicBool::default(), is_entered: AtomicBool::default() })
    }

    /// The device number of its file system.
    pub(super) fn disk(&self) -> u64 {
        self.identity.0
    }

    /// Whether the accounts tell what it holds.
    pub(super) fn is_counted(&self) -> bool {
        self.is_counted.load(Ordering::Acquire)
    }

    pub(super) fn set_counted(&self) {
        self.is_counted.store(true, Ordering::Release);
    }

    /// Syncs the folder that it stands in at `path`, and the two above that, which may have been made along with it: without its own
    /// entry all that it holds would be gone after a power cut. Once is enough. It blocks.
    pub(super) fn sync_entry(&self, path: &Path, durability: Durability) -> Result<(), UploadError> {
        if durability == Durability::Cache || self.is_entered.load(Ordering::Relaxed) {
            return Ok(());
        }
        for folder in path.ancestors().skip(1).take(3) {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            match File::open(folder).and_then(|folder| folder.sync_all()) {
                // It is not this server's, which has made nothing there; or its file system knows no such thing.
                Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => {
                }
                synced => synced.map_err(failed("sync the folder of the uploads"))?,
            }
        }
        self.is_entered.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether it is the one that stands at `path`, as was found within the last two seconds. Its names are in the kernel's memory as long
    /// as it is open, so that a local file system is asked without waiting.
    pub(super) fn stood_lately_at(&self, path: &Path) -> bool {
        let (now, looked) = (now(), self.looked.load(Ordering::Relaxed));
        let is_due = Duration::from_millis(now.saturating_sub(looked)) >= LOOK_EVERY;
        // One looks for all.
        let looks = is_due && self.looked.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        !looks || self.stands_at(path)
    }

    /// Whether it is the one that stands at `path`. A path that cannot be looked at says nothing against it. It blocks.
    pub(super) fn stands_at(&self, path: &Path) -> bool {
        match std::fs::metadata(path) {
            Ok(facts) => (facts.dev(), facts.ino()) == self.identity,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

impl Deref for Root {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}
