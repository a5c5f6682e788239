//! The thread that writes records.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use provost_tenants::LogFormat;

use super::Record;
use super::format::line;

/// Records that wait to be written. A tenant has room for as many again as it has waiting, so that one that floods takes a
/// third of the queue, and many leave something to the others. What is past it is counted and dropped, and the log says how
/// many.
const QUEUE: usize = 65_536;

/// Lines are handed to the system once they are so many bytes.
const WRITE_BYTES: usize = 64 * 1024;
/// How long the thread rests after it has written all that there was. A record that comes meanwhile waits; in return nobody who
/// leaves one has to wake the thread, and one write takes many.
const PAUSE: Duration = Duration::from_millis(5);

/// How often is looked whether a full queue has room.
const LOOK: Duration = Duration::from_millis(10);

/// Records could not be written in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the output of records takes nothing")]
pub struct Unwritten;

/// One tenant's part of the queue.
#[derive(Debug, Default)]
pub(crate) struct RecordShare {
    waiting: AtomicUsize,
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
}

/// Takes records from everywhere and writes them in one place. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct RecordLog {
    queue: SyncSender<Message>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum Message {
    Record(Box<Record>, Arc<RecordShare>),
    Flush(SyncSender<()>),
}

impl RecordLog {
    /// Starts the thread that writes to `output`.
    ///
    /// # Errors
    /// - the system has no thread to give
    pub fn to(output: impl Write + Send + 'static, format: LogFormat) -> std::io::Result<Self> {
        let (queue, records) = sync_channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let all = Arc::clone(&waiting);
        std::thread::Builder::new().name("records".into()).spawn(move || write(output, format, &records, &all))?;
        Ok(Self { queue, waiting })
    }

    /// Writes a record, soon, if the tenant's share of the queue has room.
    pub(crate) fn write(&self, record: Record, share: &Arc<RecordShare>) {
        let free = QUEUE.saturating_sub(self.waiting.load(Ordering::Relaxed));
        if share.waiting.load(Ordering::Relaxed) >= free / 2 {
            share.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        share.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(Message::Record(Box::new(record), Arc::clone(share))).is_err() {
            share.waiting.fetch_sub(1, Ordering::Relaxed);
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            share.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything before is written, but no longer than that: an output may be stuck. It blocks.
    ///
    /// # Errors
    /// - [`Unwritten`]: the time is over
    pub fn flush(&self, patience: Duration) -> Result<(), Unwritten> {
        let until = Instant::now() + patience;
        let (done, written) = sync_channel(1);
        let mut message = Message::Flush(done);
        loop {
            match self.queue.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Full(_)) if Instant::now() >= until => return Err(Unwritten),
                Err(TrySendError::Full(returned)) => message = returned,
                // The thread ends only after the last sender.
                Err(TrySendError::Disconnected(_)) => return Ok(()),
            }
            std::thread::sleep(LOOK);
        }
        written.recv_timeout(until.saturating_duration_since(Instant::now())).map_err(|_| Unwritten)
    }
}

fn write(mut output: impl Write, format: LogFormat, records: &Receiver<Message>, waiting: &AtomicUsize) {
    let mut lines = String::with_capacity(2 * WRITE_BYTES);
    while let Ok(first) = records.recv() {
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Record(record, share) => {
                    share.waiting.fetch_sub(1, Ordering::Relaxed);
                    waiting.fetch_sub(1, Ordering::Relaxed);
                    line(&mut lines, &record, format);
                    tell_lost(&record, &share);
                }
                Message::Flush(done) => {
                    hand_over(&mut output, &mut lines);
                    let _ = done.send(());
                }
            }
            if lines.len() >= WRITE_BYTES {
                hand_over(&mut output, &mut lines);
            }
            next = records.try_recv().ok();
        }
        hand_over(&mut output, &mut lines);
        std::thread::sleep(PAUSE);
    }
}

fn tell_lost(record: &Record, share: &RecordShare) {
    if share.dropped.load(Ordering::Relaxed) == 0 {
        return;
    }
    let (tenant, lost) = (&record.tenant, share.dropped.swap(0, Ordering::Relaxed));
    share.told.fetch_add(lost, Ordering::Relaxed);
    tracing::warn!(tenant, lost, "records were dropped: they come faster than they can be written");
}

fn hand_over(output: &mut impl Write, lines: &mut String) {
    if !lines.is_empty() {
        note_failure(output.write_all(lines.as_bytes()).and_then(|()| output.flush()));
        lines.clear();
    }
}

fn note_failure(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "a record cannot be written");
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::borrow::Cow;
    use std::io;
    use std::net::SocketAddr;
    use std::sync::{Mutex, mpsc};

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
    fn a_tenant_that_floods_costs_no_other_one_a_record() {
        let (go, stuck) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = RecordLog::to(Stuck { go: stuck, written: Arc::clone(&written) }, LogFormat::Text).unwrap();
        let shares: [Arc<RecordShare>; 2] = Default::default();
        let [loud, quiet] = &shares;
        for _ in 0..2 * QUEUE {
            log.write(record("loud"), loud);
        }
        assert!(loud.dropped.load(Ordering::Relaxed) > 0);
        for _ in 0..1000 {
            log.write(record("quiet"), quiet);
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
