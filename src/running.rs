//! A server that runs, as its operator sees it: reload and status, by SIGHUP or over the admin socket, and what systemd
//! and the log hear of them. How it starts and ends is told in [`crate::serve`].

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use provost_protocols::Server;
use provost_protocols::admin::{AdminSocket, Answer, Answers, Request};
use provost_protocols::metrics::Metrics;
use provost_protocols::server::{Kept, Renewal, Status, Unserved};
use provost_tenants::config::{Failed, Former};
use provost_tenants::devices::Removals;
use provost_tenants::{Deployment, Settings, Tenant};

use crate::notify::Notify;
use crate::{configuration, explain};

/// The version that status tells.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The admin socket where the configuration names none, if its folder exists; systemd makes that.
pub(crate) const ADMIN_SOCKET: &str = "/run/provost/admin.sock";

/// How often is looked whether another server still has the admin socket, or the address of the metrics.
const AGAIN: Duration = Duration::from_secs(1);

/// What a running server and its operator share.
pub(crate) struct Running {
    pub(crate) server: Server,
    config: PathBuf,
    pub(crate) notify: Notify,
    /// Tenants of the configuration that are not served: the server does not know them.
    unserved: Mutex<Vec<Unserved>>,
    /// Whoever reloads holds it, until what is told of the reload stands.
    reloading: tokio::sync::Mutex<()>,
    /// Folders of the state in which it cannot write.
    unwritable: Arc<Mutex<Vec<String>>>,
    /// Where metrics are told, or why not; `None` where they are not meant to be.
    metrics: Mutex<Option<Result<SocketAddr, String>>>,
    /// What the server began with: some of it stays as long as it runs.
    settings: Settings,
}

impl Running {
    /// A server that serves this deployment of the configuration at `config`. `failed` are the tenants that did not load.
    pub(crate) fn new(server: Server, deployment: &Deployment, failed: &[Failed], config: &Path) -> Self {
        let unserved = Mutex::new(unserved(deployment, failed, &server));
        let (settings, tenants, of_failed) = (deployment.settings.clone(), deployment.tenants.clone(), failed.to_vec());
        // Nothing waits for it: its folder may hang.
        drop(tokio::task::spawn_blocking(move || warn_of_abandoned(&settings, &tenants, &of_failed)));
        Self {
            server,
            config: config.to_owned(),
            notify: Notify::from_environment(),
            unserved,
            reloading: tokio::sync::Mutex::default(),
            unwritable: Arc::new(Mutex::new(unwritable(&deployment.settings, &deployment.tenants))),
            metrics: Mutex::default(),
            settings: deployment.settings.clone(),
        }
    }

    /// Reads the configuration anew and serves what was read.
    pub(crate) async fn reload(&self, removals: Removals) -> Renewal {
        let _alone = self.reloading.lock().await;
        self.notify.reloading();
        let (config, settings, unwritten) = (self.config.clone(), self.settings.clone(), Arc::clone(&self.unwritable));
        let renewal = self.server.renew(move |tenants, memory, is_given_up| {
            let is_given_up = Some(is_given_up);
            let former = Former { tenants, removals, is_given_up, memory: Some(memory), settings: Some(&settings) };
            let loaded = configuration::reload(&config, former)?;
            *lock(&unwritten) = unwritable(&settings, &loaded.deployment.tenants);
            warn_of_abandoned(&settings, &loaded.deployment.tenants, &loaded.failed);
            Ok(loaded)
        });
        let renewal = renewal.await;
        log_renewal(&renewal);
        // With errors of provost.toml itself nothing was changed.
        if renewal.errors.is_empty() {
            let kept = renewal.kept.iter().filter(|kept| !kept.is_served);
            *self.unserved() = kept.map(|Kept { tenant, errors, .. }| unserved_for(tenant, errors)).collect();
        }
        self.notify.ready(&format!("serving {} tenants", self.server.present().len()));
        renewal
    }

    /// How the server stands, and what it does not know: the tenants that never loaded.
    fn status(&self) -> Status {
        let mut status = self.server.status(VERSION);
        status.unserved.clone_from(&self.unserved());
        status.state_errors.clone_from(&lock(&self.unwritable));
        match lock(&self.metrics).clone() {
            Some(Ok(address)) => status.metrics = Some(address),
            Some(Err(error)) => status.metrics_error = Some(error),
            None => {}
        }
        status
    }

    fn unserved(&self) -> MutexGuard<'_, Vec<Unserved>> {
        lock(&self.unserved)
    }

    async fn answer(self: Arc<Self>, request: Request) -> Answer {
        match request {
            Request::Status => Answer::Status(self.status()),
            Request::Passwords { tenant } => match self.server.passwords(&tenant) {
                Some(report) => Answer::Passwords(report),
                None => Answer::Refused { reason: format!("no tenant `{tenant}` is served") },
            },
            Request::Explain(question) => {
                let unserved = self.unserved().clone();
                let explained = move || explain::answer(&question, &self.server, &unserved);
                let explained = tokio::task::spawn_blocking(explained).await;
                explained.unwrap_or_else(|error| Answer::Refused { reason: format!("explaining failed: {error}") })
            }
            Request::Reload { accept_removals: true } => Answer::Reload(self.reload(Removals::Accept).await),
            Request::Reload { accept_removals: false } => Answer::Reload(self.reload(Removals::Refuse).await),
        }
    }
}

/// What serves the admin socket, where there is to be one. The server serves without it. While another one answers there, as
/// the one that this one takes over from does until its last request has ended, it is tried again.
pub(crate) async fn admin(
    running: &Arc<Running>,
    settings: &Settings,
) -> Option<impl Future<Output = ()> + Send + 'static> {
    let path = settings.admin_socket.clone().or_else(usual_socket)?;
    let running = Arc::clone(running);
    let answers: Answers = Arc::new(move |request| -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        Box::pin(Arc::clone(&running).answer(request))
    });
    let bound = AdminSocket::bind(&path).await.inspect_err(|error| note(&path, error));
    Some(async move {
        if let Some(socket) = in_the_end(bound, &path).await {
            socket.serve(answers).await;
        }
    })
}

/// Where the configuration names no socket. Without its folder there is none, and the server serves all the same.
fn usual_socket() -> Option<PathBuf> {
    let path = PathBuf::from(ADMIN_SOCKET);
    if path.parent().is_some_and(Path::is_dir) {
        return Some(path);
    }
    tracing::info!(
        path = ADMIN_SOCKET,
        "no admin socket, for its folder is not there: `[admin] socket` names another place"
    );
    None
}

/// The socket, once nobody else answers on it.
async fn in_the_end(mut bound: io::Result<AdminSocket>, path: &Path) -> Option<AdminSocket> {
    let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    while bound.as_ref().is_err_and(is_taken) {
        tokio::time::sleep(AGAIN).await;
        bound = AdminSocket::bind(path).await;
        if let Some(error) = bound.as_ref().err().filter(|error| !is_taken(error)) {
            note(path, error);
        }
    }
    bound.ok()
}

fn note(path: &Path, error: &io::Error) {
    tracing::error!(path = %path.display(), %error, "no admin socket");
}

/// What tells metrics, where they are to be told. The server serves without them. While their address is another server's, or
/// is not there, they are tried again.
pub(crate) fn metrics(
    running: &Arc<Running>,
    settings: &Settings,
) -> Option<impl Future<Output = ()> + Send + 'static> {
    let address = settings.metrics?;
    let told = Arc::clone(running);
    let bind = move || {
        let bound = Metrics::bind(address).and_then(|metrics| Ok((metrics.address()?, metrics)));
        *lock(&told.metrics) = Some(match &bound {
            Ok((address, _)) => Ok(*address),
            Err(error) => Err(format!("{address}: {error}")),
        });
        let (address, metrics) = bound?;
        tracing::info!(%address, "metrics");
        Ok(metrics)
    };
    let mut bound: io::Result<Metrics> = bind();
    if let Err(error) = &bound {
        tracing::error!(%address, %error, "no metrics, and tries again");
    }
    let running = Arc::clone(running);
    Some(async move {
        loop {
            match bound {
                Ok(metrics) => return metrics.serve(move || running.status()).await,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
            bound = bind();
        }
    })
}

/// Tells systemd that the runtime still runs.
pub(crate) async fn stay_alive(running: Arc<Running>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    loop {
        ticks.tick().await;
        running.notify.alive();
    }
}

fn log_renewal(renewal: &Renewal) {
    for error in &renewal.errors {
        tracing::error!(%error, "the configuration was not reloaded");
    }
    if !renewal.errors.is_empty() {
        return;
    }
    for kept in &renewal.kept {
        for error in &kept.errors {
            tracing::error!(tenant = kept.tenant, is_served = kept.is_served, %error, "the tenant did not load");
        }
    }
    for changed in &renewal.changed {
        let (bound, closed, devices) = (changed.bound.join(" "), changed.closed.join(" "), &changed.devices);
        tracing::info!(tenant = changed.tenant, bound, closed, devices = devices.as_deref(), "changed");
    }
    if renewal.arrivals_changed {
        tracing::info!("changed [arrivals]");
    }
    for tenant in &renewal.added {
        tracing::info!(tenant, "added");
    }
    for tenant in &renewal.removed {
        tracing::info!(tenant, "removed");
    }
    for key in &renewal.pending {
        tracing::warn!(key, "what changed there counts from the next start");
    }
    let (added, removed) = (renewal.added.len(), renewal.removed.len());
    let (changed, unchanged) = (renewal.changed.len(), renewal.unchanged);
    tracing::info!(added, removed, changed, unchanged, kept = renewal.kept.len(), "reloaded");
}

/// Folders of the state in which the server cannot write: the log says so, too. It blocks.
fn unwritable(settings: &Settings, tenants: &[Arc<Tenant>]) -> Vec<String> {
    let unwritable = settings.unwritable(tenants);
    for error in &unwritable {
        tracing::error!(error, "the state folder cannot be used");
    }
    unwritable
}

/// Uploads of tenants that were renamed or are gone. It blocks.
fn warn_of_abandoned(settings: &Settings, tenants: &[Arc<Tenant>], failed: &[Failed]) {
    for folder in settings.abandoned(tenants, failed) {
        let message = "uploads lie here under a name that no tenant has: move or remove them before one is given it";
        tracing::warn!(folder = %folder.display(), "{message}");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tenants that did not load, and those that loaded and whose TLS could not be made.
fn unserved(deployment: &Deployment, failed: &[Failed], server: &Server) -> Vec<Unserved> {
    let of_file = failed.iter().map(|failed| {
        let tenant = failed.name.clone().unwrap_or_else(|| failed.file.display().to_string());
        unserved_for(&tenant, &failed.errors)
    });
    let present: HashSet<String> = server.present().iter().map(|tenant| tenant.policy.name.clone()).collect();
    let loaded = deployment.tenants.iter().map(|tenant| &tenant.policy.name);
    let of_tls =
        loaded.filter(|name| !present.contains(*name)).map(|name| unserved_for(name, &["see the log".to_owned()]));
    of_file.chain(of_tls).collect()
}

fn unserved_for(tenant: &str, errors: &[String]) -> Unserved {
    Unserved { tenant: tenant.to_owned(), errors: errors.to_vec() }
}
