//! USER, PASS, ACCT, SMNT, REIN.
//!
//! > PASSWORD (PASS): The argument field is a Telnet string specifying the user's password. This command must be
//! > immediately preceded by the user name command. (RFC 959 section 4.1.1)
//!
//! Where no password is required any user and password log in; a wrong pair proves nothing then, and a right one is kept
//! as a proof. Where one could have opened more a record tells of the wrong one. Where one is required, wrong ones are slowed
//! and end the session. No password reaches a record.

use std::sync::Arc;

use provost_core::{Alternative, Exception, ListenerPolicy, Mac, NoIdentity, PasswordProof, ProofKind, TenantPolicy};
use provost_tenants::Tenant;

use super::reply::Reply;
use super::session::{End, Session};
use crate::passwords::{Busy, Presented, gains_by_password};
use crate::record::{Outcome, text_of};

/// Wrong passwords after which the session ends.
const MAX_WRONG: u32 = 4;

/// How far a session has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Login {
    /// No user was named.
    Nobody,
    /// A user was named, and the password is awaited.
    Named(Vec<u8>),
    /// It may ask for files.
    In,
}

/// The user and the password that a session logged in with.
#[derive(Debug, Clone, Default)]
pub(super) enum Shown {
    /// There are none yet.
    #[default]
    Nothing,
    /// They proved nothing, where nothing had to be proven. They are not asked about again: that would be a guess a command.
    Wrong,
    /// They proved something.
    Right(Arc<Presented>),
}

impl Session {
    /// What the password proves to this tenant now. It is asked again for every command: a password that is withdrawn proves
    /// nothing in sessions that are open, either.
    ///
    /// # Errors
    /// - [`End::Busy`]: it cannot be told now
    pub(super) async fn password(&self, tenant: &Arc<Tenant>) -> Result<PasswordProof, End> {
        match &self.shown {
            Shown::Nothing => Ok(PasswordProof::Absent),
            Shown::Wrong => Ok(PasswordProof::Wrong),
            Shown::Right(shown) => {
                self.front.verify(tenant, self.client, &self.known, shown).await.map_err(|Busy| End::Busy)
            }
        }
    }

    /// USER begins anew: what was proven before holds no longer.
    pub(super) fn user(&mut self, argument: &[u8]) -> Reply {
        if argument.is_empty() {
            return Reply::BAD_PARAMETER;
        }
        self.shown = Shown::Nothing;
        self.leave(Login::Named(argument.to_vec()));
        Reply::PASSWORD_PLEASE
    }

    /// REIN: the session begins anew, with all parameters as at the beginning (RFC 959 section 4.1.1). RFC 4217 section 11 would have it
    /// clear TLS as well; that stays, as with CCC: what comes behind could be anybody's.
    pub(super) fn rein(&mut self) -> Reply {
        self.reset();
        Reply::GREETING
    }

    pub(super) async fn pass(&mut self, argument: Vec<u8>) -> Result<Reply, End> {
        if self.login == Login::In {
            // Some clients send a second PASS by themselves; it changes nothing.
            return Ok(Reply::SUPERFLUOUS);
        }
        let Login::Named(user) = std::mem::replace(&mut self.login, Login::Nobody) else {
            return Ok(Reply::BAD_SEQUENCE);
        };
        let name = text_of(&user);
        let tenant = self.front.tenant();
        let certificate = self.security.identity(&self.front.present());
        let listener = self.front.listener();
        let required = requires_password(&tenant.policy, &listener.policy, certificate.is_ok());
        // Of a device that is known by its certificate none is expected.
        let is_missed = certificate.is_err() && gains_by_password(&tenant, &listener.policy, &user);
        if !required && is_nobody(&user, &tenant) {
            return Ok(self.let_in_unproven(is_missed, &name));
        }
        let shown = Presented::new(user, argument);
        let Ok(proof) = self.front.verify(&tenant, self.client, &self.known, &shown).await else {
            self.front.exchange(self.client, "PASS", b"").finish(Outcome::Refused, Some("passwords"));
            return Err(End::Busy);
        };
        if proof.holds() {
            self.shown = Shown::Right(shown);
            self.enter();
            return Ok(Reply::LOGGED_IN);
        }
        if !required {
            return Ok(self.let_in_unproven(is_missed, &name));
        }
        let why = if takes_password(&listener.policy) { "wrong_password" } else { "require_not_met" };
        let detail = match certificate {
            // Nobody expects one of a peer that cannot show it.
            Ok(_) | Err(NoIdentity::Plaintext) => format!("user {name}"),
            Err(missing) => format!("user {name}; {missing}"),
        };
        self.turned_down(why, detail)
    }

    /// Logs in whoever may ask for something without a password. Where one is missed, since it could have opened more, the wrong one
    /// leaves its trace.
    fn let_in_unproven(&mut self, is_missed: bool, name: &str) -> Reply {
        if is_missed {
            self.shown = Shown::Wrong;
            self.note("wrong_password", format!("user {name}; let in, since some files need none"));
        }
        self.enter();
        Reply::LOGGED_IN
    }

    fn note(&self, why: &'static str, detail: String) {
        if let Some(mut exchange) = self.front.refused(self.client, "PASS", b"") {
            exchange.detail(detail);
            exchange.finish(Outcome::Handshake, Some(why));
        }
    }

    fn turned_down(&mut self, why: &'static str, detail: String) -> Result<Reply, End> {
        self.note(why, detail);
        self.wrong_passwords = self.wrong_passwords.saturating_add(1);
        if self.wrong_passwords >= MAX_WRONG {
            return Err(End::WrongPasswords);
        }
        Ok(Reply::LOGIN_INCORRECT)
    }
}

/// Whether no password of this user proves anything. Where none is required, most phones log in with whatever they were
/// made with, a site of them from one address: they guess at nothing, and must not be slowed as if they did. A user that is a
/// MAC is somebody whether it is listed or not, so that the time does not tell.
fn is_nobody(user: &[u8], tenant: &Tenant) -> bool {
    std::str::from_utf8(user).is_ok_and(|user| user.parse::<Mac>().is_err() && !tenant.users.has(user))
}

/// Whether a password can open the listener at all: where none can, it is the certificate that fell short.
fn takes_password(listener: &ListenerPolicy) -> bool {
    let mut exceptions = listener.exceptions.iter().flat_map(|exception: &Exception| exception.require.iter());
    listener.require.iter().any(takes) || exceptions.any(takes)
}

fn takes(alternative: &Alternative) -> bool {
    alternative.needs(ProofKind::Password)
}

/// Whether nobody passes the listener without a password, by its own requirement, an exception's or a rule for anyone. `certified` is
/// whether a certificate names a device; alternatives that need one count only then.
fn requires_password(tenant: &TenantPolicy, listener: &ListenerPolicy, certified: bool) -> bool {
    let is_met = |alternative: &Alternative| {
        !alternative.needs(ProofKind::Password) && (certified || !alternative.needs(ProofKind::Certificate))
    };
    let excepts = |exception: &Exception| exception.report_only || exception.require.iter().any(is_met);
    !tenant.rules.let_anyone_read() && !listener.require.iter().any(is_met) && !listener.exceptions.iter().any(excepts)
}
