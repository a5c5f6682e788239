//! Tasks of one listener that have never run: so many and no more.
//!
//! A burst of datagrams would else become thousands of tasks at once. Here it waits in the socket, where it costs memory of the
//! kernel that is bounded, and time of this listener's own phones.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for tasks that have not run yet.
#[derive(Debug, Clone)]
pub(crate) struct Begins(Arc<Semaphore>);

/// Room that has been taken. What is not used of it is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Room(Option<OwnedSemaphorePermit>);

/// A task that gives its place back once it has run for the first time.
struct Beginning<F> {
    work: Pin<Box<F>>,
    place: Option<OwnedSemaphorePermit>,
}

impl Begins {
    /// Room for so many.
    pub(crate) fn at_once(tasks: usize) -> Self {
        Self(Arc::new(Semaphore::new(tasks)))
    }

    /// Waits until there is room for so many, which must not be more than there is at all.
    pub(crate) async fn room(&self, tasks: usize) -> Room {
        // The semaphore is never closed, so that there always will be room.
        Room(Arc::clone(&self.0).acquire_many_owned(u32::try_from(tasks).unwrap_or(u32::MAX)).await.ok())
    }
}

impl Room {
    /// Work that takes one of the places until it has run for the first time. Past the last place it takes none.
    pub(crate) fn begin<F: Future<Output = ()> + Send>(&mut self, work: F) -> impl Future<Output = ()> + Send + use<F> {
        let place = self.0.as_mut().and_then(|room| room.split(1));
        Beginning { work: Box::pin(work), place }
    }
}

impl<F: Future<Output = ()>> Future for Beginning<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let outcome = self.work.as_mut().poll(cx);
        self.place = None;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_free_once_its_task_has_run_or_is_gone() {
        let begins = Begins::at_once(2);
        let mut room = begins.room(2).await;
        let mut waits = Box::pin(room.begin(std::future::pending()));
        let never_runs = room.begin(std::future::pending());
        let beyond = room.begin(std::future::pending());
        drop(room);
        assert_eq!(begins.0.available_permits(), 0);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        assert_eq!(begins.0.available_permits(), 1);
        drop((never_runs, beyond));
        assert_eq!(begins.0.available_permits(), 2);
    }
}
