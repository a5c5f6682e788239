//! The file of a body, until it is put in place or removed.
//!
//! Whoever breaks off drops its body on the runtime, which must not wait for the disk to remove it. So it is handed to another
//! thread, one for each directory: of a disk that hangs, several would soon be all that the tenants share.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

use super::UploadError;
use super::disk::Temporary;
use super::root::Root;
use super::state::State;

/// The file of a body. Dropped, it is removed, without waiting for the disk where the runtime would.
#[derive(Debug)]
pub(super) struct Body {
    /// Absent once it is removed.
    file: Option<Temporary>,
    /// Where it is.
    pub(super) root: Arc<Root>,
    state: Arc<State>,
}

/// The files of one directory that are still to be removed.
#[derive(Debug, Default)]
pub(super) struct Leftovers(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    files: VecDeque<(Temporary, Arc<Root>)>,
    has_remover: bool,
}

/// Dropped, it removes what is left: whether its thread does that, or a runtime that ends before there is one.
struct Remover(Arc<State>);

impl Body {
    /// A new one. It blocks.
    pub(super) fn create(root: Arc<Root>, state: Arc<State>) -> Result<Self, UploadError> {
        // So that there are never more of them than bodies were on their way at once.
        state.leftovers.remove_one();
        Ok(Self { file: Some(Temporary::create(&root)?), root, state })
    }

    /// Removes it here, where it was not put in place. It is used no more. It blocks.
    pub(super) fn remove(&mut self) {
        if let Some(file) = self.file.take() {
            file.remove(&self.root);
        }
    }
}

impl Deref for Body {
    type Target = Temporary;

    #[expect(clippy::expect_used, reason = "it is there until it is removed, and nothing is asked of it then")]
    fn deref(&self) -> &Temporary {
        self.file.as_ref().expect("the file of a body")
    }
}

impl DerefMut for Body {
    #[expect(clippy::expect_used, reason = "as above")]
    fn deref_mut(&mut self) -> &mut Temporary {
        self.file.as_mut().expect("the file of a body")
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        if self.state.leftovers.add(file, Arc::clone(&self.root)) {
            return;
        }
        let remover = Remover(Arc::clone(&self.state));
        match Handle::try_current() {
            Ok(runtime) => _ = runtime.spawn_blocking(move || drop(remover)),
            Err(_) => drop(remover),
        }
    }
}

impl Leftovers {
    /// Adds one. Whether somebody removes them already.
    fn add(&self, file: Temporary, root: Arc<Root>) -> bool {
        let mut queue = self.queue();
        queue.files.push_back((file, root));
        std::mem::replace(&mut queue.has_remover, true)
    }

    fn remove_one(&self) {
        let first = self.queue().files.pop_front();
        if let Some((file, root)) = first {
            file.remove(&root);
        }
    }

    /// The next one. Without one the remover has done its work.
    fn next(&self) -> Option<(Temporary, Arc<Root>)> {
        let mut queue = self.queue();
        let next = queue.files.pop_front();
        queue.has_remover = next.is_some();
        next
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        while let Some((file, root)) = self.0.leftovers.next() {
            file.remove(&root);
        }
    }
}
