//! How much each source has of what sources share.

use std::collections::HashMap;

use provost_core::Source;

/// A count for each source that has something.
#[derive(Debug, Default)]
pub(crate) struct Tally(HashMap<Source, usize>);

impl Tally {
    /// How much the source has.
    pub(crate) fn of(&self, source: Source) -> usize {
        self.0.get(&source).copied().unwrap_or_default()
    }

    /// It has one more.
    pub(crate) fn add(&mut self, source: Source) {
        *self.0.entry(source).or_default() += 1;
    }

    /// It has one less.
    pub(crate) fn remove(&mut self, source: Source) {
        match self.of(source).checked_sub(1) {
            Some(0) | None => drop(self.0.remove(&source)),
            Some(rest) => drop(self.0.insert(source, rest)),
        }
    }

    /// How many have something.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
