//! Passwords: the one way from a user and a password to what they prove, for every protocol that has them.
//!
//! What is right or wrong is told by the tenant's users and devices. Here stands when that is asked: off the runtime, and within
//! the tenant's share.

use std::fmt;
use std::sync::Arc;

use provost_core::{ClientAddr, PasswordProof};
use provost_tenants::Tenant;
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::front::Front;

/// A user and a password as a peer sent them.
pub(crate) struct Presented {
    user: Vec<u8>,
    password: SecretSlice<u8>,
}

/// What the connection has shown before: one that has proven a user is not slowed for the same user again. One a connection.
#[derive(Debug, Default)]
pub(crate) struct Known;

/// There is no place to check the password now. The peer should ask again in a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be checked")]
pub(crate) struct Busy;

impl Presented {
    pub(crate) fn new(user: Vec<u8>, password: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { user, password: SecretSlice::from(password) })
    }
}

impl Front {
    /// What a user and a password prove to the tenant now. Ask again for every request: a password that is withdrawn proves
    /// nothing on connections that are open, either. A wrong one may take its time.
    ///
    /// # Errors
    /// - [`Busy`]: ask again in a moment
    pub(crate) async fn verify(
        &self,
        tenant: &Arc<Tenant>,
        _client: ClientAddr,
        _known: &Known,
        presented: &Arc<Presented>,
    ) -> Result<PasswordProof, Busy> {
        let (tenant, presented) = (Arc::clone(tenant), Arc::clone(presented));
        let check = move || tenant.users.verify(&tenant.devices, &presented.user, presented.password.expose_secret());
        self.off_runtime(check).await.map_err(|_| Busy)
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented")
    }
}
