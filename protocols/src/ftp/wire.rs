//! A connection of either kind, control or data: as it is, or inside TLS (RFC 4217).

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use provost_core::NoIdentity;
use provost_core::proof::CertificateIdentity;
use rustix::net::SendFlags;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::front::Generation;
use crate::listen::Reset as _;
use crate::tls::TlsStream;

/// A connection.
#[derive(Debug)]
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(TlsStream),
}

/// How the control connection is protected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Security {
    /// Not at all.
    #[default]
    Plain,
    /// By TLS, in which the peer showed these certificates, leaf first; none where it showed none.
    Tls(Arc<[CertificateDer<'static>]>),
}

impl Security {
    /// What the peer of this TLS session showed.
    pub(super) fn of(stream: &TlsStream) -> Self {
        Self::Tls(stream.session().peer_certificates().unwrap_or_default().into())
    }

    /// The device that the peer's certificate names now. It is asked again for every command: a device that is removed or
    /// revoked loses its identity in sessions that are open, too.
    pub(super) fn identity(&self, present: &Generation) -> Result<CertificateIdentity, NoIdentity> {
        match self {
            Self::Plain => Err(NoIdentity::Plaintext),
            Self::Tls(chain) => present.identity(chain),
        }
    }
}

impl Wire {
    /// The socket, for what is asked of the system.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.socket(),
        }
    }

    /// Waits for bytes and adds them to `buffer`, as far as it has room; 0 at the end. A call that is dropped loses nothing.
    pub(super) async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(buffer).await,
            Self::Tls(stream) => stream.read_buf(buffer).await,
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes).await,
            Self::Tls(stream) => stream.write(bytes).await,
        }
    }

    /// Writes all of it, and sees it off.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Writes the last bytes and ends our direction, in one packet where they fit into one.
    pub(super) async fn send_last(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = match self {
            // What could not be sent at once is sent as usual.
            Self::Plain(stream) => {
                stream.try_io(Interest::WRITABLE, || send_with_more(&*stream, bytes)).unwrap_or_default()
            }
            Self::Tls(_) => 0,
        };
        let rest = bytes.get(sent..).unwrap_or_default();
        if !rest.is_empty() {
            self.send(rest).await?;
        }
        self.finish().await
    }

    /// Ends our direction; TLS says so before (RFC 5246 section 7.2.1), without which the peer could not tell the end from
    /// a cut.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        }
    }

    /// When it is dropped the peer is told by a reset that something is missing.
    pub(super) fn reset(&self) {
        self.socket().reset();
    }
}

/// Sends what can be sent at once, and lets the system wait with it for what follows: more bytes, or the end.
pub(super) fn send_with_more(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, SendFlags::MORE | SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
}
