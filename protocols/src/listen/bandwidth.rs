//! What all downloads of a tenant take together.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What may go at once after a rest, as time at the tenant's rate: a small file never waits.
const BURST: Duration = Duration::from_millis(250);

/// A token bucket, kept as the time at which everything that was taken has been paid for.
#[derive(Debug, Default)]
pub(crate) struct Bandwidth(Mutex<Option<Instant>>);

impl Bandwidth {
    /// Takes bytes at a rate in bytes a second: until when to wait before they are sent. Who asks first goes first.
    pub(crate) fn take(&self, bytes: u64, rate: u64, now: Instant) -> Option<Instant> {
        let cost = u128::from(bytes) * 1_000_000_000 / u128::from(rate.max(1));
        let cost = Duration::from_nanos(u64::try_from(cost).unwrap_or(u64::MAX));
        let mut paid = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = paid.map_or(now, |paid| paid.max(now));
        *paid = due.checked_add(cost);
        let start = due.checked_sub(BURST).unwrap_or(now);
        (start > now).then_some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_averages_its_rate_and_may_burst_after_a_rest() {
        let bandwidth = Bandwidth::default();
        let (began, rate) = (Instant::now(), 1_000_000);
        let mut now = began;
        for _ in 0..1000 {
            now = bandwidth.take(10_000, rate, now).unwrap_or(now);
        }
        let took = (now - began).as_secs_f64();
        assert!((9.6..10.0).contains(&took), "10 MB at 1 MB/s, less the burst: {took}");
        let rested = now + Duration::from_mins(1);
        assert_eq!(bandwidth.take(200_000, rate, rested), None);
        assert_eq!(bandwidth.take(200_000, rate, rested), None, "within the burst");
        assert!(bandwidth.take(1, rate, rested).is_some());
    }
}
