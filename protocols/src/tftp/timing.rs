//! When to send again, and when to give up. No clock is read here.
//!
//! The interval is measured (RFC 6298), as a fixed one costs a factor of ten under loss; it doubles with each repeat,
//! and whatever was repeated is not measured (Karn's algorithm, RFC 6298 section 3).

use std::time::{Duration, Instant};

use provost_tenants::Limits;

use crate::listen::LeastRate;

/// The shortest interval. Below it a phone that writes to its flash memory between two blocks is taken for lost.
const FLOOR: Duration = Duration::from_millis(200);
/// The interval before anything was measured (RFC 6298 section 2.1).
const INITIAL: Duration = Duration::from_secs(1);
/// The longest interval where the peer did not name one: longer than the five seconds of most clients. Some (atftp 0.8) pass over what
/// comes a second time and say once more what they have when nothing came for as long as that: a repeat every five seconds never let
/// them.
const CEILING: Duration = Duration::from_secs(7);
/// The longest time for which a finished write is remembered.
const MAX_DALLY: Duration = Duration::from_secs(10);

/// The interval between two repeats.
#[derive(Debug, Clone)]
pub(super) struct Interval {
    measured: Option<Measured>,
    ceiling: Duration,
    doublings: u32,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    smoothed: Duration,
    variation: Duration,
}

impl Interval {
    /// `asked` is the `timeout` option: the interval never exceeds it.
    pub(super) fn new(asked: Option<Duration>) -> Self {
        Self { measured: None, ceiling: asked.unwrap_or(CEILING), doublings: 0 }
    }

    /// The interval now.
    pub(super) fn now(&self) -> Duration {
        let base = self.measured.map_or(INITIAL, |measured| measured.smoothed + measured.variation * 4);
        let factor = 1_u32.checked_shl(self.doublings).unwrap_or(u32::MAX);
        base.max(FLOOR).saturating_mul(factor).min(self.ceiling)
    }

    /// The peer answered after `time` what was sent once (RFC 6298 sections 2.2 and 2.3).
    pub(super) fn measured(&mut self, time: Duration) {
        self.measured = Some(match self.measured {
            None => Measured { smoothed: time, variation: time / 2 },
            Some(Measured { smoothed, variation }) => Measured {
                smoothed: (smoothed * 7 + time) / 8,
                variation: (variation * 3 + smoothed.abs_diff(time)) / 4,
            },
        });
    }

    fn expired(&mut self) {
        self.doublings = (self.doublings + 1).min(16);
    }

    fn progressed(&mut self) {
        self.doublings = 0;
    }
}

/// The pace of one transfer: when the next repeat is due, and when the last one was.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    interval: Interval,
    /// When the packets were sent whose answer measures the time; `None` once they have been repeated.
    sent: Option<Instant>,
    due: Instant,
    /// Since when the peer is waited for: the time of this machine's own work does not count.
    waiting: Instant,
    rate: LeastRate,
    /// How often a peer that has not answered yet may still be sent something; `None` once it has answered.
    unanswered: Option<u32>,
}

/// What to do when time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Send again.
    Repeat,
    /// The peer is gone.
    GiveUp,
}

impl Pace {
    /// A transfer that begins.
    pub(super) fn new(asked: Option<Duration>, limits: &Limits, now: Instant) -> Self {
        let interval = Interval::new(asked);
        let due = now + interval.now();
        let (rate, unanswered) = (LeastRate::new(limits), Some(limits.tftp_sends));
        Self { interval, sent: None, due, waiting: now, rate, unanswered }
    }

    /// When time is up.
    pub(super) fn due(&self) -> Instant {
        self.due.min(self.end())
    }

    /// When the peer is given up: it stalls, or is too slow on the whole.
    fn end(&self) -> Instant {
        self.waiting + self.rate.patience()
    }

    /// Something new was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = Some(now);
        self.waiting = now;
        self.after_sending(now);
    }

    /// The same was sent again: its answer says nothing of the time.
    pub(super) fn repeated(&mut self, now: Instant) {
        self.sent = None;
        self.after_sending(now);
    }

    fn after_sending(&mut self, now: Instant) {
        self.unanswered = self.unanswered.map(|left| left.saturating_sub(1));
        self.due = now + self.interval.now();
        // Once repeated, the last quarter is silent, for the clients of `CEILING` where the interval is a shorter one by agreement.
        if self.sent.is_none() && self.unanswered.is_none() && self.due + self.rate.patience() / 4 > self.end() {
            self.due = self.end();
        }
    }

    /// The peer has from now on to answer: what lay between was this machine's own work.
    pub(super) fn waits(&mut self, now: Instant) {
        self.waiting = now;
        self.due = now + self.interval.now();
    }

    /// The peer's answer brought the transfer on by so many bytes.
    pub(super) fn progressed(&mut self, now: Instant, bytes: usize) {
        self.rate.waited(now.saturating_duration_since(self.waiting));
        self.rate.moved(bytes);
        if let Some(sent) = self.sent.take() {
            self.interval.measured(now.saturating_duration_since(sent));
        }
        self.interval.progressed();
        self.unanswered = None;
        self.waits(now);
    }

    /// The peer is there, though what it sent brought the transfer no further.
    pub(super) fn answered(&mut self) {
        self.unanswered = None;
    }

    /// Whether a peer that has not answered yet may be sent its packet once more.
    pub(super) fn may_repeat(&self) -> bool {
        self.unanswered != Some(0)
    }

    /// Time is up.
    pub(super) fn expired(&mut self, now: Instant) -> Due {
        if !self.may_repeat() || now >= self.end() {
            return Due::GiveUp;
        }
        self.interval.expired();
        Due::Repeat
    }

    /// For how long a peer that has written its file may ask for the last ACK again.
    pub(super) fn dally(&self) -> Duration {
        (self.interval.ceiling * 2).min(MAX_DALLY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_interval_follows_what_is_measured() {
        let mut interval = Interval::new(None);
        assert_eq!(interval.now(), INITIAL);
        interval.measured(MS);
        assert_eq!(interval.now(), FLOOR);
        for _ in 0..50 {
            interval.measured(300 * MS);
        }
        assert!((300 * MS..400 * MS).contains(&interval.now()), "{:?}", interval.now());
        interval.measured(100 * 1000 * MS);
        assert_eq!(interval.now(), CEILING);
    }

    #[test]
    fn the_interval_doubles_until_the_peer_answers_and_never_exceeds_what_was_agreed() {
        let mut interval = Interval::new(Some(3000 * MS));
        interval.measured(MS);
        let grown: Vec<_> = (0..5).map(|_| (interval.now(), interval.expired()).0.as_millis()).collect();
        assert_eq!(grown, [200, 400, 800, 1600, 3000]);
        interval.progressed();
        assert_eq!(interval.now(), FLOOR);
    }

    #[test]
    fn a_peer_that_never_answers_is_sent_its_packet_five_times() {
        let mut now = Instant::now();
        let mut pace = Pace::new(None, &Limits::default(), now);
        pace.sent(now);
        let mut sends = 1;
        loop {
            now = pace.due();
            match pace.expired(now) {
                Due::Repeat => pace.repeated(now),
                Due::GiveUp => break,
            }
            sends += 1;
        }
        assert_eq!(sends, 5);
    }

    #[test]
    fn a_peer_that_has_answered_is_given_up_after_the_stall() {
        let begin = Instant::now();
        let mut now = begin;
        let mut pace = Pace::new(None, &Limits::default(), now);
        pace.sent(now);
        pace.progressed(now, 512);
        pace.sent(now);
        loop {
            now = pace.due();
            match pace.expired(now) {
                Due::Repeat => pace.repeated(now),
                Due::GiveUp => break,
            }
        }
        assert_eq!(now - begin, Limits::default().stall);
    }

    #[test]
    fn a_client_that_speaks_after_five_silent_seconds_has_them() {
        for asked in [None, Some(1000 * MS), Some(3000 * MS), Some(5000 * MS)] {
            let mut now = Instant::now();
            let mut pace = Pace::new(asked, &Limits::default(), now);
            pace.sent(now);
            pace.progressed(now, 512);
            pace.sent(now);
            let mut silence = pace.due() - now;
            while silence <= 5500 * MS {
                now = pace.due();
                assert_eq!(pace.expired(now), Due::Repeat, "{asked:?}");
                pace.repeated(now);
                silence = pace.due() - now;
            }
        }
    }

    #[test]
    fn what_this_machine_takes_to_store_or_to_send_is_not_the_peers_fault() {
        let begin = Instant::now();
        let later = begin + 2 * Limits::default().stall;
        for goes_on in [Pace::sent, Pace::waits] {
            let mut pace = Pace::new(None, &Limits::default(), begin);
            pace.progressed(begin, 512);
            goes_on(&mut pace, later);
            assert!(pace.due() > later);
            assert_eq!(pace.expired(pace.due()), Due::Repeat);
        }
    }

    #[test]
    fn a_peer_that_drips_is_given_up_though_it_never_stalls() {
        let begin = Instant::now();
        let mut now = begin;
        let mut pace = Pace::new(None, &Limits::default(), now);
        pace.sent(now);
        while pace.end() > now + 20 * 1000 * MS {
            now += 20 * 1000 * MS;
            pace.progressed(now, 8);
            pace.sent(now);
            assert!(now < begin + 10 * Limits::default().stall, "it keeps its place");
        }
        now = pace.due();
        while pace.expired(now) == Due::Repeat {
            pace.repeated(now);
            now = pace.due();
        }
        assert!(now - begin < 2 * Limits::default().stall, "{:?}", now - begin);
    }

    #[test]
    fn what_was_repeated_is_not_measured() {
        let begin = Instant::now();
        let mut pace = Pace::new(None, &Limits::default(), begin);
        pace.sent(begin);
        pace.repeated(begin + INITIAL);
        pace.progressed(begin + INITIAL + MS, 512);
        assert_eq!(pace.interval.now(), INITIAL);
        pace.sent(begin + 2 * INITIAL);
        pace.progressed(begin + 2 * INITIAL + MS, 512);
        assert_eq!(pace.interval.now(), FLOOR);
    }
}
