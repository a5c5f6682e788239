//! Records of what is refused before a decision: what comes before TLS or before login, changes that no phone makes here, transfers
//! without a data connection, and sessions that come to nothing.
//!
//! All of it costs a peer a line, so these records are counted with those of peers that are turned away: a flood is left out.

use provost_core::{PathError, Proofs, Reason};

use super::command::Verb;
use super::reply::Reply;
use super::session::{End, Session};
use crate::front::Exchange;
use crate::record::Outcome;

impl Session {
    /// Records a command that came too early. It tells which files a phone asks for, or that it logs in as it must not; nobody asks
    /// for the rest.
    pub(super) fn came_too_early(&self, verb: Verb, argument: &[u8], reason: &'static str) {
        if verb.names_path() {
            end(self.refused(verb.name(), &self.folder.join(argument)), Outcome::Handshake, reason);
        } else if matches!(verb, Verb::User | Verb::Pass) {
            end(self.refused(verb.name(), b""), Outcome::Handshake, reason);
        }
    }

    /// RMD, DELE, RNFR and what else would change something: a phone removes and renames nothing.
    pub(super) fn refuse_change(&self, verb: Verb, argument: &[u8]) -> Reply {
        if argument.is_empty() {
            return Reply::BAD_PARAMETER;
        }
        self.is_not_offered(verb, argument);
        Reply::DENIED
    }

    /// STOU: see `store.rs`.
    pub(super) fn stou(&self, argument: &[u8]) -> Reply {
        self.is_not_offered(Verb::Stou, argument);
        Reply::NAME_IT
    }

    /// SIZE in ASCII mode: the file has another size on the wire than here, and finding it takes reading all of it.
    pub(super) fn has_no_size(&self, argument: &[u8]) -> Reply {
        end(self.refused(Verb::Size.name(), &self.folder.join(argument)), Outcome::Rejected, "ascii_size");
        Reply::fixed(550, "SIZE not allowed in ASCII mode.")
    }

    /// Records a transfer or a list for which there is no data connection, or none that may be used.
    pub(super) fn lacks_data_connection(&self, verb: &'static str, argument: &[u8], reason: &'static str) {
        end(self.refused(verb, &self.folder.join(argument)), Outcome::Rejected, reason);
    }

    fn is_not_offered(&self, verb: Verb, argument: &[u8]) {
        end(self.refused(verb.name(), &self.folder.join(argument)), Outcome::Rejected, "not_offered");
    }

    /// Records a folder that nobody may enter.
    pub(super) fn is_no_folder(&self, verb: Verb, argument: &[u8], error: PathError) {
        let mut exchange = self.refused(verb.name(), &self.folder.join(argument));
        if let Some(exchange) = &mut exchange {
            exchange.detail(error);
        }
        end(exchange, Outcome::Denied, Reason::Path(error).code());
    }

    /// Records a session that ended without a word in another record.
    pub(super) fn ended(&self, why: End) {
        let (outcome, reason) = match why {
            End::SlowLogin => (Outcome::Handshake, "login_timeout"),
            End::Endless => (Outcome::Rejected, "endless_line"),
            End::Quit | End::Gone | End::Idle | End::WrongPasswords | End::TurnedAway | End::Busy | End::Failed => {
                return;
            }
        };
        end(self.front.refused(self.client, "CONNECT", b""), outcome, reason);
    }

    fn refused(&self, verb: &'static str, path: &[u8]) -> Option<Exchange> {
        let mut exchange = self.front.refused(self.client, verb, path)?;
        let certificate = self.security.identity(&self.front.present());
        exchange.note_device(&Proofs { certificate, ..Proofs::none() });
        Some(exchange)
    }
}

/// Writes the record, where it is one of those that are written.
fn end(exchange: Option<Exchange>, outcome: Outcome, reason: &'static str) {
    if let Some(exchange) = exchange {
        exchange.finish(outcome, Some(reason));
    }
}
