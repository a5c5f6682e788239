//! Guesses are slowed: after wrong passwords the next check of the same user from the same source waits, and after many of
//! them any check from that source.
//!
//! The wait comes before the check, whether the password is right or wrong: were only the wrong ones held back, whoever
//! guesses would go away after a moment and know. It is bounded, and in the end each password is checked: nobody is locked out, and
//! a site behind one address whose neighbour guesses boots more slowly and boots. Checks that come at once wait one behind the other,
//! up to the bound. Both tables are the tenant's own and bounded; who was seen least recently goes first.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use provost_core::{Mac, Source};
use provost_tenants::passwords::{Tag, tag};

/// The wait after the first wrong password. It doubles with each.
const FIRST: Duration = Duration::from_millis(125);
/// The longest wait. A phone that waits so long has not given up yet.
const LONGEST: Duration = Duration::from_secs(2);
/// Wrong passwords of one source, whoever the users are, that slow nothing: those of a site where some phones have an old one.
const OF_SOURCE: u32 = 16;
/// In this time one wrong password is forgiven.
const FORGIVEN: Duration = Duration::from_secs(30);
/// Wrong passwords that are counted: past them the wait grows no more, and what came past them is not to be forgiven first.
const MOST: u32 = 32;
const PAIRS: NonZeroUsize = NonZeroUsize::new(8192).unwrap();
const SOURCES: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// What one tenant knows of wrong passwords.
#[derive(Debug)]
pub(super) struct Brake(Mutex<Tables>);

#[derive(Debug)]
struct Tables {
    pairs: LruCache<Tag, Slowed>,
    sources: LruCache<Source, Slowed>,
}

#[derive(Debug, Clone, Copy)]
struct Slowed {
    wrong: u32,
    /// From when on the next is forgiven in its time.
    since: Instant,
    /// Until when the next check waits.
    next: Instant,
}

/// Who has sent a password, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    source: Source,
    pair: Tag,
}

impl Guess {
    pub(super) fn new(source: Source, user: &[u8]) -> Self {
        // A device's user is its MAC in any spelling: all of them are one account.
        let mac = std::str::from_utf8(user).ok().and_then(|user| user.parse::<Mac>().ok()).map(|mac| mac.to_string());
        let user = mac.as_ref().map_or(user, String::as_bytes);
        Self { source, pair: tag(&[b"guess", source.to_string().as_bytes(), user]) }
    }
}

impl Default for Brake {
    fn default() -> Self {
        let (mut pairs, mut sources) = (LruCache::unbounded(), LruCache::unbounded());
        // The tables grow as they are filled.
        pairs.resize(PAIRS);
        sources.resize(SOURCES);
        Self(Mutex::new(Tables { pairs, sources }))
    }
}

impl Brake {
    /// How long the check has to wait. Ask once for each: it takes its turn.
    pub(super) fn wait(&self, guess: &Guess, now: Instant) -> Duration {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_pair = tables.pairs.get_mut(&guess.pair).map_or(Duration::ZERO, |slowed| slowed.turn(now, 0));
        let of_source = tables.sources.get_mut(&guess.source);
        of_pair.max(of_source.map_or(Duration::ZERO, |slowed| slowed.turn(now, OF_SOURCE)))
    }

    /// The password was wrong.
    pub(super) fn wrong(&self, guess: &Guess, now: Instant) {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Slowed { wrong: 0, since: now, next: now };
        tables.pairs.get_or_insert_mut(guess.pair, fresh).wrong(now, 0);
        tables.sources.get_or_insert_mut(guess.source, fresh).wrong(now, OF_SOURCE);
    }
}

impl Slowed {
    /// The time between two checks, where so many wrong ones slow nothing.
    fn pace(&self, free: u32) -> Duration {
        match self.wrong.saturating_sub(free) {
            0 => Duration::ZERO,
            wrong => FIRST.saturating_mul(1 << (wrong - 1).min(8)).min(LONGEST),
        }
    }

    fn turn(&mut self, now: Instant, free: u32) -> Duration {
        self.forgive(now);
        let pace = self.pace(free);
        if pace.is_zero() {
            return Duration::ZERO;
        }
        let wait = self.next.saturating_duration_since(now);
        self.next = (self.next.max(now) + pace).min(now + LONGEST);
        wait
    }

    fn wrong(&mut self, now: Instant, free: u32) {
        self.forgive(now);
        self.wrong = self.wrong.saturating_add(1).min(MOST);
        self.next = (self.next.max(now + self.pace(free))).min(now + LONGEST);
    }

    fn forgive(&mut self, now: Instant) {
        while self.wrong > 0 && now.saturating_duration_since(self.since) >= FORGIVEN {
            self.wrong -= 1;
            self.since += FORGIVEN;
        }
        if self.wrong == 0 {
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn guess(source: [u8; 4], user: &str) -> Guess {
        Guess::new(IpAddr::from(source).into(), user.as_bytes())
    }

    /// Checks a wrong password at `now`, and tells how long that took in milliseconds.
    fn try_one(brake: &Brake, guess: &Guess, now: &mut Instant) -> u128 {
        let wait = brake.wait(guess, *now);
        *now += wait;
        brake.wrong(guess, *now);
        wait.as_millis()
    }

    #[test]
    fn each_wrong_password_doubles_the_wait_for_the_next_up_to_its_bound() {
        let (brake, mut now) = (Brake::default(), Instant::now());
        let guess = guess([10, 0, 0, 1], "PlcmSpIp");
        let waits: Vec<u128> = (0..8).map(|_| try_one(&brake, &guess, &mut now)).collect();
        assert_eq!(waits, [0, 125, 250, 500, 1000, 2000, 2000, 2000]);
        // Time forgives.
        now += FORGIVEN * MOST;
        assert_eq!(brake.wait(&guess, now), Duration::ZERO);
    }

    #[test]
    fn another_user_and_another_source_do_not_wait() {
        let (brake, mut now) = (Brake::default(), Instant::now());
        let guessing = guess([10, 0, 0, 1], "PlcmSpIp");
        for _ in 0..10 {
            try_one(&brake, &guessing, &mut now);
        }
        assert_eq!(brake.wait(&guess([10, 0, 0, 1], "other"), now), Duration::ZERO);
        assert_eq!(brake.wait(&guess([10, 0, 0, 2], "PlcmSpIp"), now), Duration::ZERO);
    }

    #[test]
    fn a_source_that_tries_many_users_is_slowed_as_one_and_never_shut_out() {
        let (brake, mut now) = (Brake::default(), Instant::now());
        let waits: Vec<u128> =
            (0..30).map(|user| try_one(&brake, &guess([10, 0, 0, 1], &user.to_string()), &mut now)).collect();
        assert!(waits.iter().take(16).all(|wait| *wait == 0), "{waits:?}");
        assert!(waits.iter().skip(24).all(|wait| *wait == 2000), "{waits:?}");
        for _ in 0..1000 {
            assert!(brake.wait(&guess([10, 0, 0, 1], "PlcmSpIp"), now) <= LONGEST);
        }
    }

    #[test]
    fn checks_that_come_at_once_wait_one_behind_the_other() {
        let (brake, now) = (Brake::default(), Instant::now());
        let guess = guess([10, 0, 0, 1], "PlcmSpIp");
        brake.wrong(&guess, now);
        let waits: Vec<u128> = (0..4).map(|_| brake.wait(&guess, now).as_millis()).collect();
        assert_eq!(waits, [125, 250, 375, 500]);
    }

    #[test]
    fn the_tables_are_bounded() {
        let (brake, now) = (Brake::default(), Instant::now());
        for number in 0..20_000_u32 {
            brake.wrong(&guess(number.to_be_bytes(), "a"), now);
        }
        let tables = brake.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!((tables.pairs.len(), tables.sources.len()), (PAIRS.get(), SOURCES.get()));
    }

    #[test]
    fn a_device_is_one_account_however_its_mac_is_written() {
        let source = Source::from(IpAddr::from([10, 0, 0, 1]));
        let pair = |user: &str| Guess::new(source, user.as_bytes()).pair;
        for spelling in ["0004F2AABBCC", "00:04:f2:aa:bb:cc", "0004.f2aa.bbcc"] {
            assert_eq!(pair(spelling), pair("0004f2aabbcc"), "{spelling}");
        }
        assert_ne!(pair("PlcmSpIp"), pair("plcmspip"));
    }
}
