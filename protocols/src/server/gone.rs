//! What listeners counted that are no more. Requests that they accepted may run on, and are counted to their end.

use std::sync::Arc;

use crate::life::{Counted, Counts};

/// What was counted, of many listeners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// Records written: requests, and connections that failed before one.
    pub requests: u64,
    /// Those that were denied.
    pub denied: u64,
    /// Bytes of files, sent or received.
    pub bytes: u64,
}

/// The counts of listeners that are no more.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// Of those of which nothing runs any more.
    ended: Total,
    counting: Vec<Arc<Counts>>,
}

impl Total {
    pub(super) fn add(&mut self, counted: &Counted) {
        self.requests += counted.requests;
        self.denied += counted.denied;
        self.bytes += counted.bytes;
    }
}

impl Gone {
    /// A listener goes.
    pub(super) fn add(&mut self, counts: &Arc<Counts>) {
        // Whoever has no other holder counts nothing any more.
        for ended in self.counting.extract_if(.., |counts| Arc::strong_count(counts) == 1) {
            self.ended.add(&ended.now());
        }
        self.counting.push(Arc::clone(counts));
    }

    pub(super) fn total(&self) -> Total {
        let mut total = self.ended;
        self.counting.iter().for_each(|counts| total.add(&counts.now()));
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Outcome;

    #[test]
    fn what_went_is_counted_to_its_end_and_once() {
        let (mut gone, first, second) = (Gone::default(), Arc::<Counts>::default(), Arc::<Counts>::default());
        first.count(Outcome::Served, None, 10);
        gone.add(&first);
        first.count(Outcome::Denied, None, 1);
        drop(first);
        gone.add(&second);
        second.count(Outcome::Served, None, 5);
        assert_eq!(gone.total(), Total { requests: 3, denied: 1, bytes: 16 });
        assert_eq!(gone.counting.len(), 1);
    }
}
