//! What the tenants' uploads hold is counted beside serving, so that no phone waits for it after a start.
//!
//! It happens on threads of its own, for which the end of the server does not wait. A disk that hangs takes one of them; where it
//! takes all, the tenants that are left are counted with their first upload.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use provost_tenants::Tenant;

/// Threads at most.
const THREADS: usize = 4;

/// The tenants that are still to be counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Counting(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Weak<Tenant>>,
    threads: usize,
}

impl Counting {
    /// Has these counted, too.
    pub(super) fn add(&self, tenants: impl IntoIterator<Item = Arc<Tenant>>) {
        let mut queue = self.queue();
        for tenant in tenants {
            queue.waiting.push_back(Arc::downgrade(&tenant));
            if queue.threads < THREADS {
                let counting = self.clone();
                let begun = thread::Builder::new().name("counting".into()).spawn(move || counting.run());
                queue.threads += usize::from(begun.is_ok());
            }
        }
    }

    fn run(&self) {
        while let Some(tenant) = self.next() {
            let Some(tenant) = tenant.upgrade() else { continue };
            if let Err(error) = tenant.uploads.prepare() {
                let tenant = &tenant.policy.name;
                let error: &(dyn Error + 'static) = &error;
                tracing::warn!(tenant, error, "the uploads cannot be counted now");
            }
        }
    }

    /// The next one; without one, the thread ends.
    fn next(&self) -> Option<Weak<Tenant>> {
        let mut queue = self.queue();
        let next = queue.waiting.pop_front();
        queue.threads -= usize::from(next.is_none());
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
