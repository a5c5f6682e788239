//! WRQ: a file comes from the peer, and the last ACK says that it is stored.

use std::sync::Arc;
use std::time::Instant;

use provost_core::{ClientAddr, Operation, Proofs};
use provost_tenants::uploads::{Announced, Spool, Stored, Target, UploadError};

use super::netascii::Decoder;
use super::numbers::Numbers;
use super::options::{Asked, within_memory};
use super::packet::{Mode, Packet, Request};
use super::receiver::{Receiver, Taken};
use super::refuse::{self, TftpError};
use super::timing::{Due, Pace};
use super::transfer::{Event, Over, Transfer};
use crate::front::{Exchange, Front};
use crate::listen::Held;
use crate::record::{Outcome, with_causes};

/// How many bytes are spooled at a time, where the tenant's memory is not used up.
const PIECE_BYTES: usize = 64 * 1024;

/// Serves a request.
pub(super) async fn write(front: Arc<Front>, client: ClientAddr, request: Request, mut transfer: Transfer) {
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
    // It ends early only if it panics, and then the exchange has written its record.
    let begun = front.off_runtime(move || begin(exchange, request.asked, mode)).await;
    let (exchange, upload, asked, expected) = match begun.unwrap_or(Err(Some(refuse::SERVER_ERROR))) {
        Ok(begun) => begun,
        Err(Some(error)) => return transfer.refuse(&error).await,
        Err(None) => return,
    };
    let (window, limits) = within_memory(&front, &transfer.limits(), &asked, Operation::Write);
    let (granted, option_ack) = asked.grant(Operation::Write, None, &limits);
    transfer.expect_blocks(&granted);
    let writing = Writing {
        transfer,
        option_ack,
        receiver: Receiver::new(granted.block, granted.window).numbered(Numbers(front.listener().tftp.rollover)),
        pace: Pace::new(granted.timeout, &front.limits(), Instant::now()),
        body: Body {
            front: Arc::clone(&front),
            upload: Some(Upload::Announced(upload)),
            announced: expected,
            received: 0,
            pending: Vec::new(),
            decoder: Decoder::default(),
            mode,
            piece: front.memory(PIECE_BYTES),
            _window: window,
        },
    };
    writing.run(exchange).await;
}

type Begun = (Exchange, Announced, Asked, Option<u64>);

/// Decides whether the upload may begin, in one hop off the runtime. Nothing is held for it: whoever asks may not be there. Beside it
/// stands how many bytes are to come, where the peer's word for that counts.
fn begin(mut exchange: Exchange, asked: Asked, mode: Mode) -> Result<Begun, Option<TftpError>> {
    let permit = exchange.decide(Operation::Write, &Proofs::none()).map_err(refuse::of_refusal)?;
    // An option that is not granted says nothing.
    let asked = asked.within(&permit.rule().tftp_options);
    // Translated text has another length than the peer announces.
    let expected = match mode {
        Mode::Octet => asked.size,
        Mode::Netascii => None,
    };
    match exchange.tenant().uploads.announce(permit, expected) {
        Ok(upload) => Ok((exchange, upload, asked, expected)),
        Err(error) => Err(Some(refused(&mut exchange, &error))),
    }
}

/// Records that an upload is not stored; what the peer is told.
fn refused(exchange: &mut Exchange, error: &UploadError) -> TftpError {
    let (answer, outcome, reason) = refuse::of_upload(error);
    exchange.detail(with_causes(error));
    exchange.end(outcome, Some(reason));
    answer
}

struct Writing {
    transfer: Transfer,
    option_ack: Option<Vec<u8>>,
    receiver: Receiver,
    pace: Pace,
    body: Body,
}

enum Failure {
    Over(Over),
    Upload(UploadError),
}

impl Writing {
    async fn run(mut self, mut exchange: Exchange) {
        match self.receive_file(&mut exchange).await {
            Ok(()) => match self.body.finish(exchange).await {
                Ok(()) => {
                    self.acknowledge().await;
                    self.dally().await;
                }
                Err(answer) => self.transfer.refuse(&answer).await,
            },
            Err(Failure::Over(over)) => {
                exchange.detail(over.detail());
                exchange.finish(Outcome::Aborted, Some(over.code()));
            }
            Err(Failure::Upload(error)) => {
                let answer = refused(&mut exchange, &error);
                self.transfer.refuse(&answer).await;
            }
        }
    }

    async fn receive_file(&mut self, exchange: &mut Exchange) -> Result<(), Failure> {
        self.transfer.running().forget_repeats();
        self.acknowledge().await;
        self.pace.sent(Instant::now());
        loop {
            match self.transfer.next(self.pace.due()).await {
                Event::Data(number) => {
                    if self.received(number, exchange).await? == Taken::Last {
                        return Ok(());
                    }
                }
                Event::Again if !self.transfer.running().is_answered() && self.pace.may_repeat() => self.repeat().await,
                Event::Expired => match self.pace.expired(Instant::now()) {
                    Due::Repeat => self.repeat().await,
                    Due::GiveUp => return Err(Failure::Over(Over::Timeout)),
                },
                Event::Over(over) => return Err(Failure::Over(over)),
                Event::Again | Event::Ack(_) => {}
            }
        }
    }

    async fn received(&mut self, number: u16, exchange: &mut Exchange) -> Result<Taken, Failure> {
        let taken = self.receiver.received(number, self.transfer.payload().len());
        match taken {
            Taken::Nothing => {}
            Taken::Acknowledge => {
                // It has seen the OACK, even if its first blocks were lost: a second one would say that all is well (RFC 7440 section 4).
                self.answered(exchange);
                self.repeat().await;
            }
            Taken::Keep | Taken::Last => self.keep(exchange).await?,
            Taken::KeepAndAcknowledge => {
                self.keep(exchange).await?;
                self.acknowledge().await;
                self.pace.sent(Instant::now());
            }
        }
        Ok(taken)
    }

    /// The peer is there.
    fn answered(&mut self, exchange: &mut Exchange) {
        if !self.transfer.running().is_answered() {
            exchange.answered();
        }
        self.transfer.running().answered();
        self.pace.answered();
    }

    async fn keep(&mut self, exchange: &mut Exchange) -> Result<(), Failure> {
        self.answered(exchange);
        let bytes = self.transfer.payload();
        self.pace.progressed(Instant::now(), bytes.len());
        exchange.add_bytes(bytes.len() as u64);
        self.body.add(bytes).await.map_err(Failure::Upload)?;
        self.pace.waits(Instant::now());
        Ok(())
    }

    async fn repeat(&mut self) {
        self.receiver.acknowledged();
        self.acknowledge().await;
        self.pace.repeated(Instant::now());
    }

    /// Says what has arrived. Before the first block that is the OACK, or ACK 0.
    async fn acknowledge(&mut self) {
        match &self.option_ack {
            Some(options) if !self.transfer.running().is_answered() => {
                self.transfer.send(&Packet::OptionAck(options)).await;
            }
            Some(_) | None => self.transfer.send(&Packet::Ack(self.receiver.arrived())).await,
        }
    }

    /// Waits for the last block once more: if the last ACK was lost, the peer would take its upload for failed
    /// (RFC 1350 section 6).
    async fn dally(&mut self) {
        self.transfer.dallies();
        let end = Instant::now() + self.pace.dally();
        loop {
            match self.transfer.next(end).await {
                Event::Data(number) => match self.receiver.received(number, self.transfer.payload().len()) {
                    Taken::Acknowledge => self.acknowledge().await,
                    Taken::Nothing | Taken::Keep | Taken::KeepAndAcknowledge | Taken::Last => {}
                },
                Event::Ack(_) | Event::Again => {}
                Event::Expired | Event::Over(_) => return,
            }
        }
    }
}

/// What is sent, before and after its first bytes are written.
enum Upload {
    Announced(Announced),
    Begun(Spool),
}

impl Upload {
    fn begun(self) -> Result<Spool, UploadError> {
        match self {
            Self::Announced(announced) => announced.begin(),
            Self::Begun(spool) => Ok(spool),
        }
    }
}

/// The body on its way to the spool, in pieces that are worth a hop off the runtime.
struct Body {
    front: Arc<Front>,
    /// Absent only while it is being written, and after an error.
    upload: Option<Upload>,
    /// How many bytes the peer said that it has; absent where it did not, or where they are translated.
    announced: Option<u64>,
    received: u64,
    pending: Vec<u8>,
    decoder: Decoder,
    mode: Mode,
    /// The memory of what is spooled at a time, and of the window.
    piece: Held,
    _window: Held,
}

impl Body {
    async fn add(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.received = self.received.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        match self.mode {
            Mode::Octet => self.pending.extend_from_slice(bytes),
            Mode::Netascii => self.decoder.decode(bytes, &mut self.pending),
        }
        if self.pending.len() < self.piece.bytes() {
            return Ok(());
        }
        let upload = self.upload.take().ok_or_else(gone)?;
        let mut pending = std::mem::take(&mut self.pending);
        let spool = move || {
            let mut spool = upload.begun()?;
            spool.write(&pending)?;
            pending.clear();
            Ok((spool, pending))
        };
        let (spool, pending) = self.front.off_runtime(spool).await.map_err(|_| gone())??;
        (self.upload, self.pending) = (Some(Upload::Begun(spool)), pending);
        Ok(())
    }

    /// Stores the file, and ends its record: what is stored is so, whether anybody waits for it any more or not. One that is shorter
    /// than announced has broken off; a log may have grown meanwhile.
    async fn finish(&mut self, mut exchange: Exchange) -> Result<(), TftpError> {
        if self.announced.is_some_and(|announced| self.received < announced) {
            return Err(refused(&mut exchange, &UploadError::BodyLength));
        }
        self.decoder.finish(&mut self.pending);
        let upload = self.upload.take();
        let pending = std::mem::take(&mut self.pending);
        let store = move || {
            let spool = upload.ok_or_else(gone).and_then(Upload::begun);
            let stored = spool.and_then(|mut spool| spool.write(&pending).and_then(|()| spool.apply(Target::Whole)));
            match stored {
                Ok(Stored { note, .. }) => {
                    exchange.finish(Outcome::Stored, note);
                    Ok(())
                }
                Err(error) => Err(refused(&mut exchange, &error)),
            }
        };
        // It ends early only if it panics, and then the exchange has written its record.
        self.front.off_runtime(store).await.unwrap_or(Err(refuse::SERVER_ERROR))
    }
}

fn gone() -> UploadError {
    UploadError::Io { operation: "write the spool", source: std::io::ErrorKind::BrokenPipe.into() }
}
