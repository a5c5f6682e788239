//! Whose turn it is: of all tenants that have something ready, the one that had the least of the processor.
//!
//! A turn polls a moment's worth of what one tenant has ready, and goes to the end of the runtime's queue; there are as many
//! as the runtime has threads. What each tenant had is counted as in start-time fair queueing (Goyal, Vin and Cheng, 1996): who comes
//! back after a rest begins where the others are, so that it is next, and cannot save up for more. Turns that went round, one tenant after the
//! other, made a phone wait at each of its steps for a handshake of every tenant that was busy.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{self, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::coop::has_budget_remaining;

use super::tasks::Queue;

/// How long a turn takes. The poll that goes past it, a handshake's for instance, is the turn's last.
pub(super) const TURN: Duration = Duration::from_micros(200);

/// How far a tenant falls behind the others, at most: a poll may have taken long because the whole process stood still, and then
/// everybody else would come first for as long as that took, once for each of them.
const LAG: Duration = Duration::from_millis(2);

/// The turns of all tenants of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    /// How many turns stand in the runtime's queue, or are being taken. It is changed under the lock alone.
    taken: AtomicUsize,
    runtime: OnceLock<Runtime>,
}

#[derive(Debug)]
struct Runtime {
    handle: Handle,
    /// How many threads it has.
    workers: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: BinaryHeap<Waiting>,
    /// How many have come to wait.
    came: u64,
    /// What the tenant had whose turn began last.
    least: Duration,
}

/// A tenant that waits for a turn.
#[derive(Debug)]
struct Waiting {
    had: Duration,
    came: u64,
    queue: Arc<Queue>,
}

/// A turn, and those that follow it until nobody waits for one.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Turns>>);

impl Turns {
    /// Where turns are taken: on the runtime that calls this first.
    pub(super) fn learn_runtime(&self) {
        self.runtime.get_or_init(|| {
            let handle = Handle::current();
            let workers = handle.metrics().num_workers();
            Runtime { handle, workers }
        });
    }

    /// Whether there is a thread for which nobody has a turn. It may be a little behind.
    pub(super) fn has_idle_thread(&self) -> bool {
        self.runtime.get().is_some_and(|runtime| self.taken.load(atomic::Ordering::Relaxed) < runtime.workers)
    }

    /// Has a tenant wait for a turn that had so much, as far as that counts: one that rested begins where the others are, and none falls behind them by
    /// more than [`LAG`]. Where a thread is idle, it is the turn to begin, once nothing is locked.
    pub(super) fn wait(self: &Arc<Self>, queue: &Arc<Queue>, had: &mut Duration) -> Option<Turn> {
        let mut state = self.state();
        *had = (*had).clamp(state.least, state.least + LAG);
        let came = state.came;
        state.came += 1;
        state.waiting.push(Waiting { had: *had, came, queue: Arc::clone(queue) });
        self.has_idle_thread().then(|| {
            self.taken.fetch_add(1, atomic::Ordering::Relaxed);
            Turn(Some(Arc::clone(self)))
        })
    }

    /// Who is next. Where nobody is, the turn is over.
    fn next(&self) -> Option<Arc<Queue>> {
        let mut state = self.state();
        let next = state.next();
        if next.is_none() {
            self.taken.fetch_sub(1, atomic::Ordering::Relaxed);
        }
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Arc<Queue>> {
        let Waiting { had, queue, .. } = self.waiting.pop()?;
        self.least = self.least.max(had);
        Some(queue)
    }
}

impl Turn {
    /// Puts it into the runtime's queue.
    pub(super) fn begin(self) {
        let runtime = self.0.as_ref().and_then(|turns| turns.runtime.get());
        // Before anything waits the runtime is known.
        if let Some(handle) = runtime.map(|runtime| runtime.handle.clone()) {
            handle.spawn(self);
        }
    }

    /// Polls what is ready for a moment. Whether somebody may still wait.
    fn take(turns: &Turns) -> bool {
        let began = Instant::now();
        let mut now = began;
        while let Some(queue) = turns.next() {
            queue.begin_turn();
            let from = now;
            while let Some(task) = queue.next(now - from) {
                task.run();
                now = Instant::now();
                // Without budget (see tokio's `coop`) whatever is polled further only says that it is not ready.
                if now - began >= TURN || !has_budget_remaining() {
                    queue.end_turn(now - from);
                    return true;
                }
            }
        }
        false
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.as_deref().is_some_and(Self::take) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.0 = None;
        Poll::Ready(())
    }
}

impl Drop for Turn {
    /// Only a runtime that ends drops a turn before its end. What is ready stays so: here somebody's waker may be called, under
    /// a lock that the task wants when it is dropped.
    fn drop(&mut self) {
        if let Some(turns) = &self.0 {
            let _state = turns.state();
            turns.taken.fetch_sub(1, atomic::Ordering::Relaxed);
        }
    }
}

impl Ord for Waiting {
    /// The greatest is next: who had least, and of those who had as much the one that came first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.had, other.came).cmp(&(self.had, self.came))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_had_least_is_next_and_neither_a_rest_nor_a_pause_counts_for_long() {
        let turns = Arc::new(Turns::default());
        let queues: [Arc<Queue>; 3] = Default::default();
        let wait = |queue: usize, micros: u64| {
            let mut had = Duration::from_micros(micros);
            // Without a runtime there is no thread for a turn.
            assert!(turns.wait(&queues[queue], &mut had).is_none());
            had.as_micros()
        };
        let next = || turns.state().next().map(|next| queues.iter().position(|queue| Arc::ptr_eq(queue, &next)));
        assert_eq!([wait(0, 300), wait(1, 200), wait(2, 200)], [300, 200, 200]);
        assert_eq!([next(), next()], [Some(Some(1)), Some(Some(2))]);
        assert_eq!([wait(1, 9_000_000), wait(2, 0)], [2200, 200], "a pause is no debt, and a rest no credit");
        assert_eq!([next(), next(), next(), next()], [Some(Some(2)), Some(Some(0)), Some(Some(1)), None]);
    }
}
