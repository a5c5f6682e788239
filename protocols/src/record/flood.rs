//! Records of peers that are turned away, by the number: a datagram's source can be forged, and a flood of them must not
//! bury what phones did, nor fill the disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Records that may come at once.
const BURST: u32 = 100;
/// The time that each further one takes: ten a second.
const EACH: Duration = Duration::from_millis(100);

/// Which records of one listener's turned away peers are written.
#[derive(Debug, Default)]
pub(crate) struct Flood(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When all of the burst is there again; absent before the first record.
    full: Option<Instant>,
    left_out: u64,
}

impl Flood {
    /// Whether a record is written now: then how many before it were not. Otherwise it is counted.
    pub(crate) fn take(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = state.full.map_or(now, |full| full.max(now)) + EACH;
        if full.saturating_duration_since(now) > EACH * BURST {
            state.left_out = state.left_out.saturating_add(1);
            return None;
        }
        state.full = Some(full);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let flood = Flood::default();
        let began = Instant::now();
        let written = (0..5000).filter(|_| flood.take(began).is_some()).count();
        assert_eq!(written, 100);
        assert_eq!(flood.take(began + EACH), Some(4900), "the next record says how many were left out");
        assert_eq!(flood.take(began + EACH), None);
        assert_eq!(flood.take(began + EACH * 3), Some(1));
        let rested = began + EACH * 300;
        assert_eq!((0..5000).filter(|_| flood.take(rested).is_some()).count(), 100);
    }
}
