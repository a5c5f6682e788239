//! The admin socket: what the operator asks of the running server, on its own machine.
//!
//! A request is one line of JSON, and so is its answer; then the connection ends. Who may connect is decided by the mode of
//! the socket, 0660, and who did is logged. Nothing that phones can reach leads here.

mod client;
mod question;
mod socket;

use serde::{Deserialize, Serialize};

use crate::passwords::PasswordReport;
use crate::server::{Renewal, Status};

pub use client::{AskError, ask};
pub use question::Question;
pub use socket::{AdminSocket, Answers};

/// The longest request in bytes: a question may hold a chain of certificates.
const MAX_REQUEST: u64 = 256 * 1024;

/// What the operator asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How does it stand?
    Status,
    /// Read the configuration anew.
    Reload {
        /// Whether device files that lost more than a tenth are meant so.
        #[serde(default)]
        accept_removals: bool,
    },
    /// What would become of a request?
    Explain(Question),
    /// Which passwords of a tenant are in use?
    Passwords {
        /// The tenant's name.
        tenant: String,
    },
}

impl Request {
    /// What is asked, for the log.
    const fn name(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Reload { accept_removals: false } => "reload",
            Self::Reload { accept_removals: true } => "reload --accept-removals",
            Self::Explain(_) => "explain",
            Self::Passwords { .. } => "password report",
        }
    }
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// How it stands.
    Status(Status),
    /// What a reload changed.
    Reload(Renewal),
    /// Which passwords are in use.
    Passwords(PasswordReport),
    /// What would become of the request.
    Explained {
        /// Whether it would be permitted.
        is_permitted: bool,
        /// The ladder and the verdict, as `provost explain` prints them, with the colours of a terminal.
        text: String,
    },
    /// The request was not understood, or asks for what is not there.
    Refused {
        /// Why.
        reason: String,
    },
}
