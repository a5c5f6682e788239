//! Passwords that a tenant's phones share.

use provost_core::PasswordProof;

use crate::devices::Devices;

/// The shared credentials of one tenant.
#[derive(Debug)]
pub struct Users {}

impl Users {
    /// What a user and password prove: a shared credential of this tenant, or, where the user is a MAC, the password of that
    /// device. The work is the same whether the user exists or not.
    pub fn verify(&self, devices: &Devices, user: &[u8], password: &[u8]) -> PasswordProof {
        todo!()
    }
}
