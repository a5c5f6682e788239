//! The pace of a connection: how long a peer may keep us waiting, at each point of a request.
//!
//! hyper has one timer, for headers, and it runs while a kept connection rests as well: with it a phone that asks again
//! after a quarter of a minute finds its connection closed, or a slow header may take as long as a rest. So hyper's timer
//! is off, and the stream itself is watched here: a rest, a header and an answer that is not taken each have their
//! own limit. A request's body has its limit where it is read.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use provost_tenants::Limits;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::framing;
use crate::life::{Life, Unsent, Why, ended_for};
use crate::listen::{LeastRate, Reset};

/// What a peer may still send after an answer that closes the connection, and for how long: if the socket were closed on bytes
/// that are not read, the system would reset it, and the phone might never see the answer (RFC 9112 section 9.6). Many send all of
/// a body before they read that it was refused, and what is refused is large: core files, and what exceeds `max_upload`.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(30);
/// How long it may send nothing meanwhile.
const LINGER_QUIET: Duration = Duration::from_secs(5);

/// What is read of a connection that wakes, before it gets its buffers again.
const FIRST_BYTES: usize = 256;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Between two requests.
    Idle,
    /// The first byte of a header has come, the last has not.
    Header,
    /// A request is being served.
    Serving,
    /// The server has said its last word.
    Closing,
}

/// Why an answer does not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The peer is gone.
    Gone,
    /// It took nothing for too long, or too little on the whole.
    Stalled,
    /// There is no more of it, as where its file became shorter.
    Short,
}

/// The state of a connection, shared by its stream and its requests.
#[derive(Debug)]
pub(super) struct Pace {
    state: Mutex<State>,
    life: Arc<Life>,
    idle: Duration,
    header: Duration,
    rate: LeastRate,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    broken: Option<Broken>,
    /// What came behind the last request, which is of the next header; `None` while it cannot be told from a body.
    head: Option<Vec<u8>>,
    /// An answer whose last bytes may still be in a buffer. A server that ends waits for them.
    unsent: Option<Unsent>,
}

/// A request that is being served. Dropped, the connection rests.
#[derive(Debug)]
pub(super) struct Serving(Arc<Pace>);

impl Pace {
    /// A connection that has just begun.
    pub(super) fn new(limits: &Limits, life: Arc<Life>) -> Arc<Self> {
        let state =
            State { phase: Phase::Idle, since: Instant::now(), broken: None, head: Some(Vec::new()), unsent: None };
        Arc::new(Self {
            state: Mutex::new(state),
            life,
            idle: limits.idle,
            header: limits.header,
            rate: LeastRate::new(limits),
        })
    }

    /// A request's header is complete. Beside it comes the header as it was sent: nothing where it began behind a body, since
    /// nobody knows then where.
    pub(super) fn serve(self: &Arc<Self>, has_body: bool) -> (Serving, Vec<u8>) {
        self.enter(Phase::Serving);
        let mut state = self.state();
        let mut head = state.head.take().unwrap_or_default();
        if !has_body {
            let end = framing::end_of_head(&head).unwrap_or(head.len());
            state.head = Some(head.split_off(end));
        }
        drop(state);
        (Serving(Arc::clone(self)), head)
    }

    /// What has come of a header that is not complete, or that hyper does not take.
    pub(super) fn head(&self) -> Vec<u8> {
        self.state().head.clone().unwrap_or_default()
    }

    /// The answer cannot go on: the peer must not wait for the rest.
    pub(super) fn falls_short(&self) {
        self.state().broken.get_or_insert(Broken::Short);
    }

    /// Whether the peer took nothing of what it was sent, for too long.
    pub(super) fn has_stalled(&self) -> bool {
        self.state().broken == Some(Broken::Stalled)
    }

    /// Where the connection stands.
    pub(super) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// When the first byte came of a header that is not complete.
    pub(super) fn header_began(&self) -> Option<Instant> {
        let state = self.state();
        (state.phase == Phase::Header).then_some(state.since)
    }

    /// Waits until the connection has rested for so long, and owes its peer nothing.
    pub(super) async fn rested(&self, time: Duration) {
        let mut since = Instant::now();
        loop {
            tokio::time::sleep_until(since + time).await;
            let state = self.state();
            let rests = state.phase == Phase::Idle && state.unsent.is_none();
            since = if rests { state.since } else { Instant::now() };
            if rests && since.elapsed() >= time {
                return;
            }
        }
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.state();
        (state.phase, state.since) = (phase, Instant::now());
    }

    /// Bytes have come. Those of a header are kept, also of one that a quick peer sends before the last of the answer is known to
    /// have left: hyper bounds how many that can be. Empty lines begin no header: old clients send one behind a body (RFC 9112 section
    /// 2.2).
    fn heard(&self, bytes: &[u8]) {
        let mut state = self.state();
        if state.phase == Phase::Idle && !bytes.iter().all(|byte| is_of_line_end(*byte)) {
            (state.phase, state.since) = (Phase::Header, Instant::now());
        }
        if let Some(head) = &mut state.head {
            head.extend_from_slice(bytes);
        }
    }

    /// When the peer must have sent something.
    fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        match state.phase {
            Phase::Idle => state.since.checked_add(self.idle),
            Phase::Header => state.since.checked_add(self.header),
            Phase::Serving | Phase::Closing => None,
        }
    }

    /// Whether the server ends the connection in the middle of what the peer is owed. What it was answered before is left to the
    /// system to bring, unless the network is gone.
    fn breaks_off(&self) -> bool {
        let state = self.state();
        match ended_for() {
            Some(Why::NetworkLost) => true,
            Some(Why::Withdrawn | Why::Cut) if state.phase == Phase::Serving || state.unsent.is_some() => true,
            Some(Why::Withdrawn | Why::Cut) | None => matches!(state.broken, Some(Broken::Stalled | Broken::Short)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serving {
    /// Why the peer takes no more, if so: what was handed to the connection did not reach it.
    pub(super) fn broken(&self) -> Option<Broken> {
        self.0.state().broken
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let (now, unsent) = (Instant::now(), self.0.life.unsent());
        let mut state = self.0.state();
        (state.phase, state.since, state.unsent) = (Phase::Idle, now, Some(unsent));
        state.head.get_or_insert_default();
    }
}

const fn is_of_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// A stream whose peer is held to the pace.
#[derive(Debug)]
pub(super) struct Paced<S: Reset> {
    stream: S,
    /// What was read of it before it is read.
    first: Bytes,
    pace: Arc<Pace>,
    reading: Timer,
    writing: Timer,
    /// Since when the peer has taken nothing.
    blocked: Option<Instant>,
    taking: LeastRate,
    closing: Closing,
}

/// How far closing has come.
#[derive(Debug, Clone, Copy)]
enum Closing {
    Open,
    Lingering { quiet: Instant, until: Instant, left: usize },
}

impl<S: Reset> Paced<S> {
    /// Watches a stream.
    pub(super) fn new(stream: S, pace: Arc<Pace>) -> Self {
        let (reading, writing) = (Timer::default(), Timer::default());
        let taking = pace.rate.clone();
        Self { stream, first: Bytes::new(), pace, taking, reading, writing, blocked: None, closing: Closing::Open }
    }

    /// The same stream, of which these bytes are read first: they came behind the last request, and begin the next.
    pub(super) fn beginning(mut self, mut bytes: Bytes) -> Self {
        bytes.advance(bytes.iter().take_while(|byte| is_of_line_end(**byte)).count());
        self.pace.state().head = Some(Vec::new());
        if !bytes.is_empty() {
            self.pace.heard(&bytes);
        }
        self.first = bytes;
        self
    }

    /// Waits for the next bytes of a connection that rests; they will be read first.
    ///
    /// # Errors
    /// - the peer closed, or the rest was too long
    pub(super) async fn woken(&mut self) -> io::Result<()>
    where
        S: AsyncRead + Unpin,
    {
        if !self.first.is_empty() {
            return Ok(());
        }
        let mut first = [0; FIRST_BYTES];
        let read = self.read(&mut first).await?;
        self.first = Bytes::copy_from_slice(first.get(..read).unwrap_or_default());
        if self.first.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Bounds the time in which the peer takes nothing. `taken` tells the bytes of an outcome.
    fn bound_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
        taken: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        let outcome = match outcome {
            Poll::Ready(outcome) => {
                if let Some(since) = self.blocked.take() {
                    self.taking.waited(since.elapsed());
                }
                self.taking.moved(outcome.as_ref().map_or(0, taken));
                if outcome.is_err() {
                    self.pace.state().broken = Some(Broken::Gone);
                }
                outcome
            }
            Poll::Pending => {
                let since = *self.blocked.get_or_insert_with(Instant::now);
                ready!(self.writing.poll(cx, since + self.taking.patience()));
                self.pace.state().broken = Some(Broken::Stalled);
                Err(io::ErrorKind::TimedOut.into())
            }
        };
        Poll::Ready(outcome)
    }
}

impl<S: Reset> Drop for Paced<S> {
    fn drop(&mut self) {
        if self.pace.breaks_off() {
            self.stream.reset();
        }
    }
}

impl<S: AsyncRead + Reset + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(outcome) => {
                if let Some(bytes) = buf.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
                    self.pace.heard(bytes);
                }
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                let Some(deadline) = self.pace.deadline() else { return Poll::Pending };
                ready!(self.reading.poll(cx, deadline));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Reset + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bound_write(cx, outcome, |taken| *taken)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bound_write(cx, outcome, |taken| *taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        let outcome = self.bound_write(cx, outcome, |()| 0);
        // hyper flushes the stream once its own buffer is empty.
        if outcome.is_ready() {
            self.pace.state().unsent = None;
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.closing, Closing::Open) {
            self.pace.enter(Phase::Closing);
            let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.bound_write(cx, outcome, |()| 0))?;
            let now = Instant::now();
            self.closing = Closing::Lingering { quiet: now + LINGER_QUIET, until: now + LINGER, left: LINGER_BYTES };
        }
        self.poll_linger(cx).map(Ok)
    }
}

impl<S: AsyncRead + Reset + Unpin> Paced<S> {
    /// Reads what the peer still sends, until it closes too.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 8192];
        while let Closing::Lingering { quiet, until, left } = self.closing {
            let mut buffer = ReadBuf::new(&mut scratch);
            let Poll::Ready(outcome) = Pin::new(&mut self.stream).poll_read(cx, &mut buffer) else {
                return self.reading.poll(cx, quiet.min(until));
            };
            let (now, read) = (Instant::now(), buffer.filled().len());
            let Some(left) = left.checked_sub(read) else { break };
            if outcome.is_err() || read == 0 || now >= until {
                break;
            }
            self.closing = Closing::Lingering { quiet: now + LINGER_QUIET, until, left };
        }
        Poll::Ready(())
    }
}

/// A timer that is made when it is first needed. It is set anew only for an earlier deadline, or when it has run down before a
/// later one: most deadlines of a busy connection are moved on long before they come, and each setting has its price.
#[derive(Debug, Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        ready!(sleep.as_mut().poll(cx));
        if sleep.deadline() < deadline {
            sleep.as_mut().reset(deadline);
            return sleep.as_mut().poll(cx);
        }
        Poll::Ready(())
    }
}
