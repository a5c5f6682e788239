//! What the tests of TLS need: CAs, leaves, listeners, and a peer that shakes hands over loopback.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use provost_core::identity::{MacPlace, MacRule};
use provost_core::path::{Case, Strip};
use provost_core::policy::{DevicePolicy, Unbound, UnboundWrite};
use provost_core::proof::Attribute;
use provost_core::rules::{Gap, Kind, Origin, Prefer, Readers, Rule, RuleSet};
use provost_core::{ListenerPolicy, Protocol, Require, TenantPolicy};
use provost_tenants::trust::TrustSet;
use provost_tenants::{Arrival, FtpSettings, Limits, Listener, ServerCertificate, TlsSettings};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CrlDistributionPoint,
    CrlIssuingDistributionPoint, DistinguishedName, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::{HandshakeError, TlsConnection, TlsFront};

pub(super) const NAME: &str = "acme.example.net";

pub(super) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A leaf with this CN, changed as the test wants.
    pub(super) fn leaf(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Arc<CertifiedKey> {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name);
        change(&mut params);
        let leaf = params.signed_by(&key, &self.0).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Arc::new(CertifiedKey::from_der(vec![leaf], key, &default_provider()).unwrap())
    }

    /// A list that revokes these serial numbers and was overdue long ago.
    pub(super) fn overdue_crl(&self, serials: &[u64]) -> CertificateRevocationListDer<'static> {
        self.overdue_crl_at(serials, None)
    }

    /// The same, which says that it is for the certificates that name this address.
    pub(super) fn overdue_crl_at(
        &self,
        serials: &[u64],
        address: Option<&str>,
    ) -> CertificateRevocationListDer<'static> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2021, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: address.map(|address| CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint { uris: vec![address.to_owned()] },
                scope: None,
            }),
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().der().clone()
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// The end of a leaf's validity, in seconds from now.
pub(super) fn ends_in(seconds: i64) -> impl FnOnce(&mut CertificateParams) {
    let end = from_now(seconds);
    move |params| params.not_after = date_time_ymd(1970, 1, 1) + end
}

/// Its beginning.
pub(super) fn begins_in(seconds: i64) -> impl FnOnce(&mut CertificateParams) {
    let begin = from_now(seconds);
    move |params| params.not_before = date_time_ymd(1970, 1, 1) + begin
}

fn from_now(seconds: i64) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Duration::from_secs(now.as_secs().checked_add_signed(seconds).unwrap())
}

pub(super) fn trust_set(
    name: &str,
    anchors: &[&Ca],
    crls: Vec<CertificateRevocationListDer<'static>>,
) -> Arc<TrustSet> {
    trust_set_by(name, Attribute::CommonName, anchors, crls)
}

/// The same with the MAC in another attribute.
pub(super) fn trust_set_by(
    name: &str,
    attribute: Attribute,
    anchors: &[&Ca],
    crls: Vec<CertificateRevocationListDer<'static>>,
) -> Arc<TrustSet> {
    let place = MacPlace::new(attribute, "^([0-9A-Fa-f]{12})$").unwrap();
    let anchors = anchors.iter().map(|ca| ca.der()).collect();
    let crls = crls.into_iter().map(Into::into).collect();
    Arc::new(TrustSet { name: name.into(), anchors, crls, mac: MacRule::new(vec![place], None), legacy: Vec::new() })
}

pub(super) fn require(alternatives: &[&str]) -> Require {
    alternatives.iter().map(|text| text.parse().unwrap()).collect()
}

/// A tenant; with a rule that lets anyone read, where `anyone` is a pattern.
pub(super) fn tenant_policy(anyone: Option<&str>) -> TenantPolicy {
    let rule = |pattern: &str| Rule {
        pattern: pattern.parse().unwrap(),
        read: Some(Readers::Anyone),
        write: None,
        kind: Kind::File,
        prefer: Prefer::Uploads,
        gap: Gap::Append,
        max_size: None,
        tftp_options: provost_core::rules::TftpOption::ALL.to_vec(),
        origin: Origin::Operator,
    };
    TenantPolicy {
        name: "acme".into(),
        enabled: true,
        allow: None,
        strip: Strip::default(),
        rules: RuleSet::new(anyone.into_iter().map(rule).collect(), Case::Exact).unwrap(),
        devices: DevicePolicy::Listed,
    }
}

pub(super) fn listener_policy(alternatives: &[&str]) -> ListenerPolicy {
    ListenerPolicy {
        name: "phones".into(),
        protocol: Protocol::Https,
        enabled: true,
        allow: None,
        require: require(alternatives),
        unbound: Unbound::Refuse,
        unbound_write: UnboundWrite::Logs,
        exceptions: Vec::new(),
    }
}

/// One listener, its own certificates, and its clock.
pub(super) struct Site {
    pub(super) front: TlsFront,
    pub(super) clock: Arc<Clock>,
    own: Own,
}

/// The certificates that a listener shows, one for each kind of key, and their CA.
struct Own {
    ca: Ca,
    certificates: Vec<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
}

impl Own {
    fn new(keys: &[&'static rcgen::SignatureAlgorithm]) -> Self {
        let ca = Ca::new("Server CA");
        let certificate = |kind: &&'static rcgen::SignatureAlgorithm| {
            let key = KeyPair::generate_for(kind).unwrap();
            let leaf = CertificateParams::new(vec![NAME.to_owned(), "other.example.net".to_owned()]).unwrap();
            let leaf = leaf.signed_by(&key, &ca.0).unwrap().der().clone();
            (leaf, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        };
        let certificates = keys.iter().map(certificate).collect();
        Self { ca, certificates }
    }

    fn settings(&self, trust: Vec<Arc<TrustSet>>, hints: bool) -> TlsSettings {
        let certificate = |(leaf, key): &(CertificateDer<'static>, PrivateKeyDer<'static>)| {
            let (chain, key) = (vec![leaf.clone()], key.clone_key());
            let valid = SystemTime::UNIX_EPOCH..=SystemTime::now();
            Arc::new(ServerCertificate { chain, valid, key, staple: None, staple_flaw: None })
        };
        let certificates = self.certificates.iter().map(certificate).collect();
        TlsSettings { certificates, server_names: vec![NAME.into()], trust, hints }
    }

    fn front(&self, alternatives: &[&str], trust: Vec<Arc<TrustSet>>, hints: bool, clock: &Arc<Clock>) -> TlsFront {
        let listener = Listener {
            policy: listener_policy(alternatives),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: Some(self.settings(trust, hints)),
            arrival: Arrival::default(),
            ftp: FtpSettings::default(),
            tftp: provost_tenants::TftpSettings::default(),
        };
        TlsFront::with_clock(&tenant_policy(None), &listener, &["http/1.1"], Arc::clone(clock) as Arc<_>).unwrap()
    }
}

/// The real time, and as much more as a test wants.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    pub(super) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = UnixTime::now().as_secs() + self.0.load(Ordering::SeqCst);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

pub(super) fn settings(trust: Vec<Arc<TrustSet>>) -> TlsSettings {
    Own::new(&[&PKCS_ECDSA_P256_SHA256]).settings(trust, true)
}

impl Site {
    pub(super) fn new(alternatives: &[&str], trust: Vec<Arc<TrustSet>>) -> Self {
        Self::with_hints(alternatives, trust, true)
    }

    pub(super) fn with_hints(alternatives: &[&str], trust: Vec<Arc<TrustSet>>, hints: bool) -> Self {
        let (own, clock) = (Own::new(&[&PKCS_ECDSA_P256_SHA256]), Arc::default());
        Self { front: own.front(alternatives, trust, hints, &clock), clock, own }
    }

    /// Shows an RSA certificate first and an ECDSA one beside it.
    pub(super) fn with_two_kinds_of_key(trust: Vec<Arc<TrustSet>>) -> Self {
        let (own, clock) = (Own::new(&[&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256]), Arc::default());
        Self { front: own.front(&["certificate"], trust, true, &clock), clock, own }
    }

    /// The next generation of the same listener.
    pub(super) fn reload(&mut self, alternatives: &[&str], trust: Vec<Arc<TrustSet>>) {
        self.front = self.own.front(alternatives, trust, true, &self.clock);
    }

    pub(super) fn phone(
        &self,
        version: &'static SupportedProtocolVersion,
        certificate: Option<Arc<CertifiedKey>>,
    ) -> Phone {
        self.phone_with(default_provider(), version, certificate)
    }

    /// A phone of TLS 1.2 that knows the suites with this in their name only.
    pub(super) fn phone_with_suites(&self, name: &str, certificate: Arc<CertifiedKey>) -> Phone {
        let mut provider = default_provider();
        provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains(name));
        self.phone_with(provider, &rustls::version::TLS12, Some(certificate))
    }

    fn phone_with(
        &self,
        provider: rustls::crypto::CryptoProvider,
        version: &'static SupportedProtocolVersion,
        certificate: Option<Arc<CertifiedKey>>,
    ) -> Phone {
        let mut roots = RootCertStore::empty();
        roots.add(self.own.ca.der()).unwrap();
        let shown = Arc::new(Shown { certificate, hints: Mutex::default() });
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::clone(&shown) as Arc<_>);
        Phone { connector: Arc::new(config).into(), shown }
    }

    /// One connection: what the server made of it, and whether the phone got the byte that the server then sent.
    pub(super) async fn meet(&self, phone: &Phone) -> (Result<TlsConnection, HandshakeError>, Result<(), String>) {
        self.meet_as(phone, NAME).await
    }

    pub(super) async fn meet_as(
        &self,
        phone: &Phone,
        name: &'static str,
    ) -> (Result<TlsConnection, HandshakeError>, Result<(), String>) {
        let name = ServerName::try_from(name).unwrap();
        let peer = |stream| async {
            let mut stream = phone.connector.connect(name, stream).await.map_err(|error| error.to_string())?;
            // The byte comes behind the session's tickets.
            stream.read_exact(&mut [0]).await.map_err(|error| error.to_string())?;
            Ok(())
        };
        self.meet_with(&Limits::default(), peer).await
    }

    pub(super) async fn meet_with<T, F: Future<Output = T>>(
        &self,
        limits: &Limits,
        peer: impl FnOnce(TcpStream) -> F,
    ) -> (Result<TlsConnection, HandshakeError>, T) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = self.front.accept(stream, limits).await?;
            connection.stream.write_all(b"!").await.unwrap();
            connection.stream.flush().await.unwrap();
            Ok(connection)
        };
        let peer = async { peer(TcpStream::connect(address).await.unwrap()).await };
        tokio::join!(server, peer)
    }
}

/// A TLS client that keeps its sessions.
pub(super) struct Phone {
    connector: TlsConnector,
    pub(super) shown: Arc<Shown>,
}

/// Shows its certificate whatever the server's hints are, and keeps them.
#[derive(Debug)]
pub(super) struct Shown {
    certificate: Option<Arc<CertifiedKey>>,
    hints: Mutex<Vec<Vec<u8>>>,
}

impl Shown {
    pub(super) fn hints(&self) -> Vec<Vec<u8>> {
        self.hints.lock().unwrap().clone()
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.hints.lock().unwrap() = hints.iter().map(|hint| hint.to_vec()).collect();
        self.certificate.clone()
    }

    fn has_certs(&self) -> bool {
        self.certificate.is_some()
    }
}
