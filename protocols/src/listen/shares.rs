//! What one tenant may take of what all tenants have in common: places, the queue of records, computing, blocking
//! work, bandwidth, memory. Past its share a tenant waits or is refused; no other tenant does.

use std::sync::Arc;

use provost_core::Source;

use super::bandwidth::Bandwidth;
use super::jobs::Jobs;
use super::memory::Memory;
use super::slots::{Full, Slots};
use super::tasks::Tasks;
use super::turning::Turning;
use super::yielding::Yielding;
use crate::passwords::Passwords;
use crate::record::RecordShare;

/// The shares of one tenant, used by all of its listeners.
#[derive(Debug, Default)]
pub struct Shares {
    /// Places for connections and transfers.
    pub(crate) slots: Arc<Slots>,
    /// Transfers over datagrams whose peers have not answered: they give way to those who ask later.
    pub(crate) unanswered: Arc<Yielding>,
    /// Uploads over datagrams that are stored, and wait for their last block once more.
    pub(crate) dallying: Arc<Yielding>,
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
    /// Ends a transfer for the sake of a source that found everything taken and comes back in a moment: one that is stored, else one
    /// whose peer has not answered and may not be there. Where the source has its own share, others have nothing to do with it.
    pub(crate) fn make_room(&self, source: Source, full: Full) {
        let end = |yielding: &Yielding| match full {
            Full::Tenant => yielding.end_one(source),
            Full::Address => yielding.end_one_of(source),
        };
        let _ = end(&self.dallying) || end(&self.unanswered);
    }

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
