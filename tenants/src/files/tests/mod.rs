//! Files in real folders.

mod at_once;
mod escapes;
mod listing;
mod order;

use std::fs;
use std::io::read_to_string;
use std::path::Path;
use std::sync::Arc;

use provost_core::Operation;
use provost_core::path::Case;
use tempfile::TempDir;

use super::folder::Folder;
use super::{FileError, FileFacts, FileInMemory, Files, FilesSettings, OpenFile};
use crate::testing::{DEVICE, Site};
use crate::uploads::{Durability, Quota, Target, Uploads, UploadsSettings};

/// A tenant with a root, a shared root and uploads, in folders that vanish.
struct Bench {
    folder: TempDir,
    site: Site,
    uploads: Arc<Uploads>,
    files: Files,
}

impl Bench {
    /// Whether its files are asked for at once.
    fn is_local(&self) -> bool {
        let folder = cap_std::fs::Dir::open_ambient_dir(self.folder.path(), cap_std::ambient_authority());
        folder.and_then(Folder::new).is_ok_and(|folder| folder.is_local)
    }

    fn new(case: Case) -> Self {
        Self::with_shared_roots(case, 1)
    }

    /// The same with so many shared roots, all in one folder.
    fn with_shared_roots(case: Case, count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let at = |name: &str| folder.path().join(name);
        for name in ["root", "shared", "outside"] {
            fs::create_dir(at(name)).unwrap_or_else(|error| panic!("{error}"));
        }
        let uploads = Arc::new(Uploads::new(UploadsSettings {
            directory: at("uploads"),
            device_quota: 1 << 20,
            device_files: 64,
            quota: Quota::Fixed(1 << 20),
            files: Quota::Fixed(1 << 20),
            max_upload: 1 << 20,
            max_log: 1 << 20,
            keep: 3,
            min_free: 0,
            durability: Durability::Cache,
            rules: Site::new(case).rules(),
        }));
        let settings = FilesSettings { root: at("root"), shared: vec![at("shared"); count], case };
        uploads.prepare().unwrap_or_else(|error| panic!("{error}"));
        let files = Files::open_roots(settings, Arc::clone(&uploads)).unwrap_or_else(|error| panic!("{error}"));
        Self { site: Site::new(case), folder, uploads, files }
    }

    /// Writes a file that says its own path, such as `root/a/b.cfg`.
    fn write(&self, path: &str) {
        let file = self.folder.path().join(path);
        let folder = file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).and_then(|()| fs::write(&file, path)).unwrap_or_else(|error| panic!("{error}"));
    }

    fn upload(&self, path: &str) {
        let permit = self.site.permit(DEVICE, Operation::Write, path);
        let mut spool = self.uploads.begin(permit, None).unwrap_or_else(|error| panic!("{error}"));
        spool.write(format!("uploads/{path}").as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let stored = spool.apply(Target::Whole);
        assert!(stored.is_ok(), "{stored:?}");
    }

    /// What a phone gets for `path`; `-` for nothing.
    fn read(&self, path: &str) -> String {
        let permit = self.site.permit(DEVICE, Operation::Read, path);
        let outcome = self.files.open(&permit);
        let at_once = self.files.open_at_once(&permit).map(|file| match file {
            FileInMemory::Open(OpenFile { facts, .. }) | FileInMemory::Held { facts, .. } => facts,
        });
        let facts = outcome.as_ref().ok().map(|open| open.facts);
        assert!(at_once.is_none() || at_once == facts, "{path}: {at_once:?}, {facts:?}");
        match outcome {
            Ok(open) => {
                let text = read_to_string(&*open.file).unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(open.facts.size, text.len() as u64);
                text
            }
            Err(error) => word(&error),
        }
    }

    fn describe(&self, path: &str) -> Result<FileFacts, String> {
        self.files.describe(&self.site.permit(DEVICE, Operation::Read, path)).map_err(|error| word(&error))
    }
}

fn word(error: &FileError) -> String {
    match error {
        FileError::NotFound => "-".into(),
        FileError::Io { operation, path, source } => format!("{operation} {path}: {source}"),
    }
}
