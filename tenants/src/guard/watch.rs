//! What is remembered of one source.

use std::time::{Duration, Instant};

use provost_core::Mac;

use super::Reach;
use super::recent::Recent;

/// The part of the devices that a source which does not answer is sent files of slowly.
const SLOWLY: usize = 6;

/// One source.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    /// Devices that are not listed, asked for over connections.
    unlisted: Recent,
    /// The same, asked for by datagrams. Whoever forges those shall not close the connections.
    claimed: Recent,
    /// Devices that it was told of while nothing showed that it is there.
    unanswered: Recent,
    /// When it was last told of one of those.
    told: Option<Instant>,
    /// The last one that it was told of slowly: a phone asks for several files, and the first may be missing.
    slowly: Option<Mac>,
    /// Those of them whose files it was sent.
    offered: Recent,
    /// Files that it might have had, and that there are not.
    pub(super) misses: Misses,
    answered: Option<Instant>,
}

/// How often something happened in a row of windows.
#[derive(Debug, Clone, Default)]
pub(super) struct Misses {
    since: Option<Instant>,
    count: usize,
    /// Whether they were too many in this window.
    were_many: bool,
}

impl Watched {
    /// Whether it asked for so many devices that are not listed that it is told of no new one.
    pub(super) fn is_throttled(&mut self, reach: Reach, most: usize, window: Duration, now: Instant) -> bool {
        let proven = self.unlisted.count(window, now);
        match reach {
            Reach::Proven => proven >= most,
            Reach::Claimed => proven + self.claimed.count(window, now) >= most,
        }
    }

    /// Where a device that is not listed is noted.
    pub(super) fn unlisted_of(&mut self, reach: Reach) -> &mut Recent {
        match reach {
            Reach::Proven => &mut self.unlisted,
            Reach::Claimed => &mut self.claimed,
        }
    }

    /// Whether it may be told of a device though it has not answered: of `most` at once, so that no site is turned away for fewer than
    /// throttle it, and of as many more one by one through the window. So a phone comes through, answers, and opens the way for
    /// all, even where somebody forges its address. Once files of nearly `most` were sent to who never answers, that becomes slow: it
    /// learns no more names than who answers.
    pub(super) fn may_be_told(&mut self, device: Mac, most: usize, window: Duration, now: Instant) -> bool {
        if self.offered.holds(device) {
            return true;
        }
        let slowly = (most / SLOWLY).max(1);
        if self.offered.count(window, now) >= most.saturating_sub(slowly) {
            let pace = window / u32::try_from(slowly).unwrap_or(u32::MAX);
            if self.slowly == Some(device) || self.is_time(pace, now) {
                self.slowly = Some(device);
                return true;
            }
            return false;
        }
        if self.unanswered.holds(device) {
            return true;
        }
        let pace = window / u32::try_from(most.saturating_add(1)).unwrap_or(u32::MAX);
        if self.unanswered.count(window, now) < most {
            self.told = Some(now);
        } else if !self.is_time(pace, now) {
            return false;
        }
        self.unanswered.note(device, now, most);
        true
    }

    /// Whether it is time to tell it of one more, at this pace; then it is told.
    fn is_time(&mut self, pace: Duration, now: Instant) -> bool {
        let is_time = self.told.is_none_or(|last| now.saturating_duration_since(last) >= pace);
        if is_time {
            self.told = Some(now);
        }
        is_time
    }

    /// It is sent a file of a device. Where it has not answered, it may be somebody else who learns of that.
    pub(super) fn offered(&mut self, device: Mac, most: usize, window: Duration, now: Instant) {
        if !self.has_answered(window, now) {
            self.offered.note_first(device, now, most);
        }
    }

    /// Whether it has answered of late.
    pub(super) fn has_answered(&self, window: Duration, now: Instant) -> bool {
        self.answered.is_some_and(|last| now.saturating_duration_since(last) < window)
    }

    /// It answers. Whether that is news.
    pub(super) fn answered(&mut self, window: Duration, now: Instant) -> bool {
        let news = !self.has_answered(window, now);
        self.answered = Some(now);
        self.unanswered.clear();
        self.offered.clear();
        self.slowly = None;
        news
    }
}

impl Misses {
    /// One more. Whether they are `most` in this window now, and were not before.
    pub(super) fn add(&mut self, window: Duration, most: usize, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= window) {
            *self = Self { since: Some(now), ..Self::default() };
        }
        self.count = self.count.saturating_add(1);
        let are_many = self.count >= most;
        are_many && !std::mem::replace(&mut self.were_many, are_many)
    }
}
