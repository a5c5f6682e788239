//! Replies: three digits and a text, on one line or on several (RFC 959 section 4.2).
//!
//! Texts are short and fixed. What a peer sent comes back only as a folder's or a file's name that has parsed.

use std::borrow::Cow;

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    code: u16,
    first: Cow<'static, str>,
    more: Option<More>,
}

/// What follows the first line of a reply on several.
#[derive(Debug, Clone, PartialEq, Eq)]
struct More {
    middle: Vec<String>,
    last: &'static str,
}

impl Reply {
    pub(super) const GREETING: Self = Self::fixed(220, "FTP server ready.");
    pub(super) const OK: Self = Self::fixed(200, "OK.");
    pub(super) const SUPERFLUOUS: Self = Self::fixed(202, "Not needed here.");
    pub(super) const GOODBYE: Self = Self::fixed(221, "Goodbye.");
    pub(super) const NOTHING_TO_ABORT: Self = Self::fixed(226, "No transfer to abort.");
    pub(super) const ABORTED: Self = Self::fixed(226, "Abort successful.");
    pub(super) const COMPLETE: Self = Self::fixed(226, "Transfer complete.");
    pub(super) const LOGGED_IN: Self = Self::fixed(230, "Logged in.");
    pub(super) const PASSWORD_PLEASE: Self = Self::fixed(331, "Password please.");
    pub(super) const CLOSING: Self = Self::fixed(421, "Service not available, closing.");
    pub(super) const TOO_SLOW: Self = Self::fixed(421, "Timeout, closing.");
    pub(super) const TOO_MANY_PASSWORDS: Self = Self::fixed(421, "Too many wrong passwords, closing.");
    pub(super) const NO_DATA_CONNECTION: Self = Self::fixed(425, "Use PASV, EPSV, PORT or EPRT first.");
    pub(super) const CANNOT_CONNECT: Self = Self::fixed(425, "Cannot open the data connection.");
    pub(super) const BROKEN: Self = Self::fixed(426, "Data connection broken, transfer aborted.");
    pub(super) const BUSY: Self = Self::fixed(450, "Busy, try again.");
    pub(super) const LOCAL_ERROR: Self = Self::fixed(451, "Local error.");
    pub(super) const NOT_UNDERSTOOD: Self = Self::fixed(500, "Command not understood.");
    pub(super) const TOO_LONG: Self = Self::fixed(500, "Command line too long.");
    pub(super) const AUTHENTICATE: Self = Self::fixed(234, "Begin the TLS handshake.");
    pub(super) const TLS_FIRST: Self = Self::fixed(530, "TLS is required, send AUTH TLS.");
    /// RFC 2228 section 3 for PROT, RFC 4217 section 10 for data connections.
    pub(super) const MUST_PROTECT: Self = Self::fixed(534, "Data connections are protected here, send PROT P.");
    pub(super) const UNPROTECTED: Self = Self::fixed(521, "Data connections are protected here, send PROT P.");
    pub(super) const BAD_PARAMETER: Self = Self::fixed(501, "Parameter not understood.");
    pub(super) const NO_FOLDER: Self = Self::fixed(501, "This is a file, use MLST.");
    pub(super) const NOT_IMPLEMENTED: Self = Self::fixed(502, "Command not implemented.");
    pub(super) const NAME_IT: Self = Self::fixed(502, "Names are the phone's to give, use STOR.");
    pub(super) const BAD_SEQUENCE: Self = Self::fixed(503, "Bad sequence of commands.");
    pub(super) const PARAMETER_NOT_IMPLEMENTED: Self = Self::fixed(504, "Parameter not implemented.");
    pub(super) const LOGIN_FIRST: Self = Self::fixed(530, "Log in with USER and PASS.");
    pub(super) const LOGIN_INCORRECT: Self = Self::fixed(530, "Login incorrect.");
    pub(super) const NO_SUCH_FILE: Self = Self::fixed(550, "No such file.");
    pub(super) const DENIED: Self = Self::fixed(550, "Permission denied.");
    pub(super) const NO_SUCH_FOLDER: Self = Self::fixed(550, "No such folder.");
    pub(super) const NO_SPACE: Self = Self::fixed(552, "Storage allocation exceeded.");
    pub(super) const BAD_NAME: Self = Self::fixed(553, "Name not allowed.");
    /// RFC 1123 section 4.1.3.4.
    pub(super) const BAD_RESTART: Self = Self::fixed(554, "Invalid restart offset.");

    /// A reply whose text never changes.
    pub(super) const fn fixed(code: u16, text: &'static str) -> Self {
        Self { code, first: Cow::Borrowed(text), more: None }
    }

    /// A reply with a text that was made for it. It must not hold a line end.
    pub(super) fn with(code: u16, text: String) -> Self {
        Self { code, first: Cow::Owned(text), more: None }
    }

    /// A reply on several lines. A space stands before each line between the first and the last, so that none of them is
    /// taken for the end (RFC 959 section 4.2, RFC 2389 section 3.2).
    pub(super) fn lines(
        code: u16,
        first: impl Into<Cow<'static, str>>,
        middle: Vec<String>,
        last: &'static str,
    ) -> Self {
        Self { code, first: first.into(), more: Some(More { middle, last }) }
    }

    #[cfg(test)]
    pub(super) const fn code(&self) -> u16 {
        self.code
    }

    /// The bytes for the wire.
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { code, first, more } = self;
        let Some(More { middle, last }) = more else { return format!("{code} {first}\r\n").into_bytes() };
        let mut text = format!("{code}-{first}\r\n");
        for line in middle {
            text.extend([" ", line, "\r\n"]);
        }
        text.extend([&code.to_string(), " ", last, "\r\n"]);
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_has_a_space_behind_the_code() {
        assert_eq!(Reply::OK.encode(), b"200 OK.\r\n");
        assert_eq!(Reply::with(257, "\"/\" is here.".into()).encode(), b"257 \"/\" is here.\r\n");
    }

    #[test]
    fn several_lines_are_marked_and_indented() {
        let reply = Reply::lines(211, "Features:", vec!["SIZE".into(), "211 no end".into()], "End");
        assert_eq!(reply.encode(), b"211-Features:\r\n SIZE\r\n 211 no end\r\n211 End\r\n");
    }
}
