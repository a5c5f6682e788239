//! The tenants that are served, while their configuration changes.
//!
//! A reload makes everything anew, compares, and swaps, one tenant at a time: listeners whose sockets would be the same
//! keep them, and requests under way end under what they began with. Each listener stands alone: one whose address is
//! taken never stops the others, nor another tenant's. Nothing here reads a byte of a peer, and nothing reads a
//! configuration.

mod certificates;
mod counting;
mod doors;
mod gone;
mod keeping;
mod listening;
mod material;
mod post;
mod refresh;
mod renewal;
mod serving;
mod status;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use provost_core::Protocol;
use provost_tenants::config::Memory;
use provost_tenants::network::Passed;
use provost_tenants::{Deployment, Tenant};
use tokio::task::{AbortHandle, JoinHandle};

use crate::front::Generation;
use crate::life::Life;
use crate::record::RecordLog;
use counting::Counting;
use doors::Doors;
use gone::Gone;
pub use gone::Total;
use listening::Listening;
use material::Watch;
pub use post::State;
pub use renewal::{Changed, Kept, Renewal, Waits};
use serving::{Prepared, Serving, Sockets};
pub use status::{
    AlarmStatus, LastError, ListenerState, ListenerStatus, ReportStatus, SocketOrigin, Status, TenantStatus, Unserved,
};

/// The tenants that are served. Dropped, their listeners end.
#[derive(Debug)]
pub struct Server {
    tenants: Tenants,
    sockets: Sockets,
    /// One reload at a time.
    turn: Turn,
    since: Instant,
    failures: Vec<Failure>,
    /// Of provost.toml, at the last reload.
    errors: Mutex<Vec<String>>,
    /// Of tenants that were removed, as long as anything of them runs.
    removed: Mutex<Vec<Arc<Life>>>,
    /// What listeners counted that are no more.
    gone: Mutex<Gone>,
    /// A load that took too long, and that the next reload does not wait for.
    hanging: tokio::sync::Mutex<Option<AbortHandle>>,
    /// Of the last load, for the next.
    memory: Mutex<Memory>,
    /// Sockets of the service manager that were closed, as no listener had them, and why.
    unused: Mutex<Vec<String>>,
    refresh: JoinHandle<()>,
    watch: JoinHandle<()>,
    keeping: JoinHandle<()>,
    counting: Counting,
    /// Set once nothing is to be bound any more, before the tenants are locked.
    stopped: AtomicBool,
}

/// How long connections may take to end when the server does, and how often they are looked at.
const CUT: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(5);

type Turn = Arc<tokio::sync::Mutex<()>>;
type Tenants = Arc<Mutex<BTreeMap<String, Serving>>>;

/// A listener that is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The tenant's name.
    pub tenant: String,
    /// The listener's name.
    pub listener: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it really listens.
    pub address: SocketAddr,
}

/// A listener that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for listener {listener} of tenant {tenant}")]
pub struct Failure {
    /// The tenant's name.
    pub tenant: String,
    /// The listener's name.
    pub listener: String,
    /// The address of the configuration.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

impl Server {
    /// Binds every enabled listener of every enabled tenant and serves it. It must be called inside a tokio runtime.
    pub fn start(deployment: &Deployment, records: &RecordLog) -> Self {
        Self::start_with(deployment, records, Passed::default())
    }

    /// The same, with sockets of the service manager: a listener takes the one that is meant for it and binds none. Those that
    /// nobody takes are closed.
    pub fn start_with(deployment: &Deployment, records: &RecordLog, passed: Passed) -> Self {
        let doors = Doors::new(records.clone(), deployment.settings.arrivals.clone());
        let sockets = Sockets { records: records.clone(), doors, passed };
        let mut failures = Vec::new();
        let mut tenants = BTreeMap::new();
        for tenant in &deployment.tenants {
            let name = tenant.policy.name.clone();
            match Prepared::new(tenant, None) {
                Ok(prepared) => {
                    let (mut serving, fresh) = prepared.begin();
                    let unbound = serving.add(fresh, &sockets);
                    failures.extend(unbound.into_iter().map(|failure| Failure::of(&name, failure)));
                    tenants.insert(name, serving);
                }
                Err((listener, error)) => tracing::error!(tenant = name, listener, %error, "cannot serve the tenant"),
            }
        }
        let tenants = Arc::new(Mutex::new(tenants));
        let refresh = tokio::spawn(refresh::refresh(Arc::clone(&tenants)));
        let keeping = tokio::spawn(keeping::keep(Arc::clone(&tenants)));
        let turn = Turn::default();
        let watch = Watch::new(Arc::clone(&tenants), Arc::clone(&turn), sockets.clone());
        let watch = tokio::spawn(watch.run());
        let since = Instant::now();
        let server = Self {
            tenants,
            sockets,
            turn,
            since,
            failures,
            errors: Mutex::default(),
            removed: Mutex::default(),
            gone: Mutex::default(),
            hanging: tokio::sync::Mutex::default(),
            memory: Mutex::new(deployment.memory.clone()),
            unused: Mutex::default(),
            refresh,
            watch,
            keeping,
            counting: Counting::default(),
            stopped: AtomicBool::new(false),
        };
        server.close_passed();
        server.counting.add(server.present());
        server
    }

    /// What is bound now, tenant by tenant.
    pub fn bound(&self) -> Vec<Bound> {
        let mut all = Vec::new();
        for (tenant, serving) in &*self.tenants() {
            for listening in &serving.listeners {
                let State::Up(address) = listening.state() else { continue };
                let protocol = listening.front.listener().policy.protocol;
                all.push(Bound { tenant: tenant.clone(), listener: listening.name(), protocol, address });
            }
        }
        all
    }

    /// What could not be bound at the start. It is tried again.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The tenants as they are served now.
    pub fn present(&self) -> Vec<Arc<Tenant>> {
        keeping::present(&self.tenants)
    }

    /// A listener of a tenant that is served, as it is now, and whether it listens.
    pub fn listener(&self, tenant: &str, listener: &str) -> Option<(Arc<Generation>, State)> {
        let tenants = self.tenants();
        let listening = tenants.get(tenant)?.listeners.iter().find(|listening| listening.name() == listener)?;
        Some((listening.front.present(), listening.state()))
    }

    /// How many requests are under way.
    pub fn underway(&self) -> usize {
        self.tenants().values().map(|serving| serving.life.underway()).sum()
    }

    /// How many connections and transfers there are, with a request under way or without.
    pub fn connections(&self) -> usize {
        self.tenants().values().map(|serving| serving.life.shares().taken()).sum()
    }

    /// What has been counted since the start, of listeners that are there and of those that were.
    pub fn total(&self) -> Total {
        let mut total = lock(&self.gone).total();
        let tenants = self.tenants();
        tenants.values().flat_map(|serving| &serving.listeners).for_each(|each| total.add(&each.front.counts().now()));
        total
    }

    /// Ends accepting: when it returns, no listener is bound any more, nor will be. Connections that were accepted go on until
    /// they are [cut](Self::cut). It does not wait for a reload, which may hang on a slow disk.
    pub async fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        for task in [&self.refresh, &self.watch, &self.keeping] {
            task.abort();
        }
        let tasks: Vec<_> = self
            .tenants()
            .values_mut()
            .flat_map(|serving| &mut serving.listeners)
            .filter_map(Listening::halt)
            .collect();
        for task in tasks {
            // It was told to end, so it ends with an error.
            let _ = task.await;
        }
        self.sockets.doors.close().await;
    }

    /// Ends transfers to peers that have answered nothing yet.
    pub fn end_unanswered(&self) {
        self.tenants().values().for_each(|serving| serving.life.shares().giving_way.unanswered.make_room(1));
    }

    /// Ends what is left, and waits until it has ended, but not for longer than a second.
    pub async fn cut(&self) {
        self.tenants().values().for_each(|serving| serving.life.cut());
        let gone = async {
            while self.has_tasks() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(CUT, gone).await.is_err() {
            tracing::warn!(connections = self.connections(), "connections have not ended");
        }
    }

    /// Whether anything runs of a tenant that is there, or was.
    fn has_tasks(&self) -> bool {
        let removed = lock(&self.removed).iter().any(|life| life.has_tasks());
        removed || self.tenants().values().any(|serving| serving.life.has_tasks())
    }

    /// Writes what tenants learned to the disk. It waits for a slow disk for a moment only.
    pub async fn save(&self) {
        let present = keeping::present(&self.tenants);
        let saved = tokio::task::spawn_blocking(move || keeping::save_last(&present));
        if tokio::time::timeout(keeping::LAST, saved).await.is_err() {
            tracing::warn!("what tenants learned of late was not written: the disk is slow");
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Closes passed sockets that no listener has, and says so: whoever connects to one is kept waiting by the service manager.
    fn close_passed(&self) {
        let closed = self.sockets.passed.close();
        for socket in &closed {
            tracing::error!(socket, "a passed socket is closed");
        }
        self.unused.lock().unwrap_or_else(PoisonError::into_inner).extend(closed);
    }

    fn note(&self, errors: Vec<String>) {
        *self.errors.lock().unwrap_or_else(PoisonError::into_inner) = errors;
    }

    fn tenants(&self) -> MutexGuard<'_, BTreeMap<String, Serving>> {
        lock(&self.tenants)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in [&self.refresh, &self.watch, &self.keeping] {
            task.abort();
        }
    }
}

impl Failure {
    /// Tells the operator.
    pub fn log(&self) {
        let Self { tenant, listener, address, error: reason } = self;
        tracing::error!(tenant, listener, %address, %reason, "cannot listen, and tries again");
    }

    fn of(tenant: &str, (listener, error): serving::Failure) -> Self {
        let (tenant, name) = (tenant.to_owned(), listener.policy.name.clone());
        Self { tenant, listener: name, address: listener.address, error }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::sink;
    use std::net::TcpListener;

    use provost_tenants::LogFormat;

    use super::*;

    fn deployment(dir: &std::path::Path, listeners: &str) -> Deployment {
        let tenant = "name = \"acme\"\nallow = [\"127.0.0.0/8\"]\n[files]\nroot = \"files\"\n";
        std::fs::create_dir(dir.join("files")).unwrap();
        std::fs::write(dir.join("provost.toml"), "tenants = \"acme.toml\"\nstate = \"state\"\n").unwrap();
        std::fs::write(dir.join("acme.toml"), format!("{tenant}{listeners}")).unwrap();
        let loaded = provost_tenants::config::load(&dir.join("provost.toml"), []).unwrap();
        assert!(!loaded.problems.has_errors(), "{}", loaded.problems);
        loaded.deployment
    }

    #[tokio::test]
    async fn a_listener_that_fails_stops_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let listeners = format!(
            "[[listener]]\nprotocol = \"http\"\naddress = \"{address}\"\n\
             [[listener]]\nprotocol = \"ftp\"\naddress = \"127.0.0.1:0\"\n\
             [[listener]]\nprotocol = \"tftp\"\naddress = \"127.0.0.1:0\"\n\
             [[listener]]\nname = \"off\"\nprotocol = \"http\"\naddress = \"127.0.0.1:0\"\nenabled = false\n"
        );
        let records = RecordLog::to(sink(), LogFormat::Text).unwrap();
        let server = Server::start(&deployment(dir.path(), &listeners), &records);
        let bound: Vec<_> = server.bound().into_iter().map(|bound| bound.listener).collect();
        assert_eq!(bound, ["ftp", "tftp"]);
        assert!(server.bound().iter().all(|bound| bound.address.port() != 0), "{:?}", server.bound());
        let [failure] = server.failures() else { panic!("{:?}", server.failures()) };
        assert_eq!(failure.to_string(), format!("cannot listen on {address} for listener http of tenant acme"));
        assert_eq!(failure.error.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn when_stop_returns_nothing_listens() {
        let dir = tempfile::tempdir().unwrap();
        let records = RecordLog::to(sink(), LogFormat::Text).unwrap();
        let listener = "[[listener]]\nprotocol = \"ftp\"\naddress = \"127.0.0.1:0\"\n";
        let server = Server::start(&deployment(dir.path(), listener), &records);
        let address = server.bound().first().unwrap().address;
        assert!(std::net::TcpStream::connect(address).is_ok());
        server.stop().await;
        let refused = std::net::TcpStream::connect(address).map_err(|error| error.kind());
        assert_eq!(refused.map(drop), Err(io::ErrorKind::ConnectionRefused));
    }

    #[tokio::test]
    async fn a_reload_that_hangs_holds_up_no_end_and_binds_nothing_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let records = RecordLog::to(sink(), LogFormat::Text).unwrap();
        let listener = "[[listener]]\nprotocol = \"ftp\"\naddress = \"127.0.0.1:0\"\n";
        let server = Server::start(&deployment(dir.path(), listener), &records);
        let (release, hang) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let config = dir.path().join("provost.toml");
        let renewal = server.renew(move |_, _, _| {
            begun.send(()).unwrap();
            // It hangs until the other end is dropped.
            let _ = hang.recv();
            provost_tenants::config::load(&config, [])
        });
        let ending = async {
            begins.await.unwrap();
            server.stop().await;
            drop(release);
        };
        let (renewal, ()) = tokio::join!(renewal, ending);
        assert_eq!(renewal.errors, ["the server is ending"]);
        assert_eq!(server.tenants().values().map(|serving| serving.listeners.len()).sum::<usize>(), 1);
    }
}
