//! What one tenant may take of what all tenants have in common: places, the queue of records, handshakes, blocking
//! work, bandwidth. Past its share a tenant waits or is refused; no other tenant does.

use std::sync::Arc;

use super::Slots;
use crate::record::RecordShare;

/// The shares of one tenant, used by all of its listeners.
#[derive(Debug, Default)]
pub struct Shares {
    /// Places for connections and transfers.
    pub(crate) slots: Arc<Slots>,
    /// Records that wait to be written.
    pub(crate) records: Arc<RecordShare>,
}

impl Shares {
    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.slots.taken()
    }
}
