//! What the operator should look at. An alarm refuses nothing.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use provost_core::Source;

use super::watch::Misses;

/// How many alarms are remembered.
pub(super) const KEPT: usize = 32;

/// Why an alarm is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// A source asked for so many devices that are not listed that it is throttled.
    Throttled,
    /// All sources of the tenant together asked for many devices that are not listed.
    Unlisted,
    /// A source asked for many files that there are not.
    Misses,
}

/// An alarm that was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised {
    /// Why.
    pub alarm: Alarm,
    /// For which source; absent where it is for all of the tenant together.
    pub source: Option<Source>,
    /// How many there were.
    pub count: usize,
    /// When.
    pub at: Instant,
}

/// The alarms of one tenant.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    raised: VecDeque<Raised>,
    unlisted: Misses,
    counts: HashMap<Alarm, u64>,
}

impl Alarm {
    /// A short fixed word for records, metrics and status.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Throttled => "source_throttled",
            Self::Unlisted => "tenant_unlisted",
            Self::Misses => "source_misses",
        }
    }
}

impl Alarms {
    pub(super) fn raise(&mut self, alarm: Alarm, source: Option<Source>, count: usize, at: Instant) -> Alarm {
        if self.raised.len() == KEPT {
            self.raised.pop_front();
        }
        *self.counts.entry(alarm).or_default() += 1;
        self.raised.push_back(Raised { alarm, source, count, at });
        alarm
    }

    /// Some source asked for one more device that is not listed.
    pub(super) fn unlisted(&mut self, window: Duration, most: usize, now: Instant) -> Option<Alarm> {
        self.unlisted.add(window, most, now).then(|| self.raise(Alarm::Unlisted, None, most, now))
    }

    pub(super) fn counts(&self) -> HashMap<Alarm, u64> {
        self.counts.clone()
    }

    pub(super) fn within(&self, window: Duration, now: Instant) -> Vec<Raised> {
        let recent = self.raised.iter().filter(|raised| now.saturating_duration_since(raised.at) < window);
        recent.copied().collect()
    }
}
