//! What is left to be done where something is dropped, and may wait for a disk or for the server of a share.
//!
//! Whoever breaks off drops what it has on the runtime, which must wait for neither. So that is handed to another thread, one for
//! each folder of a tenant: of a disk that hangs, several would soon be all that the tenants share.

use std::collections::VecDeque;
use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

type Piece = Box<dyn FnOnce() + Send>;

/// What is left of one folder. All of it is done once, whatever ends.
#[derive(Clone, Default)]
pub(crate) struct Leftovers(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    has_worker: bool,
}

/// Dropped, it does what is left: whether its thread does that, or a runtime that ends before there is one.
struct Worker(Leftovers);

impl Leftovers {
    /// Leaves a piece of work to another thread; it blocks where there is no runtime.
    pub(crate) fn leave(&self, piece: impl FnOnce() + Send + 'static) {
        let mut queue = self.queue();
        queue.pieces.push_back(Box::new(piece));
        if std::mem::replace(&mut queue.has_worker, true) {
            return;
        }
        drop(queue);
        let worker = Worker(self.clone());
        match Handle::try_current() {
            Ok(runtime) => _ = runtime.spawn_blocking(move || drop(worker)),
            Err(_) => drop(worker),
        }
    }

    /// Does one piece, if there is one. Whoever opens a file does, so that there are never more of them than were open at once. It
    /// blocks.
    pub(crate) fn do_one(&self) {
        let first = self.queue().pieces.pop_front();
        if let Some(piece) = first {
            piece();
        }
    }

    /// The next one. Without one the worker has done its work.
    fn next(&self) -> Option<Piece> {
        let mut queue = self.queue();
        let next = queue.pieces.pop_front();
        queue.has_worker = next.is_some();
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for Leftovers {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leftovers").field(&self.queue().pieces.len()).finish()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        while let Some(piece) = self.0.next() {
            piece();
        }
    }
}
