//! The admin socket: what the operator asks of the running server, on its own machine.
//!
//! A request is one line of JSON, and so is its answer; then the connection ends. Who may connect is decided by the mode of
//! the socket, 0660, and who did is logged. Nothing that phones can reach leads here.

mod client;
mod socket;

use serde::{Deserialize, Serialize};

use crate::server::{Renewal, Status};

pub use client::{AskError, ask};
pub use socket::{AdminSocket, Answers};

/// The longest request in bytes.
const MAX_REQUEST: u64 = 4 * 1024;

/// What the operator asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// How it stands.
    Status(Status),
    /// What a reload changed.
    Reload(Renewal),
    /// The request was not understood.
    Refused {
        /// Why.
        reason: String,
    },
}
