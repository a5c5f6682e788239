//! HTTP inside TLS: from a certificate to the record.

use std::sync::Arc;
use std::time::SystemTime;

use provost_core::identity::{MacPlace, MacRule};
use provost_core::proof::Attribute;
use provost_core::{ClientAddr, Protocol};
use provost_tenants::trust::TrustSet;
use provost_tenants::{Arrival, FtpSettings, Listener, ServerCertificate, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::site::{Answer, DEVICE, STRANGER, Site};
use crate::front::Generation;
use crate::https::{ALPN, secured};
use crate::listen::Connection;
use crate::tls::TlsFront;

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// A tenant's https listener, and the CA of its phones and of itself.
struct Secured {
    site: Site,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Secured {
    fn new() -> Self {
        let site = Site::https();
        site.file("0004f2aabbcc.cfg", b"own");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let place = MacPlace::new(Attribute::CommonName, "^([0-9A-F]{12})$").unwrap();
        let mac = MacRule::new(vec![place], None);
        let trust = TrustSet {
            name: "test".into(),
            anchors: vec![ca.der().clone()],
            crls: Vec::new(),
            mac,
            legacy: Vec::new(),
        };
        let (chain, key) = leaf(&ca, "server");
        let settings = TlsSettings {
            certificates: vec![Arc::new(ServerCertificate {
                chain,
                valid: SystemTime::UNIX_EPOCH..=SystemTime::now(),
                key,
                staple: None,
                staple_flaw: None,
            })],
            server_names: Vec::new(),
            trust: vec![Arc::new(trust)],
            hints: true,
        };
        let plain = site.front.listener();
        let (policy, ftp) = (plain.policy.clone(), FtpSettings::default());
        assert_eq!(policy.protocol, Protocol::Https);
        let (arrival, tftp) = (Arrival::default(), plain.tftp.clone());
        let listener = Listener { policy, address: plain.address, tls: Some(settings), arrival, ftp, tftp };
        let tls = TlsFront::new(&site.front.tenant().policy, &listener, ALPN).unwrap();
        let generation =
            Generation { tenant: site.front.tenant(), listener: Arc::new(listener), tls: Some(Arc::new(tls)) };
        site.front.renew(generation);
        Self { site, ca }
    }

    /// Sends a request from a peer that shows a certificate of this name, and waits until the server is done with it. What
    /// comes back is an answer, or nothing.
    async fn send(&self, name: Option<&str>, request: &str) -> Vec<u8> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match name {
            Some(name) => {
                let (chain, key) = leaf(&self.ca, name);
                config.with_client_auth_cert(chain, key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let connector = TlsConnector::from(Arc::new(config));
        self.meet(|stream| async move {
            let mut stream = connector.connect(ServerName::try_from("acme").unwrap(), stream).await.unwrap();
            let mut read = Vec::new();
            // A server that refuses the certificate ends the connection while this writes or reads.
            let _ = stream.write_all(request.as_bytes()).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut read).await;
            read
        })
        .await
    }

    async fn meet<T, F: Future<Output = T>>(&self, peer: impl FnOnce(TcpStream) -> F) -> T {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        let server = async {
            let (stream, address) = listener.accept().await.unwrap();
            let client = ClientAddr::from(address);
            let slot = self.site.front.admit(client).unwrap();
            let connection = Connection { stream, client, local, slot };
            secured(Arc::clone(&self.site.front), connection).await;
        };
        let peer = async { peer(TcpStream::connect(local).await.unwrap()).await };
        tokio::join!(server, peer).1
    }
}

fn leaf(ca: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Pair {
    let mut params = CertificateParams::new(vec!["acme".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, ca).unwrap().der().clone();
    (vec![leaf], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

fn name(mac: provost_core::Mac) -> String {
    mac.to_string().to_uppercase()
}

#[tokio::test]
async fn a_certificate_opens_its_own_file_and_no_other() {
    let secured = Secured::new();
    let request = "GET /0004f2aabbcc.cfg HTTP/1.1\r\nHost: acme\r\n\r\n";
    let own = Answer::of(&secured.send(Some(&name(DEVICE)), request).await);
    assert_eq!((own.status, own.text()), (200, "own"));
    let records = secured.site.full_records();
    assert_eq!((records.len(), &records[0]["proof"]), (1, &"certificate".into()));
    for (name, record) in [(name(STRANGER), "denied/unknown_device"), ("0004F2".into(), "denied/require_not_met")] {
        assert_eq!(Answer::of(&secured.send(Some(&name), request).await).status, 403, "{name}");
        assert_eq!(secured.site.records(), [record]);
    }
    let elsewhere = "GET /0004f2aabbcc.cfg HTTP/1.1\r\nHost: other\r\n\r\n";
    assert_eq!(Answer::of(&secured.send(Some(&name(DEVICE)), elsewhere).await).status, 421);
    assert_eq!(secured.site.records(), ["rejected/host_misdirected"]);
}

#[tokio::test]
async fn a_large_file_comes_whole_through_tls() {
    let secured = Secured::new();
    let image: Vec<u8> = (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    secured.site.file("sip.ld", &image);
    let request = "GET /sip.ld HTTP/1.1\r\nHost: acme\r\n\r\n";
    let answer = Answer::of(&secured.send(Some(&name(DEVICE)), request).await);
    assert!(answer.body == image, "{} bytes", answer.body.len());
    assert_eq!(secured.site.records(), ["served"]);
}

#[tokio::test]
async fn a_handshake_that_fails_is_one_record() {
    let secured = Secured::new();
    assert_eq!(secured.send(None, "GET / HTTP/1.1\r\nHost: acme\r\n\r\n").await, b"");
    assert_eq!(secured.site.records(), ["handshake/no_certificate"]);
    let plain = |mut stream: TcpStream| async move {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    let answer = secured.meet(plain).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(secured.site.records(), ["handshake/not_tls"]);
}
