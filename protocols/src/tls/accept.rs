//! One handshake, from the first byte to the device that the peer's certificate names.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use provost_core::NoIdentity;
use provost_core::proof::CertificateIdentity;
use provost_tenants::Limits;
use rustls::HandshakeKind;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::verifier::REFUSAL;
use super::{ClientAuth, HandshakeError, TlsFront, TlsStream};

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct TlsConnection {
    /// The bytes inside TLS. Its `peer_certificates` are what [`TlsFront::identity`] is asked again for each request.
    pub stream: TlsStream,
    /// The device that the peer's certificate names now, or why none.
    pub certificate: Result<CertificateIdentity, NoIdentity>,
    /// The name that the peer asked for (SNI).
    pub server_name: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

/// A handshake of which the `ClientHello` has come, and nothing has been answered yet.
pub(crate) struct Hello {
    start: StartHandshake<TcpStream>,
    began: Instant,
}

impl Hello {
    /// Reads a `ClientHello`, within this time.
    ///
    /// # Errors
    /// - any [`HandshakeError`] of a peer that sends none
    pub(crate) async fn read(stream: TcpStream, within: Duration) -> Result<Self, HandshakeError> {
        let began = Instant::now();
        let start = timeout(within, LazyConfigAcceptor::new(Acceptor::default(), stream))
            .await
            .map_err(|_| HandshakeError::SlowClientHello(within))?
            .map_err(|error| HandshakeError::of(error, None))?;
        Ok(Self { start, began })
    }

    /// When its first byte was waited for.
    pub(crate) fn began(&self) -> std::time::Instant {
        self.began.into_std()
    }

    /// The name that the peer asks for (SNI), where it asks for one.
    pub(crate) fn server_name(&self) -> Option<String> {
        self.start.client_hello().server_name().map(str::to_owned)
    }

    /// Tells the peer that nobody here has the name, or that it has to name somebody.
    pub(crate) async fn refuse(self) -> HandshakeError {
        let error = self.server_name().map_or(HandshakeError::NoServerName, HandshakeError::UnrecognisedName);
        let mut stream = self.start.io;
        // The peer is turned away in any case; whether it hears why is its affair. Seven bytes fit into an empty buffer.
        let _ = timeout(ALERT, stream.write_all(&UNRECOGNISED_NAME)).await;
        let _ = timeout(ALERT, stream.shutdown()).await;
        error
    }
}

impl TlsFront {
    /// Does the handshake, within the limits' time.
    ///
    /// # Errors
    /// - any [`HandshakeError`]; the peer has been sent an alert where TLS has one for it
    pub(crate) async fn accept(&self, stream: TcpStream, limits: &Limits) -> Result<TlsConnection, HandshakeError> {
        self.answer(Hello::read(stream, limits.client_hello.min(limits.handshake)).await?, limits).await
    }

    /// Does the rest of a handshake.
    ///
    /// # Errors
    /// - as [`TlsFront::accept`]
    pub(crate) async fn answer(&self, hello: Hello, limits: &Limits) -> Result<TlsConnection, HandshakeError> {
        self.answer_with(Arc::clone(&self.config), hello, limits).await
    }

    /// The whole without tickets for later sessions. A peer that only sends never reads them, and where it closes its
    /// socket over unread bytes the system answers with a reset, which cuts the tail of what it sent.
    ///
    /// # Errors
    /// - as [`TlsFront::accept`]
    pub(crate) async fn accept_without_tickets(
        &self,
        stream: TcpStream,
        limits: &Limits,
    ) -> Result<TlsConnection, HandshakeError> {
        let mut config = rustls::ServerConfig::clone(&self.config);
        config.send_tls13_tickets = 0;
        let hello = Hello::read(stream, limits.client_hello.min(limits.handshake)).await?;
        self.answer_with(Arc::new(config), hello, limits).await
    }

    async fn answer_with(
        &self,
        config: Arc<rustls::ServerConfig>,
        hello: Hello,
        limits: &Limits,
    ) -> Result<TlsConnection, HandshakeError> {
        let deadline = hello.began + limits.handshake;
        if hello.server_name().is_some_and(|name| !self.takes(&name)) {
            return Err(Box::pin(hello.refuse()).await);
        }
        let stream = timeout_at(deadline, Self::finish(config, hello.start))
            .await
            .map_err(|_| HandshakeError::Slow(limits.handshake))?;
        match stream {
            Ok(stream) => self.connection(stream),
            Err(HandshakeError::Version) if !self.speaks_tls13 => Err(HandshakeError::VersionBesideShortKeys),
            Err(error) => Err(error),
        }
    }

    async fn finish(
        config: Arc<rustls::ServerConfig>,
        start: StartHandshake<TcpStream>,
    ) -> Result<TlsStream, HandshakeError> {
        let handshake = start.into_stream(config);
        let driven = REFUSAL.scope(RefCell::new(None), async move {
            handshake.await.map(TlsStream::new).map_err(|error| HandshakeError::of(error, REFUSAL.with(RefCell::take)))
        });
        driven.await
    }

    fn connection(&self, stream: TlsStream) -> Result<TlsConnection, HandshakeError> {
        let session = stream.session();
        let certificate = self.identity(session.peer_certificates().unwrap_or_default());
        let server_name = session.server_name().map(str::to_owned);
        let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        // A resumed session is not verified by the library: what a full handshake would refuse is refused here.
        match (&certificate, self.client_auth) {
            (Err(NoIdentity::NotPresented), ClientAuth::Required) => Err(HandshakeError::NoCertificate),
            (Err(why @ NoIdentity::NotVerified(_)), ClientAuth::Required) => {
                Err(HandshakeError::CertificateRefused(why.clone()))
            }
            (Ok(_) | Err(_), _) => Ok(TlsConnection { stream, certificate, server_name, resumed }),
        }
    }
}

/// A record of TLS 1.2 with the fatal alert `unrecognized_name` (RFC 6066 section 3, RFC 8446 sections 5.1 and 6).
const UNRECOGNISED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
/// How long a peer that is turned away may take to hear it.
const ALERT: Duration = Duration::from_secs(1);
