//! The connections and transfers of one tenant, polled in its turns.
//!
//! The runtime polls what is ready in the order in which it became so. If a thousand phones of one tenant ask at once, a thousand
//! polls stand in its queue, and the next phone of another tenant behind all of them. Here each tenant has a queue of
//! its own, and the runtime's holds turns: each polls what is ready of its tenant for a moment and goes to the end of the runtime's
//! queue. A tenant has one turn, and more only for threads that no other tenant wants.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_task::Runnable;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::coop::has_budget_remaining;

/// How long a turn takes. The poll that goes past it, a handshake's for instance, is the turn's last.
const TURN: Duration = Duration::from_micros(200);

/// One tenant's tasks. They must have ended when their runtime does: it does not drop them.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    queue: Arc<Queue>,
    /// Each task has one more.
    alive: Arc<()>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    runtime: OnceLock<Runtime>,
}

#[derive(Debug)]
struct Runtime {
    handle: Handle,
    /// How many threads it has.
    workers: usize,
}

/// The turns of all tenants.
static TURNS: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Runnable>,
    /// How many turns stand in the runtime's queue, or are being taken.
    turns: usize,
}

/// A turn, and those that follow it until nothing is ready.
struct Turn(Option<Arc<Queue>>);

impl Tasks {
    /// Runs a task to its end. Call it on the runtime. A task that panics while it is polled ends, and nothing else does.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.queue.runtime.get_or_init(|| {
            let handle = Handle::current();
            let workers = handle.metrics().num_workers();
            Runtime { handle, workers }
        });
        let (queue, alive) = (Arc::clone(&self.queue), Arc::clone(&self.alive));
        let work = async move {
            work.await;
            drop(alive);
        };
        let builder = async_task::Builder::new().propagate_panic(true);
        let (runnable, task) = builder.spawn(|()| work, move |runnable| queue.ready(runnable));
        task.detach();
        runnable.schedule();
    }

    /// How many have not ended.
    pub(crate) fn alive(&self) -> usize {
        Arc::strong_count(&self.alive) - 1
    }

    /// Waits until whatever is ready now has been polled.
    pub(crate) async fn rotation(&self) {
        let (end, ended) = oneshot::channel();
        // An error means that nobody waits for it any more.
        self.spawn(async move {
            let _ = end.send(());
        });
        // It always comes to that, unless the runtime ends.
        let _ = ended.await;
    }
}

impl Queue {
    fn ready(self: &Arc<Self>, task: Runnable) {
        // Before anything is scheduled the runtime is known.
        let Some(runtime) = self.runtime.get() else { return };
        let mut state = self.state();
        state.ready.push_back(task);
        let is_due = state.turns == 0 || runtime.has_idle_threads(state.turns);
        if is_due {
            self.begin(state, runtime);
        }
    }

    /// One turn more.
    fn begin(self: &Arc<Self>, mut state: MutexGuard<'_, State>, runtime: &Runtime) {
        state.turns += 1;
        TURNS.fetch_add(1, Ordering::Relaxed);
        drop(state);
        runtime.handle.spawn(Turn(Some(Arc::clone(self))));
    }

    /// The next task that is ready. Without one the turn is over.
    fn next(&self) -> Option<Runnable> {
        let mut state = self.state();
        let next = state.ready.pop_front();
        if next.is_none() {
            state.end_turn();
        }
        next
    }

    /// A turn's time is over. Whether another follows it: where others wait, one of the tenant is enough, and where nobody does, there
    /// may be one more.
    fn goes_on(self: &Arc<Self>) -> bool {
        let Some(runtime) = self.runtime.get() else { return true };
        let mut state = self.state();
        if state.turns > 1 && TURNS.load(Ordering::Relaxed) > runtime.workers {
            state.end_turn();
            return false;
        }
        if state.ready.len() > 1 && runtime.has_idle_threads(state.turns) {
            self.begin(state, runtime);
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end_turn(&mut self) {
        self.turns -= 1;
        TURNS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Runtime {
    /// Whether there are threads for which nobody has a turn, if a tenant has so many. It may be a little behind.
    fn has_idle_threads(&self, turns: usize) -> bool {
        turns < self.workers && TURNS.load(Ordering::Relaxed) < self.workers
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let began = Instant::now();
        while let Some(task) = self.0.as_ref().and_then(|queue| queue.next()) {
            task.run();
            // Without budget (see tokio's `coop`) whatever is polled further only says that it is not ready.
            if began.elapsed() < TURN && has_budget_remaining() {
                continue;
            }
            if self.0.as_ref().is_some_and(Queue::goes_on) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            break;
        }
        self.0 = None;
        Poll::Ready(())
    }
}

impl Drop for Turn {
    /// Only a runtime that ends drops a turn before its end. What is ready stays so: here somebody's waker may be called, under
    /// a lock that the task wants when it is dropped.
    fn drop(&mut self) {
        if let Some(queue) = &self.0 {
            queue.state().end_turn();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::mpsc;

    use tokio::runtime::Builder;
    use tokio::task::yield_now;

    use super::*;

    #[test]
    fn who_has_one_task_ready_waits_for_a_turn_of_the_other_and_not_for_all_of_its_tasks() {
        const MANY: usize = 1000;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (busy, quiet) = (Tasks::default(), Tasks::default());
        let (done, when_done) = mpsc::channel();
        let polled = Arc::new(AtomicUsize::new(0));
        // Not from a thread of the runtime, which would put the last one first.
        runtime.block_on(async {
            for _ in 0..MANY {
                let polled = Arc::clone(&polled);
                busy.spawn(async move {
                    let began = Instant::now();
                    while began.elapsed() < TURN {
                        std::hint::spin_loop();
                    }
                    polled.fetch_add(1, Ordering::Relaxed);
                });
            }
            quiet.spawn(async move { done.send(polled.load(Ordering::Relaxed)).unwrap() });
        });
        let before = when_done.recv().unwrap();
        // The runtime looks at what comes from elsewhere now and then only.
        assert!(before < MANY / 2, "{before} of {MANY} were before it");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_task_ends_however_often_it_waits() {
        let tasks = Tasks::default();
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        for number in 0..1000_u32 {
            let sender = sender.clone();
            tasks.spawn(async move {
                yield_now().await;
                tokio::time::sleep(Duration::from_micros(u64::from(number % 7))).await;
                sender.send(number).await.unwrap();
            });
        }
        drop(sender);
        let mut ended = Vec::new();
        while let Some(number) = receiver.recv().await {
            ended.push(number);
        }
        ended.sort_unstable();
        assert!(ended.into_iter().eq(0..1000));
        while tasks.queue.state().turns > 0 || tasks.alive() > 0 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_rotation_has_passed_once_all_that_was_ready_has_been_polled() {
        let tasks = Tasks::default();
        let polled = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let polled = Arc::clone(&polled);
            tasks.spawn(async move {
                polled.fetch_add(1, Ordering::Relaxed);
                // It is ready again, behind whoever waits for the rotation.
                yield_now().await;
                polled.fetch_add(1000, Ordering::Relaxed);
            });
        }
        tasks.rotation().await;
        assert_eq!(polled.load(Ordering::Relaxed) % 1000, 100);
    }

    #[tokio::test]
    async fn a_task_that_panics_ends_alone() {
        let tasks = Tasks::default();
        let (sender, ended) = oneshot::channel();
        tasks.spawn(async { panic!("on purpose") });
        tasks.spawn(async move { sender.send(()).unwrap() });
        assert!(ended.await.is_ok());
    }
}
