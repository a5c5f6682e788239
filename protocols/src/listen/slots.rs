//! Places for connections and transfers: how many a tenant and one address may have at once.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use provost_core::Source;
use provost_tenants::Limits;

use super::tally::Tally;

/// The places of one tenant.
#[derive(Debug, Default)]
pub struct Slots {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_source: Tally,
}

/// Whose places are all taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Those that all have together: one that is given back would do.
    Tenant,
    /// Those of the address.
    Address,
}

/// One place. Dropped, it is free again.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    source: Source,
}

impl Slots {
    /// Takes a place.
    ///
    /// # Errors
    /// - [`Full`]: the tenant or the address has all of its own
    pub fn take(slots: &Arc<Self>, address: IpAddr, limits: &Limits) -> Result<Slot, Full> {
        Self::take_within(slots, address, limits.connections, limits.connections_per_address)
    }

    /// Takes a place, unless so many are taken, or so many by the address.
    pub(crate) fn take_within(
        slots: &Arc<Self>,
        address: IpAddr,
        total: usize,
        per_address: usize,
    ) -> Result<Slot, Full> {
        let mut taken = slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let source = Source::from(address);
        if taken.by_source.of(source) >= per_address {
            return Err(Full::Address);
        }
        if taken.total >= total {
            return Err(Full::Tenant);
        }
        taken.total += 1;
        taken.by_source.add(source);
        Ok(Slot { slots: Arc::clone(slots), source })
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total = taken.total.saturating_sub(1);
        taken.by_source.remove(self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let slots = Arc::new(Slots::default());
        let limits = Limits { connections: 3, connections_per_address: 2, ..Limits::default() };
        let [a, b] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let first = Slots::take(&slots, a, &limits);
        let second = Slots::take(&slots, a, &limits);
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(Slots::take(&slots, a, &limits).err(), Some(Full::Address), "it has its two");
        let third = Slots::take(&slots, b, &limits);
        assert!(third.is_ok());
        assert_eq!(Slots::take(&slots, b, &limits).err(), Some(Full::Tenant), "it has its three");
        assert_eq!(Slots::take(&slots, a, &limits).err(), Some(Full::Address), "one more would be none for it");
        drop(first);
        assert!(Slots::take(&slots, b, &limits).is_ok());
        drop((second, third));
        assert_eq!(slots.taken(), 0);
        assert!(slots.taken.lock().is_ok_and(|taken| taken.by_source.len() == 0));
    }

    #[test]
    fn a_host_has_one_share_whichever_address_of_its_64_it_takes() {
        let slots = Arc::new(Slots::default());
        let limits = Limits { connections_per_address: 1, ..Limits::default() };
        let take = |address: &str| Slots::take(&slots, address.parse().unwrap_or_else(|e| panic!("{e}")), &limits);
        let first = take("fd00::1:2:3:4");
        assert!(first.is_ok());
        assert!(take("fd00::9:8:7:6").is_err(), "the same /64");
        assert!(take("fd00:0:0:1::1").is_ok(), "another /64");
    }
}
