//! RRQ: a file goes to the peer.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use provost_core::{ClientAddr, Operation, Permit, Proofs, Refusal};
use provost_tenants::Limits;
use provost_tenants::files::FileInMemory;

use super::cache::{Cache, Disk, ReadError};
use super::numbers::Numbers;
use super::options::{Asked, Granted, within_memory};
use super::packet::{Mode, Packet, Request};
use super::refuse::{self, TftpError};
use super::sender::{Acked, Sender};
use super::source::{SMALL_BYTES, Source};
use super::timing::{Due, Pace};
use super::transfer::{Event, Over, Transfer};
use crate::front::{Exchange, Front};
use crate::listen::Held;
use crate::record::{Outcome, with_causes};

/// Serves a request.
pub(super) async fn read(front: Arc<Front>, client: ClientAddr, request: Request, mut transfer: Transfer) {
    let mut exchange = front.exchange(client, request.method(), &request.name);
    let Some(mode) = request.mode else {
        exchange.finish(Outcome::Rejected, Some("mode"));
        return transfer.refuse(&refuse::ILLEGAL_OPERATION).await;
    };
    match transfer.unless_wanted(exchange.may_be_answered()).await {
        Some(true) => {}
        Some(false) => return exchange.finish(Outcome::Refused, Some("unanswered")),
        None => return exchange.finish(Outcome::Aborted, Some(Over::GaveWay.code())),
    }
    let opened = match decide(&front, exchange).await {
        Ok((exchange, permit)) => {
            let asked = request.asked.within(&permit.rule().tftp_options);
            let (memory, limits) = within_memory(&front, &transfer.limits(), &asked, Operation::Read);
            open(&front, Wanted { exchange, permit, asked, mode, memory }, limits).await
        }
        Err(answer) => Err(answer),
    };
    match opened {
        Ok(opened) => Box::new(Reading::new(&front, transfer, opened)).run().await,
        Err(Some(error)) => transfer.refuse(&error).await,
        Err(None) => {}
    }
}

/// A file that may be had, and how.
struct Wanted {
    exchange: Exchange,
    permit: Permit,
    asked: Asked,
    mode: Mode,
    memory: Held,
}

struct Opened {
    exchange: Exchange,
    source: Source,
    asked: Asked,
    granted: Granted,
    option_ack: Option<Vec<u8>>,
    memory: Held,
}

/// The ERROR that a peer is sent, or silence. The record has been written.
type Answer = Option<TftpError>;

async fn decide(front: &Front, mut exchange: Exchange) -> Result<(Exchange, Permit), Answer> {
    let refusal = match exchange.decide_at_once(Operation::Read, &Proofs::none()) {
        Ok(permit) => return Ok((exchange, permit)),
        Err(refusal) => refusal,
    };
    if refusal == Refusal::NotFound {
        // As long as for a file that is missing, which is looked for in both ways.
        exchange.feign_at_once();
        // It ends early only if it panics, and then the exchange has written its record.
        let _ = Box::pin(front.off_runtime(move || exchange.feign())).await;
    }
    Err(refuse::of_refusal(refusal))
}

/// Opens the file on the spot where nothing has to be waited for, else in one hop off the runtime.
async fn open(front: &Front, wanted: Wanted, limits: Limits) -> Result<Opened, Answer> {
    if let Some(file) = wanted.exchange.tenant().files.open_at_once(&wanted.permit) {
        let mut opened = wanted.opened(file, Disk::InMemory, &limits)?;
        let first = opened.first();
        return match opened.source.find(&first) {
            Ok(true) => Ok(opened.ready(&limits)),
            Ok(false) => Box::pin(off_runtime(front, move || opened.read(&first, &limits))).await,
            Err(error) => Err(Some(failed(&mut opened.exchange, &error))),
        };
    }
    Box::pin(off_runtime(front, move || wanted.open(&limits))).await
}

async fn off_runtime(
    front: &Front,
    work: impl FnOnce() -> Result<Opened, Answer> + Send + 'static,
) -> Result<Opened, Answer> {
    // It ends early only if it panics, and then the exchange has written its record.
    front.off_runtime(work).await.unwrap_or(Err(Some(refuse::SERVER_ERROR)))
}

impl Wanted {
    fn open(mut self, limits: &Limits) -> Result<Opened, Answer> {
        let file = self.exchange.tenant().files.open(&self.permit).map_err(|error| {
            let (answer, outcome, reason) = refuse::of_file(&error);
            if outcome != Outcome::Missing {
                self.exchange.offered();
            }
            self.exchange.detail(with_causes(&error));
            self.exchange.end(outcome, reason);
            Some(answer)
        })?;
        let opened = self.opened(FileInMemory::Open(file), Disk::Waits, limits)?;
        let first = opened.first();
        opened.read(&first, limits)
    }

    fn opened(mut self, file: FileInMemory, disk: Disk, limits: &Limits) -> Result<Opened, Answer> {
        self.exchange.offered();
        let (granted, _) = self.asked.grant(Operation::Read, None, limits);
        let source = match file {
            FileInMemory::Open(open) => Source::new(open.file, disk, self.mode, granted.block, Cache::shared()),
            FileInMemory::Held { bytes, .. } => Ok(Source::held(bytes, self.mode, granted.block)),
        };
        match source {
            Ok(source) => {
                let (exchange, asked, memory) = (self.exchange, self.asked, self.memory);
                Ok(Opened { exchange, source, asked, granted, option_ack: None, memory })
            }
            Err(error) => Err(Some(failed(&mut self.exchange, &error.into()))),
        }
    }
}

impl Opened {
    /// The blocks that are read before anything is sent. A large file is not read for an address that may be forged: its peer
    /// answers the OACK first.
    fn first(&self) -> Range<u64> {
        if self.asked == Asked::default() {
            return 1..2;
        }
        match self.source.length() {
            Some(length) if length <= SMALL_BYTES => 1..u64::from(self.granted.window) + 1,
            Some(_) => 0..0,
            None => 1..2,
        }
    }

    fn read(mut self, blocks: &Range<u64>, limits: &Limits) -> Result<Self, Answer> {
        match self.source.read(blocks) {
            Ok(()) => Ok(self.ready(limits)),
            Err(error) => Err(Some(failed(&mut self.exchange, &error))),
        }
    }

    fn ready(mut self, limits: &Limits) -> Self {
        (self.granted, self.option_ack) = self.asked.grant(Operation::Read, self.source.length(), limits);
        self
    }
}

/// Records that a file cannot be read on; what the peer is told.
fn failed(exchange: &mut Exchange, error: &ReadError) -> TftpError {
    let (answer, outcome, reason) = refuse::of_read(error);
    exchange.detail(with_causes(error));
    exchange.end(outcome, Some(reason));
    answer
}

struct Reading {
    transfer: Transfer,
    exchange: Exchange,
    /// Absent only while it is being read ahead.
    source: Option<Source>,
    option_ack: Option<Vec<u8>>,
    sender: Sender,
    pace: Pace,
    /// Of the window.
    _memory: Held,
}

enum Failure {
    Over(Over),
    Source(ReadError),
}

impl Reading {
    fn new(front: &Front, transfer: Transfer, opened: Opened) -> Self {
        let Opened { exchange, source, asked: _, granted, option_ack, memory } = opened;
        let numbers = Numbers(front.listener().tftp.rollover);
        let source = source.numbered(numbers);
        let sender = Sender::new(granted.window, option_ack.is_some()).numbered(numbers);
        let pace = Pace::new(granted.timeout, &front.limits(), Instant::now());
        Self { transfer, exchange, source: Some(source), option_ack, sender, pace, _memory: memory }
    }

    async fn run(mut self: Box<Self>) {
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
                let answer = failed(&mut self.exchange, &error);
                self.transfer.refuse(&answer).await;
            }
        }
    }

    async fn send_file(&mut self) -> Result<(), Failure> {
        self.transfer.running().forget_repeats();
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

    /// What is there of ACKs is taken before anything is sent again: one that came late makes nothing be sent that a later one
    /// has acknowledged.
    async fn acked(&mut self, number: u16) -> Result<Acked, Failure> {
        let before = self.sender.acknowledged();
        let mut acked = self.sender.acked(number);
        while !matches!(acked, Acked::Window | Acked::File) {
            match self.transfer.ready().await {
                Some(Event::Ack(number)) => acked = acked.and(self.sender.acked(number)),
                Some(Event::Over(over)) => return Err(Failure::Over(over)),
                Some(Event::Data(_) | Event::Again | Event::Expired) => {}
                None => break,
            }
        }
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
        self.transfer.awaits(self.sender.awaited());
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

    /// Reads what is due, unless it is at hand or has been read for another transfer; once for the whole window, off the
    /// runtime. Then the end may be known.
    async fn read_ahead(&mut self) -> Result<(), Failure> {
        let due = self.sender.due();
        let at_hand = match &mut self.source {
            Some(source) if due.start > 0 => source.find(&due).map_err(Failure::Source)?,
            Some(_) | None => true,
        };
        if !at_hand && let Some(mut source) = self.source.take() {
            let read = self.transfer.front().off_runtime(move || source.read(&due).map(|()| source)).await;
            let read = read.map_err(|error| Failure::Source(std::io::Error::other(error).into()))?;
            self.source = Some(read.map_err(Failure::Source)?);
        }
        if let Some(last) = self.source.as_ref().and_then(Source::last) {
            self.sender.end_at(last);
        }
        Ok(())
    }
}
