//! The distinct devices that a source asked for of late.

use std::time::{Duration, Instant};

use lru::LruCache;
use provost_core::Mac;

/// Devices with the time of the last request, the latest first. It holds no more than it is told to.
#[derive(Debug, Clone)]
pub(super) struct Recent(LruCache<Mac, Instant>);

impl Default for Recent {
    fn default() -> Self {
        Self(LruCache::unbounded())
    }
}

impl Recent {
    /// How many there were within the window.
    pub(super) fn count(&mut self, window: Duration, now: Instant) -> usize {
        while self.0.peek_lru().is_some_and(|(_, last)| now.saturating_duration_since(*last) >= window) {
            self.0.pop_lru();
        }
        self.0.len()
    }

    /// Whether the device is among them.
    pub(super) fn holds(&self, device: Mac) -> bool {
        self.0.contains(&device)
    }

    /// Notes a device, and forgets the oldest beyond `most`. Whether it is new here.
    pub(super) fn note(&mut self, device: Mac, now: Instant, most: usize) -> bool {
        let new = self.0.put(device, now).is_none();
        while self.0.len() > most {
            self.0.pop_lru();
        }
        new
    }

    /// Notes a device that is new here. When others ask for it again does not count: somebody could keep it here for ever.
    pub(super) fn note_first(&mut self, device: Mac, now: Instant, most: usize) {
        if !self.holds(device) {
            self.note(device, now, most);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
