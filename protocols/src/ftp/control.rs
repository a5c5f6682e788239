//! The control connection: lines in, replies out.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::line::{Line, LineReader};
use super::reply::Reply;
use super::session::End;
use super::wire::Wire;
use crate::life::{Why, ended_for};
use crate::tls::TlsStream;

/// How much is read at once. More commands than fit wait in the socket.
const INPUT_BYTES: usize = 1024;

/// Of a client that is killed the system closes both connections, in any order. An upload waits so long for the end of the
/// control connection before the end of its data counts as the end of the file. A third of killed clients were taken for
/// complete without it, none with it.
const KILLED: Duration = Duration::from_millis(2);

/// A control connection with the line that is being read.
#[derive(Debug)]
pub(super) struct Control {
    /// Absent once a handshake on it has failed.
    wire: Option<Wire>,
    reader: LineReader,
    /// Held only while something is in it, or is awaited inside TLS: most sessions are idle.
    input: Vec<u8>,
    taken: usize,
    /// The longest line, in bytes.
    pub(super) limit: usize,
    patience: Duration,
}

impl Control {
    /// `limit` bounds a line in bytes, `patience` the time in which a peer takes a reply.
    pub(super) fn new(stream: TcpStream, limit: usize, patience: Duration) -> Self {
        // ABOR is sent as urgent data by many clients, and without this its last byte would be missing from the line.
        // Where the system refuses, ABOR alone suffers.
        let _ = SockRef::from(&stream).set_out_of_band_inline(true);
        Self {
            wire: Some(Wire::Plain(stream)),
            reader: LineReader::default(),
            input: Vec::new(),
            taken: 0,
            limit,
            patience,
        }
    }

    /// The next line. The caller bounds the time; a call that is dropped loses nothing.
    ///
    /// # Errors
    /// - [`End::Gone`]: the peer has closed the connection, or it broke
    /// - [`End::Endless`]: a line goes on and on
    pub(super) async fn next(&mut self) -> Result<Line, End> {
        loop {
            if let Some(line) = self.buffered()? {
                return Ok(line);
            }
            if let Some(refusal) = self.reader.refusal() {
                self.refuse(refusal);
                continue;
            }
            self.fill().await.map_err(|_| End::Gone)?;
        }
    }

    /// Gives the connection away for a handshake. What came behind the last line is forgotten: it was sent by whoever
    /// could write before TLS, and must not be taken for something that was said inside it.
    pub(super) fn plain(&mut self) -> Option<TcpStream> {
        self.reader = LineReader::default();
        self.input = Vec::new();
        self.taken = 0;
        match self.wire.take() {
            Some(Wire::Plain(stream)) => Some(stream),
            Some(Wire::Tls(_)) | None => None,
        }
    }

    /// Goes on inside TLS.
    pub(super) fn secured(&mut self, stream: TlsStream) {
        self.wire = Some(Wire::Tls(stream));
    }

    /// Whether the peer closes the connection, now or within [`KILLED`], whatever of it waits to be read.
    pub(super) async fn is_gone(&self) -> bool {
        let Some(socket) = self.wire.as_ref().map(Wire::socket) else { return true };
        let until = Instant::now() + KILLED;
        // Time passes, or something came; either way the system knows.
        let _ = timeout_at(until, socket.readable()).await;
        if hangs_up(socket) {
            return true;
        }
        // What came may be commands, and the end behind them.
        sleep_until(until).await;
        hangs_up(socket)
    }

    /// Sends a reply.
    ///
    /// # Errors
    /// - [`End::Gone`]: the peer has closed the connection, or does not take the reply in time
    pub(super) async fn reply(&mut self, reply: &Reply) -> Result<(), End> {
        self.say(&reply.encode()).await
    }

    /// Sends a reply that is encoded.
    ///
    /// # Errors
    /// - as [`Control::reply`]
    pub(super) async fn say(&mut self, reply: &[u8]) -> Result<(), End> {
        let Some(wire) = &mut self.wire else { return Err(End::Gone) };
        match timeout(self.patience, wire.send(reply)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                wire.reset();
                Err(End::Gone)
            }
        }
    }

    /// Closes the connection, behind the last words if there are any.
    pub(super) async fn close(&mut self, reply: Option<&Reply>) {
        let Some(wire) = &mut self.wire else { return };
        // It closes either way; an error means that the peer was faster.
        let closed = match reply {
            Some(reply) => timeout(self.patience, wire.send_last(&reply.encode())).await,
            None => timeout(self.patience, wire.finish()).await,
        };
        if closed.is_err() {
            wire.reset();
        }
    }

    fn buffered(&mut self) -> Result<Option<Line>, End> {
        let waiting = self.input.get(self.taken..).unwrap_or_default();
        let (taken, line) = self.reader.take(waiting, self.limit);
        self.taken += taken;
        match line {
            Some(Line::Endless) => Err(End::Endless),
            Some(line @ (Line::Complete(_) | Line::TooLong)) => Ok(Some(line)),
            None => Ok(None),
        }
    }

    /// Refuses an option of telnet, if that can be done at once. Inside TLS nobody negotiates.
    fn refuse(&self, refusal: [u8; 3]) {
        if let Some(Wire::Plain(stream)) = &self.wire {
            let _ = stream.try_write(&refusal);
        }
    }

    /// Waits for bytes. Only called when everything read before has been taken.
    async fn fill(&mut self) -> io::Result<()> {
        self.taken = 0;
        self.input = Vec::new();
        let count = match self.wire.as_mut().ok_or(io::ErrorKind::NotConnected)? {
            Wire::Plain(stream) => loop {
                stream.readable().await?;
                self.input.reserve_exact(INPUT_BYTES);
                // After a read that leaves room `read_buf` would wait for the next arrival, and miss what stands behind urgent data,
                // where the system ends a read.
                match stream.try_read_buf(&mut self.input) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => break read?,
                }
            },
            wire @ Wire::Tls(_) => {
                self.input.reserve_exact(INPUT_BYTES);
                wire.read(&mut self.input).await?
            }
        };
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let (Some(wire), Some(Why::NetworkLost)) = (&self.wire, ended_for()) {
            wire.reset();
        }
    }
}

/// Whether the peer's end has come or the connection broke, which is told ahead of what waits to be read.
fn hangs_up(socket: &TcpStream) -> bool {
    poll(&mut [PollFd::new(socket, PollFlags::RDHUP)], Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}
