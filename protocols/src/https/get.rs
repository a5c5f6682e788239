//! GET and HEAD: decide, open, and say what there is. The bytes of a large file follow in [`super::reply`].

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    LAST_MODIFIED, RANGE,
};
use hyper::{HeaderMap, Response, StatusCode};
use provost_core::{Operation, Permit};
use provost_tenants::files::OpenFile;

use super::content_type;
use super::peer::{Peer, Shown};
use super::range::{self, Ranges, Span};
use super::reply::{self, Piece, READ_BYTES, Reply};
use super::respond::{self, Answer, Stop};
use super::validators::{self, Access, Validators, Verdict};
use crate::front::Exchange;
use crate::record::Outcome;

/// Answers a GET. It blocks: decision, opening and a small file's bytes are one hop off the runtime.
///
/// # Errors
/// - [`Stop`]: anything else than a file
pub(super) fn get(peer: &Peer, shown: Shown, mut exchange: Exchange, headers: &HeaderMap) -> Result<Answer, Stop> {
    let permit = permit(peer, shown, &mut exchange)?;
    let OpenFile { file, facts } = match exchange.tenant().files.open(&permit) {
        Ok(open) => open,
        Err(error) => return Err(respond::without_file(exchange, &error)),
    };
    let validators = Validators::of(&facts);
    let exchange = check(exchange, headers, &validators)?;
    let whole = Span { first: 0, length: facts.size };
    let described = describe(&permit, &validators);
    match ranges(headers, &validators, facts.size) {
        Ranges::Whole => send(exchange, file, described, VecDeque::from([Piece::Part(whole)])),
        Ranges::Unsatisfiable => {
            exchange.finish(Outcome::Refused, Some("range"));
            let mut answer = respond::fixed(StatusCode::RANGE_NOT_SATISFIABLE);
            answer.headers_mut().extend(respond::size_alone(facts.size));
            Err(answer.into())
        }
        Ranges::Parts(parts) => {
            let (fields, pieces) = partial(&permit, &parts, facts.size);
            let mut answer = send(exchange, file, described, pieces)?;
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            replace(answer.headers_mut(), fields);
            Ok(answer)
        }
    }
}

/// Answers a HEAD with what a GET would say. It blocks.
///
/// # Errors
/// - [`Stop`]: anything else than a file
pub(super) fn head(peer: &Peer, shown: Shown, mut exchange: Exchange, headers: &HeaderMap) -> Result<Answer, Stop> {
    let permit = permit(peer, shown, &mut exchange)?;
    let facts = match exchange.tenant().files.describe(&permit) {
        Ok(facts) => facts,
        Err(error) => return Err(respond::without_file(exchange, &error)),
    };
    let validators = Validators::of(&facts);
    let exchange = check(exchange, headers, &validators)?;
    exchange.finish(Outcome::Served, None);
    let mut answer = Response::new(Reply::default());
    replace(answer.headers_mut(), describe(&permit, &validators));
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(facts.size));
    Ok(answer)
}

fn permit(peer: &Peer, shown: Shown, exchange: &mut Exchange) -> Result<Permit, Stop> {
    let tenant = Arc::clone(exchange.tenant());
    let proofs = peer.proofs(shown);
    let decision = exchange.decide(Operation::Read, &proofs);
    decision.map_err(|refusal| respond::refused(refusal, &tenant, &peer.security))
}

/// Goes on where the conditions of the request hold.
fn check(exchange: Exchange, headers: &HeaderMap, validators: &Validators) -> Result<Exchange, Stop> {
    match validators::judge(headers, Some(validators), Access::Read) {
        Verdict::Proceed => Ok(exchange),
        Verdict::Failed => Err(respond::precondition_failed(exchange)),
        Verdict::NotModified => {
            exchange.finish(Outcome::NotModified, None);
            let mut answer = Response::new(Reply::default());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            replace(answer.headers_mut(), state(validators));
            Err(answer.into())
        }
    }
}

type Fields = Vec<(HeaderName, HeaderValue)>;

/// Sets fields; one that is set already is replaced.
fn replace(headers: &mut HeaderMap, fields: Fields) {
    for (name, value) in fields {
        headers.insert(name, value);
    }
}

/// What a 304 says, too.
fn state(validators: &Validators) -> Fields {
    let mut fields = vec![(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))];
    let texts = [(ETAG, Some(validators.etag.clone())), (LAST_MODIFIED, validators.last_modified())];
    fields.extend(texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text?).ok()?))));
    fields
}

/// What is said of a file besides its length.
fn describe(permit: &Permit, validators: &Validators) -> Fields {
    let mut fields = state(validators);
    let content_type = content_type::of(permit.path().base_name());
    fields.extend([
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    ]);
    fields
}

fn ranges(headers: &HeaderMap, validators: &Validators, size: u64) -> Ranges {
    let mut values = headers.get_all(RANGE).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(text), None) if validators.allow_range(headers) => range::parse(text, size),
        (Some(_) | None, _) => Ranges::Whole,
    }
}

/// What a partial answer says of itself, and its pieces: one part as it is, several as multipart/byteranges (RFC 9110
/// section 14.6).
fn partial(permit: &Permit, parts: &[Span], size: u64) -> (Fields, VecDeque<Piece>) {
    let range = |span: &Span| format!("bytes {}-{}/{size}", span.first, span.last());
    if let [one] = parts {
        let field = HeaderValue::try_from(range(one)).map(|value| (CONTENT_RANGE, value));
        return (field.into_iter().collect(), VecDeque::from([Piece::Part(*one)]));
    }
    let boundary = boundary();
    let content_type = content_type::of(permit.path().base_name());
    let mut pieces = VecDeque::with_capacity(parts.len() * 2 + 1);
    for span in parts {
        let head =
            format!("\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {}\r\n\r\n", range(span));
        pieces.extend([Piece::Text(Bytes::from(head)), Piece::Part(*span)]);
    }
    pieces.push_back(Piece::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    let field = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"));
    (field.into_iter().map(|value| (CONTENT_TYPE, value)).collect(), pieces)
}

/// A boundary that no file holds but by an accident of 2^-128.
fn boundary() -> String {
    let mut random = [0; 16];
    // Without randomness the boundary is all zeroes, which still separates parts of a file that does not hold it.
    let _ = aws_lc_rs::rand::fill(&mut random);
    format!("{:032x}", u128::from_be_bytes(random))
}

/// Sends pieces of a file: a little at once, more as it is taken.
fn send(exchange: Exchange, file: File, fields: Fields, pieces: VecDeque<Piece>) -> Result<Answer, Stop> {
    let body = match load(file, pieces) {
        Ok(body) => body,
        Err(error) => {
            let mut exchange = exchange;
            exchange.detail(error);
            return Err(respond::failed(exchange, "file_read"));
        }
    };
    let mut answer = Response::new(body.ending(exchange));
    replace(answer.headers_mut(), fields);
    Ok(answer)
}

fn load(file: File, pieces: VecDeque<Piece>) -> io::Result<Reply> {
    let of_file = |piece: &Piece| match piece {
        Piece::Part(span) => span.length,
        Piece::Text(_) | Piece::Data(_) => 0,
    };
    if pieces.iter().map(of_file).fold(0, u64::saturating_add) > READ_BYTES {
        return Ok(Reply::of(pieces, Some(file)));
    }
    let read = |piece| match piece {
        Piece::Part(span) => reply::read(&file, span).map(Piece::Data),
        Piece::Text(_) | Piece::Data(_) => Ok(piece),
    };
    Ok(Reply::of(pieces.into_iter().map(read).collect::<io::Result<_>>()?, None))
}
