//! The names of folders without regard to case, kept while the folders do not change.
//!
//! Most names that phones ask for are missing by design; without this, each of them would read the whole folder.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use lru::LruCache;
use rustix::fs::{OFlags, fstat};

use super::root::present;
use super::state::State;

/// Folders that are remembered of each root, the oldest out first.
const MAX_FOLDERS: usize = 64;
/// Names that are read of one folder.
const MAX_NAMES: usize = 100_000;

/// The names of one root's folders.
#[derive(Debug)]
pub(super) struct FoldedNames(Mutex<LruCache<String, Arc<Names>>>);

/// The names of one folder as it was in `state`.
#[derive(Debug)]
struct Names {
    state: State,
    /// By their lower-case form, sorted.
    names: HashMap<String, Vec<String>>,
}

impl Default for FoldedNames {
    fn default() -> Self {
        // Unbounded, and bounded below: a bounded cache allocates all of its table at once, for every root.
        Self(Mutex::new(LruCache::unbounded()))
    }
}

impl FoldedNames {
    /// The name that `segment` finds in the folder at `path`.
    pub(super) fn find(&self, root: &Dir, path: &str, segment: &str, now: SystemTime) -> io::Result<Option<String>> {
        let Some(folder) = self.folder(root, path, now)? else { return Ok(None) };
        let Some(names) = folder.names.get(&segment.to_ascii_lowercase()) else { return Ok(None) };
        Ok(names.iter().find(|name| *name == segment).or(names.first()).cloned())
    }

    fn folder(&self, root: &Dir, path: &str, now: SystemTime) -> io::Result<Option<Arc<Names>>> {
        let here = if path.is_empty() { "." } else { path };
        // Of a pipe the open would wait for a writer, and a phone could hold a thread for good.
        let flags = OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags.bits().cast_signed());
        let Some(opened) = present(root.open_with(here, &options))? else { return Ok(None) };
        let state = State::of(&fstat(&opened)?);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        if let Some(folder) = known.filter(|folder| folder.state == state) {
            return Ok(Some(folder));
        }
        let Some(entries) = present(root.read_dir(here))? else { return Ok(None) };
        let mut names: HashMap<String, Vec<String>> = HashMap::new();
        for entry in entries.take(MAX_NAMES) {
            if let Ok(name) = entry?.file_name().into_string() {
                names.entry(name.to_ascii_lowercase()).or_default().push(name);
            }
        }
        for names in names.values_mut() {
            names.sort_unstable();
        }
        let folder = Arc::new(Names { state, names });
        if state.is_settled(now) {
            let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            folders.put(path.to_owned(), Arc::clone(&folder));
            if folders.len() > MAX_FOLDERS {
                folders.pop_lru();
            }
        }
        Ok(Some(folder))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use cap_std::ambient_authority;

    use super::*;

    #[test]
    fn a_name_that_comes_is_found_though_the_time_of_the_folder_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let (root, names) =
            (Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap(), FoldedNames::default());
        let modified = std::fs::metadata(folder.path()).unwrap().modified().unwrap();
        let find = || names.find(&root, "", "site.cfg", modified + Duration::from_mins(1)).unwrap();
        assert_eq!(find(), None);
        assert_eq!(names.0.lock().unwrap().len(), 1);
        File::create(folder.path().join("Site.cfg")).unwrap();
        let state = || State::of(&fstat(&root).unwrap());
        let before = state();
        // A coarse clock may have given the change the time of the one before.
        while state() == before {
            File::open(folder.path()).unwrap().set_modified(modified).unwrap();
        }
        assert_eq!(find().as_deref(), Some("Site.cfg"));
    }
}
