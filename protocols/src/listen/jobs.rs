//! Work that blocks on the file system, off the runtime: so much of one tenant at once.
//!
//! The threads for it are shared by all tenants. Without a bound for each a slow folder of one would take them all, and
//! everybody else would wait behind its requests. A thread that has done a piece of work does the tenant's next, for a while:
//! woken threads of which each does one piece would be more than the bound before the last of them rest again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

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

/// How long a thread goes on to what waits of its tenant before it lets another tenant's work have it.
const GOES_ON: Duration = Duration::from_millis(20);

static AT_ONCE: LazyLock<usize> =
    LazyLock::new(|| available_parallelism().map_or(LEAST_JOBS, |cores| LEAST_JOBS.max(cores.get() * JOBS_PER_CORE)));

/// The priority of the process, asked for before there are threads of this kind: one that begins another hands its own down.
static NICE: LazyLock<Option<i32>> = LazyLock::new(|| getpriority_process(None).ok());

/// One tenant's share of the threads.
#[derive(Debug)]
pub(crate) struct Jobs(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    threads: usize,
    state: Mutex<State>,
}

type Piece = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    /// In the order in which they came.
    waiting: BTreeMap<u64, Piece>,
    next: u64,
    /// Threads that work.
    working: usize,
}

/// A thread that works, or one that is about to. Where it never comes to that, and there is no other, what waits is given up.
struct Working(Option<Arc<Queue>>);

/// Work that runs, or waits for its turn. Dropped, it does not begin any more if it has to wait. How many wait is bounded by the
/// tenant's places.
#[derive(Debug)]
pub(crate) struct Job<T> {
    outcome: oneshot::Receiver<T>,
    waits: Option<(Arc<Queue>, u64)>,
}

/// A piece of work has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the work panicked, or no thread could be had for it")]
pub(crate) struct NoOutcome;

impl Default for Jobs {
    fn default() -> Self {
        Self::at_once(*AT_ONCE)
    }
}

impl Jobs {
    fn at_once(threads: usize) -> Self {
        LazyLock::force(&NICE);
        Self(Arc::new(Queue { threads, state: Mutex::default() }))
    }

    /// Runs work that blocks. Where the share has room it begins now, whether the job is waited for or not; once begun it
    /// runs to its end. Otherwise it begins in its turn, if it is still waited for then. Call it on the runtime.
    ///
    /// # Errors
    /// - [`NoOutcome`]: the work panicked, or there was no thread for it
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        let (outcome, job) = oneshot::channel();
        let Self(queue) = self;
        let mut state = queue.state();
        let has_room = state.working < queue.threads;
        let number = state.next;
        state.next += 1;
        // An error means that nobody waits for it any more.
        state.waiting.insert(number, Box::new(move || _ = outcome.send(work())));
        if !has_room {
            return Job { outcome: job, waits: Some((Arc::clone(queue), number)) };
        }
        state.working += 1;
        drop(state);
        Working(Some(Arc::clone(queue))).begin();
        Job { outcome: job, waits: None }
    }
}

impl Working {
    fn begin(self) {
        spawn_blocking(move || self.work());
    }

    /// Does what waits, until nothing does.
    fn work(mut self) {
        stand_back();
        let began = Instant::now();
        while let Some(piece) = self.0.as_ref().and_then(|queue| queue.next()) {
            // Whoever waits for it learns of a panic by having no outcome.
            let _ = catch_unwind(AssertUnwindSafe(piece));
            if began.elapsed() >= GOES_ON {
                return self.begin();
            }
        }
        self.0 = None;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let Some(queue) = &self.0 else { return };
        let mut state = queue.state();
        state.working -= 1;
        let given_up = if state.working == 0 { std::mem::take(&mut state.waiting) } else { BTreeMap::new() };
        drop(state);
        drop(given_up);
    }
}

impl Queue {
    /// The next piece. Without one the thread works no more.
    fn next(&self) -> Option<Piece> {
        let mut state = self.state();
        let next = state.waiting.pop_first().map(|(_, piece)| piece);
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
pub(crate) fn stand_back() {
    thread_local! {
        static DONE: Cell<bool> = const { Cell::new(false) };
    }
    if let (false, Some(nice)) = (DONE.replace(true), *NICE) {
        // Of Linux a priority is a thread's own. Where it is not granted, all are as good as each other.
        let _ = setpriority_process(None, nice + STANDS_BACK);
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T, NoOutcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome).poll(cx).map_err(|_| NoOutcome)
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if let Some((queue, number)) = &self.waits {
            let piece = queue.state().waiting.remove(number);
            // What it holds goes without the lock.
            drop(piece);
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { waiting, working, next: _ } = self;
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
        assert!(never.recv().is_err(), "what it held is gone while the thread still hangs");
        let last = jobs.run(thread);
        drop(release);
        first.await.unwrap();
        assert_eq!(panics.await, Err(NoOutcome));
        assert_eq!(second.await.unwrap(), third.await.unwrap());
        last.await.unwrap();
    }

    #[tokio::test]
    async fn what_waits_is_given_up_where_no_thread_can_be_had() {
        let jobs = Jobs::at_once(0);
        let waits = jobs.run(|| ());
        jobs.0.state().working = 1;
        // As the runtime does with what it has no thread for.
        drop(Working(Some(Arc::clone(&jobs.0))));
        assert_eq!(waits.await, Err(NoOutcome));
        assert_eq!(jobs.0.state().working, 0);
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
