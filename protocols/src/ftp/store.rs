//! STOR and APPE.
//!
//! > STORE (STOR): This command causes the server-DTP to accept the data transferred via the data connection and to store
//! > the data as a file at the server site. (RFC 959 section 4.1.3)
//!
//! What arrives is spooled and applied as a whole at the end, so that a transfer that breaks off leaves what was there. In
//! stream mode the end of the data connection is the end of the file; a reset, a stall, ABOR and a lost control connection
//! are not. The reply comes when the bytes are stored.
//!
//! STOU, which leaves the name to the server, is refused: what is stored belongs to the device that its name tells, and a name
//! that nobody asks for again is of no use to a phone.

use provost_core::{Operation, Proofs};
use provost_tenants::Tenant;
use provost_tenants::uploads::{Spool, Stored, Target, UploadError};

use super::ascii::FromNetwork;
use super::data::{BATCH_BYTES, Data, Ends, FIRST_BYTES, Plan};
use super::refuse::{Aim, Failure};
use super::reply::Reply;
use super::session::{End, Session};
use super::settings::Representation;
use super::transfer::{Carried, Progress};
use crate::front::{Exchange, Front};
use crate::listen::Job;
use crate::record::Outcome;

/// How much is collected of what is not on the wire as it is stored.
const CONVERTED_BYTES: usize = 256 * 1024;

/// A spool that stores one batch while the next arrives.
#[derive(Debug)]
enum Spooler {
    Idle(Box<Spool>),
    Busy(Job<Result<(Spool, Vec<u8>), UploadError>>),
}

impl Session {
    pub(super) async fn stor(&mut self, argument: &[u8]) -> Result<Reply, End> {
        // REST 0 is none.
        let target = match self.settings.take_restart() {
            0 => Target::Whole,
            offset => Target::Offset(offset),
        };
        self.store("STOR", argument, target).await
    }

    pub(super) async fn appe(&mut self, argument: &[u8]) -> Result<Reply, End> {
        self.settings.take_restart();
        self.store("APPE", argument, Target::End).await
    }

    async fn store(&mut self, verb: &'static str, argument: &[u8], target: Target) -> Result<Reply, End> {
        if argument.is_empty() {
            return Ok(Reply::BAD_PARAMETER);
        }
        let representation = self.settings.representation;
        let plan = match self.take_plan(verb, argument) {
            Ok(plan) => plan,
            Err(reply) => return Ok(reply),
        };
        let exchange = self.exchange(verb, argument);
        let begin = move |exchange: &mut Exchange, tenant: &Tenant, proofs: &Proofs| {
            begin(exchange, tenant, proofs, target, representation)
        };
        let (mut exchange, spool) = self.off_runtime(exchange, begin).await?;
        let spool = match spool {
            Ok(spool) => spool,
            Err(failure) => {
                self.data.plan = plan;
                return failure.conclude(exchange, Aim::Store);
            }
        };
        self.control.reply(&Reply::fixed(150, "Opening the data connection.")).await?;
        let progress = Progress::of(&mut exchange);
        let work = receive(plan, self.ends.clone(), spool, representation, progress.clone());
        let carried = self.carry(&progress, work).await;
        match carried {
            Carried::Done(Ok((spool, rest))) => match self.objection().await {
                None => self.apply(exchange, spool, rest, target).await,
                Some(objection) => self.fail(exchange, objection, Aim::Store).await,
            },
            other => self.fail(exchange, other, Aim::Store).await,
        }
    }

    async fn apply(
        &mut self,
        exchange: Exchange,
        mut spool: Spool,
        rest: Vec<u8>,
        target: Target,
    ) -> Result<Reply, End> {
        // It was let in when it began, and what has arrived is not refused any more. What is stored is so, whether anybody waits for
        // it any more or not.
        let apply = move || match spool.write(&rest).and_then(|()| spool.apply(target)) {
            Ok(Stored { note, .. }) => {
                exchange.finish(Outcome::Stored, note);
                Ok(Reply::COMPLETE)
            }
            Err(error) => Failure::Upload(error).conclude(exchange, Aim::Store),
        };
        self.front.off_runtime(apply).await.map_err(|_| End::Failed)?
    }
}

fn begin(
    exchange: &mut Exchange,
    tenant: &Tenant,
    proofs: &Proofs,
    target: Target,
    representation: Representation,
) -> Result<Spool, Failure> {
    let permit = exchange.decide(Operation::Write, proofs).map_err(Failure::Refused)?;
    match (target, representation) {
        // An offset counts bytes as they are, and in ASCII they are others on the wire.
        (Target::Offset(_), Representation::Ascii) => return Err(Failure::Restart),
        (Target::Whole | Target::End | Target::Range(_), _) | (Target::Offset(_), Representation::Image) => {}
    }
    Ok(tenant.uploads.begin(permit, None)?)
}

/// Receives everything: the spool, and the bytes that are not yet in it.
async fn receive(
    plan: Plan,
    ends: Ends,
    spool: Spool,
    representation: Representation,
    progress: Progress,
) -> Result<(Spool, Vec<u8>), Failure> {
    let mut data = plan.open(&ends).await?;
    let received = match representation {
        Representation::Image if data.is_plain() => {
            let memory = ends.front.memory(BATCH_BYTES);
            data.spool(spool, memory.bytes(), &progress).await?
        }
        Representation::Image | Representation::Ascii => {
            receive_in_batches(&mut data, &ends.front, spool, representation, &progress).await?
        }
    };
    // The peer has said that it is complete; whether it hears us say so changes nothing.
    let _ = data.finish().await;
    Ok(received)
}

/// The same where the bytes are not on the wire as they are stored.
async fn receive_in_batches(
    data: &mut Data,
    front: &Front,
    spool: Spool,
    representation: Representation,
    progress: &Progress,
) -> Result<(Spool, Vec<u8>), Failure> {
    // One batch is stored while the next arrives.
    let memory = front.memory(2 * CONVERTED_BYTES);
    let most = memory.bytes() / 2;
    let mut spooler = Spooler::Idle(Box::new(spool));
    let mut ascii = FromNetwork::default();
    let mut buffer = Vec::with_capacity(FIRST_BYTES);
    while data.receive(&mut buffer, progress).await? > 0 {
        if buffer.len() >= most {
            let (spool, spare) = spooler.ready(most).await?;
            let batch = convert(&mut ascii, representation, std::mem::replace(&mut buffer, spare));
            spooler = spool_batch(front, spool, batch);
        } else if buffer.len() == buffer.capacity() {
            buffer.reserve(buffer.len());
        }
    }
    let (spool, _) = spooler.ready(0).await?;
    let mut rest = convert(&mut ascii, representation, buffer);
    rest.extend_from_slice(ascii.finish());
    Ok((spool, rest))
}

fn convert(ascii: &mut FromNetwork, representation: Representation, batch: Vec<u8>) -> Vec<u8> {
    match representation {
        Representation::Image => batch,
        Representation::Ascii => ascii.convert(&batch),
    }
}

fn spool_batch(front: &Front, mut spool: Spool, mut batch: Vec<u8>) -> Spooler {
    Spooler::Busy(front.off_runtime(move || {
        spool.write(&batch)?;
        batch.clear();
        Ok((spool, batch))
    }))
}

impl Spooler {
    /// Waits until the batch of before is stored: the spool, and an empty buffer, of this capacity where it is a new one.
    async fn ready(self, capacity: usize) -> Result<(Spool, Vec<u8>), Failure> {
        match self {
            Self::Idle(spool) => Ok((*spool, Vec::with_capacity(capacity))),
            Self::Busy(task) => Ok(task.await.map_err(|error| Failure::Read(std::io::Error::other(error)))??),
        }
    }
}
