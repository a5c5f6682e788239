//! Records: what is kept of every request and of every connection that failed before one.
//!
//! A record is made in [`crate::front`] and written here, its lines by one thread, so that no request waits for a slow terminal
//! or disk. What a peer sent is escaped and cut; a password or a link's token never reaches a record.

mod causes;
mod flood;
mod format;
mod log;

use std::borrow::Cow;
use std::time::Duration;

use provost_core::{ClientAddr, Mac, Opening, Protocol};
use provost_tenants::guard::Alarm;

pub(crate) use causes::with_causes;
pub(crate) use flood::Flood;
pub(crate) use log::RecordShare;
pub use log::{RecordLog, Unwritten};

/// The longest text of a peer in a record, in characters.
pub const MAX_TEXT: usize = 256;

/// What a request's device is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// Its certificate.
    Certificate,
    /// Its own password.
    Password,
    /// Its link.
    Link,
    /// The path alone, which proves nothing.
    Path,
}

impl KnownBy {
    /// A short fixed word for records.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Password => "password",
            Self::Link => "link",
            Self::Path => "path",
        }
    }
}

/// One request, or one connection that failed before a request.
#[derive(Debug, Clone)]
pub struct Record {
    /// When it began.
    pub time: jiff::Timestamp,
    /// The tenant's name.
    pub tenant: String,
    /// The listener's name.
    pub listener: String,
    /// What it spoke.
    pub protocol: Protocol,
    /// Who asked, by address.
    pub client: ClientAddr,
    /// The device that was proven, else the one that the path names.
    pub mac: Option<Mac>,
    /// What the device was known by.
    pub proof: Option<KnownBy>,
    /// The method, command or opcode.
    pub method: Cow<'static, str>,
    /// The path as the peer sent it.
    pub path: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What allowed it.
    pub opening: Option<Opening>,
    /// A short fixed word: why it was denied, or what is special about it.
    pub reason: Option<&'static str>,
    /// The reason in a sentence, for the operator.
    pub detail: Option<String>,
    /// The alarm that the request raised.
    pub alarm: Option<Alarm>,
    /// What the peer calls itself. A label, never an identity.
    pub agent: Option<String>,
    /// Bytes of files, sent or received.
    pub bytes: u64,
    /// How many records of peers that were turned away were left out before this one.
    pub left_out: u64,
    /// How long it took.
    pub duration: Duration,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The file was sent, or described.
    Served,
    /// The peer has it already (304).
    NotModified,
    /// An upload was stored.
    Stored,
    /// A folder was listed.
    Listed,
    /// Allowed, and there is no such file.
    Missing,
    /// The decision was negative.
    Denied,
    /// The request was malformed, or asked for something that the protocol does not have here.
    Rejected,
    /// An upload was refused for its size, a quota or a range.
    Refused,
    /// The peer went away or stalled before the end.
    Aborted,
    /// The connection failed before a request: TLS handshake, login.
    Handshake,
    /// The server failed: a disk, a file that cannot be opened.
    Error,
}

impl Outcome {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 11] = [
        Self::Served,
        Self::NotModified,
        Self::Stored,
        Self::Listed,
        Self::Missing,
        Self::Denied,
        Self::Rejected,
        Self::Refused,
        Self::Aborted,
        Self::Handshake,
        Self::Error,
    ];

    /// A short fixed word.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::NotModified => "not_modified",
            Self::Stored => "stored",
            Self::Listed => "listed",
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Aborted => "aborted",
            Self::Handshake => "handshake",
            Self::Error => "error",
        }
    }
}

/// Cuts a peer's text to [`MAX_TEXT`] characters; what is not UTF-8 is replaced.
pub fn text_of(raw: &[u8]) -> String {
    if raw.len() <= MAX_TEXT
        && let Ok(text) = std::str::from_utf8(raw)
    {
        return text.to_owned();
    }
    let head = raw.get(..MAX_TEXT * 4).unwrap_or(raw);
    let text = String::from_utf8_lossy(head);
    let mut cut: String = text.chars().take(MAX_TEXT).collect();
    if text.chars().nth(MAX_TEXT).is_some() || head.len() < raw.len() {
        cut.push('…');
    }
    cut
}
