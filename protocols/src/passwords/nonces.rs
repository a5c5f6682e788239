//! Nonces of Digest: made without keeping anything, known again by a keyed digest, and each answer taken once.
//!
//! A nonce says when it was made, and for which tenant and listener: under the key of this process, so that none can be made
//! elsewhere or for elsewhere. What is kept is which counts of a nonce were used, and only once it was answered with a right
//! password: who has none fills nothing.

use std::num::NonZeroUsize;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lru::LruCache;
use provost_tenants::passwords::tag;

/// How long a nonce is taken: a phone boots with one.
const LIFE: Duration = Duration::from_mins(5);
/// Nonces whose counts are kept, of one tenant.
const KEPT: NonZeroUsize = NonZeroUsize::new(16 * 1024).unwrap();
/// How far behind the highest a count may be: answers of several connections overtake each other.
const WINDOW: u32 = 64;

const HEAD: usize = 16;
const LENGTH: usize = 2 * HEAD;

/// When the process began to make nonces. Clocks that are set do not move it.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A nonce that was made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nonce {
    head: [u8; HEAD],
    /// Microseconds since the process began to make them.
    made: u64,
}

/// Which counts of which nonces were used, of one tenant.
#[derive(Debug)]
pub(super) struct Counts(Mutex<Table>);

#[derive(Debug)]
struct Table {
    used: LruCache<[u8; HEAD], Used>,
    /// Nonces made up to here were used and forgotten, or may have been.
    floor: u64,
}

/// The highest count, and a bit for each of those up to it: the lowest bit is its own.
#[derive(Debug, Clone, Copy)]
struct Used {
    made: u64,
    highest: u32,
    seen: u64,
}

/// A nonce for one tenant's listener.
pub(crate) fn make(tenant: &str, listener: &str) -> String {
    let mut head = [0; HEAD];
    let made = micros(Instant::now());
    let (time, random) = head.split_at_mut(8);
    time.copy_from_slice(&made.to_be_bytes());
    // Without randomness two that are made in one microsecond are the same, and share their counts.
    let _ = aws_lc_rs::rand::fill(random);
    URL_SAFE_NO_PAD.encode([head, proof(&head, tenant, listener)].concat())
}

fn proof(head: &[u8; HEAD], tenant: &str, listener: &str) -> [u8; HEAD] {
    let tag = tag(&[b"nonce", tenant.as_bytes(), listener.as_bytes(), head]);
    let mut proof = [0; HEAD];
    proof.copy_from_slice(tag.split_at(HEAD).0);
    proof
}

fn micros(now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(*BEGAN).as_micros()).unwrap_or(u64::MAX)
}

impl Nonce {
    /// Knows a nonce again; `None` where it was not made here for this listener.
    pub(super) fn read(text: &[u8], tenant: &str, listener: &str) -> Option<Self> {
        let bytes: [u8; LENGTH] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (head, shown) = bytes.split_at(HEAD);
        let head: [u8; HEAD] = head.try_into().ok()?;
        aws_lc_rs::constant_time::verify_slices_are_equal(&proof(&head, tenant, listener), shown).ok()?;
        let time = head.split_at(8).0.try_into().ok()?;
        Some(Self { head, made: u64::from_be_bytes(time) })
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let life = u64::try_from(LIFE.as_micros()).unwrap_or(u64::MAX);
        micros(now).saturating_sub(self.made) < life
    }
}

impl Counts {
    /// Those of a tenant that begins now. One of its name may have been here before, and what was answered then is forgotten.
    pub(super) fn since(now: Instant) -> Self {
        let mut used = LruCache::unbounded();
        // The table grows as it is filled.
        used.resize(KEPT);
        Self(Mutex::new(Table { used, floor: micros(now) }))
    }

    /// Takes a count of a nonce; `false` where it was taken before, or may have been.
    pub(super) fn take(&self, nonce: &Nonce, count: u32) -> bool {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = table.used.get_mut(&nonce.head) {
            return used.take(count);
        }
        if nonce.made <= table.floor {
            return false;
        }
        if table.used.len() == KEPT.get()
            && let Some((_, oldest)) = table.used.pop_lru()
        {
            table.floor = table.floor.max(oldest.made);
        }
        table.used.put(nonce.head, Used { made: nonce.made, highest: count, seen: 1 });
        true
    }
}

impl Used {
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = if ahead < WINDOW { self.seen << ahead } else { 0 } | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let bit = if behind < WINDOW { 1_u64 << behind } else { return false };
        let is_new = self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(made: u64) -> Nonce {
        let mut head = [0; HEAD];
        head.split_at_mut(8).0.copy_from_slice(&made.to_be_bytes());
        Nonce { head, made }
    }

    #[test]
    fn a_nonce_is_known_again_on_its_own_listener_alone_and_expires() {
        let text = make("acme", "phones");
        let Some(nonce) = Nonce::read(text.as_bytes(), "acme", "phones") else { panic!("{text}") };
        let now = Instant::now();
        assert!(nonce.is_fresh(now) && !nonce.is_fresh(now + LIFE));
        for (tenant, listener) in [("globex", "phones"), ("acme", "other"), ("acmep", "hones")] {
            assert_eq!(Nonce::read(text.as_bytes(), tenant, listener), None);
        }
        for position in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            if let Some(byte) = changed.get_mut(position) {
                *byte = if *byte == b'A' { b'B' } else { b'A' };
            }
            assert_eq!(Nonce::read(&changed, "acme", "phones"), None, "{position}");
        }
        for other in ["", "x", &text[1..], &format!("{text}=")] {
            assert_eq!(Nonce::read(other.as_bytes(), "acme", "phones"), None);
        }
        assert_ne!(make("acme", "phones"), make("acme", "phones"));
    }

    #[test]
    fn each_count_is_taken_once_in_any_order_within_the_window() {
        let (counts, nonce) = (Counts::since(*BEGAN), made(1));
        for (count, is_taken) in [
            (1, true),
            (1, false),
            (3, true),
            (2, true),
            (2, false),
            (3, false),
            (100, true),
            (3, false),
            (37, true),
            (36, false),
            (99, true),
            (99, false),
            (u32::MAX, true),
            (100, false),
        ] {
            assert_eq!(counts.take(&nonce, count), is_taken, "{count}");
        }
    }

    #[test]
    fn what_was_made_before_the_tenant_came_is_not_taken() {
        let (before, after) = (made(999), made(1001));
        let counts = Counts::since(*BEGAN + Duration::from_millis(1));
        assert!(!counts.take(&before, 2) && counts.take(&after, 1));
    }

    #[test]
    fn what_is_forgotten_is_not_taken_again() {
        let counts = Counts::since(*BEGAN);
        let kept = u64::try_from(KEPT.get()).unwrap_or_default();
        for number in 1..kept + 101 {
            assert!(counts.take(&made(number), 1), "{number}");
        }
        for number in [1, 51, 100, 101, kept, kept + 100] {
            assert!(!counts.take(&made(number), 1), "{number}");
        }
        assert!(counts.take(&made(kept + 100), 2) && counts.take(&made(kept + 101), 1));
        assert_eq!(counts.0.lock().unwrap_or_else(PoisonError::into_inner).used.len(), KEPT.get());
    }
}
