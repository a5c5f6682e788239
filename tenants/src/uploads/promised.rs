//! What bodies of all tenants are about to write: it has passed the look at the free space and is not on the disk yet. Else
//! all who look at the same moment would have the same room.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of this process.
pub(super) static PROMISED: Promised = Promised::new();

/// Bytes, by the device number of the file system.
#[derive(Debug)]
pub(super) struct Promised(Mutex<BTreeMap<u64, u64>>);

/// Bytes that somebody is about to write. Dropped, they are written, or are not going to be.
#[derive(Debug)]
#[must_use]
pub(super) struct Promise<'p> {
    promised: &'p Promised,
    disk: u64,
    bytes: u64,
}

impl Promised {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    pub(super) fn promise(&self, disk: u64, bytes: u64) -> Promise<'_> {
        let mut disks = self.disks();
        let sum = disks.entry(disk).or_default();
        *sum = sum.saturating_add(bytes);
        Promise { promised: self, disk, bytes }
    }

    /// How much is promised of that disk.
    pub(super) fn of(&self, disk: u64) -> u64 {
        self.disks().get(&disk).copied().unwrap_or(0)
    }

    fn disks(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        let mut disks = self.promised.disks();
        let Some(sum) = disks.get_mut(&self.disk) else { return };
        *sum = sum.saturating_sub(self.bytes);
        if *sum == 0 {
            disks.remove(&self.disk);
        }
    }
}
