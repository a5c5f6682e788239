//! A transfer under way: the data connection works while the control connection is listened to.
//!
//! ABOR stops it, STAT tells how far it is, NOOP is answered; everything else waits for its end, and so do these two behind it,
//! since replies come in the order of the commands. Past a bound of what waits the control connection is not read.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

use super::command::{Command, Verb};
use super::line::Line;
use super::refuse::{Aim, Failure};
use super::reply::Reply;
use super::session::{End, Session};
use crate::front::Exchange;
use crate::record::Outcome;

/// Lines that may wait for the end of a transfer. Each is bounded by itself.
const MAX_WAITING: usize = 16;

/// How many bytes have gone over a data connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicU64>);

impl Progress {
    /// The progress of a transfer whose bytes are in the record of this exchange, however it ends.
    pub(super) fn of(exchange: &mut Exchange) -> Self {
        let progress = Self::default();
        exchange.add_moved(Arc::clone(&progress.0));
        progress
    }

    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a transfer ended.
#[derive(Debug)]
pub(super) enum Carried<T> {
    /// By itself.
    Done(Result<T, Failure>),
    /// By ABOR.
    Aborted,
    /// With the control connection.
    Lost(End),
}

/// Whether the control connection is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Talks,
    /// It said QUIT, which waits for the end of the transfer (RFC 959 section 4.1.1); it may close its side now.
    TakesLeave,
    Silent,
}

impl Session {
    /// Carries a transfer to its end. Dropped half-way, the work resets the data connection and leaves no file.
    pub(super) async fn carry<T>(
        &mut self,
        progress: &Progress,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Carried<T> {
        let mut work = pin!(work);
        let mut peer = Peer::Talks;
        loop {
            let may_read = peer != Peer::Silent && self.waiting.len() < MAX_WAITING;
            let line = tokio::select! {
                // The control connection first: a client that is killed closes both, and its upload is not complete.
                biased;
                line = self.control.next(), if may_read => line,
                done = &mut work => return Carried::Done(done),
            };
            let heard = match line {
                Ok(line) => self.hear(line, progress, &mut peer).await,
                Err(End::Gone) if peer == Peer::TakesLeave => {
                    peer = Peer::Silent;
                    continue;
                }
                Err(end) => Err(end),
            };
            match heard {
                // However much it says, the transfer goes on, and its time passes.
                Ok(Heard::GoOn) => {
                    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
                        return Carried::Done(done);
                    }
                }
                Ok(Heard::Stop) => return Carried::Aborted,
                Err(end) => return Carried::Lost(end),
            }
        }
    }

    async fn hear(&mut self, line: Line, progress: &Progress, peer: &mut Peer) -> Result<Heard, End> {
        self.pace().await;
        let verb = match &line {
            Line::Complete(line) => Command::parse(line),
            Line::TooLong | Line::Endless => Command { verb: Verb::Unknown, argument: Vec::new() },
        };
        match (verb.verb, verb.argument.as_slice()) {
            (Verb::Abor, _) => return Ok(Heard::Stop),
            (Verb::Noop, _) if self.waiting.is_empty() => self.control.reply(&Reply::OK).await?,
            (Verb::Stat, b"") if self.waiting.is_empty() => {
                let sofar = format!("{} bytes of a transfer have passed.", progress.bytes());
                self.control.reply(&Reply::with(213, sofar)).await?;
            }
            (verb, _) => {
                if verb == Verb::Quit {
                    *peer = Peer::TakesLeave;
                }
                self.waiting.push_back(line);
            }
        }
        Ok(Heard::GoOn)
    }

    /// What the peer has said against an upload whose data has ended, read already or not. Clients that abort say ABOR and close the
    /// data connection at once, and of one that was killed the system closes both: the end of its data says nothing then. QUIT waits
    /// for the end of the transfer, and behind it the end of the control connection is no loss.
    pub(super) async fn objection(&mut self) -> Option<Carried<()>> {
        if self.takes_leave() {
            return None;
        }
        let is_gone = self.control.is_gone().await;
        while self.waiting.len() < MAX_WAITING {
            let Ok(Ok(line)) = timeout(Duration::ZERO, self.control.next()).await else { break };
            if verb_of(&line) == Verb::Abor {
                return Some(Carried::Aborted);
            }
            self.waiting.push_back(line);
        }
        (is_gone && !self.takes_leave()).then_some(Carried::Lost(End::Gone))
    }

    fn takes_leave(&self) -> bool {
        self.waiting.iter().any(|line| verb_of(line) == Verb::Quit)
    }

    /// Ends the record of a transfer that did not succeed, and gives the reply.
    pub(super) async fn fail<T>(
        &mut self,
        mut exchange: Exchange,
        carried: Carried<T>,
        aim: Aim,
    ) -> Result<Reply, End> {
        match carried {
            Carried::Done(Ok(_)) => Ok(Reply::COMPLETE),
            Carried::Done(Err(failure)) => failure.conclude(exchange, aim),
            Carried::Aborted => {
                exchange.end(Outcome::Aborted, Some("abort"));
                drop(exchange);
                self.control.reply(&Reply::fixed(426, "Transfer aborted.")).await?;
                Ok(Reply::ABORTED)
            }
            Carried::Lost(end) => {
                exchange.end(Outcome::Aborted, Some("control_lost"));
                Err(end)
            }
        }
    }

    /// ABOR without a transfer closes a data connection that waits (RFC 959 section 4.1.3).
    pub(super) fn abor(&mut self) -> Reply {
        self.data.plan = super::data::Plan::None;
        Reply::NOTHING_TO_ABORT
    }
}

fn verb_of(line: &Line) -> Verb {
    match line {
        Line::Complete(line) => Command::parse(line).verb,
        Line::TooLong | Line::Endless => Verb::Unknown,
    }
}

/// What a line during a transfer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    GoOn,
    Stop,
}
