//! What has been read of files, for all transfers together: five thousand phones that ask for one image read it once.
//!
//! It is kept in stretches, by the identity, the size and the times of the file that they were read from, and bounded in
//! bytes; what was not used for longest goes first. A stretch counts only if the file was the same before and after it was
//! read. What changed in the last two seconds is not kept, since a clock that ticks coarsely could not tell the next change.
//! Nothing here decides: who asks has opened the file by a permit.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use lru::LruCache;
use provost_tenants::Settings;
use provost_tenants::files::read_at_once;
use provost_tenants::settled::is_settled;

/// The size of a stretch, in bytes; the last one of a file is shorter.
pub(super) const STRETCH_BYTES: u64 = 32 * 1024;
/// How many stretches are read at a time: a hop off the runtime is worth it.
const TOGETHER: u64 = 4;

static SHARED: LazyLock<Arc<Cache>> = LazyLock::new(|| Arc::new(Cache::new(Settings::CACHE_BYTES)));

/// Bounds what is kept of files in this process, in bytes, from the next one on that is read. With 0 nothing is kept.
pub fn keep_at_most(bytes: usize) {
    SHARED.capacity.store(bytes, Ordering::Relaxed);
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Version {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    links: u64,
}

/// An open file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened<'f> {
    pub(super) file: &'f File,
    /// What it was when it was opened.
    pub(super) version: &'f Version,
    pub(super) disk: Disk,
}

/// Whether a look at a file may wait for its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disk {
    /// It may: the file was opened off the runtime.
    Waits,
    /// What the kernel has of it in memory can be had at once.
    InMemory,
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It is not what it was when the transfer began.
    #[error("the file changed while it was sent")]
    Changed,
    /// What the system says.
    #[error("read the file")]
    Io(#[from] io::Error),
}

/// Stretches of files.
#[derive(Debug)]
pub(super) struct Cache {
    capacity: AtomicUsize,
    held: Mutex<Held>,
    /// A stretch that was being read has been read, or cannot be.
    done: Condvar,
}

#[derive(Debug)]
struct Held {
    stretches: LruCache<Key, Bytes>,
    bytes: usize,
    reading: HashSet<Key>,
}

type Key = (Version, u64);

impl Version {
    /// The present state of an open file. It may block.
    ///
    /// # Errors
    /// - what the system says
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let facts = file.metadata()?;
        Ok(Self {
            file: (facts.dev(), facts.ino()),
            size: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
            links: facts.nlink(),
        })
    }

    /// The size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file has been left alone for so long that its times will tell the next change.
    fn is_settled(&self, now: SystemTime) -> bool {
        is_settled(self.modified.0, self.changed.0, now)
    }

    /// Whether a file that was `before` has the same bytes still. A file that loses a name, because another one was renamed over
    /// it, or gets one more, gets a new change time by that.
    pub(super) fn has_bytes_of(&self, before: &Self) -> bool {
        let names_changed = self.links != before.links;
        let changed = if names_changed { before.changed } else { self.changed };
        Self { changed, links: before.links, ..*self } == *before
    }

    fn length(&self, index: u64) -> u64 {
        self.size.saturating_sub(index * STRETCH_BYTES).min(STRETCH_BYTES)
    }
}

impl Cache {
    /// A cache of so many bytes. With 0 nothing is kept.
    pub(super) fn new(capacity: usize) -> Self {
        let held = Held { stretches: LruCache::unbounded(), bytes: 0, reading: HashSet::new() };
        Self { capacity: AtomicUsize::new(capacity), held: Mutex::new(held), done: Condvar::new() }
    }

    /// The one of this process: what tenants share, such as firmware, is kept once.
    pub(super) fn shared() -> Arc<Self> {
        Arc::clone(&SHARED)
    }

    fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed)
    }

    /// A stretch that is kept, or, of a file whose disk is local, that the kernel has in memory. It does not block; `None` says
    /// that it would have to.
    ///
    /// # Errors
    /// - [`ReadError`]
    pub(super) fn at_once(&self, image: Opened<'_>, index: u64) -> Option<Result<Bytes, ReadError>> {
        let key = (*image.version, index);
        if let Some(bytes) = self.held().stretches.get(&key) {
            return Some(Ok(bytes.clone()));
        }
        let read = match image.disk {
            Disk::Waits => return None,
            Disk::InMemory => || {
                let bytes = read_at_once(image.file, index * STRETCH_BYTES, image.version.length(index))?;
                Some(image.check().map(|()| Bytes::from(bytes)))
            },
        };
        if !self.keeps(image.version) {
            return read();
        }
        let reading = self.begin(self.held(), key)?;
        let bytes = read()?;
        if let Ok(bytes) = &bytes {
            self.keep(key, bytes.clone());
        }
        drop(reading);
        Some(bytes)
    }

    /// A stretch that is kept, else is read, with those behind it. Whoever else asks for it meanwhile waits. It blocks.
    ///
    /// # Errors
    /// - [`ReadError`]
    pub(super) fn read(&self, image: Opened<'_>, index: u64) -> Result<Bytes, ReadError> {
        let key = (*image.version, index);
        if !self.keeps(image.version) {
            return image.stretch(index);
        }
        let mut held = self.held();
        while held.reading.contains(&key) {
            held = self.done.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(bytes) = held.stretches.get(&key) {
            return Ok(bytes.clone());
        }
        let reading = self.begin(held, key);
        let bytes = image.stretch(index)?;
        self.keep(key, bytes.clone());
        drop(reading);
        for next in index + 1..index + TOGETHER {
            let is_known = image.version.length(next) == 0 || self.held().stretches.contains(&(*image.version, next));
            // What cannot be read ahead is told to whoever asks for it.
            match (!is_known).then(|| image.stretch(next)) {
                None => {}
                Some(Ok(bytes)) => self.keep((*image.version, next), bytes),
                Some(Err(_)) => break,
            }
        }
        Ok(bytes)
    }

    /// Says that a stretch is being read; `None` where another one reads it.
    fn begin(&self, mut held: MutexGuard<'_, Held>, key: Key) -> Option<Reading<'_>> {
        held.reading.insert(key).then(|| Reading { cache: self, key })
    }

    fn keeps(&self, version: &Version) -> bool {
        self.capacity() > 0 && version.is_settled(SystemTime::now())
    }

    fn keep(&self, key: Key, bytes: Bytes) {
        let mut held = self.held();
        held.bytes += bytes.len();
        let former = held.stretches.put(key, bytes);
        held.bytes -= former.map_or(0, |former| former.len());
        while held.bytes > self.capacity() {
            let Some((_, oldest)) = held.stretches.pop_lru() else { return };
            held.bytes -= oldest.len();
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stretch that is being read. Dropped, whoever waits for it looks again.
struct Reading<'c> {
    cache: &'c Cache,
    key: Key,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.cache.held().reading.remove(&self.key);
        self.cache.done.notify_all();
    }
}

impl Opened<'_> {
    /// Reads a stretch of the file as it was when it was opened.
    fn stretch(&self, index: u64) -> Result<Bytes, ReadError> {
        let length = usize::try_from(self.version.length(index)).unwrap_or_default();
        let mut bytes = vec![0; length];
        match self.file.read_exact_at(&mut bytes, index * STRETCH_BYTES) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(ReadError::Changed),
            Err(error) => return Err(error.into()),
        }
        self.check()?;
        Ok(bytes.into())
    }

    fn check(&self) -> Result<(), ReadError> {
        if Version::of(self.file)?.has_bytes_of(self.version) { Ok(()) } else { Err(ReadError::Changed) }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs::FileTimes;
    use std::io::Write as _;
    use std::time::Duration;

    use super::*;

    const STRETCH: usize = 32 * 1024;

    /// A file of so many stretches that was left alone for an hour, but for its change time, which nobody can set.
    fn settled(bytes: usize) -> (File, Version) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&(0..bytes).map(|at| (at / STRETCH).to_le_bytes()[0]).collect::<Vec<_>>()).unwrap();
        file.set_times(FileTimes::new().set_modified(SystemTime::now() - Duration::from_hours(1))).unwrap();
        let version = Version { changed: (0, 0), ..Version::of(&file).unwrap() };
        (file, version)
    }

    fn has(cache: &Cache, version: &Version, index: u64) -> bool {
        let nothing = tempfile::tempfile().unwrap();
        cache.at_once(Opened { file: &nothing, version, disk: Disk::Waits }, index).is_some()
    }

    fn put(cache: &Cache, version: &Version, index: u64, bytes: usize) {
        cache.keep((*version, index), vec![0; bytes].into());
    }

    #[test]
    fn it_is_bounded_in_bytes_and_what_was_not_used_for_longest_goes() {
        let cache = Cache::new(100);
        let (_, version) = settled(0);
        for index in 0..3 {
            put(&cache, &version, index, 40);
            assert!(has(&cache, &version, 0));
        }
        let kept: Vec<_> = (0..3).map(|index| has(&cache, &version, index)).collect();
        assert_eq!(kept, [true, false, true]);
        put(&cache, &version, 0, 30);
        assert_eq!(cache.held().bytes, 70);
        put(&cache, &version, 9, 101);
        assert_eq!(cache.held().bytes, 0);
        assert!(cache.held().stretches.is_empty());
    }

    #[test]
    fn a_file_that_changed_just_now_is_not_kept() {
        let cache = Cache::new(1 << 20);
        let (file, _) = settled(STRETCH + 1);
        let version = Version::of(&file).unwrap();
        for disk in [Disk::Waits, Disk::InMemory] {
            let opened = Opened { file: &file, version: &version, disk };
            assert_eq!(cache.read(opened, 1).unwrap(), [1][..]);
            assert_eq!(
                cache.at_once(opened, 1).map(Result::unwrap),
                (disk == Disk::InMemory).then_some([1][..].into())
            );
            assert!(!has(&cache, &version, 1));
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().cast_signed();
        for (age, settled) in [(0, false), (2, false), (3, true), (4000, true), (-5, false)] {
            let version = Version { modified: (0, 0), changed: (now - age, 0), ..version };
            assert_eq!(
                version.is_settled(SystemTime::UNIX_EPOCH + Duration::from_secs(now.cast_unsigned())),
                settled,
                "{age}"
            );
        }
    }

    #[test]
    fn a_file_that_is_not_what_it_was_is_an_error() {
        let (file, version) = settled(STRETCH);
        let present = Version::of(&file).unwrap();
        let read = |version: &Version, disk| {
            let opened = Opened { file: &file, version, disk };
            [Some(opened.stretch(0)), Cache::new(0).at_once(opened, 0)].map(|read| match read {
                Some(Ok(bytes)) => Some(bytes.len()),
                Some(Err(ReadError::Changed)) => None,
                Some(Err(ReadError::Io(error))) => panic!("{error}"),
                None => Some(0),
            })
        };
        assert_eq!(read(&version, Disk::InMemory), [None, None], "its change time differs");
        assert_eq!(read(&present, Disk::InMemory), [Some(STRETCH); 2]);
        assert_eq!(read(&present, Disk::Waits), [Some(STRETCH), Some(0)]);
        file.write_all_at(b"x", 5).unwrap();
        assert_eq!(read(&present, Disk::InMemory), [None, None]);
        file.set_len(7).unwrap();
        assert_eq!(read(&present, Disk::InMemory)[0], None);
    }

    #[test]
    fn many_who_ask_at_once_read_a_stretch_once() {
        let cache = Cache::new(1 << 20);
        let (file, _) = settled(3 * STRETCH);
        let version = Version::of(&file).unwrap();
        // The file is as old as the times that it is taken to have.
        let key = (version, 0);
        let reading = cache.begin(cache.held(), key).unwrap();
        let opened = Opened { file: &file, version: &version, disk: Disk::InMemory };
        assert!(cache.begin(cache.held(), key).is_none());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                let mut held = cache.held();
                while held.reading.contains(&key) {
                    held = cache.done.wait(held).unwrap();
                }
                held.stretches.get(&key).cloned()
            });
            cache.keep(key, opened.stretch(0).unwrap());
            drop(reading);
            assert_eq!(waits.join().unwrap().unwrap().len(), STRETCH);
        });
    }
}
