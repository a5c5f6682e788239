//! Passwords: the one way from a user and a password to what they prove, for every protocol that has them.
//!
//! What is right or wrong is told by the tenant's users and devices. Here stands how that is asked: slowed after wrong ones
//! ([`brake`]), with what takes time off the runtime and within the tenant's share ([`workers`]), and counted ([`usage`]).

mod brake;
mod usage;
mod workers;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use provost_core::{ClientAddr, Mac, PasswordProof};
use provost_tenants::Tenant;
use provost_tenants::passwords::{Memo, Tag, tag};
use provost_tenants::users::today;
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::front::Front;
use brake::{Brake, Guess};
use usage::Usage;
pub use usage::{OwnPasswordUse, PasswordReport, PasswordUse};
use workers::Workers;

/// What one tenant's checks of passwords share, across its listeners and across reloads.
#[derive(Debug)]
pub(crate) struct Passwords {
    workers: Workers,
    memo: Arc<Memo>,
    brake: Brake,
    usage: Usage,
    since: Timestamp,
}

/// A user and a password as a peer sent them.
pub(crate) struct Presented {
    user: Vec<u8>,
    password: SecretSlice<u8>,
}

/// What the connection has shown before: one that has just proven a user is not slowed for the same user, until it errs. One a
/// connection.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Option<Tag>>);

/// There is no place to check the password now. The peer should ask again in a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords wait to be checked")]
pub(crate) struct Busy;

impl Default for Passwords {
    fn default() -> Self {
        Self {
            workers: Workers::default(),
            memo: Arc::default(),
            brake: Brake::default(),
            usage: Usage::default(),
            since: Timestamp::now(),
        }
    }
}

impl Passwords {
    /// Something was let be had with this password.
    pub(crate) fn note(&self, proof: &PasswordProof, device: Option<Mac>) {
        if proof.holds() {
            self.usage.note(proof, device, Timestamp::now());
        }
    }

    /// What is in use of the passwords that the tenant has now.
    pub(crate) fn report(&self, tenant: &Tenant) -> PasswordReport {
        self.usage.report(tenant, self.since)
    }

    /// Waits for the turn of a guess, checks it, and remembers how it ended.
    async fn slowed<T>(
        &self,
        client: ClientAddr,
        known: &Known,
        user: &[u8],
        check: impl Future<Output = Result<T, Busy>>,
        is_wrong: impl FnOnce(&T) -> bool,
    ) -> Result<T, Busy> {
        let guess = Guess::new(client.source(), user);
        if !known.is(user) {
            let wait = self.brake.wait(&guess, Instant::now());
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
        let outcome = check.await?;
        if is_wrong(&outcome) {
            self.brake.wrong(&guess, Instant::now());
            known.forget();
        } else {
            known.learn(user);
        }
        Ok(outcome)
    }
}

impl Presented {
    pub(crate) fn new(user: Vec<u8>, password: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { user, password: SecretSlice::from(password) })
    }
}

impl Known {
    fn is(&self, user: &[u8]) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.is_some_and(|known| known == tag(&[b"known", user]))
    }

    fn learn(&self, user: &[u8]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tag(&[b"known", user]));
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Front {
    /// What a user and a password prove to the tenant now. Ask again for every request: a password that is withdrawn proves
    /// nothing on connections that are open, either. It waits after wrong ones, for two seconds at most.
    ///
    /// # Errors
    /// - [`Busy`]: ask again in a moment
    pub(crate) async fn verify(
        &self,
        tenant: &Arc<Tenant>,
        client: ClientAddr,
        known: &Known,
        presented: &Arc<Presented>,
    ) -> Result<PasswordProof, Busy> {
        let passwords = &self.shares().passwords;
        let check = check(passwords, tenant, presented);
        passwords.slowed(client, known, &presented.user, check, |proof| !proof.holds()).await
    }
}

async fn check(passwords: &Passwords, tenant: &Tenant, presented: &Arc<Presented>) -> Result<PasswordProof, Busy> {
    let check = tenant.users.check(&tenant.devices, &presented.user, today());
    if let Some(proof) = check.quick(presented.password.expose_secret(), &passwords.memo) {
        return Ok(proof);
    }
    let (memo, presented) = (Arc::clone(&passwords.memo), Arc::clone(presented));
    passwords.workers.run(move || check.slow(presented.password.expose_secret(), &memo)).await
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented")
    }
}
