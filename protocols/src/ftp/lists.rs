//! Lists on their way: how many are made at once, and what they hold until they are taken.
//!
//! A list of 100,000 names is 25 MB and a tenth of a second of work, and anyone may ask for it in a line. The work is done in
//! turns, and nobody who waits for a peer holds one. A short list, as nearly all are, then waits in the tenant's memory for
//! transfers; for the long ones there are few places, of which one address leaves as many as it takes.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use provost_core::Source;
use tokio::sync::{AcquireError, Notify, Semaphore, SemaphorePermit};

use crate::front::Front;
use crate::listen::{Held, Tally};

/// Lists of one listener that are made at once.
const AT_ONCE: usize = 8;
/// Long lists of one listener that wait for their peers at once.
const LONG_AT_ONCE: usize = 8;
/// The longest list that is a short one, in bytes: some thousand names.
pub(super) const SHORT_BYTES: usize = 64 * 1024;

/// What all lists of one listener have in common.
#[derive(Debug)]
pub(super) struct Lists {
    turns: Semaphore,
    places: Arc<Places>,
}

/// What a list that was made holds until it has been taken.
#[derive(Debug)]
#[expect(dead_code, reason = "what is held is given back when it is dropped")]
pub(super) enum Hold {
    Short(Held),
    Long(Place),
}

/// A place for a long list. Dropped, it is free again.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    source: Source,
}

#[derive(Debug, Default)]
struct Places {
    taken: Mutex<Taken>,
    /// One has become free.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_source: Tally,
}

impl Default for Lists {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_ONCE), places: Arc::default() }
    }
}

impl Lists {
    /// Waits for a turn to make a list, to be kept for as long as that takes. The caller bounds the time.
    ///
    /// # Errors
    /// - none: nobody closes the turns
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.turns.acquire().await
    }

    /// What a list of so many bytes holds; `None` where it is a long one, and there is no place for it now.
    pub(super) fn hold(&self, front: &Front, address: IpAddr, bytes: usize) -> Option<Hold> {
        if bytes <= SHORT_BYTES {
            let held = front.memory(bytes);
            if held.bytes() >= bytes {
                return Some(Hold::Short(held));
            }
        }
        self.places.take(Source::from(address)).map(Hold::Long)
    }

    /// Waits for a place for a long list. The caller bounds the time.
    pub(super) async fn place(&self, address: IpAddr) -> Place {
        let source = Source::from(address);
        loop {
            let freed = self.places.freed.notified();
            if let Some(place) = self.places.take(source) {
                return place;
            }
            freed.await;
        }
    }
}

impl Places {
    fn take(self: &Arc<Self>, source: Source) -> Option<Place> {
        let mut taken = self.taken();
        if taken.by_source.of(source) >= LONG_AT_ONCE.saturating_sub(taken.total) {
            return None;
        }
        taken.total += 1;
        taken.by_source.add(source);
        Some(Place { places: Arc::clone(self), source })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.total = taken.total.saturating_sub(1);
        taken.by_source.remove(self.source);
        drop(taken);
        // Who may have it depends on what each holds already, so that all are asked.
        self.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_leaves_half_and_gets_its_next_place_when_one_is_free() {
        let lists = Lists::default();
        let [greedy, other] = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let take = |address| lists.places.take(Source::from(address));
        let mut held: Vec<Place> = std::iter::from_fn(|| take(greedy)).collect();
        assert_eq!(held.len(), LONG_AT_ONCE / 2);
        assert_eq!(std::iter::from_fn(|| take(other)).map(std::mem::forget).count(), LONG_AT_ONCE / 4);
        let (freed, next) = tokio::join!(async { held.pop() }, lists.place(IpAddr::from([10, 0, 0, 3])));
        drop((freed, next, held));
        assert_eq!(lists.places.taken().by_source.len(), 1, "what was forgotten");
    }
}
