//! What tells one state of a file or folder from another.

use std::time::SystemTime;

use rustix::fs::Stat;

use crate::settled::is_settled;

/// One state of one file, or of one folder: of a folder it differs once a name came, went or changed its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct State {
    file: (u64, u64),
    pub(super) size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl State {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            file: (stat.st_dev, stat.st_ino),
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Whether it has been left alone for so long that its times will tell the next change.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        is_settled(self.modified.0, self.changed.0, now)
    }
}
