//! Small files that phones ask for again and again, held in memory: what all phones of a site have in common.
//!
//! What is held counts only while the name still stands for the same state of the same file, which is asked with every request by one
//! fstatat(2): device, inode, size, and the times of its bytes and of everything else of it. So a file that is replaced or written
//! to is seen by the very next request. Only a name without a folder is asked for so: the last segment of a path is not followed,
//! and nothing else of it could lead out of the root. What changed in the last two seconds is not held, since
//! a clock that ticks coarsely could not tell the next change.
//!
//! Each file is held open. Its name then stays in the kernel's memory, so that asking for it waits for no disk.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use cap_std::fs::Dir;
use lru::LruCache;
use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};

use super::at_once::read_at_once;
use super::descriptor::Descriptor;
use super::state::State;
use super::{FileFacts, OpenFile};
use crate::Settings;

/// No larger file is held, in bytes.
const LARGEST: u64 = 64 * 1024;
/// How many files are held at most: each takes a descriptor.
const MOST: usize = 1024;
/// The part of the memory for what is kept of files that these may take.
const SHARE: usize = 4;
/// Names that were asked for once are remembered in so many places. A file is held from the second time on, so that the
/// files of single devices, asked for once at each boot, drive nothing out.
const ASKED: usize = 4096;

static SHARED: LazyLock<Kept> = LazyLock::new(|| Kept::new(Settings::CACHE_BYTES));

/// Bounds what is held of small files in this process: a quarter of so many bytes. With 0 nothing is held.
pub fn keep_at_most(bytes: usize) {
    SHARED.capacity.store(bytes / SHARE, Ordering::Relaxed);
}

/// One root's part of it. What an earlier root of the same folder had is not found any more.
#[derive(Debug)]
pub(super) struct Shelf(u64);

/// A file that is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    pub(super) facts: FileFacts,
    state: State,
    /// It keeps the name in the kernel's memory.
    _file: Descriptor,
}

struct Kept {
    capacity: AtomicUsize,
    table: Mutex<Table>,
    hasher: RandomState,
}

struct Table {
    files: LruCache<Name, Arc<Held>>,
    bytes: usize,
    /// Hashes of names that were asked for.
    asked: Vec<u64>,
}

/// A name in a root.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Name(u64, Box<str>);

/// The same, lent. It must hash as [`Name`] does.
trait Named {
    fn parts(&self) -> (u64, &str);
}

impl Shelf {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The file of this name as it is now, if it is held.
    pub(super) fn find(&self, dir: &Dir, name: &str) -> Option<Arc<Held>> {
        if !is_alone(name) {
            return None;
        }
        let held = SHARED.table().files.get(&(self.0, name) as &dyn Named).cloned()?;
        let present = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).ok().and_then(|stat| state_of(&stat));
        if present == Some(held.state) {
            return Some(held);
        }
        SHARED.table().remove(&(self.0, name));
        None
    }

    /// Holds a file that was opened by this name from here on, if that is worth it and its bytes are in memory.
    pub(super) fn hold(&self, name: &str, open: &OpenFile, now: SystemTime) -> Option<Arc<Held>> {
        let fits = is_alone(name) && open.facts.size <= LARGEST.min(SHARED.capacity());
        if !fits || !SHARED.is_asked_again(&(self.0, name)) {
            return None;
        }
        let state = state_of(&fstat(&*open.file).ok()?)?;
        if !state.is_settled(now) || Ok(open.facts.size) != u64::try_from(state.size) {
            return None;
        }
        let bytes = Bytes::from(read_at_once(&open.file, 0, open.facts.size)?);
        let file = open.file.try_clone().ok()?;
        // It must not have changed while it was read.
        if state_of(&fstat(&*file).ok()?)? != state {
            return None;
        }
        let held = Arc::new(Held { bytes, facts: open.facts, state, _file: file });
        SHARED.put(Name(self.0, name.into()), Arc::clone(&held));
        Some(held)
    }
}

impl Drop for Shelf {
    /// An open file keeps its file system from being unmounted.
    fn drop(&mut self) {
        SHARED.table().clear(self.0);
    }
}

/// Whether a path is a name without a folder.
fn is_alone(path: &str) -> bool {
    !path.is_empty() && !path.contains('/')
}

/// The state of a regular file.
fn state_of(stat: &Stat) -> Option<State> {
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| State::of(stat))
}

impl Kept {
    fn new(capacity: usize) -> Self {
        let table = Table { files: LruCache::unbounded(), bytes: 0, asked: vec![0; ASKED] };
        Self { capacity: AtomicUsize::new(capacity / SHARE), table: Mutex::new(table), hasher: RandomState::new() }
    }

    fn capacity(&self) -> u64 {
        u64::try_from(self.capacity.load(Ordering::Relaxed)).unwrap_or(u64::MAX)
    }

    /// Whether the name was asked for before, not too long ago. From here on it was.
    fn is_asked_again(&self, name: &dyn Named) -> bool {
        // 0 is nothing.
        let hash = self.hasher.hash_one(name) | 1;
        let place = usize::try_from(hash >> 1).unwrap_or_default() % ASKED;
        self.table().asked.get_mut(place).is_some_and(|asked| std::mem::replace(asked, hash) == hash)
    }

    fn put(&self, name: Name, held: Arc<Held>) {
        let capacity = self.capacity.load(Ordering::Relaxed);
        let mut table = self.table();
        table.bytes += held.bytes.len();
        if let Some((_, former)) = table.files.push(name, held) {
            table.bytes -= former.bytes.len();
        }
        while table.bytes > capacity || table.files.len() > MOST {
            let Some((_, oldest)) = table.files.pop_lru() else { return };
            table.bytes -= oldest.bytes.len();
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn remove(&mut self, name: &dyn Named) {
        if let Some(former) = self.files.pop(name) {
            self.bytes -= former.bytes.len();
        }
    }

    fn clear(&mut self, root: u64) {
        let names: Vec<Box<str>> =
            self.files.iter().filter(|(name, _)| name.0 == root).map(|(name, _)| name.1.clone()).collect();
        for name in names {
            self.remove(&(root, &*name));
        }
    }
}

impl Named for Name {
    fn parts(&self) -> (u64, &str) {
        (self.0, &self.1)
    }
}

impl Named for (u64, &str) {
    fn parts(&self) -> (u64, &str) {
        *self
    }
}

impl<'a> Borrow<dyn Named + 'a> for Name {
    fn borrow(&self) -> &(dyn Named + 'a) {
        self
    }
}

impl Hash for dyn Named + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for dyn Named + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Named + '_ {}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::time::Duration;

    use cap_std::ambient_authority;
    use tempfile::TempDir;

    use super::*;
    use crate::files::Folder;
    use crate::files::root::{Links, open};

    /// A root whose files count as old.
    struct Bench {
        folder: TempDir,
        dir: Folder,
        shelf: Shelf,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).and_then(Folder::new).unwrap();
            Self { folder, dir, shelf: Shelf::new() }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.at(name), text).unwrap();
        }

        fn hold_at(&self, name: &str, now: SystemTime) -> Option<Bytes> {
            let open = open(&self.dir, name, Links::Follow).unwrap().unwrap();
            self.shelf.hold(name, &open, now).map(|held| held.bytes.clone())
        }

        /// Asks often enough.
        fn hold(&self, name: &str) -> bool {
            let later = SystemTime::now() + Duration::from_mins(1);
            self.hold_at(name, later);
            self.hold_at(name, later).is_some()
        }

        fn find(&self, name: &str) -> Option<Bytes> {
            self.shelf.find(&self.dir, name).map(|held| held.bytes.clone())
        }
    }

    #[test]
    fn a_file_is_held_from_the_second_time_on_and_only_once_it_was_left_alone() {
        let bench = Bench::new();
        bench.write("sip.cfg", "one");
        let now = SystemTime::now();
        assert_eq!(
            [0, 1, 2].map(|seconds| bench.hold_at("sip.cfg", now + Duration::from_secs(seconds))),
            [(); 3].map(|()| None)
        );
        assert_eq!(bench.find("sip.cfg"), None);
        assert_eq!(bench.hold_at("sip.cfg", now - Duration::from_mins(1)), None, "a time of the future");
        assert!(bench.hold("sip.cfg"));
        assert_eq!(bench.find("sip.cfg").as_deref(), Some(&b"one"[..]));
        bench.write("new.cfg", "new");
        let later = now + Duration::from_mins(1);
        assert_eq!(bench.hold_at("new.cfg", later), None, "the first time");
        assert!(bench.hold_at("new.cfg", later).is_some());
    }

    #[test]
    fn what_the_name_stands_for_now_is_all_that_counts() {
        type Change = fn(&Bench);
        let changes: [(&str, Change); 6] = [
            ("written to", |bench| bench.write("a", "another")),
            ("another renamed over it", |bench| {
                bench.write("b", "two");
                fs::rename(bench.at("b"), bench.at("a")).unwrap();
            }),
            ("removed", |bench| fs::remove_file(bench.at("a")).unwrap()),
            ("a folder", |bench| {
                fs::remove_file(bench.at("a")).unwrap();
                fs::create_dir(bench.at("a")).unwrap();
            }),
            ("a link to the very file, outside", |bench| {
                fs::create_dir(bench.at("outside")).unwrap();
                fs::rename(bench.at("a"), bench.at("outside/a")).unwrap();
                symlink(bench.at("outside/a"), bench.at("a")).unwrap();
            }),
            ("a link to itself by another name", |bench| {
                fs::rename(bench.at("a"), bench.at("b")).unwrap();
                symlink("b", bench.at("a")).unwrap();
            }),
        ];
        for (what, change) in changes {
            let bench = Bench::new();
            bench.write("a", "one");
            assert!(bench.hold("a") && bench.find("a").is_some(), "{what}");
            change(&bench);
            assert_eq!(bench.find("a"), None, "{what}");
        }
    }

    #[test]
    fn what_stands_in_a_folder_is_large_or_another_roots_is_not_held() {
        let bench = Bench::new();
        fs::create_dir(bench.at("sub")).unwrap();
        bench.write("sub/a", "one");
        bench.write("large", &"x".repeat(64 * 1024 + 1));
        assert!(!bench.hold("sub/a") && !bench.hold("large"));
        bench.write("a", "one");
        assert!(bench.hold("a"));
        assert!(Shelf::new().find(&bench.dir, "a").is_none());
    }

    #[test]
    fn a_root_that_goes_lets_go_of_its_files() {
        let bench = Bench::new();
        bench.write("a", "one");
        assert!(bench.hold("a"));
        let Bench { shelf: Shelf(number), .. } = bench;
        let held = || SHARED.table().files.iter().any(|(name, _)| name.0 == number);
        assert!(held());
        drop(Shelf(number));
        assert!(!held());
    }

    #[test]
    fn it_is_bounded_in_bytes_and_in_number() {
        let kept = Kept::new(4 * 100);
        let bench = Bench::new();
        bench.write("a", &"x".repeat(40));
        assert!(bench.hold("a"));
        let held = bench.shelf.find(&bench.dir, "a").unwrap();
        let put = |number: u64| kept.put(Name(number, "a".into()), Arc::clone(&held));
        let has = |number: u64| kept.table().files.get(&(number, "a") as &dyn Named).is_some();
        (0..3).for_each(put);
        assert_eq!([0, 1, 2].map(has), [false, true, true]);
        put(2);
        assert_eq!(kept.table().bytes, 80);
        kept.capacity.store(usize::MAX, Ordering::Relaxed);
        (0..2000).for_each(put);
        assert_eq!(kept.table().files.len(), MOST);
        assert!(has(1999));
    }
}
