//! GET and HEAD: decide, open, and say what there is. The bytes of a large file follow in [`super::reply`].
//!
//! What is in memory is answered on the spot; what has to wait for a disk is asked for again off the runtime.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, RANGE,
};
use hyper::{HeaderMap, Response, StatusCode};
use provost_core::{Operation, PasswordProof, Permit, Refusal};
use provost_tenants::files::{Descriptor, FileError, FileFacts, FileInMemory, OpenFile, read_at_once};

use super::content_type;
use super::peer::{Peer, Security, Shown};
use super::range::{self, Ranges, Span};
use super::reply::{self, Piece, READ_BYTES, Reply};
use super::respond::{self, Answer, Stop};
use super::runtime::off_runtime;
use super::validators::{self, Access, Validators, Verdict};
use crate::front::{Exchange, Front};
use crate::listen::Held;
use crate::record::Outcome;

/// What is asked of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// GET.
    File,
    /// HEAD: what a GET would say.
    Description,
}

/// How a disk is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    /// For what is in memory.
    AtOnce,
    /// For anything: it blocks.
    Waiting,
}

/// Where the bytes of an answer come from.
enum Source {
    File(Descriptor),
    Bytes(Bytes),
}

/// A request that may be answered.
struct Asked {
    what: What,
    exchange: Exchange,
    permit: Permit,
    headers: HeaderMap,
}

/// A request that may not.
struct Refused {
    refusal: Refusal,
    exchange: Exchange,
    password: PasswordProof,
}

/// Why there is no file.
enum Without {
    /// The request ends here.
    Stop(Stop),
    /// A disk has to be waited for.
    NotNow(Box<Asked>),
}

impl From<Stop> for Without {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Answers a GET or a HEAD.
///
/// # Errors
/// - [`Stop`]: anything else than a file
pub(super) async fn read(
    front: Arc<Front>,
    peer: Arc<Peer>,
    shown: Shown,
    exchange: Exchange,
    headers: HeaderMap,
    what: What,
) -> Result<Answer, Stop> {
    let (exchange, permit) = match permit(&peer, shown, exchange) {
        Ok(permitted) => permitted,
        Err(refused) => return Err(Box::pin(refused.answer(&front, &peer.security)).await),
    };
    match (Asked { what, exchange, permit, headers }).answer(Disk::AtOnce) {
        Ok(answer) => Ok(answer),
        Err(Without::Stop(stop)) => Err(stop),
        Err(Without::NotNow(asked)) => Box::pin(off_runtime(&front, move || asked.answer_waiting())).await?,
    }
}

fn permit(peer: &Peer, shown: Shown, mut exchange: Exchange) -> Result<(Exchange, Permit), Box<Refused>> {
    let proofs = peer.proofs(shown);
    match exchange.decide_at_once(Operation::Read, &proofs) {
        Ok(permit) => Ok((exchange, permit)),
        Err(refusal) => Err(Box::new(Refused { refusal, exchange, password: proofs.password })),
    }
}

impl Refused {
    /// What the peer is told. That there is no such file takes as long as for one that is missing, which is looked for in both ways.
    async fn answer(self, front: &Front, security: &Security) -> Stop {
        let Self { refusal, mut exchange, password } = self;
        if refusal == Refusal::NotFound {
            exchange.feign_at_once();
            let feign = move || {
                exchange.feign();
                exchange
            };
            exchange = match off_runtime(front, feign).await {
                Ok(exchange) => exchange,
                Err(stop) => return stop,
            };
        }
        respond::refused(refusal, &exchange, security, &password)
    }
}

impl Disk {
    fn open(self, asked: &Asked) -> Option<Result<FileInMemory, FileError>> {
        let files = &asked.exchange.tenant().files;
        match self {
            Self::AtOnce => files.open_at_once(&asked.permit).map(Ok),
            Self::Waiting => Some(files.open(&asked.permit).map(FileInMemory::Open)),
        }
    }

    fn describe(self, asked: &Asked) -> Option<Result<FileFacts, FileError>> {
        let files = &asked.exchange.tenant().files;
        match self {
            Self::AtOnce => files.describe_at_once(&asked.permit).map(Ok),
            Self::Waiting => Some(files.describe(&asked.permit)),
        }
    }

    fn read(self, file: &File, span: Span) -> Option<io::Result<Vec<u8>>> {
        match self {
            Self::AtOnce => read_at_once(file, span.first, span.length).map(Ok),
            Self::Waiting => Some(reply::read(file, span)),
        }
    }

    /// The body of pieces of a file: a little is read now, more as it is taken.
    fn load(self, front: &Front, source: Source, mut pieces: VecDeque<Piece>) -> Option<io::Result<Reply>> {
        let file = match source {
            Source::File(file) => file,
            Source::Bytes(bytes) => {
                for piece in &mut pieces {
                    piece.fill(&bytes);
                }
                return Some(Ok(Reply::of(pieces, None)));
            }
        };
        let Some((span, memory)) = little(front, &pieces) else { return Some(Ok(Reply::of(pieces, Some(file)))) };
        let bytes = self.read(&file, span)?;
        Some(bytes.map(|bytes| Reply::of(VecDeque::from([Piece::Data(memory.around(bytes))]), None)))
    }
}

/// The one part of a file that an answer is, where it is little, and the memory for it, where the tenant has so much left for one piece.
fn little(front: &Front, pieces: &VecDeque<Piece>) -> Option<(Span, Held)> {
    let (Some(Piece::Part(span)), 1) = (pieces.front(), pieces.len()) else { return None };
    let length = usize::try_from(span.length).ok().filter(|_| span.length <= READ_BYTES)?;
    let memory = front.piece(length);
    (memory.bytes() == length).then_some((*span, memory))
}

impl Asked {
    fn answer_waiting(self) -> Result<Answer, Stop> {
        self.answer(Disk::Waiting).map_err(|without| match without {
            Without::Stop(stop) => stop,
            // A disk that is waited for always answers.
            Without::NotNow(asked) => respond::failed(asked.exchange, "file_open"),
        })
    }

    fn answer(self, disk: Disk) -> Result<Answer, Without> {
        match self.what {
            What::File => self.file(disk),
            What::Description => self.description(disk),
        }
    }

    fn file(self, disk: Disk) -> Result<Answer, Without> {
        let (source, facts) = match disk.open(&self) {
            Some(Ok(FileInMemory::Open(OpenFile { file, facts }))) => (Source::File(file), facts),
            Some(Ok(FileInMemory::Held { facts, bytes })) => (Source::Bytes(bytes), facts),
            Some(Err(error)) => return Err(respond::without_file(self.exchange, &error).into()),
            None => return Err(Without::NotNow(Box::new(self))),
        };
        let validators = Validators::of(&facts);
        let asked = self.check(&validators)?;
        let mut fields = describe(&asked.permit, &validators);
        let (status, pieces) = match ranges(&asked.headers, &validators, facts.size) {
            Ranges::Whole => (StatusCode::OK, whole(facts.size)),
            Ranges::Unsatisfiable => {
                asked.exchange.finish(Outcome::Refused, Some("range"));
                let mut answer = respond::fixed(StatusCode::RANGE_NOT_SATISFIABLE);
                answer.headers_mut().extend(respond::size_alone(facts.size));
                return Err(Stop::from(answer).into());
            }
            Ranges::Parts(parts) => {
                let (more, pieces) = partial(&asked.permit, &parts, facts.size);
                fields.extend(more);
                (StatusCode::PARTIAL_CONTENT, pieces)
            }
        };
        let body = match disk.load(asked.exchange.front(), source, pieces) {
            Some(Ok(body)) => body,
            Some(Err(error)) => return Err(asked.failed(&error).into()),
            None => return Err(Without::NotNow(Box::new(asked))),
        };
        let mut answer = Response::new(body.ending(asked.exchange));
        *answer.status_mut() = status;
        replace(answer.headers_mut(), fields);
        Ok(answer)
    }

    fn description(self, disk: Disk) -> Result<Answer, Without> {
        let facts = match disk.describe(&self) {
            Some(Ok(facts)) => facts,
            Some(Err(error)) => return Err(respond::without_file(self.exchange, &error).into()),
            None => return Err(Without::NotNow(Box::new(self))),
        };
        let validators = Validators::of(&facts);
        let asked = self.check(&validators)?;
        asked.exchange.finish(Outcome::Served, None);
        let mut answer = Response::new(Reply::default());
        replace(answer.headers_mut(), describe(&asked.permit, &validators));
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(facts.size));
        Ok(answer)
    }

    /// Goes on where the conditions of the request hold.
    fn check(self, validators: &Validators) -> Result<Self, Stop> {
        match validators::judge(&self.headers, Some(validators), Access::Read) {
            Verdict::Proceed => Ok(self),
            Verdict::Failed => Err(respond::precondition_failed(self.exchange)),
            Verdict::NotModified => {
                self.exchange.finish(Outcome::NotModified, None);
                let mut answer = Response::new(Reply::default());
                *answer.status_mut() = StatusCode::NOT_MODIFIED;
                replace(answer.headers_mut(), state(validators));
                Err(answer.into())
            }
        }
    }

    fn failed(mut self, error: &io::Error) -> Stop {
        self.exchange.detail(error);
        respond::failed(self.exchange, "file_read")
    }
}

type Fields = Vec<(HeaderName, HeaderValue)>;

/// So many fields an answer with a file has at most.
const FIELDS: usize = 8;

/// Sets fields; one that is set already is replaced.
fn replace(headers: &mut HeaderMap, fields: Fields) {
    headers.reserve(fields.len());
    for (name, value) in fields {
        headers.insert(name, value);
    }
}

/// What a 304 says, too.
fn state(validators: &Validators) -> Fields {
    let mut fields = Vec::with_capacity(FIELDS);
    fields.push((CACHE_CONTROL, HeaderValue::from_static("private, no-cache")));
    fields.extend(validators.fields(SystemTime::now()));
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

fn whole(size: u64) -> VecDeque<Piece> {
    VecDeque::from([Piece::Part(Span { first: 0, length: size })])
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
