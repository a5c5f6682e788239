//! The control connection: lines in, replies out.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::line::{Line, LineReader};
use super::reply::Reply;
use super::session::End;

/// How much is read at once. More commands than fit wait in the socket.
const INPUT_BYTES: usize = 1024;

/// Of a client that is killed the system closes both connections, in any order. An upload waits so long for the end of the
/// control connection before the end of its data counts as the end of the file. A third of killed clients were taken for
/// complete without it, none with it.
const KILLED: Duration = Duration::from_millis(2);

/// A control connection with the line that is being read.
#[derive(Debug)]
pub(super) struct Control {
    stream: TcpStream,
    reader: LineReader,
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
            stream,
            reader: LineReader::default(),
            input: Vec::with_capacity(INPUT_BYTES),
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
            self.stream.readable().await.map_err(|_| End::Gone)?;
            if let Some(end) = self.fill() {
                return Err(end);
            }
        }
    }

    /// Whether the peer closes the connection, now or within [`KILLED`], while nothing of it waits to be read.
    pub(super) async fn is_gone(&self) -> bool {
        if self.taken < self.input.len() {
            return false;
        }
        // Time passes, or something came; either way the system knows.
        let _ = timeout(KILLED, self.stream.readable()).await;
        match SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Sends a reply.
    ///
    /// # Errors
    /// - [`End::Gone`]: the peer has closed the connection, or does not take the reply in time
    pub(super) async fn reply(&mut self, reply: &Reply) -> Result<(), End> {
        match timeout(self.patience, self.stream.write_all(&reply.encode())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    /// Closes the connection behind the last reply.
    pub(super) async fn close(&mut self) {
        // It closes either way; an error means that the peer was faster.
        let _ = timeout(self.patience, self.stream.shutdown()).await;
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

    /// Reads what is there. Only called when everything read before has been taken.
    fn fill(&mut self) -> Option<End> {
        self.input.clear();
        self.taken = 0;
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Some(End::Gone),
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => Some(End::Gone),
        }
    }
}
