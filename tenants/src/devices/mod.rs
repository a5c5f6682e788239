//! A tenant's devices: the inventory that decisions ask, and the passwords of single devices.

use std::path::PathBuf;

use provost_core::{DeviceRow, Inventory, Mac};

/// The devices of one tenant, in a set that is replaced as a whole when its file changes.
#[derive(Debug)]
pub struct Devices {}

/// Where the devices of one tenant are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DevicesSettings {
    /// Devices of which nothing more is said.
    pub list: Vec<Mac>,
    /// A file with a header line: `mac,label,password,link,proof,blocked`.
    pub file: Option<PathBuf>,
}

/// What is wrong with a device file, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {problem}", file.display())]
pub struct DeviceFileError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong, with what was expected.
    pub problem: String,
}

impl Inventory for Devices {
    fn find(&self, mac: Mac) -> Option<DeviceRow> {
        todo!()
    }
}

impl Devices {
    /// Reads the devices. It blocks.
    ///
    /// # Errors
    /// - one [`DeviceFileError`] for each thing that is wrong with the file
    pub fn load(settings: DevicesSettings) -> Result<Self, Vec<DeviceFileError>> {
        todo!()
    }

    /// How many devices are listed.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether none is listed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the operator calls the device.
    pub fn label(&self, mac: Mac) -> Option<String> {
        todo!()
    }

    /// The password of one device, where it has one.
    pub fn verify_password(&self, mac: Mac, password: &[u8]) -> bool {
        todo!()
    }
}
