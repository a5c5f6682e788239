//! The file of a body, until it is put in place or removed.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::UploadError;
use super::disk::Temporary;
use super::root::Root;

/// The file of a body. Dropped, it is removed, without waiting for the disk where the runtime would.
#[derive(Debug)]
pub(super) struct Body {
    /// Absent once it is removed.
    file: Option<Temporary>,
    /// Where it is.
    pub(super) root: Arc<Root>,
}

impl Body {
    /// A new one. It blocks.
    pub(super) fn create(root: Arc<Root>) -> Result<Self, UploadError> {
        root.leftovers.do_one();
        Ok(Self { file: Some(Temporary::create(&root)?), root })
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
        let root = Arc::clone(&self.root);
        self.root.leftovers.leave(move || file.remove(&root));
    }
}
