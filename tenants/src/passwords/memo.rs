//! Which passwords were found to be right under argon2id a while ago, so that a phone pays for its first request and not for
//! the next twenty.
//!
//! An entry says "this form is of this password" and nothing else, which stays true. Who has that form, and until when it is
//! valid, is asked anew each time: a credential that is withdrawn or expires is not found, whatever is remembered. What is
//! kept is a digest under the key of this process, and only of what was right: a guess fills nothing.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use super::Tag;

/// How many are remembered of each tenant; the one that was asked for least recently goes first.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(32 * 1024).unwrap();

/// What one tenant's checks remember.
#[derive(Debug)]
pub struct Memo(Mutex<LruCache<Tag, ()>>);

impl Default for Memo {
    fn default() -> Self {
        // Its table grows as it is filled: most tenants have no password of that form.
        let mut remembered = LruCache::unbounded();
        remembered.resize(REMEMBERED);
        Self(Mutex::new(remembered))
    }
}

impl Memo {
    pub(super) fn holds(&self, tag: &Tag) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(tag).is_some()
    }

    pub(super) fn keep(&self, tag: Tag) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(tag, ());
    }
}
