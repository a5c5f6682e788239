//! What gives way to what comes later: the oldest first.
//!
//! Places that anyone can have for the asking must not be kept from those who ask next: a datagram's address may be forged, and
//! whoever forges never answers. So what such places are for ends, when there are too many of it, in the order in which it came. A
//! peer that is there has answered long before.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use provost_core::Source;

/// What ends when it is told to, soon.
pub(crate) trait GiveWay: Send + Sync {
    fn give_way(&self);
}

/// Those that give way, by their age.
#[derive(Debug, Default)]
pub(crate) struct Yielding(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    by_age: BTreeMap<u64, (Source, Weak<dyn GiveWay>)>,
}

/// One that gives way, as long as this is not dropped.
#[derive(Debug)]
pub(crate) struct Yields {
    yielding: Arc<Yielding>,
    number: u64,
}

impl Yielding {
    /// From now on, and until what is returned is dropped, `one` gives way.
    pub(crate) fn enter(self: &Arc<Self>, source: Source, one: Weak<dyn GiveWay>) -> Yields {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.by_age.insert(number, (source, one));
        Yields { yielding: Arc::clone(self), number }
    }

    /// Ends the oldest, until there are fewer than `most`.
    pub(crate) fn make_room(&self, most: usize) {
        let mut state = self.state();
        let surplus = state.by_age.len().saturating_sub(most.saturating_sub(1));
        let oldest: Vec<_> = std::iter::from_fn(|| state.by_age.pop_first()).take(surplus).collect();
        drop(state);
        for (_, (_, one)) in oldest {
            tell(&one);
        }
    }

    /// Ends the oldest of one source, or else of any.
    pub(crate) fn end_one(&self, source: Source) {
        let mut state = self.state();
        let of_source = state.by_age.iter().find(|(_, (of, _))| *of == source).map(|(number, _)| *number);
        let number = of_source.or_else(|| state.by_age.keys().next().copied());
        let ended = number.and_then(|number| state.by_age.remove(&number));
        drop(state);
        if let Some((_, one)) = ended {
            tell(&one);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(one: &Weak<dyn GiveWay>) {
    if let Some(one) = one.upgrade() {
        one.give_way();
    }
}

impl Drop for Yields {
    fn drop(&mut self) {
        let gone = self.yielding.state().by_age.remove(&self.number);
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
}
