//! The operator's view of what phones have sent. It runs in another process, beside a server that writes: each step is one
//! of the system's own, a listing is a moment's view, and what is discarded between two bodies is simply not there.

use std::fs::File;
use std::io;
use std::time::SystemTime;

use cap_std::fs::{Dir, Metadata, OpenOptions, OpenOptionsExt};
use provost_core::Mac;
use provost_core::path::{RequestPath, Strip};

use super::directory::{found, gone_is_fine, open, walk};
use super::disk::{PLAIN, failed};
use super::{UploadError, Uploads, UploadsSettings, folders};

/// One upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadEntry {
    /// The device whose it is, as its name or the tenant's rules tell.
    pub device: Option<Mac>,
    /// Its path below the tenant's uploads.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// When its bytes last changed.
    pub modified: SystemTime,
}

/// Which uploads are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of one device.
    Device(Mac),
    /// The one at this path, as `list` tells it.
    Path(String),
}

impl Selection {
    fn covers(&self, entry: &UploadEntry) -> bool {
        match self {
            Self::Device(device) => entry.device == Some(*device),
            Self::Path(path) => entry.path == *path,
        }
    }
}

impl Uploads {
    /// All uploads, by path. Where no phone has sent anything there are none. It blocks.
    ///
    /// # Errors
    /// - [`UploadError::Io`]: the directory cannot be read
    pub fn list(&self) -> Result<Vec<UploadEntry>, UploadError> {
        let Some(root) = self.existing()? else { return Ok(Vec::new()) };
        let mut entries = Vec::new();
        let unread = walk(&root, &mut |path, facts| entries.push(entry(&self.settings, path, facts)));
        if !unread.map_err(failed("list the uploads"))?.is_empty() {
            return Err(failed("list the uploads")(io::ErrorKind::PermissionDenied.into()));
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    /// Opens the upload at `path`, as `list` tells it. It blocks.
    ///
    /// # Errors
    /// - [`UploadError::Io`]: there is none, or it cannot be opened
    /// - [`UploadError::Unstorable`]: it is no file, or `path` is no path of an upload
    pub fn show(&self, path: &str) -> Result<File, UploadError> {
        let path = RequestPath::parse(path.as_bytes(), &Strip::default()).map_err(|_| UploadError::Unstorable)?;
        let missing = || failed("open the upload")(io::ErrorKind::NotFound.into());
        let root = self.existing()?.ok_or_else(missing)?;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(PLAIN);
        let file = root.open_with(path.as_str(), &options).map_err(failed("open the upload"))?.into_std();
        let is_file = file.metadata().map_err(failed("open the upload"))?.is_file();
        if is_file { Ok(file) } else { Err(UploadError::Unstorable) }
    }

    /// Removes what `selection` covers, and the folders that are empty then, and returns it. It blocks.
    ///
    /// # Errors
    /// - [`UploadError::Io`]: one cannot be removed; those before it are
    pub fn discard(&self, selection: &Selection) -> Result<Vec<UploadEntry>, UploadError> {
        let Some(root) = self.existing()? else { return Ok(Vec::new()) };
        let mut chosen = self.list()?;
        chosen.retain(|entry| selection.covers(entry));
        for entry in &chosen {
            gone_is_fine(root.remove_file(&entry.path)).map_err(failed("discard the upload"))?;
            // One that is not empty stays, and those above it.
            let _ = folders(&entry.path).try_for_each(|folder| root.remove_dir(folder));
        }
        Ok(chosen)
    }

    fn existing(&self) -> Result<Option<Dir>, UploadError> {
        found(open(self.state.directory())).map_err(failed("open the uploads directory"))
    }
}

fn entry(settings: &UploadsSettings, path: &str, facts: &Metadata) -> UploadEntry {
    let modified = facts.modified().map_or(SystemTime::UNIX_EPOCH, cap_std::time::SystemTime::into_std);
    UploadEntry { device: settings.owner(path), path: path.to_owned(), size: facts.len(), modified }
}
