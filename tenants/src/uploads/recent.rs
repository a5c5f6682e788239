//! The last part that was answered for each file, so that a phone that missed the answer may send it again.
//!
//! It lives in memory: after a restart a repeated append falls inside what is held and is written in place, with the
//! same result.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use provost_core::upload::Part;

/// Files that are remembered, the oldest out first.
const MAX_FILES: usize = 65_536;

/// A part that was answered, and the SHA-256 of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) part: Part,
    pub(super) digest: [u8; 32],
}

/// The last part of each file.
#[derive(Debug)]
pub(super) struct Recent(Mutex<LruCache<Box<str>, Answered>>);

impl Recent {
    pub(super) fn new() -> Self {
        // Unbounded, and bounded below: a bounded cache allocates all of its table at once, for every tenant.
        Self(Mutex::new(LruCache::unbounded()))
    }

    pub(super) fn is_last(&self, path: &str, answered: &Answered) -> bool {
        self.files().get(path) == Some(answered)
    }

    pub(super) fn remember(&self, path: &str, answered: Answered) {
        let mut files = self.files();
        files.put(path.into(), answered);
        if files.len() > MAX_FILES {
            files.pop_lru();
        }
    }

    pub(super) fn forget(&self, path: &str) {
        self.files().pop(path);
    }

    fn files(&self) -> MutexGuard<'_, LruCache<Box<str>, Answered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_file_is_forgotten_first() {
        let recent = Recent::new();
        let answered = Answered { part: Part { first: 0, length: 1, complete: None }, digest: [7; 32] };
        for number in 0..=MAX_FILES {
            recent.remember(&number.to_string(), answered);
        }
        assert!(!recent.is_last("0", &answered));
        assert!(recent.is_last("1", &answered));
        assert!(recent.is_last(&MAX_FILES.to_string(), &answered));
    }
}
