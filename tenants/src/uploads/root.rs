//! The open directory of a tenant's uploads, as long as it is the one that stands at its path.

use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, MetadataExt as _};

use super::directory::make;
use crate::files::is_local;

/// How long it is used before it is looked whether another one stands in its place.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The open directory.
#[derive(Debug)]
pub(crate) struct Root {
    dir: Dir,
    pub(super) is_local: bool,
    which: (u64, u64),
    seen: Mutex<Instant>,
}

impl Root {
    /// Makes the directory where it is missing, and opens it.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        let dir = make(path)?;
        let facts = dir.dir_metadata()?;
        let (is_local, which) = (is_local(&dir), (facts.dev(), facts.ino()));
        Ok(Self { dir, is_local, which, seen: Mutex::new(Instant::now()) })
    }

    /// Whether it was the one that stands at its path a moment ago.
    pub(super) fn was_seen_lately(&self) -> bool {
        self.seen().elapsed() < LOOK_EVERY
    }

    /// Whether it is the one that stands at `path`. A path that cannot be looked at says nothing against it. It blocks.
    pub(super) fn stands_at(&self, path: &Path) -> bool {
        let stands = match std::fs::metadata(path) {
            Ok(facts) => (facts.dev(), facts.ino()) == self.which,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if stands {
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        stands
    }

    fn seen(&self) -> Instant {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Root {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        &self.dir
    }
}
