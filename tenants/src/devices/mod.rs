//! A tenant's devices: the inventory that decisions ask, and the passwords of single devices.

use provost_core::{DeviceRow, Inventory, Mac};

/// The devices of one tenant, in a set that is replaced as a whole when its file changes.
#[derive(Debug)]
pub struct Devices {}

impl Inventory for Devices {
    fn find(&self, mac: Mac) -> Option<DeviceRow> {
        todo!()
    }
}

impl Devices {
    /// The password of one device, where it has one.
    pub fn verify_password(&self, mac: Mac, password: &[u8]) -> bool {
        todo!()
    }
}
