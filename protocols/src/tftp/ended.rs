//! Requests that were answered of late, and whose transfers have ended.
//!
//! Where thousands ask at once, an impatient phone's second request waits in the socket behind them, and is read when the first one has
//! been served. To serve it again would answer what the phone has asked for since: from one port, the first block of one file is as good
//! as that of another. The system's time of arrival tells that it came before its answer. That is told by the clock of the wall, which may
//! be set at any time; so all times here are of the one that nobody sets, from how long the request has waited.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many are remembered, the latest.
const MOST: usize = 4096;
/// For how long: no request waits longer in a socket.
const LONG: Duration = Duration::from_secs(10);

/// Requests that were answered, by their peers.
#[derive(Debug, Default)]
pub(super) struct Ended {
    by_peer: HashMap<SocketAddr, Served>,
    /// In the order in which they ended.
    order: VecDeque<(SocketAddr, Instant)>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Served {
    /// What stands for the request.
    hash: u64,
    /// When its first answer was sent.
    at: Instant,
}

impl Ended {
    /// A request whose transfer ends, and when its first answer was sent.
    pub(super) fn add(&mut self, peer: SocketAddr, datagram: &[u8], served: Instant) {
        let is_old = |at: Instant| at + LONG < served;
        let before = self.order.len();
        while let Some((oldest, at)) = self.order.front().copied()
            && (self.order.len() >= MOST || is_old(at))
        {
            self.order.pop_front();
            // It may have been answered anew.
            if self.by_peer.get(&oldest).is_some_and(|served| served.at == at) {
                self.by_peer.remove(&oldest);
            }
        }
        // After a storm it is as small as before.
        if self.order.len() < before / 2 {
            self.order.shrink_to_fit();
            self.by_peer.shrink_to_fit();
        }
        self.order.push_back((peer, served));
        self.by_peer.insert(peer, Served { hash: self.hasher.hash_one(datagram), at: served });
    }

    /// Whether the request of a peer, which arrived then, came before the answer to the same one.
    pub(super) fn has_served(&self, peer: SocketAddr, datagram: &[u8], arrived: Instant) -> bool {
        let served = self.by_peer.get(&peer);
        served.is_some_and(|served| arrived < served.at && served.hash == self.hasher.hash_one(datagram))
    }
}

/// When a datagram that is read now arrived, by its stamp, in time since 1970. Unknown where it would have waited longer than any does, or
/// not at all: the clock was set meanwhile.
pub(super) fn arrival(stamp: Duration, (wall, now): (SystemTime, Instant)) -> Option<Instant> {
    let waited = wall.duration_since(UNIX_EPOCH).ok()?.checked_sub(stamp)?;
    if waited < LONG { now.checked_sub(waited) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 2], port))
    }

    #[test]
    fn what_came_before_the_answer_to_the_same_request_has_been_served() {
        let (mut ended, began) = (Ended::default(), Instant::now());
        ended.add(peer(1), b"a", began + 5 * SECOND);
        assert!(ended.has_served(peer(1), b"a", began + 4 * SECOND));
        assert!(!ended.has_served(peer(1), b"a", began + 5 * SECOND), "it came behind the answer");
        assert!(!ended.has_served(peer(1), b"b", began + 4 * SECOND), "another request");
        assert!(!ended.has_served(peer(2), b"a", began + 4 * SECOND), "another peer");
        ended.add(peer(1), b"b", began + 6 * SECOND);
        assert!(ended.has_served(peer(1), b"b", began + 4 * SECOND));
    }

    #[test]
    fn when_it_came_is_told_by_how_long_it_waited_whatever_the_clock_was_set_to_before() {
        let now = Instant::now() + 100 * SECOND;
        let wall = UNIX_EPOCH + 1000 * SECOND;
        for (stamp, waited) in [(1000, Some(0)), (997, Some(3)), (991, Some(9)), (990, None), (1001, None), (0, None)] {
            let arrived = waited.and_then(|waited| now.checked_sub(waited * SECOND));
            assert_eq!(arrival(stamp * SECOND, (wall, now)), arrived, "{stamp}");
        }
    }

    #[test]
    fn it_forgets_by_age_and_by_number() {
        let (mut ended, began) = (Ended::default(), Instant::now());
        ended.add(peer(1), b"a", began + SECOND);
        ended.add(peer(2), b"a", began + 20 * SECOND);
        assert!(!ended.has_served(peer(1), b"a", began));
        for port in 0..=u16::MAX {
            ended.add(peer(port), b"a", began + 20 * SECOND);
        }
        assert_eq!((ended.by_peer.len(), ended.order.len()), (MOST, MOST));
        assert!(ended.has_served(peer(u16::MAX), b"a", began + 19 * SECOND));
    }
}
