//! Work that blocks on the file system, off the runtime: so much of one tenant at once.
//!
//! The threads for it are shared by all tenants. Without a bound for each a slow folder of one would take them all, and
//! everybody else would wait behind its requests. A thread that has done a piece of work does the tenant's next: woken threads
//! of which each does one piece would be more than the bound before the last of them rest again.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::available_parallelism;

use rustix::process::{getpriority_process, setpriority_process};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// Pieces of work at once for each core of the machine. Most of them wait for the disk.
const JOBS_PER_CORE: usize = 4;
/// Pieces of work at once at least: an upload waits for the disk much longer than it computes.
const LEAST_JOBS: usize = 8;

/// How far its threads stand back behind the runtime's where both want a core (nice(2)). In a storm of uploads they shared
/// the cores with the two threads that serve everybody, and nobody else was heard for half a second.
const STANDS_BACK: i32 = 10;

static AT_ONCE: LazyLock<usize> =
    LazyLock::new(|| available_parallelism().map_or(LEAST_JOBS, |cores| LEAST_JOBS.max(cores.get() * JOBS_PER_CORE)));

/// One tenant's share of the threads.
#[derive(Debug)]
pub(crate) struct Jobs(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    threads: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<dyn FnOnce() + Send>>,
    /// Threads that work.
    working: usize,
}

/// Work that runs, or waits for its turn. How many wait is bounded by the tenant's places.
#[derive(Debug)]
pub(crate) struct Job<T>(oneshot::Receiver<T>);

/// A piece of work has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the work panicked, or the server ends")]
pub(crate) struct NoOutcome;

impl Default for Jobs {
    fn default() -> Self {
        Self::at_once(*AT_ONCE)
    }
}

impl Jobs {
    fn at_once(threads: usize) -> Self {
        Self(Arc::new(Queue { threads, state: Mutex::default() }))
    }

    /// Runs work that blocks. Where the share has room it begins now, whether the job is waited for or not; once begun it
    /// runs to its end. Otherwise it begins in its turn, if it is still waited for then. Call it on the runtime.
    ///
    /// # Errors
    /// - [`NoOutcome`]: the work panicked
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        let (outcome, job) = oneshot::channel();
        let Self(queue) = self;
        let mut state = queue.state();
        let has_room = state.working < queue.threads;
        state.waiting.push_back(Box::new(move || {
            if has_room || !outcome.is_closed() {
                // An error means that nobody waits for it any more.
                let _ = outcome.send(work());
            }
        }));
        if has_room {
            state.working += 1;
            drop(state);
            let queue = Arc::clone(queue);
            spawn_blocking(move || queue.work());
        }
        Job(job)
    }
}

impl Queue {
    /// Does what waits until nothing does.
    fn work(&self) {
        stand_back();
        while let Some(work) = self.next() {
            // Whoever waits for it learns of a panic by having no outcome.
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }

    fn next(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let mut state = self.state();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.working -= 1;
        }
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the runtime's threads go before this one, from its first work on.
fn stand_back() {
    thread_local! {
        static DONE: Cell<bool> = const { Cell::new(false) };
    }
    if !DONE.replace(true) {
        // Of Linux a priority is a thread's own. Where it is not granted, all are as good as each other.
        let _ = getpriority_process(None).and_then(|nice| setpriority_process(None, nice + STANDS_BACK));
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T, NoOutcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|_| NoOutcome)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { waiting, working } = self;
        f.debug_struct("State").field("waiting", &waiting.len()).field("working", working).finish()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn a_tenant_whose_work_hangs_holds_up_itself_alone() {
        let [slow, other] = [Jobs::at_once(2), Jobs::at_once(2)];
        let (release, hang) = channel::<()>();
        let hang = Arc::new(Mutex::new(hang));
        let hanging = [(); 2].map(|()| {
            let hang = Arc::clone(&hang);
            slow.run(move || _ = hang.lock().unwrap().recv())
        });
        let mut third = slow.run(|| 3);
        assert!(futures_poll(&mut third).is_pending());
        assert_eq!(other.run(|| 4).await.unwrap(), 4);
        drop(release);
        for job in hanging {
            job.await.unwrap();
        }
        assert_eq!(third.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_thread_goes_on_to_what_waits_and_leaves_out_what_nobody_waits_for() {
        let jobs = Jobs::at_once(1);
        let (release, hang) = channel::<()>();
        let first = jobs.run(move || _ = hang.recv());
        let thread = || std::thread::current().id();
        let [panics, second, third] = [0, 1, 2].map(|number| {
            jobs.run(move || {
                assert!(number > 0, "on purpose");
                thread()
            })
        });
        let (begun, never) = channel();
        drop(jobs.run(move || begun.send(()).unwrap()));
        let last = jobs.run(thread);
        drop(release);
        first.await.unwrap();
        assert_eq!(panics.await, Err(NoOutcome));
        assert_eq!(second.await.unwrap(), third.await.unwrap());
        last.await.unwrap();
        assert!(never.recv().is_err());
    }

    #[tokio::test]
    async fn what_blocks_stands_back_behind_the_runtime() {
        let nice = || getpriority_process(None).unwrap();
        let here = nice();
        for _ in 0..2 {
            assert_eq!(Jobs::default().run(nice).await.unwrap(), (here + STANDS_BACK).min(19));
        }
        assert_eq!(nice(), here);
    }

    fn futures_poll<T>(job: &mut Job<T>) -> Poll<Result<T, NoOutcome>> {
        Pin::new(job).poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}
