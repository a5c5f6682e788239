//! Uploads on a real directory.

mod limits;
mod operator;
mod placement;
mod whole;

use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, io};

use cap_std::fs::Dir;
use provost_core::Operation;
use provost_core::path::Case;
use provost_core::upload::ContentRange;
use tempfile::TempDir;

use super::promised::Promised;
use super::state::State;
use super::{Durability, Quota, Stored, Target, UploadError, Uploads, UploadsSettings};
use crate::testing::{DEVICE, Site, parse};

/// The uploads of a tenant in a folder that vanishes.
struct Bench {
    folder: TempDir,
    site: Site,
    uploads: Uploads,
}

fn settings(directory: PathBuf) -> UploadsSettings {
    UploadsSettings {
        directory,
        device_quota: 16 << 20,
        device_files: 64,
        quota: Quota::Fixed(64 << 20),
        files: Quota::Fixed(1 << 20),
        max_upload: 32 << 20,
        max_log: 512 << 10,
        keep: 3,
        min_free: 0,
        durability: Durability::Cache,
        rules: Site::new(Case::Exact).rules(),
    }
}

/// Uploads that share nothing with those of this process.
fn of_another_process(settings: UploadsSettings) -> Uploads {
    let state = Arc::new(State::new(settings.directory.clone()));
    Uploads { settings: Arc::new(settings), state }
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut UploadsSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let mut settings = settings(folder.path().join("uploads/acme"));
        change(&mut settings);
        Self { folder, site: Site::new(settings.case()), uploads: Uploads::new(settings) }
    }

    /// The disk says that so much of it is free.
    fn free(&mut self, free: fn(&Dir) -> io::Result<u64>) {
        let directory = self.uploads.settings.directory.clone();
        let mut state = State::new(directory);
        state.free = free;
        // What other tests write is of no account.
        state.promised = Box::leak(Box::new(Promised::new()));
        self.uploads.state = Arc::new(state);
    }

    fn send(&self, name: &str, body: &[u8], target: Target) -> Result<Stored, UploadError> {
        self.send_to(&self.uploads, name, body, target)
    }

    fn send_to(&self, uploads: &Uploads, name: &str, body: &[u8], target: Target) -> Result<Stored, UploadError> {
        let permit = self.site.permit(DEVICE, Operation::Write, name);
        let mut spool = uploads.begin(permit, None)?;
        spool.write(body)?;
        spool.apply(target)
    }

    /// Sends `body` to `first`, as a range of exactly its length.
    fn range(&self, name: &str, body: &[u8], first: u64, complete: Option<u64>) -> Result<Stored, UploadError> {
        self.send(name, body, range(body, first, complete))
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("uploads/acme")
    }

    /// What stands at `path`, as text; `-` where nothing does.
    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.directory().join(path)).unwrap_or_else(|_| "-".into())
    }

    /// Every name below the directory, temporaries among them.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory())
            .unwrap_or_else(|error| panic!("{error}"))
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }
}

fn range(body: &[u8], first: u64, complete: Option<u64>) -> Target {
    let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
    Target::Range(ContentRange::new(first, first + length - 1, complete).unwrap_or_else(|error| panic!("{error}")))
}

/// A short word for what happened, for tables.
fn word(result: &Result<Stored, UploadError>) -> String {
    match result {
        Ok(stored) => {
            let verb = if stored.created { "created" } else { "stored" };
            stored.note.map_or_else(|| verb.to_owned(), |note| format!("{verb} {note}"))
        }
        Err(UploadError::BeyondEnd { size }) => format!("beyond {size}"),
        Err(UploadError::TooLarge { .. }) => "too large".into(),
        Err(UploadError::NoSpace(_)) => "no space".into(),
        Err(UploadError::BodyLength) => "body length".into(),
        Err(UploadError::Changed) => "changed".into(),
        Err(UploadError::Unstorable) => "unstorable".into(),
        Err(UploadError::Io { operation, source }) => format!("{operation}: {source}"),
    }
}
