//! What all bodies of a tenant share: the open directory, the locks, the accounts, what was last answered.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use provost_core::path::Strip;
use provost_core::{Mac, NamedDevice, RequestPath};

use super::UploadError;
use super::directory::{clean, make, walk};
use super::disk::{failed, size};
use super::ledger::{Ledger, Shortage};
use super::locks::Locks;
use super::recent::Recent;
use super::rotation::drop_rotated;
use crate::files::is_local;

/// How often all files of a tenant may be looked at again because its quota seems used up.
const RECOUNT_EVERY: Duration = Duration::from_mins(1);

/// The states in use, by directory: a tenant that goes and comes back while a body of its is under way finds the accounts in
/// which that body is counted.
static IN_USE: LazyLock<Mutex<HashMap<PathBuf, Weak<State>>>> = LazyLock::new(Mutex::default);

#[derive(Debug)]
pub(super) struct State {
    directory: PathBuf,
    root: OnceLock<Root>,
    opening: Mutex<()>,
    pub(super) locks: Locks,
    ledger: Mutex<Ledger>,
    recounted: Mutex<Option<Instant>>,
    pub(super) recent: Recent,
    pub(super) free: fn(&Dir) -> io::Result<u64>,
}

/// The open directory.
#[derive(Debug)]
struct Root {
    dir: Dir,
    is_local: bool,
}

/// Whether rotated logs are dropped where room is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reclaim {
    Rotated,
    Nothing,
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
            root: OnceLock::new(),
            opening: Mutex::default(),
            locks: Locks::new(),
            ledger: Mutex::default(),
            recounted: Mutex::default(),
            recent: Recent::new(),
            free: free_bytes,
        }
    }

    /// The directory, made, cleaned and counted at the first call.
    pub(super) fn root(&self) -> Result<&Dir, UploadError> {
        if let Some(root) = self.root.get() {
            return Ok(&root.dir);
        }
        let _one_at_a_time = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = self.root.get() {
            return Ok(&root.dir);
        }
        let root = make(&self.directory).map_err(failed("make the uploads directory"))?;
        clean(&root).map_err(failed("clean the uploads directory"))?;
        let mut ledger = Ledger::default();
        walk(&root, &mut |path, facts| match owner(path) {
            Some(device) => ledger.put(device, path, Some(facts.len())),
            None => ledger.put_unowned(path, facts.len()),
        })
        .map_err(failed("read the uploads directory"))?;
        *self.ledger() = ledger;
        Ok(&self.root.get_or_init(|| Root { is_local: is_local(&root), dir: root }).dir)
    }

    /// The directory, where what it holds may be looked at without waiting for a disk.
    pub(super) fn root_at_once(&self) -> Option<&Dir> {
        self.root.get().filter(|root| root.is_local).map(|root| &root.dir)
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

    /// Tries `attempt` until it succeeds or nothing more can be done: files that another process discarded are noticed
    /// first, then the device's rotated logs go, the oldest first.
    pub(super) fn make_room(
        &self,
        root: &Dir,
        device: Mac,
        reclaim: Reclaim,
        attempt: impl Fn(&mut Ledger) -> Result<(), Shortage>,
    ) -> Result<(), UploadError> {
        let first = attempt(&mut self.ledger());
        let Err(mut shortage) = first else { return Ok(()) };
        self.recount(root, device, shortage)?;
        loop {
            let again = attempt(&mut self.ledger());
            match again {
                Ok(()) => return Ok(()),
                Err(still) => shortage = still,
            }
            let oldest = self.ledger().oldest_rotated(device);
            let (Reclaim::Rotated, Some(oldest)) = (reclaim, oldest) else {
                return Err(UploadError::NoSpace(shortage.text()));
            };
            drop_rotated(root, &oldest)?;
            self.ledger().put(device, &oldest, None);
        }
    }

    /// Looks at the files again that the accounts tell of.
    fn recount(&self, root: &Dir, device: Mac, shortage: Shortage) -> Result<(), UploadError> {
        let devices = match shortage {
            Shortage::Spools => Vec::new(),
            Shortage::TenantBytes if self.may_recount_all() => self.ledger().devices(),
            Shortage::DeviceBytes | Shortage::DeviceFiles | Shortage::TenantBytes => vec![device],
        };
        for device in devices {
            let files = self.ledger().files(device);
            for (path, believed) in files {
                let size = size(root, &path)?;
                self.ledger().correct(device, &path, believed, size);
            }
        }
        Ok(())
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

/// The device that the name of an upload tells.
pub(super) fn owner(path: &str) -> Option<Mac> {
    match RequestPath::parse(path.as_bytes(), &Strip::default()).ok()?.named() {
        NamedDevice::One(device) => Some(*device),
        NamedDevice::None | NamedDevice::Ambiguous => None,
    }
}

/// What an unprivileged process may still write to the file system, in bytes.
fn free_bytes(root: &Dir) -> io::Result<u64> {
    let facts = rustix::fs::fstatvfs(root)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}
