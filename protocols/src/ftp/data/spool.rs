//! What arrives on a plain data connection, straight into the spool: the system moves it through a pipe (splice(2)).
//!
//! Whatever is there is moved in one go, off the runtime, until the socket has been dry for a moment. Then the peer is waited for
//! on the runtime, where that holds no thread, and a batch is collected before the next go: a slow uploader takes as many of the
//! tenant's jobs as it has batches, however it drips.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use provost_tenants::uploads::Spool;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use super::{Data, DataError};
use crate::ftp::refuse::Failure;
use crate::ftp::transfer::Progress;

/// What a buffer begins with: most uploads are smaller.
pub(in crate::ftp) const FIRST_BYTES: usize = 8 * 1024;
/// How much is collected before a thread is taken for it.
const COLLECTED_BYTES: usize = 64 * 1024;
/// How much is moved at a time, where the tenant's memory is not used up. File systems keep what is written together in larger
/// pieces: with half of it, 100 MiB took a quarter longer.
pub(in crate::ftp) const BATCH_BYTES: usize = 512 * 1024;
/// How much is moved at most before the transfer is looked at again: for ABOR, and for its rate.
const PIECE_BYTES: usize = 4 * 1024 * 1024;
/// How long the peer is waited for in a go, at a time and in all. To go back to the runtime for each pause of a fast one took a
/// quarter of the time.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSES: Duration = Duration::from_millis(4);
/// How long one go takes about at most: a peer may send few bytes at a time.
const GO: Duration = Duration::from_millis(50);

/// What one go has left.
struct Poured {
    spool: Spool,
    bytes: usize,
    state: Inflow,
}

/// What lies between the socket and the file.
struct Pipe {
    inlet: OwnedFd,
    outlet: File,
}

/// What there is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inflow {
    /// Nothing has arrived.
    Dry,
    /// More is there.
    Flows,
    /// The peer has said that it was all.
    Ended,
}

impl Data {
    /// Receives everything as it is, at most `most` bytes at a time: the spool, and the bytes that are not yet in it. The
    /// connection must be plain.
    ///
    /// # Errors
    /// - [`Failure::Upload`]: it does not fit
    /// - [`Failure::Data`]: broken or stalled
    pub(in crate::ftp) async fn spool(
        &mut self,
        mut spool: Spool,
        most: usize,
        progress: &Progress,
    ) -> Result<(Spool, Vec<u8>), Failure> {
        let mut buffer = Vec::with_capacity(FIRST_BYTES);
        while self.receive(&mut buffer, progress).await? > 0 {
            if buffer.len() >= most.min(COLLECTED_BYTES) {
                let state;
                (spool, state) = self.pour(spool, std::mem::take(&mut buffer), most, progress).await?;
                if state == Inflow::Ended {
                    break;
                }
                buffer.reserve_exact(FIRST_BYTES);
            } else if buffer.len() == buffer.capacity() {
                buffer.reserve_exact(buffer.len());
            }
        }
        // From here on nobody accounts for it.
        buffer.shrink_to_fit();
        Ok((spool, buffer))
    }

    /// Spools the batch and what is there behind it.
    async fn pour(
        &mut self,
        mut spool: Spool,
        mut collected: Vec<u8>,
        most: usize,
        progress: &Progress,
    ) -> Result<(Spool, Inflow), Failure> {
        let broken = |error: io::Error| Failure::Data(DataError::Broken(error));
        loop {
            let stream = self.stream.unwatched().map_err(broken)?;
            let socket = stream.as_fd().try_clone_to_owned().map_err(broken)?;
            let counted = progress.clone();
            let batch = std::mem::take(&mut collected);
            let go = move || pour(&socket, spool, &batch, most, &counted);
            let poured = self.front.off_runtime(go).await.map_err(|error| Failure::Read(io::Error::other(error)))??;
            self.rate.moved(poured.bytes);
            spool = poured.spool;
            match poured.state {
                Inflow::Flows => {}
                state @ (Inflow::Dry | Inflow::Ended) => return Ok((spool, state)),
            }
        }
    }
}

fn pour(
    socket: &OwnedFd,
    mut spool: Spool,
    collected: &[u8],
    most: usize,
    progress: &Progress,
) -> Result<Poured, Failure> {
    spool.write(collected)?;
    let pipe = Pipe::new(most).map_err(Failure::Read)?;
    let (mut bytes, mut state, mut pauses) = (0, Inflow::Flows, PAUSES);
    let until = Instant::now() + GO;
    while bytes < PIECE_BYTES && state == Inflow::Flows && Instant::now() < until {
        match splice(socket, None, &pipe.inlet, None, most, SpliceFlags::MOVE) {
            Ok(0) => state = Inflow::Ended,
            Ok(moved) => {
                progress.add(moved);
                bytes += moved;
                spool.take(&pipe.outlet, moved)?;
            }
            Err(Errno::AGAIN) => {
                let began = Instant::now();
                if !comes_within(socket, pauses.min(PAUSE)) {
                    state = Inflow::Dry;
                }
                pauses = pauses.saturating_sub(began.elapsed());
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(DataError::Broken(error.into()).into()),
        }
    }
    Ok(Poured { spool, bytes, state })
}

impl Pipe {
    /// A pipe for so many bytes at a time; the system may grant less.
    fn new(bytes: usize) -> io::Result<Self> {
        let (outlet, inlet) = pipe_with(PipeFlags::CLOEXEC)?;
        // It bounds what all pipes of one user hold, and then a smaller one does, more slowly.
        let _ = fcntl_setpipe_size(&inlet, bytes);
        Ok(Self { inlet, outlet: outlet.into() })
    }
}

/// Whether something can be read before so much time has passed: bytes, the end, or an error.
fn comes_within(socket: &OwnedFd, time: Duration) -> bool {
    let time = Timespec::try_from(time).ok();
    poll(&mut [PollFd::new(socket, PollFlags::IN)], time.as_ref()).is_ok_and(|ready| ready > 0)
}
