//! What gives way to what comes later: the oldest first.
//!
//! Places that anyone can have for the asking must not be kept from those who ask next: a datagram's address may be forged, and
//! whoever forges never answers. So what such places are for ends, when there are too many of it, in the order in which it came. A
//! peer that is there has answered long before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use provost_core::Source;

use super::slots::Full;

/// What ends when it is told to, soon.
pub(crate) trait GiveWay: Send + Sync {
    fn give_way(&self);
}

/// What gives way for the sake of places of one kind: a tenant's, or the ports of a listener.
#[derive(Debug, Clone, Default)]
pub(crate) struct GivingWay {
    /// Transfers over datagrams whose peers have not answered.
    pub(crate) unanswered: Arc<Yielding>,
    /// Uploads over datagrams that are stored, and wait for their last block once more.
    pub(crate) dallying: Arc<Yielding>,
}

/// Those that give way, by their age.
#[derive(Debug, Default)]
pub(crate) struct Yielding(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    by_age: BTreeMap<u64, (Source, Weak<dyn GiveWay>)>,
    /// The same by source and age: a refusal looks for one of its source, and those of thousands may stand there.
    by_source: BTreeSet<(Source, u64)>,
}

/// One that gives way, as long as this is not dropped.
#[derive(Debug)]
pub(crate) struct Yields {
    yielding: Arc<Yielding>,
    number: u64,
}

impl GivingWay {
    /// Ends a transfer for the sake of a source that found everything taken and comes back in a moment: one that is stored, else one
    /// whose peer may not be there. Where the source has its own share, others have nothing to do with it.
    pub(crate) fn make_room(&self, source: Source, full: Full) {
        let end = |yielding: &Yielding| match full {
            Full::Tenant => yielding.end_one(source),
            Full::Address => yielding.end_one_of(source),
        };
        let _ = end(&self.dallying) || end(&self.unanswered);
    }
}

impl Yielding {
    /// From now on, and until what is returned is dropped, `one` gives way.
    pub(crate) fn enter(self: &Arc<Self>, source: Source, one: Weak<dyn GiveWay>) -> Yields {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.by_age.insert(number, (source, one));
        state.by_source.insert((source, number));
        Yields { yielding: Arc::clone(self), number }
    }

    /// Ends the oldest, until there are fewer than `most`.
    pub(crate) fn make_room(&self, most: usize) {
        let mut state = self.state();
        let surplus = state.by_age.len().saturating_sub(most.saturating_sub(1));
        let oldest: Vec<_> = std::iter::from_fn(|| state.take_oldest()).take(surplus).collect();
        drop(state);
        oldest.iter().for_each(tell);
    }

    /// Ends the oldest of one source, or else of any. Whether there was one.
    pub(crate) fn end_one(&self, source: Source) -> bool {
        let mut state = self.state();
        let ended = state.take_oldest_of(source).or_else(|| state.take_oldest());
        drop(state);
        ended.iter().for_each(tell);
        ended.is_some()
    }

    /// Ends the oldest of one source and of no other. Whether there was one.
    pub(crate) fn end_one_of(&self, source: Source) -> bool {
        let ended = self.state().take_oldest_of(source);
        ended.iter().for_each(tell);
        ended.is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_oldest_of(&mut self, source: Source) -> Option<Weak<dyn GiveWay>> {
        let (_, number) = *self.by_source.range((source, 0)..=(source, u64::MAX)).next()?;
        self.take(number)
    }

    fn take(&mut self, number: u64) -> Option<Weak<dyn GiveWay>> {
        let (source, one) = self.by_age.remove(&number)?;
        self.by_source.remove(&(source, number));
        Some(one)
    }

    fn take_oldest(&mut self) -> Option<Weak<dyn GiveWay>> {
        let (number, (source, one)) = self.by_age.pop_first()?;
        self.by_source.remove(&(source, number));
        Some(one)
    }
}

fn tell(one: &Weak<dyn GiveWay>) {
    if let Some(one) = one.upgrade() {
        one.give_way();
    }
}

impl Drop for Yields {
    fn drop(&mut self) {
        let gone = self.yielding.state().take(self.number);
        // Whoever drops it holds nothing of ours.
        drop(gone);
    }
}

impl Debug for State {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("count", &self.by_age.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct One(AtomicBool);

    impl GiveWay for One {
        fn give_way(&self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    struct Bench {
        yielding: Arc<Yielding>,
        all: Vec<(Arc<One>, Option<Yields>)>,
    }

    impl Bench {
        fn new(sources: &[u8]) -> Self {
            let yielding = Arc::new(Yielding::default());
            let enter = |last: &u8| {
                let one = Arc::new(One::default());
                let weak: Weak<One> = Arc::downgrade(&one);
                let yields = yielding.enter(Source::from(IpAddr::from([10, 0, 0, *last])), weak);
                (one, Some(yields))
            };
            let all = sources.iter().map(enter).collect();
            Self { yielding, all }
        }

        fn ended(&self) -> Vec<usize> {
            let ended = self.all.iter().enumerate().filter(|(_, (one, _))| one.0.load(Ordering::Relaxed));
            ended.map(|(place, _)| place).collect()
        }
    }

    #[test]
    fn the_oldest_gives_way_first_and_who_has_left_does_not() {
        let mut bench = Bench::new(&[1, 1, 1, 1]);
        bench.yielding.make_room(5);
        assert_eq!(bench.ended(), [0; 0]);
        bench.all.get_mut(0).and_then(|(_, yields)| yields.take());
        bench.yielding.make_room(3);
        assert_eq!(bench.ended(), [1], "with the next one there are three");
        bench.yielding.make_room(1);
        assert_eq!(bench.ended(), [1, 2, 3]);
    }

    #[test]
    fn one_of_the_same_source_gives_way_before_older_ones_of_others() {
        let bench = Bench::new(&[1, 2, 2]);
        let source = |last: u8| Source::from(IpAddr::from([10, 0, 0, last]));
        bench.yielding.end_one(source(2));
        assert_eq!(bench.ended(), [1]);
        bench.yielding.end_one(source(3));
        assert_eq!(bench.ended(), [0, 1]);
    }

    #[test]
    fn who_has_none_ends_none_of_another_source_where_that_would_not_help() {
        let bench = Bench::new(&[1, 2, 1]);
        let source = |last: u8| Source::from(IpAddr::from([10, 0, 0, last]));
        assert!(!bench.yielding.end_one_of(source(3)));
        assert_eq!(bench.ended(), [0; 0]);
        assert!(bench.yielding.end_one_of(source(2)));
        assert_eq!(bench.ended(), [1]);
        assert!(!bench.yielding.end_one_of(source(2)));
    }

    #[test]
    fn both_orders_hold_the_same_ones_however_they_leave() {
        let mut bench = Bench::new(&[1, 2, 1, 2, 3, 1]);
        let source = |last: u8| Source::from(IpAddr::from([10, 0, 0, last]));
        let held = |bench: &Bench| {
            let state = bench.yielding.state();
            let by_age: BTreeSet<_> = state.by_age.iter().map(|(number, (source, _))| (*source, *number)).collect();
            assert_eq!(by_age, state.by_source);
            by_age.into_iter().map(|(_, number)| number).collect::<BTreeSet<_>>()
        };
        bench.yielding.make_room(6);
        assert_eq!(held(&bench), BTreeSet::from([1, 2, 3, 4, 5]), "the oldest made room");
        bench.yielding.end_one(source(1));
        assert_eq!(held(&bench), BTreeSet::from([1, 3, 4, 5]), "the oldest of its source");
        bench.yielding.end_one(source(9));
        assert_eq!(held(&bench), BTreeSet::from([3, 4, 5]), "of none of its source, the oldest of all");
        // Who was told leaves later, and takes nobody with it.
        bench.all.drain(..3);
        assert_eq!(held(&bench), BTreeSet::from([3, 4, 5]));
        bench.all.clear();
        assert_eq!(held(&bench), BTreeSet::new());
    }
}
