//! An open file that keeps no thread of the runtime waiting when it is closed.
//!
//! close(2) asks the server of a share (of FUSE, of NFS), and on any disk frees the blocks of a file whose name is gone. One
//! download that was broken off on a share that hung stood the runtime still, and with it all tenants.

use std::fs::File;
use std::io;
use std::ops::Deref;

use rustix::fs::fstat;

use super::folder::Folder;
use crate::leftovers::Leftovers;

/// An open file. Dropped, it is closed: at once where that waits for nothing, else by another thread.
#[derive(Debug)]
pub struct Descriptor {
    /// Absent once it is closed.
    file: Option<File>,
    is_local: bool,
    leftovers: Leftovers,
}

impl Descriptor {
    /// A file of this device that was opened below a folder. Another file system may be mounted there: of that nothing is known.
    pub(super) fn below(folder: &Folder, file: File, device: u64) -> Self {
        let is_local = folder.is_local && device == folder.identity.0;
        Self { file: Some(file), is_local, leftovers: folder.leftovers.clone() }
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let Self { is_local, leftovers, .. } = self;
        Ok(Self { file: Some(File::try_clone(self)?), is_local: *is_local, leftovers: leftovers.clone() })
    }
}

/// A file of which nothing is known.
impl From<File> for Descriptor {
    fn from(file: File) -> Self {
        Self { file: Some(file), is_local: false, leftovers: Leftovers::default() }
    }
}

impl Deref for Descriptor {
    type Target = File;

    #[expect(clippy::expect_used, reason = "it is there until it is dropped")]
    fn deref(&self) -> &File {
        self.file.as_ref().expect("an open file")
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        let has_a_name = || fstat(&file).is_ok_and(|facts| facts.st_nlink > 0);
        if !self.is_local || !has_a_name() {
            self.leftovers.leave(move || drop(file));
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs::TryLockError;
    use std::os::unix::fs::MetadataExt as _;
    use std::sync::mpsc::channel;

    use cap_std::ambient_authority;
    use cap_std::fs::Dir;
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn what_waits_to_be_closed_is_closed_off_the_runtime() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Dir::open_ambient_dir(directory.path(), ambient_authority()).unwrap();
        let mut folder = Folder::new(folder).unwrap();
        let path = directory.path().join("image");
        let runtime = Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        for (is_local, is_replaced, at_once) in
            [(true, false, true), (true, true, false), (false, false, false), (false, true, false)]
        {
            let (release, hang) = channel::<()>();
            let hangs = runtime.spawn_blocking(move || hang.recv());
            folder.is_local = is_local;
            let file = File::create(&path).unwrap();
            file.lock().unwrap();
            let other = File::open(&path).unwrap();
            if is_replaced {
                std::fs::remove_file(&path).unwrap();
            }
            let device = file.metadata().unwrap().dev();
            let file = Descriptor::below(&folder, file, device);
            runtime.block_on(async { drop(file) });
            let is_open = || matches!(other.try_lock_shared(), Err(TryLockError::WouldBlock));
            assert_eq!(!is_open(), at_once, "local {is_local}, replaced {is_replaced}");
            // As whoever opens the next one does.
            folder.leftovers.do_one();
            assert!(!is_open());
            drop(release);
            assert!(runtime.block_on(hangs).is_ok());
            // Behind whatever the one thread does with what was left.
            assert!(runtime.block_on(runtime.spawn_blocking(|| ())).is_ok());
        }
        folder.is_local = true;
        let file = File::open(directory.path()).unwrap();
        assert!(!Descriptor::below(&folder, file, folder.identity.0 + 1).is_local, "mounted below");
    }
}
