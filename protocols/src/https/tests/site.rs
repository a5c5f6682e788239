//! A tenant on the disk, and connections to it that end before the next line of a test.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use provost_core::path::{Case, Strip};
use provost_core::policy::{Unbound, UnboundWrite};
use provost_core::proof::CertificateIdentity;
use provost_core::{
    ClientAddr, DevicePolicy, ListenerPolicy, Mac, NoIdentity, Protocol, Require, RuleSet, TenantPolicy,
};
use provost_tenants::devices::{Devices, DevicesSettings};
use provost_tenants::files::{Files, FilesSettings};
use provost_tenants::guard::{Guard, GuardSettings};
use provost_tenants::network::NetworkStack;
use provost_tenants::uploads::{Durability, Quota, Uploads, UploadsSettings};
use provost_tenants::users::Users;
use provost_tenants::{Arrival, FtpSettings, Limits, Listener, LogFormat, Tenant, TftpSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::front::Front;
use crate::https::connection;
use crate::https::peer::{Peer, Security};
use crate::listen::Shares;
use crate::passwords::Known;
use crate::record::RecordLog;

/// The device of the tests, which is listed with the password `secret`.
pub(super) const DEVICE: Mac = Mac::from_octets([0x00, 0x04, 0xf2, 0xaa, 0xbb, 0xcc]);
/// A device of the same vendor that is not listed.
pub(super) const STRANGER: Mac = Mac::from_octets([0x00, 0x04, 0xf2, 0xdd, 0xee, 0xff]);

/// How the peer of a test comes.
#[derive(Clone, Copy)]
pub(super) enum Who {
    /// Without TLS.
    Plain,
    /// With TLS and this device's certificate.
    Device(Mac),
    /// With TLS, asking for the server name `acme`, without a certificate.
    Nobody,
}

pub(super) struct Site {
    pub(super) directory: tempfile::TempDir,
    pub(super) front: Arc<Front>,
    log: RecordLog,
    written: Written,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Site {
    /// An https listener with `require = ["certificate"]`.
    pub(super) fn https() -> Self {
        Self::new(Protocol::Https, &["certificate"], Limits::default())
    }

    /// An http listener with `require = ["address"]` and `unbound_write = "listed"`.
    pub(super) fn http() -> Self {
        Self::new(Protocol::Http, &["address"], Limits::default())
    }

    pub(super) fn new(protocol: Protocol, require: &[&str], limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("root")).unwrap();
        std::fs::write(directory.path().join("devices.csv"), "mac,password\n0004f2aabbcc,secret\n").unwrap();
        let listener = Arc::new(listener(protocol, require));
        let tenant = Arc::new(tenant(directory.path(), Arc::clone(&listener), limits));
        let written = Written::default();
        let log = RecordLog::to(written.clone(), LogFormat::Json).unwrap();
        let front = Front::new(tenant, listener, Arc::new(Shares::default()), log.clone());
        Self { directory, front, log, written }
    }

    /// Writes a file of the operator.
    pub(super) fn file(&self, name: &str, bytes: &[u8]) {
        let path = self.directory.path().join("root").join(name);
        std::fs::write(&path, bytes).unwrap();
        // Of what is younger no answer says the date.
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_mins(1)).unwrap();
    }

    /// Replaces the device file.
    pub(super) fn devices(&self, text: &str) {
        std::fs::write(self.directory.path().join("devices.csv"), text).unwrap();
        self.front.tenant().devices.refresh(provost_tenants::devices::Removals::Accept);
    }

    /// Takes every place for checks of passwords that take time.
    pub(super) fn fill_password_checks(&self) {
        self.front.shares().passwords.fill();
    }

    /// What an upload holds now.
    pub(super) fn upload(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.directory.path().join("uploads").join(name)).ok()
    }

    /// Opens a connection.
    pub(super) async fn connect(&self, who: Who) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (accepted, address) = accepted.unwrap();
        let peer = Peer { client: ClientAddr::from(address), security: security(who), known: Known::default() };
        let served = tokio::spawn(connection::drive(Arc::clone(&self.front), peer, accepted));
        Wire { stream: stream.unwrap(), served }
    }

    /// Sends bytes, closes the sending side, and reads the answers.
    pub(super) async fn send(&self, who: Who, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let mut wire = self.connect(who).await;
        wire.write(bytes).await;
        wire.finish().await
    }

    /// Sends one request and reads its answer. `head` is the first line and fields, without the last empty line and without Host.
    pub(super) async fn ask(&self, who: Who, head: &str, body: impl AsRef<[u8]>) -> Answer {
        let lines: Vec<&str> = head.lines().collect();
        let (first, fields) = lines.split_first().unwrap();
        let fields = [&["Host: acme"], fields, &["", ""]].concat().join("\r\n");
        let mut bytes = format!("{first} HTTP/1.1\r\n{fields}").into_bytes();
        bytes.extend_from_slice(body.as_ref());
        Answer::of(&self.send(who, bytes).await)
    }

    pub(super) async fn get(&self, who: Who, path: &str) -> Answer {
        self.ask(who, &format!("GET {path}"), "").await
    }

    pub(super) async fn put(&self, who: Who, head: &str, body: &str) -> Answer {
        self.ask(who, &format!("PUT {head}\nContent-Length: {}", body.len()), body).await
    }

    /// The records since the last call, as `outcome` or `outcome/reason`.
    pub(super) fn records(&self) -> Vec<String> {
        let text = |record: &serde_json::Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
        let short = |record| match (text(&record, "outcome"), text(&record, "reason")) {
            (outcome, reason) if reason.is_empty() => outcome,
            (outcome, reason) => format!("{outcome}/{reason}"),
        };
        self.full_records().into_iter().map(short).collect()
    }

    /// The records since the last call.
    pub(super) fn full_records(&self) -> Vec<serde_json::Value> {
        self.log.flush(Duration::from_mins(1)).unwrap();
        let bytes = std::mem::take(&mut *self.written.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn security(who: Who) -> Security {
    let certificate = match who {
        Who::Plain => return Security::Plain,
        Who::Device(mac) => Ok(CertificateIdentity { mac, trust_set: "test".into() }),
        Who::Nobody => Err(NoIdentity::NotPresented),
    };
    Security::Tls { server_name: Some("acme".into()), certificate: Arc::new(move || certificate.clone()) }
}

fn listener(protocol: Protocol, require: &[&str]) -> Listener {
    let policy = ListenerPolicy {
        name: "phones".into(),
        protocol,
        enabled: true,
        allow: None,
        require: require.iter().map(|text| text.parse().unwrap()).collect::<Require>(),
        unbound: protocol.default_unbound(),
        unbound_write: UnboundWrite::Listed,
        exceptions: Vec::new(),
    };
    assert_eq!(policy.unbound == Unbound::Refuse, protocol == Protocol::Https);
    Listener {
        policy,
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        arrival: Arrival::default(),
        ftp: FtpSettings::default(),
        tftp: TftpSettings::default(),
    }
}

fn tenant(directory: &std::path::Path, listener: Arc<Listener>, limits: Limits) -> Tenant {
    let policy = TenantPolicy {
        name: "acme".into(),
        enabled: true,
        allow: Some(["127.0.0.0/8".parse().unwrap()].into_iter().collect()),
        strip: Strip::default(),
        rules: RuleSet::new(Vec::new(), Case::Exact).unwrap(),
        devices: DevicePolicy::Listed,
    };
    let uploads = Arc::new(Uploads::new(UploadsSettings {
        directory: directory.join("uploads"),
        device_quota: 4 << 20,
        device_files: 64,
        quota: Quota::Fixed(4 << 20),
        files: Quota::Fixed(1 << 20),
        max_upload: 1 << 20,
        max_log: 512 << 10,
        keep: 3,
        min_free: 0,
        durability: Durability::Cache,
        rules: RuleSet::new(Vec::new(), Case::Exact).unwrap_or_else(|error| panic!("{error}")),
    }));
    let roots = FilesSettings { root: directory.join("root"), shared: Vec::new(), case: Case::Exact };
    let devices = DevicesSettings { list: Vec::new(), file: Some(directory.join("devices.csv")), realm: "acme".into() };
    Tenant {
        policy,
        network: NetworkStack::HOST,
        files: Files::open_roots(roots, Arc::clone(&uploads)).unwrap(),
        uploads,
        devices: Arc::new(Devices::load(devices).unwrap()),
        users: Users::new("acme", Vec::new()),
        listeners: vec![listener],
        limits,
        guard: Guard::new(GuardSettings::new(directory.join("guard.pairs"))),
        source: provost_tenants::Source::default(),
    }
}

/// The peer's side of a connection.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    served: JoinHandle<()>,
}

impl Wire {
    pub(super) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until the bytes end with `end`.
    pub(super) async fn read_until(&mut self, end: &str) -> Vec<u8> {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            read.push(self.stream.read_u8().await.unwrap());
        }
        read
    }

    /// Closes the sending side, reads what still comes, and waits until the server is done with the connection.
    pub(super) async fn finish(mut self) -> Vec<u8> {
        // A server that has closed already is found out by reading.
        let _ = self.stream.shutdown().await;
        self.until_closed().await
    }

    /// Reads what still comes until the server closes, and waits until it is done with the connection.
    pub(super) async fn until_closed(mut self) -> Vec<u8> {
        let mut read = Vec::new();
        // A reset ends the answers as an end does; what came before it is what counts.
        let _ = self.stream.read_to_end(&mut read).await;
        drop(self.stream);
        tokio::time::timeout(Duration::from_secs(20), self.served).await.unwrap().unwrap();
        read
    }

    /// Waits until the server is done with the connection, without reading.
    pub(super) async fn join(self) -> TcpStream {
        tokio::time::timeout(Duration::from_secs(20), self.served).await.unwrap().unwrap();
        self.stream
    }

    /// Goes away at once, and waits until the server is done with the connection.
    pub(super) async fn vanish(self) {
        self.stream.set_zero_linger().unwrap();
        drop(self.stream);
        tokio::time::timeout(Duration::from_secs(20), self.served).await.unwrap().unwrap();
    }
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = bytes.split_at(end.unwrap_or_else(|| panic!("no answer: {bytes:?}")) + 4);
        let head = String::from_utf8(head.to_vec()).unwrap();
        Self { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body: body.to_vec() }
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).next()
    }

    pub(super) fn fields(&self, name: &str) -> impl Iterator<Item = &str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The head without its date.
    pub(super) fn head_without_date(&self) -> String {
        self.head.lines().filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\n")
    }
}
