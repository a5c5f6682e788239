//! The thread that writes records.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use provost_tenants::LogFormat;

use super::Record;
use super::format::line;

/// Records that wait to be written. Past it they are counted and dropped, and the log says how many.
const QUEUE: usize = 65_536;

/// Takes records from everywhere and writes them in one place. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct RecordLog {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Record(Box<Record>),
    Flush(SyncSender<()>),
}

impl RecordLog {
    /// Starts the thread that writes to `output`.
    ///
    /// # Errors
    /// - the system has no thread to give
    pub fn to(output: impl Write + Send + 'static, format: LogFormat) -> std::io::Result<Self> {
        let (queue, records) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        std::thread::Builder::new().name("records".into()).spawn(move || write(output, format, &records, &lost))?;
        Ok(Self { queue, dropped })
    }

    /// Writes a record, soon.
    pub fn write(&self, record: Record) {
        if self.queue.try_send(Message::Record(Box::new(record))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything before is written. It blocks.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.send(Message::Flush(done)).is_ok() {
            // The thread ends only after the last sender; an error means that nothing is left to wait for.
            let _ = written.recv();
        }
    }
}

fn write(output: impl Write, format: LogFormat, records: &Receiver<Message>, dropped: &AtomicU64) {
    let mut output = std::io::BufWriter::with_capacity(64 * 1024, output);
    while let Some(message) = next(records, &mut output) {
        match message {
            Message::Record(record) => note_failure(output.write_all(line(&record, format).as_bytes())),
            Message::Flush(done) => {
                note_failure(output.flush());
                let _ = done.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "records were dropped: they come faster than they can be written");
        }
    }
    note_failure(output.flush());
}

/// The next message. What is buffered is written before waiting for one.
fn next(records: &Receiver<Message>, output: &mut impl Write) -> Option<Message> {
    match records.try_recv() {
        Ok(message) => Some(message),
        Err(TryRecvError::Empty) => {
            note_failure(output.flush());
            records.recv().ok()
        }
        Err(TryRecvError::Disconnected) => None,
    }
}

fn note_failure(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "a record cannot be written");
    }
}
