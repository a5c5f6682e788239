//! A body on its way.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use provost_core::{Mac, Permit};

use super::body::Body;
use super::disk::failed;
use super::ledger::{Allowance, Coming};
use super::promised::Promise;
use super::settings::UploadsSettings;
use super::state::State;
use super::{Stored, Target, UploadError, apply};
use crate::files::FileFacts;
use crate::sha256::Sha256;

/// A body on its way: it is spooled beside the uploads, and applied as a whole or not at all. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Spool {
    pub(super) upload: Announced,
    pub(super) body: Body,
    length: u64,
    reserved: u64,
}

/// A body that may come. Nothing is held for it.
#[derive(Debug)]
pub struct Announced {
    pub(super) settings: Arc<UploadsSettings>,
    pub(super) state: Arc<State>,
    pub(super) permit: Permit,
    pub(super) device: Mac,
    pub(super) path: String,
}

impl Announced {
    /// Whether so many bytes would fit now.
    pub(super) fn checked(self, expected: u64) -> Result<Self, UploadError> {
        let Self { settings, state, device, path, .. } = &self;
        if expected > settings.max_upload {
            return Err(UploadError::TooLarge { limit: settings.max_upload });
        }
        let (root, allowance) = (state.counted(settings)?, self.allowance());
        let coming = Coming { reserved: 0, more: expected };
        state.check_room(&root, *device, settings, |ledger, spare| {
            ledger.check_spool(*device, path, coming, spare, allowance)
        })?;
        state.check_free(&root, *device, settings, self.needed(expected))?;
        Ok(self)
    }

    /// Begins the body. It blocks.
    ///
    /// # Errors
    /// - [`UploadError::NoSpace`]: the device sends too many at once
    /// - [`UploadError::Io`]
    pub fn begin(self) -> Result<Spool, UploadError> {
        let (state, device) = (&self.state, self.device);
        let root = state.counted(&self.settings)?;
        let opened = state.ledger().open_spool(device, self.allowance());
        opened.map_err(|shortage| UploadError::NoSpace(shortage.text()))?;
        let body = Body::create(root).inspect_err(|_| state.ledger().close_spool(device, 0))?;
        Ok(Spool { upload: self, body, length: 0, reserved: 0 })
    }

    pub(super) fn allowance(&self) -> Allowance {
        self.settings.allowance(self.permit.rule().kind)
    }

    /// How many bytes the disk must have for `more` to be written beside what is promised: it keeps free what it must.
    pub(super) fn needed(&self, more: u64) -> u64 {
        self.settings.min_free.saturating_add(more)
    }
}

impl Spool {
    /// Adds bytes. It blocks.
    ///
    /// # Errors
    /// - [`UploadError::TooLarge`], [`UploadError::NoSpace`], [`UploadError::Io`]
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        let more = self.admit(bytes.len())?;
        let _written_now = self.reserve(more)?;
        self.body.file.write_all(bytes).map_err(failed("spool the body"))?;
        self.length += more;
        Ok(())
    }

    /// Adds the next `bytes` bytes of a pipe. The system moves them by itself where the file system takes that (splice(2)), which
    /// copies them once instead of twice. It blocks.
    ///
    /// # Errors
    /// - as [`Spool::write`]
    /// - [`UploadError::Io`]: the pipe holds less
    pub fn take(&mut self, pipe: &File, bytes: usize) -> Result<(), UploadError> {
        let failed = failed("spool the body");
        let more = self.admit(bytes)?;
        let _written_now = self.reserve(more)?;
        match std::io::copy(&mut pipe.take(more), &mut &self.body.file) {
            Ok(moved) if moved == more => {}
            Ok(_) => return Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
            Err(error) => return Err(failed(error)),
        }
        self.length += more;
        Ok(())
    }

    /// How many bytes it holds.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Puts the bytes where they belong, under the file's lock. When it returns, they are on the disk (`durability`). It blocks.
    ///
    /// # Errors
    /// - any [`UploadError`]; what was there stands as it was
    pub fn apply(self, target: Target) -> Result<Stored, UploadError> {
        self.apply_if(target, |_| true)
    }

    /// The same, if `holds` of what stands there; it is asked under the file's lock, so that nothing comes between.
    ///
    /// # Errors
    /// - [`UploadError::Changed`]: it does not hold
    /// - as [`Spool::apply`]
    pub fn apply_if(
        mut self,
        target: Target,
        holds: impl Fn(Option<&FileFacts>) -> bool,
    ) -> Result<Stored, UploadError> {
        let applied = apply::apply(&mut self, target, holds);
        self.body.remove();
        applied
    }

    /// The SHA-256 of what was written. It is read back, since of most bodies nobody asks: it would be two fifths of the work of
    /// a large one. It blocks.
    pub(super) fn digest(&self) -> Result<[u8; 32], UploadError> {
        let mut digest = Sha256::default();
        let (mut buffer, mut offset) = (vec![0; 64 * 1024], 0);
        while offset < self.length {
            let read = self.body.file.read_at(&mut buffer, offset).map_err(failed("read the body back"))?;
            if read == 0 {
                return Err(failed("read the body back")(std::io::ErrorKind::UnexpectedEof.into()));
            }
            digest.update(buffer.get(..read).unwrap_or_default());
            offset = offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        }
        Ok(digest.finish())
    }

    /// So many bytes, if no file is too large with them.
    fn admit(&self, bytes: usize) -> Result<u64, UploadError> {
        let limit = self.upload.settings.max_upload;
        match u64::try_from(bytes) {
            Ok(more) if self.length.saturating_add(more) <= limit => Ok(more),
            Ok(_) | Err(_) => Err(UploadError::TooLarge { limit }),
        }
    }

    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    fn reserve(&mut self, more: u64) -> Result<Promise<'static>, UploadError> {
        let Announced { settings, state, device, path, .. } = &self.upload;
        let allowance = self.upload.allowance();
        let coming = Coming { reserved: self.reserved, more };
        state.check_room(&self.body.root, *device, settings, |ledger, spare| {
            ledger.reserve(*device, path, coming, spare, allowance)
        })?;
        self.reserved += more;
        // Each time: others write beside it.
        let promise = state.promised.promise(self.body.root.disk(), more);
        state.check_free(&self.body.root, *device, settings, self.upload.needed(0))?;
        Ok(promise)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let Announced { state, device, .. } = &self.upload;
        state.ledger().close_spool(*device, self.reserved);
    }
}
