//! The ports of a range at which one listener's peers are served beside the listening one: FTP's data connections, TFTP's
//! transfers. Which of them are taken, and by whom.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use provost_core::Source;

use super::slots::Full;
use super::tally::Tally;

/// How many ports of a range are tried for one peer before it is told that none is free.
const TRIES: u32 = 1024;

/// The ports of one listener that are taken.
#[derive(Debug, Default)]
pub(crate) struct Ports(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    ports: BTreeSet<u16>,
    by_source: Tally,
}

/// A port that is taken. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Lease {
    ports: Arc<Ports>,
    source: Source,
    pub(crate) port: u16,
}

impl Ports {
    /// Ports of `range` in turn, from a random one on, each taken until it is dropped. An address has room for as many again
    /// as it holds, so that one that only asks takes half of a range and leaves the rest to the others; all IPv6
    /// addresses of a /64 are one.
    pub(crate) fn lease(
        self: &Arc<Self>,
        address: IpAddr,
        range: &RangeInclusive<u16>,
    ) -> impl Iterator<Item = Lease> + use<> {
        let (ports, source, count) = (Arc::clone(self), Source::from(address), range.len());
        let range = range.clone();
        from_anywhere(&range, RandomState::new().hash_one(()))
            .map_while(move |port| {
                let mut taken = ports.taken();
                (taken.by_source.of(source) < count.saturating_sub(taken.of(&range))).then(|| {
                    taken.ports.insert(port).then(|| {
                        taken.by_source.add(source);
                        Lease { ports: Arc::clone(&ports), source, port }
                    })
                })
            })
            .flatten()
    }

    /// Why an address finds no port of `range`: all are taken, and one more that is free would do; or it has its share of them.
    pub(crate) fn full(&self, address: IpAddr, range: &RangeInclusive<u16>) -> Full {
        let taken = self.taken();
        let free = range.len().saturating_sub(taken.of(range));
        if taken.by_source.of(Source::from(address)) > free { Full::Address } else { Full::Tenant }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// How many of a range are taken. Others may be left of a wider one, as it was before a reload.
    fn of(&self, range: &RangeInclusive<u16>) -> usize {
        let are_all = [self.ports.first(), self.ports.last()].into_iter().flatten().all(|port| range.contains(port));
        if are_all { self.ports.len() } else { self.ports.range(range.clone()).count() }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut taken = self.ports.taken();
        taken.ports.remove(&self.port);
        taken.by_source.remove(self.source);
    }
}

/// Ports of the range, from one that `random` picks and around.
fn from_anywhere(ports: &RangeInclusive<u16>, random: u64) -> impl Iterator<Item = u16> + use<> {
    let first = u32::from(*ports.start());
    let count = (u32::from(*ports.end()) + 1).saturating_sub(first);
    let start = u32::try_from(random.checked_rem(u64::from(count)).unwrap_or_default()).unwrap_or_default();
    (0..count.min(TRIES)).filter_map(move |step| u16::try_from(first + (start + step) % count).ok())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn every_port_of_a_range_is_tried_once() {
        let mut ports: Vec<u16> = from_anywhere(&(30000..=30999), 12345).collect();
        assert_eq!(ports.first(), Some(&30345));
        ports.sort_unstable();
        assert!(ports.into_iter().eq(30000..=30999));
        assert_eq!(from_anywhere(&(65535..=65535), u64::MAX).collect::<Vec<_>>(), [65535]);
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range must not panic")]
        let empty = from_anywhere(&(2..=1), 7).count();
        assert_eq!(empty, 0);
    }

    #[test]
    fn one_address_takes_half_and_leaves_the_rest() {
        let ports = Arc::new(Ports::default());
        let range = 30000..=30015;
        let take = |last: u8| ports.lease(IpAddr::from([10, 0, 0, last]), &range).next();
        let greedy: Vec<Lease> = std::iter::from_fn(|| take(1)).collect();
        assert_eq!(greedy.len(), 8);
        let next: Vec<Lease> = std::iter::from_fn(|| take(2)).collect();
        assert_eq!(next.len(), 4);
        let first_come: Vec<Lease> = (3..7).filter_map(take).collect();
        assert_eq!(first_come.len(), 4, "all sixteen are taken");
        let full = |last: u8| ports.full(IpAddr::from([10, 0, 0, last]), &range);
        assert_eq!([full(9), full(1)], [Full::Tenant, Full::Address]);
        assert!(take(9).is_none());
        drop(greedy);
        assert!(take(9).is_some());
        drop((next, first_come));
        assert!(ports.taken().ports.is_empty() && ports.taken().by_source.len() == 0);
    }

    #[test]
    fn a_range_that_was_wider_before_has_all_of_its_ports() {
        let ports = Arc::new(Ports::default());
        let take = |last: u8, range: &RangeInclusive<u16>| ports.lease(IpAddr::from([10, 0, 0, last]), range).next();
        let wide: Vec<Lease> = (1..=20).filter_map(|last| take(last, &(40000..=49999))).collect();
        let narrow = 30000..=30003;
        let new: Vec<Lease> = (31..=34).filter_map(|last| take(last, &narrow)).collect();
        assert_eq!((wide.len(), new.len()), (20, 4));
        assert!(take(35, &narrow).is_none());
    }

    #[test]
    fn the_one_port_of_a_range_is_had_and_a_network_is_one_address() {
        let ports = Arc::new(Ports::default());
        let six = |last: u16| IpAddr::from(Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, last));
        let only = ports.lease(six(1), &(30000..=30000)).next();
        assert!(only.is_some());
        assert!(ports.lease(six(2), &(30000..=30000)).next().is_none());
        let two: Vec<Lease> = (1..9).filter_map(|last| ports.lease(six(last), &(30002..=30005)).next()).collect();
        assert_eq!(
            two.len(),
            2,
            "the one that this network holds elsewhere counts as its own, and is none of the four"
        );
    }
}
