//! Requests that were answered of late, and whose transfers have ended.
//!
//! Where thousands ask at once, an impatient phone's second request waits in the socket behind them, and is read when the first one has
//! been served. To serve it again would answer what the phone has asked for since: from one port, the first block of one file is as good
//! as that of another. The system's time of arrival tells that it came before its answer.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

/// How many are remembered, the latest.
const MOST: usize = 4096;
/// For how long: no request waits longer in a socket.
const LONG: Duration = Duration::from_secs(10);

/// Requests that were answered, by their peers.
#[derive(Debug, Default)]
pub(super) struct Ended {
    by_peer: HashMap<SocketAddr, Served>,
    /// In the order in which they ended.
    order: VecDeque<(SocketAddr, Duration)>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Served {
    /// What stands for the request.
    hash: u64,
    /// When its first answer was sent, since 1970.
    at: Duration,
}

impl Ended {
    /// A request whose transfer ends, and when its first answer was sent, since 1970.
    pub(super) fn add(&mut self, peer: SocketAddr, datagram: &[u8], served: Duration) {
        let is_old = |at: Duration| at + LONG < served;
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
    pub(super) fn has_served(&self, peer: SocketAddr, datagram: &[u8], arrived: Duration) -> bool {
        let served = self.by_peer.get(&peer);
        served.is_some_and(|served| is_before(arrived, served.at) && served.hash == self.hasher.hash_one(datagram))
    }
}

/// Whether a request arrived before an answer was sent, both since 1970. It is none of this where the clock was set back between
/// them: a phone that begins anew would not be heard.
pub(super) fn is_before(arrived: Duration, served: Duration) -> bool {
    served.checked_sub(arrived).is_some_and(|early| !early.is_zero() && early < LONG)
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
        let mut ended = Ended::default();
        ended.add(peer(1), b"a", 5 * SECOND);
        assert!(ended.has_served(peer(1), b"a", 4 * SECOND));
        assert!(!ended.has_served(peer(1), b"a", 5 * SECOND), "it came behind the answer");
        assert!(!ended.has_served(peer(1), b"b", 4 * SECOND), "another request");
        assert!(!ended.has_served(peer(2), b"a", 4 * SECOND), "another peer");
        ended.add(peer(3), b"a", 3600 * SECOND);
        assert!(!ended.has_served(peer(3), b"a", 60 * SECOND), "the clock was set back");
        ended.add(peer(1), b"b", 6 * SECOND);
        assert!(ended.has_served(peer(1), b"b", 4 * SECOND));
    }

    #[test]
    fn it_forgets_by_age_and_by_number() {
        let mut ended = Ended::default();
        ended.add(peer(1), b"a", SECOND);
        ended.add(peer(2), b"a", 20 * SECOND);
        assert!(!ended.has_served(peer(1), b"a", SECOND / 2));
        for port in 0..=u16::MAX {
            ended.add(peer(port), b"a", 20 * SECOND);
        }
        assert_eq!((ended.by_peer.len(), ended.order.len()), (MOST, MOST));
        assert!(ended.has_served(peer(u16::MAX), b"a", 19 * SECOND));
    }
}
