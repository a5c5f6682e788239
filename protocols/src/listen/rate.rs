//! The least that a body or a download must average. A peer that moves one byte before each stall ends would keep its place
//! for days.

use std::future::Future;
use std::time::Duration;

use provost_tenants::Limits;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

/// How long a peer was waited for, and what it moved meanwhile. The time of this machine's own work does not count.
#[derive(Debug, Clone)]
pub(crate) struct LeastRate {
    stall: Duration,
    bytes_per_second: u64,
    bytes: u64,
    waited: Duration,
}

impl LeastRate {
    /// A body that begins.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { stall: limits.stall, bytes_per_second: limits.least_rate, bytes: 0, waited: Duration::ZERO }
    }

    /// How long the peer may take until its next byte: the stall time at most, and less where it has been too slow.
    pub(crate) fn patience(&self) -> Duration {
        let earned = u128::from(self.bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.max(1));
        let earned = Duration::from_nanos(u64::try_from(earned).unwrap_or(u64::MAX));
        self.stall.min(self.stall.saturating_add(earned).saturating_sub(self.waited))
    }

    /// The peer was waited for.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// The peer sent or took bytes.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Waits for the peer, as long as its patience lasts.
    ///
    /// # Errors
    /// - [`Elapsed`]: nothing moved for the stall time, or too little on the whole
    pub(crate) async fn wait<T>(&mut self, movement: impl Future<Output = T>) -> Result<T, Elapsed> {
        let began = Instant::now();
        let outcome = timeout(self.patience(), movement).await;
        self.waited(began.elapsed());
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drip(bytes: usize, pause: Duration) -> Duration {
        let mut rate = LeastRate::new(&Limits::default());
        let mut time = Duration::ZERO;
        while rate.patience() > pause && time < Duration::from_hours(1) {
            rate.waited(pause);
            rate.moved(bytes);
            time += pause;
        }
        time + rate.patience()
    }

    #[test]
    fn a_peer_that_drips_is_given_up_soon_after_the_stall_and_one_that_keeps_the_rate_never() {
        let second = Duration::from_secs(1);
        for (bytes, pause, lasts) in [(1, 29 * second, 30), (1, second, 30), (128, second, 59), (256, second, 3630)] {
            assert_eq!(drip(bytes, pause).as_secs(), lasts, "{bytes} bytes each {pause:?}");
        }
    }
}
