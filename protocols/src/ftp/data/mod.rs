//! Data connections: PASV and EPSV, PORT and EPRT (RFC 959 section 4.1.2, RFC 2428).
//!
//! One end of every data connection is the peer of the control connection: a stranger who connects to a passive port is
//! turned away without using it up, and PORT to anybody else is refused, so that this server bounces nothing and scans
//! nobody. All sockets are made in the tenant's network. After PROT P they are encrypted (RFC 4217 section 7).

mod active;
mod file;
mod passive;
mod spool;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use provost_core::ClientAddr;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(super) use passive::Passive;
pub(super) use spool::{BATCH_BYTES, FIRST_BYTES};

use stream::Stream;

use super::transfer::Progress;
use super::wire::{Security, Wire};
use crate::front::Front;
use crate::listen::{Flow, LeastRate};
use crate::tls::HandshakeError;

/// How the next data connection comes about.
#[derive(Debug, Default)]
pub(super) enum Plan {
    /// The peer has not said.
    #[default]
    None,
    /// The peer connects to us.
    Passive(Passive),
    /// We connect to the peer.
    Active(SocketAddr),
}

/// What a session has settled about data connections.
#[derive(Debug, Default)]
pub(super) struct DataSetup {
    pub(super) plan: Plan,
    pub(super) commands: SetupCommands,
    /// Whether PBSZ was sent, without which there is no PROT (RFC 2228 section 3).
    pub(super) size_told: bool,
}

/// Which commands may settle it (RFC 2428 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum SetupCommands {
    /// PASV, EPSV, PORT and EPRT.
    #[default]
    All,
    /// EPSV alone, after EPSV ALL.
    EpsvAlone,
}

/// The two ends of the control connection, and the network for sockets between them.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    pub(super) front: Arc<Front>,
    /// The address that the peer reached, IPv4-mapped ones as IPv4.
    pub(super) local: SocketAddr,
    pub(super) client: ClientAddr,
    /// Present where data connections are encrypted (PROT P).
    pub(super) guard: Option<Guard>,
}

/// Whose encrypted data connections are.
#[derive(Debug, Clone)]
pub(super) struct Guard(Option<CertificateDer<'static>>);

/// Why bytes stopped on their way.
#[derive(Debug, thiserror::Error)]
pub(super) enum DataError {
    /// There is no connection.
    #[error("open the data connection")]
    Open(#[source] io::Error),
    /// The handshake on it failed.
    #[error("encrypt the data connection")]
    Handshake(#[from] HandshakeError),
    /// Another peer than that of the control connection, from the same address.
    #[error("the data connection shows another certificate than the control connection")]
    Stranger,
    /// It broke.
    #[error("carry the data connection")]
    Broken(#[source] io::Error),
    /// Nothing moved for too long, or too little on the whole.
    #[error("the data connection stalled, or was too slow")]
    Stalled,
}

/// A data connection. Dropped before it was finished, it is reset, so that the peer cannot take a part for the whole.
#[derive(Debug)]
pub(super) struct Data {
    stream: Stream,
    stall: Duration,
    rate: LeastRate,
    front: Arc<Front>,
    flow: Flow,
    finished: bool,
}

impl Plan {
    /// Opens the data connection.
    ///
    /// # Errors
    /// - [`DataError::Open`]: the peer did not come or cannot be reached, in time
    /// - [`DataError::Handshake`], [`DataError::Stranger`]: it was to be encrypted
    pub(super) async fn open(self, ends: &Ends) -> Result<Data, DataError> {
        let stall = ends.front.limits().stall;
        let stream = timeout(stall, async {
            match self {
                Self::None => Err(io::ErrorKind::NotConnected.into()),
                Self::Passive(passive) => passive::accept(passive, ends.client).await,
                Self::Active(peer) => active::connect(ends, peer).await.map(Stream::watching),
            }
        });
        let stream = stream.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(DataError::Open)?;
        let stream = match &ends.guard {
            Some(guard) => {
                let plain = stream.plain().map_err(DataError::Open)?;
                Stream::Watched(Box::pin(guard.shake(plain, &ends.front)).await?)
            }
            None => stream,
        };
        let rate = LeastRate::new(&ends.front.limits());
        let front = Arc::clone(&ends.front);
        Ok(Data { stream, stall, rate, front, flow: Flow::default(), finished: false })
    }
}

impl Guard {
    /// Of a session whose control connection is protected so.
    pub(super) fn of(security: &Security) -> Self {
        match security {
            Security::Plain => Self(None),
            Security::Tls(chain) => Self(chain.first().cloned()),
        }
    }

    /// Encrypts a data connection; the server's side of TLS is ours whoever connected (RFC 4217 section 7). Whoever showed a
    /// certificate shows it here, too, or resumes that session: an address may be shared by many phones behind NAT.
    async fn shake(&self, stream: TcpStream, front: &Front) -> Result<Wire, DataError> {
        // A reload took the listener's TLS away.
        let gone = || DataError::Open(io::ErrorKind::NotConnected.into());
        let tls = front.present().tls.clone().ok_or_else(gone)?;
        let connection = tls.accept_without_tickets(stream, &front.limits()).await?;
        let shown = connection.stream.session().peer_certificates().and_then(<[_]>::first);
        match &self.0 {
            Some(leaf) if shown != Some(leaf) => Err(DataError::Stranger),
            Some(_) | None => Ok(Wire::Tls(connection.stream)),
        }
    }
}

impl Data {
    /// Whether what goes over it is what stands in a file.
    pub(super) fn is_plain(&self) -> bool {
        self.stream.is_plain()
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// - [`DataError::Broken`], [`DataError::Stalled`]
    pub(super) async fn send(&mut self, bytes: &[u8], progress: &Progress) -> Result<(), DataError> {
        self.send_part(bytes, false, progress).await
    }

    /// Sends the last bytes and ends the stream, as [`Data::finish`] does.
    ///
    /// # Errors
    /// - [`DataError::Broken`], [`DataError::Stalled`]
    pub(super) async fn send_last(mut self, bytes: &[u8], progress: &Progress) -> Result<(), DataError> {
        self.send_part(bytes, true, progress).await?;
        self.finish().await
    }

    async fn send_part(&mut self, mut bytes: &[u8], are_last: bool, progress: &Progress) -> Result<(), DataError> {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.front.cut(bytes.len()));
            self.front.pass(&mut self.flow, piece.len()).await;
            let sent = self.stream.write_fresh(piece, are_last && rest.is_empty()).map_err(DataError::Broken)?;
            self.moved(sent, progress);
            self.write(piece.get(sent..).unwrap_or_default(), progress).await?;
            bytes = rest;
        }
        Ok(())
    }

    async fn write(&mut self, mut bytes: &[u8], progress: &Progress) -> Result<(), DataError> {
        while !bytes.is_empty() {
            let wire = self.stream.watched().map_err(DataError::Broken)?;
            let sent = self.rate.wait(wire.write(bytes)).await.map_err(|_| DataError::Stalled)?;
            let sent = sent.map_err(DataError::Broken)?;
            self.moved(sent, progress);
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    fn moved(&mut self, bytes: usize, progress: &Progress) {
        progress.add(bytes);
        self.rate.moved(bytes);
    }

    /// Adds what comes next to `buffer`, as far as it has room; 0 bytes at the end of the stream.
    ///
    /// # Errors
    /// - [`DataError::Broken`], [`DataError::Stalled`]
    pub(super) async fn receive(&mut self, buffer: &mut Vec<u8>, progress: &Progress) -> Result<usize, DataError> {
        let wire = self.stream.watched().map_err(DataError::Broken)?;
        let received = self.rate.wait(wire.read(buffer)).await.map_err(|_| DataError::Stalled)?;
        let received = received.map_err(DataError::Broken)?;
        self.moved(received, progress);
        Ok(received)
    }

    /// Ends the stream: in stream mode that tells the peer that the file is complete (RFC 959 section 3.4.1).
    ///
    /// # Errors
    /// - [`DataError::Broken`], [`DataError::Stalled`]
    pub(super) async fn finish(mut self) -> Result<(), DataError> {
        timeout(self.stall, self.stream.finish()).await.map_err(|_| DataError::Stalled)?.map_err(DataError::Broken)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if !self.finished {
            self.stream.reset();
        }
    }
}
