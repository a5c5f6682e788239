//! Answers without a file: one short fixed text for each status, and what each refusal becomes on the wire.
//!
//! Nothing that a peer sent, and nothing of why it is refused, is ever part of an answer.

use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use provost_core::{PasswordProof, Refusal};
use provost_tenants::files::FileError;
use provost_tenants::uploads::{Stored, UploadError};

use super::challenge;
use super::peer::{Peer, Security};
use super::reply::Reply;
use crate::front::Exchange;
use crate::record::{Outcome, with_causes};

/// When a phone that finds no place is asked to come again: so many seconds at least, and fewer than so many more.
const LEAST_RETRY: u64 = 1;
const RETRY_SPREAD: u64 = 10;

/// An answer to a request.
pub(super) type Answer = Response<Reply>;

/// A request that ends here.
#[derive(Debug)]
pub(super) enum Stop {
    /// With this answer.
    Answer(Box<Answer>),
    /// Without one: the connection is closed.
    Silence,
}

impl Stop {
    /// The same, after which the connection is closed.
    pub(super) fn closing(mut self) -> Self {
        if let Self::Answer(answer) = &mut self {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self
    }
}

impl From<Answer> for Stop {
    fn from(answer: Answer) -> Self {
        Self::Answer(Box::new(answer))
    }
}

/// The answer of a status with its fixed text. Two answers of one status cannot be told apart.
pub(super) fn fixed(status: StatusCode) -> Answer {
    with_text(status, status.canonical_reason().unwrap_or_default())
}

fn with_text(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Reply::text(text));
    *answer.status_mut() = status;
    let fields = [
        (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    ];
    answer.headers_mut().extend(fields);
    answer
}

/// What a negative decision becomes. The exchange has recorded why.
pub(super) fn refused(refusal: Refusal, exchange: &Exchange, security: &Security, shown: &PasswordProof) -> Stop {
    match refusal {
        Refusal::Silence => Stop::Silence,
        Refusal::Malformed => fixed(StatusCode::BAD_REQUEST).into(),
        Refusal::Unauthenticated => unauthenticated(exchange, security, shown).into(),
        Refusal::Forbidden => fixed(StatusCode::FORBIDDEN).into(),
        Refusal::NotFound => fixed(StatusCode::NOT_FOUND).into(),
    }
}

/// A password would help. Where none could, since no Digest can be answered and Basic is not asked for without TLS, it is
/// forbidden.
fn unauthenticated(exchange: &Exchange, security: &Security, shown: &PasswordProof) -> Answer {
    let fields = challenge::fields(exchange.tenant(), exchange.listener(), security, shown);
    if fields.is_empty() {
        return fixed(StatusCode::FORBIDDEN);
    }
    let mut answer = fixed(StatusCode::UNAUTHORIZED);
    for field in fields {
        answer.headers_mut().append(WWW_AUTHENTICATE, field);
    }
    answer
}

/// A request that is refused for its form. `reason` is a short fixed word.
pub(super) fn rejected(
    mut exchange: Exchange,
    peer: &Peer,
    status: StatusCode,
    reason: &'static str,
    detail: impl ToString,
) -> Stop {
    peer.note_on(&mut exchange);
    exchange.detail(detail);
    exchange.finish(Outcome::Rejected, Some(reason));
    fixed(status).into()
}

/// A request that is well and comes when there is no place for it. It may be asked again at a moment that differs from phone to
/// phone, so that those of a storm do not come back together.
pub(super) fn busy(mut exchange: Exchange, peer: &Peer, reason: &'static str) -> Stop {
    peer.note_on(&mut exchange);
    exchange.finish(Outcome::Refused, Some(reason));
    unavailable().into()
}

/// The answer where there is no place.
pub(super) fn unavailable() -> Answer {
    let mut random = [0];
    // Without randomness all are told the same, which is the worst that comes of it.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let seconds = LEAST_RETRY + u64::from(random[0]) % RETRY_SPREAD;
    let mut answer = fixed(StatusCode::SERVICE_UNAVAILABLE);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

/// A method that there is not (RFC 9110 section 15.5.6).
pub(super) fn method_not_allowed(mut exchange: Exchange, peer: &Peer) -> Stop {
    peer.note_on(&mut exchange);
    exchange.finish(Outcome::Rejected, Some("method"));
    let mut answer = fixed(StatusCode::METHOD_NOT_ALLOWED);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, PUT"));
    answer.into()
}

/// A condition of the request that does not hold.
pub(super) fn precondition_failed(exchange: Exchange) -> Stop {
    exchange.finish(Outcome::Refused, Some("precondition"));
    fixed(StatusCode::PRECONDITION_FAILED).into()
}

/// A file that cannot be had.
pub(super) fn without_file(mut exchange: Exchange, error: &FileError) -> Stop {
    match error {
        FileError::NotFound => {
            exchange.finish(Outcome::Missing, None);
            fixed(StatusCode::NOT_FOUND).into()
        }
        FileError::Io { .. } => {
            exchange.detail(with_causes(error));
            failed(exchange, "file_open")
        }
    }
}

/// The server fails.
pub(super) fn failed(exchange: Exchange, reason: &'static str) -> Stop {
    exchange.finish(Outcome::Error, Some(reason));
    fixed(StatusCode::INTERNAL_SERVER_ERROR).into()
}

/// An upload that is on the disk.
pub(super) fn stored(mut exchange: Exchange, stored: Stored) -> Answer {
    exchange.end(Outcome::Stored, stored.note);
    with_text(if stored.created { StatusCode::CREATED } else { StatusCode::OK }, "stored")
}

/// An upload that was not stored.
pub(super) fn not_stored(mut exchange: Exchange, error: &UploadError) -> Stop {
    exchange.detail(with_causes(error));
    let (outcome, reason, status) = match error {
        UploadError::TooLarge { .. } => (Outcome::Refused, "too_large", StatusCode::PAYLOAD_TOO_LARGE),
        UploadError::NoSpace(_) => (Outcome::Refused, "no_space", StatusCode::INSUFFICIENT_STORAGE),
        UploadError::BeyondEnd { .. } => (Outcome::Refused, "beyond_end", StatusCode::RANGE_NOT_SATISFIABLE),
        UploadError::BodyLength => (Outcome::Rejected, "body_length", StatusCode::BAD_REQUEST),
        UploadError::Changed => (Outcome::Refused, "precondition", StatusCode::PRECONDITION_FAILED),
        UploadError::Unstorable => (Outcome::Refused, "unstorable", StatusCode::CONFLICT),
        UploadError::Io { .. } => (Outcome::Error, "upload", StatusCode::INTERNAL_SERVER_ERROR),
    };
    exchange.finish(outcome, Some(reason));
    let mut answer = fixed(status);
    if let UploadError::BeyondEnd { size } = error {
        answer.headers_mut().extend(size_alone(*size));
    }
    answer.into()
}

/// The Content-Range of a 416: what there is (RFC 9110 section 14.4).
pub(super) fn size_alone(size: u64) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::try_from(format!("bytes */{size}")).ok()?;
    Some((CONTENT_RANGE, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_that_is_answered_has_a_text() {
        for status in [400, 401, 403, 404, 405, 408, 409, 411, 412, 413, 415, 416, 417, 421, 500, 503, 507] {
            let status = StatusCode::from_u16(status).unwrap_or_else(|error| panic!("{error}"));
            assert!(!hyper::body::Body::is_end_stream(fixed(status).body()), "{status}");
        }
    }
}
