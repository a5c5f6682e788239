//! The guard against enumeration: who tries out addresses of devices learns few of them, and a site that boots is never
//! taken for such a one.
//!
//! It counts, for each source, the distinct devices that are *not* listed. A source that asked for too many within the window is
//! told of no device that is new to it; what it had before it keeps, across restarts too. A source that claims its
//! address, as UDP does, counts once it has answered, and then for datagrams alone: who forges its address closes none of its
//! connections. Until it answers it is told of as many devices as would throttle it, and of as many more through the window, and the
//! next wait for its answer. Sums and misses raise
//! alarms, and never refuse anything. The guard decides nothing by itself: the ladder asks it.

mod alarms;
mod pairs;
mod recent;
mod settings;
mod sources;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub use alarms::{Alarm, Raised};
pub use settings::{GuardSettings, MostPairs, Site};

use alarms::Alarms;
use pairs::Pairs;
use provost_core::{ClientAddr, Mac, Source};
use sources::Sources;
use tokio::sync::Notify;
use watch::Watched;

/// The guard of one tenant. It goes on across reloads.
#[derive(Debug)]
pub struct Guard {
    settings: GuardSettings,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    sources: Mutex<Sources>,
    pairs: Pairs,
    alarms: Mutex<Alarms>,
    answers: Notify,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The address.
    pub client: ClientAddr,
    /// Whether the address is certain.
    pub reach: Reach,
}

/// Whether a peer is known to be where its packets say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It completed a TCP handshake.
    Proven,
    /// It sent a datagram.
    Claimed,
}

/// Whether a source may be told of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It may.
    Go,
    /// It asked for too many that are not listed.
    Throttled,
    /// It was told of others and has not answered: once it does, it may.
    Wait,
}

impl Guard {
    /// The guard of a tenant, with the pairs that were kept.
    pub fn new(settings: GuardSettings) -> Self {
        let state = State {
            sources: Mutex::default(),
            pairs: Pairs::load(&settings.file, settings.pairs.now()),
            alarms: Mutex::default(),
            answers: Notify::new(),
        };
        Self { settings, state: Arc::new(state) }
    }

    /// The same guard under other settings.
    #[must_use]
    pub fn renewed(&self, settings: GuardSettings) -> Self {
        if settings.file == self.settings.file {
            Self { settings, state: Arc::clone(&self.state) }
        } else {
            Self::new(settings)
        }
    }

    /// Whether the asker may be told of the device. It costs the same whether the device is listed or not.
    pub fn turn(&self, asker: Asker, device: Mac, now: Instant) -> Turn {
        let source = asker.client.source();
        if self.state.pairs.knows(source, device) {
            return Turn::Go;
        }
        self.sources().watch(source, asker.reach, |watched| self.turn_of(watched, asker, device, now))
    }

    /// What [`Guard::turn`] would say. It leaves no trace.
    pub fn turn_to_come(&self, asker: Asker, device: Mac, now: Instant) -> Turn {
        let source = asker.client.source();
        if self.state.pairs.holds(source, device) {
            return Turn::Go;
        }
        let watched = self.sources().peek_mut(source).map(|watched| watched.clone());
        self.turn_of(&mut watched.unwrap_or_default(), asker, device, now)
    }

    fn turn_of(&self, watched: &mut Watched, asker: Asker, device: Mac, now: Instant) -> Turn {
        let (window, most) = (self.settings.window, self.settings.unlisted_of(asker.client.ip()));
        match asker.reach {
            _ if watched.is_throttled(asker.reach, most, window, now) => Turn::Throttled,
            Reach::Proven => Turn::Go,
            Reach::Claimed if watched.has_answered(window, now) => Turn::Go,
            Reach::Claimed if watched.may_be_told(device, most, window, now) => Turn::Go,
            Reach::Claimed => Turn::Wait,
        }
    }

    /// Whether the asker would not be told of the device now. It leaves no trace.
    pub fn is_throttled(&self, asker: Asker, device: Mac, now: Instant) -> bool {
        let source = asker.client.source();
        let (window, most) = (self.settings.window, self.settings.unlisted_of(asker.client.ip()));
        let mut sources = self.sources();
        let watched = sources.peek_mut(source);
        watched.is_some_and(|watched| watched.is_throttled(asker.reach, most, window, now))
            && !self.state.pairs.holds(source, device)
    }

    /// Is notified whenever a source answers for the first time: those that wait ask again.
    pub fn answers(&self) -> &Notify {
        &self.state.answers
    }

    /// The asker, which claims its address, is sent a file of the device.
    pub fn offered(&self, asker: Asker, device: Mac, now: Instant) {
        let (window, most) = (self.settings.window, self.settings.unlisted_of(asker.client.ip()));
        self.sources().watch(asker.client.source(), asker.reach, |watched| watched.offered(device, most, window, now));
    }

    /// A source that had claimed its address has answered.
    pub fn answered(&self, source: Source, now: Instant) {
        let first = self.sources().answered(source, self.settings.window, now);
        if first {
            self.state.answers.notify_waiters();
        }
    }

    /// The source was served a file of the device, and keeps that. Of a claimed address: once it has answered.
    pub fn learned(&self, source: Source, device: Mac) {
        self.state.pairs.learn(source, device, self.settings.pairs.now());
    }

    /// The asker wanted a file of a device that is not listed.
    pub fn unlisted(&self, asker: Asker, device: Mac, now: Instant) -> Option<Alarm> {
        let source = asker.client.source();
        let (window, most) = (self.settings.window, self.settings.unlisted_of(asker.client.ip()));
        let new = self.sources().watch(source, asker.reach, |watched| {
            if asker.reach == Reach::Claimed && !watched.has_answered(window, now) {
                return None;
            }
            let was_throttled = watched.is_throttled(asker.reach, most, window, now);
            let is_new = watched.unlisted_of(asker.reach).note(device, now, most);
            is_new.then(|| !was_throttled && watched.is_throttled(asker.reach, most, window, now))
        });
        match new {
            Some(true) => Some(self.alarms().raise(Alarm::Throttled, Some(source), most, now)),
            Some(false) => self.alarms().unlisted(window, self.settings.alarm, now),
            None => None,
        }
    }

    /// The source may have the file, and there is none. Phones ask for many such files; this never refuses anything.
    pub fn missed(&self, asker: Asker, now: Instant) -> Option<Alarm> {
        let source = asker.client.source();
        let (window, most) = (self.settings.window, self.settings.misses);
        let many = self.sources().watch(source, asker.reach, |watched| watched.misses.add(window, most, now));
        many.then(|| self.alarms().raise(Alarm::Misses, Some(source), most, now))
    }

    /// The alarms that were raised within the window, oldest first; at most 32.
    pub fn raised(&self, now: Instant) -> Vec<Raised> {
        self.alarms().within(self.settings.window, now)
    }

    /// How often each alarm was raised since the server began.
    pub fn alarm_counts(&self) -> HashMap<Alarm, u64> {
        self.alarms().counts()
    }

    /// Writes new pairs to the disk. It blocks.
    pub fn save(&self) {
        self.state.pairs.save();
    }

    /// The same at the end, when it is written which of them were used last, too. It blocks.
    pub fn save_last(&self) {
        self.state.pairs.save_last(self.settings.pairs.now());
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.state.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alarms(&self) -> MutexGuard<'_, Alarms> {
        self.state.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
