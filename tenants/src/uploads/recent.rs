//! The last part that was answered for each file, so that a phone that missed the answer may send it again.
//!
//! It counts only while the file is as that answer left it: what an operator has changed since by hand is not what the phone sent.
//!
//! It lives in memory: after a restart a repeated append falls inside what is held and is written in place, with the
//! same result. One that had rotated the log, or stands behind a gap, is then stored a second time: no bytes are lost by it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use provost_core::upload::Part;

use crate::files::FileFacts;

/// Files that are remembered, the oldest out first.
const MAX_FILES: usize = 65_536;

/// A part that was answered, and the SHA-256 of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) part: Part,
    pub(super) digest: [u8; 32],
}

/// The last part of each file, and how it left the file.
#[derive(Debug)]
pub(super) struct Recent(Mutex<LruCache<Box<str>, (Answered, FileFacts)>>);

impl Recent {
    pub(super) fn new() -> Self {
        // Unbounded, and bounded below: a bounded cache allocates all of its table at once, for every tenant.
        Self(Mutex::new(LruCache::unbounded()))
    }

    /// Whether this was the last part of the file, which is as it was left then.
    pub(super) fn is_last(&self, path: &str, answered: &Answered, file: FileFacts) -> bool {
        // That it has another owner or mode now, or a second name, changes none of its bytes.
        let is_left = |(last, left): &(Answered, FileFacts)| {
            last == answered && FileFacts { changed: file.changed, ..*left } == file
        };
        self.files().get(path).is_some_and(is_left)
    }

    pub(super) fn remember(&self, path: &str, answered: Answered, file: FileFacts) {
        let mut files = self.files();
        files.put(path.into(), (answered, file));
        if files.len() > MAX_FILES {
            files.pop_lru();
        }
    }

    pub(super) fn forget(&self, path: &str) {
        self.files().pop(path);
    }

    fn files(&self) -> MutexGuard<'_, LruCache<Box<str>, (Answered, FileFacts)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn the_oldest_file_is_forgotten_first() {
        let recent = Recent::new();
        let answered = Answered { part: Part { first: 0, length: 1, complete: None }, digest: [7; 32] };
        let file = FileFacts { size: 1, modified: SystemTime::UNIX_EPOCH, changed: (0, 0), identity: (1, 2) };
        for number in 0..=MAX_FILES {
            recent.remember(&number.to_string(), answered, file);
        }
        assert!(!recent.is_last("0", &answered, file));
        assert!(recent.is_last("1", &answered, file));
        assert!(recent.is_last(&MAX_FILES.to_string(), &answered, file));
    }
}
