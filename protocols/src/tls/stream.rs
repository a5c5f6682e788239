//! The bytes inside TLS.
//!
//! The library copies what is written into records of up to 16 KiB. It is given pieces, as [`copying`] says why.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::copying;

/// How many pieces are written at once. Together they are more than the library takes before it sends.
const PIECES: usize = 64;

/// The bytes inside TLS, and the session.
#[derive(Debug)]
pub struct TlsStream(Box<tokio_rustls::server::TlsStream<TcpStream>>);

impl TlsStream {
    /// After a handshake.
    pub(super) fn new(stream: tokio_rustls::server::TlsStream<TcpStream>) -> Self {
        Self(Box::new(stream))
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        self.0.get_ref().0
    }

    /// The session: what was agreed, and the peer's certificates.
    pub(crate) fn session(&self) -> &ServerConnection {
        self.0.get_ref().1
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for (slot, piece) in pieces.iter_mut().zip(bufs.iter().flat_map(|buf| copying::pieces(buf))) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        Pin::new(&mut self.0).poll_write_vectored(cx, pieces.get(..count).unwrap_or_default())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
