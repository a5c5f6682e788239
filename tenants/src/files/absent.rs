//! Names that the uploads do not have, as long as nothing changes in their folder.
//!
//! A device's file is looked for in its uploads first, and most have none of that name. The folder's times tell that none has
//! come since, and asking for them takes a fraction of looking the name up. Only a look that ended with a file elsewhere is
//! remembered: of names that no place has nothing is, so that a missing file costs the same each time.
//!
//! As [`super::kept`], this counts on times: what changed in the last two seconds is not relied upon.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use cap_std::fs::Dir;
use rustix::fs::fstat;

use super::state::State;

/// How many names are remembered, of all tenants together; each may drive out another.
const NAMES: usize = 16 * 1024;

static KNOWN: LazyLock<Known> =
    LazyLock::new(|| Known { hashes: [const { AtomicU64::new(0) }; NAMES].into(), hasher: RandomState::new() });

/// Hashes of a folder's state and the names that were not there, under a key that nobody knows.
struct Known {
    hashes: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// The names of an upload, looked for in a folder as it is now.
#[derive(Debug)]
pub(super) struct Look(u64);

impl Look {
    /// A look for the upload that is stored as `name`, and for the other spellings of `asked` in which an operator may have put it there;
    /// `None` where it has a folder of its own, or where this one has just changed or cannot be asked.
    pub(super) fn new(dir: &Dir, name: &str, asked: &str, now: SystemTime) -> Option<Self> {
        let state = State::of(&fstat(dir).ok()?);
        let reliable = !name.contains('/') && state.is_settled(now);
        // 0 is nothing.
        reliable.then(|| Self(KNOWN.hasher.hash_one((state, name, asked)) | 1))
    }

    /// Whether it is known that none is there.
    pub(super) fn is_in_vain(&self) -> bool {
        self.place().is_some_and(|place| place.load(Ordering::Relaxed) == self.0)
    }

    /// Remembers that none was there.
    pub(super) fn was_in_vain(&self) {
        if let Some(place) = self.place() {
            place.store(self.0, Ordering::Relaxed);
        }
    }

    fn place(&self) -> Option<&'static AtomicU64> {
        // The lowest bit is always set.
        KNOWN.hashes.get(usize::try_from(self.0 >> 1).unwrap_or_default() % NAMES)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;
    use std::time::Duration;

    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn a_name_is_known_to_be_missing_until_something_changes_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let later = SystemTime::now() + Duration::from_mins(1);
        let known = |name| Look::new(&dir, name, name, later).unwrap().is_in_vain();
        assert!(!known("a"));
        Look::new(&dir, "a", "a", later).unwrap().was_in_vain();
        assert!(known("a") && !known("b"));
        assert!(!Look::new(&dir, "a", "A", later).unwrap().is_in_vain(), "`A` was not looked for");
        fs::write(folder.path().join("a"), "").unwrap();
        // A coarse clock may have given the change the time of the one before.
        let state = || State::of(&fstat(&dir).unwrap());
        let before = state();
        while state() == before {
            fs::write(folder.path().join("b"), "").unwrap();
            fs::remove_file(folder.path().join("b")).unwrap();
        }
        assert!(!known("a"));
    }

    #[test]
    fn a_folder_that_changed_just_now_tells_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let now = SystemTime::now();
        assert!(
            Look::new(&dir, "a", "a", now).is_none()
                && Look::new(&dir, "a", "a", now - Duration::from_mins(1)).is_none()
        );
        assert!(
            Look::new(&dir, "a/b", "a/b", now + Duration::from_mins(1)).is_none(),
            "the folder's times tell nothing of it"
        );
    }
}
