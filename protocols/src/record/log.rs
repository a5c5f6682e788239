//! The queue of records, and the thread that writes them.
//!
//! A record becomes its line where the request ends, and lines wait together as one text: nothing of a record is copied, handed
//! over and freed on another thread.

use std::cell::RefCell;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use provost_tenants::LogFormat;

use super::Record;
use super::format::Lines;

/// What waits to be written, in bytes. A tenant has room for as much again as it has waiting, so that one that floods takes
/// a third of it, and many leave something to the others. What is past it is counted and dropped, and the log says how
/// many.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// A text that was larger gives its memory back once it is written.
const SPARE_BYTES: usize = 256 * 1024;
/// How long the thread rests after it has written all that there was. A record that comes meanwhile waits; in return nobody who
/// leaves one has to wake the thread, and one write takes many.
const PAUSE: Duration = Duration::from_millis(5);
/// How often the log says that the output takes nothing.
const TOLD_EVERY: Duration = Duration::from_secs(10);

thread_local! {
    /// Where a thread writes the line of a record, before it has the queue.
    static LINES: RefCell<Lines> = RefCell::default();
}

/// Records could not be written in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the output of records takes nothing")]
pub struct Unwritten;

/// One tenant's part of the queue.
#[derive(Debug, Default)]
pub(crate) struct RecordShare {
    /// What it has waiting, in bytes, of the round with this number. Both are touched by who has the queue alone.
    waiting: AtomicU64,
    round: AtomicU64,
    /// How many records that is.
    records: AtomicU64,
    /// Since the log said so last.
    dropped: AtomicU64,
    /// Of which the log has said so.
    told: AtomicU64,
}

impl RecordShare {
    /// How many records were dropped.
    pub(crate) fn lost(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed).saturating_add(self.told.load(Ordering::Relaxed))
    }

    /// Takes so many bytes of this round, if as many again are free as it would have then.
    fn take(&self, bytes: usize, round: u64, free: usize) -> bool {
        let waiting = if self.round.swap(round, Ordering::Relaxed) == round {
            usize::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
        } else {
            self.records.store(0, Ordering::Relaxed);
            0
        };
        let fits = waiting.saturating_add(bytes) <= free / 2;
        let waiting = if fits { waiting + bytes } else { waiting };
        self.waiting.store(u64::try_from(waiting).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.records.fetch_add(u64::from(fits), Ordering::Relaxed);
        fits
    }
}

/// Takes records from everywhere and writes them in one place. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct RecordLog(Arc<Writers>);

/// Those who leave records. Once they are gone the thread ends.
#[derive(Debug)]
struct Writers {
    queue: Arc<Queue>,
    format: LogFormat,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    /// The thread is waited for, or has ended a round.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The lines of the round that collects.
    lines: String,
    /// Its number; those before are written, or are being written.
    round: u64,
    /// The first round that is not written.
    unwritten: u64,
    /// Whose records are in the round.
    sharing: Vec<Arc<RecordShare>>,
    /// Whose records were dropped since the log said so.
    lossy: Vec<(String, Arc<RecordShare>)>,
    /// The thread waits for something to write.
    is_waiting: bool,
    is_over: bool,
}

/// What was taken from the queue at once.
#[derive(Debug)]
struct Round {
    /// How many records of whom.
    of_tenants: Vec<(u64, Arc<RecordShare>)>,
    lossy: Vec<(String, Arc<RecordShare>)>,
}

/// An output that takes nothing, such as a disk that is full.
#[derive(Debug, Default)]
struct Failing {
    /// Records that were lost since the log said so.
    lost: u64,
    told: Option<Instant>,
}

impl RecordLog {
    /// Starts the thread that writes to `output`.
    ///
    /// # Errors
    /// - the system has no thread to give
    pub fn to(output: impl Write + Send + 'static, format: LogFormat) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let written = Arc::clone(&queue);
        std::thread::Builder::new().name("records".into()).spawn(move || write(output, &written))?;
        Ok(Self(Arc::new(Writers { queue, format })))
    }

    /// Writes a record, soon, if the tenant's share of the queue has room.
    pub(crate) fn write(&self, record: &Record, share: &Arc<RecordShare>) {
        let leave = |lines: &mut Lines| self.leave(lines.of(record, self.0.format), record, share);
        // A thread that ends has none of its own any more.
        if LINES.try_with(|lines| leave(&mut lines.borrow_mut())).is_err() {
            leave(&mut Lines::default());
        }
    }

    fn leave(&self, line: &str, record: &Record, share: &Arc<RecordShare>) {
        let queue = &self.0.queue;
        let mut state = queue.state();
        let free = QUEUE_BYTES.saturating_sub(state.lines.len());
        if !share.take(line.len(), state.round, free) {
            if share.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                state.lossy.push((record.tenant.clone(), Arc::clone(share)));
            }
            return;
        }
        if share.records.load(Ordering::Relaxed) == 1 {
            state.sharing.push(Arc::clone(share));
        }
        state.lines.push_str(line);
        if std::mem::take(&mut state.is_waiting) {
            drop(state);
            queue.changed.notify_all();
        }
    }

    /// Waits until everything before is written, but no longer than that: an output may be stuck. It blocks.
    ///
    /// # Errors
    /// - [`Unwritten`]: the time is over
    pub fn flush(&self, patience: Duration) -> Result<(), Unwritten> {
        let until = Instant::now() + patience;
        let queue = &self.0.queue;
        let mut state = queue.state();
        let last = if state.lines.is_empty() { state.round } else { state.round + 1 };
        while state.unwritten < last {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unwritten);
            }
            state = queue.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.queue.state().is_over = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines, and takes them all in exchange for an empty text; without one once nobody is left to leave any.
    fn next(&self, lines: &mut String) -> Option<Round> {
        let mut state = self.state();
        while state.lines.is_empty() {
            if state.is_over {
                return None;
            }
            state.is_waiting = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_waiting = false;
        std::mem::swap(&mut state.lines, lines);
        state.round += 1;
        let records = |share: Arc<RecordShare>| (share.records.load(Ordering::Relaxed), share);
        let of_tenants = std::mem::take(&mut state.sharing).into_iter().map(records).collect();
        Some(Round { of_tenants, lossy: std::mem::take(&mut state.lossy) })
    }

    fn written(&self) {
        let mut state = self.state();
        state.unwritten = state.round;
        drop(state);
        self.changed.notify_all();
    }
}

/// What takes the lines.
struct Output<W> {
    to: W,
    /// Whether the last one failed half way.
    is_cut: bool,
}

impl<W: Write> Output<W> {
    fn write(&mut self, lines: &str) -> std::io::Result<()> {
        if self.is_cut {
            self.to.write_all(b"\n")?;
            self.is_cut = false;
        }
        let mut rest = lines.as_bytes();
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let (written, left) = rest.split_at(count.min(rest.len()));
                    self.is_cut = written.last() != Some(&b'\n');
                    rest = left;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.to.flush()
    }
}

fn write(to: impl Write, queue: &Queue) {
    let mut output = Output { to, is_cut: false };
    let mut lines = String::new();
    let mut failing = Failing::default();
    while let Some(Round { of_tenants, lossy }) = queue.next(&mut lines) {
        failing.note(output.write(&lines), &of_tenants, Instant::now());
        lines.clear();
        lines.shrink_to(SPARE_BYTES);
        queue.written();
        for (tenant, share) in lossy {
            tell_lost(&tenant, &share);
        }
        std::thread::sleep(PAUSE);
    }
}

fn tell_lost(tenant: &str, share: &RecordShare) {
    let lost = share.dropped.swap(0, Ordering::Relaxed);
    share.told.fetch_add(lost, Ordering::Relaxed);
    tracing::warn!(tenant, lost, "records were dropped: they come faster than they can be written");
}

impl Failing {
    /// Counts what was lost, or tells that nothing is any more.
    fn note(&mut self, written: std::io::Result<()>, of_tenants: &[(u64, Arc<RecordShare>)], now: Instant) {
        let Err(error) = written else {
            if self.told.take().is_some() {
                tracing::warn!(lost = std::mem::take(&mut self.lost), "records can be written again");
            }
            return;
        };
        for (records, share) in of_tenants {
            share.told.fetch_add(*records, Ordering::Relaxed);
            self.lost += records;
        }
        if self.told.is_none_or(|told| now.duration_since(told) >= TOLD_EVERY) {
            self.told = Some(now);
            tracing::error!(%error, lost = std::mem::take(&mut self.lost), "records cannot be written, and are lost");
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::borrow::Cow;
    use std::io;
    use std::net::SocketAddr;
    use std::sync::mpsc::{self, Receiver};

    use provost_core::{ClientAddr, Protocol};

    use super::*;
    use crate::record::Outcome;

    /// An output that takes nothing until it is told to.
    struct Stuck {
        go: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Once the sender is gone everything is taken.
            let _ = self.go.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output that takes half of what it is handed and then nothing, as often as it is told to.
    struct Full {
        fails: u32,
        is_half: bool,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut written = self.written.lock().unwrap();
            if self.is_half {
                (self.is_half, self.fails) = (false, self.fails - 1);
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.is_half = self.fails > 0 && bytes != b"\n";
            let count = if self.is_half { bytes.len() / 2 } else { bytes.len() };
            written.extend_from_slice(bytes.get(..count).unwrap());
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn record(tenant: &str) -> Record {
        Record {
            time: jiff::Timestamp::UNIX_EPOCH,
            tenant: tenant.into(),
            listener: "tftp".into(),
            protocol: Protocol::Tftp,
            client: ClientAddr::from(SocketAddr::from(([10, 0, 0, 2], 4711))),
            mac: None,
            proof: None,
            method: Cow::Borrowed("RRQ"),
            path: "a".into(),
            outcome: Outcome::Missing,
            opening: None,
            reason: None,
            detail: None,
            alarm: None,
            agent: None,
            bytes: 0,
            left_out: 0,
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn records_that_cannot_be_written_are_counted_and_spoil_no_later_one() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let log =
            RecordLog::to(Full { fails: 2, is_half: false, written: Arc::clone(&written) }, LogFormat::Text).unwrap();
        let shares: [Arc<RecordShare>; 2] = Default::default();
        for share in &shares {
            log.write(&record("acme"), share);
            log.flush(Duration::from_mins(1)).unwrap();
        }
        log.write(&record("later"), &shares[0]);
        log.flush(Duration::from_mins(1)).unwrap();
        assert_eq!(shares.each_ref().map(|share| share.lost()), [1, 1]);
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let last = written.lines().last().unwrap();
        assert!(last.contains(" tenant=later ") && !last.contains("acme"), "{written}");
        assert!(written.lines().all(|line| !line.is_empty()), "{written}");
    }

    #[test]
    fn a_tenant_that_floods_costs_no_other_one_a_record() {
        let (go, stuck) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = RecordLog::to(Stuck { go: stuck, written: Arc::clone(&written) }, LogFormat::Text).unwrap();
        let shares: [Arc<RecordShare>; 2] = Default::default();
        let [loud, quiet] = &shares;
        for _ in 0..QUEUE_BYTES / 100 {
            log.write(&record("loud"), loud);
        }
        assert!(loud.dropped.load(Ordering::Relaxed) > 0);
        for _ in 0..1000 {
            log.write(&record("quiet"), quiet);
        }
        assert_eq!(quiet.dropped.load(Ordering::Relaxed), 0);
        // An output that takes nothing keeps nobody waiting for ever, with a queue that is full or not.
        assert_eq!(log.flush(Duration::from_millis(20)), Err(Unwritten));
        drop(go);
        assert_eq!(log.flush(Duration::from_mins(1)), Ok(()));
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().filter(|line| line.contains("tenant=quiet")).count(), 1000);
    }
}
