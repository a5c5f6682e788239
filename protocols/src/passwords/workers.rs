//! Who computes argon2id: few at once of one tenant, few at once of all, and no more that wait than can be served before a
//! phone gives up.
//!
//! Each check takes a core for tens of milliseconds, and megabytes. All would take the machine if each peer that sends a
//! password had one at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::Busy;

/// How many may wait of one tenant. At forty a second on one core that is six seconds.
const WAITING: usize = 256;

static CORES: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, std::num::NonZero::get));
/// Of all tenants together. It is fair: whoever has waited longest is next, and no tenant has more than its own turns in line.
static ALL: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(*CORES)));

/// The workers of one tenant.
#[derive(Debug)]
pub(super) struct Workers {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place in the queue. Dropped, it is free again.
struct Place<'a>(&'a AtomicUsize);

impl Default for Workers {
    fn default() -> Self {
        Self::of((*CORES / 2).max(1))
    }
}

impl Workers {
    fn of(turns: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(turns)), waiting: AtomicUsize::new(0) }
    }

    /// Computes off the runtime, in its turn. Work that has begun runs to its end, and holds its turn to it.
    ///
    /// # Errors
    /// - [`Busy`]: too many wait
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = self.place()?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Busy)?;
        let of_all = Arc::clone(&ALL).acquire_owned().await.map_err(|_| Busy)?;
        drop(place);
        let computed = spawn_blocking(move || {
            let outcome = work();
            drop((turn, of_all));
            outcome
        });
        // It panics in a bug alone; then the password is not known to be right.
        computed.await.map_err(|_| Busy)
    }

    /// Takes every place in the queue.
    #[cfg(test)]
    pub(super) fn fill(&self) {
        self.waiting.store(WAITING, Ordering::Relaxed);
    }

    fn place(&self) -> Result<Place<'_>, Busy> {
        let place = Place(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) < WAITING { Ok(place) } else { Err(Busy) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn so_many_compute_so_many_wait_and_the_next_is_told_to_come_again() {
        let workers = Arc::new(Workers::of(1));
        let (release, hang) = channel::<()>();
        let (began, begins) = tokio::sync::oneshot::channel();
        let hang = Mutex::new(hang);
        let computing = {
            let workers = Arc::clone(&workers);
            tokio::spawn(async move {
                let work = move || {
                    began.send(()).unwrap();
                    _ = hang.lock().unwrap().recv();
                };
                workers.run(work).await
            })
        };
        begins.await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(workers.run(|| ()))).collect();
        for each in &mut waiting {
            assert!(futures_poll(each.as_mut()).is_pending());
        }
        assert_eq!(workers.run(|| ()).await, Err(Busy));
        // Who goes away makes room.
        drop(waiting.pop());
        let mut next = Box::pin(workers.run(|| 7));
        assert!(futures_poll(next.as_mut()).is_pending());
        drop(release);
        assert_eq!(computing.await.unwrap(), Ok(()));
        drop(waiting);
        assert_eq!(next.await, Ok(7));
        assert_eq!(workers.waiting.load(Ordering::Relaxed), 0);
    }

    fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
        future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
