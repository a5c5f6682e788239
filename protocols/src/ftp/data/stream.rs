//! The stream of a data connection. The runtime watches it once it has to be waited for: the file of one write is gone before.

use std::io::{self, Write as _};
use std::net::Shutdown;

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::ftp::wire::{Wire, send_with_more};
use crate::listen::Reset as _;

/// A stream.
#[derive(Debug)]
pub(super) enum Stream {
    /// It was accepted, and nothing has waited for it; or nothing does any more.
    Fresh(std::net::TcpStream),
    Watched(Wire),
    /// It broke while it came to be watched.
    Broken,
}

impl Stream {
    pub(super) fn watching(stream: TcpStream) -> Self {
        // Only a broken connection refuses it, and the transfer will find out.
        let _ = stream.set_nodelay(true);
        Self::Watched(Wire::Plain(stream))
    }

    /// The wire, watched from here on.
    pub(super) fn watched(&mut self) -> io::Result<&mut Wire> {
        *self = match std::mem::replace(self, Self::Broken) {
            Self::Fresh(stream) => Self::watching(TcpStream::from_std(stream)?),
            known @ (Self::Watched(_) | Self::Broken) => known,
        };
        match self {
            Self::Watched(wire) => Ok(wire),
            Self::Fresh(_) | Self::Broken => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The socket of a plain stream, which nothing watches from here on: while a thread reads it, each arrival would wake another
    /// one in vain.
    pub(super) fn unwatched(&mut self) -> io::Result<&std::net::TcpStream> {
        *self = match std::mem::replace(self, Self::Broken) {
            Self::Watched(Wire::Plain(stream)) => Self::Fresh(stream.into_std()?),
            other => other,
        };
        match self {
            Self::Fresh(stream) => Ok(stream),
            Self::Watched(Wire::Plain(_) | Wire::Tls(_)) => Err(io::ErrorKind::Unsupported.into()),
            Self::Broken => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The plain stream, to be encrypted.
    pub(super) fn plain(mut self) -> io::Result<TcpStream> {
        self.watched()?;
        match self {
            Self::Watched(Wire::Plain(stream)) => Ok(stream),
            Self::Watched(Wire::Tls(_)) | Self::Fresh(_) | Self::Broken => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whether what goes over it is what stands in a file.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Self::Fresh(_) | Self::Watched(Wire::Plain(_)) => true,
            Self::Watched(Wire::Tls(_)) | Self::Broken => false,
        }
    }

    /// Writes what can be written at once to a stream that nothing has waited for; 0 to any other. The last bytes wait for the
    /// end of the stream, which goes with them.
    pub(super) fn write_fresh(&self, bytes: &[u8], are_last: bool) -> io::Result<usize> {
        let Self::Fresh(stream) = self else { return Ok(0) };
        let mut socket = stream;
        let written = if are_last { send_with_more(stream, bytes) } else { socket.write(bytes) };
        match written {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
            written => written,
        }
    }

    /// As [`Wire::finish`].
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Fresh(stream) => stream.shutdown(Shutdown::Write),
            Self::Watched(wire) => wire.finish().await,
            Self::Broken => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// As [`Wire::reset`].
    pub(super) fn reset(&self) {
        match self {
            Self::Fresh(stream) => SockRef::from(stream).reset(),
            Self::Watched(wire) => wire.reset(),
            Self::Broken => {}
        }
    }
}
