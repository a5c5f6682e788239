//! One connection, and as much of HTTP as an answer with a Content-Length takes.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) config: Option<Arc<ClientConfig>>,
}

pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    read: usize,
    /// What the last answer said of when to come again.
    pub(crate) retry_after: Duration,
}

/// What a phone shows in a handshake.
pub(crate) struct Identity {
    pub(crate) version: String,
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// The identity that the options name; none without TLS.
pub(crate) fn identity(options: &HashMap<String, String>) -> Option<Identity> {
    let file = |name: &str| std::fs::read(&options[name]).unwrap();
    let version = options.get("--tls")?.clone();
    Some(Identity { version, certificate: file("--cert"), key: file("--key") })
}

impl Target {
    pub(crate) fn new(address: &str, identity: Option<Identity>) -> Self {
        let config = identity.map(|identity| {
            let versions = match identity.version.as_str() {
                "1.2" => &[&rustls::version::TLS12][..],
                _ => &[&rustls::version::TLS13],
            };
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let key = PrivateKeyDer::try_from(identity.key).unwrap();
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(versions)
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anything))
                .with_client_auth_cert(vec![CertificateDer::from(identity.certificate)], key)
                .unwrap();
            config.resumption = Resumption::disabled();
            Arc::new(config)
        });
        Self { address: address.parse().unwrap(), config }
    }

    pub(crate) async fn connect(&self) -> Wire {
        self.try_connect().await.unwrap()
    }

    pub(crate) async fn try_connect(&self) -> io::Result<Wire> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let stream: Box<dyn Stream> = match &self.config {
            None => Box::new(stream),
            Some(config) => Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?),
        };
        Ok(Wire { stream, buffer: Vec::new(), read: 0, retry_after: Duration::ZERO })
    }
}

impl Wire {
    pub(crate) async fn get(&mut self, path: &str, close: bool) -> (u16, u64) {
        self.ask_with("GET", path, "", if close { "Connection: close\r\n" } else { "" }).await.unwrap()
    }

    /// Sends a request with more fields and reads its answer: status, and length of the body.
    pub(crate) async fn ask_with(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
        fields: &str,
    ) -> io::Result<(u16, u64)> {
        let length = if method == "PUT" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        let request = format!("{method} {path} HTTP/1.1\r\nHost: phones\r\n{fields}{length}\r\n{body}");
        self.stream.write_all(request.as_bytes()).await?;
        if self.buffer.is_empty() {
            self.buffer = vec![0; 64 * 1024];
        }
        self.read = 0;
        let end = loop {
            if let Some(end) = self.buffer[..self.read].windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            let more = self.stream.read(&mut self.buffer[self.read..]).await?;
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.read += more;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|text| text.parse().ok()).unwrap_or(0);
        let number = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        let length = number("content-length:").unwrap_or(0);
        self.retry_after = Duration::from_secs(number("retry-after:").unwrap_or(1));
        let mut left = if method == "HEAD" { 0 } else { length };
        left -= left.min((self.read - end) as u64);
        while left > 0 {
            let more = self.stream.read(&mut self.buffer).await?;
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= left.min(more as u64);
        }
        // Idle connections hold nothing here.
        if length < 1024 {
            self.buffer = Vec::new();
        }
        Ok((status, length))
    }
}

/// The servers under load have certificates of their own making.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
