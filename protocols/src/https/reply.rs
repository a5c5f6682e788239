//! The body of an answer: fixed bytes, parts of a file, or both, streamed in large reads: on the spot while they are in
//! memory, off the runtime from the first on that is not.
//!
//! It holds the request's [`Exchange`] until the last byte was taken, so that a record says `served` only of what was.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future as _;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use provost_tenants::files::{Descriptor, read_at_once};

use super::pace::{Broken, Serving};
use super::range::Span;
use crate::front::Exchange;
use crate::listen::{Flow, Held, Job, Turn};
use crate::record::Outcome;

/// How much of a file is read at once. Measured: smaller reads cost hops, larger ones memory.
pub(super) const READ_BYTES: u64 = 256 * 1024;

/// A piece of a body.
#[derive(Debug)]
pub(super) enum Piece {
    /// These bytes, which are not of a file.
    Text(Bytes),
    /// These bytes, which are of the file.
    Data(Bytes),
    /// This part of the file.
    Part(Span),
}

/// How the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Way {
    /// Out of memory, when the next part is asked for.
    #[default]
    AtOnce,
    /// From a disk, the next part while one is sent.
    Ahead,
}

/// The body of an answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pieces: VecDeque<Piece>,
    left: u64,
    file: Option<Descriptor>,
    way: Way,
    reading: Option<Job<(Descriptor, io::Result<Bytes>)>>,
    /// Bytes that wait for the tenant's bandwidth.
    held: Option<(Turn, Bytes)>,
    flow: Flow,
    // Before the exchange: a server that ends sees one of them until the last byte is sent.
    serving: Option<Serving>,
    exchange: Option<Exchange>,
}

impl Reply {
    /// A body of a fixed text.
    pub(super) fn text(text: &'static str) -> Self {
        Self::of(VecDeque::from([Piece::Text(Bytes::from_static(text.as_bytes()))]), None)
    }

    /// A body of pieces. The parts are of `file`.
    pub(super) fn of(pieces: VecDeque<Piece>, file: Option<Descriptor>) -> Self {
        let left = pieces.iter().fold(0, |sum: u64, piece| sum.saturating_add(piece.length()));
        let (way, exchange, serving) = (Way::AtOnce, None, None);
        Self { pieces, left, file, way, reading: None, held: None, flow: Flow::default(), serving, exchange }
    }

    /// Keeps the exchange until the last byte was taken; then it is `served`, and `aborted` where it does not come to that.
    pub(super) fn ending(mut self, exchange: Exchange) -> Self {
        self.exchange = Some(exchange);
        self
    }

    /// Keeps the connection from resting until the body has ended.
    pub(super) fn serving(mut self, serving: Serving) -> Self {
        self.serving = Some(serving);
        self
    }

    /// Starts to read the next part of the file from the disk, if that is what comes next.
    fn read_ahead(&mut self) {
        if self.way == Way::AtOnce || self.reading.is_some() {
            return;
        }
        if let Some((span, memory)) = self.next_part() {
            self.read_off_runtime(span, memory);
        }
    }

    /// The next part of the file, if that is what comes next and it is in memory. From the first that is not, the disk is read
    /// ahead.
    fn read_at_once(&mut self) -> Option<Bytes> {
        if self.way == Way::Ahead {
            return None;
        }
        let (span, memory) = self.next_part()?;
        let read = self.file.as_ref().and_then(|file| read_at_once(file, span.first, span.length));
        if let Some(bytes) = read {
            return Some(memory.around(bytes));
        }
        self.way = Way::Ahead;
        self.read_off_runtime(span, memory);
        None
    }

    /// Takes as much of the file's next part as is read at once, and the memory for it.
    fn next_part(&mut self) -> Option<(Span, Held)> {
        let Some(Piece::Part(span)) = self.pieces.front_mut() else { return None };
        let front = self.exchange.as_ref()?.front();
        let memory = front.piece(usize::try_from(span.length.min(READ_BYTES)).unwrap_or(usize::MAX));
        let now =
            Span { first: span.first, length: span.length.min(u64::try_from(memory.bytes()).unwrap_or(u64::MAX)) };
        (span.first, span.length) = (span.first + now.length, span.length - now.length);
        if span.length == 0 {
            self.pieces.pop_front();
        }
        Some((now, memory))
    }

    fn read_off_runtime(&mut self, span: Span, memory: Held) {
        let (Some(exchange), Some(file)) = (&self.exchange, self.file.take()) else { return };
        self.reading = Some(exchange.front().off_runtime(move || {
            let bytes = read(&file, span).map(|bytes| memory.around(bytes));
            (file, bytes)
        }));
    }

    fn hand_over(&mut self, bytes: Bytes) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.left = self.left.saturating_sub(length(&bytes));
        self.read_ahead();
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    /// Hands over bytes of the file, as soon as the tenant's bandwidth allows it.
    fn pass(&mut self, cx: &mut Context<'_>, bytes: Bytes) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { exchange, flow, .. } = self;
        match exchange.as_ref().and_then(|exchange| exchange.front().reserve(flow, bytes.len())) {
            None => self.hand_over_data(bytes),
            Some(turn) => {
                self.held = Some((turn, bytes));
                self.poll_held(cx)
            }
        }
    }

    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some((pause, _)) = &mut self.held else { return Poll::Ready(None) };
        ready!(Pin::new(pause).poll(cx));
        let bytes = self.held.take().map(|(_, bytes)| bytes);
        self.hand_over_data(bytes.unwrap_or_default())
    }

    fn hand_over_data(&mut self, bytes: Bytes) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(exchange) = &mut self.exchange {
            exchange.add_bytes(length(&bytes));
        }
        self.hand_over(bytes)
    }

    fn fail(&mut self, error: io::Error) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.detail(&error);
            exchange.finish(Outcome::Error, Some("file_read"));
        }
        Poll::Ready(Some(Err(error)))
    }
}

/// Reads a part of a file. It blocks.
///
/// # Errors
/// - what the system says, or `UnexpectedEof`: the file became shorter after its length was promised
pub(super) fn read(mut file: &File, span: Span) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(span.length).unwrap_or_default());
    file.seek(SeekFrom::Start(span.first))?;
    file.take(span.length).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()) != Ok(span.length) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent"));
    }
    Ok(bytes)
}

impl Piece {
    /// Puts the bytes in for a part of the file, all of whose bytes these are.
    pub(super) fn fill(&mut self, file: &Bytes) {
        let Self::Part(span) = self else { return };
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
        *self = Self::Data(file.slice(at(span.first)..at(span.first.saturating_add(span.length))));
    }

    fn length(&self) -> u64 {
        match self {
            Self::Text(bytes) | Self::Data(bytes) => length(bytes),
            Self::Part(span) => span.length,
        }
    }
}

fn length(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.held.is_some() {
            return self.poll_held(cx);
        }
        if let Some(bytes) = self.read_at_once() {
            return self.pass(cx, bytes);
        }
        self.read_ahead();
        if let Some(reading) = &mut self.reading {
            let outcome = ready!(Pin::new(reading).poll(cx));
            self.reading = None;
            let bytes = outcome.map_err(io::Error::other).and_then(|(file, bytes)| {
                self.file = Some(file);
                bytes
            });
            return match bytes {
                Ok(bytes) => self.pass(cx, bytes),
                Err(error) => self.fail(error),
            };
        }
        match self.pieces.pop_front() {
            Some(Piece::Text(bytes)) => self.hand_over(bytes),
            Some(Piece::Data(bytes)) => self.pass(cx, bytes),
            Some(Piece::Part(_)) => self.fail(io::Error::other("a part of a file that is not open")),
            None => Poll::Ready(None),
        }
    }

    /// Only an empty body says it beforehand: of any other hyper would let go as soon as the last byte is in its buffer.
    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.exchange.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let broken = self.serving.as_ref().and_then(Serving::broken);
        let Some(exchange) = &mut self.exchange else { return };
        match broken {
            Some(Broken::Stalled) => {
                let stall = exchange.front().limits().stall;
                exchange.detail(format!("the answer was not taken for {stall:?}, or too slowly"));
                exchange.end(Outcome::Aborted, Some("answer_stalled"));
            }
            None if self.left == 0 => exchange.end(Outcome::Served, None),
            Some(Broken::Gone | Broken::Short) | None => {}
        }
    }
}
