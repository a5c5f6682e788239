//! A tenant with one TFTP listener on loopback.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use provost_core::path::{Case, Strip};
use provost_core::policy::UnboundWrite;
use provost_core::{DevicePolicy, ListenerPolicy, Prefixes, Protocol, RuleSet, TenantPolicy};
use provost_tenants::devices::{Devices, DevicesSettings};
use provost_tenants::files::{Files, FilesSettings};
use provost_tenants::guard::{Guard, GuardSettings};
use provost_tenants::network::NetworkStack;
use provost_tenants::uploads::{Durability, Quota, Uploads, UploadsSettings};
use provost_tenants::users::Users;
use provost_tenants::{Arrival, FtpSettings, Limits, Listener, LogFormat, Tenant, TftpSettings};

use super::MAC;
use crate::front::Front;
use crate::listen::Shares;
use crate::record::RecordLog;

/// What differs between sites.
pub(super) struct Plan {
    pub(super) address: &'static str,
    pub(super) allow: &'static str,
    pub(super) limits: Limits,
    pub(super) max_upload: u64,
    pub(super) tftp: TftpSettings,
}

/// A tenant that is being served.
pub(super) struct Site {
    folder: tempfile::TempDir,
    pub(super) address: SocketAddr,
    pub(super) shares: Arc<Shares>,
    log: RecordLog,
    written: Written,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:0",
            allow: "127.0.0.0/8",
            limits: Limits::default(),
            max_upload: 1 << 20,
            tftp: TftpSettings::default(),
        }
    }
}

impl Site {
    /// Serves a tenant with these files in its root.
    pub(super) fn with(files: &[(&str, &[u8])]) -> Self {
        Self::planned(&Plan::default(), files)
    }

    pub(super) fn planned(plan: &Plan, files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        for (name, content) in files {
            std::fs::write(root.join(name), content).unwrap();
        }
        let written = Written::default();
        let log = RecordLog::to(written.clone(), LogFormat::Text).unwrap();
        let listener = Arc::new(listener(plan));
        let tenant = Arc::new(tenant(plan, root, folder.path().join("uploads")));
        let socket = tenant.network.network().udp_socket(listener.address).unwrap();
        let address = socket.local_addr().unwrap();
        let shares = Arc::new(Shares::default());
        let front = Front::new(tenant, listener, Arc::clone(&shares), log.clone());
        let server = tokio::spawn(super::super::serve(front, socket));
        Self { folder, address, shares, log, written, server }
    }

    /// What the device has sent.
    pub(super) fn upload(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.path().join("uploads").join(name)).ok()
    }

    /// A folder that clients may use.
    pub(super) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where a file of the tenant stands.
    pub(super) fn root(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    /// The records so far, a line each.
    pub(super) fn records(&self) -> Vec<String> {
        self.log.flush(Duration::from_mins(1)).unwrap();
        String::from_utf8(self.written.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }

    /// Ends the listener, as a reload does; its transfers go on where they can.
    pub(super) async fn close(&self) {
        self.server.abort();
        while !self.server.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until so many records have this text.
    pub(super) async fn recorded(&self, times: usize, text: &str) {
        let recorded = async {
            while self.records().iter().filter(|record| record.contains(text)).count() < times {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), recorded).await;
        assert!(waited.is_ok(), "{text}: {:#?}", self.records());
    }

    /// Waits until all transfers have ended, and returns their records.
    pub(super) async fn ended(&self) -> Vec<String> {
        let ended = async {
            while self.shares.taken() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
        self.records()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn listener(plan: &Plan) -> Listener {
    let policy = ListenerPolicy {
        name: "tftp".into(),
        protocol: Protocol::Tftp,
        enabled: true,
        allow: None,
        require: ["address"].into_iter().map(|proof| proof.parse().unwrap()).collect(),
        unbound: Protocol::Tftp.default_unbound(),
        unbound_write: UnboundWrite::Logs,
        exceptions: Vec::new(),
    };
    Listener {
        policy,
        address: plan.address.parse().unwrap(),
        tls: None,
        arrival: Arrival::default(),
        ftp: FtpSettings::default(),
        tftp: plan.tftp.clone(),
    }
}

fn tenant(plan: &Plan, root: PathBuf, directory: PathBuf) -> Tenant {
    let policy = TenantPolicy {
        name: "acme".into(),
        enabled: true,
        allow: Some(plan.allow.split(' ').map(|prefix| prefix.parse().unwrap()).collect::<Prefixes>()),
        strip: Strip::new(["/tftpboot"], Case::Exact),
        rules: RuleSet::new(Vec::new(), Case::Exact).unwrap(),
        devices: DevicePolicy::Listed,
    };
    let guard = directory.join("guard.pairs");
    let uploads = Arc::new(Uploads::new(UploadsSettings {
        directory,
        device_quota: 16 << 20,
        device_files: 64,
        quota: Quota::Fixed(64 << 20),
        files: Quota::Fixed(1 << 20),
        max_upload: plan.max_upload,
        max_log: 512 << 10,
        keep: 3,
        min_free: 0,
        durability: Durability::Disk,
        rules: RuleSet::new(Vec::new(), Case::Exact).unwrap_or_else(|error| panic!("{error}")),
    }));
    uploads.prepare().unwrap();
    let files = FilesSettings { root, shared: Vec::new(), case: Case::Exact };
    let devices = DevicesSettings { list: vec![MAC.parse().unwrap()], file: None, realm: "acme".into() };
    Tenant {
        policy,
        network: NetworkStack::HOST,
        files: Files::open_roots(files, Arc::clone(&uploads)).unwrap(),
        uploads,
        devices: Arc::new(Devices::load(devices).unwrap()),
        users: Users::default(),
        listeners: Vec::new(),
        limits: plan.limits.clone(),
        guard: Guard::new(GuardSettings::new(guard)),
        source: provost_tenants::Source::default(),
    }
}
