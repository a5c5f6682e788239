//! One lock per file, from a table of fixed size: two files may share one, which costs a wait and nothing else.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

const STRIPES: usize = 256;

/// The locks of one tenant's files.
#[derive(Debug)]
pub(super) struct Locks {
    stripes: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Locks {
    pub(super) fn new() -> Self {
        Self { stripes: std::iter::repeat_with(Mutex::default).take(STRIPES).collect(), hasher: RandomState::new() }
    }

    /// Waits for the lock of the file at `path`. `None` never happens; it says so to the compiler without a panic.
    pub(super) fn lock(&self, path: &str) -> Option<MutexGuard<'_, ()>> {
        let stripe = usize::try_from(self.hasher.hash_one(path) % STRIPES as u64).ok()?;
        // A thread that panicked under the lock leaves files in one of the states that a crash may leave them in.
        self.stripes.get(stripe).map(|stripe| stripe.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
