//! One handshake, from the first byte to the device that the peer's certificate names.

use std::cell::RefCell;
use std::sync::Arc;

use provost_core::NoIdentity;
use provost_core::proof::CertificateIdentity;
use provost_tenants::Limits;
use rustls::HandshakeKind;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::verifier::REFUSAL;
use super::{ClientAuth, HandshakeError, TlsFront};
use crate::listen::Turns;

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct TlsConnection {
    /// The bytes inside TLS. Its `peer_certificates` are what [`TlsFront::identity`] is asked again for each request.
    pub stream: TlsStream<TcpStream>,
    /// The device that the peer's certificate names now, or why none.
    pub certificate: Result<CertificateIdentity, NoIdentity>,
    /// The name that the peer asked for (SNI).
    pub server_name: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

impl TlsFront {
    /// Does the handshake, within the limits' time and in the tenant's turns.
    ///
    /// # Errors
    /// - any [`HandshakeError`]; the peer has been sent an alert where TLS has one for it
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        limits: &Limits,
        turns: &Turns,
    ) -> Result<TlsConnection, HandshakeError> {
        self.accept_with(Arc::clone(&self.config), stream, limits, turns).await
    }

    /// The same without tickets for later sessions. A peer that only sends never reads them, and where it closes its
    /// socket over unread bytes the system answers with a reset, which cuts the tail of what it sent.
    ///
    /// # Errors
    /// - as [`TlsFront::accept`]
    pub(crate) async fn accept_without_tickets(
        &self,
        stream: TcpStream,
        limits: &Limits,
        turns: &Turns,
    ) -> Result<TlsConnection, HandshakeError> {
        let mut config = rustls::ServerConfig::clone(&self.config);
        config.send_tls13_tickets = 0;
        self.accept_with(Arc::new(config), stream, limits, turns).await
    }

    async fn accept_with(
        &self,
        config: Arc<rustls::ServerConfig>,
        stream: TcpStream,
        limits: &Limits,
        turns: &Turns,
    ) -> Result<TlsConnection, HandshakeError> {
        let began = Instant::now();
        let deadline = began + limits.handshake;
        let start = timeout_at(deadline.min(began + limits.client_hello), self.client_hello(stream))
            .await
            .map_err(|_| HandshakeError::SlowClientHello(limits.client_hello.min(limits.handshake)))??;
        let stream = timeout_at(deadline, turns.take(Self::finish(config, start)))
            .await
            .map_err(|_| HandshakeError::Slow(limits.handshake))??;
        self.connection(stream)
    }

    async fn client_hello(&self, stream: TcpStream) -> Result<StartHandshake<TcpStream>, HandshakeError> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream)
            .await
            .map_err(|error| HandshakeError::of(error, None))?;
        let hello = start.client_hello();
        let Some(name) = hello.server_name().filter(|name| !self.names.contain(name)) else { return Ok(start) };
        let error = HandshakeError::UnrecognisedName(name.to_owned());
        let mut stream = start.io;
        // The peer is turned away in any case; whether it hears why is its affair.
        let _ = stream.write_all(&UNRECOGNISED_NAME).await;
        let _ = stream.shutdown().await;
        Err(error)
    }

    async fn finish(
        config: Arc<rustls::ServerConfig>,
        start: StartHandshake<TcpStream>,
    ) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let handshake = start.into_stream(config);
        let driven = REFUSAL.scope(RefCell::new(None), async move {
            handshake.await.map_err(|error| HandshakeError::of(error, REFUSAL.with(RefCell::take)))
        });
        driven.await
    }

    fn connection(&self, stream: TlsStream<TcpStream>) -> Result<TlsConnection, HandshakeError> {
        let (_, session) = stream.get_ref();
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
