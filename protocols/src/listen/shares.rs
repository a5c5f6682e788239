//! What one tenant may take of what all tenants have in common: places, the queue of records, computing, blocking
//! work, bandwidth, memory. Past its share a tenant waits or is refused; no other tenant does.

use std::sync::Arc;

use super::bandwidth::Bandwidth;
use super::jobs::Jobs;
use super::memory::Memory;
use super::slots::Slots;
use super::tasks::Tasks;
use super::turning::Turning;
use super::yielding::GivingWay;
use crate::passwords::Passwords;
use crate::record::RecordShare;

/// The shares of one tenant, used by all of its listeners.
#[derive(Debug, Default)]
pub struct Shares {
    /// Places for connections and transfers.
    pub(crate) slots: Arc<Slots>,
    /// Transfers that give way to those who ask later.
    pub(crate) giving_way: GivingWay,
    /// Peers for which there was no place.
    pub(crate) turning: Turning,
    /// Records that wait to be written.
    pub(crate) records: Arc<RecordShare>,
    /// Connections and transfers, polled in the tenant's turns.
    pub(crate) tasks: Tasks,
    /// Work that blocks on the file system.
    pub(crate) jobs: Jobs,
    /// What checks of passwords share.
    pub(crate) passwords: Passwords,
    /// What downloads take.
    pub(crate) bandwidth: Bandwidth,
    /// What transfers hold of files.
    pub(crate) memory: Memory,
}

impl Shares {
    /// How many records of the tenant were dropped.
    pub(crate) fn records_dropped(&self) -> u64 {
        self.records.lost()
    }

    /// How much transfers hold of files in memory, in bytes.
    pub(crate) fn memory_held(&self) -> usize {
        self.memory.held()
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.slots.taken()
    }
}
