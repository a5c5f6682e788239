//! What stood on the disk when something was read, and whether it stands there still.
//!
//! Whoever reads notes every file, folder, glob and network that it looked at before it reads it. As long as all of them are as they
//! were, reading again would find the same, and need not be done. A file counts by its times, size, inode and mode; one that changed
//! so recently that it might change again within the same tick of its time stamps counts by its bytes, too.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use foldhash::HashMap;

use super::{contents, digest, find, network};
use crate::network::NetworkStack;
use crate::settled::is_left_alone;

/// What the system says of a path: of a folder only which one it is, since what lies in it is read when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Facts {
    which: (u64, u64),
    rights: (u32, u32, u32),
    /// Of files: when the bytes and when the inode changed, and the length.
    version: Option<[i64; 5]>,
}

/// A folder that a file of the configuration names, and that was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedFolder {
    path: PathBuf,
    /// The path without links; absent where that cannot be told.
    leads_to: Option<PathBuf>,
    /// Which one it is: its device and inode.
    pub(super) which: [u8; 16],
}

/// What was found at a path.
#[derive(Debug)]
pub(super) struct Sight {
    path: PathBuf,
    /// Otherwise the error of the system.
    facts: Result<Facts, Option<i32>>,
    /// A digest of the bytes; absent where the facts tell enough, or where they could not be read.
    bytes: Option<[u8; 32]>,
    /// Whether the facts tell enough by now.
    is_settled: AtomicBool,
}

/// What was found by a glob.
#[derive(Debug)]
struct Listing {
    pattern: String,
    folder: PathBuf,
    files: Vec<Sight>,
}

/// Everything that was looked at while something was read.
#[derive(Debug, Default)]
pub(crate) struct Sights {
    files: Vec<Sight>,
    listings: Vec<Listing>,
    /// With what was said of each.
    networks: Vec<(NetworkStack, Vec<String>)>,
    /// From when on something else would be said of it: the end of a certificate, for one.
    until: Option<SystemTime>,
}

/// One look at the files of many tenants: each file is looked at once.
#[derive(Debug, Default)]
pub struct Look {
    facts: HashMap<OsString, (Result<Facts, Option<i32>>, bool)>,
    bytes: HashMap<OsString, Option<[u8; 32]>>,
    /// By their address; whoever looks holds them.
    shared: HashMap<usize, bool>,
}

impl Sight {
    /// Looks at the path. It blocks.
    pub(super) fn of(path: &Path) -> Self {
        let (facts, is_settled) = facts_of(path);
        let bytes = if is_settled { None } else { bytes_of(path) };
        Self { path: path.to_path_buf(), facts, bytes, is_settled: AtomicBool::new(is_settled) }
    }

    /// Whether a look would find the same. It blocks.
    pub(super) fn holds(&self, look: &mut Look) -> bool {
        let (facts, is_settled) = look.facts_of(&self.path);
        if facts != self.facts {
            return false;
        }
        if self.is_settled.load(Ordering::Relaxed) {
            return true;
        }
        let holds = self.bytes.is_some() && look.bytes_of(&self.path) == self.bytes;
        if holds && is_settled {
            self.is_settled.store(true, Ordering::Relaxed);
        }
        holds
    }

    fn again(&self) -> Self {
        Self::of(&self.path)
    }
}

impl Sights {
    /// Looks at the path, if that has not been done. It is called before the path is read: what changes in between is found later.
    pub(super) fn look_at(&mut self, path: &Path) {
        if !self.files.iter().any(|sight| sight.path == path) {
            self.files.push(Sight::of(path));
        }
    }

    /// Looks at the files that the glob was found to stand for, before they are read.
    pub(super) fn found(&mut self, pattern: &str, folder: &Path, files: &[PathBuf]) {
        if self.listings.iter().any(|listing| listing.pattern == pattern && listing.folder == folder) {
            return;
        }
        let (pattern, folder) = (pattern.to_owned(), folder.to_path_buf());
        self.listings.push(Listing { pattern, folder, files: files.iter().map(|file| Sight::of(file)).collect() });
    }

    pub(super) fn said_of(&mut self, network: NetworkStack, said: Vec<String>) {
        self.networks.push((network, said));
    }

    /// At `moment` something else will be said.
    pub(super) fn change_at(&mut self, moment: SystemTime) {
        self.until = Some(self.until.map_or(moment, |until| until.min(moment)));
    }

    /// Whether reading would find the same. It blocks.
    pub(super) fn hold(&self, look: &mut Look, now: SystemTime) -> bool {
        self.until.is_none_or(|until| now < until)
            && self.files_hold(look)
            && self.networks.iter().all(|(network, said)| network::doubts(network) == *said)
    }

    /// Whether the same files are there, and the same is in them. It blocks.
    pub(super) fn files_hold(&self, look: &mut Look) -> bool {
        self.files.iter().all(|sight| sight.holds(look)) && self.listings.iter().all(|listing| listing.holds(look))
    }

    /// The same files as they are now.
    pub(super) fn again(&self) -> Self {
        let mut again = Self { files: self.files.iter().map(Sight::again).collect(), ..Self::default() };
        for listing in &self.listings {
            again.found(&listing.pattern, &listing.folder, &listing.find());
        }
        again
    }

    /// The folders that are there. It blocks.
    pub(super) fn folders(&self) -> Vec<NamedFolder> {
        self.files.iter().filter_map(NamedFolder::of).collect()
    }
}

impl NamedFolder {
    fn of(sight: &Sight) -> Option<Self> {
        let Facts { which: (device, inode), .. } = sight.facts.ok().filter(|facts| facts.version.is_none())?;
        let mut which = [0; 16];
        let (first, second) = which.split_at_mut(8);
        first.copy_from_slice(&device.to_be_bytes());
        second.copy_from_slice(&inode.to_be_bytes());
        Some(Self { path: sight.path.clone(), leads_to: sight.path.canonicalize().ok(), which })
    }

    /// Whether one of those that were before is none any more.
    pub(super) fn is_missing(before: &[Self], now: &[Self]) -> bool {
        before.iter().any(|before| !now.iter().any(|folder| folder.path == before.path))
    }

    /// The first of those that are now whose path leads elsewhere than before: by another link, and not because another folder stands
    /// at its end.
    pub(super) fn moved<'f>(before: &[Self], now: &'f [Self]) -> Option<&'f Path> {
        let is_moved = |folder: &&Self| {
            before.iter().any(|before| before.path == folder.path && before.leads_to != folder.leads_to)
        };
        now.iter().find(is_moved).map(|folder| folder.path.as_path())
    }
}

impl Listing {
    fn find(&self) -> Vec<PathBuf> {
        find::files(&self.pattern, &self.folder).unwrap_or_default()
    }

    fn holds(&self, look: &mut Look) -> bool {
        self.find().iter().eq(self.files.iter().map(|sight| &sight.path))
            && self.files.iter().all(|sight| sight.holds(look))
    }
}

impl Look {
    /// Whether what many have in common holds; it is looked at once.
    pub(super) fn holds(&mut self, shared: &Arc<Sights>) -> bool {
        let address = Arc::as_ptr(shared).addr();
        if let Some(holds) = self.shared.get(&address) {
            return *holds;
        }
        let holds = shared.files_hold(self);
        self.shared.insert(address, holds);
        holds
    }

    fn facts_of(&mut self, path: &Path) -> (Result<Facts, Option<i32>>, bool) {
        match self.facts.get(path.as_os_str()) {
            Some(found) => *found,
            None => *self.facts.entry(path.into()).or_insert_with(|| facts_of(path)),
        }
    }

    fn bytes_of(&mut self, path: &Path) -> Option<[u8; 32]> {
        match self.bytes.get(path.as_os_str()) {
            Some(found) => *found,
            None => *self.bytes.entry(path.into()).or_insert_with(|| bytes_of(path)),
        }
    }
}

/// What the system says of the path, and whether that tells enough.
fn facts_of(path: &Path) -> (Result<Facts, Option<i32>>, bool) {
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) => return (Err(error.raw_os_error()), true),
    };
    let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec(), found.len().cast_signed()];
    let facts = Facts {
        which: (found.dev(), found.ino()),
        rights: (found.mode(), found.uid(), found.gid()),
        version: (!found.is_dir()).then_some(times),
    };
    (Ok(facts), !found.is_file() || is_left_alone(&found, SystemTime::now()))
}

fn bytes_of(path: &Path) -> Option<[u8; 32]> {
    contents::bytes(path).ok().map(|bytes| digest::of([bytes.as_slice()]))
}
