//! Work that computes on the runtime's own threads, in turns: so much of one tenant at once.
//!
//! Whatever a tenant's phones have sent stands as a piece of work in the runtime's queue, and the next phone of another tenant
//! behind all of it. In a storm of 20,000 phones that was half a second. Here a tenant's connections and transfers wait for a turn
//! instead, each for itself, and few stand in the queue. Of TLS handshakes, which compute for a millisecond each time that they are
//! polled, it is one or two. While work waits for its peer it holds no turn, so that a slow peer holds up nobody.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::thread::available_parallelism;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Polls of one tenant that stand in the queue, for each core: enough to keep all of them busy with it.
const POLLS_PER_CORE: usize = 8;

static CORES: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, usize::from));

/// One tenant's turns.
#[derive(Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

type Turn = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// A future that is polled in its turns.
struct InTurns<F> {
    turns: Arc<Semaphore>,
    /// The turn that it waits for.
    turn: Option<Turn>,
    work: Pin<Box<F>>,
}

impl Turns {
    /// For TLS handshakes: half of the cores.
    pub(crate) fn for_handshakes() -> Self {
        Self::at_once((*CORES / 2).max(1))
    }

    /// For everything that serves a phone.
    pub(crate) fn for_polls() -> Self {
        Self::at_once(*CORES * POLLS_PER_CORE)
    }

    fn at_once(turns: usize) -> Self {
        Self(Arc::new(Semaphore::new(turns)))
    }

    /// Does work in turns. The caller bounds the time.
    pub(crate) fn take<F: Future + Send>(&self, work: F) -> impl Future<Output = F::Output> + Send + use<F> {
        InTurns { turns: Arc::clone(&self.0), turn: None, work: Box::pin(work) }
    }
}

impl<F: Future> Future for InTurns<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { turns, turn, work } = &mut *self;
        // Whoever waits already goes first: the semaphore gives what is free to those in the queue.
        if turn.is_none()
            && let Ok(_held) = turns.try_acquire()
        {
            return work.as_mut().poll(cx);
        }
        let waited = turn.get_or_insert_with(|| Box::pin(Arc::clone(turns).acquire_owned()));
        let Poll::Ready(held) = waited.as_mut().poll(cx) else { return Poll::Pending };
        *turn = None;
        let outcome = work.as_mut().poll(cx);
        // The semaphore is never closed, so that there always is a turn; the next one has it from here on.
        drop(held);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_peer_holds_no_turn() {
        let turns = Turns::at_once(1);
        let (peer, answer) = tokio::sync::oneshot::channel();
        let mut slow = Box::pin(turns.take(answer));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(slow.as_mut().poll(&mut cx).is_pending());
        assert_eq!(turns.take(async { 2 }).await, 2);
        assert_eq!(peer.send(1), Ok(()));
        assert_eq!(slow.await, Ok(1));
    }

    #[tokio::test]
    async fn work_waits_for_its_turn() {
        let turns = Turns::at_once(1);
        let held = Arc::clone(&turns.0).acquire_owned().await;
        let mut waiting = Box::pin(turns.take(async { 1 }));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        drop(held);
        assert_eq!(waiting.await, 1);
    }
}
