//! RETR, SIZE, MDTM.
//!
//! > RETRIEVE (RETR): This command causes the server-DTP to transfer a copy of the file, specified in the pathname, to the
//! > server- or user-DTP at the other end of the data connection. (RFC 959 section 4.1.3)
//!
//! SIZE and MDTM are RFC 3659, sections 4 and 3; they count as reads.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use provost_core::{Operation, Proofs, Refusal};
use provost_tenants::Tenant;
use provost_tenants::files::{Descriptor, FileFacts, FileInMemory, OpenFile, read_at_once};

use super::ascii::ToNetwork;
use super::command::Verb;
use super::data::{Ends, Plan};
use super::facts::modified;
use super::refuse::{Aim, Failure};
use super::reply::Reply;
use super::session::{End, Session};
use super::settings::Representation;
use super::transfer::{Carried, Progress};
use crate::front::{Exchange, Front};
use crate::listen::{Held, Job};
use crate::record::Outcome;

/// How much is read at once, where the tenant's memory is not used up.
const CHUNK_BYTES: usize = 256 * 1024;

/// A file on its way: the first chunk is there, the rest is read while the one before is sent.
#[derive(Debug)]
struct Body {
    /// `None` where all of it is in the first chunk.
    file: Option<Arc<Descriptor>>,
    chunk: Vec<u8>,
    offset: u64,
    end: u64,
    most: usize,
    /// The memory of a chunk, and of the one that is read meanwhile.
    _memory: Held,
}

impl Session {
    pub(super) async fn retr(&mut self, argument: &[u8]) -> Result<Reply, End> {
        let restart = self.settings.take_restart();
        if argument.is_empty() {
            return Ok(Reply::BAD_PARAMETER);
        }
        let representation = self.settings.representation;
        let plan = match self.take_plan("RETR", argument) {
            Ok(plan) => plan,
            Err(reply) => return Ok(reply),
        };
        let exchange = self.exchange("RETR", argument);
        let (mut exchange, body) = self.open(exchange, restart, representation).await?;
        let body = match body {
            Ok(body) => body,
            Err(failure) => {
                // The peer may try another name with the same data connection.
                self.data.plan = plan;
                return failure.conclude(exchange, Aim::Read);
            }
        };
        self.control.reply(&opening(representation, body.length())).await?;
        let progress = Progress::of(&mut exchange);
        let work = send_file(plan, self.ends.clone(), body, representation, progress.clone());
        let carried = self.carry(&progress, work).await;
        if let Carried::Done(Ok(())) = carried {
            exchange.end(Outcome::Served, None);
        }
        self.fail(exchange, carried, Aim::Read).await
    }

    /// Opens a file: at once where it lies in memory, else off the runtime.
    async fn open(
        &self,
        exchange: Exchange,
        restart: u64,
        representation: Representation,
    ) -> Result<(Exchange, Result<Body, Failure>), End> {
        let (mut exchange, proofs) = self.proofs(exchange).await?;
        let permit = match exchange.decide_at_once(Operation::Read, &proofs) {
            Ok(permit) => permit,
            Err(refusal) => {
                return self.refuse(exchange, refusal).await.map(|exchange| (exchange, Err(refusal.into())));
            }
        };
        let files = &exchange.tenant().files;
        let body = files.open_at_once(&permit).and_then(|file| match file {
            FileInMemory::Open(open) => {
                let read = |file: &File, offset, length: usize| {
                    Some(Ok(read_at_once(file, offset, u64::try_from(length).unwrap_or(u64::MAX))?))
                };
                Body::of(&self.front, open, restart, representation, read)
            }
            FileInMemory::Held { bytes, .. } => Body::held(&self.front, &bytes, restart, representation),
        });
        if let Some(body) = body {
            return Ok((exchange, body));
        }
        let front = Arc::clone(&self.front);
        let work = move || {
            let open = exchange.tenant().files.open(&permit).map_err(Failure::from);
            let body = open.and_then(|open| {
                let read = |file: &File, offset, length| Some(read(file, Vec::new(), offset, length));
                // It always reads.
                Body::of(&front, open, restart, representation, read).unwrap_or(Err(Failure::Restart))
            });
            (exchange, body)
        };
        self.front.off_runtime(work).await.map_err(|_| End::Failed)
    }

    /// A refusal that sounds like a missing file takes as long as one, which is looked for in both ways.
    async fn refuse(&self, exchange: Exchange, refusal: Refusal) -> Result<Exchange, End> {
        if refusal != Refusal::NotFound {
            return Ok(exchange);
        }
        exchange.feign_at_once();
        let feign = move || {
            exchange.feign();
            exchange
        };
        self.front.off_runtime(feign).await.map_err(|_| End::Failed)
    }

    pub(super) async fn size(&mut self, argument: &[u8]) -> Result<Reply, End> {
        if self.settings.representation == Representation::Ascii {
            return Ok(self.has_no_size(argument));
        }
        self.describe("SIZE", argument, |facts| facts.size.to_string()).await
    }

    pub(super) async fn mdtm(&mut self, argument: &[u8]) -> Result<Reply, End> {
        // Some servers let clients set the time so. Read as a name it would be missing, and the client none the wiser.
        if sets_time(argument) {
            return Ok(self.refuse_change(Verb::Mdtm, argument));
        }
        self.describe("MDTM", argument, |facts| modified(facts.modified)).await
    }

    async fn describe(
        &mut self,
        verb: &'static str,
        argument: &[u8],
        answer: impl Fn(FileFacts) -> String,
    ) -> Result<Reply, End> {
        if argument.is_empty() {
            return Ok(Reply::BAD_PARAMETER);
        }
        let (exchange, facts) = self.off_runtime(self.exchange(verb, argument), describe).await?;
        match facts {
            Ok(facts) => {
                exchange.finish(Outcome::Served, None);
                Ok(Reply::with(213, answer(facts)))
            }
            Err(failure) => failure.conclude(exchange, Aim::Read),
        }
    }

    /// How the data connection comes about.
    ///
    /// # Errors
    /// - the reply where there is none, or none that may be used
    pub(super) fn take_plan(&mut self, verb: &'static str, argument: &[u8]) -> Result<Plan, Reply> {
        let (reason, reply) = match std::mem::take(&mut self.data.plan) {
            _ if self.lacks_protection() => ("data_unprotected", Reply::UNPROTECTED),
            plan @ (Plan::Passive(_) | Plan::Active(_)) => return Ok(plan),
            Plan::None => ("no_data_connection", Reply::NO_DATA_CONNECTION),
        };
        self.lacks_data_connection(verb, argument, reason);
        Err(reply)
    }
}

/// Whether a time stands before the name: `YYYYMMDDHHMMSS name`.
fn sets_time(argument: &[u8]) -> bool {
    argument
        .split_at_checked(14)
        .is_some_and(|(time, name)| time.iter().all(u8::is_ascii_digit) && name.starts_with(b" "))
}

/// What is known of a file that may be read.
pub(super) fn describe(exchange: &mut Exchange, tenant: &Tenant, proofs: &Proofs) -> Result<FileFacts, Failure> {
    let permit = exchange.decide(Operation::Read, proofs).map_err(Failure::Refused)?;
    Ok(tenant.files.describe(&permit)?)
}

/// 150 with the size, where it is known beforehand.
fn opening(representation: Representation, length: u64) -> Reply {
    match representation {
        Representation::Image => Reply::with(150, format!("Opening the data connection ({length} bytes).")),
        Representation::Ascii => Reply::fixed(150, "Opening the data connection."),
    }
}

/// Whether a transfer may begin there. An offset counts bytes as they are, and in ASCII they are others on the wire.
fn check_restart(restart: u64, size: u64, representation: Representation) -> Result<(), Failure> {
    match representation {
        Representation::Image if restart <= size => Ok(()),
        Representation::Ascii if restart == 0 => Ok(()),
        Representation::Image | Representation::Ascii => Err(Failure::Restart),
    }
}

impl Body {
    /// A body of a file that has been read; `None` where the tenant has no memory left for it.
    fn held(
        front: &Front,
        bytes: &[u8],
        restart: u64,
        representation: Representation,
    ) -> Option<Result<Self, Failure>> {
        let end = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Err(failure) = check_restart(restart, end, representation) {
            return Some(Err(failure));
        }
        let rest = usize::try_from(restart).ok().and_then(|restart| bytes.get(restart..)).unwrap_or_default();
        let memory = front.memory(rest.len());
        if memory.bytes() < rest.len() {
            return None;
        }
        Some(Ok(Self { file: None, chunk: rest.to_vec(), offset: end, end, most: CHUNK_BYTES, _memory: memory }))
    }

    /// A body with its first chunk; `None` where `read` does not have it.
    fn of(
        front: &Front,
        open: OpenFile,
        restart: u64,
        representation: Representation,
        read: impl FnOnce(&File, u64, usize) -> Option<io::Result<Vec<u8>>>,
    ) -> Option<Result<Self, Failure>> {
        let end = open.facts.size;
        if let Err(failure) = check_restart(restart, end, representation) {
            return Some(Err(failure));
        }
        let left = usize::try_from(end - restart).unwrap_or(usize::MAX);
        let memory = front.memory(left.min(2 * CHUNK_BYTES));
        let most = memory.bytes().min(CHUNK_BYTES);
        // What does not go at once is read while the chunk before is sent.
        let most = if left <= most { most } else { memory.bytes() / 2 };
        let mut body = Self { file: None, chunk: Vec::new(), offset: restart, end, most, _memory: memory };
        let length = body.advance();
        let chunk = read(&open.file, restart, length)?;
        Some(chunk.map_err(Failure::Read).map(|chunk| Self { file: Some(Arc::new(open.file)), chunk, ..body }))
    }

    /// How many bytes are sent in all. It is asked before the first is.
    fn length(&self) -> u64 {
        let first = u64::try_from(self.chunk.len()).unwrap_or(u64::MAX);
        (self.end - self.offset).saturating_add(first)
    }

    /// The length of the chunk that comes next, which is behind us then.
    fn advance(&mut self) -> usize {
        let length = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX).min(self.most);
        self.offset = self.offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX)).min(self.end);
        length
    }

    /// Begins to read the chunk behind the present one; `None` at the end.
    fn read_ahead(&mut self, front: &Front, buffer: Vec<u8>) -> Option<Job<io::Result<Vec<u8>>>> {
        let offset = self.offset;
        let length = self.advance();
        let file = self.file.clone()?;
        (length > 0).then(|| front.off_runtime(move || read(&file, buffer, offset, length)))
    }
}

/// Reads exactly `length` bytes. A file that has become shorter is an error: the peer must not take it for complete.
fn read(file: &File, mut buffer: Vec<u8>, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    buffer.resize(length, 0);
    file.read_exact_at(&mut buffer, offset)?;
    Ok(buffer)
}

async fn send_file(
    plan: Plan,
    ends: Ends,
    mut body: Body,
    representation: Representation,
    progress: Progress,
) -> Result<(), Failure> {
    let mut data = plan.open(&ends).await?;
    let mut ascii = ToNetwork::default();
    let mut spare = Vec::new();
    if representation == Representation::Image && data.is_plain() {
        let rest = body.file.filter(|_| body.offset < body.end);
        let Some(file) = rest else { return Ok(data.send_last(&body.chunk, &progress).await?) };
        data.send(&body.chunk, &progress).await?;
        data.send_rest(&file, body.offset, body.end, &progress).await?;
        return Ok(data.finish().await?);
    }
    loop {
        let ahead = body.read_ahead(&ends.front, spare);
        match representation {
            Representation::Image => data.send(&body.chunk, &progress).await?,
            Representation::Ascii => data.send(&ascii.convert(&body.chunk), &progress).await?,
        }
        let Some(ahead) = ahead else { break };
        let next = ahead.await.map_err(io::Error::other).flatten().map_err(Failure::Read)?;
        spare = std::mem::replace(&mut body.chunk, next);
    }
    Ok(data.finish().await?)
}
