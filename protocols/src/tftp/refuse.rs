//! From the reason to the wire: each refusal and each failure has one ERROR code and one short text (RFC 1350,
//! appendix I). Why exactly goes to the record, never to the peer.

use provost_core::Refusal;
use provost_tenants::files::FileError;
use provost_tenants::uploads::UploadError;

use super::cache::ReadError;
use super::packet::Packet;
use crate::record::Outcome;

/// An ERROR packet.
pub(super) type TftpError = Packet<'static>;

/// Not defined, see the text.
pub(super) const SERVER_ERROR: TftpError = Packet::Error { code: 0, text: b"Server error" };
/// The file changed while it was sent.
pub(super) const FILE_CHANGED: TftpError = Packet::Error { code: 0, text: b"File changed, ask again" };
/// Less was sent than was announced.
pub(super) const INCOMPLETE: TftpError = Packet::Error { code: 0, text: b"Shorter than announced" };
/// The file is not there.
pub(super) const NOT_FOUND: TftpError = Packet::Error { code: 1, text: b"File not found" };
/// It may not be had.
pub(super) const ACCESS_VIOLATION: TftpError = Packet::Error { code: 2, text: b"Access violation" };
/// It cannot be stored.
pub(super) const DISK_FULL: TftpError = Packet::Error { code: 3, text: b"Disk full" };
/// `mail`, or what is no request.
pub(super) const ILLEGAL_OPERATION: TftpError = Packet::Error { code: 4, text: b"Illegal TFTP operation" };
/// A packet of a stranger, on the port of a transfer.
pub(super) const UNKNOWN_TRANSFER: TftpError = Packet::Error { code: 5, text: b"Unknown transfer ID" };

/// What a peer is told of a refusal; `None` for silence.
pub(super) fn of_refusal(refusal: Refusal) -> Option<TftpError> {
    match refusal {
        Refusal::Silence => None,
        Refusal::NotFound => Some(NOT_FOUND),
        Refusal::Malformed | Refusal::Unauthenticated | Refusal::Forbidden => Some(ACCESS_VIOLATION),
    }
}

/// What a peer is told of a file that cannot be had, and what the record calls it.
pub(super) fn of_file(error: &FileError) -> (TftpError, Outcome, Option<&'static str>) {
    match error {
        FileError::NotFound => (NOT_FOUND, Outcome::Missing, None),
        FileError::Io { .. } => (SERVER_ERROR, Outcome::Error, Some("io")),
    }
}

/// What a peer is told of a file that cannot be read on, and what the record calls it.
pub(super) fn of_read(error: &ReadError) -> (TftpError, Outcome, &'static str) {
    match error {
        ReadError::Changed => (FILE_CHANGED, Outcome::Error, "changed"),
        ReadError::Io(_) => (SERVER_ERROR, Outcome::Error, "io"),
    }
}

/// What a peer is told of an upload that is not stored, and what the record calls it.
pub(super) fn of_upload(error: &UploadError) -> (TftpError, Outcome, &'static str) {
    match error {
        UploadError::TooLarge { .. } => (DISK_FULL, Outcome::Refused, "too_large"),
        UploadError::NoSpace(_) => (DISK_FULL, Outcome::Refused, "no_space"),
        UploadError::Unstorable => (ACCESS_VIOLATION, Outcome::Refused, "unstorable"),
        UploadError::BodyLength => (INCOMPLETE, Outcome::Refused, "body_length"),
        // A WRQ is always a whole file, so that neither can be; they are answered all the same.
        UploadError::BeyondEnd { .. } => (ACCESS_VIOLATION, Outcome::Refused, "beyond_end"),
        UploadError::Changed => (ACCESS_VIOLATION, Outcome::Refused, "precondition"),
        UploadError::Io { .. } => (SERVER_ERROR, Outcome::Error, "io"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn code(error: TftpError) -> u16 {
        match error {
            Packet::Error { code, .. } => code,
            Packet::Data { .. } | Packet::Ack(_) | Packet::OptionAck(_) => panic!("not an error"),
        }
    }

    #[test]
    fn refusals_have_their_codes() {
        for (refusal, expected) in [
            (Refusal::Silence, None),
            (Refusal::NotFound, Some(1)),
            (Refusal::Malformed, Some(2)),
            (Refusal::Unauthenticated, Some(2)),
            (Refusal::Forbidden, Some(2)),
        ] {
            assert_eq!(of_refusal(refusal).map(code), expected, "{refusal:?}");
        }
    }

    #[test]
    fn failures_have_their_codes() {
        let io = || io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(code(of_file(&FileError::NotFound).0), 1);
        assert_eq!(code(of_file(&FileError::Io { operation: "open", path: "a".into(), source: io() }).0), 0);
        assert_eq!(code(of_read(&ReadError::Changed).0), 0);
        assert_eq!(code(of_upload(&UploadError::TooLarge { limit: 1 }).0), 3);
        assert_eq!(code(of_upload(&UploadError::NoSpace("quota")).0), 3);
        assert_eq!(code(of_upload(&UploadError::Unstorable).0), 2);
        assert_eq!(code(of_upload(&UploadError::Io { operation: "write", source: io() }).0), 0);
    }
}
