//! A tenant's devices: the inventory that decisions ask, and the passwords of single devices.
//!
//! The set is replaced as a whole when its file changes. This module does not watch the file: whoever calls
//! [`Devices::refresh`] says when to look.

mod file;
mod refresh;
mod set;

use std::path::PathBuf;
use std::sync::Mutex;

use arc_swap::{ArcSwap, ArcSwapOption};
use provost_core::{DeviceRow, Inventory, Mac};

pub use file::DeviceFileError;
pub use refresh::{BadDeviceFile, HANGS, Refresh, Removals, Unrenewed};

use crate::passwords::{Algorithm, Costs, Stored};
use refresh::{LastRead, Looking};
use set::DeviceSet;
pub use set::PasswordForms;

/// The devices of one tenant, in a set that is replaced as a whole when its file changes.
#[derive(Debug)]
pub struct Devices {
    settings: DevicesSettings,
    set: ArcSwap<DeviceSet>,
    /// Whoever refreshes holds the lock.
    read: Mutex<LastRead>,
    looking: Looking,
    /// Why the former set is served, for whoever does not wait for a file.
    kept: ArcSwapOption<Refresh>,
}

/// Where the devices of one tenant are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DevicesSettings {
    /// Devices of which nothing more is said. A row of the file says more of the same device.
    pub list: Vec<Mac>,
    /// A file with a header line: `mac,label,password,next_password,link,proof,blocked`. Columns but `mac` may be missing.
    pub file: Option<PathBuf>,
    /// The tenant's name: the realm of its passwords.
    pub realm: String,
}

impl Inventory for Devices {
    fn find(&self, mac: Mac) -> Option<DeviceRow> {
        self.set.load().find(mac)
    }
}

impl Devices {
    /// Reads the devices. It blocks.
    ///
    /// # Errors
    /// - [`BadDeviceFile`]
    pub fn load(settings: DevicesSettings) -> Result<Self, BadDeviceFile> {
        let (set, fingerprint) = match &settings.file {
            None => (DeviceSet::listing(&settings.list), None),
            Some(path) => {
                let unreadable = |error| BadDeviceFile { errors: vec![error], ..BadDeviceFile::default() };
                let (fingerprint, reading) = refresh::read(path, &settings).map_err(unreadable)?;
                if !reading.errors.is_empty() {
                    return Err(BadDeviceFile { errors: reading.errors, blocked: reading.blocked });
                }
                (reading.set, fingerprint)
            }
        };
        Ok(Self {
            settings,
            set: ArcSwap::from_pointee(set),
            read: Mutex::new(LastRead { fingerprint, kept: None }),
            looking: Looking::default(),
            kept: ArcSwapOption::empty(),
        })
    }

    /// Whether these settings are those that it was made with.
    pub(crate) fn is_of(&self, settings: &DevicesSettings) -> bool {
        self.settings == *settings
    }

    /// Why the former devices are served instead of those of the file; nothing where they are not. It does not block.
    pub fn errors(&self) -> Vec<String> {
        match self.kept.load().as_deref() {
            None | Some(Refresh::Unchanged | Refresh::Replaced { .. }) => Vec::new(),
            Some(Refresh::KeptForErrors { errors, .. }) => errors.iter().map(ToString::to_string).collect(),
            Some(Refresh::KeptForRemovals { devices, removed, .. }) => {
                let file = self.settings.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
                vec![format!(
                    "{file}: {removed} devices would be removed and {devices} be left: `provost reload --accept-removals` takes that"
                )]
            }
        }
    }

    /// How many devices are listed.
    pub fn len(&self) -> usize {
        self.set.load().len()
    }

    /// Whether none is listed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the operator calls the device.
    pub fn label(&self, mac: Mac) -> Option<String> {
        self.set.load().label(mac).map(str::to_owned)
    }

    /// Whether the device has a password of its own, for `provost explain`; peers are never told.
    pub fn has_password(&self, mac: Mac) -> bool {
        !self.set.load().passwords(mac).is_empty()
    }

    /// Whether a password of the device's own can answer a Digest, for `provost explain`.
    pub fn has_digest(&self, mac: Mac) -> bool {
        self.set.load().passwords(mac).iter().any(Stored::can_digest_any)
    }

    /// The passwords of one device: two while they are changed.
    pub(crate) fn passwords(&self, mac: Mac) -> Vec<Stored> {
        self.set.load().passwords(mac).to_vec()
    }

    /// The most passwords that one device has.
    pub(crate) fn password_width(&self) -> usize {
        self.set.load().width().max(1)
    }

    /// What a check costs of a device's password, whichever it is.
    pub(crate) fn costs(&self) -> Costs {
        self.set.load().costs().clone()
    }

    /// Whether some have a password of their own.
    pub fn have_passwords(&self) -> bool {
        let PasswordForms { plain, ha1, argon2, .. } = self.password_forms();
        plain + ha1 + argon2 > 0
    }

    /// Whether the password of one of them can answer a Digest of this algorithm.
    pub fn can_digest(&self, algorithm: Algorithm) -> bool {
        let forms = self.password_forms();
        match algorithm {
            Algorithm::Sha256 => forms.sha256 > 0,
            Algorithm::Md5 => forms.md5 > 0,
        }
    }

    /// In which forms the file has passwords.
    pub fn password_forms(&self) -> PasswordForms {
        self.set.load().forms()
    }

    /// The device whose link this token is. How long it takes tells nothing of the tokens that there are.
    pub fn linked(&self, token: &[u8]) -> Option<Mac> {
        self.set.load().linked(&set::link_tag(token))
    }
}
