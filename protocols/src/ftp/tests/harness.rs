//! A server with one tenant, and a client that speaks FTP by hand. Whatever waits gives up after [`PATIENCE`].

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use provost_core::path::{Case, Strip};
use provost_core::policy::Unbound;
use provost_core::rules::{Gap, Kind, Origin, Prefer, Readers, Rule};
use provost_core::{DevicePolicy, Exception, ListenerPolicy, Protocol, Require, RuleSet, TenantPolicy};
use provost_tenants::devices::{Devices, DevicesSettings};
use provost_tenants::files::{Files, FilesSettings};
use provost_tenants::guard::{Guard, GuardSettings};
use provost_tenants::network::NetworkStack;
use provost_tenants::uploads::{Durability, Quota, Uploads, UploadsSettings};
use provost_tenants::users::{Credential, Users};
use provost_tenants::{Arrival, FtpSettings, Limits, Listener, LogFormat, Tenant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{OTHER, OWN};
use crate::front::Front;
use crate::listen::Shares;
use crate::record::RecordLog;

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Server {
    pub(super) address: SocketAddr,
    folder: TempDir,
    log: RecordLog,
    records: Arc<Mutex<Vec<u8>>>,
    front: Arc<Front>,
    task: JoinHandle<()>,
}

/// What differs from test to test.
pub(super) struct Options {
    pub(super) require: &'static str,
    pub(super) unbound: Unbound,
    pub(super) exceptions: Vec<Exception>,
    pub(super) limits: Limits,
    pub(super) ftp: FtpSettings,
    pub(super) ip: IpAddr,
    pub(super) quota: u64,
    /// What everybody may read.
    pub(super) open: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            require: "address",
            unbound: Protocol::Ftp.default_unbound(),
            exceptions: Vec::new(),
            limits: Limits::default(),
            ftp: FtpSettings::default(),
            ip: Ipv4Addr::LOCALHOST.into(),
            quota: 1 << 24,
            open: None,
        }
    }
}

impl Server {
    pub(super) fn start() -> Self {
        Self::with(Options::default())
    }

    pub(super) fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let uploads = Arc::new(Uploads::new(uploads_settings(folder.path().join("uploads"), options.quota)));
        uploads.prepare().unwrap();
        let files = FilesSettings { root, shared: Vec::new(), case: Case::Exact };
        let inventory = folder.path().join("devices.csv");
        std::fs::write(&inventory, format!("mac,password\n{OWN},own-secret\n{OTHER},other-secret\n")).unwrap();
        let shared = Credential::read("acme", "PlcmSpIp", "shared-secret", None).unwrap();
        let policy = listener_policy(options.require, options.unbound, options.exceptions);
        let listener = Arc::new(Listener {
            policy,
            address: SocketAddr::new(options.ip, 0),
            tls: None,
            arrival: Arrival::default(),
            ftp: options.ftp,
            tftp: provost_tenants::TftpSettings::default(),
        });
        let tenant = Arc::new(Tenant {
            policy: tenant_policy(options.open),
            network: NetworkStack::HOST,
            files: Files::open_roots(files, Arc::clone(&uploads)).unwrap(),
            uploads,
            devices: Arc::new(
                Devices::load(DevicesSettings { list: Vec::new(), file: Some(inventory), realm: "acme".into() })
                    .unwrap(),
            ),
            users: Users::new("acme", vec![shared]),
            listeners: vec![Arc::clone(&listener)],
            limits: options.limits,
            guard: Guard::new(GuardSettings::new(folder.path().join("guard.pairs"))),
            source: provost_tenants::Source::default(),
        });
        let records = Arc::new(Mutex::new(Vec::new()));
        let log = RecordLog::to(Shared(Arc::clone(&records)), LogFormat::Text).unwrap();
        let socket = tenant.network.network().tcp_listener(listener.address).unwrap();
        let address = socket.local_addr().unwrap();
        let front = Front::new(tenant, listener, Arc::new(Shares::default()), log.clone());
        let task = tokio::spawn(crate::ftp::serve(Arc::clone(&front), socket));
        Self { address, folder, log, records, front, task }
    }

    /// How many requests report-only exceptions let pass.
    pub(super) fn reported(&self) -> u64 {
        self.front.reports().now().values().map(|reported| reported.requests).sum()
    }

    /// Whether the password that devices share was of use.
    pub(super) fn shared_password_is_in_use(&self) -> bool {
        let report = self.front.shares().passwords.report(&self.front.tenant());
        report.shared.iter().any(|shared| shared.last_used.is_some())
    }

    /// Puts a file below the tenant's root.
    pub(super) fn provide(&self, path: &str, bytes: &[u8]) {
        let path = self.folder.path().join("root").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// The records that were written until now, one a line.
    pub(super) async fn records(&self) -> String {
        let log = self.log.clone();
        tokio::task::spawn_blocking(move || log.flush(Duration::from_mins(1)).unwrap()).await.unwrap();
        String::from_utf8(self.records.lock().unwrap().clone()).unwrap()
    }

    /// Ends everything that runs, as where the tenant is removed.
    pub(super) fn withdraw(&self) {
        self.front.life().end();
    }

    pub(super) async fn connect(&self) -> Client {
        let client = Client::raw(TcpStream::connect(self.address).await.unwrap());
        client.greeted().await
    }

    /// A session that is logged in with any user, in image type.
    pub(super) async fn session(&self) -> Client {
        self.session_of("anonymous", "x").await
    }

    /// The same from another address of this machine.
    pub(super) async fn session_from(&self, address: [u8; 4]) -> Client {
        let client = Client::raw(connect_as(address, self.address).await).greeted().await;
        client.log_in("anonymous", "x").await
    }

    pub(super) async fn session_of(&self, user: &str, password: &str) -> Client {
        self.connect().await.log_in(user, password).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn raw(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    async fn greeted(mut self) -> Self {
        assert_eq!(code_of(&self.reply().await), 220);
        self
    }

    async fn log_in(mut self, user: &str, password: &str) -> Self {
        assert_eq!(self.code(&format!("USER {user}")).await, 331);
        assert_eq!(self.code(&format!("PASS {password}")).await, 230);
        assert_eq!(self.code("TYPE I").await, 200);
        self
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    /// Sends bytes as long as the server takes them.
    pub(super) async fn flood(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes).await
    }

    /// The next reply, all its lines; empty at the end of the connection.
    pub(super) async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            match timeout(PATIENCE, self.stream.read_line(&mut line)).await.expect("no reply") {
                Ok(0) | Err(_) => return reply,
                Ok(_) => reply.push_str(&line),
            }
            let is_last = line.get(3..4) == Some(" ") && line.get(..3).is_some_and(|code| code.parse::<u16>().is_ok());
            if is_last {
                return reply;
            }
        }
    }

    pub(super) async fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes()).await;
        self.reply().await
    }

    pub(super) async fn code(&mut self, command: &str) -> u16 {
        code_of(&self.ask(command).await)
    }

    pub(super) async fn next_code(&mut self) -> u16 {
        code_of(&self.reply().await)
    }

    /// Where the server waits after PASV.
    pub(super) async fn pasv(&mut self) -> SocketAddr {
        let reply = self.ask("PASV").await;
        let numbers = reply.split_once('(').unwrap().1.split_once(')').unwrap().0;
        let bytes: Vec<u8> = numbers.split(',').map(|number| number.parse().unwrap()).collect();
        let [a, b, c, d, high, low] = bytes[..] else { panic!("{reply}") };
        SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])))
    }

    pub(super) async fn data(&mut self) -> TcpStream {
        let address = self.pasv().await;
        TcpStream::connect(address).await.unwrap()
    }

    /// The bytes that a command sends over a data connection, and the code of its last reply.
    pub(super) async fn fetch(&mut self, command: &str) -> (u16, Vec<u8>) {
        let data = self.data().await;
        match self.code(command).await {
            150 => {}
            code => return (code, Vec::new()),
        }
        let bytes = read_to_end(data).await.unwrap();
        (self.next_code().await, bytes)
    }

    /// The code of the last reply to a command that takes bytes over a data connection.
    pub(super) async fn store(&mut self, command: &str, bytes: &[u8]) -> u16 {
        let mut data = self.data().await;
        match self.code(command).await {
            150 => {}
            code => return code,
        }
        data.write_all(bytes).await.unwrap();
        drop(data);
        self.next_code().await
    }

    /// Begins to store a file and sends these bytes of it, over the data connection that is returned.
    pub(super) async fn begin_store(&mut self, path: &str, bytes: &[u8]) -> TcpStream {
        let mut data = self.data().await;
        assert_eq!(self.code(&format!("STOR {path}")).await, 150);
        data.write_all(bytes).await.unwrap();
        data
    }

    /// Sends the last byte as urgent data, as clients do with ABOR.
    pub(super) fn send_urgently(&mut self, bytes: &[u8]) {
        let socket = socket2::SockRef::from(self.stream.get_ref());
        assert_eq!(socket.send_out_of_band(bytes).unwrap(), bytes.len());
    }
}

pub(super) async fn read_to_end(mut data: TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    timeout(PATIENCE, data.read_to_end(&mut bytes)).await.expect("the data connection goes on")?;
    Ok(bytes)
}

/// Connects from another address of this machine.
pub(super) async fn connect_as(stranger: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((stranger, 0))).unwrap();
    socket.connect(address).await.unwrap()
}

pub(super) async fn accept(listener: &TcpListener) -> TcpStream {
    timeout(PATIENCE, listener.accept()).await.expect("nobody connects").unwrap().0
}

pub(super) fn code_of(reply: &str) -> u16 {
    reply.get(..3).and_then(|code| code.parse().ok()).unwrap_or_default()
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn uploads_settings(directory: PathBuf, quota: u64) -> UploadsSettings {
    UploadsSettings {
        directory,
        device_quota: quota,
        device_files: 64,
        quota: Quota::Fixed(quota * 2),
        files: Quota::Fixed(1 << 20),
        max_upload: 1 << 25,
        max_log: 1 << 20,
        keep: 3,
        min_free: 0,
        durability: Durability::Cache,
        rules: RuleSet::new(Vec::new(), Case::Exact).unwrap_or_else(|error| panic!("{error}")),
    }
}

fn tenant_policy(open: Option<&str>) -> TenantPolicy {
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
        strip: Strip::new(["/tftpboot"], Case::Exact),
        rules: RuleSet::new(open.map(rule).into_iter().collect(), Case::Exact).unwrap(),
        devices: DevicePolicy::Listed,
    }
}

fn listener_policy(require: &str, unbound: Unbound, exceptions: Vec<Exception>) -> ListenerPolicy {
    ListenerPolicy {
        name: "ftp".into(),
        protocol: Protocol::Ftp,
        enabled: true,
        allow: None,
        require: require.split(' ').map(|alternative| alternative.parse().unwrap()).collect::<Require>(),
        unbound,
        unbound_write: provost_core::policy::UnboundWrite::Logs,
        exceptions,
    }
}
