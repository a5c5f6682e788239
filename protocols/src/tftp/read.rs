//! RRQ: a file goes to the peer.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use provost_core::{ClientAddr, Operation, Proofs};

use super::options::{Asked, Granted};
use super::packet::{Mode, Packet, Request};
use super::refuse::{self, TftpError};
use super::sender::{Acked, Sender};
use super::source::{SMALL_BYTES, Source};
use super::timing::{Due, Pace};
use super::transfer::{Event, Over, Transfer};
use crate::front::{Exchange, Front};
use crate::record::{Outcome, with_causes};

/// Serves a request.
pub(super) async fn read(front: Arc<Front>, client: ClientAddr, request: Request, mut transfer: Transfer) {
    let mut exchange = front.exchange(client, request.method(), &request.name);
    let Some(mode) = request.mode else {
        exchange.finish(Outcome::Rejected, Some("mode"));
        return transfer.send(&refuse::ILLEGAL_OPERATION).await;
    };
    if !exchange.may_be_answered().await {
        return exchange.finish(Outcome::Refused, Some("unanswered"));
    }
    let opening = Arc::clone(&front);
    // It ends early only if it panics, and then the exchange has written its record.
    let opened = front.off_runtime(move || open(&opening, exchange, &request, mode)).await;
    let opened = opened.unwrap_or(Err(Some(refuse::SERVER_ERROR)));
    match opened {
        Ok(opened) => Reading::new(&front, transfer, opened).run().await,
        Err(Some(error)) => transfer.send(&error).await,
        Err(None) => {}
    }
}

struct Opened {
    exchange: Exchange,
    source: Source,
    granted: Granted,
    option_ack: Option<Vec<u8>>,
}

/// Decides, opens, and reads what goes out first: one hop off the runtime. What it cannot have is recorded here; the
/// ERROR, or silence, is left to send.
fn open(front: &Front, mut exchange: Exchange, request: &Request, mode: Mode) -> Result<Opened, Option<TftpError>> {
    let permit = exchange.decide(Operation::Read, &Proofs::none()).map_err(refuse::of_refusal)?;
    let opened = exchange.tenant().files.open(&permit).map_err(|error| {
        let (answer, outcome, reason) = refuse::of_file(&error);
        exchange.detail(with_causes(&error));
        exchange.end(outcome, reason);
        Some(answer)
    })?;
    let limits = front.limits();
    let size = opened.facts.size;
    let (granted, _) = request.asked.grant(Operation::Read, None, &limits);
    let mut source = Source::new(opened.file, size, mode, &granted, limits.tftp_memory_bytes);
    // A large file is not read for an address that may be forged: its peer answers the OACK first.
    if size <= SMALL_BYTES || request.asked == Asked::default() {
        source.fill(1).map_err(|error| {
            exchange.detail(&error);
            exchange.end(Outcome::Error, Some("io"));
            Some(refuse::SERVER_ERROR)
        })?;
    }
    let (granted, option_ack) = request.asked.grant(Operation::Read, source.length(), &limits);
    Ok(Opened { exchange, source, granted, option_ack })
}

struct Reading {
    transfer: Transfer,
    exchange: Exchange,
    /// Absent only while it is being read ahead.
    source: Option<Source>,
    option_ack: Option<Vec<u8>>,
    sender: Sender,
    pace: Pace,
}

enum Failure {
    Over(Over),
    Source(std::io::Error),
}

impl Reading {
    fn new(front: &Front, transfer: Transfer, opened: Opened) -> Self {
        let Opened { exchange, source, granted, option_ack } = opened;
        let sender = Sender::new(granted.window, option_ack.is_some());
        let pace = Pace::new(granted.timeout, &front.limits(), Instant::now());
        Self { transfer, exchange, source: Some(source), option_ack, sender, pace }
    }

    async fn run(mut self) {
        match self.send_file().await {
            Ok(()) => self.exchange.end(Outcome::Served, None),
            Err(Failure::Over(over)) => {
                if let Over::PeerError(_) = over {
                    self.answered();
                }
                self.exchange.detail(over.detail());
                self.exchange.end(Outcome::Aborted, Some(over.code()));
            }
            Err(Failure::Source(error)) => {
                self.exchange.detail(&error);
                self.exchange.end(Outcome::Error, Some("io"));
                self.transfer.send(&refuse::SERVER_ERROR).await;
            }
        }
    }

    async fn send_file(&mut self) -> Result<(), Failure> {
        self.transfer.forget_repeats().await;
        self.send_due().await?;
        self.pace.sent(Instant::now());
        loop {
            match self.transfer.next(self.pace.due()).await {
                Event::Ack(number) => {
                    if self.acked(number).await? == Acked::File {
                        return Ok(());
                    }
                }
                Event::Again if !self.transfer.running().is_answered() && self.pace.may_repeat() => self.repeat().await,
                Event::Expired => match self.pace.expired(Instant::now()) {
                    Due::Repeat => self.repeat().await,
                    Due::GiveUp => return Err(Failure::Over(Over::Timeout)),
                },
                Event::Over(over) => return Err(Failure::Over(over)),
                Event::Again | Event::Data(_) => {}
            }
        }
    }

    async fn acked(&mut self, number: u16) -> Result<Acked, Failure> {
        let before = self.sender.acknowledged();
        let acked = self.sender.acked(number);
        match acked {
            Acked::Window | Acked::Part | Acked::File => self.progressed(before),
            Acked::Nothing | Acked::Lost => {}
        }
        match acked {
            Acked::Nothing | Acked::File => {}
            Acked::Window => {
                self.send_due().await?;
                self.pace.sent(Instant::now());
            }
            Acked::Part | Acked::Lost => {
                self.send_due().await?;
                self.pace.repeated(Instant::now());
            }
        }
        Ok(acked)
    }

    fn progressed(&mut self, before: u64) {
        self.answered();
        let blocks = before + 1..self.sender.acknowledged() + 1;
        let bytes = self.source.as_ref().map_or(0, |source| source.bytes_in(&blocks));
        self.pace.progressed(Instant::now(), usize::try_from(bytes).unwrap_or(usize::MAX));
        self.exchange.add_bytes(bytes);
    }

    fn answered(&self) {
        if !self.transfer.running().is_answered() {
            self.exchange.answered();
        }
        self.transfer.running().answered();
    }

    async fn repeat(&mut self) {
        self.sender.repeated();
        self.send(self.sender.unacknowledged()).await;
        self.pace.repeated(Instant::now());
    }

    async fn send_due(&mut self) -> Result<(), Failure> {
        self.read_ahead().await?;
        let due = self.sender.due();
        self.sender.sent_until(due.end);
        self.send(due).await;
        Ok(())
    }

    async fn send(&mut self, blocks: Range<u64>) {
        if let (0, Some(options)) = (blocks.start, &self.option_ack) {
            self.transfer.send(&Packet::OptionAck(options)).await;
        } else if let Some(source) = &self.source {
            self.transfer.send_blocks(blocks, source).await;
        }
    }

    /// Reads ahead, off the runtime, unless the next window stands in memory. Then the end may be known.
    async fn read_ahead(&mut self) -> Result<(), Failure> {
        let due = self.sender.due();
        if let Some(mut source) = self.source.take_if(|source| due.start > 0 && !source.holds(due.end)) {
            let read = self.transfer.front().off_runtime(move || source.fill(due.start).map(|()| source)).await;
            self.source = Some(read.map_err(std::io::Error::other).flatten().map_err(Failure::Source)?);
        }
        if let Some(last) = self.source.as_ref().and_then(Source::last) {
            self.sender.end_at(last);
        }
        Ok(())
    }
}
