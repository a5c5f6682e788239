//! A tenant's devices: the inventory that decisions ask, and the passwords of single devices.
//!
//! The set is replaced as a whole when its file changes. This module does not watch the file: whoever calls
//! [`Devices::refresh`] says when to look.

mod file;
pub(crate) mod password;
mod refresh;
mod set;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use provost_core::{DeviceRow, Inventory, Mac};

pub use file::DeviceFileError;
pub use refresh::{Refresh, Removals, Unrenewed};

use refresh::Fingerprint;
use set::DeviceSet;

/// The devices of one tenant, in a set that is replaced as a whole when its file changes.
#[derive(Debug)]
pub struct Devices {
    settings: DevicesSettings,
    set: ArcSwap<DeviceSet>,
    /// What the file was when it was last read; `None` where it must be read again. Whoever refreshes holds the lock.
    read: Mutex<Option<Fingerprint>>,
}

/// Where the devices of one tenant are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DevicesSettings {
    /// Devices of which nothing more is said. A row of the file says more of the same device.
    pub list: Vec<Mac>,
    /// A file with a header line: `mac,label,password,link,proof,blocked`. Columns but `mac` may be missing.
    pub file: Option<PathBuf>,
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
    /// - one [`DeviceFileError`] for each thing that is wrong with the file
    pub fn load(settings: DevicesSettings) -> Result<Self, Vec<DeviceFileError>> {
        let Some(path) = &settings.file else {
            let set = DeviceSet::of(&settings.list, Vec::new());
            return Ok(Self { settings, set: ArcSwap::from_pointee(set), read: Mutex::new(None) });
        };
        let (fingerprint, reading) = refresh::read(path).map_err(|error| vec![error])?;
        if !reading.errors.is_empty() {
            return Err(reading.errors);
        }
        let set = DeviceSet::of(&settings.list, reading.rows);
        Ok(Self { settings, set: ArcSwap::from_pointee(set), read: Mutex::new(fingerprint) })
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
        self.set.load().password(mac).is_some()
    }

    /// Whether it is the password of one device. The work is the same whether the device is listed and has one or not.
    pub fn verify_password(&self, mac: Mac, password: &[u8]) -> bool {
        let shown = password::digest(&mac.octets(), password);
        let set: Arc<DeviceSet> = self.set.load_full();
        let known = set.password(mac);
        let same = password::same(&shown, known.unwrap_or(&password::NONE));
        known.is_some() && same
    }
}
