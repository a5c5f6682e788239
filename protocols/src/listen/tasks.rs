//! The connections and transfers of one tenant, polled in its turns.
//!
//! The runtime polls what is ready in the order in which it became so. If a thousand phones of one tenant ask at once, a thousand
//! polls stand in its queue, and the next phone of another tenant behind all of them. Here each tenant has a queue of
//! its own, of which [`Turns`] has a moment's worth polled whenever it is that tenant's turn.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_task::Runnable;
use tokio::sync::oneshot;

use super::turns::Turns;

/// One tenant's tasks. They must have ended when their runtime does: it does not drop them.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    queue: Arc<Queue>,
    /// Each task has one more.
    alive: Arc<()>,
}

/// What of one tenant is ready to be polled.
#[derive(Debug, Default)]
pub(super) struct Queue {
    turns: Arc<Turns>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Runnable>,
    /// How long its tasks were polled. A tenant that comes back after a rest has no more to its credit than those that were there.
    had: Duration,
    /// Turns that poll it.
    polling: usize,
    /// Whether it waits for a turn.
    waits: bool,
}

impl Tasks {
    /// Those of a tenant whose turns are among these.
    pub(crate) fn among(turns: &Arc<Turns>) -> Self {
        let queue = Queue { turns: Arc::clone(turns), state: Mutex::default() };
        Self { queue: Arc::new(queue), alive: Arc::default() }
    }

    /// Runs a task to its end. Call it on the runtime. A task that panics while it is polled ends, and nothing else does.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.queue.turns.learn_runtime();
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
        let mut state = self.state();
        state.ready.push_back(task);
        // Who polls it comes to that one as well.
        if state.waits || (state.polling > 0 && !self.turns.has_idle_thread()) {
            return;
        }
        self.wait(state);
    }

    /// Waits for a turn.
    fn wait(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.waits = true;
        let begin = self.turns.wait(self, &mut state.had);
        drop(state);
        if let Some(turn) = begin {
            turn.begin();
        }
    }

    /// A turn polls it from here on. Where there is more than one task, a thread that nobody wants may take another turn.
    pub(super) fn begin_turn(self: &Arc<Self>) {
        let mut state = self.state();
        state.polling += 1;
        state.waits = false;
        if state.ready.len() > 1 && self.turns.has_idle_thread() {
            self.wait(state);
        }
    }

    /// The next task that is ready. Without one the turn is over, which took `had` until now.
    pub(super) fn next(&self, had: Duration) -> Option<Runnable> {
        let mut state = self.state();
        let next = state.ready.pop_front();
        if next.is_none() {
            state.end_turn(had);
        }
        next
    }

    /// A turn is over, which took `had`. What is left waits for another.
    pub(super) fn end_turn(self: &Arc<Self>, had: Duration) {
        let mut state = self.state();
        state.end_turn(had);
        if !state.ready.is_empty() && !state.waits {
            self.wait(state);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end_turn(&mut self, had: Duration) {
        self.polling -= 1;
        self.had += had;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Instant;

    use tokio::runtime::Builder;
    use tokio::task::yield_now;

    use super::super::turns::TURN;
    use super::*;

    #[test]
    fn who_comes_back_after_a_rest_is_next_however_many_tenants_are_busy() {
        const MANY: usize = 100;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let turns = Arc::new(Turns::default());
        let busy = [(); 4].map(|()| Tasks::among(&turns));
        let quiet = Arc::new(Tasks::among(&turns));
        let (done, when_done) = mpsc::channel();
        let polled = Arc::new(AtomicUsize::new(0));
        // Not from a thread of the runtime, which would put the last one first.
        runtime.block_on(async {
            for number in 0..MANY {
                for (tenant, tasks) in busy.iter().enumerate() {
                    let (polled, quiet, done) = (Arc::clone(&polled), Arc::clone(&quiet), done.clone());
                    tasks.spawn(async move {
                        let began = Instant::now();
                        while began.elapsed() < 2 * TURN {
                            std::hint::spin_loop();
                        }
                        let before = polled.fetch_add(1, Ordering::Relaxed);
                        if number == MANY / 2 && tenant == 0 {
                            quiet.spawn(async move { done.send(polled.load(Ordering::Relaxed) - before).unwrap() });
                        }
                    });
                }
            }
        });
        assert_eq!(when_done.recv().unwrap(), 1, "tasks were polled since it came, with the one that woke it");
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
        while tasks.queue.state().polling > 0 || tasks.alive() > 0 {
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
