//! A folder that is held open, and what is to be known of its file system by whoever opens files below it.

use std::io;
use std::ops::Deref;

use cap_std::fs::{Dir, MetadataExt as _};
use rustix::fs::fstatfs;

use crate::leftovers::Leftovers;

/// File systems whose open(2) and fstat(2) of a name in memory ask nobody: of ext4, XFS, btrfs, tmpfs, F2FS and ZFS. A network's
/// would wait for its server; below an overlay may be anything.
const LOCAL: [i64; 6] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0xf2f5_2010, 0x2fc1_2fc1];

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: Dir,
    /// Whether names below it may be opened on the runtime's threads, and files of its own file system closed there.
    pub(crate) is_local: bool,
    /// The device and inode that it is.
    pub(crate) identity: (u64, u64),
    /// What is still to be closed or removed of what was opened below it.
    pub(crate) leftovers: Leftovers,
}

impl Folder {
    /// It blocks.
    pub(crate) fn new(dir: Dir) -> io::Result<Self> {
        let facts = dir.dir_metadata()?;
        let is_local = fstatfs(&dir).is_ok_and(|facts| LOCAL.contains(&facts.f_type));
        Ok(Self { dir, is_local, identity: (facts.dev(), facts.ino()), leftovers: Leftovers::default() })
    }
}

impl Deref for Folder {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        &self.dir
    }
}
