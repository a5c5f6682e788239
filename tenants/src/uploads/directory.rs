//! The directory of a tenant's uploads: made, cleaned, walked. It is a capability: nothing outside it can be named.

use std::fs::{DirBuilder, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions, OpenOptionsExt as _};
use provost_core::path::RESERVED_PREFIX;

use super::disk::PLAIN;

/// How deep a walk goes: further than any upload is stored.
const MAX_DEPTH: usize = super::MAX_FOLDERS + 2;

/// What this process writes into the names of its temporaries: those of another one were left by a crash.
static PROCESS: LazyLock<String> = LazyLock::new(|| {
    let started = jiff::Timestamp::now().as_nanosecond();
    format!("{RESERVED_PREFIX}{}-{started:x}-", std::process::id())
});

/// A name for a temporary file.
pub(super) fn temporary() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}{}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Makes the directory where it is missing, and opens it.
pub(super) fn make(path: &Path) -> io::Result<Dir> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    open(path)
}

/// Opens the directory.
pub(super) fn open(path: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority())
}

/// Removes what a former process left half done. Temporaries of this one may be under way, during a reload, and those of another
/// one that still ends, or that somebody started beside it by mistake.
pub(super) fn clean(root: &Dir) -> io::Result<()> {
    for entry in root.entries()? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(RESERVED_PREFIX) && !name.starts_with(&*PROCESS) && !is_held(root, name) {
            // On a disk that came back read-only what phones sent is read all the same.
            if let Err(error) = gone_is_fine(root.remove_file(name)) {
                tracing::warn!(name, %error, "what a former process left half done stays in the uploads");
            }
        }
    }
    Ok(())
}

/// Whether the process that writes it lives: the lock of a temporary goes with its process.
fn is_held(root: &Dir, name: &str) -> bool {
    let mut options = OpenOptions::new();
    // To write, too: over NFS who only reads has no lock of its own.
    options.read(true).write(true).custom_flags(PLAIN);
    let file = root.open_with(name, &options);
    file.is_ok_and(|file| matches!(file.into_std().try_lock(), Err(TryLockError::WouldBlock)))
}

/// Shows every upload to `see`, with its path. Links, temporaries and names that no request can spell are none. Folders that may not
/// be read are given back: that one is somebody else's is no reason to have none.
pub(super) fn walk(root: &Dir, see: &mut dyn FnMut(&str, &Metadata)) -> io::Result<Vec<String>> {
    let mut unread = Vec::new();
    walk_folder(root, "", MAX_DEPTH, see, &mut unread)?;
    Ok(unread)
}

fn walk_folder(
    folder: &Dir,
    prefix: &str,
    depth: usize,
    see: &mut dyn FnMut(&str, &Metadata),
    unread: &mut Vec<String>,
) -> io::Result<()> {
    for entry in folder.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with(RESERVED_PREFIX)) else { continue };
        let Some(facts) = found(folder.symlink_metadata(name))? else { continue };
        let path = format!("{prefix}{name}");
        if facts.is_file() {
            see(&path, &facts);
        } else if facts.is_dir() && depth > 0 {
            let below = folder.open_dir(name);
            match below.and_then(|below| walk_folder(&below, &format!("{path}/"), depth - 1, see, unread)) {
                // A folder may vanish while it is walked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => unread.push(path),
                walked => walked?,
            }
        }
    }
    Ok(())
}

/// What is there, or nothing.
pub(super) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whoever wanted it gone has it gone.
pub(super) fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    found(result).map(|_| ())
}
