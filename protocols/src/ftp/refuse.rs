//! What a peer is told of a refusal or an error: one exhaustive match for each.
//!
//! Codes are those that RFC 959 section 5.4 lists for the command.

use provost_core::Refusal;
use provost_tenants::files::FileError;
use provost_tenants::uploads::UploadError;

use super::data::DataError;
use super::reply::Reply;
use super::session::End;
use crate::front::Exchange;
use crate::record::{Outcome, with_causes};

/// Why a command about a file fails, before a data connection or on it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The decision was negative. It is in the record already.
    #[error("denied")]
    Refused(Refusal),
    /// The file cannot be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// The upload cannot be stored.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The offset of REST lies behind the end, or the type is ASCII.
    #[error("the restart offset does not fit the file or the type")]
    Restart,
    /// The file could not be read to its end.
    #[error("read the file")]
    Read(#[source] std::io::Error),
    /// MLSD of a file.
    #[error("the path is a file's, and no folder's")]
    NoFolder,
    /// Too many lists are made, or wait to be taken.
    #[error("no turn to make a list came in time")]
    Busy,
    /// The data connection failed.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What the command wanted; names that are refused have a code of their own where they would be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    Read,
    Store,
}

impl Failure {
    /// Ends the record and gives the reply.
    ///
    /// # Errors
    /// - [`End::TurnedAway`]: the peer is not answered any more
    pub(super) fn conclude(&self, mut exchange: Exchange, aim: Aim) -> Result<Reply, End> {
        if let Some((outcome, reason)) = self.outcome() {
            exchange.end(outcome, reason);
            if outcome != Outcome::Missing {
                exchange.detail(with_causes(self));
            }
        }
        match self {
            Self::Refused(refusal) => refused(*refusal, aim),
            Self::File(FileError::NotFound) => Ok(Reply::NO_SUCH_FILE),
            Self::File(FileError::Io { .. }) | Self::Read(_) => Ok(Reply::LOCAL_ERROR),
            Self::Upload(error) => Ok(not_stored(error)),
            Self::Restart => Ok(Reply::BAD_RESTART),
            Self::NoFolder => Ok(Reply::NO_FOLDER),
            Self::Busy => Ok(Reply::BUSY),
            Self::Data(DataError::Open(_) | DataError::Handshake(_) | DataError::Stranger) => Ok(Reply::CANNOT_CONNECT),
            Self::Data(DataError::Broken(_) | DataError::Stalled) => Ok(Reply::BROKEN),
        }
    }

    /// What the record says; nothing of a denial, which says it itself.
    fn outcome(&self) -> Option<(Outcome, Option<&'static str>)> {
        let (outcome, reason) = match self {
            Self::Refused(_) => return None,
            Self::File(FileError::NotFound) => return Some((Outcome::Missing, None)),
            Self::File(FileError::Io { .. }) => (Outcome::Error, "file_error"),
            Self::Read(_) => (Outcome::Error, "read_error"),
            Self::Upload(UploadError::TooLarge { .. }) => (Outcome::Refused, "too_large"),
            Self::Upload(UploadError::NoSpace(_)) => (Outcome::Refused, "no_space"),
            Self::Upload(UploadError::BeyondEnd { .. }) => (Outcome::Refused, "beyond_end"),
            Self::Upload(UploadError::BodyLength) => (Outcome::Refused, "body_length"),
            Self::Upload(UploadError::Changed) => (Outcome::Refused, "precondition"),
            Self::Upload(UploadError::Unstorable) => (Outcome::Refused, "unstorable"),
            Self::Upload(UploadError::Io { .. }) => (Outcome::Error, "upload_error"),
            Self::Restart => (Outcome::Rejected, "bad_restart"),
            Self::NoFolder => (Outcome::Rejected, "no_folder"),
            Self::Busy => (Outcome::Refused, "busy"),
            Self::Data(DataError::Open(_)) => (Outcome::Aborted, "no_data_connection"),
            Self::Data(DataError::Handshake(_)) => (Outcome::Aborted, "data_handshake"),
            Self::Data(DataError::Stranger) => (Outcome::Aborted, "data_stranger"),
            Self::Data(DataError::Broken(_)) => (Outcome::Aborted, "data_broken"),
            Self::Data(DataError::Stalled) => (Outcome::Aborted, "data_stalled"),
        };
        Some((outcome, Some(reason)))
    }
}

fn refused(refusal: Refusal, aim: Aim) -> Result<Reply, End> {
    match (refusal, aim) {
        (Refusal::Silence, _) => Err(End::TurnedAway),
        (Refusal::Unauthenticated, _) => Ok(Reply::LOGIN_FIRST),
        (Refusal::Malformed, Aim::Read) => Ok(Reply::fixed(550, "Name not allowed.")),
        (Refusal::Malformed, Aim::Store) => Ok(Reply::BAD_NAME),
        (Refusal::Forbidden, Aim::Read) => Ok(Reply::DENIED),
        (Refusal::Forbidden | Refusal::NotFound, Aim::Store) => Ok(Reply::fixed(553, "Permission denied.")),
        (Refusal::NotFound, Aim::Read) => Ok(Reply::NO_SUCH_FILE),
    }
}

fn not_stored(error: &UploadError) -> Reply {
    match error {
        UploadError::TooLarge { .. } | UploadError::NoSpace(_) => Reply::NO_SPACE,
        UploadError::BeyondEnd { .. } => Reply::BAD_RESTART,
        UploadError::Unstorable => Reply::BAD_NAME,
        UploadError::BodyLength | UploadError::Changed | UploadError::Io { .. } => Reply::LOCAL_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_code() {
        let rows = [
            (Refusal::Unauthenticated, 530, 530),
            (Refusal::Malformed, 550, 553),
            (Refusal::Forbidden, 550, 553),
            (Refusal::NotFound, 550, 553),
        ];
        for (refusal, read, store) in rows {
            assert_eq!(refused(refusal, Aim::Read).map(|reply| reply.code()), Ok(read), "{refusal:?}");
            assert_eq!(refused(refusal, Aim::Store).map(|reply| reply.code()), Ok(store), "{refusal:?}");
        }
        assert_eq!(refused(Refusal::Silence, Aim::Read), Err(End::TurnedAway));
    }

    #[test]
    fn uploads_that_do_not_fit_are_552() {
        let rows = [
            (UploadError::TooLarge { limit: 1 }, 552),
            (UploadError::NoSpace("device_quota"), 552),
            (UploadError::BeyondEnd { size: 1 }, 554),
            (UploadError::Unstorable, 553),
            (UploadError::BodyLength, 451),
            (UploadError::Changed, 451),
            (UploadError::Io { operation: "write", source: std::io::ErrorKind::Other.into() }, 451),
        ];
        for (error, code) in rows {
            assert_eq!(not_stored(&error).code(), code, "{error}");
        }
    }
}
