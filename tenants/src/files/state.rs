//! What tells one state of a file or folder from another.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

/// How long a file must have been left alone: the coarsest times of file systems in use are of two seconds.
const SETTLED: Duration = Duration::from_secs(2);

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

    /// Whether it has been left alone for so long that its times will tell the next change. Times of the future, as
    /// of a machine whose clock was set back, tell nothing.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let age = |(seconds, _): (i64, u64)| u64::try_from(seconds).ok().and_then(|then| now.checked_sub(then));
        // Whole seconds are compared, so that one more makes up for the fractions.
        [self.modified, self.changed].into_iter().all(|time| age(time).is_some_and(|age| age > SETTLED.as_secs()))
    }
}
