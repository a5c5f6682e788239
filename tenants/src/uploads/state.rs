//! What all bodies of a tenant share: the open directory, the locks, the accounts, what was last answered.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use cap_std::fs::Dir;
use provost_core::Mac;

use super::directory::{clean, walk};
use super::disk::{failed, size};
use super::ledger::{Change, Ledger, Shortage, Spare};
use super::locks::Locks;
use super::promised::{PROMISED, Promised};
use super::recent::Recent;
use super::root::Root;
use super::rotation::{OldLogs, drop_rotated, rotated};
use super::spool::Announced;
use super::{UploadError, UploadsSettings};

const SHORT_DISK: &str = "the disk is short";
const KEEPS_FREE: &str = "the disk must keep free what it has left";

/// How often all files of a tenant may be looked at again because its quota seems used up.
const RECOUNT_EVERY: Duration = Duration::from_mins(1);

/// The states in use, by directory: a tenant that goes and comes back while a body of its is under way finds the accounts in
/// which that body is counted.
static IN_USE: LazyLock<Mutex<HashMap<PathBuf, Weak<State>>>> = LazyLock::new(Mutex::default);

#[derive(Debug)]
pub(super) struct State {
    directory: PathBuf,
    root: ArcSwapOption<Root>,
    opening: Mutex<()>,
    counting: Mutex<()>,
    pub(super) locks: Locks,
    ledger: Mutex<Ledger>,
    recounted: Mutex<Option<Instant>>,
    pub(super) recent: Recent,
    pub(super) free: fn(&Dir) -> io::Result<u64>,
    pub(super) promised: &'static Promised,
}

/// A log that has rotated.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rotated {
    times: u32,
    path: Box<str>,
    bytes: u64,
}

impl State {
    /// The state of a directory: the one that is in use, or a new one.
    pub(super) fn of(directory: &Path) -> Arc<Self> {
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = in_use.get(directory).and_then(Weak::upgrade) {
            return state;
        }
        let state = Arc::new(Self::new(directory.to_path_buf()));
        in_use.insert(directory.to_path_buf(), Arc::downgrade(&state));
        state
    }

    /// Whether the directory has a state.
    #[cfg(test)]
    pub(super) fn is_in_use(directory: &Path) -> bool {
        IN_USE.lock().unwrap_or_else(PoisonError::into_inner).contains_key(directory)
    }

    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            root: ArcSwapOption::empty(),
            opening: Mutex::default(),
            counting: Mutex::default(),
            locks: Locks::new(),
            ledger: Mutex::default(),
            recounted: Mutex::default(),
            recent: Recent::new(),
            free: free_bytes,
            promised: &PROMISED,
        }
    }

    /// The directory, for whoever reads, and makes none: whoever asks what a phone would be told may be another user than the server's.
    /// An operator may have put another one in its place: that is looked for every two seconds. It blocks.
    pub(super) fn root(&self) -> io::Result<Arc<Root>> {
        match self.root.load_full().filter(|root| root.stood_lately_at(&self.directory)) {
            Some(root) => Ok(root),
            None => self.opened(Root::open),
        }
    }

    fn note_replaced(&self) {
        tracing::warn!(folder = %self.directory.display(), "another folder stands where that of the uploads was, or none");
    }

    fn is_current(&self, root: &Root) -> bool {
        self.root.load().as_deref().is_some_and(|current| std::ptr::eq(current, root))
    }

    /// The same, looked for now, and made where it is missing. It blocks.
    pub(super) fn root_now(&self) -> Result<Arc<Root>, UploadError> {
        self.opened(Root::make).map_err(failed("make the uploads directory"))
    }

    fn opened(&self, open: fn(&Path) -> io::Result<Root>) -> io::Result<Arc<Root>> {
        let standing = || self.root.load_full().filter(|root| root.stands_at(&self.directory));
        if let Some(root) = standing() {
            return Ok(root);
        }
        let _one_at_a_time = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = standing() {
            return Ok(root);
        }
        let root = open(&self.directory).map(Arc::new);
        if self.root.swap(root.as_ref().ok().map(Arc::clone)).is_some() {
            self.note_replaced();
        }
        root
    }

    /// The same, cleaned and counted, as whoever writes must have it. Who reads need not wait for that. It blocks.
    pub(super) fn counted(&self, settings: &UploadsSettings) -> Result<Arc<Root>, UploadError> {
        let root = self.root_now()?;
        if root.is_counted() {
            return Ok(root);
        }
        let _one_at_a_time = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        // Of one that was replaced meanwhile the accounts do not tell.
        if !root.is_counted() && self.is_current(&root) {
            self.count(&root, settings)?;
            root.set_counted();
        }
        Ok(root)
    }

    fn count(&self, root: &Dir, settings: &UploadsSettings) -> Result<(), UploadError> {
        clean(root).map_err(failed("clean the uploads directory"))?;
        let mut ledger = Ledger::default();
        let unread = walk(root, &mut |path, facts| match settings.owner(path) {
            Some(device) => ledger.put(device, path, Some(facts.len())),
            None => ledger.put_unowned(path, facts.len()),
        });
        for folder in unread.map_err(failed("read the uploads directory"))? {
            let uploads = self.directory.display();
            tracing::warn!(%uploads, folder, "a folder of the uploads may not be read, and counts as empty");
        }
        let mut present = self.ledger();
        ledger.take_bodies_of(&present);
        *present = ledger;
        Ok(())
    }

    /// The directory, where what it holds may be looked at without waiting for a disk.
    pub(super) fn root_at_once(&self) -> Option<Arc<Root>> {
        let root = self.root.load_full().filter(|root| root.is_local)?;
        if root.stood_lately_at(&self.directory) {
            return Some(root);
        }
        if self.is_current(&root) {
            // Another thread may have opened the one that stands there now.
            self.root.compare_and_swap(&root, None);
            self.note_replaced();
        }
        None
    }

    pub(super) fn directory(&self) -> &PathBuf {
        &self.directory
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters what stands at `path` into the accounts.
    pub(super) fn settle(&self, root: &Dir, device: Mac, path: &str) {
        // An error leaves the account as it was: too high is corrected when room is short.
        if let Ok(size) = size(root, path) {
            self.ledger().put(device, path, size);
        }
    }

    /// Tries `attempt`, which is told what of the device's own would go first: nothing, and its rotated logs where it fails for
    /// that. Files that another process discarded are noticed before.
    pub(super) fn check_room(
        &self,
        root: &Root,
        device: Mac,
        settings: &UploadsSettings,
        attempt: impl Fn(&mut Ledger, Spare) -> Result<(), Shortage>,
    ) -> Result<(), UploadError> {
        let first = attempt(&mut self.ledger(), Spare::default());
        let Err(shortage) = first else { return Ok(()) };
        self.recount(root, device, settings, shortage);
        let spare = self.spare(device, settings);
        let again = attempt(&mut self.ledger(), spare);
        again.map_err(|shortage| UploadError::NoSpace(shortage.text()))
    }

    /// Plans a change and admits it into the accounts. Where it does not fit, files that another process discarded are noticed
    /// first; then the device's rotated logs go, the oldest first, if it would fit without all of them. Before each try it is planned
    /// anew.
    pub(super) fn make_room<P>(
        &self,
        root: &Root,
        upload: &Announced,
        plan: impl Fn(OldLogs) -> Result<(P, Change), UploadError>,
    ) -> Result<P, UploadError> {
        let Announced { settings, device, path, .. } = upload;
        let (device, allowance) = (*device, upload.allowance());
        let attempt = || {
            let (planned, change) = plan(OldLogs::Standing)?;
            let admitted = self.ledger().admit(device, path, change, allowance);
            Ok(admitted.map(|()| planned))
        };
        match attempt()? {
            Ok(planned) => return Ok(planned),
            Err(shortage) => self.recount(root, device, settings, shortage),
        }
        loop {
            let shortage = match attempt()? {
                Ok(planned) => return Ok(planned),
                Err(shortage) => shortage.text(),
            };
            let ((_, change), spare) = (plan(OldLogs::Gone)?, self.spare(device, settings));
            let fits = self.ledger().check(device, change, spare, allowance).is_ok();
            if !fits || !self.drop_oldest(root, device, settings, shortage)? {
                return Err(UploadError::NoSpace(shortage));
            }
        }
    }

    /// Drops the device's rotated logs, the oldest first, until the disk has `needed` bytes. Where all of them would not be enough by
    /// what is known, they stay.
    pub(super) fn make_free(
        &self,
        root: &Root,
        device: Mac,
        settings: &UploadsSettings,
        needed: u64,
    ) -> Result<(), UploadError> {
        self.check_free(root, device, settings, needed)?;
        while self.free(root)? < needed {
            if !self.drop_oldest(root, device, settings, SHORT_DISK)? {
                return Err(UploadError::NoSpace(KEEPS_FREE));
            }
        }
        Ok(())
    }

    /// Whether the disk has `needed` bytes, or would without the device's rotated logs.
    pub(super) fn check_free(
        &self,
        root: &Root,
        device: Mac,
        settings: &UploadsSettings,
        needed: u64,
    ) -> Result<(), UploadError> {
        let free = self.free(root)?;
        if free >= needed {
            return Ok(());
        }
        // Logs that an operator has discarded for this very reason make no room any more.
        self.recount(root, device, settings, Shortage::DeviceBytes);
        if free.saturating_add(self.spare(device, settings).bytes) >= needed {
            return Ok(());
        }
        Err(UploadError::NoSpace(KEEPS_FREE))
    }

    /// What is free, without what is promised already.
    fn free(&self, root: &Root) -> Result<u64, UploadError> {
        let free = (self.free)(root).map_err(failed("ask for the free space"))?;
        Ok(free.saturating_sub(self.promised.of(root.disk())))
    }

    /// Drops what rotated of the log at `path` while more was kept. What cannot be dropped now is tried again when it next rotates.
    pub(super) fn drop_past_keep(&self, root: &Dir, device: Mac, settings: &UploadsSettings, path: &str) {
        for old in self.rotated(device, settings) {
            let is_past = old.times > settings.keep && *old.path == *rotated(path, old.times);
            if is_past && drop_rotated(root, &old.path).is_ok() {
                self.ledger().put(device, &old.path, None);
            }
        }
    }

    /// Drops the oldest rotated log of the device, and says why. Whether there was one.
    fn drop_oldest(
        &self,
        root: &Dir,
        device: Mac,
        settings: &UploadsSettings,
        why: &'static str,
    ) -> Result<bool, UploadError> {
        let Some(oldest) = self.rotated(device, settings).max() else { return Ok(false) };
        drop_rotated(root, &oldest.path)?;
        let Rotated { path, bytes, .. } = &oldest;
        tracing::info!(uploads = %self.directory.display(), path, bytes, why, "a rotated log is dropped to make room");
        self.ledger().put(device, path, None);
        Ok(true)
    }

    fn spare(&self, device: Mac, settings: &UploadsSettings) -> Spare {
        let add = |sum: Spare, old: Rotated| Spare {
            bytes: sum.bytes.saturating_add(old.bytes),
            files: sum.files.saturating_add(1),
        };
        self.rotated(device, settings).fold(Spare::default(), add)
    }

    fn rotated(&self, device: Mac, settings: &UploadsSettings) -> impl Iterator<Item = Rotated> {
        let files = self.ledger().files(device);
        files.into_iter().filter_map(|(path, bytes)| Some(Rotated { times: settings.rotations(&path)?, path, bytes }))
    }

    /// Looks at the files again that the accounts tell of. What cannot be looked at counts as it did.
    fn recount(&self, root: &Root, device: Mac, settings: &UploadsSettings, shortage: Shortage) {
        if !self.is_current(root) {
            return;
        }
        let is_for_all = match shortage {
            Shortage::TenantBytes | Shortage::TenantFiles => self.may_recount_all(),
            Shortage::Spools | Shortage::DeviceBytes | Shortage::DeviceFiles => false,
        };
        let devices = match shortage {
            Shortage::Spools => Vec::new(),
            _ if is_for_all => {
                self.recount_unowned(root);
                self.ledger().devices()
            }
            Shortage::DeviceBytes | Shortage::DeviceFiles | Shortage::TenantBytes | Shortage::TenantFiles => {
                vec![device]
            }
        };
        for device in devices {
            let files = self.ledger().files(device);
            for (path, believed) in files {
                let Ok(size) = size(root, &path) else { continue };
                self.ledger().correct(device, &path, believed, size);
            }
        }
        if is_for_all {
            let UploadsSettings { quota, files, .. } = settings;
            self.ledger().look_at_shares(|device| files.counts(device), |device| quota.counts(device));
        }
    }

    fn recount_unowned(&self, root: &Dir) {
        let files = self.ledger().unowned();
        for path in files {
            let Ok(size) = size(root, &path) else { continue };
            self.ledger().correct_unowned(&path, size);
        }
    }

    fn may_recount_all(&self) -> bool {
        let mut last = self.recounted.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= RECOUNT_EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        // Another one may have taken its place meanwhile.
        if in_use.get(&self.directory).is_some_and(|state| state.strong_count() == 0) {
            in_use.remove(&self.directory);
        }
    }
}

/// What an unprivileged process may still write to the file system, in bytes.
fn free_bytes(root: &Dir) -> io::Result<u64> {
    let facts = rustix::fs::fstatvfs(root)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}
