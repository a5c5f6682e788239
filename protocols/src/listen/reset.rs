//! The end of a connection that leaves something unsaid.

use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::tls::TlsStream;

/// A connection that can end by a reset.
pub(crate) trait Reset {
    /// When it is dropped the peer is told by a reset that something is missing, and what it has not taken is thrown away: the system
    /// would keep that for as long as the peer pleases, and the interfaces of a deleted namespace with it.
    fn reset(&self);
}

impl Reset for SockRef<'_> {
    fn reset(&self) {
        // An error means that the connection is gone already.
        let _ = self.set_linger(Some(Duration::ZERO));
    }
}

impl Reset for TcpStream {
    fn reset(&self) {
        SockRef::from(self).reset();
    }
}

impl Reset for TlsStream {
    fn reset(&self) {
        self.socket().reset();
    }
}

#[cfg(test)]
impl Reset for tokio::io::DuplexStream {
    fn reset(&self) {}
}
