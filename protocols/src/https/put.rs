//! PUT: the whole of an upload, or with Content-Range a part of it (RFC 9110 section 14.5, by the private agreement that
//! [`provost_core::upload`] is).
//!
//! Everything that can be refused without the body is refused before a byte of it is read. Then it is spooled, and
//! applied as a whole: a body that stalls, breaks off or is short leaves what was there.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_RANGE, HeaderMap, IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, TRANSFER_ENCODING,
};
use provost_core::upload::{ContentRange, RangeError};
use provost_core::{Operation, Permit};
use provost_tenants::files::{FileError, FileFacts};
use provost_tenants::uploads::{Spool, Target, UploadError};

use super::peer::{Peer, Shown};
use super::request_body::{BATCH_BYTES, Batch, BodyError, Length, RequestBody};
use super::respond::{self, Answer, Stop};
use super::runtime::off_runtime;
use super::validators::{self, Access, Validators, Verdict};
use crate::front::{Exchange, Front};
use crate::record::Outcome;

/// What a PUT is refused for before anything is decided.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// Neither Content-Length nor chunks: a body of no length could be one that got lost on the way, and would empty a log.
    #[error("the request says nothing of its body's length")]
    NoLength,
    /// The bytes would be stored as they are, and read back as something else.
    #[error("the body has a Content-Encoding")]
    Encoded,
    /// As with a Content-Encoding: only the chunks are taken off (RFC 9112 section 6.1).
    #[error("the body has another Transfer-Encoding than `chunked`")]
    Transferred,
    /// More than one Content-Range.
    #[error("the request has more than one Content-Range")]
    Several,
    /// A Content-Range that is none, or not this body's.
    #[error("{0}")]
    Range(#[from] RangeError),
}

impl Fault {
    fn stop(&self, exchange: Exchange, peer: &Peer) -> Stop {
        let (status, reason) = match self {
            Self::NoLength => (StatusCode::LENGTH_REQUIRED, "no_length"),
            Self::Encoded => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding"),
            Self::Transferred => (StatusCode::NOT_IMPLEMENTED, "transfer_encoding"),
            Self::Several | Self::Range(_) => (StatusCode::BAD_REQUEST, "content_range"),
        };
        respond::rejected(exchange, peer, status, reason, self)
    }
}

/// Answers a PUT.
///
/// # Errors
/// - [`Stop`]: it was not stored
pub(super) async fn put(
    front: Arc<Front>,
    peer: Arc<Peer>,
    shown: Shown,
    exchange: Exchange,
    headers: HeaderMap,
    body: &mut RequestBody,
) -> Result<Answer, Stop> {
    let target = match target(&headers, body.length()) {
        Ok(target) => target,
        Err(fault) => return Err(fault.stop(exchange, &peer)),
    };
    let expected = expected(target, body.length());
    let conditions = Conditions::of(headers);
    let begun = off_runtime(&front, move || begin(&peer, shown, exchange, conditions, expected));
    let Begun { mut exchange, mut spool, conditions } = begun.await??;
    exchange.add_moved(body.received());
    let memory = front.memory(BATCH_BYTES);
    loop {
        let Batch { bytes, last } = match body.batch(memory.bytes()).await {
            Ok(batch) => batch,
            Err(error) => return Err(broke_off(exchange, &error)),
        };
        if last {
            let finish = move || finish(exchange, spool, &bytes, target, &conditions);
            return off_runtime(&front, finish).await?;
        }
        let written = off_runtime(&front, move || write(spool, &bytes)).await?;
        spool = match written {
            Ok(spool) => spool,
            Err(error) => return Err(respond::not_stored(exchange, &error)),
        };
    }
}

fn target(headers: &HeaderMap, length: Length) -> Result<Target, Fault> {
    let is_plain = |coding: &hyper::header::HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Err(Fault::Encoded);
    }
    let mut transfer = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &hyper::header::HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !transfer.next().is_none_or(is_chunked) || transfer.next().is_some() {
        return Err(Fault::Transferred);
    }
    let mut ranges = headers.get_all(CONTENT_RANGE).iter();
    let range: Option<ContentRange> = match (ranges.next(), ranges.next()) {
        (None, _) => None,
        (Some(_), Some(_)) => return Err(Fault::Several),
        (Some(range), None) => Some(range.to_str().map_err(|_| RangeError::Malformed)?.parse()?),
    };
    match (range, length) {
        (_, Length::Unsaid) => Err(Fault::NoLength),
        (None, Length::Exact(_) | Length::Chunked) => Ok(Target::Whole),
        (Some(range), Length::Exact(length)) => {
            range.check_body(length)?;
            Ok(Target::Range(range))
        }
        (Some(range), Length::Chunked) => Ok(Target::Range(range)),
    }
}

fn expected(target: Target, length: Length) -> Option<u64> {
    match (length, target) {
        (Length::Exact(length), _) => Some(length),
        (Length::Unsaid | Length::Chunked, Target::Range(range)) => Some(range.length()),
        (Length::Unsaid | Length::Chunked, Target::Whole | Target::Offset(_) | Target::End) => None,
    }
}

/// An upload whose body may come.
struct Begun {
    exchange: Exchange,
    spool: Spool,
    conditions: Conditions,
}

/// Decides, and makes room. It blocks.
fn begin(
    peer: &Peer,
    shown: Shown,
    mut exchange: Exchange,
    conditions: Conditions,
    expected: Option<u64>,
) -> Result<Begun, Stop> {
    let tenant = Arc::clone(exchange.tenant());
    let proofs = peer.proofs(shown);
    let decision = exchange.decide(Operation::Write, &proofs);
    let permit = decision.map_err(|refusal| respond::refused(refusal, &exchange, &peer.security, &proofs.password))?;
    let exchange = conditions.check(exchange, &permit)?;
    match tenant.uploads.begin(permit, expected) {
        Ok(spool) => Ok(Begun { exchange, spool, conditions }),
        Err(error) => Err(respond::not_stored(exchange, &error)),
    }
}

/// The conditions of a PUT.
#[derive(Debug)]
struct Conditions(Option<HeaderMap>);

impl Conditions {
    fn of(headers: HeaderMap) -> Self {
        let any = [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE].iter().any(|name| headers.contains_key(name));
        Self(any.then_some(headers))
    }

    fn hold(&self, current: Option<&FileFacts>) -> bool {
        let Some(headers) = &self.0 else { return true };
        match validators::judge(headers, current.map(Validators::of).as_deref(), Access::Write) {
            Verdict::Proceed => true,
            Verdict::NotModified | Verdict::Failed => false,
        }
    }

    /// Goes on where they hold already before the body is asked for. What counts is asked again under the file's lock.
    fn check(&self, exchange: Exchange, permit: &Permit) -> Result<Exchange, Stop> {
        if self.0.is_none() {
            return Ok(exchange);
        }
        let current = match exchange.tenant().files.describe(permit) {
            Ok(facts) => Some(facts),
            Err(FileError::NotFound) => None,
            Err(error @ FileError::Io { .. }) => return Err(respond::without_file(exchange, &error)),
        };
        if self.hold(current.as_ref()) { Ok(exchange) } else { Err(respond::precondition_failed(exchange)) }
    }
}

fn write(mut spool: Spool, bytes: &[u8]) -> Result<Spool, UploadError> {
    spool.write(bytes)?;
    Ok(spool)
}

/// Puts the last bytes to the others, and all where they belong. It blocks. The exchange is here, so that an upload is
/// recorded as stored even where the peer does not wait for the answer.
fn finish(
    exchange: Exchange,
    spool: Spool,
    bytes: &[u8],
    target: Target,
    conditions: &Conditions,
) -> Result<Answer, Stop> {
    match write(spool, bytes).and_then(|spool| spool.apply_if(target, |current| conditions.hold(current))) {
        Ok(stored) => Ok(respond::stored(exchange, stored)),
        Err(error) => Err(respond::not_stored(exchange, &error)),
    }
}

fn broke_off(mut exchange: Exchange, error: &BodyError) -> Stop {
    let (reason, status) = match error {
        BodyError::Stalled(_) => ("body_stalled", StatusCode::REQUEST_TIMEOUT),
        BodyError::Broken(_) => ("body_broken", StatusCode::BAD_REQUEST),
    };
    exchange.detail(error);
    exchange.finish(Outcome::Aborted, Some(reason));
    respond::fixed(status).into()
}
