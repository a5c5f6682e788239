//! What is remembered of one source.

use std::time::{Duration, Instant};

use super::recent::Recent;

/// One source.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Devices that are not listed.
    pub(super) unlisted: Recent,
    /// Devices that it was told of while nothing showed that it is there.
    pub(super) unanswered: Recent,
    /// Files that it might have had, and that there are not.
    pub(super) misses: Misses,
    answered: Option<Instant>,
}

/// How often something happened in a row of windows.
#[derive(Debug, Default)]
pub(super) struct Misses {
    since: Option<Instant>,
    count: usize,
}

impl Watched {
    /// Whether it has answered of late.
    pub(super) fn has_answered(&self, window: Duration, now: Instant) -> bool {
        self.answered.is_some_and(|last| now.saturating_duration_since(last) < window)
    }

    /// It answers. Whether that is news.
    pub(super) fn answered(&mut self, window: Duration, now: Instant) -> bool {
        let news = !self.has_answered(window, now);
        self.answered = Some(now);
        self.unanswered.clear();
        news
    }
}

impl Misses {
    /// One more. Whether they are `most` now, in this window.
    pub(super) fn add(&mut self, window: Duration, most: usize, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= window) {
            *self = Self { since: Some(now), count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count == most
    }
}
