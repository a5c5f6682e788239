//! Rules: which paths may be read or written, and by whom.

mod builtin;
mod pattern;
mod set;

use std::fmt;

pub(crate) use pattern::MARK;
pub use pattern::{Pattern, PatternError};
pub use set::{Match, RuleSet};

/// Who may read the files of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Nobody.
    Nobody,
    /// The device that the path names.
    Own,
    /// Every device of the tenant.
    Device,
    /// Whoever reaches the listener from inside its prefixes.
    Anyone,
}

/// Who may write the files of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Nobody.
    Nobody,
    /// The device that the path names.
    Own,
}

/// What a file is to the phone. It decides how a partial upload is applied, and what goes first when space runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Kind {
    /// Anything else.
    #[default]
    File,
    /// Overrides, directories, contacts: what a user loses when they are lost.
    Settings,
    /// A log: appended to and rotated.
    Log,
}

/// Whether a device's upload or the operator's file of the same name is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Prefer {
    /// What the device has sent.
    #[default]
    Uploads,
    /// What the operator wrote.
    Root,
}

/// What happens to a partial upload of a log that begins past its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gap {
    /// It is appended, and the record says `gap`.
    #[default]
    Append,
    /// It is refused with the present size.
    Refuse,
}

/// An option of TFTP (RFC 2348, 2349, 7440).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TftpOption {
    /// `blksize`.
    BlockSize,
    /// `timeout`.
    Timeout,
    /// `tsize`.
    TransferSize,
    /// `windowsize`.
    WindowSize,
}

impl TftpOption {
    /// Every option.
    pub const ALL: [Self; 4] = [Self::BlockSize, Self::Timeout, Self::TransferSize, Self::WindowSize];
}

/// One rule. An operation that it does not name is denied.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which paths.
    pub pattern: Pattern,
    /// Who may read them.
    pub read: Option<Readers>,
    /// Who may write them.
    pub write: Option<Writers>,
    /// What they are.
    pub kind: Kind,
    /// Where reading looks first.
    pub prefer: Prefer,
    /// What a gap in a log means.
    pub gap: Gap,
    /// The size in bytes past which a log rotates; the tenant's setting where it is absent.
    pub max_size: Option<u64>,
    /// The options that a TFTP transfer of these files may be granted: some models ask for what they cannot do.
    pub tftp_options: Vec<TftpOption>,
    /// Whether the operator wrote the rule, or it is built in.
    pub origin: Origin,
}

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The tenant's file.
    Operator,
    /// The set for phones that every tenant has.
    BuiltIn,
}

impl fmt::Display for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::Own => "own",
            Self::Device => "device",
            Self::Anyone => "anyone",
        })
    }
}

impl fmt::Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::Own => "own",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Settings => "settings",
            Self::Log => "log",
        })
    }
}
