//! The rest of a file on a plain data connection: the system moves it from its cache to the socket (sendfile(2)).
//!
//! It may wait for the disk, so that it runs off the runtime, until the socket takes no more. Waiting for the peer is done
//! here, where it holds no thread.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use provost_tenants::files::Descriptor;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{Data, DataError};
use crate::ftp::refuse::Failure;
use crate::ftp::transfer::Progress;
use crate::ftp::wire::Wire;

/// How much is moved at most before the transfer is looked at again: for ABOR, for its rate, for the tenant's bandwidth.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// What one attempt moved, and whether the socket takes more.
struct Moved {
    bytes: usize,
    is_full: bool,
}

impl Data {
    /// Sends a file from `offset` to `end`.
    ///
    /// # Errors
    /// - [`Failure::Read`]: it cannot be read, or has become shorter: the peer must not take it for complete
    /// - [`Failure::Data`]: broken, stalled, or the connection does not take files
    pub(in crate::ftp) async fn send_rest(
        &mut self,
        file: &Arc<Descriptor>,
        mut offset: u64,
        end: u64,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let broken = |error: io::Error| Failure::Data(DataError::Broken(error));
        if offset >= end {
            return Ok(());
        }
        let Wire::Plain(stream) = &*self.stream.watched().map_err(broken)? else {
            return Err(broken(io::ErrorKind::Unsupported.into()));
        };
        let socket = Arc::new(stream.as_fd().try_clone_to_owned().map_err(broken)?);
        // What the tenant's bandwidth has let pass and the socket has not taken yet.
        let mut passed = 0;
        while offset < end {
            let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let held = self.front.piece(left.min(PIECE_BYTES));
            if passed == 0 {
                passed = held.bytes();
                self.front.pass(&mut self.flow, passed).await;
            }
            let most = held.bytes().min(passed);
            let (file, socket) = (Arc::clone(file), Arc::clone(&socket));
            let moved = self.front.off_runtime(move || push(&socket, &file, offset, most)).await;
            let Moved { bytes, is_full } = moved.map_err(io::Error::other).map_err(Failure::Read)??;
            offset = offset.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            passed -= bytes;
            progress.add(bytes);
            self.rate.moved(bytes);
            if is_full {
                let Wire::Plain(stream) = &*self.stream.watched().map_err(broken)? else { return Ok(()) };
                let waited = self.rate.wait(stream.async_io(Interest::WRITABLE, || takes_more(stream))).await;
                waited.map_err(|_| DataError::Stalled)?.map_err(DataError::Broken)?;
            }
        }
        Ok(())
    }
}

/// Moves up to `most` bytes, as far as the socket takes them.
fn push(socket: &OwnedFd, file: &File, mut offset: u64, most: usize) -> Result<Moved, Failure> {
    let mut bytes = 0;
    while bytes < most {
        match rustix::fs::sendfile(socket, file, Some(&mut offset), most - bytes) {
            Ok(0) => return Err(Failure::Read(io::ErrorKind::UnexpectedEof.into())),
            Ok(moved) => bytes += moved,
            Err(Errno::AGAIN) => return Ok(Moved { bytes, is_full: true }),
            Err(Errno::INTR) => {}
            Err(error @ Errno::IO) => return Err(Failure::Read(error.into())),
            Err(error) => return Err(DataError::Broken(error.into()).into()),
        }
    }
    Ok(Moved { bytes, is_full: false })
}

/// Whether the socket takes bytes now. The runtime did not see that it was full, and learns it by this.
fn takes_more(stream: &TcpStream) -> io::Result<()> {
    let mut asked = [PollFd::new(stream, PollFlags::OUT)];
    match poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
