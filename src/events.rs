//! Events of the server itself, to standard error. Requests are no events: they have records.
//!
//! A thread of their own writes them: a terminal that is stopped, or a reader that hangs, must not stop phones. What it takes
//! nothing of waits, up to a bound; past that events are dropped, and the next one to be written says how many.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use provost_tenants::LogFormat;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Where `RUST_LOG` does not say otherwise: the TLS library warns of what peers send, a line for each, and as often as they like. Each
/// such handshake has a record, and those are bounded.
const QUIET: &str = "rustls=off";
/// What waits to be written, in bytes: a reload of thousands of tenants with a warning each.
const QUEUE_BYTES: usize = 1024 * 1024;
/// How long the end of the program waits for the last of them.
const PATIENCE: Duration = Duration::from_secs(1);

/// The events. Dropped, it waits until they are written, but not for long.
pub(crate) struct Events(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Dropped since it was said last.
    lost: u64,
    is_writing: bool,
}

/// Starts writing events as text or JSON. `RUST_LOG` sets the level; `level` stands where it is absent.
///
/// # Errors
/// - the system has no thread to give
pub(crate) fn start(format: LogFormat, level: LevelFilter) -> anyhow::Result<Events> {
    let directives = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| format!("{level},{QUIET}"));
    let filter = EnvFilter::builder().with_default_directive(level.into()).parse_lossy(directives);
    let queue = Queue::write_to(io::stderr()).context("cannot start writing events")?;
    let writer = Arc::clone(&queue);
    let events = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    let events = events.with_writer(move || Line(Arc::clone(&writer)));
    let started = match format {
        LogFormat::Text => events.with_ansi(is_colourful()).finish().try_init(),
        LogFormat::Json => events.json().flatten_event(true).finish().try_init(),
    };
    // It fails only where events are written already.
    let _ = started;
    Ok(Events(queue))
}

fn is_colourful() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Drop for Events {
    fn drop(&mut self) {
        self.0.flush(PATIENCE);
    }
}

/// Takes one event, which comes in one piece.
struct Line(Arc<Queue>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.leave(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Queue {
    fn write_to(output: impl Write + Send + 'static) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::default());
        let written = Arc::clone(&queue);
        thread::Builder::new().name("events".into()).spawn(move || written.write(output))?;
        Ok(queue)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, line: &[u8]) {
        let mut state = self.state();
        if state.lines.len() + line.len() > QUEUE_BYTES {
            state.lost += 1;
            return;
        }
        state.lines.extend_from_slice(line);
        self.changed.notify_all();
    }

    fn write(&self, mut output: impl Write) {
        loop {
            let (lines, lost) = self.next();
            // Where standard error is gone there is nobody left to tell.
            let _ = output.write_all(&lines);
            if lost > 0 {
                tracing::warn!(lost, "events were dropped: they come faster than they can be written");
            }
            self.state().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// Waits for events, and takes all that there are.
    fn next(&self) -> (Vec<u8>, u64) {
        let state = self.state();
        let is_idle = |state: &mut State| state.lines.is_empty();
        let mut state = self.changed.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner);
        state.is_writing = true;
        (std::mem::take(&mut state.lines), std::mem::take(&mut state.lost))
    }

    /// Waits until all that there is has been written, but no longer than that.
    fn flush(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = self.state();
        while state.is_writing || !state.lines.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn an_output_that_takes_nothing_holds_up_nobody_and_what_is_lost_is_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let queue = Queue::write_to(writer).unwrap();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        // The pipe takes some of it, which makes room once.
        for _ in 0..4 * QUEUE_BYTES / line.len() {
            queue.leave(&line);
        }
        assert!(queue.state().lines.len() <= QUEUE_BYTES);
        assert!(queue.state().lost > 0);
        queue.flush(Duration::from_millis(10));
        let taken = thread::spawn(move || {
            let mut taken = vec![0; QUEUE_BYTES];
            reader.read_exact(&mut taken).map(|()| taken)
        });
        assert!(taken.join().unwrap().unwrap().chunks(line.len()).all(|chunk| chunk == line));
    }
}
