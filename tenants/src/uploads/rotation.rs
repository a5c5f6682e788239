//! Rotation: `x.log` becomes `x.log.1`, that becomes `x.log.2`, and the one past the last is dropped.

use std::io;

use cap_std::fs::Dir;

use super::UploadError;
use super::directory::gone_is_fine;
use super::disk::{facts, failed, size};

/// Which rotated logs a plan reckons with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OldLogs {
    /// Those that stand there.
    Standing,
    /// None, as if all had gone to make room.
    Gone,
}

/// The way a log's old ones are moved, looked up before any of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rotation {
    /// The number that the oldest one that moves gets; 0 where none is kept.
    last: u32,
    /// Whether nothing stands at that number.
    pub(super) adds_file: bool,
    /// The size of what stands there and is dropped.
    pub(super) frees: u64,
}

impl Rotation {
    /// Plans the rotation of the log at `path`, which keeps `keep` old ones. Only those below the first free number move.
    pub(super) fn plan(root: &Dir, path: &str, keep: u32, old: OldLogs) -> Result<Self, UploadError> {
        for number in 1..=keep {
            if old == OldLogs::Gone || size(root, &rotated(path, number))?.is_none() {
                return Ok(Self { last: number, adds_file: true, frees: 0 });
            }
        }
        let dropped = if keep == 0 { path.to_owned() } else { rotated(path, keep) };
        let frees = size(root, &dropped)?.unwrap_or(0);
        Ok(Self { last: keep, adds_file: false, frees })
    }

    /// Moves the old ones and gives the present log its second name, `.1`. The first one it keeps until `install` puts the
    /// new log there, which is on the disk by then, so that at no time none is.
    pub(super) fn run(
        self,
        root: &Dir,
        path: &str,
        install: impl FnOnce() -> Result<(), UploadError>,
    ) -> Result<(), UploadError> {
        if self.last == 0 {
            return install();
        }
        for number in (1..self.last).rev() {
            gone_is_fine(root.rename(rotated(path, number), root, rotated(path, number + 1)))
                .map_err(failed("rotate the log"))?;
        }
        let first = rotated(path, 1);
        gone_is_fine(root.remove_file(&first)).map_err(failed("rotate the log"))?;
        match root.hard_link(path, root, &first) {
            Ok(()) => install().inspect_err(|_| {
                // The log keeps its own name; that the old ones have moved up by one does no harm.
                let _ = root.remove_file(&first);
            }),
            // Some file systems have no hard links.
            Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
                root.rename(path, root, &first).map_err(failed("rotate the log"))?;
                install().inspect_err(|_| {
                    let _ = root.rename(&first, root, path);
                })
            }
            Err(error) => Err(failed("rotate the log")(error)),
        }
    }

    /// A rotation that was killed may have given the log its second name and no successor: then that name goes, or what is appended
    /// would be in both. The name, where it was so.
    pub(super) fn mend(root: &Dir, path: &str, which: (u64, u64)) -> Result<Option<String>, UploadError> {
        let first = rotated(path, 1);
        let is_same = facts(root, &first).is_ok_and(|found| found.is_some_and(|found| found.identity == which));
        if !is_same {
            return Ok(None);
        }
        gone_is_fine(root.remove_file(&first)).map_err(failed("mend a rotation"))?;
        Ok(Some(first))
    }

    /// The names whose sizes a rotation changes.
    pub(super) fn names(self, path: &str) -> impl Iterator<Item = String> {
        (1..=self.last).map(move |number| rotated(path, number))
    }
}

/// Whether the old ones of the log at `path` have names that a file system takes, of 255 bytes (`NAME_MAX`).
pub(super) fn fits(path: &str, keep: u32) -> bool {
    let oldest = rotated(path, keep);
    oldest.rsplit('/').next().is_some_and(|name| name.len() <= 255)
}

/// Drops a rotated log to make room.
pub(super) fn drop_rotated(root: &Dir, path: &str) -> Result<(), UploadError> {
    gone_is_fine(root.remove_file(path)).map_err(failed("drop a rotated log"))
}

/// The name of the log at `path` once it has rotated so often.
pub(super) fn rotated(path: &str, number: u32) -> String {
    format!("{path}.{number}")
}
