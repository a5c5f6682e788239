//! The sources of a tenant that are remembered, in two tables.
//!
//! Who only claims an address can claim thousands, and would push out those that are throttled; so sources of which nothing
//! shows that they are there have a table of their own.

use std::time::{Duration, Instant};

use lru::LruCache;
use provost_core::Source;

use super::Reach;
use super::watch::Watched;

/// How many sources a table holds; the one that asked longest ago is forgotten first.
const MOST: usize = 4096;

/// The sources of one tenant.
#[derive(Debug)]
pub(super) struct Sources {
    /// They were reached, or have answered.
    known: LruCache<Source, Watched>,
    strangers: LruCache<Source, Watched>,
}

impl Default for Sources {
    fn default() -> Self {
        Self { known: LruCache::unbounded(), strangers: LruCache::unbounded() }
    }
}

impl Sources {
    pub(super) fn watch<T>(&mut self, source: Source, reach: Reach, look: impl FnOnce(&mut Watched) -> T) -> T {
        let is_known = reach == Reach::Proven || self.known.contains(&source);
        let table = if is_known { &mut self.known } else { &mut self.strangers };
        let found = look(table.get_or_insert_mut(source, Watched::default));
        if table.len() > MOST {
            table.pop_lru();
        }
        found
    }

    /// What is remembered of a source, without a trace.
    pub(super) fn peek_mut(&mut self, source: Source) -> Option<&mut Watched> {
        let Self { known, strangers } = self;
        known.peek_mut(&source).or_else(|| strangers.peek_mut(&source))
    }

    /// A stranger answers, and is one no more. Whether that is news.
    pub(super) fn answered(&mut self, source: Source, window: Duration, now: Instant) -> bool {
        if let Some(stranger) = self.strangers.pop(&source) {
            self.known.get_or_insert_mut(source, || stranger);
        }
        self.watch(source, Reach::Proven, |watched| watched.answered(window, now))
    }
}
