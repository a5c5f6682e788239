//! Passwords that a tenant's phones share.

use jiff::civil::Date;
use provost_core::PasswordProof;
use secrecy::SecretString;

use crate::devices::Devices;

/// The shared credentials of one tenant.
#[derive(Debug)]
pub struct Users {}

/// One shared password. A user may have several that are valid at once, so that they can be changed phone by phone.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The user.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// The last day (UTC) on which it is valid; always valid where it is absent.
    pub expires: Option<Date>,
}

impl Users {
    /// The shared credentials of a tenant.
    pub fn new(credentials: Vec<Credential>) -> Self {
        todo!()
    }

    /// What a user and password prove: a shared credential of this tenant, or, where the user is a MAC, the password of that
    /// device. The work is the same whether the user exists or not.
    pub fn verify(&self, devices: &Devices, user: &[u8], password: &[u8]) -> PasswordProof {
        todo!()
    }
}
