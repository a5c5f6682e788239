//! A TLS connection of our own, for requests that no client would send: cut short, malformed, slow.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};

use super::DEADLINE;
use super::deployment::Deployment;

/// The stream of one connection, with the device's certificate presented.
pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects as the device whose certificate has that name.
pub(crate) fn connect(deployment: &Deployment, server: SocketAddr, certificate: &str) -> Stream {
    handshake(deployment, TcpStream::connect(server).unwrap(), certificate)
}

/// The same, for the host of that name.
pub(crate) fn connect_as(deployment: &Deployment, server: SocketAddr, certificate: &str, name: &str) -> Stream {
    handshake_as(deployment, TcpStream::connect(server).unwrap(), certificate, name)
}

/// The same on a connection that is there.
pub(crate) fn handshake_as(deployment: &Deployment, stream: TcpStream, certificate: &str, name: &str) -> Stream {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    // Whose a phone is comes before what it thinks of the server's certificate: no deployment has one for every name.
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Trusting));
    begin(config, deployment, stream, certificate, name)
}

/// The same on a connection that is there. The handshake itself begins with the first byte that is sent.
pub(crate) fn handshake(deployment: &Deployment, stream: TcpStream, certificate: &str) -> Stream {
    let pem = |name: String| deployment.path(&name);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pem("tls/ca.pem".into())).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let name = ServerName::from(stream.peer_addr().unwrap().ip());
    begin(config, deployment, stream, certificate, name)
}

fn begin(
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
    deployment: &Deployment,
    stream: TcpStream,
    certificate: &str,
    name: ServerName<'static>,
) -> Stream {
    let pem = |name: String| deployment.path(&name);
    let chain = vec![CertificateDer::from_pem_file(pem(format!("device/{certificate}.pem"))).unwrap()];
    let key = PrivateKeyDer::from_pem_file(pem(format!("device/{certificate}.key"))).unwrap();
    let config = config.with_client_auth_cert(chain, key).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// Believes every server.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
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

/// Sends a request as it stands, and reads what comes until the server closes.
pub(crate) fn send(mut stream: impl Read + Write, request: &[u8]) -> String {
    // A server that has answered and closed early makes writing fail; its answer counts.
    let _ = stream.write_all(request);
    let _ = stream.flush();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends a request on a connection that is kept, and reads its answer, whose length it must say.
pub(crate) fn ask(stream: &mut Stream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    stream.flush().unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
    let header = String::from_utf8_lossy(&answer).into_owned();
    let length =
        header.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.expect("a Content-Length")];
    stream.read_exact(&mut body).unwrap();
    header + &String::from_utf8_lossy(&body)
}

/// The status of an answer; 0 where there is none.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}
