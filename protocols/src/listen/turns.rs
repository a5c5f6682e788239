//! Work that computes on the runtime's own threads, in turns: so much of one tenant at once.
//!
//! A TLS handshake computes for a millisecond each time that it is polled. If a thousand phones of one tenant connect,
//! a thousand polls stand in the runtime's queue, and the next phone of another tenant behind them. Here they wait for a turn
//! instead, and one or two stand in the queue. While a handshake waits for its peer it holds no turn, so that a slow
//! peer holds up nobody.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::thread::available_parallelism;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Half of the cores.
static AT_ONCE: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)));

/// One tenant's turns.
#[derive(Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

type Turn = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// A future that is polled in its turns.
struct InTurns<F> {
    turns: Arc<Semaphore>,
    turn: Option<Turn>,
    work: Pin<Box<F>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(*AT_ONCE)))
    }
}

impl Turns {
    /// Does work in turns. The caller bounds the time.
    pub(crate) fn take<F: Future + Send>(&self, work: F) -> impl Future<Output = F::Output> + Send {
        InTurns { turns: Arc::clone(&self.0), turn: None, work: Box::pin(work) }
    }
}

impl<F: Future> Future for InTurns<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let turns = Arc::clone(&self.turns);
        let turn = self.turn.get_or_insert_with(|| Box::pin(turns.acquire_owned()));
        let Poll::Ready(turn) = turn.as_mut().poll(cx) else { return Poll::Pending };
        self.turn = None;
        let outcome = self.work.as_mut().poll(cx);
        // The semaphore is never closed, so that there always is a turn; the next one has it from here on.
        drop(turn);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_for_a_peer_holds_no_turn() {
        let turns = Turns(Arc::new(Semaphore::new(1)));
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
        let turns = Turns(Arc::new(Semaphore::new(1)));
        let held = Arc::clone(&turns.0).acquire_owned().await;
        let mut waiting = Box::pin(turns.take(async { 1 }));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        drop(held);
        assert_eq!(waiting.await, 1);
    }
}
