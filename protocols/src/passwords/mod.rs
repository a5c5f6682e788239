//! Passwords: the one way from a user and a password to what they prove, for every protocol that has them.
//!
//! What is right or wrong is told by the tenant's users and devices. Here stands how that is asked: slowed after wrong ones
//! (`brake`), with what takes time off the runtime and within the tenant's share (`workers`), and counted (`usage`).

mod brake;
mod nonces;
mod usage;
mod workers;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use jiff::Timestamp;
use provost_core::{ClientAddr, ListenerPolicy, Mac, PasswordProof};
use provost_tenants::Tenant;
use provost_tenants::passwords::{Memo, Tag, tag};
use provost_tenants::users::today;
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::front::Front;
use crate::https::digest::Digest;
use brake::{Brake, Guess};
use nonces::Nonce;
pub(crate) use nonces::make as nonce;
use usage::Usage;
pub use usage::{OwnPasswordUse, PasswordReport, PasswordUse};
use workers::Workers;

/// What one tenant's checks of passwords share, across its listeners and across reloads.
#[derive(Debug)]
pub(crate) struct Passwords {
    workers: Workers,
    memo: Arc<Memo>,
    brake: Brake,
    counts: nonces::Counts,
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
            counts: nonces::Counts::since(Instant::now()),
            usage: Usage::default(),
            since: Timestamp::now(),
        }
    }
}

impl Passwords {
    /// Takes every place for checks that take time.
    #[cfg(test)]
    pub(crate) fn fill(&self) {
        self.workers.fill();
    }

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
    async fn slowed(
        &self,
        guesser: Option<ClientAddr>,
        known: &Known,
        user: &[u8],
        check: impl Future<Output = Result<PasswordProof, Busy>>,
    ) -> Result<PasswordProof, Busy> {
        let Some(guesser) = guesser else { return check.await };
        let guess = Guess::new(guesser.source(), user);
        if !known.is(user) {
            let wait = self.brake.wait(&guess, Instant::now());
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
        let proof = check.await?;
        match proof {
            PasswordProof::Wrong | PasswordProof::Unusable(_) => {
                self.brake.wrong(&guess, Instant::now());
                known.forget();
            }
            PasswordProof::Shared(_) | PasswordProof::Device(_) => known.learn(user),
            PasswordProof::Absent | PasswordProof::Stale => {}
        }
        Ok(proof)
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
        let guesser = guesser(tenant, &self.listener().policy, client, &presented.user);
        passwords.slowed(guesser, known, &presented.user, check).await
    }

    /// What an answer to a challenge proves to the tenant now. It waits as [`Front::verify`] does.
    ///
    /// # Errors
    /// - [`Busy`]: ask again in a moment
    pub(crate) async fn verify_digest(
        &self,
        tenant: &Arc<Tenant>,
        client: ClientAddr,
        known: &Known,
        digest: &Digest,
        method: &str,
    ) -> Result<PasswordProof, Busy> {
        let passwords = &self.shares().passwords;
        let listener = self.listener();
        let check = async { Ok(answered(passwords, tenant, &listener.policy.name, digest, method)) };
        let guesser = guesser(tenant, &listener.policy, client, &digest.user);
        passwords.slowed(guesser, known, &digest.user, check).await
    }
}

/// Whom a guess is held against; nobody where there is nothing to be gained by one. Phones send the passwords that they were shipped
/// with where none is asked for, and are not to be slowed for it.
fn guesser(tenant: &Tenant, listener: &ListenerPolicy, client: ClientAddr, user: &[u8]) -> Option<ClientAddr> {
    gains_by_password(tenant, listener, user).then_some(client)
}

/// Whether a password of such a user opens anything that is shut without it. It does not depend on whether the user exists.
pub(crate) fn gains_by_password(tenant: &Tenant, listener: &ListenerPolicy, user: &[u8]) -> bool {
    let is_mac = std::str::from_utf8(user).is_ok_and(|user| user.parse::<Mac>().is_ok());
    if is_mac {
        tenant.devices.have_passwords()
    } else {
        listener.gains_by_shared_password() && !tenant.users.is_empty()
    }
}

/// What an answer to a challenge proves. All candidates are compared, and as many for a user that does not exist.
fn answered(passwords: &Passwords, tenant: &Tenant, listener: &str, digest: &Digest, method: &str) -> PasswordProof {
    let name = &tenant.policy.name;
    let check = tenant.users.check(&tenant.devices, &digest.user, today());
    let mut proof = PasswordProof::Wrong;
    for (claim, ha1) in check.digests(digest.algorithm) {
        let expected = digest.expected(&ha1, method);
        let is_right = verify_slices_are_equal(expected.as_bytes(), digest.response.as_bytes()).is_ok();
        if let (true, Some(claim)) = (is_right, claim) {
            proof = claim.clone();
        }
    }
    if !proof.holds() || digest.realm != name.as_bytes() {
        // What is stored is the hash of the MAC in lower case.
        let other_reason = match digest.user == check.user() {
            false => "the MAC is not written in lower case for Digest",
            true if check.lacks(digest.algorithm) => {
                "the password stands in a form that answers no Digest of this algorithm"
            }
            true => return PasswordProof::Wrong,
        };
        return PasswordProof::Unusable(format!("user and password are wrong, or {other_reason}"));
    }
    // Whoever comes here has the password, so that telling more tells a stranger nothing.
    match Nonce::read(&digest.nonce, name, listener) {
        Some(nonce) if nonce.is_fresh(Instant::now()) && passwords.counts.take(&nonce, digest.count()) => proof,
        Some(_) | None => PasswordProof::Stale,
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
