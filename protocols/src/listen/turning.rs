//! Peers for which there is no place, and who are told so in their protocol's words.
//!
//! A phone that is told when to come again does; one whose connection just closes may go on to another server, or give up. But
//! telling takes a connection itself: so few are told at once, and in a short time. The others are closed at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Peers of a tenant that are told at once.
const AT_ONCE: usize = 64;
/// How long telling may take.
const TIME: Duration = Duration::from_secs(5);

/// A tenant's turned away peers that are being told.
#[derive(Debug)]
pub(crate) struct Turning(Arc<Semaphore>);

impl Default for Turning {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Turning {
    /// Room to tell one more, unless too many are being told.
    pub(crate) fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// Tells a peer, within its time.
pub(crate) fn tell<W: Future<Output = ()> + Send>(
    room: OwnedSemaphorePermit,
    words: W,
) -> impl Future<Output = ()> + Send + use<W> {
    tell_for(TIME, room, Box::pin(words))
}

async fn tell_for(time: Duration, room: OwnedSemaphorePermit, words: impl Future<Output = ()>) {
    // Who does not take the words in time is closed without.
    let _ = timeout(time, words).await;
    drop(room);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn few_are_told_at_once_and_each_for_a_short_time() {
        let turning = Turning::default();
        let mut rooms: Vec<_> = (0..AT_ONCE).filter_map(|_| turning.room()).collect();
        assert_eq!(rooms.len(), AT_ONCE);
        assert!(turning.room().is_none());
        let told = rooms.pop().map(|room| tell_for(Duration::from_millis(10), room, std::future::pending()));
        if let Some(told) = told {
            told.await;
        }
        assert!(turning.room().is_some());
    }
}
