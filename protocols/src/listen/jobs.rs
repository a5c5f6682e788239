//! Work that blocks on the file system, off the runtime: so much of one tenant at once.
//!
//! The threads for it are shared by all tenants. Without a bound for each a slow folder of one would take them all, and
//! everybody else would wait behind its requests.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::thread::available_parallelism;

use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, spawn_blocking};

/// Pieces of work at once for each core of the machine. Most of them wait for the disk.
const JOBS_PER_CORE: usize = 4;
/// Pieces of work at once at least: an upload waits for the disk much longer than it computes.
const LEAST_JOBS: usize = 16;

/// How far its threads stand back behind the runtime's where both want a core (nice(2)). In a storm of uploads some 64 of them shared
/// the cores with the two threads that serve everybody, and nobody else was heard for half a second.
const STANDS_BACK: i32 = 10;

static AT_ONCE: LazyLock<usize> =
    LazyLock::new(|| available_parallelism().map_or(LEAST_JOBS, |cores| LEAST_JOBS.max(cores.get() * JOBS_PER_CORE)));

/// One tenant's share of the threads.
#[derive(Debug)]
pub(crate) struct Jobs(Arc<Semaphore>);

/// Work that runs, or waits for its turn. How many wait is bounded by the tenant's places.
pub(crate) struct Job<T>(Pin<Box<dyn Future<Output = Result<T, JoinError>> + Send>>);

impl Default for Jobs {
    fn default() -> Self {
        Self::at_once(*AT_ONCE)
    }
}

impl Jobs {
    fn at_once(jobs: usize) -> Self {
        Self(Arc::new(Semaphore::new(jobs)))
    }

    /// Runs work that blocks. Where the share has room it begins now, whether the job is waited for or not; once begun it
    /// runs to its end. Otherwise it begins in its turn, if it is still waited for then.
    ///
    /// # Errors
    /// - [`JoinError`]: the work panicked
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Job<T> {
        let begin = |turn: Option<OwnedSemaphorePermit>| {
            spawn_blocking(move || {
                stand_back();
                let outcome = work();
                drop(turn);
                outcome
            })
        };
        if let Ok(turn) = Arc::clone(&self.0).try_acquire_owned() {
            return Job(Box::pin(begin(Some(turn))));
        }
        let turns = Arc::clone(&self.0);
        // The semaphore is never closed, so that there always is a turn.
        Job(Box::pin(async move { begin(turns.acquire_owned().await.ok()).await }))
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
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> std::fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
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
        let hang = Arc::new(std::sync::Mutex::new(hang));
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
    async fn what_blocks_stands_back_behind_the_runtime() {
        let nice = || getpriority_process(None).unwrap();
        let here = nice();
        for _ in 0..2 {
            assert_eq!(Jobs::default().run(nice).await.unwrap(), (here + STANDS_BACK).min(19));
        }
        assert_eq!(nice(), here);
    }

    fn futures_poll<T>(job: &mut Job<T>) -> Poll<Result<T, JoinError>> {
        Pin::new(job).poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}
