//! What the tenants' uploads hold is counted beside serving, so that no phone waits for it after a start.
//!
//! It happens on threads of its own, for which the end of the server does not wait. A disk that hangs takes one of them; where it
//! takes all, the tenants that are left are counted with their first upload.

use std::collections::VecDeque;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use provost_tenants::Tenant;
use provost_tenants::uploads::Uploads;

use crate::listen::stand_back;

/// Threads at most.
const THREADS: usize = 4;

/// The tenants that are still to be counted.
#[derive(Debug, Clone, Default)]
pub(super) struct Counting(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    /// With their tenants' names.
    waiting: VecDeque<(String, Arc<Uploads>)>,
    threads: usize,
}

impl Counting {
    /// Has these counted, too.
    pub(super) fn add(&self, tenants: impl IntoIterator<Item = Arc<Tenant>>) {
        let mut queue = self.queue();
        for tenant in tenants {
            // A tenant that is made anew meanwhile has the same accounts.
            queue.waiting.push_back((tenant.policy.name.clone(), Arc::clone(&tenant.uploads)));
            if queue.threads < THREADS {
                let counting = self.clone();
                let begun = thread::Builder::new().name("counting".into()).spawn(move || counting.run());
                queue.threads += usize::from(begun.is_ok());
            }
        }
    }

    fn run(&self) {
        stand_back();
        while let Some((tenant, uploads)) = self.next() {
            // One that panics must not take the thread along.
            let counted = catch_unwind(AssertUnwindSafe(|| uploads.prepare()));
            if let Ok(Err(error)) = counted {
                let error: &(dyn Error + 'static) = &error;
                tracing::warn!(tenant, error, "the uploads cannot be counted now");
            }
        }
    }

    /// The next one; without one, the thread ends.
    fn next(&self) -> Option<(String, Arc<Uploads>)> {
        let mut queue = self.queue();
        let next = queue.waiting.pop_front();
        queue.threads -= usize::from(next.is_none());
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
